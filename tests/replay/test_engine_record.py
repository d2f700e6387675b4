"""A record that the engine kept replays like any other."""

from __future__ import annotations

from pathlib import Path

from backstop.replay import recorded_policy, replay, self_check
from tests.engine.durable_shop import durable_shop
from tests.engine.incidents_contract import asking, reached


async def test_what_the_engine_kept_decides_again_as_it_did(tmp_path: Path) -> None:
    async with durable_shop(tmp_path) as there:
        waiting = await asking(there)
        await there.incidents.approve(waiting.id, by="ada", why="mine")
        await reached(there.incidents, waiting.id, "closed", "failed")
        events = await there.incidents.events(waiting.id)
    held = recorded_policy(events)
    assert held is not None
    assert self_check(events).result == "held"
    assert replay(events, held, "the same").parts_at is None
    assert {event.body.type for event in events} >= {"policy_read", "quality_weighed", "action_weighed", "rehearsed"}
