"""A write lands once or not at all, and the executor says truthfully which."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from backstop.cluster.objects import ACTION_ID
from backstop.cluster.snapshot import SnapshotStore
from backstop.errors import ClusterConflict, ClusterUnavailable, ExecutorError, ReplyLost
from backstop.executor.writer import Writer
from backstop.records import Action, NoAction, Restart, Rollback, Scale, SetResources, WorkloadRef
from tests.executor.repair import CHECKOUT, ROLLBACK, Plan
from tests.stub_api import StubApi

MIB = 2**20


def image(api: StubApi) -> str:
    found: str = api.checkout["spec"]["template"]["spec"]["containers"][0]["image"]
    return found


async def test_a_rollback_puts_back_the_template_of_the_revision(api: StubApi, writer: Writer, planned: Plan) -> None:
    write = await writer.apply(await planned())
    template = api.checkout["spec"]["template"]
    assert template["spec"]["containers"][0]["image"] == "demo/web:1.0"
    assert "pod-template-hash" not in template["metadata"]["labels"]
    assert ACTION_ID not in template["metadata"].get("annotations", {})
    assert api.checkout["metadata"]["annotations"][ACTION_ID] == "bs-0123-1"
    assert write.audit_id == api.patches()[0][2]
    assert write.resource_version == api.checkout["metadata"]["resourceVersion"]
    assert "A-SCOPE" in write.allowed_by


async def test_nothing_but_the_template_changes(api: StubApi, writer: Writer, planned: Plan) -> None:
    before = copy.deepcopy(api.checkout["spec"])
    await writer.apply(await planned())
    after = copy.deepcopy(api.checkout["spec"])
    assert before.pop("template") != after.pop("template")
    assert before == after


async def test_a_reply_lost_after_the_commit_is_found_and_reported_once(api: StubApi, writer: Writer, planned: Plan) -> None:
    api.faults.append("lose_reply")
    write = await writer.apply(await planned())
    assert write.action_id == "bs-0123-1"
    assert write.audit_id == api.patches()[0][2]
    assert len(api.patches()) == 1
    assert image(api) == "demo/web:1.0"


async def test_a_gateway_timeout_after_the_commit_is_found_too(api: StubApi, writer: Writer, planned: Plan) -> None:
    api.faults.append("late:504")
    assert (await writer.apply(await planned())).action_id == "bs-0123-1"
    assert len(api.patches()) == 1


async def test_asked_again_it_is_done_already(api: StubApi, writer: Writer, planned: Plan) -> None:
    intent = await planned()
    first = await writer.apply(intent)
    api.touch("deployments", "checkout")
    again = await writer.apply(intent)
    assert (again.audit_id, again.after, again.allowed_by) == (first.audit_id, first.after, first.allowed_by)
    assert len(api.patches()) == 1


@pytest.mark.parametrize("status", [429, 503])
async def test_a_refused_patch_is_known_not_to_be_applied(
    api: StubApi, writer: Writer, planned: Plan, snapshots: SnapshotStore, status: int
) -> None:
    before = copy.deepcopy(api.checkout)
    api.faults.append(f"error:{status}")
    with pytest.raises(ClusterUnavailable, match="nothing was written"):
        await writer.apply(await planned())
    assert api.checkout == before
    assert snapshots.all() == ()


@pytest.mark.parametrize("fault", ["lose_request", "hang", "error:500", "error:504"])
async def test_a_write_that_may_still_arrive_is_unknown(api: StubApi, writer: Writer, planned: Plan, fault: str) -> None:
    api.faults.append(fault)
    with pytest.raises(ReplyLost, match="not known"):
        await writer.apply(await planned())
    assert len(api.patches()) == 1


async def test_a_lost_write_can_no_longer_land_once_the_object_moved_on(
    api: StubApi, writer: Writer, planned: Plan, snapshots: SnapshotStore
) -> None:
    intent = await planned()
    api.faults.append("overtaken")
    with pytest.raises(ClusterUnavailable, match="moved on"):
        await writer.apply(intent)
    assert snapshots.all() == ()


async def test_a_status_change_before_the_write_is_a_conflict_that_says_so(api: StubApi, writer: Writer, planned: Plan) -> None:
    intent = await planned()
    api.touch("deployments", "checkout")
    with pytest.raises(ClusterConflict) as conflict:
        await writer.apply(intent)
    assert conflict.value.reason == "StatusChanged"
    assert api.patches() == []


async def test_a_spec_change_before_the_write_is_a_conflict_that_says_so(api: StubApi, writer: Writer, planned: Plan) -> None:
    intent = await planned()
    api.touch("deployments", "checkout", spec=True)
    with pytest.raises(ClusterConflict) as conflict:
        await writer.apply(intent)
    assert conflict.value.reason == "SpecChanged"


async def test_a_write_between_reading_and_writing_is_a_conflict(api: StubApi, writer: Writer, planned: Plan) -> None:
    intent = await planned()
    api.before_patch = lambda: api.touch("deployments", "checkout")
    with pytest.raises(ClusterConflict):
        await writer.apply(intent)
    assert image(api) == "demo/web:1.2-errors"
    assert len(api.patches()) == 1


async def test_an_object_of_the_same_name_that_is_another_is_a_conflict(api: StubApi, writer: Writer, planned: Plan) -> None:
    intent = await planned()

    def replaced() -> None:
        api.checkout["metadata"]["uid"] = "another"

    api.before_patch = replaced
    with pytest.raises(ClusterConflict, match="another of its name"):
        await writer.apply(intent)


@pytest.mark.parametrize("name", ["prod-db", "storefront"])
async def test_what_the_policy_does_not_list_is_refused_before_anything_is_sent(
    api: StubApi, writer: Writer, planned: Plan, name: str
) -> None:
    intent = await planned()
    target = WorkloadRef(kind="Deployment", namespace="shop", name=name)
    forged = intent.model_copy(update={"action": Restart(verb="restart", target=target)})
    deployment = copy.deepcopy(api.checkout)
    deployment["metadata"]["name"] = name
    api.objects["deployments"][name] = deployment
    with pytest.raises(ExecutorError, match="A-SCOPE"):
        await writer.apply(forged)
    assert api.patches() == []


@pytest.mark.parametrize(
    "forgery",
    [
        {"after": {"revision": 1, "template": {"spec": {"containers": [{"name": "web", "image": "evil"}]}}}},
        {"before": {}},
        {"plan_hash": "0" * 64},
        {"action": Rollback(verb="rollback", target=CHECKOUT, to_revision=2)},
        {"action": Rollback(verb="rollback", target=CHECKOUT, to_revision=77)},
        {"action": Scale(verb="scale", target=CHECKOUT, replicas=0)},
    ],
)
async def test_an_intent_that_says_another_change_than_its_action_makes_is_refused(
    api: StubApi, writer: Writer, planned: Plan, forgery: dict[str, Any]
) -> None:
    intent = (await planned()).model_copy(update=forgery)
    with pytest.raises(ExecutorError, match="X-SAME-CHANGE"):
        await writer.apply(intent)
    assert api.patches() == []


@pytest.mark.parametrize("action_id", ["bs-0123-1-undo"])
async def test_an_id_of_the_executors_own_is_refused(writer: Writer, planned: Plan, action_id: str) -> None:
    with pytest.raises(ExecutorError):
        await writer.apply(await planned(ROLLBACK, action_id))


async def test_no_action_is_no_write(writer: Writer, planned: Plan) -> None:
    with pytest.raises(ExecutorError):
        await writer.apply((await planned()).model_copy(update={"action": NoAction(verb="no_action")}))


async def test_nothing_is_written_without_a_snapshot(api: StubApi, writer: Writer, planned: Plan, snapshots: SnapshotStore) -> None:
    intent = await planned()
    (snapshots._directory / "bs-0123-1.json").mkdir()  # a rename onto it must fail
    with pytest.raises(Exception, match=r"snapshot|unknown"):
        await writer.apply(intent)
    assert api.patches() == []


async def test_a_snapshot_is_for_its_owner_only(writer: Writer, planned: Plan, snapshots: SnapshotStore) -> None:
    await writer.apply(await planned())
    path = snapshots._path("bs-0123-1")
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    ("action", "spec"),
    [
        (Scale(verb="scale", target=CHECKOUT, replicas=4), {"replicas": 4}),
        (Restart(verb="restart", target=CHECKOUT), {}),
        (SetResources(verb="set_resources", target=CHECKOUT, container="web", memory_limit_bytes=128 * MIB), {}),
    ],
)
async def test_every_verb_of_the_catalogue_is_written_and_undone_exactly(
    api: StubApi, writer: Writer, planned: Plan, action: Action, spec: dict[str, Any]
) -> None:
    before = copy.deepcopy(api.checkout["spec"])
    await writer.apply(await planned(action))
    assert api.checkout["spec"] != before
    assert spec.items() <= api.checkout["spec"].items()
    await writer.undo("bs-0123-1")
    assert api.checkout["spec"] == before


@pytest.mark.parametrize("status", [429, 503])
async def test_a_gateway_does_not_speak_for_the_api_server(api: StubApi, writer: Writer, planned: Plan, status: int) -> None:
    """It may say so because the API server, which had committed, hung up on it."""
    intent = await planned()
    api.faults.append(f"bare:{status}")
    api.after_patch = lambda: api.refuse.add("deployments")
    with pytest.raises(ReplyLost, match="not known"):
        await writer.apply(intent)
    assert image(api) == "demo/web:1.0"
