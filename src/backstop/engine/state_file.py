"""A SQLite file before an engine opens it for itself: what is damaged, or somebody else's, is refused as it lies."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

from backstop.errors import EngineError

_AS_IT_IS = "it was left as it is"
_INSTEAD = "put a copy that was whole in its place, or name another file, which then begins without the incidents of this one"


def version_in(path: Path, table: str) -> int | None:
    """The version in `table`. None: there is no file, or nothing in it. Raises EngineError for what is no whole SQLite database, or
    has tables and not that one. Reads all of it once, and changes nothing."""
    if path.is_dir():
        raise EngineError(f"the database {path} is a directory", unchanged=_AS_IT_IS, todo="name a file in it")
    if not path.exists() or path.stat().st_size == 0:
        return None
    try:
        with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            found = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            row = connection.execute(f"SELECT version FROM {table}").fetchone() if table in tables else None  # noqa: S608  a constant
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError) and "malformed" not in str(error):
            raise EngineError(f"the database {path} cannot be read ({error})", unchanged=_AS_IT_IS) from error
        found, tables, row = str(error), {table}, None
    if found != "ok":
        said = " ".join(found.split())[:120]
        raise EngineError(f"the database {path} is damaged, or is none ({said})", unchanged=_AS_IT_IS, todo=_INSTEAD)
    if tables and table not in tables:
        raise EngineError(f"the database {path} is not Backstop's", unchanged=_AS_IT_IS, todo="name another file")
    return None if row is None else int(row[0])
