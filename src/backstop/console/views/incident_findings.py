"""What was seen, what was made of it, and what the gates said to that: each with the facts that it cites."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from backstop.console.views.incident_words import Standing, said
from backstop.events import Blocked, Diagnosed, Event, EvidenceGathered, LookedUp, ModelCalled, Rehearsed, VerdictReached
from backstop.records import Claim, Evidence, Fact, ModelCall, Omission, action_key
from backstop.replay.fold import fold

GATES = frozenset({"quality_gate", "judge", "action_gate", "executor"})
"""What stands between a diagnosis and a write. What else is judged is a measurement."""


@dataclass(frozen=True)
class Cited:
    """A fact that is named, and where it stands on the page; an empty anchor: there is no such fact."""

    fact: str
    anchor: str


@dataclass(frozen=True)
class SeenFact:
    """One fact. `title` says where it was read."""

    anchor: str
    title: str
    fact: Fact


@dataclass(frozen=True)
class Look:
    """One look at the cluster, the number from 1."""

    number: int
    evidence: Evidence
    facts: tuple[SeenFact, ...]
    omissions: tuple[Omission, ...]


@dataclass(frozen=True)
class Said:
    """One claim, what it rests on, and what it quotes."""

    text: str
    facts: tuple[Cited, ...]
    quotes: tuple[tuple[Cited, str], ...]


@dataclass(frozen=True)
class Ruled:
    """One rule's word."""

    rule: str
    standing: Standing
    reason: str
    facts: tuple[Cited, ...]


@dataclass(frozen=True)
class Judged:
    """What one gate said of one proposal."""

    anchor: str
    seq: int
    stage: str
    attempt: int
    action: str
    passed: bool
    rules: tuple[Ruled, ...]

    @property
    def against(self) -> tuple[Ruled, ...]:
        """The rules that did not let it pass."""
        return tuple(rule for rule in self.rules if rule.standing.word != "passed")


@dataclass(frozen=True)
class Opinion:
    """One diagnosis, and what became of it. `source` empty: no call of that model is on record."""

    anchor: str
    seq: int
    body: Diagnosed
    source: str
    action: str
    claims: tuple[Said, ...]
    change: Cited | None
    verdicts: tuple[Judged, ...]

    @property
    def refused(self) -> bool:
        return any(not verdict.passed for verdict in self.verdicts)


@dataclass(frozen=True)
class Called:
    """One attempt at one model."""

    seq: int
    call: ModelCall


@dataclass(frozen=True)
class Findings:
    """All of it, in order; `looks` oldest first."""

    looks: tuple[Look, ...]
    opinions: tuple[Opinion, ...]
    verdicts: tuple[Judged, ...]
    calls: tuple[Called, ...]
    lookups: tuple[tuple[int, LookedUp], ...]
    blocked: tuple[tuple[int, Blocked], ...]


def findings(events: Sequence[Event]) -> Findings:
    """What one record tells."""
    looks = tuple(_looks(fold(events).looks))
    verdicts, opinions = list[Judged](), list[Opinion]()
    seen, sources = 0, dict[str, str]()
    for event in events:
        match event.body:
            case EvidenceGathered():
                seen += 1
            case ModelCalled(call=call) if call.outcome == "ok":
                sources[call.model] = call.source
            case Diagnosed() as body:
                opinions.append(_opinion(event.seq, body, looks[:seen], sources, len(opinions) + 1))
            case VerdictReached() as body:
                _reached(_judged(event.seq, body, looks[:seen]), verdicts, opinions)
            case Rehearsed(verdict=verdict) if opinions:
                last = opinions[-1]
                body = VerdictReached(attempt=last.body.attempt, action=last.action, verdict=verdict)
                _reached(_judged(event.seq, body, looks[:seen]), verdicts, opinions)
    return Findings(
        looks,
        tuple(opinions),
        tuple(verdicts),
        tuple(Called(event.seq, event.body.call) for event in events if isinstance(event.body, ModelCalled)),
        tuple((event.seq, event.body) for event in events if isinstance(event.body, LookedUp)),
        tuple((event.seq, event.body) for event in events if isinstance(event.body, Blocked)),
    )


def _reached(verdict: Judged, verdicts: list[Judged], opinions: list[Opinion]) -> None:
    """A gate may be asked again of the same diagnosis, once the world has moved: its last word counts."""
    verdicts.append(verdict)
    if opinions and verdict.stage in GATES and opinions[-1].action == verdict.action:
        others = tuple(one for one in opinions[-1].verdicts if one.stage != verdict.stage)
        opinions[-1] = replace(opinions[-1], verdicts=(*others, verdict))


def _looks(all_of_them: Sequence[Evidence]) -> Iterator[Look]:
    """A fact of the last look is known by its own id, one of an earlier by the look's number, too."""
    for number, evidence in enumerate(all_of_them, 1):
        before = "" if number == len(all_of_them) else f"look{number}-"
        facts = tuple(SeenFact(f"{before}{fact.id}", _title(fact), fact) for fact in evidence.facts)
        yield Look(number, evidence, facts, evidence.omissions)


def _title(fact: Fact) -> str:
    return f"{fact.kind.value.replace('_', ' ')} of {fact.about.key}"


def _opinion(seq: int, body: Diagnosed, looks: Sequence[Look], sources: Mapping[str, str], number: int) -> Opinion:
    change = body.diagnosis.change
    return Opinion(
        anchor=f"diagnosis-{number}",
        seq=seq,
        body=body,
        source=sources.get(body.model, ""),
        action=action_key(body.diagnosis.action),
        claims=tuple(_claim(claim, looks) for claim in body.diagnosis.claims),
        change=_cited(change.fact, looks) if change is not None else None,
        verdicts=(),
    )


def _claim(claim: Claim, looks: Sequence[Look]) -> Said:
    quotes = tuple((_cited(quote.fact, looks), quote.line) for quote in claim.quotes)
    return Said(claim.text, tuple(_cited(fact, looks) for fact in claim.facts), quotes)


def _judged(seq: int, body: VerdictReached, looks: Sequence[Look]) -> Judged:
    rules = tuple(
        Ruled(check.rule, said(check), check.reason, tuple(_cited(fact, looks) for fact in check.facts))
        for check in body.verdict.checks
    )
    return Judged(f"verdict-{seq}", seq, body.verdict.stage, body.attempt, body.action, body.verdict.passed, rules)


def _cited(fact: str, looks: Sequence[Look]) -> Cited:
    """By the look that was the last one then."""
    known = looks[-1].facts if looks else ()
    return Cited(fact, next((one.anchor for one in known if one.fact.id == fact), ""))
