"""What the facts that a claim cites say in numbers, and what follows from them by counting. Nothing here is read off the claim but
whom it speaks of."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from functools import cached_property
from itertools import combinations
from typing import Any, Final

from backstop.pipeline.quality_gate.subject import Subject
from backstop.quantities import quantity
from backstop.records import Claim, Fact, FactKind

TIME: Final = re.compile(
    r"\b(\d+(?:\.\d+)?) ?(ms|milliseconds?|s|secs?|seconds?|m|mins?|minutes?|h|hours?|d|days?)\b", re.IGNORECASE
)  # fmt: skip
_UNITS: Final = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_BARE: Final = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?!\w|\.\d)")
_SIZE: Final = re.compile(r"\b([0-9.]+[KMGTPE]i?)B?\b")
_CODE: Final = re.compile(r"\b(?:code|exit(?:ed)?(?: with)?) (\d+)")
_REVISION: Final = re.compile(r"\brevision (\d+)", re.IGNORECASE)
_WORD: Final = re.compile(r"(?<![\w-])[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?(?![\w-])")
_STATE: Final = ("desired", "ready", "available", "updated", "total")
_COUNTERS: Final = {
    FactKind.REVISION: ("replicas", "ready"), FactKind.SERVICE: ("ready_endpoints", "endpoints"),
    FactKind.AUTOSCALER: ("minimum", "maximum"), FactKind.BUDGET: ("disruptions_allowed",),
}  # fmt: skip
_TOLD: Final = frozenset({FactKind.EVENT, FactKind.QUOTA, FactKind.LOOKUP})


def seconds(number: str, unit: str) -> float:
    """A length of time, such as `5 minutes`."""
    return float(number) * (0.001 if unit.lower().startswith(("ms", "mil")) else _UNITS[unit[0].lower()])


@dataclass(frozen=True)
class Figures:
    """The numbers behind one claim."""

    subject: Subject
    claim: Claim
    facts: tuple[Fact, ...]

    def _of(self, kind: FactKind) -> Iterator[Fact]:
        return (fact for fact in self.facts if fact.kind is kind)

    @cached_property
    def text(self) -> str:
        """Everything that is written in the facts, with the names of what they are about and of what the alert is about."""
        alert = self.subject.evidence.alert
        said = [f"{f.text}\n{f.about.key} {f.about.namespace}\n{' '.join(_strings(f.data))}" for f in self.facts]
        return "\n".join([*said, alert.target.key, alert.target.namespace, alert.service or "", alert.name])

    def name(self, said: str) -> bool:
        """Whether these very words are written there, not as a part of others."""
        return re.search(rf"(?<![\w-]){re.escape(said)}(?!\w)", self.text, re.IGNORECASE) is not None

    @cached_property
    def numbers(self) -> frozenset[Fraction]:
        written = {Fraction(number) for number in _BARE.findall(self.text)}
        return frozenset(written | {Fraction(number) for fact in self.facts for number in _numbers(fact.data)})

    @cached_property
    def revisions(self) -> frozenset[int]:
        told = {int(number) for fact in self.facts for number in _REVISION.findall(fact.text)}
        return frozenset(told | {number for fact in self._of(FactKind.REVISION) for number in _whole(fact.data["number"])})

    @cached_property
    def codes(self) -> frozenset[int]:
        """Exit codes."""
        told = {int(number) for fact in self.facts for number in _CODE.findall(fact.text)}
        return frozenset(told | {number for fact in self._of(FactKind.POD) for number in _whole(fact.data["exit_code"])})

    @cached_property
    def counts(self) -> frozenset[int]:
        """Every number of pods that the facts state, or that follows from counting those that are cited."""
        former = {
            f.id for f in self._of(FactKind.REVISION) if f.data["current"] is not True and not _REVISION.search(self.claim.text)
        }
        stated = {number for fact in self._meant if fact.id not in former for number in _counters(fact)}
        pods = [fact for fact in self._meant if fact.kind is FactKind.POD]
        unwell = [f for f in pods if f.data["ready"] is False or f.data["waiting_reason"] or f.data["terminated_reason"]]
        return frozenset(stated | ({len(pods), len(unwell), len(pods) - len(unwell)} - {0}))

    @property
    def _meant(self) -> tuple[Fact, ...]:
        """The facts whose counters the claim can mean: those of the one workload that it names, if it names one only."""
        grounds = self.subject.grounds
        named = sorted(grounds.names & set(_WORD.findall(self.claim.text)))
        if len(named) != 1:
            return self.facts
        return tuple(f for f in self.facts if f.about.name == named[0] or named[0] in grounds.roots_of(f.about)) or self.facts

    @cached_property
    def requests(self) -> frozenset[tuple[int, int]]:
        """What probes counted: how many failed, and how many did not, of how many."""
        made = [(fact.data["failures"], fact.data["requests"]) for fact in self._of(FactKind.PROBE)]
        counted = [(some, total) for some, total in made if isinstance(some, int) and isinstance(total, int)]
        return frozenset(pair for some, total in counted for pair in ((some, total), (total - some, total)))

    @cached_property
    def shares(self) -> frozenset[Fraction]:
        """In percent: of requests, and of the pods that should be there."""
        ready = [(fact.data[key], fact.data["desired"]) for fact in self._of(FactKind.WORKLOAD) for key in ("ready", "available")]
        pairs = [*self.requests, *((some, total) for some, total in ready if isinstance(some, int) and isinstance(total, int))]
        parts = {Fraction(100 * some, total) for some, total in pairs if total > 0}
        return frozenset(parts | {100 - part for part in parts})

    @cached_property
    def sizes(self) -> frozenset[Fraction]:
        """In bytes."""
        written = {size for word in _SIZE.findall(self.text) if (size := quantity(word)) is not None}
        return frozenset(written | self.numbers)

    @cached_property
    def lengths(self) -> tuple[float, ...]:
        """In seconds: those that are written, and those between the times on record."""
        written = [seconds(*match.groups()) for match in TIME.finditer(self.text)]
        return (*written, *(abs((a - b).total_seconds()) for a, b in combinations(self._moments, 2)))

    @cached_property
    def _moments(self) -> tuple[datetime, ...]:
        """When the facts are of, when the alert began, and when it was looked."""
        created = [datetime.fromisoformat(str(fact.data["created_at"])) for fact in self._of(FactKind.REVISION)]
        own = [fact.time for fact in self.facts if fact.time is not None]
        return tuple(dict.fromkeys([*own, *created, self.subject.evidence.alert.started_at, self.subject.evidence.taken_at]))

    def moment(self, said: str) -> bool:
        """Whether a time of day, or a date, is one of those on record."""
        plain = said.replace(" ", "T").rstrip("Z")
        return any(plain in moment.isoformat() for moment in self._moments) or self.name(said)


def _counters(fact: Fact) -> Iterable[int]:
    if fact.kind is FactKind.WORKLOAD:
        state = [number for key in _STATE for number in _whole(fact.data[key])]
        return [*state, *(abs(a - b) for a, b in combinations(state, 2) if a != b)]
    written = re.findall(r"(?<![\w.])\d+(?![\w.])", fact.text) if fact.kind in _TOLD else ()
    return [*(n for key in _COUNTERS.get(fact.kind, ()) for n in _whole(fact.data[key])), *(int(number) for number in written)]


def _whole(value: Any) -> list[int]:
    return [value] if isinstance(value, int) and not isinstance(value, bool) else []


def _numbers(value: Any) -> Iterator[int]:
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _numbers(item)
    else:
        yield from _whole(value)


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _strings(item)
    elif isinstance(value, str):
        yield value
