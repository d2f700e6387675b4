// What was measured of both lanes, on one time axis. Unknown is a gap, never zero.
import { Part, html, moment, percent } from "./lanes.js";
import { items } from "./fold.js";

const HEIGHT = 130;
const LANES = ["backstop", "naive"];
const NAMES = { backstop: "Backstop", naive: "naive" };
const INK = { backstop: "--accent", naive: "--warn" };
let inks = {}; // of the theme: asking for a style while drawing makes the browser compute all of them
const ink = (name) => (inks[name] ??= getComputedStyle(document.documentElement).getPropertyValue(name).trim());
const sum = (ready) => (ready ? Object.values(ready).reduce((all, one) => all + one, 0) : null);
const KINDS = { rate: (sample) => sample.rate, ready: (sample) => sum(sample.ready) };

function lastBefore(samples, t, value, kind) {
  let seen = samples;
  while (seen && seen.item.t > t) seen = seen.before;
  const found = seen ? value(seen.item) : null;
  return found === null ? "unknown" : kind === "rate" ? percent(found) : found;
}

function joined(lanes, value) {
  const tables = LANES.map((name) => {
    const samples = items(lanes[name].samples);
    return [samples.map((sample) => sample.t), samples.map(value)];
  });
  return uPlot.join(tables, [[1, 1], [1, 1]]);
}

/** Dashed lines where something was done, numbered as in the list below the charts. */
function drawMarks(plot, marks, at) {
  const { ctx, bbox } = plot;
  const ratio = devicePixelRatio;
  const line = (t, colour, label) => {
    const x = plot.valToPos(t, "x", true);
    ctx.strokeStyle = ctx.fillStyle = colour;
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
    if (label) ctx.fillText(label, x, bbox.top - 3 * ratio);
  };
  ctx.save();
  ctx.font = `${11 * ratio}px system-ui, sans-serif`;
  ctx.textAlign = "center";
  ctx.lineWidth = ratio;
  if (at !== null) line(at, ink("--dim"), "");
  ctx.setLineDash([3 * ratio, 3 * ratio]);
  let last = -Infinity;
  marks.forEach((mark, place) => {
    const x = plot.valToPos(mark.t, "x");
    line(mark.t, ink(mark.lane ? INK[mark.lane] : "--bad"), x - last < 13 ? "" : String(place + 1));
    if (x - last >= 13) last = x;
  });
  ctx.restore();
}

function options(kind, width, shown, hovered) {
  const share = kind === "rate";
  const axis = { stroke: () => ink("--dim"), grid: { stroke: () => ink("--line"), width: 1 }, ticks: { show: false }, font: "11px system-ui, sans-serif" };
  const series = LANES.map((name) => ({ stroke: () => ink(INK[name]), width: 2, dash: name === "naive" ? [6, 3] : undefined, points: { show: false } }));
  return {
    width, height: HEIGHT, padding: [16, 18, 0, 0], legend: { show: false }, series: [{}, ...series],
    cursor: { sync: { key: "run" }, drag: { x: false, y: false }, points: { size: 6 } },
    scales: { x: { time: false, range: () => [0, Math.max(5, shown.span)] }, y: { range: (_, low, high) => [0, share ? 1 : Math.max(4, (high ?? 0) + 1)] } },
    axes: [{ ...axis, size: 22, values: (_, all) => all.map((t) => `${t} s`) }, { ...axis, size: 44, splits: share ? () => [0, 0.5, 1] : undefined, values: (_, all) => all.map((value) => (share ? percent(value) : value)) }],
    hooks: { draw: [(plot) => drawMarks(plot, shown.marks, shown.at)], setCursor: [(plot) => hovered(plot.cursor.left < 0 ? null : plot.posToVal(plot.cursor.left, "x"))] },
  };
}

export class Charts extends Part {
  componentDidMount() {
    this.shown = this.read(this.props);
    this.plots = [...this.root.querySelectorAll("[data-chart]")].map((root) => {
      const plot = new uPlot(options(root.dataset.chart, root.clientWidth, this.shown, (hover) => this.setState({ hover })), joined(this.props.lanes, KINDS[root.dataset.chart]), root);
      plot.over.addEventListener("click", () => this.props.seek(plot.posToVal(plot.cursor.left, "x")));
      new ResizeObserver(() => plot.width !== root.clientWidth && plot.setSize({ width: root.clientWidth, height: HEIGHT })).observe(root);
      return [root.dataset.chart, plot];
    });
    this.again = () => {
      inks = {};
      this.plots.forEach(([, plot]) => plot.redraw(false, true));
    };
    addEventListener("themechange", this.again);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", this.again);
  }

  read({ marks, at, span, lanes }) {
    return { marks: items(marks), at, span, heads: [marks, ...LANES.map((name) => lanes[name].samples)] };
  }

  componentDidUpdate() {
    const { heads, at, span } = this.shown;
    Object.assign(this.shown, this.read(this.props));
    if (at === this.shown.at && span === this.shown.span && heads.every((one, place) => one === this.shown.heads[place])) return;
    for (const [kind, plot] of this.plots) plot.setData(joined(this.props.lanes, KINDS[kind]));
  }

  render({ marks, service, lanes, at }, { open, hover }) {
    const key = (kind) => LANES.map((name) => html`<span class="key ${name}">${NAMES[name]} <b>${lastBefore(lanes[name].samples, hover ?? at ?? Infinity, KINDS[kind], kind)}</b></span>`);
    return html`<section class="panel charts" aria-label="What was measured" ref=${(root) => { this.root = root; }}>
      <div class="grid"><figure><figcaption>Failed requests to ${service}, last 2 s ${key("rate")}</figcaption><div data-chart="rate" aria-hidden="true"></div></figure>
      <figure><figcaption>Ready replicas, all workloads ${key("ready")}</figcaption><div data-chart="ready" aria-hidden="true"></div></figure></div>
      <ol class="marks" aria-label="Marks on the time axis">${items(marks).map((mark, place) => html`<li key=${place}><a href=${moment(mark.t)} data-at=${mark.t}>
        <strong>${place + 1}</strong> <span class="dim">${mark.t.toFixed(1)} s</span> <span class="tag ${mark.lane ? "" : "bad"}">${mark.lane ? NAMES[mark.lane] : "both"} · ${mark.kind}</span> ${mark.text}</a></li>`)}</ol>
      <details onToggle=${(event) => this.setState({ open: event.target.open })}><summary>As a table</summary>${open && html`<${Table} lanes=${lanes} marks=${marks} />`}</details>
    </section>`;
  }
}

const told = (ready) => (ready ? Object.entries(ready).map(([name, count]) => `${name} ${count}`).join(", ") : "unknown");

/** Every half second: the last that was seen in it. */
function Table({ lanes, marks }) {
  const rows = new Map();
  const row = (t) => {
    const key = Math.floor(t * 2) / 2;
    if (!rows.has(key)) rows.set(key, { marks: [] });
    return rows.get(key);
  };
  for (const name of LANES) for (const sample of items(lanes[name].samples)) row(sample.t)[name] = sample;
  for (const mark of items(marks)) row(mark.t).marks.push(`${mark.lane ? `${NAMES[mark.lane]}: ` : ""}${mark.text}`);
  const cells = (sample) => html`<td>${sample ? percent(sample.rate) : ""}</td><td>${sample ? told(sample.ready) : ""}</td>`;
  return html`<div class="scroll" tabindex="0" role="region" aria-label="Measurements"><table class="dense"><thead><tr><th>Seconds</th>${LANES.map((name) => html`<th>${NAMES[name]}: failed</th><th>${NAMES[name]}: ready</th>`)}<th>Marks</th></tr></thead>
    <tbody>${[...rows].sort(([a], [b]) => a - b).map(([t, each]) => html`<tr key=${t}><td>${t.toFixed(1)}</td>${LANES.map((name) => cells(each[name]))}<td>${each.marks.join("; ")}</td></tr>`)}</tbody></table></div>`;
}
