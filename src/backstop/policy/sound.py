"""Whether a record still holds what its fields may hold: `model_construct` and `model_copy` put anything into one, unseen.

Parsing a TargetState anew costs more than every rule together. This looks at the type of each value where it is, copying nothing,
by checkers made once per record from its own annotations. Three things it leaves to others: the inside of a JSON value, as every
rule that looks there raises on what it does not understand; the patterns of names, as a target's name has to equal the action's;
and the records of a list but for their kind, as a rule looks at one of ten and asks for that one.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import cache
from types import NoneType, UnionType
from typing import Any, Final, Literal, get_args, get_origin

from pydantic import JsonValue

from backstop.records import Record

Checker = Callable[[Any], bool]
_PLAIN: Final = frozenset({int, str, bool, datetime})
_ABSENT: Final = object()


def require_sound(record: Record) -> None:
    """Raises TypeError that names the first field whose value no record of this kind can hold."""
    if field := _unsound(record):
        raise TypeError(f"{field} of a {type(record).__name__} cannot be {record.__dict__.get(field)!r:.80}")


def _unsound(record: Record) -> str:
    """The first field that holds what it cannot; empty if there is none."""
    values = record.__dict__
    for name, kind, holds in _fields(type(record)):
        value = values.get(name, _ABSENT)
        if type(value) is not kind and not holds(value):
            return name
    return ""


@cache
def _fields(kind: type[Record]) -> tuple[tuple[str, type | None, Checker], ...]:
    """Per field: its name, a type that settles it at once, and who is asked about any other."""
    return tuple((name, *_checker(field.annotation)) for name, field in kind.model_fields.items())


def _checker(annotation: Any) -> tuple[type | None, Checker]:
    """Raises NotImplementedError for an annotation that no observation has so far."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if annotation in _PLAIN:
        return annotation, lambda _: False
    if origin is UnionType and inner[1:] == (NoneType,):
        kind, holds = _checker(inner[0])
        return NoneType, lambda value: type(value) is kind or holds(value)
    if origin is not None:
        return None, _container(origin, inner)
    if isinstance(annotation, type) and issubclass(annotation, Record):
        return None, lambda value: type(value) is annotation and not _unsound(value)
    raise NotImplementedError(f"no checker for {annotation}")


def _container(origin: Any, inner: tuple[Any, ...]) -> Checker:
    if origin is Literal:
        return lambda value: type(value) is str and value in inner
    if origin is dict and inner == (str, str):
        return lambda value: type(value) is dict and set(map(type, (*value, *value.values()))) <= {str}
    if origin is dict and inner == (str, JsonValue):
        return lambda value: type(value) is dict and set(map(type, value)) <= {str}
    if origin is tuple and inner[1:] == (...,) and isinstance(inner[0], type):
        return lambda value: type(value) is tuple and set(map(type, value)) <= {inner[0]}
    raise NotImplementedError(f"no checker for {origin} of {inner}")
