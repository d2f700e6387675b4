"""One look reads everything it may, bounds it, and says what it could not read. A measurement never calls the unknown healthy."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiohttp import web

from backstop.clock import ManualClock
from backstop.cluster.client import ClusterClient
from backstop.cluster.reads import ClusterReads, ReadLimits
from backstop.errors import ClusterRefused
from backstop.records import Alert, WorkloadRef
from tests.stub_api import READER, StubApi

BOUNDS = ["horizontalpodautoscalers", "poddisruptionbudgets", "resourcequotas"]
CHECKOUT = WorkloadRef(kind="Deployment", namespace="shop", name="checkout")
ALERT = Alert(
    id="a1",
    name="ErrorRate",
    target=CHECKOUT,
    service="checkout",
    summary="requests fail",
    started_at=datetime(2026, 1, 1, 3, tzinfo=UTC),
)


@pytest.fixture
async def door(api: StubApi, tmp_path: Path) -> AsyncIterator[ClusterClient]:
    api.answers["checkout"] = lambda: web.Response(status=500, text="boom\nmore")
    for ordinal in range(3):
        api.logs[(f"checkout-bbb-{ordinal}", "web", False)] = b"2026-01-01T02:00:00.5Z started\n2026-01-01T02:00:01Z ERROR boom\n"
    async with ClusterClient(api.kubeconfig(tmp_path, READER), deadline=2) as client:
        yield client


def reads(door: ClusterClient, **limits: float) -> ClusterReads:
    return ClusterReads(door, ManualClock(), ReadLimits(**{"probe_deadline": 0.3, **limits}))  # type: ignore[arg-type]


async def test_a_look_holds_objects_logs_and_probes(door: ClusterClient) -> None:
    look = await reads(door).look(ALERT)
    assert look.omissions == ()
    kinds = [str(obj["kind"]) for obj in look.objects]
    assert {kind: kinds.count(kind) for kind in kinds} == {"Deployment": 1, "ReplicaSet": 2, "Pod": 3, "Service": 1}
    assert [log.lines[-1] for log in look.logs] == ["2026-01-01T02:00:01Z ERROR boom"] * 3
    assert {(p.service, p.path, p.status, p.body) for p in look.probes} == {("checkout", "/", 500, "boom")}


async def test_a_look_is_only_reads(api: StubApi, door: ClusterClient) -> None:
    await reads(door).look(ALERT)
    assert {method for method, _, _ in api.requests} == {"GET"}


@pytest.mark.parametrize("kind", ["replicasets", "services", "endpointslices", "events", *BOUNDS])
async def test_what_may_not_be_read_is_an_omission_and_hides_nothing_else(api: StubApi, door: ClusterClient, kind: str) -> None:
    api.refuse.add(kind)
    look = await reads(door).look(ALERT)
    (omission,) = [o for o in look.omissions if o.about.kind == "Namespace"]
    assert (omission.why, omission.what.lower().replace(" objects", "s")) == ("unreadable", kind)
    assert "403" in omission.detail
    assert any(obj["kind"] == "Deployment" for obj in look.objects)


@pytest.mark.parametrize("kind", BOUNDS)
async def test_a_kind_that_the_cluster_does_not_serve_is_not_there_and_nothing_is_missing(
    api: StubApi, door: ClusterClient, kind: str
) -> None:
    del api.objects[kind]
    assert (await reads(door).look(ALERT)).omissions == ()


async def test_what_bounds_the_workloads_is_read_too(api: StubApi, door: ClusterClient) -> None:
    for kind in BOUNDS:
        api.put(kind, f"of-{kind}")
    kinds = {str(obj["kind"]) for obj in (await reads(door).look(ALERT)).objects}
    assert {"HorizontalPodAutoscaler", "PodDisruptionBudget", "ResourceQuota"} <= kinds


async def test_deployments_that_may_not_be_read_are_an_error(api: StubApi, door: ClusterClient) -> None:
    api.refuse.add("deployments")
    with pytest.raises(ClusterRefused):
        await reads(door).look(ALERT)


async def test_a_target_that_does_not_exist_is_an_error_that_says_what_does(door: ClusterClient) -> None:
    alert = ALERT.model_copy(update={"target": CHECKOUT.model_copy(update={"name": "chekout"})})
    with pytest.raises(ClusterRefused, match=r"no deployment chekout in namespace shop; it has: checkout") as refused:
        await reads(door).look(alert)
    assert refused.value.status == 404


async def test_a_log_that_cannot_be_read_is_an_omission(api: StubApi, door: ClusterClient) -> None:
    api.objects["pods"]["checkout-bbb-0"]["status"]["containerStatuses"][0]["name"] = "other"
    api.logs[("checkout-bbb-0", "other", False)] = b"x" * 100
    look = await reads(door, log_bytes=50).look(ALERT)
    assert {(o.why, o.about.name) for o in look.omissions} >= {("truncated", "checkout-bbb-0")}


async def test_a_pod_that_ended_since_it_was_listed_is_no_part_of_the_look(api: StubApi, door: ClusterClient) -> None:
    del api.logs[("checkout-bbb-1", "web", False)]
    look = await reads(door).look(ALERT)
    assert "checkout-bbb-1" not in [obj["metadata"]["name"] for obj in look.objects]  # type: ignore[index,call-overload]
    assert look.omissions == ()


async def test_the_log_of_a_previous_container_is_read_too(api: StubApi, door: ClusterClient) -> None:
    status = api.objects["pods"]["checkout-bbb-0"]["status"]["containerStatuses"][0]
    status["lastState"] = {"terminated": {"exitCode": 1, "reason": "Error"}}
    api.logs[("checkout-bbb-0", "web", True)] = b"2026-01-01T01:00:00Z dying\n"
    look = await reads(door).look(ALERT)
    assert [log.lines for log in look.logs if log.previous] == [("2026-01-01T01:00:00Z dying",)]


async def test_more_than_a_page_is_read_page_by_page_and_more_than_all_pages_is_said(api: StubApi, door: ClusterClient) -> None:
    for number in range(30):
        api.put("events", f"e{number:02}", involvedObject={}, reason="R", message="m")
    whole = await reads(door, page=10, pages=3).look(ALERT)
    assert sum(obj["kind"] == "Event" for obj in whole.objects) == 30
    cut = await reads(door, page=10, pages=2).look(ALERT)
    assert [(o.what, o.why) for o in cut.omissions] == [("Event objects", "truncated")]


async def test_the_targets_pods_are_kept_when_pods_are_cut(api: StubApi, door: ClusterClient) -> None:
    for number in range(20):
        pod = api.pod(f"aaa-{number}")
        pod["metadata"]["labels"] = {"app": "other"}
        api.logs[(f"aaa-{number}", "web", False)] = b""
    look = await reads(door, pods=4).look(ALERT)
    kept = [obj["metadata"]["name"] for obj in look.objects if obj["kind"] == "Pod"]  # type: ignore[index,call-overload]
    assert kept[:3] == ["checkout-bbb-0", "checkout-bbb-1", "checkout-bbb-2"]
    assert [(o.what, o.why) for o in look.omissions] == [("pods", "truncated")]


async def test_a_healthy_service_is_measured_as_such(api: StubApi, door: ClusterClient) -> None:
    api.answers["checkout"] = lambda: web.Response(text="ok")
    health = await reads(door).measure("shop", ("checkout",), 5)
    assert health.unknown == ()
    measured = health.service("checkout")
    assert measured is not None
    assert (measured.requests, measured.failures) == (5, 0)
    workload = health.workload(CHECKOUT)
    assert workload is not None
    assert (workload.desired, workload.ready, workload.total, workload.observed) == (3, 3, 3, True)


@pytest.mark.parametrize("status", [500, 502, 503])
async def test_answers_of_500_and_more_are_failures(api: StubApi, door: ClusterClient, status: int) -> None:
    api.answers["checkout"] = lambda: web.Response(status=status)
    measured = (await reads(door).measure("shop", ("checkout",), 4)).service("checkout")
    assert measured is not None
    assert (measured.requests, measured.failures) == (4, 4)


async def test_no_endpoints_is_a_failure(api: StubApi, door: ClusterClient) -> None:
    del api.answers["checkout"]
    measured = (await reads(door).measure("shop", ("checkout",), 2)).service("checkout")
    assert measured is not None
    assert measured.error_rate == 1.0


async def test_a_service_that_does_not_exist_is_unknown(door: ClusterClient) -> None:
    health = await reads(door).measure("shop", ("nobody",), 2)
    assert health.unknown == ("service nobody: it does not exist",)
    measured = health.service("nobody")
    assert measured is not None
    assert measured.error_rate is None


async def test_an_api_that_refuses_to_ask_says_nothing_of_the_service(api: StubApi, door: ClusterClient) -> None:
    status = {"kind": "Status", "apiVersion": "v1", "message": "services/proxy is forbidden", "code": 403}
    api.answers["checkout"] = lambda: web.json_response(status, status=403)
    health = await reads(door).measure("shop", ("checkout",), 2)
    measured = health.service("checkout")
    assert measured is not None
    assert measured.requests == 0
    assert health.unknown == ("service checkout: services/proxy is forbidden",)


async def test_a_services_own_403_is_an_answer(api: StubApi, door: ClusterClient) -> None:
    api.answers["checkout"] = lambda: web.Response(status=403, text="who are you")
    measured = (await reads(door).measure("shop", ("checkout",), 2)).service("checkout")
    assert measured is not None
    assert (measured.requests, measured.failures) == (2, 0)


@pytest.mark.parametrize("kind", ["deployments", "pods"])
async def test_workloads_that_cannot_be_counted_are_unknown(api: StubApi, door: ClusterClient, kind: str) -> None:
    api.refuse.add(kind)
    health = await reads(door).measure("shop", (), 1)
    assert health.workloads == ()
    assert len(health.unknown) == 1


async def test_a_cluster_that_is_gone_is_unknown_through_and_through(api: StubApi, door: ClusterClient) -> None:
    await api.stop()
    health = await reads(door).measure("shop", ("checkout",), 2)
    assert health.workloads == ()
    assert [s.requests for s in health.services] == [0]
    assert len(health.unknown) == 4
