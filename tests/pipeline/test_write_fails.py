"""A write that fails leaves nothing half-done, and one whose reply is lost is looked for and never repeated."""

from __future__ import annotations

import pytest

from backstop.documents import FileDocument
from backstop.errors import (
    BackstopError,
    ClusterConflict,
    ClusterRefused,
    ClusterUnavailable,
    ExecutorError,
    ReplyLost,
)
from backstop.events import IntentRecorded, Written
from backstop.pipeline.history import History
from backstop.records import OutcomeKind
from backstop.testing import Lost
from tests.pipeline.shop import BAD, GOOD, Shop, right

LOST = ReplyLost("the connection was cut")


@pytest.mark.parametrize(
    ("error", "defense"),
    [
        (ClusterUnavailable("HTTP 503"), "tool_guard"),
        (ClusterRefused("HTTP 403: forbidden", status=403), "cluster"),
        (ExecutorError("it refuses", unchanged="nothing was written"), "executor"),
    ],
)
async def test_a_write_known_not_to_be_made_is_escalated_with_nothing_changed(
    shop: Shop, error: BackstopError, defense: str
) -> None:
    shop.executor.failures = [error]
    outcome = await shop.incident()
    assert outcome.kind is OutcomeKind.ESCALATED
    assert shop.defenses() == [defense]
    assert shop.cluster.image("checkout") == BAD
    assert outcome.handoff is not None
    assert outcome.handoff.unchanged == "Nothing was written to the cluster."
    assert any("kubectl -n shop rollout undo deployment/checkout --to-revision=1" in step for step in outcome.handoff.next_steps)


async def test_such_a_write_counts_for_no_cooldown(shop: Shop) -> None:
    shop.executor.failures = [ClusterUnavailable("HTTP 503")]
    await shop.incident()
    assert History(FileDocument(shop.directory / "history.json")).recent() == ()


async def test_a_lost_reply_after_the_commit_is_found_on_the_target_and_not_repeated(shop: Shop) -> None:
    shop.executor.failures = [Lost(LOST)]
    outcome = await shop.incident()
    assert outcome.kind is OutcomeKind.RESOLVED, outcome.reason
    assert shop.defenses() == ["tool_guard"]
    assert len(shop.executor.applied) == 1
    assert [body.write.reply_lost for body in shop.events(Written)] == [True]
    assert shop.cluster.image("checkout") == GOOD


async def test_an_executor_that_dies_after_the_commit_is_no_different(shop: Shop) -> None:
    shop.executor.failures = [Lost(ExecutorError("the executor ended in the middle of a call"))]
    outcome = await shop.incident()
    assert outcome.kind is OutcomeKind.RESOLVED, outcome.reason
    assert len(shop.executor.applied) == 1


async def test_a_reply_lost_before_the_commit_is_unknown_and_a_person_is_told_how_to_find_out(shop: Shop) -> None:
    shop.executor.failures = [LOST]
    outcome = await shop.incident()
    assert outcome.kind is OutcomeKind.ESCALATED
    assert shop.defenses() == ["tool_guard"]
    action_id = shop.events(IntentRecorded)[0].intent.action_id
    assert outcome.handoff is not None
    assert "is not known" in outcome.handoff.unchanged
    assert action_id in outcome.handoff.next_steps[0]
    assert r"backstop\.dev/action-id" in outcome.handoff.next_steps[0]
    assert len(shop.executor.applied) == 0, "nothing is repeated on the strength of a missing answer"


async def test_an_unknown_write_still_counts_for_the_cooldown(shop: Shop) -> None:
    shop.executor.failures = [LOST]
    await shop.incident()
    assert len(History(FileDocument(shop.directory / "history.json")).recent() or ()) == 1


async def test_an_executor_that_is_gone_is_escalated_before_anything_is_asked_of_it(shop: Shop) -> None:
    shop.executor.gone = True
    outcome = await shop.incident()
    assert outcome.kind is OutcomeKind.ESCALATED
    assert shop.defenses() == ["tool_guard"]
    assert shop.events(IntentRecorded) == []
    assert outcome.handoff is not None
    assert outcome.handoff.unchanged == "Nothing was written to the cluster."


async def test_a_conflict_with_another_status_only_is_decided_again_without_asking_models(shop: Shop) -> None:
    shop.executor.failures = [ClusterConflict("another resourceVersion", reason="StatusChanged")]
    outcome = await shop.incident()
    assert outcome.kind is OutcomeKind.RESOLVED, outcome.reason
    assert (shop.models.asked, shop.models.judged) == (1, 1)
    assert shop.defenses() == []


async def test_status_that_moves_before_the_rehearsal_changes_no_decision(shop: Shop) -> None:
    async def decisions(shop: Shop) -> list[tuple[str, str, bool, str]]:
        assert (await shop.incident()).kind is OutcomeKind.RESOLVED
        return shop.decisions()

    calm = await decisions(Shop(shop.directory / "calm"))
    shop.cluster.before_observe = [lambda: None, lambda: shop.cluster.touch("checkout")]
    assert await decisions(shop) == calm


async def test_a_status_that_never_rests_ends_in_an_escalation(shop: Shop) -> None:
    shop.executor.failures = [ClusterConflict("another resourceVersion", reason="StatusChanged") for _ in range(100)]
    outcome = await shop.incident()
    assert outcome.kind is OutcomeKind.ESCALATED
    assert "precondition" in shop.defenses()
    assert shop.untouched()


async def test_a_world_that_moved_is_looked_at_again(shop: Shop) -> None:
    shop.cluster.before_observe = [lambda: shop.cluster.scale("checkout", 4)]
    shop.script(right)
    outcome = await shop.incident()
    assert outcome.kind is OutcomeKind.RESOLVED, outcome.reason
    assert shop.defenses() == ["precondition"]
    assert shop.models.asked == 2
    assert shop.cluster.deployment("checkout")["spec"]["replicas"] == 4, "the other change is left as it is"
