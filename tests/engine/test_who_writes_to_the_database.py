"""Who can write to the database, and has no state key, makes Backstop do and say nothing that it would not have."""

from __future__ import annotations

import base64
import json
import os
import pickle
from pathlib import Path

from tests.engine.intruder import gone_on, intruder, parked, send


async def test_an_approval_in_the_clear_is_none(tmp_path: Path) -> None:
    shop, waiting = await parked(tmp_path)
    assert waiting.asks is not None
    until, now = waiting.asks.expires_at.isoformat(), shop.clock.now().isoformat()
    forged = {"decision": waiting.asks.decision, "answer": "approved", "by": "eve", "why": "-", "at": now, "expires_at": until}
    with intruder(tmp_path) as database:
        send(database, waiting.id, json.dumps(forged), "portable_json")
    after, writes, _ = await gone_on(tmp_path, shop, waiting.id)
    assert (after.state, writes) == ("failed", 0), after.reason


class Code:
    """Makes a directory when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


async def test_a_pickle_is_never_opened(tmp_path: Path) -> None:
    shop, waiting = await parked(tmp_path)
    with intruder(tmp_path) as database:
        send(database, waiting.id, base64.b64encode(pickle.dumps(Code(tmp_path / "run"))).decode(), "py_pickle")
    after, writes, _ = await gone_on(tmp_path, shop, waiting.id)
    assert not (tmp_path / "run").exists()
    assert (after.state, writes) == ("failed", 0), after.reason
