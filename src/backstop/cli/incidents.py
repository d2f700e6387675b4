"""`backstop incidents`: what a running service works on, and a person's word where one is asked for."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, TypeVar

import typer

from backstop.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from backstop.cli.incidents_api import Page, Seen, Service, Told
    from backstop.events import Event
    from backstop.records import ApprovalRequest

app = typer.Typer(
    help="What a running service works on, and your word where it asks for one.", no_args_is_help=True, rich_markup_mode=None
)

DEFAULT_URL: Final = "http://127.0.0.1:8033"
NOTHING: Final = "nothing was answered"
INTERRUPTED: Final = 130
AGAIN_SECONDS: Final = 1.0
OVER: Final = frozenset({"closed", "cancelled", "failed"})
PAST: Final[dict[Told, str]] = {"approve": "approved", "reject": "rejected", "cancel": "cancelled"}

Named = Annotated[str, typer.Argument(metavar="ID", help="Its id, or as much of it as no other begins with.")]
Url = Annotated[str, typer.Option("--url", envvar="BACKSTOP_URL", help="The service; its token is read from BACKSTOP_TOKEN.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]
Why = Annotated[str, typer.Option("--why", help="For the record; needed.")]
By = Annotated[str, typer.Option("--by", help="Who says so; default USER.")]
Decision = Annotated[str | None, typer.Option("--decision", help="The hash of what you looked at, 8 digits or more.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask back. What is shown is what is answered all the same.")]
T = TypeVar("T")


@app.command("list")
def list_(
    state: Annotated[str | None, typer.Option(help="queued, working, awaiting_approval, closed, cancelled or failed.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="The newest so many.")] = 30,
    watch: Annotated[bool, typer.Option("--watch", help="Again every second, until interrupted.")] = False,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """The newest incidents, a line each."""
    query: dict[str, str | int] = {"limit": limit} | ({"state": _state(state)} if state is not None else {})

    import asyncio

    async def work(service: Service) -> None:
        _show_page(await service.recent(**query), as_json=as_json)
        while watch:
            await asyncio.sleep(AGAIN_SECONDS)
            page = await service.recent(**query)
            if sys.stdout.isatty():
                sys.stdout.write("\x1b[H\x1b[2J")
            _show_page(page, as_json=as_json)

    _asked(url, work)


@app.command()
def show(incident: Named, url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """One incident at a glance: what was found, what happened, what it asks, and the commands to answer."""
    from backstop.cli.incidents_page import story

    seen, events = _asked(url, lambda service: _look(service, incident))
    if as_json:
        _json(seen.incident.model_dump(mode="json"))
        return
    for line in story(seen, events, _option(url)):
        typer.echo(line)


@app.command()
def events(
    incident: Named,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until it has ended.")] = False,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Its record, a line an event; with --json the events themselves, one a line. Each is checked to follow from the one before."""
    import asyncio

    from backstop.cli.incidents_page import event_lines
    from backstop.events import Chain
    from backstop.scenarios.story import BackstopTeller

    async def work(service: Service) -> None:
        chain, teller = Chain(), BackstopTeller()
        over = False
        one = (await service.one(incident)).incident
        while True:
            news = await service.events(one.id, chain)
            for line in (json.dumps(e.model_dump(mode="json")) for e in news) if as_json else event_lines(news, teller):
                typer.echo(line)
            if over or not follow:
                return
            over = (await service.one(one.id)).incident.state in OVER  # its last events may have come since
            if not over:
                await asyncio.sleep(AGAIN_SECONDS)

    _asked(url, work)


@app.command()
def approve(
    incident: Named,
    why: Why = "",
    by: By = "",
    decision: Decision = None,
    yes: Yes = False,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Say yes to exactly the write that is shown. If it asks about another by then, nothing is answered."""
    _tell(_Word("approve", incident, why, by, decision), _Manner(url, yes, as_json))


@app.command()
def reject(
    incident: Named,
    why: Why = "",
    by: By = "",
    decision: Decision = None,
    yes: Yes = False,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Say no to the write that is shown. The incident goes to a person."""
    _tell(_Word("reject", incident, why, by, decision), _Manner(url, yes, as_json))


@app.command()
def cancel(incident: Named, why: Why = "", by: By = "", yes: Yes = False, url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """End it before its next write, whatever it asks. A write that was asked for is followed to its end."""
    _tell(_Word("cancel", incident, why, by, None), _Manner(url, yes, as_json))


@app.command()
def export(
    incident: Named,
    to: Annotated[Path, typer.Option("--to", metavar="DIR", help="A folder that is not there yet.")],
    url: Url = DEFAULT_URL,
) -> None:
    """Everything on record of it as a folder: receipt, events, evidence."""
    from backstop.replay import export as write

    async def work(service: Service) -> tuple[Seen, list[Event], bytes | None, bytes | None]:
        seen, record = await _look(service, incident)
        receipt = await service.receipt(seen.incident.id)
        return seen, record, receipt, await service.public_keys() if receipt is not None else None

    seen, record, receipt, keys = _asked(url, work)
    if not record:
        todo = "wait until it is worked on"
        raise UsageError(f"nothing is on record of {seen.incident.id} so far", unchanged="nothing was written", todo=todo)
    write(record, receipt, to, keys=keys.decode("ascii", "replace") if keys is not None else None)
    typer.echo(f"{len(record)} events{', the receipt' if receipt is not None else ', no receipt so far'}: {to}")


@dataclass(frozen=True)
class _Word:
    """What a person says. Raises UsageError for what is none."""

    told: Told
    incident: str
    why: str
    by: str
    decision: str | None

    def __post_init__(self) -> None:
        unchanged = _unchanged(self.told)
        for name, text in (("--why", self.why), ("--by", self.who)):
            if not text.strip():
                what = (
                    "a word without a reason is none" if name == "--why" else "it is not known who answers: USER and --by are empty"
                )
                raise UsageError(what, unchanged=unchanged, todo=f"give it with {name}")
            if len(text) > 200:
                raise UsageError(f"{name} has more than 200 characters", unchanged=unchanged, todo="make it shorter")
        if self.decision is not None and not _is_decision(self.decision):
            todo = "copy it from 'backstop incidents show', 8 digits or more"
            raise UsageError("--decision is no hash of a decision", unchanged=unchanged, todo=todo)

    @property
    def who(self) -> str:
        return self.by or os.environ.get("USER", "")


@dataclass(frozen=True)
class _Manner:
    """Where and how it is said."""

    url: str
    yes: bool
    as_json: bool


def _tell(word: _Word, manner: _Manner) -> None:
    """Shows what there is, asks back, and says it of nothing else."""
    seen, record = _asked(manner.url, lambda service: _look(service, word.incident))
    said = {"by": word.who, "why": word.why}
    if word.told != "cancel":
        said["decision"] = _question(seen, record, word.decision).decision
    shown = list(_shown(word.told, seen, record))
    if not manner.yes:
        _ask_back(word.told, seen, shown)
    elif not manner.as_json:
        typer.echo("\n".join(shown))
    done = _asked(manner.url, lambda service: service.tell(seen.incident.id, word.told, said))
    if manner.as_json:
        _json(done.model_dump(mode="json"))
        return
    from backstop.cli.triage_page import plain

    typer.echo(plain(f"{PAST[word.told]} by {word.who}: {word.why}"))
    typer.echo(f"Follow it with: backstop incidents events {seen.incident.id} --follow{_option(manner.url)}")


def _question(seen: Seen, record: list[Event], decision: str | None) -> ApprovalRequest:
    """What it asks. Raises UsageError if that is nothing, nothing any more, or not what was looked at."""
    from backstop.cli.incidents_page import last
    from backstop.cli.triage_page import plain
    from backstop.events import ApprovalGiven

    now, one = seen
    look = "look at it with 'backstop incidents show'"
    if one.asks is None:
        given = last(record, ApprovalGiven)
        answered = f"; it was {given.approval.answer} by {given.approval.by}: {given.approval.why}" if given is not None else ""
        state = one.state.replace("_", " ")
        raise UsageError(plain(f"{one.id} asks for nothing now: it is {state}{answered}"), unchanged=NOTHING, todo=look)
    if now > one.asks.expires_at:
        over = f"the time for an answer to {one.id} ended at {one.asks.expires_at:%H:%M:%S} UTC, which is a no"
        raise UsageError(over, unchanged=NOTHING, todo=look)
    if decision is not None and not one.asks.decision.startswith(decision.lower()):
        raise UsageError(f"{one.id} asks about another write than the one you looked at", unchanged=NOTHING, todo=look)
    return one.asks


def _shown(told: Told, seen: Seen, record: list[Event]) -> Iterator[str]:
    from backstop.cli.incidents_page import question
    from backstop.cli.triage_page import field, plain

    now, one = seen
    head = f"{told} {one.id}: {one.alert} on {one.target.namespace}/{one.target.key}, {one.state.replace('_', ' ')}"
    lines = [*field("", ""), *question(now, one.asks, record)] if one.asks is not None else []
    yield from (plain(line) for line in (head, *lines, ""))


def _ask_back(told: Told, seen: Seen, shown: list[str]) -> None:
    """Returns for a yes at the terminal, given in time. Raises UsageError where nobody can be asked."""
    import asyncio

    from backstop.triage.terminal import says_yes

    asks = seen.incident.asks
    seconds = max(0.0, (asks.expires_at - seen.now).total_seconds()) if asks is not None else None
    try:
        answer = asyncio.run(says_yes(shown, f"Type yes to {told}; anything else leaves it as it is: ", seconds))
    except KeyboardInterrupt:
        answer = False
    if answer is None:
        todo = (
            "add --yes"
            if asks is None or told == "cancel"
            else f"add --yes --decision {asks.decision[:12]}, if that is what you saw"
        )
        raise UsageError("there is no terminal to ask back at", unchanged=_unchanged(told), todo=todo)
    if not answer:
        typer.echo(f"backstop: {_unchanged(told)}; it is left as it is.", err=True)
        raise typer.Exit(1)


async def _look(service: Service, named: str) -> tuple[Seen, list[Event]]:
    from backstop.events import Chain

    seen = await service.one(named)
    return seen, await service.events(seen.incident.id, Chain())


def _asked(url: str, work: Callable[[Service], Awaitable[T]]) -> T:
    import asyncio

    from backstop.cli.incidents_api import service

    async def asked() -> T:
        async with service(url) as there:
            return await work(there)

    try:
        return asyncio.run(asked())
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None


def _show_page(page: Page, *, as_json: bool) -> None:
    from shutil import get_terminal_size

    from backstop.cli.incidents_page import table

    if as_json:
        _json(page.model_dump(mode="json"))
        return
    for line in table(page, get_terminal_size().columns) if sys.stdout.isatty() else table(page):
        typer.echo(line)


def _json(value: object) -> None:
    """In ASCII: what a title says cannot write to a terminal."""
    typer.echo(json.dumps(value))


def _option(url: str) -> str:
    """What a command has to be given for this service."""
    return "" if url == os.environ.get("BACKSTOP_URL", DEFAULT_URL) else f" --url {url}"


def _unchanged(told: Told) -> str:
    return "nothing was cancelled" if told == "cancel" else NOTHING


def _state(state: str) -> str:
    from typing import get_args

    from backstop.cli.triage_page import plain
    from backstop.engine.port import State

    if state not in get_args(State):
        raise UsageError(
            f"'{plain(state)}' is no state", unchanged="nothing was changed", todo=f"write one of {', '.join(get_args(State))}"
        )
    return state


def _is_decision(text: str) -> bool:
    return 8 <= len(text) <= 64 and all(one in "0123456789abcdefABCDEF" for one in text)
