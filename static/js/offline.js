// A form that is sent without a connection leads to the browser's own error page, and what was typed is
// gone. So before one that decides goes (one that htmx sends says so by itself, sheet.js), the server is
// asked for a sign of life: without one the form stays, and says that nothing was sent. In a dialog that
// stands in the dialog, because nothing outside it can be read; elsewhere it is a message.
(() => {
  "use strict";
  const LONGEST_MS = 6000;
  const DECIDES = /\/(acknowledge|resume|rollback|stop|start|withdraw|pause|wrong|answer)\/$/;
  const UNSENT = "Not sent: no connection. Nothing was decided; what you wrote is kept.";
  const asking = new WeakSet();
  const passed = new WeakSet();

  const answers = async () => {
    if (!navigator.onLine) return false;
    const signal = AbortSignal.timeout(LONGEST_MS);
    return fetch("/healthz", { cache: "no-store", signal }).then(() => true, () => false);
  };

  const refusal = (form) => {
    const dialog = form.closest("dialog");
    const place = dialog ? dialog.querySelector(".dialog-body") : document.getElementById("messages");
    const said = place.querySelector("[data-unsent]") ?? document.getElementById("unsent").content.cloneNode(true).firstElementChild;
    if (!said.isConnected) place.prepend(said);
    return said;
  };

  const clear = () => { for (const said of document.querySelectorAll("[data-unsent]")) said.remove(); };

  const stay = (form) => {
    const said = refusal(form);
    said.querySelector("p").textContent = UNSENT;
    said.scrollIntoView({ block: "nearest" });
  };

  const decides = (form, button) =>
    DECIDES.test(new URL(button?.hasAttribute("formaction") ? button.formAction : form.getAttribute("action") ?? "", location.href).pathname);

  document.addEventListener("submit", async (event) => {
    const form = event.target;
    if (event.defaultPrevented || form.method !== "post" || form.hasAttribute("hx-post")) return;
    if (!decides(form, event.submitter)) return;
    if (passed.delete(form)) return;
    event.preventDefault();
    if (asking.has(form)) return;
    asking.add(form);
    clear();
    const reached = await answers();
    asking.delete(form);
    if (!reached) return stay(form);
    passed.add(form);
    form.requestSubmit(event.submitter);
  });
})();
