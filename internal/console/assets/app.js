// What the console's pages do beyond being pages: live charts, the live tail,
// the slider's mark in the timeline, and copying. Text from the log is only
// ever put into text nodes.
"use strict";

(() => {
  const prefix = "/console";

  // Charts: one sample a second, of which the last five minutes are shown.

  const keep = 600, shown = 300;

  function clock(at) {
    if (at == null) return "–";
    return new Date(at * 1000).toISOString().slice(11, 19);
  }

  function color(name) {
    return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  }

  // Chart draws one measure of a series of names over time.
  class Chart {
    constructor(box, unit) {
      this.box = box;
      this.unit = unit;
      this.names = [];
      this.data = [[]];
      new ResizeObserver(() => this.plot && this.plot.setSize(this.size())).observe(box);
    }

    size() {
      return { width: Math.max(200, this.box.clientWidth), height: 176 };
    }

    draw() {
      if (this.plot) this.plot.destroy();
      const axis = {
        stroke: color("--dim"), font: "12px " + color("--sans"),
        grid: { stroke: color("--line"), width: 1 }, ticks: { stroke: color("--line"), width: 1 },
      };
      // Where nothing is pointed at, the legend says what is newest.
      const newest = (u, i) => u.data[i][u.data[i].length - 1];
      const format = (u, v, i) => {
        v ??= newest(u, i);
        return v == null ? "–" : v.toLocaleString("en", { maximumFractionDigits: 1 }) + this.unit;
      };
      this.plot = new uPlot({
        ...this.size(),
        cursor: { drag: { x: false, y: false } },
        scales: { x: { range: (u, low, high) => [high - shown, high] }, y: { range: (u, low, high) => [0, Math.max(1, high * 1.1 || 1)] } },
        axes: [{ ...axis, space: 90, incrs: [30, 60, 120, 300], values: (u, ticks) => ticks.map(clock) }, { ...axis, size: 56 }],
        series: [
          { label: "at", value: (u, v) => clock(v ?? newest(u, 0)) },
          ...this.names.map((name, i) => ({
            label: name, stroke: color("--series-" + (1 + (i % 4))), width: 2, value: format,
            points: { show: false }, spanGaps: true,
          })),
        ],
      }, this.data, this.box);
    }

    // add takes a point: the time, and a value for each name.
    add(at, values) {
      const names = Object.keys(values);
      if (names.join() !== this.names.join()) {
        this.names = names;
        this.data = [this.data[0], ...names.map(() => this.data[0].map(() => null))];
        if (this.plot) { this.plot.destroy(); this.plot = null; }
      }
      this.data[0].push(at);
      names.forEach((name, i) => this.data[i + 1].push(values[name]));
      if (this.data[0].length > keep) this.data = this.data.map((column) => column.slice(-keep));
    }

    show() {
      if (!this.plot) this.draw();
      else this.plot.setData(this.data);
    }
  }

  function startCharts(root) {
    const units = { rate: " /s", lag_events: "", lag_seconds: " s" };
    const charts = {};
    for (const box of root.querySelectorAll("[data-chart]")) charts[box.dataset.chart] = new Chart(box, units[box.dataset.chart]);
    let last = null;

    function take(sample) {
      if (charts.rate && sample.growth) {
        const { at, head } = sample.growth;
        for (let i = 1; i < at.length; i++) charts.rate.add(at[i], { events: (head[i] - head[i - 1]) / (at[i] - at[i - 1]) });
      }
      if (charts.rate && last && sample.at > last.at) {
        const rate = Math.max(0, (sample.head - last.head) / (sample.at - last.at));
        charts.rate.add(sample.at, { events: rate });
        put("rate", rate.toFixed(1));
        put("head", sample.head.toLocaleString("en").replaceAll(",", "\u202f"));
        put("live", sample.views.map((v) => v.name + " " + v.status).join(", "));
      }
      for (const measure of ["lag_events", "lag_seconds"]) {
        if (!charts[measure]) continue;
        const values = {};
        for (const v of sample.views) if (!root.dataset.view || v.name === root.dataset.view) values[v.name] = v[measure];
        charts[measure].add(sample.at, values);
      }
      last = sample;
      for (const chart of Object.values(charts)) chart.show();
    }

    async function poll() {
      if (!document.hidden) {
        try {
          const answer = await fetch(root.dataset.stats + (last ? "" : "?growth=1"), { headers: { Accept: "application/json" } });
          if (answer.status === 401) { location.reload(); return; }
          if (answer.ok) take(await answer.json());
        } catch { /* the server is away; the next second may be better */ }
      }
      setTimeout(poll, 1000);
    }
    poll();
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => Object.values(charts).forEach((chart) => chart.draw()));
  }

  function put(id, text) {
    const element = document.getElementById(id);
    if (element && element.textContent !== text) element.textContent = text;
  }

  // The live tail. Messages are collected as they come and shown once a frame,
  // the newest of them only, so that 500 a second cost no more than 50.

  const rows = 200;

  function element(tag, className, text) {
    const made = document.createElement(tag);
    made.className = className;
    made.textContent = text;
    return made;
  }

  function link(className, text, href) {
    const made = element("a", className, text);
    made.href = href;
    return made;
  }

  // payloadOf cuts the payload out of an event's JSON as it is written: a number
  // larger than 2^53 would not survive JSON.parse. It is the first field whose
  // content is a client's.
  function payloadOf(text, most) {
    const start = text.indexOf('"payload":') + '"payload":'.length;
    let end = start, depth = 0, quoted = false;
    for (; end < text.length; end++) {
      const c = text[end];
      if (end - start >= most) return text.slice(start, end) + "…";
      if (quoted) {
        if (c === "\\") end++;
        else if (c === '"') quoted = false;
      } else if (c === '"') quoted = true;
      else if (c === "{" || c === "[") depth++;
      else if ((c === "}" || c === "]") && --depth === 0) return text.slice(start, end + 1);
    }
    return text.slice(start);
  }

  function row(e, text) {
    const item = element("li", "event fresh", "");
    const aggregate = link("aggregate mono", e.aggregate_id.slice(0, 8) + "…" + e.aggregate_id.slice(-6), prefix + "/aggregates/" + encodeURIComponent(e.aggregate_id) + "?version=" + e.version);
    aggregate.title = e.aggregate_id;
    aggregate.append(element("span", "dim", " v" + e.version));
    const url = prefix + "/events/" + encodeURIComponent(e.id);
    const time = element("time", "", e.recorded_at.slice(11, 23) + " ");
    time.dateTime = time.title = e.recorded_at;
    const [year, month, day] = e.recorded_at.slice(0, 10).split("-");
    const months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    time.append(element("span", "dim", Number(day) + " " + months[month - 1] + " " + year));
    const actor = element("span", "actor", e.actor);
    actor.title = e.actor;
    item.append(link("position", String(e.position), url), link("name", e.name, url), aggregate, actor, time,
      element("span", "payload mono", payloadOf(text, 160)));
    return item;
  }

  function startTail(bar) {
    const list = document.getElementById("events");
    const button = document.getElementById("tail-toggle");
    const state = document.getElementById("tail-state");
    const { aggregate, aggregateId, name, actor, correlation } = bar.dataset;
    const query = new URLSearchParams();
    if (aggregate) query.set("aggregate", aggregate);
    if (aggregateId) query.set("aggregate_id", aggregateId);
    if (name) query.set("name", name);
    let source = null, waiting = [], frame = 0, seen = 0, last = 0;

    function selected(e) {
      return (!actor || e.actor === actor) && (!correlation || e.metadata.correlation_id === correlation);
    }

    function flush() {
      frame = 0;
      // Only as many are parsed as can be shown.
      const batch = waiting.slice(-rows);
      waiting = [];
      const fresh = document.createDocumentFragment();
      let shown = 0;
      for (let i = batch.length - 1; i >= 0; i--) {
        const e = JSON.parse(batch[i]);
        if (!selected(e)) continue;
        fresh.append(row(e, batch[i]));
        shown++;
      }
      if (shown === 0) return;
      const empty = document.getElementById("no-events");
      if (empty) empty.remove();
      const head = list.querySelector(".head");
      if (head) head.after(fresh); else list.prepend(fresh);
      while (list.children.length > rows + 1) list.lastElementChild.remove();
      state.textContent = "Following, " + seen.toLocaleString("en").replaceAll(",", "\u202f") + " so far";
    }

    function receive(message) {
      last = Number(message.lastEventId);
      seen++;
      waiting.push(message.data);
      if (waiting.length > 4 * rows) waiting = waiting.slice(-rows);
      if (!frame) frame = requestAnimationFrame(flush);
    }

    function open() {
      const from = new URLSearchParams(query);
      if (last) from.set("after", String(last));
      source = new EventSource(bar.dataset.stream + "?" + from);
      for (const event of bar.dataset.names.trim().split(" ")) source.addEventListener(event, receive);
      source.onopen = () => { state.textContent = "Following"; };
      source.onerror = () => {
        state.textContent = source && source.readyState === EventSource.CLOSED ? "Refused; reload the page" : "Reconnecting…";
      };
      bar.classList.add("on");
      button.textContent = "Pause";
      state.textContent = "Connecting…";
    }

    function close(why) {
      if (source) source.close();
      source = null;
      bar.classList.remove("on");
      button.textContent = "Follow live";
      state.textContent = why;
    }

    button.addEventListener("click", () => (source ? close("Paused") : open()));
    // A tab that nobody looks at takes no connection; it goes on where it was.
    let asleep = false;
    document.addEventListener("visibilitychange", () => {
      if (document.hidden && source) { close("Paused while out of sight"); asleep = true; }
      else if (!document.hidden && asleep) { asleep = false; open(); }
    });
    addEventListener("pagehide", () => close("Paused"));
    bar.hidden = false;
  }

  // The slider: the timeline shows which version the state is of.

  function markVersion() {
    const slider = document.getElementById("version");
    if (!slider) return;
    for (const item of document.querySelectorAll(".timeline li")) {
      if (item.dataset.version === slider.value) item.setAttribute("aria-current", "step");
      else item.removeAttribute("aria-current");
    }
  }

  function startCopying(button) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      const source = button.parentElement.querySelector("pre");
      try {
        await navigator.clipboard.writeText(source.textContent);
        button.textContent = "Copied";
      } catch {
        getSelection().selectAllChildren(source);
        button.textContent = "Selected; copy with Ctrl-C";
      }
      setTimeout(() => { button.textContent = "Copy as curl"; }, 2000);
    });
  }

  addEventListener("DOMContentLoaded", () => {
    const charts = document.getElementById("charts");
    if (charts) startCharts(charts);
    const tail = document.getElementById("tail");
    if (tail) startTail(tail);
    document.querySelectorAll("[data-copy]").forEach(startCopying);
    document.body.addEventListener("htmx:afterSwap", markVersion);
    // A part that is refused because the sign-in ended: the page says what to do.
    document.body.addEventListener("htmx:responseError", (e) => { if (e.detail.xhr.status === 401) location.reload(); });
  });
})();
