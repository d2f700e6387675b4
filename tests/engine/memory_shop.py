"""A shop whose incidents are kept in memory, for tests of the engine's twin and of what is built on it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from backstop.engine.memory import MemoryIncidents
from backstop.events import EventLog
from backstop.policy import DEFAULT, Policy
from backstop.records import Diagnosis, Evidence
from tests.pipeline.shop import Shop, no_fault, right


@dataclass
class MemoryShop:
    """`incidents_contract.Workplace`, and the shop itself."""

    shop: Shop
    incidents: MemoryIncidents

    def pass_time(self, seconds: float) -> None:
        self.shop.clock.advance(seconds)

    def writes(self) -> int:
        return len(self.shop.executor.applied)


def with_approval() -> Policy:
    """The demo fleet's policy, in which a rollback wants a person."""
    shop = DEFAULT.namespaces[0]
    modes = shop.modes.model_copy(update={"rollback": "approve"})
    return DEFAULT.model_copy(update={"namespaces": (shop.model_copy(update={"modes": modes}), *DEFAULT.namespaces[1:])})


def sees(evidence: Evidence) -> Diagnosis:
    """The bad release if the alert is about it."""
    return right(evidence) if evidence.alert.target.name == "checkout" else no_fault(evidence)


@asynccontextmanager
async def memory_shop(directory: Path) -> AsyncIterator[MemoryShop]:
    shop, policy = Shop(directory), with_approval()
    shop.script(sees)
    shop.executor.policy = policy
    with EventLog(shop.record, shop.clock) as log:
        async with MemoryIncidents(shop.tools(log, policy=policy)) as incidents:
            yield MemoryShop(shop, incidents)
