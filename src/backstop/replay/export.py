"""One incident as a folder that can be handed on: its record line by line, its receipt, and both for people to read.

Everything in it that a cluster or a model said may be hostile text: pages show it indented, as it is, and never as markup.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from backstop.errors import RecordError, UsageError
from backstop.events import Chain, Event
from backstop.records import Evidence, Fact, Handoff, action_key, clean
from backstop.replay.fold import State, fold

RECORD: Final = "events.jsonl"
RECEIPT: Final = "receipt.json"
PUBLIC_KEY: Final = "receipt.pub"
_UNCHANGED: Final = "nothing was written there"


def export(events: Sequence[Event], receipt: bytes | None, to: Path, *, keys: str | None = None) -> None:
    """Writes the folder `to`, whole or not at all; it may not be there yet, unless empty. `keys` (PEM) are the public keys of the
    installation. Raises UsageError for a place that cannot be used, RecordError for events that are not one whole record."""
    require_chain(events)
    try:
        if to.is_dir() and any(to.iterdir()):
            raise UsageError(f"{to} is not empty", unchanged=_UNCHANGED, todo="name a directory that is not there yet")
        to.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{to.name}.", dir=to.parent))
        try:
            for name, content in _files(events, receipt, keys):
                path = draft / name
                path.parent.mkdir(exist_ok=True)
                path.write_bytes(content)
            os.rename(draft, to)  # noqa: PTH104  over an empty directory, too
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    except OSError as error:
        raise UsageError(
            f"{to} cannot be written: {error.strerror}", unchanged=_UNCHANGED, todo="name another directory"
        ) from error


def handoff_page(handoff: Handoff) -> str:
    """What a person was handed, as text to be pasted."""
    return _page(_handoff(handoff)).decode()


def require_chain(events: Sequence[Event]) -> None:
    """Raises RecordError for what is not the record of one incident, whole from its beginning."""
    if not events:
        raise RecordError("there are no events of this incident")
    chain = Chain()
    for event in events:
        try:
            chain.follow(event)
        except ValueError as error:
            raise RecordError(f"event {event.seq} of incident {event.incident} {error}") from error
        if event.hash != event.expected_hash():
            raise RecordError(f"event {event.seq} of incident {event.incident} was altered")
        if event.incident != events[0].incident:
            raise RecordError(f"event {event.seq} of incident {event.incident} is none of {events[0].incident}")


def _files(events: Sequence[Event], receipt: bytes | None, keys: str | None) -> Iterator[tuple[str, bytes]]:
    state = fold(events)
    yield RECORD, "".join(f"{event.line()}\n" for event in events).encode()
    if receipt is not None:
        yield RECEIPT, receipt
    if keys is not None:
        yield PUBLIC_KEY, keys.encode()
    for number, look in enumerate(state.looks, 1):
        yield f"evidence/look-{number}.json", (look.model_dump_json(indent=2) + "\n").encode()
        yield f"evidence/look-{number}.md", _page(_look(number, look))
    if state.outcome is not None and state.outcome.handoff is not None:
        yield "handoff.md", _page(_handoff(state.outcome.handoff))
    yield "README.md", _page(_readme(state, receipt is not None, keys is not None))


def _page(lines: Iterator[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()


def _readme(state: State, signed: bool, keyed: bool) -> Iterator[str]:  # noqa: FBT001
    alert, outcome = state.alert, state.outcome
    yield f"# Incident {_inline(state.incident)}"
    yield ""
    yield from _said(
        "What was reported",
        [f"{alert.name}: {alert.summary}", f"target: {alert.target.namespace}/{alert.target.key}"] if alert else ["not on record"],
    )
    ended = f"{outcome.kind.value}: {outcome.reason}" if outcome else "it has not ended; this is what was on record so far"
    yield from _said("How it ended", [ended])
    yield from _said("What Backstop wrote", [_write(state, n) for n in range(len(state.writes))] or ["nothing"])
    yield from _said(
        "What a gate refused", [f"{one.action} ({', '.join(one.rules)})" for one in state.blocked] or ["nothing at the action gate"]
    )
    yield "## What is in this folder"
    yield ""
    yield f"- `{RECORD}`: everything that happened, {state.seq} events, one line each; each line holds the hash of the one before."
    yield "- `evidence/`: what was seen at each look at the cluster, with secrets taken out; as JSON and to read."
    if outcome is not None and outcome.handoff is not None:
        yield "- `handoff.md`: what a person was handed, with the commands to go on with."
    if signed:
        yield f"- `{RECEIPT}`: the receipt of the record, signed by the executor."
    if keyed:
        yield f"- `{PUBLIC_KEY}`: the public keys of the installation. Whoever gave you the folder could have changed them:"
        yield "  compare the key's id with the one that the operator of the executor gives you."
    yield ""
    yield "## What to do with it"
    yield ""
    check = f"backstop receipt verify {RECEIPT}{'' if keyed else ' --key THE-INSTALLATIONS-KEY.pub'}"
    yield f"- Check it, offline: `{check}`" if signed else "- It was not signed: nothing proves who wrote this record."
    yield "- See the state at any moment, or what another policy would have decided: `backstop replay . --policy FILE`"


def _write(state: State, number: int) -> str:
    done = state.writes[number]
    write = done.write
    undone = "undo of a write: " if done.undo else ""
    return f"{undone}{write.verb} {write.target.namespace}/{write.target.key}, audit id {write.audit_id or 'unknown'}"


def _look(number: int, look: Evidence) -> Iterator[str]:
    yield f"# Look {number}, {look.taken_at.isoformat()}"
    yield ""
    unseen = [f"{one.what} of {one.about.key}: {one.why}, {one.detail}" for one in look.omissions]
    yield from _said("Not seen", unseen or ["nothing that was looked for"])
    for fact in look.facts:
        yield from _said(_title(fact), fact.lines())


def _title(fact: Fact) -> str:
    when = f", {fact.time.isoformat()}" if fact.time is not None else ""
    return f"{fact.id} {fact.kind.value} of {fact.about.key}{when}"


def _handoff(handoff: Handoff) -> Iterator[str]:
    yield "# Hand-off"
    yield ""
    yield from _said("Why a person is needed", [handoff.reason])
    yield from _said("What was changed", [handoff.unchanged])
    if handoff.proposed is not None:
        yield from _said("What passed every gate and was left to a person", [handoff.proposed])
    yield from _said("What to do next", handoff.next_steps)
    diagnoses = [f"{d.fault_class.value} of {d.suspect.key}: {d.hypothesis} -> {action_key(d.action)}" for d in handoff.diagnoses]
    yield from _said("What models and rules said, right or wrong", diagnoses or ["nothing"])
    said = [f"{verdict.stage}, {c.rule}: {c.reason}" for verdict in handoff.verdicts for c in verdict.checks if not c.passed]
    yield from _said("What the gates objected to", said or ["nothing"])


def _said(title: str, lines: Sequence[str]) -> Iterator[str]:
    """A heading, and lines that are shown as they are."""
    yield f"## {_inline(title)}"
    yield ""
    yield from (f"    {_shown(line)}".rstrip() for line in lines)
    yield ""


def _shown(line: str) -> str:
    return "".join("\ufffd" if one == "\n" or unicodedata.category(one) == "Cf" else one for one in clean(line))


def _inline(text: str) -> str:
    """Markup of somebody else's shows itself instead of working."""
    return "".join(f"\\{one}" if one in _MARKUP else one for one in _shown(text))


_MARKUP: Final = frozenset("\\`*_[]()<>#!|&~")
