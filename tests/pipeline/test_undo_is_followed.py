"""An undo is pursued while that may help, and whether it was made is said as it is, also when its answer is lost."""

from __future__ import annotations

import pytest

from backstop.errors import BackstopError, ClusterUnavailable, ExecutorError, ReplyLost
from backstop.events import Written
from backstop.records import OutcomeKind, TargetState, WorkloadRef, Write
from backstop.testing import FakeCluster, FakeExecutor, Lost
from tests.pipeline.shop import BAD, GOOD, Shop

ENDED = ExecutorError("the executor ended in the middle of a call", todo="look at the target")


@pytest.fixture
def hopeless(shop: Shop) -> Shop:
    """The earlier release is no better: what is written has to be taken back."""
    shop.cluster.failing_images.add(GOOD)
    return shop


async def test_an_api_that_fails_for_a_while_does_not_leave_the_write_standing(hopeless: Shop) -> None:
    class Patient(FakeExecutor):
        refusals = 3

        async def undo(self, action_id: str) -> Write:
            self.refusals -= 1
            if self.refusals >= 0:
                raise ClusterUnavailable("HTTP 503", status=503)
            return await super().undo(action_id)

    executor = Patient(hopeless.cluster, hopeless.executor.policy, hopeless.clock)
    outcome = await hopeless.incident(executor=executor)
    assert outcome.kind is OutcomeKind.UNDONE, outcome.reason
    assert hopeless.cluster.image("checkout") == BAD
    assert [body.undo for body in hopeless.events(Written)] == [False, True]


@pytest.mark.parametrize("error", [ENDED, ReplyLost("no whole reply within 5 s")])
async def test_an_undo_whose_answer_is_lost_is_found_on_the_target(hopeless: Shop, error: BackstopError) -> None:
    hopeless.executor.undo_error = Lost(error)
    outcome = await hopeless.incident()
    assert outcome.kind is OutcomeKind.UNDONE, outcome.reason
    assert outcome.handoff is not None
    assert outcome.handoff.unchanged.startswith("Written and taken back")
    assert hopeless.events(Written)[-1].write.reply_lost


async def test_an_undo_that_cannot_be_checked_is_not_called_standing(hopeless: Shop) -> None:
    class Blind(FakeCluster):
        async def observe(self, target: WorkloadRef) -> TargetState:
            if "undone" in self.reads:
                raise ClusterUnavailable("HTTP 503", status=503)
            return await super().observe(target)

    class Undoes(FakeExecutor):
        async def undo(self, action_id: str) -> Write:
            write = await super().undo(action_id)
            self.cluster.reads.append("undone")
            return write

    hopeless.cluster.__class__ = Blind
    hopeless.executor.__class__ = Undoes
    outcome = await hopeless.incident()
    assert outcome.kind is OutcomeKind.ESCALATED, outcome.reason
    assert outcome.handoff is not None
    assert "could not be taken back" not in outcome.reason
    assert "still standing" not in outcome.handoff.unchanged


async def test_what_nobody_can_tell_is_not_told(hopeless: Shop) -> None:
    """The answer is lost and the target cannot be read any more: it may be as it was, or as it was made."""

    class Blind(FakeCluster):
        async def observe(self, target: WorkloadRef) -> TargetState:
            if hopeless.executor.undone:
                raise ClusterUnavailable("HTTP 503", status=503)
            return await super().observe(target)

    class Cut(FakeExecutor):
        async def undo(self, action_id: str) -> Write:
            self.undone.append(action_id)
            raise ENDED

    hopeless.cluster.__class__ = Blind
    hopeless.executor.__class__ = Cut
    outcome = await hopeless.incident()
    assert outcome.kind is OutcomeKind.ESCALATED, outcome.reason
    assert outcome.handoff is not None
    assert "Whether that was taken back is not known" in outcome.handoff.unchanged
    assert "-undo" in outcome.handoff.next_steps[0]
