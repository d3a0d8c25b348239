// A press copies: [data-copy="text"] that text, [data-copies="id"] the text of that element.
// The word beside the icon says what happened, also to a screen reader; without the right to copy
// (plain http on another host) the text is selected instead, so that Ctrl-C does it.
(() => {
  "use strict";
  const answer = (button, words) => {
    const place = button.querySelector("span:last-of-type");
    if (!place || place.dataset.was) return;
    place.dataset.was = place.textContent;
    place.textContent = words;
    place.setAttribute("role", "status");
    setTimeout(() => { place.textContent = place.dataset.was; delete place.dataset.was; }, 1500);
  };

  const select = (el) => getSelection().selectAllChildren(el);

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy], [data-copies]");
    if (!button) return;
    event.preventDefault();
    const source = document.getElementById(button.dataset.copies) ?? button.querySelector("span");
    try {
      await navigator.clipboard.writeText(button.dataset.copy ?? source.textContent);
      answer(button, "Copied");
    } catch {
      select(source);
      answer(button, "Selected");
    }
  });
})();
