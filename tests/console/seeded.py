"""A console full of incidents of every kind, worked by the real pipeline on shops in memory: for tests, pictures, and to look at.

python -m tests.console.seeded     serves it until it is interrupted, and prints where
"""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import aiohttp

from backstop.clock import ManualClock
from backstop.console import Parts, build_console
from backstop.console.sessions import Sessions
from backstop.engine.memory import MemoryIncidents
from backstop.engine.port import Counts, IncidentSummary, State, Submitted
from backstop.errors import NotFoundError
from backstop.events import Event, EventLog
from backstop.policy import DEFAULT
from backstop.receipts import Issuer, load_public
from backstop.receipts.keys import public_pem
from backstop.records import Alert, Claim, Diagnosis, Evidence
from backstop.service import Access, build_app
from backstop.settings import Settings
from tests.console.shown import Visit
from tests.engine.incidents_contract import reached
from tests.engine.memory_shop import with_approval
from tests.pipeline.shop import BAD, CHECKOUT, GOOD, Shop, hallucinated, no_fault, right
from tests.service.served import running

Diagnoses = Callable[[Evidence], Diagnosis]
FAILS = "requests to checkout fail"
HOSTILE = '<script>alert("x")</script> \x1b[31mred\x1b[0m \u202eevil\u202c <img src=x onerror=alert(document)> {{ config }}'
"""What a model or a log may say."""


def hostile(evidence: Evidence) -> Diagnosis:
    """The right diagnosis, in words that would like to be something else."""
    said = right(evidence)
    claims = tuple(Claim(text=f"{HOSTILE} {claim.text}", facts=claim.facts, quotes=claim.quotes) for claim in said.claims)
    return said.model_copy(update={"hypothesis": HOSTILE, "claims": claims})


@dataclass
class Gathered:
    """`Incidents` of several shops, the newest shop's first."""

    clock: ManualClock
    of: dict[str, MemoryIncidents] = field(default_factory=dict)

    def _of(self, incident: str) -> MemoryIncidents:
        if incident not in self.of:
            raise NotFoundError("there is no such incident", unchanged="nothing was changed", todo="list those that there are")
        return self.of[incident]

    async def submit(self, alert: Alert) -> Submitted:
        return await next(reversed(self.of.values())).submit(alert)

    async def recent(self, *, limit: int = 50, state: State | None = None, prefix: str = "") -> tuple[IncidentSummary, ...]:
        found = [one for shop in dict.fromkeys(reversed(self.of.values())) for one in await shop.recent(state=state, prefix=prefix)]
        return tuple(sorted(found, key=lambda one: one.received_at, reverse=True)[:limit])

    async def counts(self) -> Counts:
        every = await self.recent(limit=10_000)
        outcomes = Counter(one.outcome for one in every if one.outcome is not None)
        return Counts(states=dict(Counter(one.state for one in every)), outcomes=dict(outcomes))

    async def find(self, incident: str) -> IncidentSummary:
        return await self._of(incident).find(incident)

    async def events(self, incident: str, after: int = 0) -> tuple[Event, ...]:
        return await self._of(incident).events(incident, after)

    async def approve(self, incident: str, *, by: str, why: str, decision: str | None = None) -> None:
        await self._of(incident).approve(incident, by=by, why=why, decision=decision)

    async def reject(self, incident: str, *, by: str, why: str, decision: str | None = None) -> None:
        await self._of(incident).reject(incident, by=by, why=why, decision=decision)

    async def cancel(self, incident: str, *, by: str, why: str) -> None:
        await self._of(incident).cancel(incident, by=by, why=why)


@dataclass
class Seeds:
    """Where stories are told."""

    directory: Path
    stack: AsyncExitStack
    clock: ManualClock = field(default_factory=ManualClock)

    def __post_init__(self) -> None:
        self.incidents = Gathered(self.clock)
        self.receipts = self.directory / "receipts"

    async def alert(self, shop: Shop, name: str, *, asks: bool = False, summary: str = FAILS) -> str:
        """Another incident, in that shop's cluster."""
        policy = with_approval() if asks else DEFAULT
        shop.executor.policy = policy
        log = self.stack.enter_context(EventLog(shop.record, shop.clock))
        incidents = await self.stack.enter_async_context(MemoryIncidents(shop.tools(log, policy=policy)))
        self.incidents.of[name] = incidents
        alert = Alert(
            id=name,
            name="HighErrorRate",
            target=CHECKOUT,
            service="checkout",
            summary=summary,
            started_at=self.clock.now() - timedelta(seconds=2),
        )
        return (await incidents.submit(alert)).incident

    def shop(self, name: str, *answers: Diagnoses, broken: bool = True) -> Shop:
        """A cluster of its own."""
        shop = Shop(self.directory / name, self.clock, broken)
        shop.script(*answers)
        return shop

    async def asking(self, name: str, *answers: Diagnoses, shop: Shop | None = None, summary: str = FAILS) -> str:
        """One that waits for a person. A shop that is made now takes an hour to get going: the time of who waits already."""
        if shop is not None:
            shop.cluster.release("checkout", BAD)
            self.clock.advance(5)
        found = await self.alert(shop or self.shop(name, *answers), name, asks=True, summary=summary)
        there = await reached(self.incidents, found, "awaiting_approval", "closed")
        assert there.state == "awaiting_approval", there.reason
        return found

    async def ended(self, name: str) -> str:
        await reached(self.incidents, name, "closed", "cancelled", "failed")
        return name

    async def sign(self, name: str) -> None:
        """As the executor would."""
        events = await self.incidents.events(name)
        writes = [
            {"action_id": e.body.write.action_id, "audit_id": e.body.write.audit_id} for e in events if e.body.type == "written"
        ]
        about = {"policy": "p", "admission_policy": "a", "writes": writes, "unconfirmed": []}
        issuer = Issuer(self.directory / "keys", self.directory / "issued", self.clock)
        issued = issuer.issue([event.line() for event in events], executor=about, agent={"prompts": "0" * 64})
        self.receipts.mkdir(exist_ok=True)
        (self.receipts / f"{name}.json").write_text(issued.receipt)
        (self.receipts / "receipt.pub").write_text("".join(public_pem(k) for k in load_public(self.directory / "keys").values()))


async def seed(seeds: Seeds) -> None:
    """Ten of them; the last two wait for a person."""
    for tell in (_resolved, _refused, _no_fault, _undone, _approved, _rejected, _expired, _cancelled):
        await tell(seeds)
        seeds.clock.advance(1700)
    shops = seeds.shop("am-hostile-09", hostile, broken=False), seeds.shop("am-asking-10", right, broken=False)
    await seeds.asking("am-hostile-09", shop=shops[0], summary=HOSTILE)
    seeds.clock.advance(200)
    await seeds.asking("am-asking-10", shop=shops[1])
    seeds.clock.advance(75)


async def _resolved(seeds: Seeds) -> None:
    name = await seeds.alert(seeds.shop("am-resolved-01", right), "am-resolved-01")
    await seeds.sign(await seeds.ended(name))


async def _refused(seeds: Seeds) -> None:
    name = await seeds.alert(seeds.shop("am-refused-02", hallucinated), "am-refused-02")
    await seeds.sign(await seeds.ended(name))


async def _no_fault(seeds: Seeds) -> None:
    name = await seeds.alert(seeds.shop("false-alarm-03", no_fault, broken=False), "false-alarm-03", summary="one request was slow")
    await seeds.ended(name)


async def _undone(seeds: Seeds) -> None:
    shop = seeds.shop("am-undone-04", right)
    shop.cluster.failing_images.add(GOOD)
    await seeds.ended(await seeds.alert(shop, "am-undone-04"))


async def _approved(seeds: Seeds) -> None:
    name = await seeds.asking("am-approved-05", right)
    await seeds.incidents.approve(name, by="Ada Lovelace", why="the release is mine, take it back")
    await seeds.sign(await seeds.ended(name))


async def _rejected(seeds: Seeds) -> None:
    name = await seeds.asking("am-rejected-06", right)
    await seeds.incidents.reject(name, by="Grace", why="a migration is running")
    await seeds.ended(name)


async def _expired(seeds: Seeds) -> None:
    name = await seeds.asking("am-expired-07", right)
    asks = (await seeds.incidents.find(name)).asks
    assert asks is not None
    seeds.clock.advance((asks.expires_at - seeds.clock.now()).total_seconds() + 1)
    await seeds.ended(name)


async def _cancelled(seeds: Seeds) -> None:
    name = await seeds.asking("am-cancelled-08", right)
    await seeds.incidents.cancel(name, by="Ada", why="I am on it")
    await seeds.ended(name)


@dataclass
class Seeded(Visit):
    """With where its incidents are made."""

    seeds: Seeds


@asynccontextmanager
async def seeded(directory: Path, tell: Callable[[Seeds], Awaitable[None]] = seed) -> AsyncIterator[Seeded]:
    """A console over what was told."""
    async with AsyncExitStack() as stack, aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as visitor:
        seeds = Seeds(directory, stack)
        await tell(seeds)
        clock, access = seeds.clock, Access()
        parts = Parts(
            seeds.incidents, access, DEFAULT, clock, Sessions(clock), Settings(), receipts=seeds.receipts, runs=directory / "runs"
        )
        app = build_console(build_app(seeds.incidents, access, DEFAULT, clock=clock, receipts=seeds.receipts), parts)
        async with running(app, access) as url:
            try:
                yield Seeded(url, parts, visitor, seeds)
            finally:
                app.leave()


async def _serve() -> None:
    with tempfile.TemporaryDirectory() as directory:
        async with seeded(Path(directory)) as console:
            print(console.url, flush=True)  # noqa: T201  it is a program
            await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve())
