"""Fixtures that more than one area uses."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.stub_api import StubApi


@pytest.fixture
async def api() -> AsyncIterator[StubApi]:
    """A stub API server in which `checkout` is at a broken revision 2."""
    stub = StubApi()
    stub.deploy()
    await stub.start()
    yield stub
    await stub.stop()
