// While somebody reads, the timeline holds still: when news come and the list is scrolled, or one of its
// lines has the focus, the list is asked for with upto=<its first line>; the server then keeps that line
// first and counts what waits above it. And a drag over the density strip chooses times: the address
// changes, as it does by the strip's own links and form, without which nothing here is needed.
(() => {
  "use strict";
  const reading = (list) => list.getBoundingClientRect().top < 0 || list.contains(document.activeElement);

  document.addEventListener("htmx:configRequest", (event) => {
    const list = event.target.closest("#timeline")?.querySelector("#timeline-list");
    if (!list || !event.detail.triggeringEvent?.type.startsWith("live:")) return;
    const asked = new URLSearchParams(event.detail.path.split("?")[1] ?? "");
    const { first, held } = list.dataset;
    if (first && !asked.has("upto") && (held !== undefined || reading(list))) event.detail.parameters.upto = first;
  });

  // The list may have been asked for before its reader scrolled and be answered after: such an answer would
  // move what is being read, so it is dropped and asked for again, now with upto.
  document.addEventListener("htmx:beforeSwap", (event) => {
    const { requestConfig: { triggeringEvent: news }, pathInfo, shouldSwap, target } = event.detail;
    const list = target.closest("#timeline")?.querySelector("#timeline-list");
    if (!shouldSwap || !list?.dataset.first || !news?.type.startsWith("live:") || !reading(list)) return;
    if (new URLSearchParams(pathInfo.finalRequestPath.split("?")[1] ?? "").has("upto")) return;
    event.detail.shouldSwap = false;
    setTimeout(() => document.body.dispatchEvent(new CustomEvent(news.type)));
  });

  const MINUTE = 60000, LEAST_PX = 6;
  let drag = null;

  const share = (x) => {
    const box = drag.strip.getBoundingClientRect();
    return Math.min(1, Math.max(0, (x - box.left) / box.width));
  };

  const marked = (strip) => {
    const mark = document.createElementNS("http://www.w3.org/2000/svg", "rect");
    mark.setAttribute("class", "brush");
    mark.setAttribute("height", "40");
    return strip.querySelector(".strip-over").appendChild(mark);
  };

  const move = (event) => {
    if (!drag || (!drag.mark && Math.abs(event.clientX - drag.x) < LEAST_PX)) return;
    drag.mark ??= marked(drag.strip);
    drag.to = share(event.clientX);
    drag.mark.setAttribute("x", `${Math.min(drag.from, drag.to) * 100}%`);
    drag.mark.setAttribute("width", `${Math.abs(drag.to - drag.from) * 100}%`);
  };

  const end = () => {
    const { strip, mark, from, to } = drag ?? {};
    drag = null;
    if (!mark) return;
    strip.addEventListener("click", (event) => { event.preventDefault(); event.stopPropagation(); }, { capture: true, once: true });
    const since = Date.parse(strip.dataset.since);
    const length = Date.parse(strip.dataset.until) - since;
    const at = (part) => new Date(Math.round((since + part * length) / MINUTE) * MINUTE);
    const times = [at(Math.min(from, to)), at(Math.max(from, to))];
    if (times[1] - times[0] < MINUTE) return mark.remove();
    const address = new URLSearchParams(strip.querySelector("a").getAttribute("href").slice(1));
    address.set("from", `${times[0].toISOString().slice(0, 16)}Z`);
    address.set("to", `${times[1].toISOString().slice(0, 16)}Z`);
    location.assign(`?${address}`);
  };

  document.addEventListener("pointerdown", (event) => {
    const strip = event.target.closest?.("#strip");
    if (!strip || event.button !== 0 || event.pointerType === "touch") return;
    drag = { strip, x: event.clientX };
    drag.from = drag.to = share(event.clientX);
  });
  document.addEventListener("pointermove", move);
  document.addEventListener("pointerup", end);
  document.addEventListener("pointercancel", () => { drag?.mark?.remove(); drag = null; });
  document.addEventListener("dragstart", (event) => { if (event.target.closest?.("#strip")) event.preventDefault(); });
})();
