"""What Kubernetes objects look like: the fields of every served kind, and reading JSON against them.

A *type name* is short: `apps.v1.DeploymentSpec`, `core.v1.Container`, `meta.v1.ObjectMeta`. One table (data/kubernetes.json) drives
protobuf decoding, OpenAPI, unknown-field and type errors, and the merge keys of strategic merge patches:

    name = schema.type_name("apps/v1", "Deployment")        # "apps.v1.Deployment"
    field = schema.fields(name)["spec"]                     # Field(type="apps.v1.DeploymentSpec", ...)
    schema.fields("core.v1.PodSpec")["containers"].merge_key      # "name"
    schema.read(obj, name)                                  # the object as the server would keep it, and its unknown fields
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any

from backstop.sandbox import quantities

INTEGERS = {"int32": 2**31, "int64": 2**63}
RFC3339 = re.compile(r"^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)$")
TYPE_META = frozenset(("apiVersion", "kind"))


@dataclass(frozen=True)
class Field:
    """One field. `shape` is "one", "list" or "map" (string keys); `type` is a scalar or a type name; `number` 0 means JSON only."""

    name: str
    number: int
    type: str
    shape: str
    required: bool = False
    inline: bool = False
    merge_key: str = ""
    """The key by which strategic merge matches list items; "-" for a list of scalars merged as a set; "" for none."""
    retain_keys: bool = False
    replace: bool = False

    @property
    def is_object(self) -> bool:
        """Whether one value of it is an object with fields of its own (`fields(self.type)`)."""
        return self.type in _table()


class WrongType(ValueError):
    """A value has another JSON type than its field; the message is the API server's own."""


@dataclass
class Read:
    """An object as the server keeps it: nulls and unknown fields dropped, quantities canonical. `unknown` has their paths."""

    value: dict[str, Any]
    unknown: list[str] = field(default_factory=list)


@cache
def _table() -> dict[str, dict[str, list[Any]]]:
    loaded: dict[str, dict[str, list[Any]]] = json.loads(
        (files("backstop.sandbox") / "data" / "kubernetes.json").read_text("utf-8")
    )
    return loaded


def _field(name: str, number: int, kind: str, *flags: str) -> Field:
    shape = {"[]": "list", "{}": "map"}.get(kind[:2], "one")
    merge = next((flag.removeprefix("merge=") for flag in flags if flag.startswith("merge=")), "")
    key, _, strategy = merge.partition(",")
    return Field(
        name=name,
        number=number,
        type=kind if shape == "one" else kind[2:],
        shape=shape,
        required="!" in flags,
        inline="~" in flags,
        merge_key=key,
        retain_keys=strategy == "retainKeys",
        replace=strategy == "replace",
    )


def names() -> tuple[str, ...]:
    """Every type name of the table."""
    return tuple(_table())


def type_name(api_version: str, kind: str) -> str | None:
    """`apps.v1.Deployment` for ("apps/v1", "Deployment"); None when that kind is not in the table."""
    group, _, version = api_version.rpartition("/")
    name = f"{group.partition('.')[0] or 'core'}.{version}.{kind}"
    if name in _table():
        return name
    options = f"meta.v1.{kind}"
    return options if options in _table() else None


@cache
def wire_fields(name: str) -> Mapping[int, Field]:
    """Fields of a type by protobuf number, as they travel: an inlined one is a field of its own."""
    return MappingProxyType({entry[0]: _field(key, *entry) for key, entry in _table()[name].items() if entry[0]})


@cache
def fields(name: str) -> Mapping[str, Field]:
    """Fields of a type by JSON name, inlined ones flattened. `apiVersion` and `kind` are not among them."""
    out: dict[str, Field] = {}
    for key, entry in _table()[name].items():
        made = _field(key, *entry)
        if made.inline:
            out.update(fields(made.type))
        else:
            out[key] = made
    return MappingProxyType(out)


def field_at(name: str, path: tuple[str, ...]) -> Field | None:
    """The field at a path of JSON names below a type; list indices and map keys are not part of a path."""
    found: Field | None = None
    for step in path:
        found = fields(name).get(step) if name in _table() else None
        if found is None:
            return None
        name = found.type
    return found


def merge_key(name: str, path: tuple[str, ...]) -> str:
    """The strategic-merge key of the list at `path` below a type: "" for atomic lists, "-" for sets of scalars."""
    found = field_at(name, path)
    return found.merge_key if found else ""


def read(obj: Mapping[str, Any], name: str) -> Read:
    """Reads a JSON object as a type. Raises WrongType with the wording of Go's decoder."""
    result = Read({})
    result.value = _read_object(obj, name, "", result.unknown)
    return result


def _read_object(obj: Mapping[str, Any], name: str, path: str, unknown: list[str]) -> dict[str, Any]:
    known = fields(name)
    out: dict[str, Any] = {}
    for key, value in obj.items():
        where = f"{path}.{key}" if path else key
        if found := known.get(key):
            if value is not None:
                out[key] = _read_field(value, found, _Place(name.rpartition(".")[2], where), unknown)
        elif not path and key in TYPE_META:
            out[key] = _string(value, "string", _Place("TypeMeta", where))
        else:
            unknown.append(where)
    return out


@dataclass(frozen=True)
class _Place:
    """Where a value is, for messages: the Go struct that holds it and its path."""

    struct: str
    path: str

    def wrong(self, value: object, go_type: str) -> WrongType:
        name = re.sub(r"\[[^]]*\]", "", self.path)
        return WrongType(f"json: cannot unmarshal {_json_kind(value)} into Go struct field {self.struct}.{name} of type {go_type}")


def _json_kind(value: object) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, float):
        return f"number {value}"
    return {str: "string", int: "number", list: "array", dict: "object"}.get(type(value), "null")


def _go_type(kind: str) -> str:
    package, _, name = kind.rpartition(".")
    return f"{package.rpartition('.')[2]}.{name}" if package else {"bytes": "[]uint8", "double": "float64"}.get(kind, kind)


def _read_field(value: Any, found: Field, place: _Place, unknown: list[str]) -> Any:
    if found.shape == "list":
        if not isinstance(value, list):
            raise place.wrong(value, f"[]{_go_type(found.type)}")
        items = [(i, _Place(place.struct, f"{place.path}[{i}]")) for i in range(len(value))]
        return [_read_one(value[i], found, at, unknown) for i, at in items]
    if found.shape == "map":
        if not isinstance(value, dict):
            raise place.wrong(value, f"map[string]{_go_type(found.type)}")
        return {k: _read_one(v, found, _Place(place.struct, f"{place.path}.{k}"), unknown) for k, v in value.items()}
    return _read_one(value, found, place, unknown)


def _read_one(value: Any, found: Field, place: _Place, unknown: list[str]) -> Any:
    if found.is_object:
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise place.wrong(value, _go_type(found.type))
        return _read_object(value, found.type, place.path, unknown)
    return _SCALARS[found.type](value, found.type, place)


def _string(value: Any, _kind: str, place: _Place) -> Any:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise place.wrong(value, "string")
    return value


def _integer(value: Any, kind: str, place: _Place) -> Any:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise place.wrong(value, kind)
    if not -INTEGERS[kind] <= value < INTEGERS[kind]:
        raise WrongType(f"json: cannot unmarshal number {value} into Go struct field {place.struct}.{place.path} of type {kind}")
    return value


def _number(value: Any, _kind: str, place: _Place) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise place.wrong(value, "float64")
    return value


def _boolean(value: Any, _kind: str, place: _Place) -> Any:
    if not isinstance(value, bool):
        raise place.wrong(value, "bool")
    return value


def _bytes(value: Any, _kind: str, place: _Place) -> Any:
    text = _string(value, "", place)
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        bad = re.search(r"[^A-Za-z0-9+/=]", text)
        raise WrongType(f"illegal base64 data at input byte {bad.start() if bad else len(text)}") from None
    return text


def _quantity(value: Any, _kind: str, place: _Place) -> Any:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise place.wrong(value, "resource.Quantity")
    text = str(value)
    if not quantities.QUANTITY.match(text):
        raise WrongType(f"quantities must match the regular expression '{quantities.QUANTITY.pattern}'")
    return quantities.canonical(text)


def _time(value: Any, kind: str, place: _Place) -> Any:
    text = _string(value, "", place)
    if text and not RFC3339.match(text):
        layout = "2006-01-02T15:04:05.000000Z07:00" if kind == "microtime" else "2006-01-02T15:04:05Z07:00"
        raise WrongType(f'parsing time "{text}" as "{layout}": cannot parse "{text}" as "2006"')
    return text or None


def _int_or_string(value: Any, _kind: str, place: _Place) -> Any:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise place.wrong(value, "intstr.IntOrString")
    return value


def _strings(value: Any, _kind: str, place: _Place) -> Any:
    if not isinstance(value, list):
        raise place.wrong(value, "[]string")
    return [_string(item, "", place) for item in value]


def _anything(value: Any, _kind: str, _place: _Place) -> Any:
    return value


_SCALARS: dict[str, Callable[[Any, str, _Place], Any]] = {
    "string": _string,
    "int32": _integer,
    "int64": _integer,
    "double": _number,
    "bool": _boolean,
    "bytes": _bytes,
    "quantity": _quantity,
    "time": _time,
    "microtime": _time,
    "duration": _string,
    "intstr": _int_or_string,
    "strings": _strings,
    "raw": _anything,
    "fields": _anything,
}
