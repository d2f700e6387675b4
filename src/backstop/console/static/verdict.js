// How a run ended: as expected or not, what it harmed, what it cost, and what proves it.
import { TITLES, html, mark, outcome, part, percent, usd, words } from "./lanes.js";

const harm = (found, none) =>
  found.length
    ? html`<ul class="bare">${found.map((one) => html`<li>${mark("bad")}${one.amount ?? "unknown:"} ${words(one.what)}, <code>${one.object}</code></li>`)}</ul>`
    : html`<span class="good"><span aria-hidden="true">✓ </span>${none}</span>`;

const ROWS = [
  ["Outcome, as measured", (agent, name) => {
    const said = agent.incidents.at(-1)?.outcome;
    return html`${outcome(agent.outcome, "")}${name === "naive" && said !== agent.outcome && html`<span class="dim"> it says: ${said}</span>`}`;
  }],
  ["Harm left", (agent) => harm(agent.harm, "no harm measured")],
  ["Harm while it lasted", (agent) => harm(agent.transient_harm, "none measured")],
  ["Error rate, start → end", (agent) => `${percent(agent.error_rate.start)} → ${percent(agent.error_rate.end)}`],
  ["Writes", (agent, name) => {
    const loose = agent.writes.filter((one) => !one.allowed_by.length).length;
    return html`${agent.writes.length} written${loose > 0 && html`, <span class="bad">${loose} allowed by nothing</span>`}${name === "backstop" && `, ${agent.blocked.length} blocked`}`;
  }],
  ["Time and cost", (agent) => `${agent.seconds.toFixed(1)} s, ${agent.models.length} model call${agent.models.length === 1 ? "" : "s"}, ${usd(agent.cost_usd)}`],
];

function receiptOf({ receipt } = {}, directory) {
  if (!/^[\w.:/-]+\.json$/.test(receipt ?? "")) return html`<p class="dim">There is no signed receipt of it.</p>`;
  return html`<p class="wrap">Check it yourself: <code id="receipt-command">backstop receipt verify ${directory}/${receipt}</code>
    <button type="button" class="quiet" data-copy="receipt-command">Copy</button></p>`;
}

function handoff({ next_steps: steps, proposed }) {
  return (steps.length > 0 || proposed) && html`<details><summary>What it hands to a person</summary>
    ${proposed && html`<p>Passed every gate and was left to a person: <code>${proposed}</code></p>`}
    <ol>${steps.map((step) => html`<li class="wrap"><code>${step}</code></li>`)}</ol></details>`;
}

function held({ over, header, directory, links }) {
  const { agents } = over.report;
  const names = Object.keys(TITLES).filter((name) => agents[name]);
  const unattributed = names.flatMap((name) => agents[name].unattributed);
  const mood = over.missed.length ? "bad" : "good";
  return html`<section class="panel verdict" aria-label="Verdict">
    <div class="banner ${mood}"><h2>${mark(mood)}${mood === "bad" ? "Not as expected" : "As expected"}</h2> <span>${header.scenario.expects}</span></div>
    ${mood === "bad" && html`<ul>${over.missed.map((one) => html`<li>${one}</li>`)}</ul>`}
    <table class="dense compare"><thead><tr><td></td>${names.map((name) => html`<th scope="col">${TITLES[name]}</th>`)}</tr></thead>
      <tbody>${ROWS.map(([title, told]) => html`<tr><th scope="row">${title}</th>${names.map((name) => html`<td>${told(agents[name], name)}</td>`)}</tr>`)}</tbody></table>
    ${unattributed.length > 0 && html`<p>Damage that no write explains:</p>${harm(unattributed)}`}
    ${receiptOf(agents.backstop, directory)}
    ${agents.backstop && handoff(agents.backstop)}
    ${links && html`<p><a class="button" href="${links}/export">Export as one HTML file</a> <a class="button" href="${links}/frames.jsonl">Frames (JSON lines)</a></p>`}
  </section>`;
}

const sentence = (text) => text && html`<p>${text[0].toUpperCase()}${text.slice(1)}.</p>`;

/** `over`: the last frame's body. `links`: the run's own path, or empty in an export. */
export const Verdict = part((props) => {
  const { over } = props;
  if (over.kind === "ended") return held(props);
  return html`<section class="panel banner bad verdict" aria-label="Verdict"><h2>${mark("bad")}It was not held to its end</h2>
    ${[over.error, over.unchanged, over.todo].map(sentence)}</section>`;
});
