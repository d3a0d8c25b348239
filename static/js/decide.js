// The decision names the version it was shown. A form that is being filled in, and a sheet that is open, are
// not morphed (morph.js), so while the card around them moves on, this says so. On the card "I have looked"
// takes over the version that is shown now; closing a sheet does, and fetches what it says anew.
(() => {
  "use strict";
  const versions = () => [...document.querySelectorAll("#decide-form [name=version]")];
  const shown = () => document.getElementById("incident")?.dataset.version;
  const old = (sheet) => [...sheet.querySelectorAll("[name=version]")].some((field) => field.value !== shown());

  const draw = () => {
    const moved = document.getElementById("moved");
    if (moved) moved.hidden = versions().every((field) => field.value === shown());
    for (const said of document.querySelectorAll("dialog[open] [data-moved]")) said.hidden = !old(said.closest("dialog"));
  };

  const closed = (sheet) => {
    const said = sheet.querySelector("[data-moved]");
    if (!said || said.hidden) return;
    said.hidden = true;
    for (const field of sheet.querySelectorAll("[name=version]")) field.value = shown();
    for (const topic of document.body.dataset.topics.split(/\s+/)) {
      if (topic.startsWith("incident-")) document.body.dispatchEvent(new CustomEvent(`live:${topic}`));
    }
  };

  document.addEventListener("click", (event) => {
    if (!event.target.closest("[data-current]")) return;
    for (const field of versions()) field.value = shown();
    draw();
    document.getElementById("resume")?.focus();
  });
  document.addEventListener("htmx:afterSettle", draw);
  document.addEventListener("close", (event) => closed(event.target), true);
  document.getElementById("refused")?.focus();
})();
