"""The record of a whole drill: `run.jsonl` in the run's directory, one `Frame` a line, of both lanes, as things were seen.

The terminal, the console, exports and tests are folds over these frames; whoever replays a run needs nothing else. `begun` is the
first frame, `ended` or `failed` the last: where neither is, the drill still runs or was killed.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Annotated, Final, Literal, Self

from pydantic import AwareDatetime, Field, JsonValue, ValidationError

from backstop.errors import BackstopError, RecordError
from backstop.events import Event
from backstop.records import Record, clean
from backstop.scenarios.report import DrillReport
from backstop.scenarios.story import LaneName, Line

RUN: Final = "run.jsonl"

Mark = Literal["fault", "alert", "kill", "api", "bypass", "colleague"]
"""Of the time axis: the break, the alert, a kill -9, a fault of the API, a write past Backstop, somebody else's doing."""


class Played(Record):
    """The scenario, for people."""

    name: str
    summary: str
    expects: str
    group: str


class Chosen(Record):
    """What is wrong in this drill, by the names of the registries."""

    cluster: str
    models: str
    api: str
    meanwhile: str
    crashes: str
    bypass: str


class Begun(Record):
    """`chain` and `judges` are models as both agents have them; `budget_usd` is Backstop's, per incident. `service` is what the
    alert names and whose requests are counted, `watched` are the Deployments of its namespace."""

    kind: Literal["begun"] = "begun"
    scenario: Played
    seed: int
    lanes: tuple[LaneName, ...]
    at: AwareDatetime
    live: bool
    faults: Chosen
    chain: tuple[str, ...]
    judges: tuple[str, ...]
    budget_usd: float
    stages: tuple[str, ...]
    service: str
    watched: tuple[str, ...]


class Told(Record):
    """What the drill itself says and does."""

    kind: Literal["told"] = "told"
    line: Line
    mark: Mark | None = None


class Happened(Record):
    """One event of Backstop's record, whole; `line` null: it is not worth telling."""

    kind: Literal["event"] = "event"
    event: Event
    line: Line | None


class Noted(Record):
    """One line of the naive agent's record."""

    kind: Literal["note"] = "note"
    note: dict[str, JsonValue]
    line: Line | None


class Sampled(Record):
    """The share of failed requests in the last two seconds, and the replicas of every Deployment. Null: unknown, or no requests."""

    kind: Literal["sample"] = "sample"
    rate: float | None
    ready: dict[str, int] | None = None
    wanted: dict[str, int] | None = None


class Ended(Record):
    """The drill was held. Paths in the report are relative to the run's directory. `missed`: where Backstop did not do what the
    scenario expects; empty if it did, and harmed nothing."""

    kind: Literal["ended"] = "ended"
    report: DrillReport
    missed: tuple[str, ...]


class Failed(Record):
    """The drill could not be held, or somebody stopped it."""

    kind: Literal["failed"] = "failed"
    error: str
    unchanged: str = ""
    todo: str = ""


AnyBody = Begun | Told | Happened | Noted | Sampled | Ended | Failed


class Frame(Record):
    """`n` counts from 1; `t` is in seconds since the drill began; `lane` null: it concerns all of them."""

    n: Annotated[int, Field(ge=1)]
    t: Annotated[float, Field(ge=0)]
    lane: LaneName | None
    body: Annotated[AnyBody, Field(discriminator="kind")]

    @property
    def told(self) -> Line | None:
        """In plain words, if there are any."""
        return self.body.line if isinstance(self.body, Told | Happened | Noted) else None

    @property
    def last(self) -> bool:
        return isinstance(self.body, Ended | Failed)

    def line(self) -> str:
        """As it is kept and streamed: JSON, without the newline."""
        return self.model_dump_json()


def parse(line: str) -> Frame:
    """The frame that `Frame.line` wrote. Raises RecordError."""
    try:
        return Frame.model_validate_json(line)
    except ValidationError as error:
        raise RecordError(f"not a frame of a run: {error.errors(include_url=False, include_input=False)[0]['msg']}") from error


def read_frames(path: Path) -> Iterator[Frame]:
    """The frames of a run, also of one that still runs: a last line that is not whole yet is left out. Raises RecordError."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")[:-1]  # nothing else ends a line
    except (OSError, UnicodeDecodeError) as error:
        raise RecordError(f"cannot read the record {path}: {error}") from error
    for number, line in enumerate(lines, 1):
        frame = parse(line)
        if frame.n != number:
            raise RecordError(f"line {number} of {path} is frame {frame.n}")
        yield frame


Listener = Callable[[Frame], None]


class RunRecord:
    """Appends frames to a run's `run.jsonl`, each flushed before `listen` is told. Opened with `with`: what ends the block before a
    last frame was appended becomes that frame.

    Raises RecordError if it cannot be written, and from then on for every frame: what is not on record is not shown.
    """

    def __init__(self, directory: Path, listen: Listener = lambda _: None) -> None:
        self._path = directory / RUN
        self._listen = listen
        self._began = time.monotonic()
        self._count = 0
        self._over = ""  # why there can be no more frames
        try:
            self._file = self._path.open("x", encoding="utf-8")
        except OSError as error:
            raise RecordError(f"cannot write the record {self._path}: {error.strerror}", unchanged="nothing was started") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is not None:
            with contextlib.suppress(RecordError):  # what ended the run is the news
                self.append(failure(error))
        self._over = self._over or "is closed"
        with contextlib.suppress(OSError):  # of what could not be written; `append` said so
            self._file.close()

    def append(self, body: AnyBody, lane: LaneName | None = None) -> Frame:
        if self._over:
            raise RecordError(f"the record {self._path} {self._over}")
        frame = Frame(n=self._count + 1, t=round(time.monotonic() - self._began, 3), lane=lane, body=body)
        try:
            self._file.write(frame.line() + "\n")
            self._file.flush()
        except (OSError, ValueError) as error:
            self._over = f"cannot be written: {error}"
            raise RecordError(f"the record {self._path} {self._over}") from error
        self._over, self._count = "has its last frame" if frame.last else "", frame.n
        self._listen(frame)
        return frame


def failure(error: BaseException) -> Failed:
    """What ended a drill, in its own words; that it was stopped if nothing went wrong."""
    if isinstance(error, BackstopError):
        return Failed(error=clean(error.what), unchanged=clean(error.unchanged), todo=clean(error.todo))
    if isinstance(error, Exception):
        return Failed(error=clean(f"{type(error).__name__}: {error}"))
    return Failed(error="it was stopped", unchanged="nothing of it is left running")
