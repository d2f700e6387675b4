"""What was answered within a step, in the database: sealed, and there until the incident has ended."""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import dataclass, field
from typing import Final

import sqlalchemy as sa

from backstop.engine.database import INCIDENTS, MEMOS, explained
from backstop.engine.sealing import StateKey
from backstop.engine.store import Superseded
from backstop.errors import EngineError

_log: Final = logging.getLogger("backstop.engine")


@dataclass
class KeptMemo:
    """The `Memo` of one run of `incident`, which `owner` names: see `Store.claim`."""

    engine: sa.Engine
    key: StateKey
    incident: str
    owner: str
    kept: dict[str, str] = field(default_factory=dict)

    async def load(self) -> None:
        """Raises EngineError, also for what was changed or put elsewhere since it was sealed."""
        self.kept = await asyncio.to_thread(self._load)

    def _load(self) -> dict[str, str]:
        with explained(self.engine), self.engine.connect() as connection:
            rows = connection.execute(sa.select(MEMOS).where(MEMOS.c.incident == self.incident)).all()
        return {row.key: self._open(row.key, row.sealed) for row in rows}

    def _open(self, key: str, sealed: str) -> str:
        incident, kept_as, answer = json.loads(self.key.open(sealed))
        if (incident, kept_as) != (self.incident, key):
            raise EngineError("an answer that was kept has been moved", unchanged="it was left as it is", todo="see who did that")
        return str(answer)

    async def put(self, key: str, answer: str) -> None:
        """Raises Superseded."""
        try:
            await asyncio.to_thread(self._put, key, self.key.seal(json.dumps([self.incident, key, answer])))
        except EngineError as error:
            _log.warning("an answer to %s could not be kept: %s", self.incident, error.what)
        self.kept[key] = answer

    def _put(self, key: str, sealed: str) -> None:
        mine = sa.and_(INCIDENTS.c.id == self.incident, INCIDENTS.c.owner == self.owner)
        with explained(self.engine), self.engine.begin() as connection:
            if connection.execute(INCIDENTS.update().where(mine).values(owner=self.owner)).rowcount != 1:
                raise Superseded(self.incident)
            connection.execute(MEMOS.insert().values(incident=self.incident, key=key, sealed=sealed))

    async def forget(self) -> None:
        """The incident has ended. Raises EngineError."""
        await asyncio.to_thread(self._forget)

    def _forget(self) -> None:
        with explained(self.engine), self.engine.begin() as connection:
            connection.execute(MEMOS.delete().where(MEMOS.c.incident == self.incident))
