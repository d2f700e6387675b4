"""A rehearsal is the same PATCH as a server-side dry-run, and a verdict whatever happens."""

from __future__ import annotations

import copy

import pytest

from backstop.cluster.snapshot import SnapshotStore
from backstop.executor.writer import Writer
from backstop.records import Scale
from tests.executor.repair import CHECKOUT, Plan
from tests.stub_api import StubApi


async def test_it_passes_and_changes_nothing(api: StubApi, writer: Writer, planned: Plan, snapshots: SnapshotStore) -> None:
    before = copy.deepcopy(api.checkout)
    verdict = await writer.rehearse(await planned())
    assert verdict.passed
    assert verdict.stage == "executor"
    assert [check.rule for check in verdict.checks[-2:]] == ["X-DRY-RUN", "X-POD-DRY-RUN"]
    assert api.rehearsed[0]["spec"]["containers"][0]["image"] == "demo/web:1.0", "a pod of what it would go back to"
    assert api.checkout == before
    assert "dryRun=All" in api.patches()[0][1]
    assert snapshots.all() == ()


async def test_the_write_after_it_is_the_same_patch_under_another_id(api: StubApi, writer: Writer, planned: Plan) -> None:
    intent = await planned()
    await writer.rehearse(intent)
    await writer.apply(intent)
    rehearsal, write = api.patches()
    assert rehearsal[2] != write[2]


async def test_what_the_policy_refuses_is_not_even_rehearsed(api: StubApi, writer: Writer, planned: Plan) -> None:
    verdict = await writer.rehearse(await planned(Scale(verb="scale", target=CHECKOUT, replicas=0)))
    assert "A-NEVER-ZERO" in verdict.failed_rules
    assert api.patches() == []


async def test_a_target_that_moved_fails_the_rehearsal(api: StubApi, writer: Writer, planned: Plan) -> None:
    intent = await planned()
    api.touch("deployments", "checkout")
    assert (await writer.rehearse(intent)).failed_rules == ("X-FRESH",)


@pytest.mark.parametrize("fault", ["error:503", "lose_reply", "hang"])
async def test_no_answer_is_a_refusal(api: StubApi, writer: Writer, planned: Plan, fault: str) -> None:
    api.faults.append(fault)
    assert (await writer.rehearse(await planned())).failed_rules == ("X-API-ANSWERS",)


async def test_a_target_that_cannot_be_read_is_a_refusal(api: StubApi, writer: Writer, planned: Plan) -> None:
    intent = await planned()
    api.refuse.add("pods")
    assert (await writer.rehearse(intent)).failed_rules == ("X-TARGET-READ",)


async def test_a_write_in_between_is_a_question_of_freshness(api: StubApi, writer: Writer, planned: Plan) -> None:
    intent = await planned()
    api.before_patch = lambda: api.touch("deployments", "checkout")
    assert (await writer.rehearse(intent)).failed_rules == ("X-FRESH",)
