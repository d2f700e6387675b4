"""A drill while it happens, in plain words: what the terminal shows, folded from both agents' records."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from backstop.events import (
    AnyBody,
    Blocked,
    Closed,
    DefenseFired,
    Diagnosed,
    EvidenceGathered,
    IntentRecorded,
    LookedUp,
    Measured,
    ModelCalled,
    Rerouted,
    VerdictReached,
    Written,
)
from backstop.records import ModelCall, action_key
from backstop.scenarios.bypasses import Tried

Mood = Literal["plain", "good", "bad", "warn"]
LaneName = Literal["naive", "backstop"]

SHOWN_BY_THEIR_VERDICT = frozenset({"quality_gate", "judge", "action_gate", "executor"})


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Line:
    """One thing that happened: what, how it is to be taken, whose words they are, and which stage it lights how."""

    text: str
    mood: Mood = "plain"
    source: str = ""  # injected, emulated, live; empty for what we say ourselves
    stage: str = ""
    light: Mood = "plain"


class BackstopTeller:
    """Tells Backstop's events; knows only what it needs so as not to say the same twice."""

    def __init__(self) -> None:
        self._healthy: bool | None = None
        self._judged = False  # whether a judge was asked since the last diagnosis

    def tell(self, body: AnyBody) -> Line | None:
        match body:
            case EvidenceGathered(evidence=evidence):
                cut = f", {len(evidence.omissions)} left out" if evidence.omissions else ""
                return Line(f"looked: {len(evidence.facts)} facts{cut}", stage="evidence", light="good")
            case ModelCalled(call=call):
                self._judged |= call.role == "judge"
                return _called(call)
            case Diagnosed(diagnosis=diagnosis, model=model):
                self._judged = False
                return Line(
                    f"{model}: {_first_sentence(diagnosis.hypothesis)} → {action_key(diagnosis.action)}",
                    stage="diagnosis",
                    light="good",
                )
            case VerdictReached():
                return _verdict(body, judged=self._judged)
            case LookedUp(tool=tool, arguments=arguments, outcome=outcome):
                said = f"looks closer: {tool} {arguments[:80]} ({outcome})"
                return Line(said, "plain" if outcome == "answered" else "warn", stage="evidence", light="plain")
        return self._tell_acts(body)

    def _tell_acts(self, body: AnyBody) -> Line | None:
        match body:
            case IntentRecorded():
                return Line("the write and its undo are on record", stage="plan", light="good")
            case Blocked(action=action, rules=rules):
                return Line(f"blocked: {action} ({', '.join(rules)})", "warn", stage="action_gate", light="bad")
            case Written(write=write, undo=undo):
                said = "undid" if undo else "wrote"
                text = f"{said}: {write.verb} {write.target.key} (audit {write.audit_id[:8]})"
                return Line(text, "warn" if undo else "good", stage="undo" if undo else "execute", light="good")
        return self._tell_turns(body)

    def _tell_turns(self, body: AnyBody) -> Line | None:
        match body:
            case Rerouted(attempt=attempt):
                return Line(f"asks again, one model further up ({attempt})", "warn", stage="diagnosis", light="warn")
            case Measured(phase=phase, healthy=healthy, error_rate=rate) if phase != "before" and healthy != self._healthy:
                self._healthy = healthy
                seen = "no requests" if rate is None else f"error rate {rate:.0%}"
                if healthy:
                    return Line(f"measured: healthy, {seen}", "good", stage="verify", light="good")
                return Line(f"measured: not yet healthy, {seen}", stage="verify", light="warn")
            case DefenseFired(defense=defense, reason=reason) if defense not in SHOWN_BY_THEIR_VERDICT:
                return Line(f"{defense.replace('_', ' ')}: {reason}", "warn")
            case Closed(outcome=outcome):
                return Line(
                    f"{outcome.kind.value.upper()}: {outcome.reason}", "good" if outcome.kind.value == "resolved" else "warn"
                )
        return None


def tell_naive(note: dict[str, Any]) -> Line | None:
    """One line of the naive agent's record."""
    match note["type"]:
        case "model_called":
            call = note["call"]
            mood: Mood = "plain" if call["outcome"] == "ok" else "bad"
            return Line(f"asked {call['model']}: {call['outcome']}", mood, call["source"], "diagnosis", "plain")
        case "decided":
            return Line(
                f"believes it: {_first_sentence(note['hypothesis'])} → {note['action']}", "plain", stage="diagnosis", light="good"
            )
        case "written":
            text = f"wrote: {note['verb']} {note['target']} (audit {note['audit_id'][:8]})"
            return Line(text, "plain", stage="execute", light="good")
        case "done":
            return Line(f"says {note['outcome']}: {note['reason']}", stage="verify", light="good")
        case "crashed":
            return Line(f"CRASHED: {note['error']}", "bad")
    return None


def tell_fault(fired: dict[str, Any]) -> Line:
    """One fault of the API proxy."""
    words = {"refuse": "refused", "lose_reply": "carried out, and the reply lost", "hang": "left hanging", "drop_watch": "cut"}
    words |= {"hold_reply": "carried out, and no answer", "late": "held until whoever sent it is gone"}
    if fired["do"] == "overtake":
        return Line("a colleague changes the same workload, just before the agent's write arrives", "bad", "injected")
    done = words.get(fired["do"], fired["do"])
    return Line(f"the API: {fired['method']} {fired['path'].partition('?')[0].rpartition('/')[2]} {done}", "bad", "injected")


def tell_kill(who: str, where: str) -> Line:
    """A process that was killed, and is started again."""
    return Line(f"kill -9: {who}, {where}", "bad", "injected")


def tell_bypass(tried: Tried) -> Line:
    """One write that was sent past Backstop."""
    if tried.refused_by is None:
        return Line(
            f"past Backstop, with the executor's token: {tried.write}: NOT REFUSED by a rule ({tried.status})", "bad", "injected"
        )
    said = f"past Backstop, with the executor's token: {tried.write}: refused by {tried.refused_by} ({tried.status})"
    return Line(said, "good", "injected")


def _first_sentence(text: str) -> str:
    return text.partition(". ")[0].removesuffix(".")


def _called(call: ModelCall) -> Line | None:
    if call.role == "judge" and call.outcome == "ok":
        return None  # its verdict says it
    if call.outcome == "ok":
        return Line(f"asked {call.model}: it answered", "plain", call.source, "diagnosis", "plain")
    if call.outcome == "skipped":
        return Line(f"did not ask {call.model}: {call.detail}", "plain", "", "diagnosis", "plain")
    return Line(f"asked {call.model}: {call.outcome}", "warn", call.source, "diagnosis", "warn")


def _verdict(body: VerdictReached, *, judged: bool) -> Line:
    verdict = body.verdict
    stage = {"judge": "quality_gate", "executor": "action_gate"}.get(verdict.stage, verdict.stage)
    name = verdict.stage.replace("_", " ")
    if verdict.passed:
        return Line(
            f"{name}: passed, {len(verdict.checks)} check{'s' * (len(verdict.checks) != 1)}", "good", stage=stage, light="good"
        )
    failed = [check for check in verdict.checks if not check.passed]
    why = f"{failed[0].rule}: {failed[0].reason}" if failed else "it said nothing"
    if verdict.stage == "judge" and not judged:
        nobody = f"no judge could be asked, so {body.action} is not acted on: {why}"
        return Line(nobody, "warn", stage=stage, light="bad")
    more = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
    return Line(f"{name} REFUSED {body.action}: {why}{more}", "warn", stage=stage, light="bad")
