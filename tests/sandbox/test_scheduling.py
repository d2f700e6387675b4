"""A pod that no node takes stays Pending with the scheduler's reason, and is placed as soon as one does."""

from __future__ import annotations

from typing import Any

import pytest

from backstop.sandbox.controllers.scheduler import explain, refusal
from backstop.sandbox.resources import NODES, PODS
from tests.sandbox.running import STRATEGIC, Client, is_ready, pod

NODE = "sandbox-node-0"


def unschedulable(found: dict[str, Any]) -> str:
    conditions = (found.get("status") or {}).get("conditions") or ()
    return next((c["message"] for c in conditions if c["type"] == "PodScheduled" and c.get("reason") == "Unschedulable"), "")


async def test_a_selector_that_no_node_has(client: Client, space: str) -> None:
    picky = pod("web")
    picky["spec"]["nodeSelector"] = {"disk": "quantum"}
    await client.create(space, picky)
    found = await client.pod(space, lambda p: bool(unschedulable(p)))
    assert unschedulable(found) == (
        "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector. no new claims to deallocate, "
        "preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling."
    )
    event = await client.event(space, "FailedScheduling")
    assert (event["type"], event["reportingComponent"], event["message"]) == ("Warning", "default-scheduler", unschedulable(found))
    await client.request("PATCH", NODES.path(name=NODE), {"metadata": {"labels": {"disk": "quantum"}}}, STRATEGIC)
    try:
        await client.pod(space, is_ready)
    finally:
        await client.request("PATCH", NODES.path(name=NODE), {"metadata": {"labels": {"disk": None}}}, STRATEGIC)


async def test_more_than_there_is(client: Client, space: str) -> None:
    await client.create(space, pod("web", resources={"requests": {"cpu": "5000", "memory": "900Ti"}}))
    found = await client.pod(space, lambda p: bool(unschedulable(p)))
    assert "1 Insufficient cpu, 1 Insufficient memory. " in unschedulable(found)


async def test_room_that_becomes_free_is_used(client: Client, space: str) -> None:
    await client.create(space, pod("first", resources={"requests": {"cpu": "5"}}))
    await client.pod(space, is_ready, "first")
    await client.create(space, pod("second", resources={"requests": {"cpu": "5"}}))
    found = await client.pod(space, lambda p: bool(unschedulable(p)), "second")
    assert "No preemption victims found for incoming pod." in unschedulable(found)
    await client.request("DELETE", PODS.path(space, "first"))
    await client.pod(space, is_ready, "second")


def a_node(**spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "n", "labels": {"a": "b"}}, "spec": spec, "status": {"allocatable": {"cpu": "1", "pods": "2"}}}


@pytest.mark.parametrize(
    ("toleration", "takes"),
    [
        (None, False),
        ({"key": "k", "operator": "Equal", "value": "v", "effect": "NoSchedule"}, True),
        ({"key": "k", "operator": "Equal", "value": "w"}, False),
        ({"key": "k", "operator": "Exists"}, True),
        ({"operator": "Exists"}, True),
        ({"key": "k", "operator": "Exists", "effect": "NoExecute"}, False),
    ],
)
def test_taints_need_a_toleration(toleration: dict[str, Any] | None, takes: bool) -> None:
    wanting = pod("web")
    wanting["spec"]["tolerations"] = [toleration] if toleration else []
    reasons, _ = refusal(wanting, a_node(taints=[{"key": "k", "value": "v", "effect": "NoSchedule"}]), [])
    assert reasons == ([] if takes else ["node(s) had untolerated taint(s)"])


def test_a_cordoned_node_takes_nobody() -> None:
    assert refusal(pod("web"), a_node(unschedulable=True), [])[0] == ["node(s) were unschedulable"]


def test_a_full_node_takes_nobody() -> None:
    running = [{**pod(str(i)), "spec": {"nodeName": "n", "containers": []}} for i in range(2)]
    assert refusal(pod("web"), a_node(), running) == (["Too many pods"], True)


def test_reasons_of_several_nodes_are_counted() -> None:
    said = explain([(["Insufficient cpu"], False), (["Insufficient cpu"], True), (["node(s) were unschedulable"], False)])
    assert said == (
        "0/3 nodes are available: 1 node(s) were unschedulable, 2 Insufficient cpu. no new claims to deallocate, preemption: "
        "0/3 nodes are available: 1 No preemption victims found for incoming pod, 2 Preemption is not helpful for scheduling."
    )


def test_no_nodes_at_all() -> None:
    assert explain([]) == "no nodes available to schedule pods"
