"""A write on top of what somebody else wrote meanwhile is refused, by resourceVersion and by uid."""

from __future__ import annotations

import asyncio

from tests.sandbox.live_api import CONFIGMAPS, DEPLOYMENTS, MERGE, LiveApi, configmap, deployment

OTHER = "00000000-0000-4000-8000-000000000000"
MODIFIED = "the object has been modified; please apply your changes to the latest version and try again"


async def test_put_with_a_stale_version_is_409_in_the_servers_words(live: LiveApi) -> None:
    first = await live.ask("POST", CONFIGMAPS, configmap("cm", a="1"))
    assert first.status == 201
    second = await live.ask("PUT", f"{CONFIGMAPS}/cm", first.body | {"data": {"a": "2"}})
    assert second.status == 200
    stale = await live.ask("PUT", f"{CONFIGMAPS}/cm", first.body | {"data": {"a": "3"}})
    assert (stale.status, stale.body["reason"]) == (409, "Conflict")
    assert stale.body["message"] == f'Operation cannot be fulfilled on configmaps "cm": {MODIFIED}'
    assert (await live.ask("GET", f"{CONFIGMAPS}/cm")).body["data"] == {"a": "2"}


async def test_put_without_a_version_wins(live: LiveApi) -> None:
    await live.ask("POST", CONFIGMAPS, configmap("cm", a="1"))
    assert (await live.ask("PUT", f"{CONFIGMAPS}/cm", configmap("cm", a="2"))).status == 200


async def test_patch_with_a_stale_version_is_409_and_changes_nothing(live: LiveApi) -> None:
    await live.ask("POST", DEPLOYMENTS, deployment())
    patch = {"metadata": {"resourceVersion": "1"}, "spec": {"replicas": 0}}
    refused = await live.ask("PATCH", f"{DEPLOYMENTS}/web", patch, MERGE)
    assert (refused.status, refused.body["details"]) == (409, {"name": "web", "group": "apps", "kind": "deployments"})
    assert (await live.ask("GET", f"{DEPLOYMENTS}/web")).body["spec"]["replicas"] == 2


async def test_a_foreign_uid_is_409_on_put_and_422_on_patch(live: LiveApi) -> None:
    await live.ask("POST", CONFIGMAPS, configmap("cm"))
    body = configmap("cm", a="1")
    body["metadata"]["uid"] = OTHER
    put = await live.ask("PUT", f"{CONFIGMAPS}/cm", body)
    assert put.status == 409
    assert f"UID in precondition: {OTHER}" in put.body["message"]
    patch = await live.ask("PATCH", f"{CONFIGMAPS}/cm", {"metadata": {"uid": OTHER}}, MERGE)
    assert (patch.status, patch.body["reason"]) == (422, "Invalid")


async def test_delete_preconditions(live: LiveApi) -> None:
    made = await live.ask("POST", CONFIGMAPS, configmap("cm"))
    wrong_uid = await live.ask("DELETE", f"{CONFIGMAPS}/cm", {"preconditions": {"uid": OTHER}})
    assert wrong_uid.status == 409
    assert "The object might have been deleted and then recreated" in wrong_uid.body["message"]
    wrong_version = await live.ask("DELETE", f"{CONFIGMAPS}/cm", {"preconditions": {"resourceVersion": "1"}})
    assert wrong_version.status == 409
    meta = made.body["metadata"]
    right = {"preconditions": {"uid": meta["uid"], "resourceVersion": meta["resourceVersion"]}}
    assert (await live.ask("DELETE", f"{CONFIGMAPS}/cm", right)).status == 200


async def test_of_many_writers_with_one_version_exactly_one_wins(live: LiveApi) -> None:
    made = await live.ask("POST", CONFIGMAPS, configmap("cm", n="0"))
    version = made.body["metadata"]["resourceVersion"]
    patches = [{"metadata": {"resourceVersion": version}, "data": {"n": str(i)}} for i in range(1, 9)]
    replies = await asyncio.gather(*(live.ask("PATCH", f"{CONFIGMAPS}/cm", patch, MERGE) for patch in patches))
    assert sorted(reply.status for reply in replies) == [200] + [409] * 7


async def test_an_update_that_changes_nothing_keeps_the_version(live: LiveApi) -> None:
    made = await live.ask("POST", DEPLOYMENTS, deployment())
    again = await live.ask("PATCH", f"{DEPLOYMENTS}/web", {"spec": {"replicas": 2}}, MERGE)
    assert again.body["metadata"]["resourceVersion"] == made.body["metadata"]["resourceVersion"]
    changed = await live.ask("PATCH", f"{DEPLOYMENTS}/web", {"spec": {"replicas": 3}}, MERGE)
    assert changed.body["metadata"]["generation"] == 2
    status = await live.ask("PATCH", f"{DEPLOYMENTS}/web/status", {"status": {"replicas": 3}}, MERGE)
    assert status.body["metadata"]["generation"] == 2
    assert int(status.body["metadata"]["resourceVersion"]) > int(changed.body["metadata"]["resourceVersion"])
