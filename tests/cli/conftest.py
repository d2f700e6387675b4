"""A service to ask from the command line, too."""

from __future__ import annotations

from tests.service.conftest import service

__all__ = ["service"]
