// One agent's side of a run: its stages, what it said, what stood in its way, and what it wrote. All of it is hostile text.
import { Component, h } from "./vendor/preact.mjs";
import htm from "./vendor/htm.mjs";
import { blocked, items, keyOf, plus } from "./fold.js";

export const html = htm.bind(h);
export const TITLES = { naive: "Naive agent", backstop: "Backstop" };
export const words = (name) => name.replaceAll("_", " ");
export const usd = (amount) => (amount === null ? "unknown" : `$${amount.toFixed(amount < 1 ? 4 : 2)}`);
export const percent = (share) => (share == null ? "unknown" : `${(share * 100).toFixed(share > 0 && share < 0.01 ? 1 : 0)}%`);
export const saved = document.getElementById("frames"); // of an export: there are no other pages to go to
export const moment = (t) => `${saved ? "#" : "?"}at=${t}`;

const ROWS = 80;
const NAIVE = new Set(["diagnosis", "execute", "verify"]);
const LIGHTS = {
  plain: ["◉", "at work"], good: ["✓", "done"], warn: ["!", "trouble"], bad: ["✕", "refused"],
  off: ["○", "not yet"], none: ["–", "it has none"], said: ["”", "it says so"],
};
const MARKS = { plain: "", good: "✓", warn: "!", bad: "✕" };
const OUTCOMES = { resolved: ["good", "✓"], no_fault: ["good", "✓"], escalated: ["warn", "▲"], undone: ["warn", "↶"], failed: ["bad", "✕"], crashed: ["bad", "✕"] };

/** Drawn anew only if what it is given is other than before. */
export class Part extends Component {
  shouldComponentUpdate(next, state) {
    return state !== this.state || Object.keys(next).some((name) => next[name] !== this.props[name]);
  }
}
export const part = (draw) => class extends Part { render(props) { return draw(props); } };

export const mark = (mood, sign = MARKS[mood]) => html`<span class="mark ${mood}" aria-hidden="true">${sign}</span>`;
export const table = (label, heads, rows) => html`<div class="scroll" tabindex="0" role="region" aria-label=${label}><table class="dense">
  <thead><tr>${heads.map((head) => html`<th>${head}</th>`)}</tr></thead><tbody>${rows}</tbody></table></div>`;
const times = (count) => (count > 1 ? ` ×${count}` : "");
const source = (name) => name && html` <span class="tag ${name === "injected" ? "bad" : ""}">${name}</span>`;

export const outcome = (kind, before) => {
  const [mood, sign] = before === "says" ? ["", "”"] : (OUTCOMES[kind] ?? ["", ""]);
  return html`<span class="badge ${mood}"><span aria-hidden="true">${sign} </span>${before} ${words(kind)}</span>`;
};

/** Claims are numbered; the rule about them is one. */
const anchor = (rule) => `/policy#${encodeURIComponent(rule.replace(/^J-CLAIM-.*/, "J-CLAIM"))}`;
const ruled = (rule) => (saved ? html`<code>${rule}</code>` : html`<a href=${anchor(rule)}><code>${rule}</code></a>`);
const rules = (all) => all.map((rule, place) => html`${place ? ", " : ""}${ruled(rule)}`);
const RULE = /\b([A-Z]-[A-Z0-9]+(?:-[A-Z0-9]+)*)\b/;
const linked = (text) => text.split(RULE).map((piece, place) => (place % 2 ? ruled(piece) : piece));
const when = (t) => html`<a class="dim" href=${moment(t)} data-at=${t}>${t.toFixed(1)}</a>`;

const Stages = part(({ lights, now, stages, name }) => {
  const naive = name === "naive";
  const each = stages.map((stage) => {
    const lit = naive && stage === "verify" ? "said" : lights[stage];
    const mood = lights[stage] ? lit : naive && !NAIVE.has(stage) ? "none" : "off";
    const [sign, word] = LIGHTS[mood];
    return html`<li key=${stage} class="${mood} ${stage === now ? "now" : ""}" title=${word} aria-current=${stage === now ? "step" : undefined}>${mark(mood, sign)}${words(stage)}<span class="hidden">: ${word}</span></li>`;
  });
  return html`<ol class="stages" aria-label="Stages of ${TITLES[name]}">${each}</ol>`;
});

const Row = part(({ line }) => html`<tr data-row class=${line.mood}><td class="time">${when(line.t)}</td>
  <td class="mark ${line.mood}" aria-hidden="true">${MARKS[line.mood]}</td><td class="wrap">${line.text}${source(line.source)}</td></tr>`);

class Log extends Part {
  render({ lines, name }, { all }) {
    return html`<div class="log ${all ? "all" : ""}" tabindex="0" role="region" aria-label="What ${TITLES[name]} did, newest last">
        <table><tbody>${items(lines, all ? Infinity : ROWS).map((line) => html`<${Row} key=${line.n} line=${line} />`)}</tbody></table></div>
      ${lines?.count > ROWS && html`<button type="button" class="quiet" onClick=${() => this.setState({ all: !all })}>
        ${all ? `Only the last ${ROWS} lines` : `Open the full log: ${lines.count} lines`}</button>`}`;
  }
}

const cited = (id, fact) => html`<details><summary><code>${id}</code> ${fact ? `${words(fact.kind)} of ${keyOf(fact.about)}` : "is no fact of the evidence"}</summary>
  ${fact && html`<pre class="block">${fact.text}</pre>`}</details>`;

const refused = ({ t, stage, action, failed, facts }) => html`<div><p>${when(t)} ${words(stage)} refused <code>${action}</code>${failed.length ? "" : ": it said nothing"}</p>
  <ul class="checks">${failed.map((check) => html`<li>${mark("bad")}${ruled(check.rule)} ${check.reason}${check.facts.map((id) => cited(id, facts[id]))}</li>`)}</ul></div>`;

const Defenses = part(({ defenses, fired, refusals }) => {
  if (!defenses.length) return html`<p class="dim strip">No defence had to fire yet.</p>`;
  const each = defenses.map((name) => {
    const firings = items(fired).filter((one) => one.defense === name);
    const why = items(refusals).filter(({ stage }) => stage === name || (stage === "verify" && name === "undo"));
    return html`<li key=${name}><details><summary><span class="pill warn"><span aria-hidden="true">◆ </span>${words(name)}${times(firings.length)}</span></summary>
      <div class="why">${firings.map((one) => html`<p>${when(one.t)} ${linked(one.reason)}</p>`)}${why.map(refused)}</div></details></li>`;
  });
  return html`<ul class="strip" aria-label="Defences that fired, in order">${each}</ul>`;
});

const Diagnoses = part(({ diagnoses }) => html`<details open><summary>Diagnoses <span class="badge">${diagnoses?.count ?? 0}</span></summary><ol class="bare">${items(diagnoses).map(
  (one) => html`<li class="wrap">${when(one.t)} ${one.model && html`<strong>${one.model}</strong>: `}${one.hypothesis}
    <div><span aria-hidden="true">→ </span>proposes <code>${one.action}</code>${one.fault_class && html`<span class="dim"> ${words(one.fault_class)}, confidence ${percent(one.confidence)}</span>`}</div></li>`,
)}</ol></details>`);

function grouped(calls) {
  const found = [];
  for (const call of items(calls)) {
    const last = found.at(-1);
    const same = last && ["model", "role", "source", "outcome", "detail"].every((name) => last[name] === call[name]);
    if (!same) found.push({ ...call, times: 1 });
    else Object.assign(last, { times: last.times + 1, seconds: Math.max(last.seconds, call.seconds), cost_usd: plus(last.cost_usd, call.cost_usd) });
  }
  return found;
}

const Models = part(({ calls, spent, incidentSpent, budget }) => {
  const meter = budget !== null && incidentSpent !== null && html`<meter min="0" max=${budget} high=${budget * 0.8} value=${incidentSpent} aria-label="Spent of the budget">${usd(incidentSpent)}</meter>`;
  const rows = grouped(calls).map((call) => html`<tr><td>${call.model}${times(call.times)}<div class="dim">${call.role}${source(call.source)}</div></td>
    <td class="wrap">${mark(call.outcome === "ok" ? "good" : "warn")}${words(call.outcome)}${call.detail && html`<div class="dim">${call.detail}</div>`}</td>
    <td>${call.seconds.toFixed(2)}</td><td>${usd(call.cost_usd)}</td></tr>`);
  return html`<details><summary>Models <span class="badge">${calls?.count ?? 0}</span> ${usd(spent)} <span class="dim">${budget === null ? "without a budget" : `of ${usd(budget)} per incident `}</span>${meter}</summary>
    ${table("Models that were asked", ["Model", "Outcome", "Seconds", "Cost"], rows)}</details>`;
});

const Writes = part(({ writes, refusals, name }) => {
  const stopped = blocked({ refusals });
  return html`<details open><summary>Written <span class="badge ${name === "naive" && writes ? "bad" : ""}">${writes?.count ?? 0}</span>
      ${name === "backstop" && html` · blocked <span class="badge">${stopped.length}</span>`}</summary>
    <ul class="bare">${items(writes).map((one) => html`<li class="wrap">${when(one.t)} ${one.undo ? "undo" : one.verb} <code>${one.target}</code><span class="dim"> audit <code>${one.audit}</code></span>
        ${one.allowed.length ? html`<details><summary class="dim">allowed by ${one.allowed.length} rules</summary>${rules(one.allowed)}</details>` : html`<div class="bad">✕ nothing allowed it</div>`}</li>`)}
      ${stopped.map((one) => html`<li class="wrap">${mark("warn", "◆")}blocked <code>${one.action}</code>: ${rules(one.rules)}</li>`)}</ul></details>`;
});

/** `lane` as `fold.js` has it; `measured`: the lane's report, once there is one. */
export function Lane({ name, lane, header, measured }) {
  const naive = name === "naive";
  const [kind, before] = measured ? [measured.outcome, naive ? "measured:" : ""] : [lane.ending?.kind, naive ? "says" : ""];
  return html`<section class="lane panel ${name}" aria-label=${TITLES[name]}>
    <h2>${TITLES[name]} ${kind && outcome(kind, before)}</h2>
    <${Stages} lights=${lane.lights} now=${lane.now} stages=${header.stages} name=${name} />
    ${naive ? html`<p class="dim strip">– marks a stage that it does not have. No defences: it acts on what its model says.</p>` : html`<${Defenses} defenses=${lane.defenses} fired=${lane.fired} refusals=${lane.refusals} />`}
    <${Log} lines=${lane.lines} name=${name} />
    <${Diagnoses} diagnoses=${lane.diagnoses} />
    <${Writes} writes=${lane.writes} refusals=${lane.refusals} name=${name} />
    <${Models} calls=${lane.calls} spent=${lane.spent} incidentSpent=${lane.incidentSpent} budget=${naive ? null : header.budget_usd} />
  </section>`;
}
