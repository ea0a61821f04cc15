/* The live page. Entries come from strangers: they reach the document as text nodes only. */
(function () {
  "use strict";

  const ROWS_MAX = 1000, HISTORY = 200, AGENTS_EVERY_MS = 15000;
  const LEVELS = ["trace", "debug", "info", "warn", "error", "critical"];
  const byId = (id) => document.getElementById(id);
  const log = byId("log"), state = byId("state"), problem = byId("error"), count = byId("count");
  let source = null, paused = false, shown = 0, waiting = [], run = 0;

  byId("example").textContent = "curl -d '{\"agent\":\"me\",\"level\":\"info\",\"message\":\"hello\"}' " +
    location.origin + "/api/v1/ingest";

  function element(name, className, text) {
    const e = document.createElement(name);
    if (className) e.className = className;
    if (text !== undefined) e.textContent = text;
    return e;
  }

  function clock(text) {
    const t = new Date(text);
    if (isNaN(t)) return String(text || "");
    const two = (n) => String(n).padStart(2, "0");
    return two(t.getHours()) + ":" + two(t.getMinutes()) + ":" + two(t.getSeconds()) + "." +
      String(t.getMilliseconds()).padStart(3, "0");
  }

  /* control and direction characters are shown, not obeyed */
  function visible(text) {
    return String(text).replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g,
      (c) => "\\u" + c.charCodeAt(0).toString(16).padStart(4, "0"));
  }

  /* what a line says when there is no message */
  function summary(e) {
    const parts = [];
    for (const key of ["event", "operation", "tool", "status", "input", "output"]) {
      const v = e[key];
      if (v !== undefined && v !== null && v !== "")
        parts.push(key + "=" + (typeof v === "string" ? v : JSON.stringify(v)));
    }
    return parts.join("  ");
  }

  function makeRow(e) {
    const level = LEVELS.includes(e.level) ? e.level : "info";
    const row = element("div", "row " + level);
    const time = element("span", "time", clock(e.timestamp));
    time.title = String(e.timestamp || "");
    const agent = element("span", "agent", e.agent === undefined ? "" : visible(e.agent));
    agent.title = agent.textContent;
    const text = element("span", "text");
    const message = e.message === undefined ? "" : visible(e.message);
    text.append(message);
    const more = summary(e);
    if (more) text.append(message ? "  " : "", element("span", "more", visible(more.slice(0, 400))));
    row.append(time, element("span", "level", level), agent, text);
    row.addEventListener("click", (event) => {
      if (event.target.closest(".detail")) return;
      const old = row.querySelector(".detail");
      if (old) old.remove();
      else row.append(element("pre", "detail", visible(JSON.stringify(e, null, 2))));
    });
    return row;
  }

  function atEnd() {
    return log.scrollHeight - log.scrollTop - log.clientHeight < 60;
  }

  function add(nodes) {
    const follow = atEnd();
    log.append(...nodes);
    while (log.childElementCount > ROWS_MAX) log.firstElementChild.remove();
    if (follow) log.scrollTop = log.scrollHeight;
    byId("empty").hidden = log.childElementCount > 0;
    count.textContent = shown + (shown === 1 ? " entry" : " entries") +
      (waiting.length ? ", " + waiting.length + " waiting" : "");
  }

  /* entries come in bursts: one pass through the layout a frame */
  let pending = [], scheduled = false;
  function flush() {
    scheduled = false;
    const nodes = pending.splice(0).slice(-ROWS_MAX).map((x) => typeof x === "string" ?
      element("div", "note", x) : makeRow(x));
    if (nodes.length) add(nodes);
  }
  function show(x) {
    if (typeof x !== "string") shown++;
    if (paused) {
      waiting.push(x);
      if (waiting.length > ROWS_MAX) waiting.shift();
      add([]);
      return;
    }
    pending.push(x);
    if (!scheduled) {
      scheduled = true;
      requestAnimationFrame(flush);
    }
  }

  function setState(name, text) {
    state.className = "state " + name;
    state.textContent = text;
  }
  function setProblem(text) {
    problem.textContent = text || "";
    problem.hidden = !text;
  }

  function quoted(s) {
    return '"' + s.replace(/[\\"]/g, "\\$&") + '"';
  }
  function filter() {
    const parts = [], q = byId("search").value.trim(), agent = byId("agent").value.trim();
    if (q) parts.push("(" + q + ")");
    if (agent) parts.push("agent:" + (agent.includes("*") ? agent : quoted(agent)));
    if (byId("level").value) parts.push("level:" + byId("level").value);
    return parts.join(" ");
  }

  function follow(q, from, mine) {
    source = new EventSource("/api/v1/tail?q=" + encodeURIComponent(q) + "&from=" + from);
    source.onopen = () => setState("live", "live");
    source.onmessage = (event) => { if (mine === run) show(JSON.parse(event.data)); };
    source.addEventListener("dropped", (event) => {
      show(JSON.parse(event.data).dropped + " entries were skipped: this page was too slow");
    });
    source.onerror = (event) => {
      setState("lost", "reconnecting");
      if (event.target.readyState === EventSource.CLOSED) // refused, as after a change of the data
        setTimeout(() => { if (mine === run) start(); }, 2000);
    };
  }

  async function start() {
    const mine = ++run, q = filter();
    if (source) source.close();
    source = null;
    setState("", "connecting");
    try {
      const answer = await fetch("/api/v1/query?limit=" + HISTORY + "&q=" + encodeURIComponent(q));
      const body = await answer.json();
      if (mine !== run) return;
      if (!answer.ok) throw new Error(body.error && body.error.message || "status " + answer.status);
      setProblem("");
      log.replaceChildren();
      shown = 0;
      waiting = [];
      pending = [];
      shown += body.rows.length;
      add(body.rows.reverse().map(makeRow));
      log.scrollTop = log.scrollHeight;
      follow(q, body.watermark, mine);
    } catch (e) {
      if (mine !== run) return;
      setState("lost", "not connected");
      setProblem(e.message);
    }
  }

  async function loadAgents() {
    try {
      const body = await (await fetch("/agents")).json();
      byId("agents").replaceChildren(...Object.keys(body.agents).slice(0, 500).map((name) => {
        const option = document.createElement("option");
        option.value = name;
        return option;
      }));
    } catch (e) { /* the list is a convenience */ }
  }

  let typing = 0;
  function changed() {
    clearTimeout(typing);
    typing = setTimeout(start, 250);
  }
  byId("form").addEventListener("submit", (event) => { event.preventDefault(); start(); });
  byId("search").addEventListener("input", changed);
  byId("agent").addEventListener("input", changed);
  byId("level").addEventListener("change", start);
  byId("clear").addEventListener("click", () => {
    log.replaceChildren();
    shown = 0;
    waiting = [];
    add([]);
  });
  byId("pause").addEventListener("click", () => {
    paused = !paused;
    byId("pause").setAttribute("aria-pressed", String(paused));
    byId("pause").textContent = paused ? "Resume" : "Pause";
    if (!paused) {
      const late = waiting;
      waiting = [];
      pending.push(...late);
      flush();
    }
  });
  setInterval(() => { if (!document.hidden) loadAgents(); }, AGENTS_EVERY_MS);
  loadAgents();
  start();
})();
