"""As many shops as there are incidents, each with a bad release of its own, and models that answer at once.

Every incident runs whole and is resolved by a write. Nothing sleeps: who waits for the next measurement moves its own clock on.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal, cast
from weakref import WeakKeyDictionary

from backstop.breaker import Breaker, Budget
from backstop.clock import Clock, ManualClock, SystemClock
from backstop.documents import FileDocument, ledger_file
from backstop.events import EventLog
from backstop.pipeline.calls import CallFeed
from backstop.pipeline.history import History
from backstop.pipeline.session import Tools
from backstop.policy import DEFAULT, Policy
from backstop.ports import InvestigationPort, Look, Proposal
from backstop.records import (
    Alert,
    Approval,
    BlamedChange,
    Claim,
    Diagnosis,
    Evidence,
    Fact,
    FactKind,
    FaultClass,
    Health,
    Inspection,
    Intent,
    Quote,
    Rollback,
    TargetState,
    Verdict,
    WorkloadRef,
    Write,
)
from backstop.settings import Settings
from backstop.testing import FakeCluster, FakeExecutor, ScriptedModels

GOOD, BAD = "demo/web:1.0", "demo/web:1.2-errors"
Mode = Literal["auto", "approve"]


class VirtualClock:
    """The machine's time; in a task that sleeps, the time at which it first did and as much more as it slept since. To sleep
    takes no time, nobody else's clock moves, and every incident is measured as often as on a machine that is never busy."""

    def __init__(self) -> None:
        self._slept = WeakKeyDictionary[asyncio.Task[Any], tuple[datetime, float, float]]()

    def now(self) -> datetime:
        slept = self._own()
        return SystemClock().now() if slept is None else slept[0] + timedelta(seconds=slept[2])

    def monotonic(self) -> float:
        slept = self._own()
        return SystemClock().monotonic() if slept is None else slept[1] + slept[2]

    def _own(self) -> tuple[datetime, float, float] | None:
        try:
            task = asyncio.current_task()
        except RuntimeError:  # a thread of a pool
            return None
        return None if task is None else self._slept.get(task)

    async def sleep(self, seconds: float) -> None:
        task = asyncio.current_task()
        assert task is not None
        at, monotonic, slept = self._own() or (self.now(), self.monotonic(), 0.0)
        self._slept[task] = at, monotonic, slept + max(0.0, seconds)
        await asyncio.sleep(0)


def workload(number: int) -> WorkloadRef:
    return WorkloadRef(kind="Deployment", namespace="shop", name=f"checkout-{number}")


def alert(number: int) -> Alert:
    target = workload(number)
    return Alert(
        id=f"alert-{number}",
        name="HighErrorRate",
        target=target,
        service=target.name,
        summary=f"requests to {target.name} fail",
        started_at=SystemClock().now(),
    )


def policy(numbers: range, mode: Mode) -> Policy:
    """The demo's, for all these workloads, without its limits on how much may happen in an hour."""
    shop = DEFAULT.namespaces[0]
    workloads = tuple(shop.workloads[0].model_copy(update={"name": workload(number).name}) for number in numbers)
    modes = shop.modes.model_copy(update={"rollback": mode})
    namespace = shop.model_copy(update={"workloads": workloads, "modes": modes})
    limits = DEFAULT.limits.model_copy(update={"actions_per_hour": 1_000_000, "approval_seconds": 3600.0})
    return DEFAULT.model_copy(update={"namespaces": (namespace,), "limits": limits})


def _cluster(number: int, clock: Clock) -> FakeCluster:
    began = ManualClock(SystemClock().now() - timedelta(seconds=3605))
    name, cluster = workload(number).name, FakeCluster(began, failing_images={BAD})
    cluster.deploy("prod-db", "demo/db:1.0", replicas=2, labels={"tier": "database"})
    cluster.deploy(name, GOOD, replicas=3, upstream="prod-db")
    cluster.deploy("catalog", GOOD, replicas=2, upstream="prod-db")
    began.advance(3600)
    cluster.release(name, BAD)
    cluster.clock = clock
    return cluster


@dataclass
class Fleet:
    """The `ClusterPort` and the `ExecutorPort` of all of them, by the name of the workload. Shops are made when they are met."""

    policy: Policy
    clock: Clock

    def __post_init__(self) -> None:
        self._shops: dict[str, FakeExecutor] = {}
        self._writes: dict[str, str] = {}

    def _shop(self, name: str) -> FakeExecutor:
        if name not in self._shops:
            number = int(name.removeprefix("checkout-"))
            self._shops[name] = FakeExecutor(_cluster(number, self.clock), self._own(name), self.clock)
        return self._shops[name]

    def _own(self, name: str) -> Policy:
        """Its line of the policy: an executor's look-up in it is not what is measured."""
        (namespace,) = self.policy.namespaces
        mine = tuple(listed for listed in namespace.workloads if listed.name == name)
        return self.policy.model_copy(update={"namespaces": (namespace.model_copy(update={"workloads": mine}),)})

    def meet(self, numbers: range) -> None:
        """Makes the shops now, and so no part of what is measured."""
        for number in numbers:
            self._shop(workload(number).name)

    async def look(self, about: Alert) -> Look:
        return await self._shop(about.target.name).cluster.look(about)

    async def observe(self, target: WorkloadRef) -> TargetState:
        return await self._shop(target.name).cluster.observe(target)

    async def measure(self, namespace: str, services: tuple[str, ...], requests: int) -> Health:
        (name,) = (service for service in services if service.startswith("checkout-"))
        return await self._shop(name).cluster.measure(namespace, services, requests)

    async def inspect(self, namespace: str, query: Any) -> Inspection:
        raise NotImplementedError

    async def rehearse(self, intent: Intent) -> Verdict:
        return await self._shop(_name(intent)).rehearse(intent)

    async def apply(self, intent: Intent, approval: Approval | None = None) -> Write:
        self._writes[intent.action_id] = _name(intent)
        return await self._shop(_name(intent)).apply(intent, approval)

    async def undo(self, action_id: str) -> Write:
        return await self._shop(self._writes[action_id]).undo(action_id)


def _name(intent: Intent) -> str:
    return cast("Rollback", intent.action).target.name


class Models:
    """The `ModelPort`: right, and at once."""

    def __init__(self, feed: CallFeed) -> None:
        self._models = ScriptedModels([right], on_call=feed)

    async def diagnose(
        self,
        evidence: Evidence,
        *,
        attempt: int,
        rejected: tuple[str, ...],
        behind: str | None = None,
        investigation: InvestigationPort | None = None,
    ) -> Proposal:
        self._models.told.clear()
        return await self._models.diagnose(evidence, attempt=attempt, rejected=rejected, behind=behind, investigation=investigation)

    async def judge(self, proposal: Proposal, evidence: Evidence) -> Verdict:
        return await self._models.judge(proposal, evidence)


def _claim(fact: Fact, text: str) -> Claim:
    return Claim(text=text, facts=(fact.id,), quotes=(Quote(fact=fact.id, line=fact.lines()[0]),))


def right(evidence: Evidence) -> Diagnosis:
    """The bad release, and the way back."""
    target = evidence.alert.target
    revisions = {bool(fact.data["current"]): fact for fact in evidence.about(target, FactKind.REVISION)}
    probes = [fact for fact in evidence.facts if fact.kind is FactKind.PROBE and fact.data["service"] == target.name]
    now, before = (int(str(revisions[current].data["number"])) for current in (True, False))
    return Diagnosis(
        hypothesis=f"revision {now} of {target.name} serves errors",
        fault_class=FaultClass.BAD_RELEASE,
        suspect=target,
        change=BlamedChange(fact=revisions[True].id, revision=now),
        claims=(_claim(revisions[True], f"revision {now} runs"), _claim(probes[0], "requests fail")),
        action=Rollback(verb="rollback", target=target, to_revision=before),
        confidence=0.9,
    )


def tools(home: Path, numbers: range, mode: Mode, log: EventLog, clock: Clock) -> Tools:
    """What incidents of these workloads are worked with, and their shops."""
    rules = policy(numbers, mode)
    fleet, feed = Fleet(rules, clock), CallFeed()
    fleet.meet(numbers)
    return Tools(
        cluster=fleet,
        models=Models(feed),
        executor=fleet,
        policy=rules,
        breaker=Breaker(ledger_file(home / "breaker.json"), clock, Budget()),
        history=History(FileDocument(home / "history.json")),
        log=log,
        clock=clock,
        settings=Settings(),
        calls=feed,
        mode="auto",
        approver=None,
    )
