"""What both agents' processes have in common: a configuration file, commands and answers as JSON lines.

{"alert": Alert}      work this incident
{"advance": seconds}  move the clock forward, so that a window passes
end of input          stop
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from backstop.clock import SystemClock
from backstop.errors import ConfigError
from backstop.records import Alert, Record
from backstop.settings import Settings, load_settings

_MAX_LINE = 2**20

C = TypeVar("C", bound="AgentSetup")


class AgentSetup(BaseModel):
    """What any process that works incidents is told: where the cluster, the executor and the policy are, and how far it goes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kubeconfig: Path | None = None
    context: str | None = None
    executor_socket: Path | None = None
    executor_patience: float = 0.0  # seconds for which an executor that is gone is waited for, where somebody restarts it
    policy: str = "default"
    mode: Literal["observe", "approve", "auto"] = "auto"
    state: Path
    settings: dict[str, Any] = {}

    def load_settings(self) -> Settings:
        """Raises ConfigError."""
        return load_settings(self.settings)


class AgentConfig(AgentSetup):
    """The file that `--config` names, of one lane of a drill."""

    models_url: str
    api_key: str
    lane: str
    record: Path
    seed: int

    def load_settings(self) -> Settings:
        named = {"models_url": self.models_url, "models_api_key": self.api_key}
        return load_settings({**named, **self.settings})


class StartIncident(Record):
    alert: Alert


class AdvanceClock(Record):
    advance: Annotated[float, Field(ge=0, le=31_536_000)]


class NotUnderstood(Record):
    """A line that is no command. It is answered, and work goes on."""

    error: str


Command = StartIncident | AdvanceClock | NotUnderstood


def config_of(program: str, about: str | None, kind: type[C]) -> C:
    """Reads the command line and the file it names. Raises ConfigError."""
    parser = argparse.ArgumentParser(prog=program, description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, required=True, help="a JSON file")
    path: Path = parser.parse_args().config
    try:
        return kind.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        raise ConfigError(f"{path} cannot be used: {place}: {first['msg']}") from error


def say(**answer: JsonValue) -> None:
    """One JSON line on standard output."""
    print(json.dumps(answer, ensure_ascii=False, allow_nan=False), flush=True)  # noqa: T201  the interface of the process


async def work_commands(work: Callable[[Alert], Awaitable[None]], clock: SystemClock) -> None:
    """Works alerts one after the other until the input ends or a signal comes. Raises whatever `work` raises."""
    alerts: asyncio.Queue[Alert] = asyncio.Queue()
    worker = asyncio.create_task(_work_alerts(work, alerts))
    reader = asyncio.create_task(_read(alerts, clock))
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, reader.cancel)
    say(ready=True)
    done, pending = await asyncio.wait({worker, reader}, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    await asyncio.gather(*pending, return_exceptions=True)
    for task in done:
        if not task.cancelled():
            task.result()


async def _work_alerts(work: Callable[[Alert], Awaitable[None]], alerts: asyncio.Queue[Alert]) -> None:
    while True:
        await work(await alerts.get())


async def _read(alerts: asyncio.Queue[Alert], clock: SystemClock) -> None:
    async for command in _commands():
        match command:
            case StartIncident(alert=alert):
                alerts.put_nowait(alert)
            case AdvanceClock(advance=seconds):
                clock.advance(seconds)
            case NotUnderstood(error=error):
                say(error=error)


async def _commands() -> AsyncIterator[Command]:
    """What is asked on standard input, a pipe, until it ends."""
    reader = asyncio.StreamReader(limit=_MAX_LINE)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await _next_line(reader):
        if line.strip():
            yield parse_command(line)


async def _next_line(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readline()
    except ValueError as error:  # longer than the limit; where the next line begins is not known
        raise ConfigError(f"a command is longer than {_MAX_LINE} bytes") from error


def parse_command(line: bytes) -> Command:
    """One line as a command; what is none is NotUnderstood."""
    first = ""
    for kind in (StartIncident, AdvanceClock):
        try:
            return kind.model_validate_json(line)
        except ValidationError as error:
            problem = error.errors(include_url=False, include_input=False)[0]
            first = first or f"{'.'.join(str(part) for part in problem['loc'])}: {problem['msg']}"
    return NotUnderstood(error=f"not a command ({first})")
