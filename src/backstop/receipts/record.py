"""The events of one incident as they were signed: raw lines, checked without any knowledge of what they mean, so that a receipt of
an older or newer version is checked the same way."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from backstop.errors import ReceiptError
from backstop.events import GENESIS, canonical, content_hash

Json = dict[str, Any]


def strict(text: str) -> Json:
    """A JSON object that is written in the one canonical way: no key twice, no NaN, no white space. Raises ValueError."""
    try:
        content = json.loads(text)
        same = canonical(content) == text
    except RecursionError as error:
        raise ValueError("is nested too deeply") from error
    except json.JSONDecodeError as error:
        raise ValueError("is not JSON") from error
    except ValueError as error:  # NaN, or a number of thousands of digits
        raise ValueError("is not canonical") from error
    if not isinstance(content, dict):
        raise ValueError("is no JSON object")  # noqa: TRY004  what is asked about is the text
    if not same:
        raise ValueError("is not canonical")
    return content


def select(content: bytes, incident: str) -> list[str]:
    """The lines of one incident in a record that may hold several. Raises ReceiptError for a line that is no canonical event."""
    if not content.endswith(b"\n"):
        raise ReceiptError("the record ends in the middle of a line" if content else "the record is empty")
    mine = []
    for number, raw in enumerate(content[:-1].split(b"\n"), 1):
        try:
            line = raw.decode("utf-8")
            if json.loads(line)["incident"] == incident:
                mine.append(line)
        except UnicodeDecodeError as error:
            raise ReceiptError(f"line {number} of the record is not UTF-8") from error
        except (ValueError, TypeError, LookupError, RecursionError) as error:
            raise ReceiptError(f"line {number} of the record is no event") from error
    return mine


def check_chain(lines: Sequence[str]) -> list[Json]:
    """The events, each whole and following from the one before. Raises ReceiptError with the first that is not."""
    events: list[Json] = []
    for number, line in enumerate(lines, 1):
        try:
            event = strict(line)
        except ValueError as error:
            raise ReceiptError(f"event {number} {error}") from error
        if not _is_event(event):
            raise ReceiptError(f"event {number} is no event")
        if event["hash"] != content_hash(event):
            raise ReceiptError(f"event {number} was altered")
        events.append(event)
    _check_order(events)
    return events


def _is_event(event: Json) -> bool:
    texts = all(isinstance(event.get(name), str) for name in ("at", "incident", "prev", "hash"))
    return texts and type(event.get("seq")) is int and isinstance(event.get("body"), dict)


def _check_order(events: Sequence[Json]) -> None:
    prev = GENESIS
    for number, event in enumerate(events, 1):
        seq = event["seq"]
        if seq != number:
            if sorted(one["seq"] for one in events) == list(range(1, len(events) + 1)):
                raise ReceiptError(f"the events were reordered: event {seq} stands where event {number} belongs")
            if seq > number:
                raise ReceiptError(f"event {number} is missing: event {seq} stands in its place")
            raise ReceiptError(f"event {seq} stands in the record twice")
        if event["prev"] != prev:
            raise ReceiptError(f"event {number} does not follow from the one before it")
        prev = event["hash"]
