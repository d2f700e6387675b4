"""Fixtures that more than one area uses."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from hypothesis import settings

from tests.postgres import new_database, postgres_server
from tests.stub_api import StubApi

settings.register_profile("backstop", deadline=None)  # how long an example takes is a benchmark's business, not a test's
settings.load_profile("backstop")


@pytest.fixture
async def api() -> AsyncIterator[StubApi]:
    """A stub API server in which `checkout` is at a broken revision 2."""
    stub = StubApi()
    stub.deploy()
    await stub.start()
    yield stub
    await stub.stop()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Any]:
    """A real Postgres server, for the whole run."""
    with postgres_server() as server:
        yield server


@pytest.fixture
def postgres_url(postgres: Any) -> str:
    """A database of this test's own."""
    return new_database(postgres)
