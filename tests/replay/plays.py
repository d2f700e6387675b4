"""What may happen in an incident, played in memory: the failure modes of the scenarios, and the turns that no scenario takes."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from functools import cache
from pathlib import Path
from typing import Any, Final

from backstop.errors import ClusterUnavailable, ModelError
from backstop.events import Event, read_events
from backstop.policy import Policy
from backstop.ports import RULES
from backstop.records import Check, Evidence, Restart, Verdict
from backstop.rules import diagnose
from backstop.testing import Lost
from tests.pipeline.shop import CHECKOUT, GOOD, PROD_DB, Shop, hallucinated, no_fault, right
from tests.pipeline.test_consent import Person, no, with_mode, yes

Play = Callable[[Shop], Awaitable[object]]


async def clean_signal(shop: Shop) -> object:
    return await shop.incident()


async def hallucinated_diagnosis(shop: Shop) -> object:
    shop.script(hallucinated, right, opinion=lambda proposal: proposal.diagnosis.suspect == CHECKOUT)
    return await shop.incident()


async def cascading_failure(shop: Shop) -> object:
    shop.script(hallucinated, opinion=False)
    return await shop.incident()


async def tool_failure(shop: Shop) -> object:
    shop.executor.gone = True
    return await shop.incident()


async def reply_lost(shop: Shop) -> object:
    shop.executor.failures = [Lost(ClusterUnavailable("HTTP 504"))]
    return await shop.incident()


async def cluster_gone(shop: Shop) -> object:
    shop.cluster.read_error = ClusterUnavailable("HTTP 503", status=503)
    return await shop.incident()


async def no_model(shop: Shop) -> object:
    shop.script(ModelError("nobody answered"))
    return await shop.incident()


async def all_models_down(shop: Shop) -> object:
    shop.script(diagnose)
    shop.models.family = RULES
    return await shop.incident()


async def destructive_action(shop: Shop) -> object:
    """Grounded, and aimed at what the policy protects; the judge is of no help."""
    aimed = Restart(verb="restart", target=PROD_DB)
    shop.script(lambda evidence: right(evidence).model_copy(update={"action": aimed}))
    return await shop.incident()


async def judge_says_no(shop: Shop) -> object:
    shop.script(right, opinion=Verdict(stage="judge", checks=(Check(rule="J-CLAIM-1", passed=False, reason="no"),)))
    return await shop.incident()


async def false_alarm(shop: Shop) -> object:
    shop.cluster.release("checkout", GOOD)
    shop.script(no_fault)
    return await shop.incident()


async def wrong_but_plausible_fix(shop: Shop) -> object:
    shop.cluster.failing_images.add(GOOD)
    return await shop.incident()


async def world_moved(shop: Shop) -> object:
    shop.script(right, no_fault)
    shop.cluster.before_observe.append(lambda: shop.cluster.release("checkout", "demo/web:1.1"))
    return await shop.incident()


async def status_moved(shop: Shop) -> object:
    shop.cluster.before_observe += [lambda: None, lambda: shop.cluster.touch("checkout")]
    return await shop.incident()


async def looked_closer(shop: Shop) -> object:
    shop.models.lookups = [("diff_revisions", '{"deployment":"checkout","from_revision":1,"to_revision":2}')]
    return await shop.incident()


async def recovered_meanwhile(shop: Shop) -> object:
    """Nothing is wrong any more when the gate measures once more."""

    def answer(evidence: Evidence) -> Any:
        shop.cluster.failing_images.clear()
        return right(evidence)

    shop.script(answer)
    return await shop.incident()


async def observed(shop: Shop) -> object:
    return await shop.incident(mode="observe")


async def approved(shop: Shop) -> object:
    return await asked(shop, Person(shop, yes))


async def rejected(shop: Shop) -> object:
    return await asked(shop, Person(shop, no))


async def nobody_asked(shop: Shop) -> object:
    return await asked(shop, None)


async def asked(shop: Shop, person: Person | None) -> object:
    policy = with_mode("approve")
    shop.executor.policy = policy
    return await shop.incident(policy=policy, approver=person)


async def second_incident(shop: Shop) -> object:
    """After one that wrote: the cooldown refuses."""
    await shop.incident()
    shop.cluster.release("checkout", "demo/web:1.2-errors")
    shop.clock.advance(5)
    return await shop.incident()


PLAYS: Final[dict[str, Play]] = {
    play.__name__: play
    for play in (
        clean_signal, hallucinated_diagnosis, cascading_failure, tool_failure, reply_lost, cluster_gone, no_model, all_models_down,
        destructive_action, judge_says_no, false_alarm, wrong_but_plausible_fix, world_moved, status_moved, looked_closer,
        recovered_meanwhile, observed, approved, rejected, nobody_asked, second_incident,
    )
}  # fmt: skip


@cache
def played(name: str) -> tuple[Event, ...]:
    """The record of the last incident of one play."""
    with tempfile.TemporaryDirectory() as home:
        shop = Shop(Path(home))
        asyncio.run(_run(PLAYS[name], shop))
        events = tuple(read_events(shop.record))
    return tuple(event for event in events if event.incident == events[-1].incident)


async def _run(play: Play, shop: Shop) -> None:
    await play(shop)


def policy_of(name: str) -> Policy:
    from backstop.policy import DEFAULT

    return with_mode("approve") if name in {"approved", "rejected", "nobody_asked"} else DEFAULT
