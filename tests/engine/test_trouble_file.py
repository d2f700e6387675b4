"""A state file that cannot be used is refused in one clear sentence, and left as it lies, byte for byte."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from backstop.engine.database import SCHEMA_VERSION, connect, prepare
from backstop.engine.sealing import StateKey
from backstop.errors import BackstopError, EngineError
from tests.engine.durable_shop import durable_shop
from tests.engine.record_history import HISTORIES, VERSION, unpack


def damaged(path: Path) -> None:
    whole = bytearray(path.read_bytes())
    whole[4096 * 3 : 4096 * 20] = b"\xa5" * (4096 * 17)
    path.write_bytes(bytes(whole))


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def no_database(path: Path) -> None:
    path.write_text("dear diary, " * 1000)


def of_another(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE songs (name TEXT)")


def of_version(version: int) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("UPDATE backstop_schema SET version = ?", (version,))

    return change


SPOILED: dict[str, tuple[Callable[[Path], None], str]] = {
    "damaged": (damaged, "is damaged, or is none"),
    "truncated": (truncated, "is damaged, or is none"),
    "no database": (no_database, "is damaged, or is none"),
    "another's database": (of_another, "is not Backstop's"),
    "of an earlier version": (of_version(SCHEMA_VERSION - 1), "made by an earlier Backstop"),
    "of a later version": (of_version(SCHEMA_VERSION + 1), "made by a later Backstop"),
    "without its key": (lambda path: (path.parent / "state.key").unlink(), "sealed with another key"),
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Of a database in which an incident waits for its answer."""
    unpack(HISTORIES / VERSION / "parked.db.gz", tmp_path)
    with closing(sqlite3.connect(tmp_path / "incidents.db")) as connection:
        connection.execute("PRAGMA journal_mode=WAL")  # as every engine leaves it
    return tmp_path / "incidents.db"


def read_only(path: Path) -> None:
    path.chmod(0o400)


def lies(path: Path) -> bytes:
    return path.read_bytes()


async def refused(directory: Path) -> BackstopError:
    with pytest.raises(BackstopError) as told:
        async with durable_shop(directory):
            pass
    error = told.value
    assert error.unchanged
    assert "\n" not in str(error)
    assert "SELECT" not in str(error)
    return error


@pytest.mark.parametrize("how", SPOILED)
async def test_what_cannot_be_used_is_refused_and_left(path: Path, how: str) -> None:
    spoil, said = SPOILED[how]
    spoil(path)
    before = lies(path)
    error = await refused(path.parent)
    assert said in str(error)
    assert error.todo
    assert lies(path) == before


async def test_a_directory_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "incidents.db").mkdir()
    assert "is a directory" in str(await refused(tmp_path))
    assert list((tmp_path / "incidents.db").iterdir()) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write to what is read-only")
async def test_what_may_not_be_written_is_refused(path: Path) -> None:
    read_only(path)
    before = lies(path)
    assert "cannot be used" in str(await refused(path.parent))
    assert lies(path) == before


async def test_the_right_key_put_back_opens_it_again(path: Path) -> None:
    key = path.parent / "state.key"
    right = key.read_text()
    key.unlink()
    await refused(path.parent)
    key.write_text(right)
    async with durable_shop(path.parent) as there:
        assert [one.state for one in await there.incidents.recent()] == ["awaiting_approval"]


def test_a_directory_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BackstopError, match="no directory for the database"):
        connect(f"sqlite:///{tmp_path}/file/incidents.db")


async def test_a_database_that_another_process_holds_is_not_waited_for_without_end(path: Path) -> None:
    database = connect(f"sqlite:///{path}?timeout=0.2")
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(EngineError, match="database is locked"):
            prepare(database, StateKey.of_file(path.parent / "state.key"))
        other.execute("ROLLBACK")
    prepare(database, StateKey.of_file(path.parent / "state.key"))
    database.dispose()
