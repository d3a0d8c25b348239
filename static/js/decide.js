// The decision names the version it was shown. A form that is being filled in is not morphed (morph.js), so
// while the card around it moves on, this says so; "I have looked" takes over the version that is shown now.
(() => {
  "use strict";
  const versions = () => [...document.querySelectorAll("#decide-form [name=version]")];
  const shown = () => document.getElementById("incident")?.dataset.version;

  const draw = () => {
    const moved = document.getElementById("moved");
    if (moved) moved.hidden = versions().every((field) => field.value === shown());
  };

  document.addEventListener("click", (event) => {
    if (!event.target.closest("[data-current]")) return;
    for (const field of versions()) field.value = shown();
    draw();
    document.getElementById("resume")?.focus();
  });
  document.addEventListener("htmx:afterSettle", draw);
  document.getElementById("refused")?.focus();
})();
