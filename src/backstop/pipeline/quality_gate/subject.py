"""One diagnosis before the rules, and what the rules ask of it again and again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Final

from backstop.grounds import Grounds
from backstop.records import Diagnosis, Evidence, Fact, FactKind, NoAction

SKEW: Final = timedelta(seconds=2)
"""Between the clocks of a cluster and of whoever raised the alert."""

LOGS: Final = frozenset({FactKind.LOG, FactKind.LOG_PREVIOUS})


@dataclass(frozen=True)
class Subject:
    """One diagnosis, the evidence that it rests on, and when it is judged."""

    diagnosis: Diagnosis
    evidence: Evidence
    now: datetime
    max_age_seconds: float
    by_rules: bool

    @cached_property
    def grounds(self) -> Grounds:
        return Grounds(self.evidence)

    @property
    def writes(self) -> bool:
        return not isinstance(self.diagnosis.action, NoAction)

    @cached_property
    def own(self) -> tuple[Fact, ...]:
        """The facts about the suspect, its pods and its Services."""
        return self.grounds.facts_of(self.diagnosis.suspect)

    def own_of(self, *kinds: FactKind) -> tuple[Fact, ...]:
        return self.grounds.facts_of(self.diagnosis.suspect, *kinds)

    def cited(self) -> tuple[str, ...]:
        """Every fact id that the diagnosis names, in order, once."""
        diagnosis = self.diagnosis
        ids = [fact for claim in diagnosis.claims for fact in (*claim.facts, *(quote.fact for quote in claim.quotes))]
        if diagnosis.change is not None:
            ids.append(diagnosis.change.fact)
        return tuple(dict.fromkeys(ids))

    def fact(self, fact_id: str) -> Fact:
        fact = self.evidence.fact(fact_id)
        if fact is None:
            raise LookupError(f"there is no fact {fact_id}")
        return fact

    def cited_facts(self) -> tuple[Fact, ...]:
        return tuple(self.fact(fact_id) for fact_id in self.cited())
