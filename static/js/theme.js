// The theme switch without a reload: the attribute changes at once, the form's POST sets the cookie
// behind it, so that the next page comes from the server in the right colours. Without this file the
// form is sent as it is and the page comes back.
(() => {
  "use strict";
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (!form.matches("[data-theme-form]") || !event.submitter) return;
    event.preventDefault();
    const chosen = event.submitter.value;
    const body = new FormData(form, event.submitter);
    document.documentElement.dataset.theme = chosen;
    for (const button of document.querySelectorAll('[data-theme-form] button[name="theme"]')) {
      button.setAttribute("aria-pressed", String(button.value === chosen));
    }
    fetch(form.action, { method: "POST", body, redirect: "manual" });
  });
})();
