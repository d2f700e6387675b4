"""The file in which a ledger outlives its process, shared by whoever works in the same state directory.

Nothing here guesses. What cannot be read, or is gone although it was there, is `Lost`. That it was there is known from the lock
file, which says so once a ledger was kept, and from what only an incident leaves behind.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event
from typing import Final

from backstop.breaker.ledger import Ledger
from backstop.durable import replace_file

INCIDENTS_LEAVE: Final = ("history.json", "spend.json")
"""Files of a state directory that are made later than the breaker's: with one of them and no ledger, the ledger was lost."""

_MARK: Final = b"A ledger was kept beside this file. Where it is gone, the breaker is open until everything is reset.\n"
_LOCK_TRIES: Final = 200
_LOCK_WAIT_SECONDS: Final = 0.01


class Lost(Exception):
    """The ledger is not known, or cannot be kept. `str()` says why."""


class Store:
    """The ledger of one state directory."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = path.with_name(f".{path.name}.lock")
        self._aside = path.with_name(f"{path.name}.aside")

    def read(self) -> Ledger | None:
        """None: nothing was ever kept here. Raises Lost."""
        try:
            return Ledger.model_validate_json(self._path.read_bytes())
        except FileNotFoundError:
            self._must_be_fresh()
            return None
        except OSError as error:
            raise Lost(f"its state {self._path} cannot be read ({error.strerror})") from error
        except (ValueError, OverflowError) as error:
            raise Lost(f"its state {self._path} cannot be read (it is not what this version of Backstop writes)") from error

    def _must_be_fresh(self) -> None:
        marked = [self._lock] if self._marked() else []
        left = (self._aside, *map(self._path.with_name, INCIDENTS_LEAVE))
        for sign in (*marked, *(file for file in left if os.path.lexists(file))):
            raise Lost(f"its state {self._path} is gone, although {sign.name} says that there was one")

    def _marked(self) -> bool:
        """Whether a ledger was ever kept. Raises Lost."""
        try:
            return self._lock.stat().st_size > 0
        except FileNotFoundError:
            return False
        except OSError as error:
            raise Lost(f"its state {self._path} cannot be read ({error.strerror})") from error

    def write(self, ledger: Ledger) -> None:
        """Durably, whole or not at all; to be called within `alone`. Raises Lost."""
        try:
            replace_file(self._path, ledger.model_dump_json())
            if not self._marked():
                self._mark()
        except OSError as error:
            raise Lost(f"its state {self._path} cannot be written ({error.strerror})") from error

    def set_aside(self) -> None:
        """Takes a ledger away that is not the truth any more, for whoever finds out why. What then is missing says so by itself."""
        with suppress(OSError):
            self._path.replace(self._aside)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Nobody else reads in order to write meanwhile. Raises Lost if somebody else does not let go for two seconds."""
        try:
            self._lock.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise Lost(f"its state {self._path} cannot be written ({error.strerror})") from error
        try:
            self._take(descriptor)
            yield
        finally:
            os.close(descriptor)

    def _take(self, descriptor: int) -> None:
        for _ in range(_LOCK_TRIES):
            try:
                return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                Event().wait(_LOCK_WAIT_SECONDS)  # the kernel has no lock that is waited for with a deadline
            except OSError as error:
                raise Lost(f"its state {self._path} cannot be locked ({error.strerror})") from error
        raise Lost(f"its state {self._path} is held by another process that does not let go")

    def _mark(self) -> None:
        """The lock file stays the same file: others wait for it. Raises OSError."""
        with self._lock.open("r+b") as file:
            file.write(_MARK)
            file.flush()
            os.fsync(file.fileno())
