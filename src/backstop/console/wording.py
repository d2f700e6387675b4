"""How times, amounts and names are written on every page."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from markupsafe import Markup

from backstop.pipeline.rulebook import rule_of
from backstop.records import action_key, clean

UNKNOWN: Final = "unknown"


def plain(value: Any) -> Any:
    """What a template shows, as what it says: no control characters, and none that reorder or hide others. Lines stay lines."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    return "".join("\ufffd" if unicodedata.category(one) == "Cf" else one for one in clean(value))


def utc(at: datetime | None) -> str:
    """`2026-11-27 04:12:09`, in UTC, which pages say once."""
    return _written(at, "%Y-%m-%d %H:%M:%S")


def clock_time(at: datetime | None) -> str:
    """`04:12:09`."""
    return _written(at, "%H:%M:%S")


def _written(at: datetime | None, form: str) -> str:
    try:
        return UNKNOWN if at is None else format(at.astimezone(UTC), form)
    except OverflowError:  # the first or the last day of all, elsewhere
        return UNKNOWN


def iso(at: datetime) -> str:
    """For `<time datetime>`."""
    try:
        return at.astimezone(UTC).isoformat(timespec="milliseconds")
    except OverflowError:
        return at.isoformat(timespec="milliseconds")


def ago(at: datetime | None, now: datetime) -> str:
    """`3 min ago`; what lies ahead is `in 3 min`."""
    if at is None:
        return UNKNOWN
    seconds = (now - at).total_seconds()
    return f"{duration(seconds)} ago" if seconds >= 0 else f"in {duration(-seconds)}"


def duration(seconds: float | None) -> str:
    """In the largest unit that leaves a number: `0.4 s`, `12 s`, `3 min`, `5 h`, `2 d`."""
    if seconds is None:
        return UNKNOWN
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{int(seconds // length)} {unit}"
    return f"{seconds:.1f} s" if seconds < 10 else f"{int(seconds)} s"


def countdown(seconds: float) -> str:
    """`2:31` are left."""
    whole = max(0, int(seconds))
    return f"{whole // 60}:{whole % 60:02}"


def offset(seconds: float) -> str:
    """When something happened after a beginning: `0.4 s`, `2:31`."""
    return f"{seconds:.1f} s" if seconds < 60 else countdown(seconds)


def usd(amount: float | None) -> str:
    """`$0.0041`; what is not known is not nothing."""
    if amount is None:
        return UNKNOWN
    return f"${amount:.4f}" if amount < 1 else f"${amount:.2f}"


def percent(share: float | None) -> str:
    """`31%`, and `0.4%` below one in a hundred."""
    if share is None:
        return UNKNOWN
    return f"{share:.1%}" if 0 < share < 0.01 else f"{share:.0%}"


def words(name: str) -> str:
    """`quality_gate` as people write it."""
    return name.replace("_", " ")


def count(number: int, one: str, many: str = "") -> str:
    """`1 write`, `2 writes`."""
    return f"{number} {one if number == 1 else many or one + 's'}"


FILTERS: Final[dict[str, Callable[..., Any]]] = {
    "utc": utc,
    "clock_time": clock_time,
    "iso": iso,
    "ago": ago,
    "duration": duration,
    "countdown": countdown,
    "offset": offset,
    "usd": usd,
    "percent": percent,
    "words": words,
    "count": count,
    "action_key": action_key,
    "rule_of": rule_of,
}
"""What templates call them."""
