"""Fixtures of the embedded cluster's tests."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.sandbox.live_api import LiveApi
from tests.sandbox.running import Client, Running, running


@pytest.fixture
async def live(tmp_path: Path) -> AsyncIterator[LiveApi]:
    """An API server with nothing behind it."""
    api = LiveApi(tmp_path)
    await api.start()
    yield api
    await api.stop()


@pytest.fixture(scope="session")
def empty_cluster() -> Iterator[Running]:
    """A whole cluster without the demo fleet, shared by the tests: each works in a namespace of its own."""
    with running(7, "--empty") as cluster:
        yield cluster


@pytest.fixture
async def client(empty_cluster: Running) -> AsyncIterator[Client]:
    """An administrator of the shared cluster."""
    async with empty_cluster.client() as client:
        yield client


@pytest.fixture
async def space(client: Client, request: pytest.FixtureRequest) -> AsyncIterator[str]:
    """A namespace for one test."""
    digest = hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:12]
    await client.create("", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": f"test-{digest}"}})
    yield f"test-{digest}"
    await client.request("DELETE", f"/api/v1/namespaces/test-{digest}")


@pytest.fixture(scope="session")
def shop_cluster() -> Iterator[Running]:
    """A cluster with the demo fleet. Who breaks something heals it."""
    with running(7) as cluster:
        yield cluster


@pytest.fixture
async def shop(shop_cluster: Running) -> AsyncIterator[Client]:
    """An administrator of the cluster with the demo fleet."""
    async with shop_cluster.client() as client:
        yield client
