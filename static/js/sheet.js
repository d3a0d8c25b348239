// Dialogs, menus and messages: what opens, what closes it, and where the focus goes.
// [data-opens="id"] opens that <dialog> (a link with it still works where no dialog is); [data-closes]
// closes the one it stands in, as does a press on the backdrop. A menu is <details class="menu">: a press
// outside it or Escape closes it. A message ([data-toast]) goes when dismissed; a good one after 8 seconds.
// A dialog that was fetched into #fetched opens by itself, and the focus goes back when it is closed.
// A form in a dialog that htmx sends closes it when it was done, and the focus goes back to what opened it;
// when it was not done, the dialog stays and says so in its [data-refusal].
(() => {
  "use strict";
  const FORBIDDEN = 403, MISSING = 422;
  let opened = "";

  const open = (dialog, opener) => {
    opened = opener.id;
    if (!dialog.open) dialog.showModal();
  };

  document.addEventListener("click", (event) => {
    const opener = event.target.closest("[data-opens]");
    const dialog = opener && document.getElementById(opener.dataset.opens);
    if (dialog instanceof HTMLDialogElement) {
      event.preventDefault();
      for (const menu of document.querySelectorAll("details.menu[open]")) menu.open = false;
      open(dialog, opener);
    }
    if (event.target.closest("[data-closes]")) event.target.closest("dialog")?.close();
    if (event.target instanceof HTMLDialogElement && outside(event, event.target)) event.target.close();
    event.target.closest("[data-dismisses]")?.closest("[data-toast]")?.remove();
    for (const menu of document.querySelectorAll("details.menu[open]")) {
      if (!menu.contains(event.target)) menu.open = false;
    }
  });

  document.addEventListener("htmx:afterSettle", (event) => {
    const dialog = event.target.closest?.("#fetched")?.querySelector("dialog");
    if (dialog) open(dialog, event.detail.requestConfig.elt);
  });

  const outside = (event, dialog) => {
    const box = dialog.getBoundingClientRect();
    return event.clientX < box.left || event.clientX > box.right || event.clientY < box.top || event.clientY > box.bottom;
  };

  document.addEventListener("keydown", (event) => {
    const menu = event.key === "Escape" && event.target.closest?.("details.menu[open]");
    if (!menu) return;
    menu.open = false;
    menu.querySelector("summary").focus();
  });

  const refuse = (form, words) => {
    const said = form.querySelector("[data-refusal]");
    said.querySelector("span").textContent = words;
    said.hidden = !words;
  };

  const why = ({ status, responseText }) => {
    if (status === MISSING) return responseText;
    if (status === FORBIDDEN) return "Not done: your role may not do this any more.";
    if (status) return `Not done: the server answered ${status}.`;
    if (!navigator.onLine) return "Not sent: no connection. Nothing was decided; what you wrote is kept.";
    return "The server did not answer. Look whether it was done before you press again.";
  };

  const sent = (event) => event.target.closest?.("dialog")?.querySelector("form [data-refusal]") && event.target;

  document.addEventListener("htmx:beforeRequest", (event) => { if (sent(event)) refuse(sent(event), ""); });
  document.addEventListener("htmx:afterRequest", (event) => {
    const form = sent(event);
    if (!form) return;
    if (!event.detail.successful) {
      refuse(form, why(event.detail.xhr));
      return form.querySelector("input[type=text]")?.focus();
    }
    form.reset();
    form.closest("dialog").close();
    document.getElementById(opened)?.focus();
  });

  const passing = new WeakSet();
  const pass = () => {
    for (const message of document.querySelectorAll("#messages .banner.good")) {
      if (!passing.has(message)) setTimeout(() => message.remove(), 8000);
      passing.add(message);
    }
  };
  document.addEventListener("htmx:afterSettle", pass);
  pass();
})();
