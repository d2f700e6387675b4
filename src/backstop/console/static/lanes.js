// One agent's side of a run: its stages, what it said, what stood in its way, and what it wrote. All of it is hostile text.
import { Component, h } from "./vendor/preact.mjs";
import htm from "./vendor/htm.mjs";
import { blocked, items } from "./fold.js";

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

export const Outcome = ({ kind, before }) => {
  const [mood, mark] = before === "says" ? ["", "”"] : (OUTCOMES[kind] ?? ["", ""]);
  return html`<span class="badge ${mood}"><span aria-hidden="true">${mark} </span>${before} ${words(kind)}</span>`;
};

const Rule = ({ rule }) => (!saved ? html`<a href="/policy#${encodeURIComponent(rule)}"><code>${rule}</code></a>` : html`<code>${rule}</code>`);
const Rules = ({ rules }) => rules.map((rule, place) => html`${place ? ", " : ""}<${Rule} rule=${rule} />`);
const Moment = ({ t }) => html`<a class="dim" href=${moment(t)} data-at=${t}>${t.toFixed(1)}</a>`;
const RULE = /\b([A-Z]-[A-Z0-9]+(?:-[A-Z0-9]+)*)\b/;
const linked = (text) => text.split(RULE).map((part, place) => (place % 2 ? html`<${Rule} rule=${part} />` : part));

class Stages extends Part {
  render({ lights, now, stages, name }) {
    const each = stages.map((stage) => {
      const mood = lights[stage] ? (name === "naive" && stage === "verify" ? "said" : lights[stage]) : name === "naive" && !NAIVE.has(stage) ? "none" : "off";
      const [mark, word] = LIGHTS[mood];
      return html`<li key=${stage} class="${mood} ${stage === now ? "now" : ""}" aria-current=${stage === now ? "step" : undefined}>
        <span class="mark ${mood}" aria-hidden="true">${mark}</span>${words(stage)}<span class="hidden">: ${word}</span></li>`;
    });
    return html`<ol class="stages lights" aria-label="Stages of ${TITLES[name]}">${each}</ol>`;
  }
}

class Row extends Part {
  render({ line }) {
    return html`<tr data-row class=${line.mood}><td class="time"><a class="dim" href=${moment(line.t)} data-at=${line.t}>${line.t.toFixed(1)}</a></td>
      <td class="mark ${line.mood}" aria-hidden="true">${MARKS[line.mood]}</td><td class="wrap">${line.text}${line.source && html` <span class="tag ${line.source === "injected" ? "bad" : ""}">${line.source}</span>`}</td></tr>`;
  }
}

class Log extends Part {
  render({ lines, name }, { all }) {
    const shown = items(lines, all ? Infinity : ROWS);
    const more = (lines?.count ?? 0) > ROWS;
    return html`<div class="log ${all ? "all" : ""}" tabindex="0" role="region" aria-label="What ${TITLES[name]} did, newest last">
        <table><tbody>${shown.map((line) => html`<${Row} key=${line.n} line=${line} />`)}</tbody></table></div>
      ${more && html`<button type="button" class="quiet" onClick=${() => this.setState({ all: !all })}>
        ${all ? `Only the last ${ROWS} lines` : `Open the full log: ${lines.count} lines`}</button>`}`;
  }
}

const Fact = ({ id, fact }) =>
  html`<details><summary><code>${id}</code> ${fact ? `${words(fact.kind)} of ${fact.about.kind.toLowerCase()}/${fact.about.name}` : "is no fact of the evidence"}</summary>
    ${fact && html`<pre class="block">${fact.text}</pre>`}</details>`;

const Refusal = ({ refusal }) =>
  html`<div><p><${Moment} t=${refusal.t} /> ${words(refusal.stage)} refused <code>${refusal.action}</code>${refusal.failed.length ? "" : ": it said nothing"}</p>
    <ul class="checks">${refusal.failed.map((check) => html`<li><span class="mark bad" aria-hidden="true">✕</span><${Rule} rule=${check.rule} /> ${check.reason}
      ${check.facts.map((id) => html`<${Fact} id=${id} fact=${refusal.facts[id]} />`)}</li>`)}</ul></div>`;

class Defenses extends Part {
  render({ defenses, fired, refusals }) {
    if (!defenses.length) return html`<p class="dim strip">No defence had to fire yet.</p>`;
    const firings = items(fired);
    const said = items(refusals);
    const each = defenses.map((name) => {
      const times = firings.filter((one) => one.defense === name);
      const why = said.filter(({ stage }) => stage === name || (stage === "verify" && name === "undo"));
      return html`<li key=${name}><details><summary><span class="pill warn"><span aria-hidden="true">◆ </span>${words(name)}${times.length > 1 ? ` ×${times.length}` : ""}</span></summary>
        <div class="why">${times.map((one) => html`<p><${Moment} t=${one.t} /> ${linked(one.reason)}</p>`)}
        ${why.map((refusal) => html`<${Refusal} refusal=${refusal} />`)}</div></details></li>`;
    });
    return html`<ul class="strip" aria-label="Defences that fired, in order">${each}</ul>`;
  }
}

class Diagnoses extends Part {
  render({ diagnoses }) {
    return html`<details open><summary>Diagnoses <span class="badge">${diagnoses?.count ?? 0}</span></summary><ol class="bare">${items(diagnoses).map(
      (one) => html`<li class="wrap"><${Moment} t=${one.t} /> ${one.model && html`<strong>${one.model}</strong>: `}${one.hypothesis}
        <div><span aria-hidden="true">→ </span>proposes <code>${one.action}</code>${one.fault_class && html`<span class="dim"> ${words(one.fault_class)}, confidence ${percent(one.confidence)}</span>`}</div></li>`,
    )}</ol></details>`;
  }
}

function grouped(calls) {
  const found = [];
  for (const call of items(calls)) {
    const last = found.at(-1);
    const same = last && ["model", "role", "source", "outcome", "detail"].every((name) => last[name] === call[name]);
    if (!same) found.push({ ...call, times: 1 });
    else found[found.length - 1] = { ...last, times: last.times + 1, seconds: Math.max(last.seconds, call.seconds), cost_usd: last.cost_usd === null || call.cost_usd === null ? null : last.cost_usd + call.cost_usd };
  }
  return found;
}

class Models extends Part {
  render({ calls, spent, incidentSpent, budget }) {
    const most = budget !== null && incidentSpent !== null;
    return html`<details><summary>Models <span class="badge">${calls?.count ?? 0}</span> ${usd(spent)}
        ${budget === null ? html`<span class="dim"> without a budget</span>` : html`<span class="dim"> of ${usd(budget)} per incident </span>
        ${most && html`<meter min="0" max=${budget} high=${budget * 0.8} value=${incidentSpent} aria-label="Spent of the budget">${usd(incidentSpent)}</meter>`}`}</summary>
      <div class="scroll" tabindex="0" role="region" aria-label="Models that were asked"><table class="dense"><thead><tr><th>Model</th><th>Outcome</th><th class="right">Seconds</th><th class="right">Cost</th></tr></thead>
      <tbody>${grouped(calls).map((call) => html`<tr><td>${call.model}${call.times > 1 ? ` ×${call.times}` : ""}<div class="dim">${call.role} <span class="tag ${call.source === "injected" ? "bad" : ""}">${call.source}</span></div></td>
        <td class="wrap"><span class="mark ${call.outcome === "ok" ? "good" : "warn"}" aria-hidden="true">${call.outcome === "ok" ? "✓" : "!"}</span>${words(call.outcome)}${call.detail && html`<div class="dim">${call.detail}</div>`}</td>
        <td class="right">${call.seconds.toFixed(2)}</td><td class="right">${usd(call.cost_usd)}</td></tr>`)}</tbody></table></div></details>`;
  }
}

class Writes extends Part {
  render({ writes, refusals, name }) {
    const stopped = blocked({ refusals });
    return html`<details open><summary>Written <span class="badge ${name === "naive" && writes ? "bad" : ""}">${writes?.count ?? 0}</span>
        ${name === "backstop" && html` · blocked <span class="badge">${stopped.length}</span>`}</summary>
      <ul class="bare">${items(writes).map((one) => html`<li class="wrap"><${Moment} t=${one.t} /> ${one.undo ? "undo" : one.verb} <code>${one.target}</code><span class="dim"> audit <code>${one.audit}</code></span>
          ${one.allowed.length ? html`<details><summary class="dim">allowed by ${one.allowed.length} rules</summary><${Rules} rules=${one.allowed} /></details>` : html`<div class="bad">✕ nothing allowed it</div>`}</li>`)}
        ${stopped.map((one) => html`<li class="wrap"><span class="mark warn" aria-hidden="true">◆</span>blocked <code>${one.action}</code>: <${Rules} rules=${one.rules} /></li>`)}</ul></details>`;
  }
}

/** `lane` as `fold.js` has it; `measured`: the lane's report, once there is one. */
export function Lane({ name, lane, header, measured }) {
  const says = lane.ending && (name === "naive" ? "says" : "");
  const outcome = measured ? html`<${Outcome} kind=${measured.outcome} before=${name === "naive" ? "measured:" : ""} />` : lane.ending && html`<${Outcome} kind=${lane.ending.kind} before=${says} />`;
  return html`<section class="lane panel ${name}" aria-label=${TITLES[name]}>
    <h2>${TITLES[name]} ${outcome}</h2>
    <${Stages} lights=${lane.lights} now=${lane.now} stages=${header.stages} name=${name} />
    ${name === "naive" ? html`<p class="dim strip">No defences: it acts on what its model says.</p>` : html`<${Defenses} defenses=${lane.defenses} fired=${lane.fired} refusals=${lane.refusals} />`}
    <${Log} lines=${lane.lines} name=${name} />
    <${Diagnoses} diagnoses=${lane.diagnoses} />
    <${Writes} writes=${lane.writes} refusals=${lane.refusals} name=${name} />
    <${Models} calls=${lane.calls} spent=${lane.spent} incidentSpent=${lane.incidentSpent} budget=${name === "naive" ? null : header.budget_usd} />
  </section>`;
}
