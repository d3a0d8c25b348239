// Dialogs, menus and messages: what opens, what closes it, and where the focus goes.
// [data-opens="id"] opens that <dialog> (a link with it still works where no dialog is); [data-closes]
// closes the one it stands in, as does a press on the backdrop. A menu is <details class="menu">: a press
// outside it or Escape closes it. A message ([data-toast]) goes when dismissed; a good one after 8 seconds.
(() => {
  "use strict";
  const open = (dialog) => { if (!dialog.open) dialog.showModal(); };

  document.addEventListener("click", (event) => {
    const opener = event.target.closest("[data-opens]");
    const dialog = opener && document.getElementById(opener.dataset.opens);
    if (dialog instanceof HTMLDialogElement) {
      event.preventDefault();
      for (const menu of document.querySelectorAll("details.menu[open]")) menu.open = false;
      open(dialog);
    }
    if (event.target.closest("[data-closes]")) event.target.closest("dialog")?.close();
    if (event.target instanceof HTMLDialogElement && outside(event, event.target)) event.target.close();
    event.target.closest("[data-dismisses]")?.closest("[data-toast]")?.remove();
    for (const menu of document.querySelectorAll("details.menu[open]")) {
      if (!menu.contains(event.target)) menu.open = false;
    }
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

  for (const message of document.querySelectorAll("#messages .banner.good")) {
    setTimeout(() => message.remove(), 8000);
  }
})();
