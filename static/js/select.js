// The button that pauses the selected agents says how many, and what it needs while there are none.
// Without this file it is always ready, and the page it leads to says that nothing was selected.
(() => {
  "use strict";
  const draw = () => {
    const button = document.getElementById("pause-selected");
    if (!button) return;
    const some = document.querySelectorAll('input[name="agent"][form="pause-form"]:checked').length;
    const words = some === 0 ? button.dataset.select : some === 1 ? "Pause 1 agent" : `Pause ${some} agents`;
    const said = button.querySelector("span");
    button.disabled = some === 0;
    if (said.textContent !== words) said.textContent = words;
  };
  document.addEventListener("change", draw);
  document.addEventListener("htmx:afterSettle", draw);
  window.addEventListener("pageshow", draw);
  draw();
})();
