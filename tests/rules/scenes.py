"""Evidence to reason about: recorded from clusters, built from the fake one, and edited fact by fact."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from backstop.clock import ManualClock
from backstop.pipeline.evidence import gather
from backstop.records import Alert, Evidence, Fact, FactKind, ObjectRef, Omission, WorkloadRef
from backstop.testing import FakeCluster

CHECKOUT = WorkloadRef(kind="Deployment", namespace="shop", name="checkout")
PROD_DB = WorkloadRef(kind="Deployment", namespace="shop", name="prod-db")
STOREFRONT = WorkloadRef(kind="Deployment", namespace="shop", name="storefront")

FOLDERS = {"plain": Path(__file__).parents[1] / "emulator" / "evidence", "fleet": Path(__file__).parent / "evidence"}
RECORDED = {f"{kind}/{path.stem}": path for kind, folder in FOLDERS.items() for path in sorted(folder.glob("*.json"))}

GOOD, BAD = "demo/web:1.0", "demo/web:1.2-errors"


def recorded(name: str) -> Evidence:
    return Evidence.model_validate_json(RECORDED[name].read_bytes())


def edited(evidence: Evidence, edit: Callable[[Fact], Fact | None]) -> Evidence:
    """The evidence with each fact as `edit` gives it back, or without it."""
    facts = [edit(fact) for fact in evidence.facts]
    return evidence.model_copy(update={"facts": tuple(fact for fact in facts if fact is not None)})


def altered(evidence: Evidence, chosen: Callable[[Fact], bool], **data: Any) -> Evidence:
    """The evidence with other data in the facts that are chosen; it is an error if none is."""
    assert any(chosen(fact) for fact in evidence.facts)
    return edited(evidence, lambda f: f.model_copy(update={"data": {**f.data, **data}}) if chosen(f) else f)


def without(evidence: Evidence, chosen: Callable[[Fact], bool]) -> Evidence:
    assert any(chosen(fact) for fact in evidence.facts)
    return edited(evidence, lambda f: None if chosen(f) else f)


def of(kind: FactKind, name: str = "") -> Callable[[Fact], bool]:
    """Facts of one kind about objects whose name starts so."""
    return lambda fact: fact.kind is kind and fact.about.name.startswith(name)


def omitted(evidence: Evidence, about: ObjectRef, why: str) -> Evidence:
    omission = Omission.model_validate({"what": "pods", "why": why, "about": about, "detail": "some"})
    return evidence.model_copy(update={"omissions": (*evidence.omissions, omission)})


def alerted(evidence: Evidence, **changes: Any) -> Evidence:
    return evidence.model_copy(update={"alert": evidence.alert.model_copy(update=changes)})


@dataclass
class Chain:
    """`storefront` calls `checkout`, which calls `prod-db`; `catalog` stands beside them. All are an hour old, and well."""

    clock: ManualClock = field(default_factory=ManualClock)

    def __post_init__(self) -> None:
        self.cluster = FakeCluster(self.clock, failing_images={BAD})
        self.cluster.deploy("prod-db", "demo/db:1.0", replicas=2, labels={"tier": "database"})
        self.cluster.deploy("checkout", GOOD, replicas=3, upstream="prod-db")
        self.cluster.deploy("storefront", GOOD, replicas=2, upstream="checkout")
        self.cluster.deploy("catalog", GOOD, replicas=2)
        self.clock.advance(7200)

    def release(self, name: str, image: str = BAD) -> None:
        """A release a minute before whatever comes next."""
        self.cluster.release(name, image)
        self.clock.advance(60)

    async def evidence(self, target: WorkloadRef = STOREFRONT) -> Evidence:
        alert = Alert(
            id="alert-1",
            name="HighErrorRate",
            target=target,
            service=target.name,
            summary="requests fail",
            started_at=self.clock.now(),
        )
        self.clock.advance(2)
        return gather(alert, await self.cluster.look(alert), self.clock.now())
