"""Small pieces of text as `kubectl get` shows them: ages, labels, selectors, containers, ports."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

NONE = "<none>"
UNKNOWN = "<unknown>"


def parse_time(text: object) -> datetime | None:
    """A timestamp of an object; None when it has none or it cannot be read."""
    if not isinstance(text, str) or not text:
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def since(text: object, now: datetime) -> str:
    """The age of a timestamp, or `<unknown>`."""
    moment = parse_time(text)
    return UNKNOWN if moment is None else duration(int((now - moment).total_seconds()))


_MINUTE, _HOUR, _DAY, _YEAR = 60, 3600, 86400, 365 * 86400
_SPELLINGS = (
    (2 * _MINUTE, 1, "s", 0, ""),
    (10 * _MINUTE, _MINUTE, "m", 1, "s"),
    (3 * _HOUR, _MINUTE, "m", 0, ""),
    (8 * _HOUR, _HOUR, "h", _MINUTE, "m"),
    (48 * _HOUR, _HOUR, "h", 0, ""),
    (8 * _DAY, _DAY, "d", _HOUR, "h"),
    (2 * _YEAR, _DAY, "d", 0, ""),
    (8 * _YEAR, _YEAR, "y", _DAY, "d"),
)
"""Below so many seconds: the unit, its letter, the second unit (0 for none), its letter."""


def duration(seconds: int) -> str:
    """Whole seconds in at most the two most significant units, coarser the longer: `35s`, `4m10s`, `5h3m`, `3d`."""
    if seconds < 0:
        return "<invalid>" if seconds < -1 else "0s"
    for limit, unit, letter, subunit, subletter in _SPELLINGS:
        if seconds < limit:
            rest = seconds % unit // subunit if subunit else 0
            return f"{seconds // unit}{letter}" + (f"{rest}{subletter}" if rest else "")
    return f"{seconds // _YEAR}y"


def labels(pairs: Mapping[str, str] | None) -> str:
    return ",".join(f"{key}={value}" for key, value in sorted((pairs or {}).items())) or NONE


def selector(found: Mapping[str, Any] | None) -> str:
    """A label selector in the words of `-l`; one that selects everything is `<none>`."""
    parts = [(key, f"{key}={value}") for key, value in ((found or {}).get("matchLabels") or {}).items()]
    for expression in (found or {}).get("matchExpressions") or ():
        key, operator = expression["key"], expression["operator"]
        values = ",".join(sorted(expression.get("values") or ()))
        forms = {"In": f"{key} in ({values})", "NotIn": f"{key} notin ({values})", "Exists": key}
        parts.append((key, forms.get(operator, f"!{key}")))
    return ",".join(text for _, text in sorted(parts)) or NONE


def containers(spec: Mapping[str, Any]) -> tuple[str, str]:
    """Names and images of the containers of a pod spec."""
    found = spec.get("containers") or ()
    return ",".join(item.get("name", "") for item in found), ",".join(item.get("image", "") for item in found)


def at_most(items: Sequence[str], most: int = 3, *, empty: str = "<unset>") -> str:
    """The first few, and how many more there are."""
    shown = ",".join(items[:most])
    return f"{shown} + {len(items) - most} more..." if len(items) > most else shown or empty


def service_ports(ports: Iterable[Mapping[str, Any]]) -> str:
    def one(port: Mapping[str, Any]) -> str:
        node = f":{port['nodePort']}" if port.get("nodePort") else ""
        return f"{port.get('port')}{node}/{port.get('protocol', 'TCP')}"

    return ",".join(one(port) for port in ports) or NONE
