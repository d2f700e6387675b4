"""The database of one installation: a SQLite file in WAL mode, or Postgres by its URL. Ours and DBOS's tables are both in it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

from backstop.engine.sealing import StateKey
from backstop.engine.state_file import version_in
from backstop.errors import ConfigError, EngineError

SCHEMA_VERSION: Final = 1
_BUSY_SECONDS: Final = 10
_POOL: Final = 12
_WORD: Final = "backstop"

_tables = sa.MetaData()

VERSION: Final = sa.Table(
    "backstop_schema",
    _tables,
    sa.Column("version", sa.Integer, primary_key=True),
    sa.Column("sealed", sa.Text, nullable=False),
)
"""One row. `sealed` is `_WORD` under the state key, so that a wrong key is found out before anything is kept with it."""

INCIDENTS: Final = sa.Table(
    "backstop_incidents",
    _tables,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("alert", sa.Text, nullable=False),
    sa.Column("received_at", sa.Text, nullable=False),
    sa.Column("updated_at", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False, index=True),
    sa.Column("outcome", sa.Text),
    sa.Column("reason", sa.Text, nullable=False, default=""),
    sa.Column("writes", sa.Integer, nullable=False, default=0),
    sa.Column("cost_usd", sa.Float, nullable=False, default=0.0),
    sa.Column("asks", sa.Text),
    sa.Column("cancelled_by", sa.Text),
    sa.Column("owner", sa.Text),
    sa.Column("number", sa.Integer, nullable=False, index=True),
)
"""One row an incident, for lists; its record is in EVENTS."""

EVENTS: Final = sa.Table(
    "backstop_events",
    _tables,
    sa.Column("incident", sa.Text, primary_key=True),
    sa.Column("seq", sa.Integer, primary_key=True),
    sa.Column("step", sa.Integer, nullable=False),
    sa.Column("inside", sa.Boolean, nullable=False),
    sa.Column("line", sa.Text, nullable=False),
)
"""The record of each incident, a line an event. `step`: how many steps had been taken; `inside`: while the next one was."""

REMEDIATIONS: Final = sa.Table(
    "backstop_remediations",
    _tables,
    sa.Column("incident", sa.Text, primary_key=True),
    sa.Column("since", sa.Text, nullable=False),
)
"""Whose turn it is to write: one row an incident that rehearses, writes or measures."""

MEMOS: Final = sa.Table(
    "backstop_memos",
    _tables,
    sa.Column("incident", sa.Text, primary_key=True),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("sealed", sa.Text, nullable=False),
)
"""What models and look-ups answered within the steps of incidents that have not ended."""


SLOTS: Final = sa.Table(
    "backstop_slots",
    _tables,
    sa.Column("slot", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("owner", sa.Text, nullable=False),
    sa.Column("beat", sa.Integer, nullable=False),
)
"""Which processes work: one row a tenure (see `slots`). `beat` counts its signs of life."""

DOCUMENTS: Final = sa.Table(
    "backstop_documents",
    _tables,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("content", sa.Text),
)
"""What all workers remember between incidents (see `shared`). Without `content`, nothing was ever kept under the name."""


def connect(url: str, session: str = "backstop") -> sa.Engine:
    """The database at `url` (sqlite:///FILE or postgresql://…). `?timeout=` of a file says how many seconds a lock is waited for;
    `session` is what Postgres lists its sessions under. Raises ConfigError for a URL that names none."""
    try:
        parsed = sa.make_url(url)
    except sa.exc.ArgumentError as error:
        raise ConfigError("the database URL cannot be read", unchanged="nothing was started", todo=_TODO) from error
    if parsed.get_backend_name() == "sqlite":
        return _sqlite(parsed)
    if parsed.get_backend_name() == "postgresql":
        timeouts = {"connect_timeout": _BUSY_SECONDS, "application_name": session}
        return sa.create_engine(
            parsed.set(drivername="postgresql+psycopg"),
            pool_size=_POOL,
            max_overflow=_POOL,
            pool_pre_ping=True,
            hide_parameters=True,
            connect_args=timeouts,
        )
    raise ConfigError(
        f"{parsed.get_backend_name()} is no database that Backstop knows", unchanged="nothing was started", todo=_TODO
    )


_TODO: Final = "give BACKSTOP_DATABASE_URL as sqlite:////path/file.db or postgresql://user@host/name"


def _sqlite(url: sa.URL) -> sa.Engine:
    if not url.database or url.database == ":memory:":
        raise ConfigError("an engine keeps its state in a file", unchanged="nothing was started", todo=_TODO)
    try:
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        said = f"there can be no directory for the database {url.database} ({error.strerror})"
        raise ConfigError(said, unchanged="nothing was started", todo=_TODO) from error
    seconds = float(str(url.query.get("timeout", _BUSY_SECONDS)))
    timeout = {"timeout": seconds}
    engine = sa.create_engine(url, pool_size=_POOL, max_overflow=_POOL, hide_parameters=True, connect_args=timeout)

    @sa.event.listens_for(engine, "connect")
    def pragmas(connection: Any, _record: object) -> None:
        cursor = connection.cursor()
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", f"busy_timeout={seconds * 1000:.0f}"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    _one_writer_at_a_time(engine)
    return engine


def _one_writer_at_a_time(engine: sa.Engine) -> None:
    """SQLite lets one connection write, and has whoever comes second try again after ever longer sleeps. The threads of one process
    queue here instead; one that has waited too long goes on, and hears of it from SQLite itself."""
    turn = threading.Lock()

    @sa.event.listens_for(engine, "before_cursor_execute")
    def begins(connection: sa.Connection, _cursor: object, statement: str, *_rest: object) -> None:
        writes = statement.startswith(("INSERT", "UPDATE", "DELETE", "BEGIN"))
        if writes and "writes" not in connection.info and turn.acquire(timeout=_BUSY_SECONDS):
            connection.info["writes"] = True

    @sa.event.listens_for(engine, "checkin")
    def has_ended(_connection: object, record: Any) -> None:
        if record.info.pop("writes", False):
            turn.release()


def prepare(engine: sa.Engine, key: StateKey) -> None:
    """Makes our tables where there are none. Raises EngineError for a database that cannot be used, is of another version, or was
    sealed with another key."""
    if engine.dialect.name == "sqlite":
        _check_version(version_in(Path(str(engine.url.database)), VERSION.name))  # before anything sets its journal mode
    with explained(engine), engine.begin() as connection:
        if engine.dialect.name == "sqlite":
            connection.execute(sa.text("BEGIN IMMEDIATE"))
        else:
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(801733)"))
        if sa.inspect(connection).has_table(VERSION.name) and (row := connection.execute(sa.select(VERSION)).first()):
            _check_version(row.version)
            key.open(row.sealed)
            _tables.create_all(connection)
        else:
            _tables.create_all(connection)
            connection.execute(VERSION.insert().values(version=SCHEMA_VERSION, sealed=key.seal(_WORD)))


def _check_version(version: int | None) -> None:
    if version not in {None, SCHEMA_VERSION}:
        later = "a later" if version and version > SCHEMA_VERSION else "an earlier"
        raise EngineError(
            f"the database was made by {later} Backstop (its version is {version}, and this one keeps {SCHEMA_VERSION})",
            unchanged="it was left as it is",
            todo="start the Backstop that belongs to it, or name another database",
        )


@contextlib.contextmanager
def explained(engine: sa.Engine) -> Iterator[None]:
    """What the database driver raises, as an EngineError that names no statement and no parameter."""
    try:
        yield
    except sa.exc.SQLAlchemyError as error:
        raise EngineError(
            f"the database {where(engine)} cannot be used ({first_line(getattr(error, 'orig', error))})",
            unchanged="it was left as it is",
            todo="see that it is there, that it is Backstop's, and that its disk has room",
        ) from error


def where(engine: sa.Engine) -> str:
    """The database for people, without a password."""
    return str(engine.url.database) if engine.dialect.name == "sqlite" else engine.url.render_as_string(hide_password=True)


def first_line(error: BaseException | None) -> str:
    """What it says, without the statement that SQLAlchemy shows below."""
    return (str(error).splitlines() or ["no reason given"])[0][:200]
