"""A replay for people: the state of an incident, and a table of its decisions. Everything in it may be hostile text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from backstop.cli.triage_page import plain
from backstop.events import Diagnosed, VerdictReached
from backstop.records import action_key
from backstop.replay import Replay, SelfCheck, State
from backstop.replay.words import Decision

LABEL: Final = 13
Row = tuple[str, str]

_CHECKED: Final = {
    "held": "the policy that it was held to, asked again, decides as it did then",
    "failed": "FAILED: the policy that it was held to does not decide as it did then; nothing above is to be relied on",
    "impossible": "impossible",
}


def page(state: State, total: int, other: Replay | None, checked: SelfCheck) -> str:
    """`total` is how many events the whole record has."""
    lines = [f"{label:<{LABEL}}{text}".rstrip() for label, text in _rows(state, total)]
    if other is not None:
        lines += ["", *_table(other), "", other.headline]
    lines += ["", f"{'self-check':<{LABEL}}{_CHECKED[checked.result]}"]
    lines += [f"{'':<{LABEL}}{reason}" for reason in checked.reasons]
    return "".join(f"{plain(line)}\n" for line in lines)


def _rows(state: State, total: int) -> Iterator[Row]:
    """Label and text, in the order in which a person asks."""
    alert = state.alert
    yield "incident", state.incident
    yield "alert", f"{alert.name} of {alert.target.namespace}/{alert.target.key}: {alert.summary}" if alert else "not on record"
    when = f", {state.at.isoformat(timespec='seconds')}" if state.at is not None else ""
    yield "moment", f"event {state.seq} of {total}{when}, stage {state.stage.replace('_', ' ')}"
    yield from _seen(state)
    yield from _listed("diagnosis", [_diagnosis(one) for one in state.diagnoses])
    yield from _listed("verdicts", [_verdict(one) for one in state.verdicts])
    yield from _done(state)
    yield from _measured(state)
    spend = state.spend
    unpriced = f", and {spend.unpriced} calls at a price that nobody knows" if spend.unpriced else ""
    yield "spend", f"{spend.calls} calls, {spend.input_tokens} tokens in and {spend.output_tokens} out, ${spend.usd:.4f}{unpriced}"
    if state.outcome is not None:
        yield "outcome", f"{state.outcome.kind.value}: {state.outcome.reason}"


def _seen(state: State) -> Iterator[Row]:
    evidence = state.evidence
    if evidence is None:
        yield "evidence", "none so far"
        return
    left_out = f", {len(evidence.omissions)} things not seen" if evidence.omissions else ""
    looks = f"look {len(state.looks)}: " if len(state.looks) > 1 else ""
    yield "evidence", f"{looks}{len(evidence.facts)} facts{left_out}, sha256 {evidence.digest()[:16]}"


def _done(state: State) -> Iterator[Row]:
    if state.plan is not None:
        yield "plan", f"{action_key(state.plan.action)}, at generation {state.plan.generation}"
    if state.asks is not None:
        yield "asks", f"a person, until {state.asks.expires_at.isoformat(timespec='seconds')}"
    if state.approval is not None:
        yield "approval", f"{state.approval.answer} by {state.approval.by}: {state.approval.why}"
    writes = [
        f"{'undo of ' if one.undo else ''}{one.write.verb} {one.write.target.key}, audit id {one.write.audit_id or 'unknown'}"
        for one in state.writes
    ]
    if state.asked is not None:
        writes.append(f"{action_key(state.asked.action)} was asked of the executor, and what came of it is not known yet")
    yield from _listed("writes", writes or ["none"])


def _measured(state: State) -> Iterator[Row]:
    if not state.health:
        yield "health", "not measured so far"
        return
    for one in (state.health[0], *state.health[-1:][: len(state.health) - 1]):
        rate = "nobody answered" if one.error_rate is None else f"error rate {one.error_rate:.1%}"
        yield (
            "health" if one is state.health[0] else "",
            f"{one.phase.replace('_', ' ')}: {rate}, {'all' if one.healthy else 'not all'} well",
        )


def _diagnosis(one: Diagnosed) -> str:
    said = one.diagnosis
    return f"{said.fault_class.value} of {said.suspect.key} -> {action_key(said.action)}, by {one.model}"


def _verdict(one: VerdictReached) -> str:
    failed = ", ".join(one.verdict.failed_rules)
    said = "let pass" if one.verdict.passed else "refused"
    return f"{one.verdict.stage.replace('_', ' ')} {said} {one.action}{f' ({failed})' if failed else ''}"


def _listed(label: str, texts: Sequence[str]) -> Iterator[Row]:
    yield from ((label if number == 0 else "", text) for number, text in enumerate(texts or ["none so far"]))


def _table(other: Replay) -> Iterator[str]:
    """A line for each decision up to where the ways part, and below it the rules that differ."""
    shown = [one for one in other.decisions if other.parts_at is None or one.seq <= other.parts_at]
    width = max((len(one.action) for one in shown), default=6) + 2
    yield f"{'event':>5}  {'gate':<13}{'action':<{width}}{'then':<9}with {other.policy}"
    for one in shown:
        yield f"{one.seq:>5}  {one.gate.replace('_', ' '):<13}{one.action:<{width}}{one.then:<9}{one.would}{_aside(one)}"
        for rule in one.differs:
            if rule.then is not None or one.parts:
                yield f"{'':>5}    {rule.rule}: {rule.then or 'not asked'} -> {rule.would}: {rule.reason}"
    if other.parts_at is not None:
        yield f"{'':>5}  what came after is another story than the one on record"


def _aside(decision: Decision) -> str:
    return "" if decision.binding else "  (nothing follows: the diagnosis was refused already)"
