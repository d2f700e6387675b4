"""Services to ask."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.service.served import Served, served


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Served]:
    """On loopback, without a token."""
    async with served(tmp_path) as there:
        yield there
