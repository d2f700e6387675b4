"""What an earlier release left unfinished, this one finishes: recorded histories (`make history`), opened with today's code."""

from __future__ import annotations

import getpass
import gzip
import platform
from pathlib import Path

import pytest

from tests.engine.durable_shop import durable_shop
from tests.engine.incidents_contract import reached
from tests.engine.record_history import HISTORIES, MOMENTS, VERSION, unpack
from tests.engine.trouble import holds

RECORDED = sorted(HISTORIES.glob("*/*.db.gz"))


def test_there_is_a_history_of_each_moment() -> None:
    assert {path.name.removesuffix(".db.gz") for path in RECORDED if path.parent.name == VERSION} == set(MOMENTS)


@pytest.mark.parametrize("history", RECORDED, ids=lambda path: f"{path.parent.name}-{path.name.removesuffix('.db.gz')}")
async def test_what_was_left_unfinished_ends_properly(tmp_path: Path, history: Path) -> None:
    unpack(history, tmp_path)
    async with durable_shop(tmp_path) as there:
        (left,) = await there.incidents.recent()
        said = await there.incidents.events(left.id)
        if (await reached(there.incidents, left.id, "awaiting_approval", "closed", "failed")).state == "awaiting_approval":
            await there.incidents.approve(left.id, by="ada", why="mine")
        ended = await reached(there.incidents, left.id, "closed", "failed")
        events = await there.incidents.events(left.id)
    holds(ended, events, there)
    assert events[: len(said)] == said


@pytest.mark.parametrize("history", RECORDED, ids=lambda path: f"{path.parent.name}-{path.name.removesuffix('.db.gz')}")
def test_a_history_says_nothing_of_the_machine_that_it_was_recorded_on(history: Path) -> None:
    kept = gzip.decompress(history.read_bytes())
    here = [word for word in (platform.node(), getpass.getuser(), str(Path.cwd())) if len(word) > 4]  # `vm` is in any bytes
    assert not [word for word in ("/tmp/", "/home/", "/Users/", "/root/", *here) if word.encode() in kept]
