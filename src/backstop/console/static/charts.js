// What was measured of both lanes, on one time axis. Unknown is a gap, never zero.
import { Part, TITLES, html, moment, percent, table } from "./lanes.js";
import { items } from "./fold.js";

const HEIGHT = 130;
const FONT = "11px system-ui, sans-serif";
const INK = { backstop: "--accent", naive: "--warn" };
const LANES = Object.keys(INK);
const KINDS = {
  rate: { value: (sample) => sample.rate, tell: percent, splits: () => [0, 0.5, 1], most: () => 1 },
  ready: { value: ({ ready }) => ready && Object.values(ready).reduce((all, one) => all + one, 0), tell: (count) => count ?? "unknown", most: (high) => Math.max(4, (high ?? 0) + 1) },
};
const probe = document.body.appendChild(document.createElement("i"));
let inks = {}; // of the theme: asking for a style while drawing makes the browser compute all of them

function ink(name) {
  if (!inks[name]) probe.style.color = `var(${name})`;
  return (inks[name] ??= getComputedStyle(probe).color);
}

function lastBefore(samples, t, { value, tell }) {
  let seen = samples;
  while (seen?.item.t > t) seen = seen.before;
  return tell(seen ? value(seen.item) : null);
}

function joined(lanes, { value }) {
  const tables = LANES.map((name) => {
    const samples = items(lanes[name].samples);
    return [samples.map((sample) => sample.t), samples.map(value)];
  });
  return uPlot.join(tables, [[1, 1], [1, 1]]);
}

/** Dashed lines where something was done, numbered as in the list below the charts. */
function drawMarks(plot, { marks, at }) {
  const { ctx, bbox } = plot;
  const ratio = devicePixelRatio;
  const line = (t, colour, label) => {
    const x = plot.valToPos(t, "x", true);
    ctx.strokeStyle = ctx.fillStyle = ink(colour);
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
    ctx.fillText(label, x, bbox.top - 3 * ratio);
    return x;
  };
  ctx.save();
  ctx.font = FONT.replace("11", 11 * ratio);
  ctx.textAlign = "center";
  ctx.lineWidth = ratio;
  if (at !== null) line(at, "--dim", "");
  ctx.setLineDash([3 * ratio, 3 * ratio]);
  let last = -Infinity;
  items(marks).forEach((mark, place) => {
    const room = plot.valToPos(mark.t, "x", true) - last >= 13 * ratio;
    const x = line(mark.t, INK[mark.lane] ?? "--bad", room ? place + 1 : "");
    if (room) last = x;
  });
  ctx.restore();
}

function options({ tell, splits, most }, width, chart) {
  const axis = { stroke: () => ink("--dim"), grid: { stroke: () => ink("--line"), width: 1 }, ticks: { show: false }, font: FONT };
  const series = LANES.map((name) => ({ stroke: () => ink(INK[name]), width: 2, dash: name === "naive" ? [6, 3] : undefined, points: { show: false } }));
  return {
    width, height: HEIGHT, padding: [16, 18, 0, 0], legend: { show: false }, series: [{}, ...series],
    cursor: { sync: { key: "run" }, drag: { x: false, y: false } },
    scales: { x: { time: false, range: () => [0, Math.max(5, chart.props.span)] }, y: { range: (_, low, high) => [0, most(high)] } },
    axes: [{ ...axis, size: 22, values: (_, all) => all.map((t) => `${t} s`) }, { ...axis, size: 44, splits, values: (_, all) => all.map(tell) }],
    hooks: { draw: [(plot) => drawMarks(plot, chart.props)], setCursor: [({ cursor, posToVal }) => chart.setState({ hover: cursor.left < 0 ? null : posToVal(cursor.left, "x") })] },
  };
}

const shownOf = ({ marks, at, span, lanes }) => [marks, at, span, ...LANES.map((name) => lanes[name].samples)];

export class Charts extends Part {
  componentDidMount() {
    this.plots = [...this.root.querySelectorAll("[data-chart]")].map((root) => {
      const kind = KINDS[root.dataset.chart];
      const plot = new uPlot(options(kind, root.clientWidth, this), joined(this.props.lanes, kind), root);
      plot.over.addEventListener("click", () => this.props.seek(plot.posToVal(plot.cursor.left, "x")));
      new ResizeObserver(() => plot.width !== root.clientWidth && plot.setSize({ width: root.clientWidth, height: HEIGHT })).observe(root);
      return [kind, plot];
    });
    const again = () => {
      inks = {};
      for (const [, plot] of this.plots) plot.redraw(false, true);
    };
    addEventListener("themechange", again);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
  }

  componentDidUpdate(before) {
    const now = shownOf(this.props);
    if (shownOf(before).every((one, place) => one === now[place])) return;
    for (const [kind, plot] of this.plots) plot.setData(joined(this.props.lanes, kind));
  }

  render({ marks, service, lanes, at }, { open, hover }) {
    const key = (name, kind) => html` <span class="key ${name}">${TITLES[name]} <b>${lastBefore(lanes[name].samples, hover ?? at ?? Infinity, KINDS[kind])}</b></span>`;
    const figure = (kind, title) => html`<figure><figcaption>${title}${LANES.map((name) => key(name, kind))}</figcaption><div data-chart=${kind} aria-hidden="true"></div></figure>`;
    return html`<section class="panel charts" aria-label="What was measured" ref=${(root) => { this.root = root; }}>
      <div class="grid">${figure("rate", `Failed requests to ${service}, last 2 s`)}${figure("ready", "Ready replicas, all workloads")}</div>
      <ol class="marks" aria-label="Marks on the time axis">${items(marks).map((mark, place) => html`<li key=${place}><a href=${moment(mark.t)} data-at=${mark.t}>
        <strong>${place + 1}</strong> <span class="dim">${mark.t.toFixed(1)} s</span> <span class="tag ${mark.lane ? "" : "bad"}">${TITLES[mark.lane] ?? "both"} · ${mark.kind}</span> ${mark.text}</a></li>`)}</ol>
      <details onToggle=${(event) => this.setState({ open: event.target.open })}><summary>As a table</summary>${open && measurements(lanes, marks)}</details>
    </section>`;
  }
}

const told = (ready) => (ready ? Object.entries(ready).map(([name, count]) => `${name} ${count}`).join(", ") : "unknown");

/** Every half second: the last that was seen in it. */
function measurements(lanes, marks) {
  const rows = {}; // whole numbers: in order
  const row = (t) => (rows[Math.floor(t * 2)] ??= { t: Math.floor(t * 2) / 2, marks: [] });
  for (const name of LANES) for (const sample of items(lanes[name].samples)) row(sample.t)[name] = [percent(sample.rate), told(sample.ready)];
  for (const mark of items(marks)) row(mark.t).marks.push(`${mark.lane ? `${TITLES[mark.lane]}: ` : ""}${mark.text}`);
  const heads = LANES.flatMap((name) => [`${TITLES[name]}: failed`, `${TITLES[name]}: ready`]);
  const cells = (each) => [each.t.toFixed(1), ...LANES.flatMap((name) => each[name] ?? ["", ""]), each.marks.join("; ")];
  return table("Measurements", ["Seconds", ...heads, "Marks"], Object.values(rows).map((each) => html`<tr>${cells(each).map((cell) => html`<td>${cell}</td>`)}</tr>`));
}
