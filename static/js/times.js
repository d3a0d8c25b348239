// Relative times stay true while a page is open. The server writes <time datetime data-form="age|ago">
// with the words of dashboard/phrasing.py; this file writes the same words again once a second at most,
// only where they changed. The server's clock counts: its difference to this machine's is read once,
// from the clock in the top bar, which is kept going here too.
(() => {
  "use strict";
  const MINUTE = 60, HOUR = 3600, DAY = 86400;

  const age = (seconds) => {
    const s = Math.max(0, Math.floor(seconds));
    if (s < MINUTE) return `${s} s`;
    if (s < HOUR) return `${Math.floor(s / MINUTE)} min`;
    if (s < DAY) return `${Math.floor(s / HOUR)} h`;
    return `${Math.floor(s / DAY)} d ${Math.floor((s % DAY) / HOUR)} h`;
  };

  const say = (el, words) => { if (el.textContent !== words) el.textContent = words; };
  const clock = document.getElementById("clock");
  const offset = clock ? Date.parse(clock.dateTime) - Date.now() : 0;

  const tick = () => {
    if (document.hidden) return;
    const now = Date.now() + offset;
    for (const el of document.querySelectorAll('time[data-form="age"], time[data-form="ago"]')) {
      const words = age((now - Date.parse(el.dateTime)) / 1000);
      say(el, el.dataset.form === "ago" ? `${words} ago` : words);
    }
    if (clock) say(clock, `${new Date(now).toISOString().slice(11, 16)} UTC`);
  };

  setInterval(tick, 1000);
  document.addEventListener("visibilitychange", tick);
  document.addEventListener("htmx:afterSettle", tick);
})();
