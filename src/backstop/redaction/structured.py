"""JSON values: a pair whose key is sensitive is known by its structure, and need not be found in a text."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from pydantic import JsonValue

from backstop.redaction import headers
from backstop.redaction.hits import Hit, only_placeholders, replaced
from backstop.redaction.keys import Holds, holds
from backstop.redaction.manifests import secret_value
from backstop.redaction.pairs import NAMES, VALUES, innocent

Name = Callable[[Hit, str], str]
Text = Callable[[str], str]

_FLAG: Final = re.compile(r"--?[A-Za-z][\w.-]{1,80}")
_LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"


def redacted(value: JsonValue, text: Text, name: Name) -> JsonValue:
    """A copy of `value` in which `text` has redacted each string and `name` has replaced each value that is known by its place."""
    if isinstance(value, str):
        return text(value)
    if isinstance(value, list):
        return _list(value, text, name)
    if isinstance(value, dict):
        return _object(value, text, name)
    return value


def _object(value: dict[str, JsonValue], text: Text, name: Name) -> JsonValue:
    kind = value.get("kind")
    if kind == "Secret":
        value = _bare_secret(value, name)
    elif kind == "SecretList" and isinstance(items := value.get("items"), list):
        value = {**value, "items": [_bare_secret(item, name) if isinstance(item, dict) else item for item in items]}
    named = _named(value)
    return {
        text(key): _field(named if named and key.lower() in VALUES else holds(key), item, text, name) for key, item in value.items()
    }


def _field(what: Holds | None, value: JsonValue, text: Text, name: Name) -> JsonValue:
    """The value of one key of an object, of which `what` is known from the key."""
    if what is None or isinstance(value, dict):
        return redacted(value, text, name)
    if isinstance(value, list):
        return [_field(what, item, text, name) for item in value]
    if isinstance(value, str):
        return _hidden(what, value, text, name)
    if what is Holds.SECRET and isinstance(value, int | float) and not isinstance(value, bool):
        return name(Hit(0, 0, str(value)), str(value))
    return value


def _hidden(what: Holds, value: str, text: Text, name: Name) -> str:
    if what is Holds.AUTHORIZATION:
        return text(replaced(value, headers.authorization(value, 0), name))
    if what is Holds.COOKIE:
        return text(replaced(value, headers.cookies(value, 0), name))
    if innocent(value, what):
        return text(value)
    plain = headers.password_of_pair(value) if what is Holds.BASE64 else None
    return name(Hit(0, len(value), plain or value), value)


def _list(items: list[JsonValue], text: Text, name: Name) -> list[JsonValue]:
    """A list; the item after a sensitive flag of a command line is its value."""
    flags = [None, *(holds(item) if isinstance(item, str) and _FLAG.fullmatch(item) else None for item in items)]
    return [_field(what, item, text, name) for what, item in zip(flags, items, strict=False)]


def _named(value: dict[str, JsonValue]) -> Holds | None:
    """What the `value` of a `{name: DB_PASSWORD, value: …}` object is."""
    names = [item for key, item in value.items() if key.lower() in NAMES and isinstance(item, str)]
    return next((what for item in names if (what := holds(item))), None)


def _bare_secret(secret: dict[str, JsonValue], name: Name) -> dict[str, JsonValue]:
    """A Secret without its values."""
    bare = dict(secret)
    for field in ("data", "stringData"):
        if isinstance(entries := bare.get(field), dict):
            bare[field] = {key: _entry(key, item, name, encoded=field == "data") for key, item in entries.items()}
    metadata = bare.get("metadata")
    annotations = metadata.get("annotations") if isinstance(metadata, dict) else None
    if isinstance(metadata, dict) and isinstance(annotations, dict) and isinstance(applied := annotations.get(_LAST_APPLIED), str):
        placeholder = applied if only_placeholders(applied) else name(Hit(0, 0, applied, spread=False), applied)
        bare["metadata"] = {**metadata, "annotations": {**annotations, _LAST_APPLIED: placeholder}}
    return bare


def _entry(key: str, value: JsonValue, name: Name, *, encoded: bool) -> JsonValue:
    if not isinstance(value, str) or not value or only_placeholders(value):
        return value
    return name(secret_value(key, 0, value, encoded=encoded), value)
