// Morphing in place without taking anything away from the person who reads or types.
// htmx fetches a region anew and idiomorph fits it into the page; these settings say what it may not touch:
// what a person opened or typed, an open dialog, a form that is being edited; nor may live.js load the page
// anew over them, or over what was typed before and answered (a page that a form led to, data-posted). The
// keys of idiomorph's defaults are set here once, because `morph:{…}` in an attribute would need eval, which the CSP forbids.
(() => {
  "use strict";
  const changed = (el) =>
    el.type === "checkbox" || el.type === "radio" ? el.checked !== el.defaultChecked : el.value !== el.defaultValue;

  const typedIn = (el) =>
    (el instanceof HTMLInputElement && el.type !== "hidden") || el instanceof HTMLTextAreaElement;

  const picked = (select) => [...select.options].some((option) => option.selected !== option.defaultSelected);

  const edited = (form) =>
    form.contains(document.activeElement) && typedIn(document.activeElement) ||
    [...form.elements].some((el) => (typedIn(el) && changed(el)) || (el instanceof HTMLSelectElement && picked(el)));

  const mayMorph = (old) => {
    if (!(old instanceof Element)) return true;
    if (old instanceof HTMLDialogElement && old.open) return false;
    if (old instanceof HTMLFormElement && old.method === "post" && edited(old)) return false;
    return !old.hasAttribute("data-keep");
  };

  const mayUpdate = (name, el) => {
    if (name === "open") return !(el instanceof HTMLDetailsElement || el instanceof HTMLDialogElement);
    if (name === "value" || name === "checked") return !(typedIn(el) && changed(el));
    if (name === "selected") return !(el instanceof HTMLOptionElement && el.closest("select") && picked(el.closest("select")));
    return true;
  };

  const posted = (el) => [...el.querySelectorAll("form"), ...(el.matches("form") ? [el] : [])].filter((form) => form.method === "post");

  const inUse = (el) =>
    el instanceof Element &&
    (el.matches("dialog[open], [data-keep]") || el.querySelector("dialog[open]") !== null || posted(el).some(edited));

  const written = () =>
    "posted" in document.body.dataset || inUse(document.body) || [...document.querySelectorAll("input, textarea")].some((el) => typedIn(el) && changed(el));

  document.addEventListener("live:leaving", (event) => { if (written()) event.preventDefault(); });

  Idiomorph.defaults.ignoreActiveValue = true;
  Idiomorph.defaults.callbacks.beforeNodeMorphed = mayMorph;
  Idiomorph.defaults.callbacks.beforeAttributeUpdated = mayUpdate;
  Idiomorph.defaults.callbacks.beforeNodeRemoved = (el) => !inUse(el);
})();
