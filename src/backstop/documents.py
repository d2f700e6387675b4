"""What Backstop remembers between incidents: JSON documents that are read, changed while nobody else may, and written.

Here each is a file, shared by whoever works in the same state directory; `engine.shared` has the same as rows of a database.
Nothing here guesses. What cannot be read, or is gone although it was there, is `Lost`. That a file was there is known from its lock
file, which says so once something was kept, and from what only an incident leaves behind.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from threading import Event
from typing import Final, NamedTuple, Protocol

from backstop.durable import replace_file

_BREAKER, _HISTORY, _SPEND = "breaker.json", "history.json", "spend.json"
_MARK: Final = b"A ledger was kept beside this file. Where it is gone, the breaker is open until everything is reset.\n"
_LOCK_TRIES: Final = 200
_LOCK_WAIT_SECONDS: Final = 0.01


class Lost(Exception):
    """What was kept is not known, or cannot be kept. `str()` says why."""


class Away(Lost):
    """Where it is kept cannot be used now. What is there is as it was, and may be known again without anybody's doing."""


class Held(Protocol):
    """A document that nobody else reads in order to write meanwhile."""

    def read(self) -> bytes | None:
        """None: nothing was ever kept here. Raises Lost."""
        ...

    def write(self, text: str) -> None:
        """Durably, whole or not at all, when the block has ended in which it is held. Raises Lost."""
        ...

    def set_aside(self) -> None:
        """Takes away what is not the truth any more, for whoever finds out why. What then is missing says so by itself."""
        ...


class Document(Protocol):
    """Blocks: call it from a thread where others must not wait."""

    @property
    def name(self) -> str:
        """Where it is kept, for people."""
        ...

    def read(self) -> bytes | None:
        """As `Held`."""
        ...

    def set_aside(self) -> None:
        """As `Held`, and does nothing where nothing can be done."""
        ...

    def alone(self) -> AbstractContextManager[Held]:
        """Nobody else holds it meanwhile. Raises Lost, also at the end, if it cannot be had or what was written cannot be kept."""
        ...


class FileDocument:
    """A file of a state directory.

    `missed_by`: names of files beside it that are made later. Where it is gone, and one of them is there, or its own mark, or what
    was set aside, it was lost. None: gone is as good as never kept.
    """

    def __init__(self, path: Path, missed_by: tuple[str, ...] | None = None) -> None:
        self._path = path
        self._missed_by = missed_by
        self._lock = path.with_name(f".{path.name}.lock")
        self._aside = path.with_name(f"{path.name}.aside")

    @property
    def name(self) -> str:
        return str(self._path)

    def read(self) -> bytes | None:
        try:
            return self._path.read_bytes()
        except FileNotFoundError:
            if self._missed_by is not None:
                self._must_be_fresh(self._missed_by)
            return None
        except OSError as error:
            raise Lost(f"its state {self._path} cannot be read ({error.strerror})") from error

    def _must_be_fresh(self, missed_by: tuple[str, ...]) -> None:
        marked = [self._lock] if self._marked() else []
        left = (self._aside, *map(self._path.with_name, missed_by))
        for sign in (*marked, *(file for file in left if os.path.lexists(file))):
            raise Lost(f"its state {self._path} is gone, although {sign.name} says that there was one")

    def _marked(self) -> bool:
        """Whether anything was ever kept. Raises Lost."""
        try:
            return self._lock.stat().st_size > 0
        except FileNotFoundError:
            return False
        except OSError as error:
            raise Lost(f"its state {self._path} cannot be read ({error.strerror})") from error

    def write(self, text: str) -> None:
        try:
            replace_file(self._path, text)
            if self._missed_by is not None and not self._marked():
                self._mark()
        except OSError as error:
            raise Lost(f"its state {self._path} cannot be written ({error.strerror})") from error

    def set_aside(self) -> None:
        with suppress(OSError):
            self._path.replace(self._aside)

    @contextmanager
    def alone(self) -> Iterator[Held]:
        """Raises Lost if somebody else does not let go for two seconds."""
        try:
            self._lock.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise Lost(f"its state {self._path} cannot be written ({error.strerror})") from error
        try:
            self._take(descriptor)
            yield self
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


class Documents(NamedTuple):
    """The breaker's ledger, the writes of the last day, and what the day has cost."""

    breaker: Document
    history: Document
    spend: Document


def ledger_file(path: Path) -> FileDocument:
    """The breaker's: incidents make the others later, so with one of them and no ledger, the ledger was lost."""
    return FileDocument(path, (_HISTORY, _SPEND))


def files_of(state: Path) -> Documents:
    """Those of a state directory."""
    return Documents(ledger_file(state / _BREAKER), FileDocument(state / _HISTORY), FileDocument(state / _SPEND))
