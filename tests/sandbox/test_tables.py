"""`kubectl get` shows what the real printers show: columns, STATUS words, counts, ages."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstop.sandbox import pod_row, resources
from backstop.sandbox.printed import at_most, duration, selector, since
from backstop.sandbox.resources import RESOURCES, Resource
from backstop.sandbox.status import StatusError
from backstop.sandbox.tables import PRINTERS, Tables

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
BORN = {"name": "x", "namespace": "shop", "creationTimestamp": "2026-01-01T11:59:30Z"}


def table(resource: Resource, *objects: dict[str, Any], include: str = "", headers: bool = True) -> dict[str, Any]:
    return Tables(lambda: NOW).table(resource, objects, version="7", include=include, headers=headers)


def cells(resource: Resource, obj: dict[str, Any]) -> list[Any]:
    found: list[Any] = table(resource, {"metadata": BORN, **obj})["rows"][0]["cells"]
    return found


def pod(*statuses: dict[str, Any], phase: str = "Running", **more: Any) -> dict[str, Any]:
    spec = {"containers": [{"name": f"c{i}"} for i in range(max(1, len(statuses)))]} | more.pop("spec", {})
    return {
        "metadata": BORN | more.pop("metadata", {}),
        "spec": spec,
        "status": {"phase": phase, "containerStatuses": [*statuses], **more},
    }


RUNNING = {"ready": True, "restartCount": 0, "state": {"running": {}}}


def waiting(reason: str, restarts: int = 0) -> dict[str, Any]:
    return {"ready": False, "restartCount": restarts, "state": {"waiting": {"reason": reason}}}


def ended(code: int = 1, **more: Any) -> dict[str, Any]:
    return {"ready": False, "restartCount": 0, "state": {"terminated": {"exitCode": code, **more}}}


@pytest.mark.parametrize(
    ("obj", "ready", "status"),
    [
        (pod(RUNNING), "1/1", "Running"),
        (pod(phase="Pending"), "0/1", "Pending"),
        (pod(waiting("CrashLoopBackOff", 4)), "0/1", "CrashLoopBackOff"),
        (pod(waiting("ImagePullBackOff"), phase="Pending"), "0/1", "ImagePullBackOff"),
        (pod(waiting("CreateContainerConfigError"), phase="Pending"), "0/1", "CreateContainerConfigError"),
        (pod(ended(137, reason="OOMKilled")), "0/1", "OOMKilled"),
        (pod(ended(3)), "0/1", "ExitCode:3"),
        (pod(ended(0, signal=9)), "0/1", "Signal:9"),
        (pod(RUNNING, waiting("CrashLoopBackOff")), "1/2", "CrashLoopBackOff"),
        (pod(RUNNING, metadata={"deletionTimestamp": "2026-01-01T12:00:00Z"}), "1/1", "Terminating"),
        (pod(phase="Failed", reason="Evicted"), "0/1", "Evicted"),
        (pod(RUNNING, ended(0, reason="Completed")), "1/2", "NotReady"),
        (
            pod(RUNNING, ended(0, reason="Completed"), conditions=[{"type": "Ready", "status": "True"}]),
            "1/2",
            "Running",
        ),
        (
            pod(phase="Pending", spec={"initContainers": [{"name": "i"}]}, initContainerStatuses=[waiting("ErrImagePull")]),
            "0/1",
            "Init:ErrImagePull",
        ),
        (
            pod(phase="Pending", spec={"initContainers": [{"name": "i"}]}, initContainerStatuses=[RUNNING | {"name": "i"}]),
            "0/1",
            "Init:0/1",
        ),
        (
            pod(phase="Pending", spec={"initContainers": [{"name": "i"}]}, initContainerStatuses=[ended(2)]),
            "0/1",
            "Init:ExitCode:2",
        ),
    ],
)
def test_a_pod_says_what_is_the_matter(obj: dict[str, Any], ready: str, status: str) -> None:
    row = cells(resources.PODS, obj)
    assert row[1:3] == [ready, status]
    assert pod_row.pod_status(obj) == status


def test_restarts_say_when_the_last_one_was() -> None:
    crashed = waiting("CrashLoopBackOff", 4) | {"lastState": {"terminated": {"finishedAt": "2026-01-01T11:57:00Z"}}}
    assert cells(resources.PODS, pod(crashed))[3] == "4 (3m ago)"
    assert cells(resources.PODS, pod(RUNNING))[3] == "0"


def test_a_wide_pod_row_has_address_and_node() -> None:
    row = cells(resources.PODS, pod(RUNNING, spec={"nodeName": "node-1"}, podIP="10.244.0.7"))
    assert row[4:] == ["30s", "10.244.0.7", "node-1", "<none>", "<none>"]


SPEC = {
    "replicas": 3,
    "selector": {"matchLabels": {"app": "web"}},
    "template": {"spec": {"containers": [{"name": "app", "image": "demo/web:1.0"}, {"name": "side", "image": "demo/db:1.0"}]}},
}


@pytest.mark.parametrize(
    ("resource", "obj", "row"),
    [
        (
            resources.DEPLOYMENTS,
            {"spec": SPEC, "status": {"readyReplicas": 2, "updatedReplicas": 1, "availableReplicas": 2}},
            ["x", "2/3", 1, 2, "30s", "app,side", "demo/web:1.0,demo/db:1.0", "app=web"],
        ),
        (
            resources.REPLICASETS,
            {"spec": SPEC, "status": {"replicas": 3, "readyReplicas": 2}},
            ["x", 3, 3, 2, "30s", "app,side", "demo/web:1.0,demo/db:1.0", "app=web"],
        ),
        (
            resources.SERVICES,
            {"spec": {"clusterIP": "10.96.0.9", "ports": [{"port": 80}, {"port": 81, "nodePort": 30081, "protocol": "UDP"}]}},
            ["x", "ClusterIP", "10.96.0.9", "<none>", "80/TCP,81:30081/UDP", "30s", "<none>"],
        ),
        (
            resources.ENDPOINTSLICES,
            {"addressType": "IPv4", "ports": [{"port": 8080}], "endpoints": [{"addresses": [f"10.244.0.{i}"]} for i in range(5)]},
            ["x", "IPv4", "8080", "10.244.0.0,10.244.0.1,10.244.0.2 + 2 more...", "30s"],
        ),
        (
            resources.ENDPOINTSLICES,
            {"addressType": "IPv4", "ports": None, "endpoints": None},
            ["x", "IPv4", "<unset>", "<unset>", "30s"],
        ),
        (resources.CONFIGMAPS, {"data": {"a": "1"}, "binaryData": {"b": ""}}, ["x", 2, "30s"]),
        (resources.SECRETS, {"type": "Opaque", "data": {"a": ""}}, ["x", "Opaque", 1, "30s"]),
        (resources.NAMESPACES, {"status": {"phase": "Active"}}, ["x", "Active", "30s"]),
        (resources.SERVICEACCOUNTS, {}, ["x", 0, "30s"]),
        (
            resources.RESOURCEQUOTAS,
            {"status": {"hard": {"pods": "2", "limits.cpu": "1"}, "used": {"pods": "0"}}},
            ["x", "pods: 0/2", "limits.cpu: 0/1", "30s"],
        ),
        (
            resources.PODDISRUPTIONBUDGETS,
            {"spec": {"minAvailable": 2}, "status": {"disruptionsAllowed": 0}},
            ["x", "2", "N/A", 0, "30s"],
        ),
        (
            resources.ROLEBINDINGS,
            {
                "roleRef": {"kind": "Role", "name": "r"},
                "subjects": [{"kind": "ServiceAccount", "name": "bot", "namespace": "shop"}],
            },
            ["x", "Role/r", "30s", "", "", "shop/bot"],
        ),
        (resources.ROLES, {}, ["x", "2026-01-01T11:59:30Z"]),
    ],
)
def test_rows(resource: Resource, obj: dict[str, Any], row: list[Any]) -> None:
    assert cells(resource, obj) == row


def test_an_event_row_says_when_what_and_about_whom() -> None:
    event = {
        "involvedObject": {"kind": "Pod", "name": "web-1", "fieldPath": "spec.containers{app}"},
        "type": "Warning",
        "reason": "BackOff",
        "message": "Back-off restarting failed container\n",
        "firstTimestamp": "2026-01-01T11:50:00Z",
        "lastTimestamp": "2026-01-01T11:59:00Z",
        "count": 5,
        "source": {"component": "kubelet", "host": "node-1"},
    }
    row = cells(resources.EVENTS, event)
    assert row[:6] == ["60s", "Warning", "BackOff", "pod/web-1", "spec.containers{app}", "kubelet, node-1"]
    assert row[6:] == ["Back-off restarting failed container", "10m", 5, "x"]


@pytest.mark.parametrize(("status", "word"), [("True", "Ready"), ("False", "NotReady"), ("Unknown", "NotReady")])
def test_a_node_row(status: str, word: str) -> None:
    node = {
        "spec": {"unschedulable": True},
        "status": {"conditions": [{"type": "Ready", "status": status}], "nodeInfo": {"kubeletVersion": "v1.36.2"}},
    }
    assert cells(resources.NODES, node)[1:5] == [f"{word},SchedulingDisabled", "<none>", "30s", "v1.36.2"]


@pytest.mark.parametrize("resource", [r for r in RESOURCES if r.stored], ids=lambda r: r.plural)
def test_every_row_has_as_many_cells_as_columns_even_of_an_empty_object(resource: Resource) -> None:
    made = table(resource, {"metadata": {"name": "x"}})
    assert len(made["rows"][0]["cells"]) == len(made["columnDefinitions"])


def test_every_printer_is_of_a_served_resource() -> None:
    assert set(PRINTERS) <= {resource.qualified for resource in RESOURCES}


def test_what_a_row_carries_is_the_clients_choice() -> None:
    obj = {"metadata": BORN, "data": {"a": "1"}}
    metadata = table(resources.CONFIGMAPS, obj)["rows"][0]["object"]
    assert metadata == {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": BORN}
    assert table(resources.CONFIGMAPS, obj, include="Object")["rows"][0]["object"] == obj
    assert "object" not in table(resources.CONFIGMAPS, obj, include="None")["rows"][0]
    assert table(resources.CONFIGMAPS, obj, headers=False)["columnDefinitions"] is None
    with pytest.raises(StatusError):
        table(resources.CONFIGMAPS, obj, include="Everything")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "<invalid>"),
        (-1, "0s"),
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (599, "9m59s"),
        (600, "10m"),
        (10799, "179m"),
        (10800, "3h"),
        (11000, "3h3m"),
        (8 * 3600, "8h"),
        (47 * 3600, "47h"),
        (48 * 3600, "2d"),
        (49 * 3600, "2d1h"),
        (8 * 86400, "8d"),
        (729 * 86400, "729d"),
        (731 * 86400, "2y1d"),
        (9 * 365 * 86400, "9y"),
    ],
)
def test_ages(seconds: int, text: str) -> None:
    assert duration(seconds) == text


@given(st.integers(0, 10**9))
def test_an_age_never_reads_older_than_it_is(seconds: int) -> None:
    stamp = (NOW - timedelta(seconds=seconds)).isoformat()
    assert since(stamp, NOW) == duration(seconds)
    assert duration(seconds)[0].isdigit()


def test_an_unreadable_time_is_unknown() -> None:
    assert since(None, NOW) == since("", NOW) == since("yesterday", NOW) == "<unknown>"


def test_selectors_and_lists() -> None:
    expressions = [
        {"key": "tier", "operator": "In", "values": ["b", "a"]},
        {"key": "gone", "operator": "DoesNotExist"},
        {"key": "here", "operator": "Exists"},
    ]
    assert selector({"matchLabels": {"app": "web"}, "matchExpressions": expressions}) == "app=web,!gone,here,tier in (a,b)"
    assert selector({}) == "<none>"
    assert at_most([]) == "<unset>"
