// Live pages: a signal over the socket, HTML over HTTP.
// The body names its topics (data-topics="agent-42 fleet-1"), and so may any row (data-watch="agent-42").
// The socket /live/ is told them on open and when the rows are others, {"watch": […]}, and carries only
// {topic, version, spread_ms}; this file then fires the DOM event "live:<topic>" on the body, and whatever
// region has hx-trigger="live:<topic> from:body" fetches itself.
//   at once        an event of one agent; within spread_ms, at a random moment, one of a whole fleet
//   at most        once in 300 ms or spread_ms for a topic, whichever is longer; never lost, only later.
//                  What this page itself did (a form that htmx sent) is waited for: whatever is due then
//                  goes at once, and so do all news of the next two seconds
//   everything     as soon as the server says {"watching": n}, on the first open too, on its {"again": 1},
//                  and when the page is seen, online or restored again: what happened meanwhile was told to
//                  nobody. The body's topics are fired and "live:again", for a list that then fetches all
//                  its rows at once; the rows' own topics are not
//   pulse          "live:pulse" every 20 s, for ages that no announcement carries
//   reconnect      on every close but 4401 (signed out: to the sign-in page) and 4403 (no longer yours),
//                  after 0.5 s doubling to 30 s, half of it by chance
//   rights         after 4403 and 4408 (another role) the page is loaded again, as what it is now; while
//                  somebody writes on it (morph.js knows) it says so instead, with a link
//   heartbeat      the server's {"beat": 1} each 20 s; 45 s of silence count as a lost connection
//   while down     it says since when, and asks every 30 s all the same
// "Pause live updates" (WCAG 2.2.2) holds every event back until it is pressed again; then all are due.
(() => {
  "use strict";
  const LEAST_MS = 300, SILENCE_MS = 45000, POLL_MS = 30000, LONGEST_MS = 30000, SOON_MS = 2000, PULSE_MS = 20000, OWN_MS = 2000;
  const SIGNED_OUT = 4401, FORBIDDEN = 4403, CHANGED = 4408;
  const RIGHTS = { [FORBIDDEN]: "You may no longer see this project.", [CHANGED]: "Your role in this project has changed." };
  const AGAIN = "again";
  const topics = (document.body.dataset.topics || "").split(/\s+/).filter(Boolean);
  const rows = () => [...document.querySelectorAll("[data-watch]")].map((row) => row.dataset.watch);
  const indicator = document.querySelector("[data-live-indicator]");
  if (!topics.length || !indicator) return;

  const words = indicator.querySelector("[data-live-words]");
  const does = indicator.querySelector("[data-live-does]");
  const due = new Map();
  const last = new Map();
  let socket = null;
  let paused = false;
  let attempts = 0;
  let downSince = new Date();
  let heard = Date.now();
  let retry = 0;
  let watched = "";
  let welcome = false;
  let ownUntil = 0;

  const show = (state, text) => {
    indicator.hidden = false;
    indicator.dataset.state = state;
    if (words.textContent !== text) words.textContent = text;
    does.textContent = state === "paused" ? ", go on with live updates" : ", pause live updates";
  };

  const draw = () => {
    if (paused) return show("paused", "Paused updates");
    if (!downSince) return show("live", "Live");
    if (Date.now() - downSince < SOON_MS * 5) return show("reconnecting", "Reconnecting");
    show("stale", `Stale since ${downSince.toISOString().slice(11, 16)}`);
  };

  const tell = (name) => document.body.dispatchEvent(new CustomEvent(`live:${name}`));

  const fire = (topic) => {
    due.delete(topic);
    if (paused || document.hidden) return;
    last.set(topic, Date.now());
    tell(topic);
  };

  const soon = (topic, spread) => {
    if (due.has(topic)) return;
    const least = Date.now() < ownUntil ? 0 : Math.max(LEAST_MS, spread);
    const rest = (last.get(topic) ?? 0) + least - Date.now();
    due.set(topic, setTimeout(fire, Math.max(rest, Math.random() * spread), topic));
  };

  const flush = () => {
    ownUntil = Date.now() + OWN_MS;
    for (const [topic, timer] of [...due]) {
      clearTimeout(timer);
      fire(topic);
    }
  };

  const everything = (spread = 0) => [...topics, AGAIN].forEach((topic) => soon(topic, spread));

  const watchRows = () => {
    const all = [...new Set([...topics, ...rows()])];
    if (socket?.readyState !== WebSocket.OPEN || all.join() === watched) return;
    watched = all.join();
    socket.send(JSON.stringify({ watch: all }));
  };

  const take = (event) => {
    heard = Date.now();
    const signal = JSON.parse(event.data);
    if (signal.topic) soon(signal.topic, signal.spread_ms || 0);
    if (signal.watching !== undefined) welcome = true;
    if (signal.again || signal.watching !== undefined) everything(signal.spread_ms || 0);
  };

  const opened = () => {
    attempts = 0;
    downSince = null;
    heard = Date.now();
    watched = "";
    watchRows();
    draw();
  };

  const closed = (event) => {
    if (event.target !== socket) return;
    socket = null;
    downSince ??= new Date();
    if (event.code === SIGNED_OUT) return location.assign(signIn());
    draw();
    if (event.code in RIGHTS) rights(RIGHTS[event.code]);
    if (event.code === FORBIDDEN) return show("stale", "No access to live updates");
    const longest = Math.min(LONGEST_MS, 500 * 2 ** attempts++);
    retry = setTimeout(connect, longest / 2 + (Math.random() * longest) / 2);
  };

  // Only a page that was let in before is loaded again: otherwise one that never is would load for ever.
  const rights = (words) => {
    if (welcome && document.dispatchEvent(new CustomEvent("live:leaving", { cancelable: true }))) return location.reload();
    const said = document.getElementById("rights");
    if (!("posted" in document.body.dataset)) said.querySelector("a").href = location.href;
    for (const place of [said, ...document.querySelectorAll("dialog[open] [data-refusal]")]) {
      place.querySelector("b, span").textContent = words;
      place.hidden = false;
    }
  };

  const signIn = () => `${document.body.dataset.signIn}?next=${encodeURIComponent(location.pathname + location.search)}`;

  const connect = () => {
    clearTimeout(retry);
    if (socket) return;
    socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/live/`);
    socket.addEventListener("open", opened);
    socket.addEventListener("message", take);
    socket.addEventListener("close", closed);
  };

  const watch = () => {
    if (socket?.readyState === WebSocket.OPEN && Date.now() - heard > SILENCE_MS) {
      const silent = socket;
      closed({ target: silent, code: 1006 });
      silent.close();
    }
    draw();
  };

  const back = () => {
    if (document.hidden) return;
    if (!socket) { attempts = 0; connect(); }
    everything();
  };

  indicator.addEventListener("click", () => {
    paused = !paused;
    draw();
    if (!paused) everything();
  });
  document.addEventListener("visibilitychange", back);
  window.addEventListener("online", back);
  window.addEventListener("pageshow", (event) => { if (event.persisted) back(); });
  setInterval(watch, 1000);
  document.addEventListener("htmx:afterSettle", watchRows);
  document.addEventListener("htmx:afterRequest", (event) => { if (event.detail.requestConfig.verb !== "get") flush(); });
  setInterval(() => { if (downSince) everything(); }, POLL_MS);
  setInterval(() => { if (!paused && !document.hidden) tell("pulse"); }, PULSE_MS);
  connect();
})();
