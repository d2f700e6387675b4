"""The one drill that is being played here: started by a click, stopped by another, and over when the server is."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final

from backstop.clock import Clock
from backstop.console.runs import Runs
from backstop.errors import BackstopError, UsageError
from backstop.scenarios.base import Scenario
from backstop.scenarios.drill import hold, prepare_record
from backstop.scenarios.frames import Listener
from backstop.scenarios.lane import LaneName
from backstop.service.answers import tell

LANES: Final[tuple[LaneName, ...]] = ("naive", "backstop")

Hold = Callable[[Scenario, int, Sequence[LaneName], Path, Listener], Awaitable[object]]


class Playing:
    """At most one at a time: two drills are two clusters each, and what is measured is measured beside the other."""

    def __init__(self, runs: Runs, clock: Clock, play: Hold = hold) -> None:
        self._runs = runs
        self._clock = clock
        self._play = play
        self._task: asyncio.Task[None] | None = None
        self._name: str | None = None

    @property
    def name(self) -> str | None:
        """The run that is being played."""
        return self._name if self._task is not None and not self._task.done() else None

    def start(self, scenario: Scenario, seed: int) -> str:
        """Its name. Raises UsageError if one is being played, or its record cannot be kept."""
        if self.name is not None:
            todo = "wait for its end, or stop it"
            raise UsageError(f"{self.name} is being played", unchanged="nothing was started", todo=todo)
        at = self._clock.now()
        name = f"{at:%Y%m%dT%H%M%S}-{scenario.name}-{seed}"
        directory = prepare_record(self._runs.directory / name)
        self._name = name
        self._task = asyncio.create_task(self._played(scenario, seed, name, directory))
        return name

    async def stop(self, name: str) -> None:
        """Ends it, with every process of it. Raises UsageError if it is not being played."""
        if name != self.name or self._task is None:
            raise UsageError(f"{name} is not being played here", unchanged="nothing was stopped", todo="look at its end")
        await self.close()

    async def close(self) -> None:
        """Ends whatever is being played."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def _played(self, scenario: Scenario, seed: int, name: str, directory: Path) -> None:
        feed = self._runs.feed(name)
        try:
            await self._play(scenario, seed, LANES, directory, lambda _: feed.hear())
        except BackstopError as error:
            tell("drill not held", run=name, error=str(error))  # its last frame says so, too
        except Exception as error:  # noqa: BLE001  process boundary: a bug of a drill ends the drill, not the console
            tell("drill failed", run=name, error=f"{type(error).__name__}: {error}")
        finally:
            feed.end()
