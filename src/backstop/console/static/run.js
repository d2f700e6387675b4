// The page of a run: its frames come from the stream, or from the page itself in an export; any moment is shown.
import { render } from "./vendor/preact.mjs";
import { START, upTo } from "./fold.js";
import { Charts } from "./charts.js";
import { Lane, html, moment, saved, words } from "./lanes.js";
import { Verdict } from "./verdict.js";
import { announce, follow, pill } from "./stream.js";
import { KEYS } from "./page.js";

const EVERY_MS = 150; // between two renderings, at least: painting the lines is most of what this page costs a browser
const island = document.getElementById("island");
const frames = saved ? JSON.parse(saved.textContent) : [];

let state = START;
let at = null; // the moment shown, in seconds; null: the newest
let playing = false;
let speed = 1;
let following = !saved;
let drawn = 0;
let pending = false;
let shown = false;
let said = "";
let keeping = 0;

const span = () => frames.at(-1)?.t ?? 0;

function soon() {
  if (pending) return;
  pending = true;
  setTimeout(() => requestAnimationFrame(draw), Math.max(0, EVERY_MS - (performance.now() - drawn)));
}

function draw(now) {
  pending = false;
  if (playing) play((now - drawn) / 1000);
  drawn = now;
  const wanted = at ?? Infinity;
  state = upTo(frames, wanted, wanted < state.t ? START : state);
  if (state.header) show();
  if (playing || (following && at === null)) tell();
  if (playing) soon();
}

function show() {
  if (!shown) {
    island.replaceChildren();
    if (!island.dataset.begun) dispatchEvent(new Event("partschange")); // the page was made before the run had a name
  }
  shown = true;
  render(html`<${Run} />`, island);
}

function play(seconds) {
  at += Math.min(seconds, 1) * speed;
  if (at >= span()) seek(null);
}

/** Only what Backstop's lane turns to, for those who listen. */
function tell() {
  const { now, lights, ending } = state.lanes.backstop;
  const key = ending ? ending.kind : now && `${now} ${lights[now]}`;
  if (!key || key === said) return;
  said = key;
  announce(`Backstop: ${ending ? `${words(ending.kind)}: ${ending.reason}` : words(now) + (lights[now] === "bad" ? " refused" : "")}`);
}

function seek(t) {
  at = t === null || t >= span() ? null : Math.max(0, Math.round(t * 1000) / 1000);
  playing = false;
  soon();
  keepInAddress();
}

function keepInAddress() {
  clearTimeout(keeping);
  keeping = setTimeout(() => history.replaceState(null, "", at !== null ? moment(at) : saved ? "#" : location.pathname), 250);
}

function turn() {
  if (playing) return seek(at);
  at ??= 0;
  playing = true;
  drawn = performance.now();
  soon();
}

function step(by) {
  const here = at ?? Infinity;
  const times = frames.filter((frame) => frame.body.line).map((frame) => frame.t);
  seek(by > 0 ? (times.find((t) => t > here) ?? null) : (times.findLast((t) => t < here) ?? 0));
}

function Player() {
  const here = at ?? span();
  const most = Math.ceil(span() * 10) / 10;
  const button = (sign, act, label, title, more) => html`<button type="button" class="quiet" onClick=${act} aria-label=${label} title=${title} ...${more}>${sign}</button>`;
  return html`<section class="panel player" aria-label="Replay">
    ${button(playing ? "❚❚" : "▶", turn, playing ? "Pause" : "Play", "Space", { class: "" })}
    ${button("⟨", () => step(-1), "Previous line", "[")}${button("⟩", () => step(1), "Next line", "]")}
    <input type="range" min="0" max=${most} step="0.1" value=${at ?? most} aria-label="Moment of the run" aria-valuetext="${here.toFixed(1)} seconds"
      onInput=${(event) => seek(Number(event.target.value))} />
    <output class="nowrap">${here.toFixed(1)} / ${span().toFixed(1)} s</output>
    <span class="speeds" role="group" aria-label="Speed">${[1, 4, 16].map((one) => button(`${one}×`, () => { speed = one; soon(); }, null, null, { "aria-pressed": one === speed }))}</span>
    ${button(following ? "Live" : "End", () => seek(null), null, "End", { "aria-pressed": at === null, class: following && at === null ? "primary" : "" })}
  </section>`;
}

function Run() {
  const { header, over, lanes, marks } = state;
  return html`${over && html`<${Verdict} over=${over} header=${header} directory=${island.dataset.directory} links=${saved ? "" : `/run/${island.dataset.run}`} />`}
    <${Player} />
    <${Charts} lanes=${lanes} marks=${marks} at=${at} span=${over || !following ? span() : Math.ceil(span() / 5) * 5} service=${header.service} seek=${seek} />
    <div class="lanes grid">${header.lanes.map((name) => html`<${Lane} key=${name} name=${name} lane=${lanes[name]} header=${header} measured=${over?.report?.agents[name]} />`)}</div>`;
}

for (const number of "123456789") KEYS[number] = () => document.querySelector(`[data-number="${number}"]`)?.click();

function heard(more) {
  for (const frame of more) if (frame.n === frames.length + 1) frames.push(frame);
  soon();
}

function turned(what, since, detail) {
  pill(what, since, detail);
  if (what !== "ended") return;
  following = false;
  dispatchEvent(new Event("partschange"));
  soon();
}

if (island) {
  Object.assign(KEYS, { " ": turn, "[": () => step(-1), "]": () => step(1), Home: () => seek(0), End: () => seek(null) });
  island.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-at]");
    if (!link || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    seek(Number(link.dataset.at));
  });
  const wanted = new URLSearchParams(saved ? location.hash.slice(1) : location.search).get("at");
  if (wanted !== null && Number.isFinite(Number(wanted))) at = Math.max(0, Number(wanted));
  if (saved) soon();
  else follow(`/stream/runs/${encodeURIComponent(island.dataset.run)}`, { heard, state: turned });
}
