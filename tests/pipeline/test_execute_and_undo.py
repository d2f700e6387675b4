"""What an error of a write means, how a write is recognised, and when it counts as taken back."""

from __future__ import annotations

from typing import Any

import pytest

from backstop.errors import (
    BackstopError,
    ClusterConflict,
    ClusterRefused,
    ClusterUnavailable,
    ExecutorError,
    InvariantError,
    ReplyLost,
)
from backstop.pipeline.execute import ACTION_ID, carried_out, failure, mismatch, recovered_write
from backstop.pipeline.plan import action_id_for, plan
from backstop.pipeline.undo import check_restored
from backstop.policy import DEFAULT
from backstop.records import (
    Action,
    Approval,
    Intent,
    NoAction,
    OutcomeKind,
    Restart,
    Rollback,
    Scale,
    SetResources,
    TargetState,
    Write,
)
from backstop.testing import FakeExecutor
from tests.pipeline.shop import CHECKOUT, Shop

ACTIONS: list[Action] = [
    Rollback(verb="rollback", target=CHECKOUT, to_revision=1),
    Restart(verb="restart", target=CHECKOUT),
    Scale(verb="scale", target=CHECKOUT, replicas=4),
    SetResources(verb="set_resources", target=CHECKOUT, container="app", memory_limit_bytes=2**27),
]


@pytest.mark.parametrize(
    ("error", "applied"),
    [
        (ClusterConflict("409"), "no"),
        (ClusterRefused("403"), "no"),
        (ClusterUnavailable("503"), "no"),
        (ExecutorError("refused", unchanged="nothing was written"), "no"),
        (ExecutorError("it ended in the middle of a call"), "unknown"),
        (ReplyLost("cut"), "unknown"),
        (InvariantError("a bug"), "unknown"),
        (BackstopError("whatever"), "unknown"),
    ],
)
def test_whatever_is_not_known_to_have_changed_nothing_is_unknown(error: BackstopError, applied: str) -> None:
    assert failure(error).applied == applied


async def planned(shop: Shop, action: Action) -> tuple[Intent, TargetState]:
    state = await shop.cluster.observe(CHECKOUT)
    return plan(action, state, action_id="bs-abc-1", at=shop.clock.now()), state


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.verb)
async def test_every_write_is_planned_alike_made_as_planned_recognised_and_undone(shop: Shop, action: Action) -> None:
    intent, state = await planned(shop, action)
    assert (await planned(shop, action))[0] == intent, "the same observation gives the same plan"
    assert carried_out(intent, state) is None, "it may still be on its way"
    executor = FakeExecutor(shop.cluster, DEFAULT, shop.clock)
    write = await executor.apply(intent)
    assert mismatch(intent, write) == ""
    after = await shop.cluster.observe(CHECKOUT)
    assert carried_out(intent, after) is True
    assert mismatch(intent, recovered_write(intent, after)) == ""
    assert check_restored(intent, after).failed_rules == ("U-AS-BEFORE",)
    await executor.undo(intent.action_id)
    assert check_restored(intent, await shop.cluster.observe(CHECKOUT)).passed


async def test_a_target_that_moved_on_without_the_write_shows_that_it_was_not_made(shop: Shop) -> None:
    intent, _ = await planned(shop, ACTIONS[2])
    shop.cluster.scale("checkout", 5)
    assert carried_out(intent, await shop.cluster.observe(CHECKOUT)) is False


async def test_another_object_of_the_same_name_bears_nothing_of_ours(shop: Shop) -> None:
    intent, state = await planned(shop, ACTIONS[2])
    impostor = state.model_copy(update={"uid": "another", "annotations": {ACTION_ID: intent.action_id}})
    assert carried_out(intent, impostor) is False
    assert "U-SAME-OBJECT" in check_restored(intent, impostor).failed_rules


@pytest.mark.parametrize("other", [{"action_id": "bs-xyz-1"}, {"verb": "restart"}, {"after": {"replicas": 9}}, {"after": {}}])
async def test_a_write_that_is_not_the_decided_one_is_told(shop: Shop, other: dict[str, Any]) -> None:
    intent, state = await planned(shop, ACTIONS[2])
    assert mismatch(intent, recovered_write(intent, state).model_copy(update=other)) != ""


async def test_nothing_was_restored_of_what_was_never_written(shop: Shop) -> None:
    intent, state = await planned(shop, ACTIONS[2])
    idle = intent.model_copy(update={"action": NoAction(verb="no_action")})
    assert not check_restored(idle, state).passed
    with pytest.raises(TypeError):
        recovered_write(idle, state)


def test_the_same_incident_and_attempt_name_the_same_write() -> None:
    assert action_id_for("a", 1) == action_id_for("a", 1)
    assert len({action_id_for(incident, attempt) for incident in ("a", "b") for attempt in (1, 2)}) == 4
    assert action_id_for("Any Id/at all", 1).startswith("bs-")


async def test_the_plan_hash_covers_every_part_of_the_plan(shop: Shop) -> None:
    intent, _ = await planned(shop, ACTIONS[0])
    for name in set(Intent.model_fields) - {"plan_hash"}:
        value: Any = {"generation": 99, "before": {}, "after": {}, "action": ACTIONS[1]}.get(name, "bs-other-1")
        assert intent.model_copy(update={name: value}).expected_hash() != intent.plan_hash, name


class Wilful(FakeExecutor):
    """Does as it is told, and says that it did something else."""

    async def apply(self, intent: Intent, approval: Approval | None = None) -> Write:
        return (await super().apply(intent, approval)).model_copy(update={"verb": "restart"})


async def test_a_write_that_was_answered_as_another_is_taken_back(shop: Shop) -> None:
    executor = Wilful(shop.cluster, DEFAULT, shop.clock)
    outcome = await shop.incident(executor=executor)
    assert outcome.kind is OutcomeKind.UNDONE, outcome.reason
    assert shop.defenses() == ["tool_guard", "undo"]
    assert len(executor.undone) == 1
