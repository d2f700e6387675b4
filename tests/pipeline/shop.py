"""A shop in memory: `checkout` calls `prod-db`, and a bad release of `checkout` has just gone out."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from backstop.breaker import Breaker, Budget
from backstop.clock import ManualClock
from backstop.documents import FileDocument, ledger_file
from backstop.events import AnyBody, DefenseFired, EventLog, VerdictReached, read_events
from backstop.pipeline.calls import CallFeed
from backstop.pipeline.history import History
from backstop.pipeline.incident import Incident
from backstop.pipeline.session import Tools
from backstop.policy import DEFAULT
from backstop.records import (
    Alert,
    BlamedChange,
    Claim,
    Diagnosis,
    Evidence,
    Fact,
    FactKind,
    FaultClass,
    NoAction,
    Outcome,
    Quote,
    Rollback,
    Scale,
    WorkloadRef,
)
from backstop.settings import Settings
from backstop.testing import Answer, FakeCluster, FakeExecutor, Opinion, ScriptedModels

B = TypeVar("B")

GOOD, BAD = "demo/web:1.0", "demo/web:1.2-errors"
CHECKOUT = WorkloadRef(kind="Deployment", namespace="shop", name="checkout")
PROD_DB = WorkloadRef(kind="Deployment", namespace="shop", name="prod-db")


def claim(fact: Fact, text: str = "this is so") -> Claim:
    return Claim(text=text, facts=(fact.id,), quotes=(Quote(fact=fact.id, line=fact.lines()[0]),))


def only(facts: tuple[Fact, ...]) -> Fact:
    assert len(facts) == 1
    return facts[0]


def revision(evidence: Evidence, *, current: bool, target: WorkloadRef = CHECKOUT) -> Fact:
    return only(tuple(f for f in evidence.about(target, FactKind.REVISION) if f.data["current"] is current))


def probe(evidence: Evidence, service: str = "checkout") -> Fact:
    return only(tuple(f for f in evidence.facts if f.kind is FactKind.PROBE and f.data["service"] == service))


def right(evidence: Evidence) -> Diagnosis:
    """The bad release, and the way back."""
    change, number = revision(evidence, current=True), int(str(revision(evidence, current=False).data["number"]))
    return Diagnosis(
        hypothesis="revision 2 of checkout serves errors",
        fault_class=FaultClass.BAD_RELEASE,
        suspect=CHECKOUT,
        change=BlamedChange(fact=change.id, revision=int(str(change.data["number"]))),
        claims=(
            claim(change, f"revision {change.data['number']} runs"),
            claim(probe(evidence), "requests to service checkout fail"),
        ),
        action=Rollback(verb="rollback", target=CHECKOUT, to_revision=number),
        confidence=0.9,
    )


def hallucinated(evidence: Evidence) -> Diagnosis:
    """The database did it; take it to zero. Every quote is real."""
    return Diagnosis(
        hypothesis="prod-db is overloaded",
        fault_class=FaultClass.DEPENDENCY_DOWN,
        suspect=PROD_DB,
        change=None,
        claims=(claim(probe(evidence)), claim(only(evidence.about(PROD_DB, FactKind.WORKLOAD)))),
        action=Scale(verb="scale", target=PROD_DB, replicas=0),
        confidence=0.99,
    )


def no_fault(evidence: Evidence) -> Diagnosis:
    state = only(evidence.about(CHECKOUT, FactKind.WORKLOAD))
    return Diagnosis(
        hypothesis="nothing is wrong",
        fault_class=FaultClass.NO_FAULT,
        suspect=CHECKOUT,
        change=None,
        claims=(claim(state),),
        action=NoAction(verb="no_action"),
        confidence=0.5,
    )


@dataclass
class Shop:
    """One cluster and everything an incident needs, with a state directory that outlives an incident."""

    directory: Path
    clock: ManualClock = field(default_factory=ManualClock)
    broken: bool = True
    settings: Settings = field(default_factory=Settings)
    number: int = 0

    def __post_init__(self) -> None:
        self.cluster = FakeCluster(self.clock, failing_images={BAD})
        self.executor = FakeExecutor(self.cluster, DEFAULT, self.clock)
        self.feed = CallFeed()
        self.models = ScriptedModels([right], on_call=self.feed)
        self.breaker = Breaker(ledger_file(self.directory / "breaker.json"), self.clock, Budget())
        self.cluster.deploy("prod-db", "demo/db:1.0", replicas=2, labels={"tier": "database"})
        self.cluster.deploy("checkout", GOOD, replicas=3, upstream="prod-db")
        self.cluster.deploy("catalog", GOOD, replicas=2, upstream="prod-db")
        self.clock.advance(3600)
        if self.broken:
            self.cluster.release("checkout", BAD)
        self.clock.advance(5)

    @property
    def record(self) -> Path:
        return self.directory / "events.jsonl"

    def script(self, *answers: Answer, opinion: Opinion = True) -> None:
        self.models = ScriptedModels(answers, opinion, on_call=self.feed)

    def alert(self) -> Alert:
        self.number += 1
        return Alert(
            id=f"alert-{self.number}",
            name="HighErrorRate",
            target=CHECKOUT,
            service="checkout",
            summary="requests to checkout fail",
            started_at=self.clock.now(),
        )

    def tools(self, log: EventLog, **other: Any) -> Tools:
        own = {
            "cluster": self.cluster,
            "models": self.models,
            "executor": self.executor,
            "policy": DEFAULT,
            "breaker": self.breaker,
        }
        rest = {
            "history": History(FileDocument(self.directory / "history.json")),
            "clock": self.clock,
            "settings": self.settings,
            "calls": self.feed,
            "mode": "auto",
            "approver": None,
        }
        return Tools(**{**own, **rest, "log": log, **other})

    async def incident(self, **other: Any) -> Outcome:
        """One incident from its alert to its end."""
        with EventLog(self.record, self.clock) as log:
            return await Incident(self.tools(log, **other), self.alert()).run()

    def bodies(self) -> list[AnyBody]:
        """What is on record, whole and in order."""
        return [event.body for event in read_events(self.record)]

    def events(self, kind: type[B]) -> list[B]:
        return [body for body in self.bodies() if isinstance(body, kind)]

    def defenses(self) -> list[str]:
        return [body.defense for body in self.events(DefenseFired)]

    def decisions(self) -> list[tuple[str, str, bool, str]]:
        """(stage, rule, passed, action), in order."""
        return [(r.verdict.stage, c.rule, c.passed, r.action) for r in self.events(VerdictReached) for c in r.verdict.checks]

    def untouched(self) -> bool:
        """Whether nothing was written to anything."""
        return not self.executor.applied and not self.executor.undone
