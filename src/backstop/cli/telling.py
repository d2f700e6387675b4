"""What a service and its workers say on standard error: a line when an incident asks, and when it has ended."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from backstop.events import Event
    from backstop.pipeline.receipt import Signed
    from backstop.records import ApprovalRequest


def told(events: Sequence[Event], signed: Signed) -> None:
    """An end."""
    from backstop.events import Closed

    outcome = next((event.body.outcome for event in reversed(events) if isinstance(event.body, Closed)), None)
    if outcome is not None:
        say(f"{events[0].incident} {outcome.kind.value}: {outcome.reason}; {signed.said}")


def heard(events: Sequence[Event]) -> None:
    """A question, when it is asked. What begins with the first event is an incident taken up, whose question was told before."""
    from backstop.events import ApprovalAsked

    for event in events if events and events[0].seq > 1 else ():
        if isinstance(event.body, ApprovalAsked):
            _tell_question(event.incident, event.body.request)


def hear(said: dict[str, Any]) -> None:
    """What a worker beside this one says: see `python -m backstop.worker`."""
    from backstop.records import ApprovalRequest

    if "asks" in said:
        _tell_question(said["incident"], ApprovalRequest.model_validate(said["asks"]))
    elif "closed" in said:
        say(f"{said['incident']} {said['closed']['kind']}: {said['closed']['reason']}; {said['signed']}")


def _tell_question(incident: str, asks: ApprovalRequest) -> None:
    until = f"until {asks.expires_at:%H:%M:%S} UTC"
    say(f"{incident} asks {until}: {asks.action}; see it with: {command()} incidents show {incident}")


def command() -> str:
    """What is typed here for `backstop`: the word alone if this shell finds the very program that runs, else where that lies."""
    own, found = Path(sys.argv[0]), shutil.which("backstop")
    here = own.name != "backstop" or (found is not None and Path(found).resolve() == own.resolve())
    return "backstop" if here else shlex.quote(str(own))


def say(line: str) -> None:
    """One line, of whatever characters."""
    from backstop.cli.triage_page import plain

    sys.stderr.write(plain(line) + "\n")
    sys.stderr.flush()
