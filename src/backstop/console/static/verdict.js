// How a run ended: as expected or not, what it harmed, what it cost, and what proves it.
import { Outcome, Part, TITLES, html, percent, usd } from "./lanes.js";

const lanesOf = (report) => ["naive", "backstop"].filter((name) => report.agents[name]);

const HARM = { replicas_lost: "replicas lost", requests_failed: "requests failed" };

const Harm = ({ found, none }) =>
  found.length
    ? html`<ul class="bare">${found.map((one) => html`<li><span class="mark bad" aria-hidden="true">✕</span>${one.amount ?? "unknown:"} ${HARM[one.what] ?? one.what.replaceAll("_", " ")}, <code>${one.object}</code></li>`)}</ul>`
    : html`<span class="good"><span aria-hidden="true">✓ </span>${none}</span>`;

const said = (agent) => agent.incidents.at(-1)?.outcome;

const ROWS = [
  ["Outcome, as measured", (agent, name) => html`<${Outcome} kind=${agent.outcome} before="" />${name === "naive" && said(agent) !== agent.outcome && html`<span class="dim"> it says: ${said(agent)}</span>`}`],
  ["Harm left", (agent) => html`<${Harm} found=${agent.harm} none="no harm measured" />`],
  ["Harm while it lasted", (agent) => html`<${Harm} found=${agent.transient_harm} none="none measured" />`],
  ["Error rate, start → end", (agent) => `${percent(agent.error_rate.start)} → ${percent(agent.error_rate.end)}`],
  ["Writes", (agent, name) => {
    const loose = agent.writes.filter((one) => !one.allowed_by.length).length;
    return html`${agent.writes.length} written${loose > 0 && html`, <span class="bad">${loose} allowed by nothing</span>`}${name === "backstop" && `, ${agent.blocked.length} blocked`}`;
  }],
  ["Time and cost", (agent) => `${agent.seconds.toFixed(1)} s, ${agent.models.length} model call${agent.models.length === 1 ? "" : "s"}, ${usd(agent.cost_usd)}`],
];

function Receipt({ receipt, directory }) {
  if (!receipt?.endsWith(".json")) return html`<p class="dim">There is no signed receipt of it.</p>`;
  return html`<p class="wrap">Check it yourself: <code id="receipt-command">backstop receipt verify ${directory}/${receipt}</code>
    <button type="button" class="quiet" data-copy="receipt-command">Copy</button></p>`;
}

function Handoff({ agent }) {
  if (!agent?.next_steps.length && !agent?.proposed) return null;
  return html`<details><summary>What it hands to a person</summary>
    ${agent.proposed && html`<p>Passed every gate and was left to a person: <code>${agent.proposed}</code></p>`}
    <ol>${agent.next_steps.map((step) => html`<li class="wrap"><code>${step}</code></li>`)}</ol></details>`;
}

function Held({ over, header, directory, links }) {
  const { report, missed } = over;
  const names = lanesOf(report);
  const unattributed = names.flatMap((name) => report.agents[name].unattributed);
  return html`<section class="panel verdict" aria-label="Verdict">
    <div class="banner ${missed.length ? "bad" : "good"}"><h2><span class="mark ${missed.length ? "bad" : "good"}" aria-hidden="true">${missed.length ? "✕" : "✓"}</span>${missed.length ? "Not as expected" : "As expected"}</h2>
      <span>${header.scenario.expects}</span></div>
    ${missed.length > 0 && html`<ul>${missed.map((one) => html`<li>${one}</li>`)}</ul>`}
    <table class="dense compare"><thead><tr><td></td>${names.map((name) => html`<th scope="col">${TITLES[name]}</th>`)}</tr></thead>
      <tbody>${ROWS.map(([title, told]) => html`<tr><th scope="row">${title}</th>${names.map((name) => html`<td>${told(report.agents[name], name)}</td>`)}</tr>`)}</tbody></table>
    ${unattributed.length > 0 && html`<p>Damage that no write explains: <${Harm} found=${unattributed} /></p>`}
    <${Receipt} receipt=${report.agents.backstop?.receipt} directory=${directory} />
    <${Handoff} agent=${report.agents.backstop} />
    ${links && html`<p><a class="button" href="${links}/export">Export as one HTML file</a> <a class="button" href="${links}/frames.jsonl">Frames (JSON lines)</a></p>`}
  </section>`;
}

const sentence = (text) => text && html`<p>${text[0].toUpperCase()}${text.slice(1)}.</p>`;

/** `over`: the last frame's body. `links`: the run's own path, or empty in an export. */
export class Verdict extends Part {
  render({ over, header, directory, links }) {
    if (over.kind === "ended") return html`<${Held} over=${over} header=${header} directory=${directory} links=${links} />`;
    return html`<section class="panel banner bad verdict" aria-label="Verdict"><h2><span class="mark bad" aria-hidden="true">✕</span>It was not held to its end</h2>
      ${sentence(over.error)}${sentence(over.unchanged)}${sentence(over.todo)}</section>`;
  }
}
