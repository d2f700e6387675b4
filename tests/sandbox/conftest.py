"""Fixtures of the embedded cluster's tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.sandbox.live_api import LiveApi


@pytest.fixture
async def live(tmp_path: Path) -> AsyncIterator[LiveApi]:
    """An API server with nothing behind it."""
    api = LiveApi(tmp_path)
    await api.start()
    yield api
    await api.stop()
