// Two checkpoints are compared: a third choice lets go of the first, and the button says what it needs.
// Without this file the server says so.
(() => {
  "use strict";
  let order = [];

  const draw = () => {
    const button = document.getElementById("pick-two");
    if (!button) return;
    const chosen = [...document.querySelectorAll("input[name=pick][form=pick]:checked")];
    order = order.filter((box) => chosen.includes(box)).concat(chosen.filter((box) => !order.includes(box)));
    while (order.length > 2) order.shift().checked = false;
    button.disabled = order.length < 2;
    const says = document.getElementById("pick-says");
    const words = order.length === 0 ? "Choose two to compare." : order.length === 1 ? "Choose one more to compare." : "Two are chosen.";
    if (says.textContent !== words) says.textContent = words;
  };
  document.addEventListener("change", draw);
  document.addEventListener("htmx:afterSettle", draw);
  window.addEventListener("pageshow", draw);
  draw();
})();
