"""kill -9 in every step of an incident, and before, during and after its PATCH, agent and executor each: one write, a proper end.

Real processes, a real API server's audit log, on SQLite and on Postgres.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from backstop.events import DefenseFired
from tests.crash.world import Ended, Kill, World, world
from tests.postgres import new_database

STEPS = (
    "begin", "breaker", "look", "measure", "diagnose", "judge", "observe", "limits", "rehearse", "probe", "count_write",
    "apply", "succeeded",
)  # fmt: skip
"""Of an incident that is resolved at the first try. A later step of the same name has no other effect, but for `measure`:"""

MEASURING_RECOVERY = 4
"""The first measurement but three is one of the verification."""

AGENT, EXECUTOR = frozenset({"agent"}), frozenset({"executor"})

DATABASES = ("sqlite", "postgres")


class Worlds:
    """One world for all tests of a process, in a loop of its own."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner()
        self._context = world()
        self.world: World = self._runner.run(self._context.__aenter__())

    def play(self, kill: Kill, database_url: str | None) -> Ended:
        return self._runner.run(self.world.incident(kill, database_url))

    def close(self) -> None:
        self._runner.run(self._context.__aexit__(None, None, None))
        self._runner.close()


@pytest.fixture(scope="module")
def worlds() -> Iterator[Worlds]:
    opened = Worlds()
    yield opened
    opened.close()


@pytest.fixture
def url(request: pytest.FixtureRequest) -> str | None:
    return new_database(request.getfixturevalue("postgres")) if request.param == "postgres" else None


def check(ended: Ended, worlds: Worlds) -> None:
    story = f"{ended.kind}: {ended.reason}; {worlds.world.killed}"
    assert ended.kind == "resolved", story
    assert [(one.verb, one.target) for one in ended.writes] == [("patch", "deployment/checkout")], story
    assert ended.written() == 1, story
    assert ended.receipt.exists(), story


@pytest.mark.parametrize("url", DATABASES, indirect=True)
@pytest.mark.parametrize("phase", ["begins", "done"])
@pytest.mark.parametrize("step", STEPS)
def test_the_agent_killed_in_a_step(worlds: Worlds, url: str | None, step: str, phase: str) -> None:
    ended = worlds.play(Kill(({"step": step, "phase": phase},)), url)
    check(ended, worlds)
    assert len(worlds.world.killed) == 1, f"it was never in the step {step}"
    assert ended.resumed() <= 1


@pytest.mark.parametrize("url", DATABASES, indirect=True)
@pytest.mark.parametrize("phase", ["begins", "done"])
def test_the_agent_killed_while_it_measures_what_its_write_did(worlds: Worlds, url: str | None, phase: str) -> None:
    ended = worlds.play(Kill(({"step": "measure", "phase": phase, "nth": MEASURING_RECOVERY},)), url)
    check(ended, worlds)
    assert len(worlds.world.killed) == 1
    places = [event.body.type for event in ended.events]
    resumed = next(n for n, event in enumerate(ended.events) if isinstance(event.body, DefenseFired))
    assert places.index("written") < resumed


@pytest.mark.parametrize("url", DATABASES, indirect=True)
@pytest.mark.parametrize("held", ["hang", "late", "hold_reply"])
@pytest.mark.parametrize("kills", [AGENT, EXECUTOR, AGENT | EXECUTOR], ids=["agent", "executor", "both"])
def test_killed_before_during_or_after_the_patch(worlds: Worlds, url: str | None, held: str, kills: frozenset[str]) -> None:
    """`hang`: the API server never hears of it. `late`: only after the kill. `hold_reply`: it was carried out, and nobody knows."""
    ended = worlds.play(Kill(held=held, kills=kills), url)
    check(ended, worlds)
    assert len(worlds.world.killed) == 1, "nobody was killed"


def test_an_undisturbed_incident_takes_no_step_that_nobody_is_killed_in(worlds: Worlds) -> None:
    """So that a step that is renamed or new does not go untested."""
    check(worlds.play(Kill(), None), worlds)
    assert {step for step in worlds.world.steps() if not step.startswith("DBOS.")} == set(STEPS)
