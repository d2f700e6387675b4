"""Shops to break."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pipeline.shop import Shop


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """A bad release of checkout has just gone out."""
    return Shop(tmp_path)


@pytest.fixture
def quiet_shop(tmp_path: Path) -> Shop:
    """Nothing is wrong."""
    return Shop(tmp_path, broken=False)
