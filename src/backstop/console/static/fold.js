// A run as it stands after some of its frames: pure, without a page, the same for stream, replay, export and tests.

/** A list that grows without being copied: the newest item, and the list before it. */
const push = (list, item) => ({ item, before: list, count: (list?.count ?? 0) + 1 });

/** What is unknown in part is unknown in all. */
export const plus = (sum, more) => (sum === null || more === null ? null : sum + more);

/** The last `most` items of such a list, oldest first. */
export function items(list, most = Infinity) {
  const found = [];
  for (let at = list; at && found.length < most; at = at.before) found.push(at.item);
  return found.reverse();
}

const LANE = {
  lights: {}, // stage -> mood
  now: "", // the stage that was lit last
  incident: "",
  facts: {}, // by id, as they were last seen
  lines: null,
  samples: null,
  defenses: [], // names, in the order in which they fired
  fired: null,
  refusals: null,
  diagnoses: null,
  calls: null,
  spent: 0, // in all; null: unknown, which is not nothing
  incidentSpent: 0,
  writes: null,
  ending: null, // what the agent itself says
};

/** Before the first frame. */
export const START = { n: 0, t: 0, header: null, marks: null, over: null, lanes: { naive: LANE, backstop: LANE } };

/** After one more frame. */
export function fold(state, frame) {
  const next = { ...state, n: frame.n, t: frame.t };
  const { body } = frame;
  if (body.kind === "begun") return { ...next, header: body };
  if (body.kind === "ended" || body.kind === "failed") return { ...next, over: body };
  next.lanes = { ...state.lanes };
  for (const name of frame.lane ? [frame.lane] : Object.keys(next.lanes)) next.lanes[name] = laneAfter(next.lanes[name], frame);
  const mark = markOf(frame);
  if (mark && isEcho(state.marks?.item, mark)) next.marks = { ...state.marks, item: { ...state.marks.item, lane: null } };
  else if (mark) next.marks = push(state.marks, mark);
  return next;
}

/** After all of them until `t` seconds. Frames are in order of time. */
export function upTo(frames, t, state = START) {
  for (let at = state.n; at < frames.length && frames[at].t <= t; at += 1) state = fold(state, frames[at]);
  return state;
}

/** Every proposed write that a gate or a judge refused, with the rules of all who refused it. */
export function blocked(lane) {
  const found = new Map();
  for (const { stage, action, attempt, incident, failed } of items(lane.refusals)) {
    if (action === "no_action" || !GATES.has(stage)) continue;
    const key = JSON.stringify([incident, attempt, action]);
    found.set(key, { action, rules: [...(found.get(key)?.rules ?? []), ...failed.map((check) => check.rule)] });
  }
  return [...found.values()];
}

const GATES = new Set(["quality_gate", "judge", "action_gate"]);

function laneAfter(before, frame) {
  const { body, t, n } = frame;
  const lane = { ...before };
  if (body.kind === "sample") lane.samples = push(lane.samples, { t, rate: body.rate, ready: body.ready });
  if (body.kind === "event" && body.event.incident !== lane.incident) begin(lane, body.event.incident);
  const did = didOf(body);
  DID[did?.type]?.(lane, did, t);
  if (body.mark === "bypass" && body.line.mood === "good") fire(lane, "cluster", body.line.text, t);
  if (body.line) tell(lane, body.line, t, n);
  return lane;
}

function tell(lane, line, t, n) {
  lane.lines = push(lane.lines, { ...line, t, n });
  if (!line.stage) return;
  lane.lights = { ...lane.lights, [line.stage]: line.light };
  lane.now = line.stage;
}

function begin(lane, incident) {
  if (lane.incident) Object.assign(lane, { lights: {}, now: "", ending: null });
  Object.assign(lane, { incident, incidentSpent: 0 });
}

function fire(lane, defense, reason, t) {
  lane.fired = push(lane.fired, { t, defense, reason });
  if (!lane.defenses.includes(defense)) lane.defenses = [...lane.defenses, defense];
}

/** What the naive agent noted, and what happened in Backstop's incident, by type. */
const DID = {
  decided: (lane, { hypothesis, action }, t) => {
    lane.diagnoses = push(lane.diagnoses, { t, model: "", hypothesis, action });
  },
  done: (lane, { outcome, reason }) => {
    lane.ending = { kind: outcome, reason };
  },
  crashed: (lane, { error }) => {
    lane.ending = { kind: "crashed", reason: error };
  },
  evidence_gathered: (lane, { evidence }) => {
    lane.facts = Object.fromEntries(evidence.facts.map((fact) => [fact.id, fact]));
  },
  looked_up: (lane, { fact }) => {
    if (fact) lane.facts = { ...lane.facts, [fact.id]: fact };
  },
  model_called: (lane, { call }, t) => {
    lane.calls = push(lane.calls, { t, ...call });
    for (const sum of ["spent", "incidentSpent"]) lane[sum] = plus(lane[sum], call.cost_usd);
  },
  diagnosed: (lane, { diagnosis, model }, t) => {
    lane.diagnoses = push(lane.diagnoses, { t, model, ...diagnosis, action: actionKey(diagnosis.action) });
  },
  verdict_reached: (lane, { verdict, action, attempt }, t) => {
    const failed = verdict.checks.filter((check) => !check.passed);
    if (verdict.checks.length && !failed.length) return;
    lane.refusals = push(lane.refusals, { t, stage: verdict.stage, action, attempt, incident: lane.incident, failed, facts: lane.facts });
  },
  defense_fired: (lane, { defense, reason }, t) => fire(lane, defense, reason, t),
  written: (lane, did, t) => {
    const { verb, target, audit_id: audit, allowed_by: allowed = [] } = did.write ?? did;
    lane.writes = push(lane.writes, { t, verb, target: keyOf(target), audit, allowed, undo: did.undo });
  },
  closed: (lane, { outcome: { kind, reason } }) => {
    lane.ending = { kind, reason };
  },
};

const didOf = (body) => body.note ?? body.event?.body;

/** `deployment/checkout`: how people and records name an object. */
export const keyOf = (ref) => (typeof ref === "string" ? ref : `${ref.kind.toLowerCase()}/${ref.name}`);

function actionKey({ verb, target, ...rest }) {
  if (verb === "no_action") return verb;
  return [verb, keyOf(target), ...Object.entries(rest).map(([name, value]) => `${name}=${value}`)].join(" ");
}

/** What stands on the time axis: what was done to a lane, and what it did itself. */
function markOf({ t, lane, body }) {
  if (body.mark) return { t, lane, kind: body.mark, text: body.line.text };
  const did = didOf(body);
  if (did?.type !== "written") return null;
  const { verb, target } = did.write ?? did;
  return { t, lane, kind: did.undo ? "undo" : "write", text: `${did.undo ? "undo of" : verb} ${keyOf(target)}` };
}

/** What both lanes are told is one mark. */
const isEcho = (last, mark) => last?.kind === mark.kind && last.text === mark.text && mark.t - last.t < 0.5 && last.lane !== mark.lane;
