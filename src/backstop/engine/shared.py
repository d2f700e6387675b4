"""What Backstop remembers between incidents, for all workers of one database: the documents of `documents`, as rows.

A row is changed in a transaction that nobody else can be in at the same time. A database that cannot be used is `Away`: who asks
refuses, and what was kept is as it was. Where a row never held anything, what the files of the state directory hold counts: they
are from before there was a database.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from backstop.documents import Away, Document, Documents, Held, Lost, files_of
from backstop.engine.database import DOCUMENTS, connect, first_line, where

_BREAKER, _HISTORY, _SPEND = "breaker", "history", "spend"
_ASIDE: Final = ".aside"
_PATIENCE: Final = ("SET lock_timeout = '10s'", "SET idle_in_transaction_session_timeout = '5s'")
"""Of Postgres sessions: nobody waits for a row forever, and a process that is frozen while it holds one loses it."""


@dataclass(frozen=True)
class DatabaseDocument:
    """One row. `before`: what counts until it is first written; `missed_by`: as of a file, the rows that are made later."""

    database: sa.Engine
    row: str
    before: Document | None = None
    missed_by: tuple[str, ...] | None = None

    @property
    def name(self) -> str:
        return f"{self.row} in the database {where(self.database)}"

    def read(self) -> bytes | None:
        with self._usable("read"), self.database.connect() as connection:
            return _HeldRow(self, connection).read()

    def set_aside(self) -> None:
        with suppress(Lost), self.alone() as held:
            held.set_aside()

    @contextmanager
    def alone(self) -> Iterator[Held]:
        with self._usable("written"), self.database.begin() as connection:
            if connection.dialect.name == "sqlite":
                connection.execute(sa.text("BEGIN IMMEDIATE"))
            connection.execute(_insert(connection).values(name=self.row).on_conflict_do_nothing())
            connection.execute(sa.select(DOCUMENTS.c.name).where(DOCUMENTS.c.name == self.row).with_for_update())
            yield _HeldRow(self, connection)

    @contextmanager
    def _usable(self, what: str) -> Iterator[None]:
        """Raises Away."""
        try:
            yield
        except sa.exc.SQLAlchemyError as error:
            raise Away(f"its state {self.name} cannot be {what} ({first_line(getattr(error, 'orig', error))})") from error


@dataclass(frozen=True)
class _HeldRow:
    """The document within one transaction."""

    document: DatabaseDocument
    connection: sa.Connection

    def read(self) -> bytes | None:
        row, kept = self.document.row, self._kept()
        if row in kept:
            content: str = self.connection.execute(sa.select(DOCUMENTS.c.content).where(DOCUMENTS.c.name == row)).scalar_one()
            return content.encode()
        missed_by = self.document.missed_by
        for sign in () if missed_by is None else (row + _ASIDE, *missed_by):
            if sign in kept:
                raise Lost(f"its state {self.document.name} is gone, although {sign} says that there was one")
        return self.document.before.read() if self.document.before else None

    def write(self, text: str) -> None:
        self.connection.execute(DOCUMENTS.update().where(DOCUMENTS.c.name == self.document.row).values(content=text))

    def set_aside(self) -> None:
        row = self.document.row
        if row in self._kept():
            self.connection.execute(DOCUMENTS.delete().where(DOCUMENTS.c.name == row + _ASIDE))
            self.connection.execute(DOCUMENTS.update().where(DOCUMENTS.c.name == row).values(name=row + _ASIDE))
            self.connection.execute(_insert(self.connection).values(name=row))

    def _kept(self) -> set[str]:
        """The rows that hold something."""
        return set(self.connection.scalars(sa.select(DOCUMENTS.c.name).where(DOCUMENTS.c.content.is_not(None))))


def _insert(connection: sa.Connection) -> Any:
    return postgresql.insert(DOCUMENTS) if connection.dialect.name == "postgresql" else sqlite.insert(DOCUMENTS)


@contextmanager
def documents_in(url: str, state: Path) -> Iterator[Documents]:
    """Those of the database at `url`, whose worker's files are in `state`. Raises ConfigError for a URL that names none."""
    database, before = connect(url), files_of(state)
    sa.event.listen(database, "connect", _patient if database.dialect.name == "postgresql" else _flushed)
    try:
        yield Documents(
            breaker=DatabaseDocument(database, _BREAKER, before.breaker, (_HISTORY, _SPEND)),
            history=DatabaseDocument(database, _HISTORY, before.history),
            spend=DatabaseDocument(database, _SPEND, before.spend),
        )
    finally:
        database.dispose()


def in_use(kept: Documents) -> bool:
    """Whether the workers of this database count in it. If it cannot be used, nobody knows better."""
    assert isinstance(kept.breaker, DatabaseDocument)  # noqa: S101  `documents_in` made it
    database = kept.breaker.database
    held = sa.select(DOCUMENTS.c.name).where(DOCUMENTS.c.content.is_not(None))
    try:
        with database.connect() as connection:
            return sa.inspect(connection).has_table(DOCUMENTS.name) and connection.execute(held).first() is not None
    except sa.exc.SQLAlchemyError:
        return True


def _patient(connection: Any, _record: object) -> None:
    with connection.cursor() as cursor:
        for setting in _PATIENCE:
            cursor.execute(setting)
    connection.commit()


def _flushed(connection: Any, _record: object) -> None:
    """On disk when it is said to be, as the files are: what was counted must not be lost with the power."""
    connection.execute("PRAGMA synchronous=FULL")
