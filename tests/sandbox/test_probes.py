"""Probes decide who gets traffic and who is started again."""

from __future__ import annotations

import time
from typing import Any

from tests.sandbox.running import Client, is_ready, pod, state

HEALTH: dict[str, Any] = {"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 1, "failureThreshold": 1}


async def test_a_healthy_container_is_ready_within_a_second_or_so(client: Client, space: str) -> None:
    begun = time.monotonic()
    await client.create(space, pod("web", readinessProbe=HEALTH))
    await client.pod(space, is_ready)
    assert time.monotonic() - begun < 5  # a fraction of a second on an idle machine


async def test_a_slow_start_is_running_but_not_ready(client: Client, space: str) -> None:
    begun = time.monotonic()
    await client.create(space, pod("web", "demo/web:1.2-slow-start", readinessProbe=HEALTH))
    found = await client.pod(space, lambda p: "running" in state(p))
    ready = next(c for c in found["status"]["conditions"] if c["type"] == "Ready")
    assert (ready["status"], ready["reason"]) == ("False", "ContainersNotReady")
    assert ready["message"] == "containers with unready status: [app]"
    event = await client.event(space, "Unhealthy")
    assert event["message"] == "Readiness probe failed: HTTP probe failed with statuscode: 503"
    await client.pod(space, is_ready)
    assert time.monotonic() - begun >= 8


async def test_a_hanging_container_loses_its_readiness(client: Client, space: str) -> None:
    await client.create(space, pod("web", "demo/web:1.2-hang", readinessProbe=HEALTH))
    await client.pod(space, is_ready)
    found = await client.pod(space, lambda p: not is_ready(p))
    assert "running" in state(found)
    event = await client.event(space, "Unhealthy")
    assert "context deadline exceeded (Client.Timeout exceeded while awaiting headers)" in event["message"]


async def test_liveness_restarts_a_hanging_container(client: Client, space: str) -> None:
    await client.create(space, pod("web", "demo/web:1.2-hang", livenessProbe=HEALTH))
    await client.pod(space, lambda p: is_ready(p) and p["status"]["containerStatuses"][0]["restartCount"] == 1)
    event = await client.event(space, "Killing")
    assert event["message"] == "Container app failed liveness probe, will be restarted"


async def test_a_startup_probe_holds_the_others_back(client: Client, space: str) -> None:
    startup = HEALTH | {"failureThreshold": 30}
    await client.create(space, pod("web", "demo/web:1.2-slow-start", startupProbe=startup, livenessProbe=HEALTH))
    found = await client.pod(space, is_ready)
    status = found["status"]["containerStatuses"][0]
    assert (status["started"], status["restartCount"]) == (True, 0)


async def test_a_probe_of_a_port_nobody_listens_on_is_refused(client: Client, space: str) -> None:
    await client.create(space, pod("web", readinessProbe={"tcpSocket": {"port": 9999}, "periodSeconds": 1}))
    event = await client.event(space, "Unhealthy")
    assert event["message"].startswith("Readiness probe failed: dial tcp 10.244.")
    assert event["message"].endswith(":9999: connect: connection refused")


async def test_an_unsupported_probe_fails_and_says_so(client: Client, space: str) -> None:
    await client.create(space, pod("web", readinessProbe={"exec": {"command": ["true"]}, "periodSeconds": 1}))
    event = await client.event(space, "Unhealthy")
    assert event["message"] == "Readiness probe failed: exec probes are not supported by this kubelet"
