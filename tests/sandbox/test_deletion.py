"""What a deletion takes along: by owner, in three ways; and namespaces and finalizers."""

from __future__ import annotations

from typing import Any

from backstop.sandbox.lifecycle import PodGarbageCollector
from tests.sandbox.live_api import CONFIGMAPS, JSON_PATCH, NS, LiveApi, configmap


async def _make(live: LiveApi, name: str, owner: dict[str, Any] | None = None, *, blocks: bool = True) -> dict[str, Any]:
    body = configmap(name)
    if owner:
        meta = owner["metadata"]
        reference = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "name": meta["name"],
            "uid": meta["uid"],
            "blockOwnerDeletion": blocks,
        }
        body["metadata"]["ownerReferences"] = [reference]
    made = await live.ask("POST", CONFIGMAPS, body)
    assert made.status == 201
    return dict(made.body)


async def _names(live: LiveApi) -> list[str]:
    return [item["metadata"]["name"] for item in (await live.ask("GET", CONFIGMAPS)).body["items"]]


async def test_background_takes_all_generations_along(live: LiveApi) -> None:
    top = await _make(live, "top")
    middle = await _make(live, "middle", top)
    await _make(live, "leaf", middle)
    await _make(live, "stranger")
    assert (await live.ask("DELETE", f"{CONFIGMAPS}/top")).body["status"] == "Success"
    assert await _names(live) == ["stranger"]


async def test_orphan_leaves_dependents_without_their_reference(live: LiveApi) -> None:
    top = await _make(live, "top")
    await _make(live, "child", top)
    await live.ask("DELETE", f"{CONFIGMAPS}/top", {"propagationPolicy": "Orphan"})
    assert await _names(live) == ["child"]
    assert "ownerReferences" not in (await live.ask("GET", f"{CONFIGMAPS}/child")).body["metadata"]


async def test_foreground_keeps_the_owner_until_its_dependents_are_gone(live: LiveApi) -> None:
    top = await _make(live, "top")
    child = await _make(live, "child", top)
    held = [{"op": "add", "path": "/metadata/finalizers", "value": ["test/hold"]}]
    await live.ask("PATCH", f"{CONFIGMAPS}/{child['metadata']['name']}", held, JSON_PATCH)
    deleting = await live.ask("DELETE", f"{CONFIGMAPS}/top", {"propagationPolicy": "Foreground"})
    assert deleting.body["metadata"]["finalizers"] == ["foregroundDeletion"]
    assert await _names(live) == ["child", "top"]
    await live.ask("PATCH", f"{CONFIGMAPS}/child", [{"op": "remove", "path": "/metadata/finalizers"}], JSON_PATCH)
    assert await _names(live) == []


async def test_a_dependent_of_a_former_namesake_is_collected(live: LiveApi) -> None:
    old = await _make(live, "top")
    await live.ask("DELETE", f"{CONFIGMAPS}/top")
    new = await _make(live, "top")
    assert new["metadata"]["uid"] != old["metadata"]["uid"]
    await _make(live, "child", old)
    assert await _names(live) == ["top"]


async def test_a_finalizer_holds_and_no_new_one_may_be_added(live: LiveApi) -> None:
    body = configmap("kept")
    body["metadata"]["finalizers"] = ["test/hold"]
    await live.ask("POST", CONFIGMAPS, body)
    await live.ask("DELETE", f"{CONFIGMAPS}/kept")
    kept = await live.ask("GET", f"{CONFIGMAPS}/kept")
    assert "deletionTimestamp" in kept.body["metadata"]
    more = [{"op": "add", "path": "/metadata/finalizers/-", "value": "test/another"}]
    assert (await live.ask("PATCH", f"{CONFIGMAPS}/kept", more, JSON_PATCH)).status == 422
    await live.ask("PATCH", f"{CONFIGMAPS}/kept", [{"op": "remove", "path": "/metadata/finalizers"}], JSON_PATCH)
    assert (await live.ask("GET", f"{CONFIGMAPS}/kept")).status == 404


async def test_a_namespace_empties_itself_first_and_takes_nothing_in_meanwhile(live: LiveApi) -> None:
    body = configmap("kept")
    body["metadata"]["finalizers"] = ["test/hold"]
    await live.ask("POST", CONFIGMAPS, body)
    await live.ask("POST", CONFIGMAPS, configmap("other"))
    gone = await live.ask("DELETE", NS)
    assert (gone.status, gone.body["status"]["phase"]) == (200, "Terminating")
    assert await _names(live) == ["kept"]
    late = await live.ask("POST", CONFIGMAPS, configmap("late"))
    assert (late.status, late.body["reason"]) == (403, "Forbidden")
    assert late.body["message"].endswith("unable to create new content in namespace test because it is being terminated")
    await live.ask("PATCH", f"{CONFIGMAPS}/kept", [{"op": "remove", "path": "/metadata/finalizers"}], JSON_PATCH)
    assert (await live.ask("GET", NS)).status == 404


async def test_system_namespaces_stay(live: LiveApi) -> None:
    refused = await live.ask("DELETE", "/api/v1/namespaces/kube-system")
    assert (refused.status, refused.body["message"]) == (
        403,
        'namespaces "kube-system" is forbidden: this namespace may not be deleted',
    )


async def test_a_running_pod_gets_its_grace_period_and_a_pending_one_goes_at_once(live: LiveApi) -> None:
    spec = {"terminationGracePeriodSeconds": 7, "containers": [{"name": "a", "image": "demo/web:1.0"}]}
    for name, node in (("placed", "node-1"), ("pending", None)):
        placed = spec | ({"nodeName": node} if node else {})
        assert (await live.ask("POST", f"{NS}/pods", {"metadata": {"name": name}, "spec": placed})).status == 201
        assert (await live.ask("DELETE", f"{NS}/pods/{name}")).status == 200
    left = (await live.ask("GET", f"{NS}/pods")).body["items"]
    assert [(pod["metadata"]["name"], pod["metadata"]["deletionGracePeriodSeconds"]) for pod in left] == [("placed", 7)]
    await live.ask("DELETE", f"{NS}/pods/placed", {"gracePeriodSeconds": 0})
    assert (await live.ask("GET", f"{NS}/pods")).body["items"] == []


async def test_a_pod_of_a_node_that_does_not_exist_goes_at_once(live: LiveApi) -> None:
    PodGarbageCollector(live.registry)
    pod = {"metadata": {"name": "lost"}, "spec": {"nodeName": "nowhere", "containers": [{"name": "c", "image": "demo/web:1.0"}]}}
    assert (await live.ask("POST", f"{NS}/pods", pod)).status == 201
    assert (await live.ask("DELETE", f"{NS}/pods/lost")).status == 200
    assert (await live.ask("GET", f"{NS}/pods/lost")).status == 404
