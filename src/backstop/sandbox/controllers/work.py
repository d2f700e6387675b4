"""The keyed work queue under every control loop: a key that changes ten times while it waits is worked on once."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable
from typing import TextIO

from backstop.sandbox.status import StatusError

Key = tuple[str, str]
Reconcile = Callable[[str, str], float | None]
FIRST_RETRY_SECONDS = 0.05
LAST_RETRY_SECONDS = 5.0


class WorkQueue:
    """Calls `reconcile(namespace, name)` for every key that was added. It may answer in how many seconds to look again.

    A StatusError (somebody else was faster, a quota, a terminating namespace) is tried again, ever later.
    """

    def __init__(self, name: str, reconcile: Reconcile, errors: TextIO) -> None:
        self.name = name
        self._reconcile = reconcile
        self._errors = errors
        self._pending: dict[Key, None] = {}
        self._failures: dict[Key, int] = {}
        self._timers: dict[Key, asyncio.TimerHandle] = {}
        self._wake = asyncio.Event()

    def add(self, namespace: str, name: str) -> None:
        """Work on this key soon."""
        self._pending[(namespace, name)] = None
        self._wake.set()

    def add_after(self, namespace: str, name: str, seconds: float) -> None:
        """Work on this key in `seconds`, or earlier if something happens to it."""
        key = (namespace, name)
        loop = asyncio.get_running_loop()
        due = loop.time() + seconds
        timer = self._timers.get(key)
        if timer is not None and not timer.cancelled() and loop.time() <= timer.when() <= due:
            return
        if timer is not None:
            timer.cancel()
        self._timers[key] = loop.call_later(seconds, self._due, key)

    def _due(self, key: Key) -> None:
        self._timers.pop(key, None)
        self.add(*key)

    async def run(self) -> None:
        """Works until cancelled."""
        try:
            while True:
                await self._wake.wait()
                while self._pending:
                    key = next(iter(self._pending))
                    del self._pending[key]
                    self._work(key)
                    await asyncio.sleep(0)  # let the API answer between two keys
                self._wake.clear()
        finally:
            for timer in self._timers.values():
                timer.cancel()

    def _work(self, key: Key) -> None:
        try:
            again = self._reconcile(*key)
        except StatusError:
            self._retry(key)
        except Exception:  # noqa: BLE001  a control loop outlives one object that it cannot handle, as in Kubernetes
            print(f"{self.name} controller, {'/'.join(key)}:", traceback.format_exc(), sep="\n", file=self._errors, flush=True)
            self._retry(key)
        else:
            self._failures.pop(key, None)
            if again is not None:
                self.add_after(*key, again)

    def _retry(self, key: Key) -> None:
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        self.add_after(*key, min(LAST_RETRY_SECONDS, FIRST_RETRY_SECONDS * 2 ** min(failures, 20)))
