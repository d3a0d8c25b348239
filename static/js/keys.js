// The keyboard: what has a key says so itself, with data-key="a" or data-key="g f"; rows that j and k
// walk through carry data-row. Nothing happens while someone types, in a dialog, or with Ctrl, Alt or Meta.
(() => {
  "use strict";
  let first = "";
  let since = 0;

  const typing = (el) => el.closest?.("input:not([type=radio], [type=checkbox]), textarea, select, [contenteditable], dialog[open]") != null;
  const shown = (el) => el.checkVisibility?.() ?? el.offsetParent !== null;
  const target = (row) => (row.matches("a, button") ? row : row.querySelector("summary, a[href], button"));

  const move = (step) => {
    const rows = [...document.querySelectorAll("[data-row]")].filter((row) => shown(row) && target(row));
    if (!rows.length) return;
    const here = rows.findIndex((row) => row.contains(document.activeElement));
    const next = here < 0 ? (step > 0 ? 0 : rows.length - 1) : Math.min(rows.length - 1, Math.max(0, here + step));
    target(rows[next]).focus({ focusVisible: true });
    rows[next].scrollIntoView({ block: "nearest" });
  };

  const press = (keys) => {
    const el = [...document.querySelectorAll(`[data-key="${CSS.escape(keys)}"]`)].find((found) => shown(found) && !found.disabled);
    if (!el) return false;
    if (el.matches("input, textarea")) el.select(); else el.click();
    return true;
  };

  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.altKey || event.metaKey || typing(event.target)) return;
    const chord = Date.now() - since < 1500 ? `${first} ${event.key}` : "";
    first = event.key;
    since = event.key === "g" ? Date.now() : 0;
    if (event.key === "?") document.getElementById("keys")?.showModal();
    else if (!chord && event.key === "j") move(1);
    else if (!chord && event.key === "k") move(-1);
    else if (event.key.length > 1 || !press(chord || event.key)) return;
    event.preventDefault();
  });
})();
