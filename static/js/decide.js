// The decision names the version it was shown. A form that is being filled in, and a sheet that is open, are
// not morphed (morph.js), so while the card around them moves on, this says so. On the card "I have looked"
// takes over the version that is shown now; closing a sheet does, and fetches what it says anew. The phone's
// bar is a form too; the reason that was chosen in it is chosen in the sheet that the bar opens.
(() => {
  "use strict";
  const versions = () => [...document.querySelectorAll("#decide-form [name=version], #bar-form [name=version]")];
  const shown = () => document.getElementById("incident")?.dataset.version;
  const old = (sheet) => [...sheet.querySelectorAll("[name=version]")].some((field) => field.value !== shown());

  const draw = () => {
    for (const moved of document.querySelectorAll("#moved, #bar-moved")) {
      moved.hidden = versions().every((field) => field.value === shown());
    }
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
    event.target.closest(".decision-bar, .decide-panel").querySelector("#resume, #bar-resume").focus();
  });
  document.addEventListener("click", (event) => {
    const sheet = document.getElementById(event.target.closest?.(".decision-bar [data-opens]")?.dataset.opens);
    const chosen = document.querySelector("#bar-form [name=reason]:checked")?.value;
    const reasons = [...(sheet?.querySelectorAll("[name=reason]") ?? [])];
    const same = reasons.find((reason) => reason.value === chosen);
    if (same && !reasons.some((reason) => reason.checked)) same.checked = true;
  });
  document.addEventListener("htmx:afterSettle", draw);
  document.addEventListener("close", (event) => closed(event.target), true);
  document.getElementById("refused")?.focus();
})();
