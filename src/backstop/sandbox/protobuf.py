"""Reads the protobuf bodies that kubectl sends (`create deployment`, `auth can-i`, `create token`, …) into JSON objects.

A Kubernetes protobuf body is the four bytes `k8s\\x00` and a `runtime.Unknown` that names the kind and holds the message. What
comes out is what the same request in JSON would have been, so that everything behind it knows one form only. Hostile or cut-off
bytes end in `BadProtobuf`, never in another exception, and are bounded in depth.
"""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from backstop.sandbox import schema
from backstop.sandbox.schema import Field

MAGIC = b"k8s\x00"
CONTENT_TYPE = "application/vnd.kubernetes.protobuf"
MAX_DEPTH = 40
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Raw = int | bytes
POINTERS = frozenset(
    (
        "activeDeadlineSeconds",
        "allocateLoadBalancerNodePorts",
        "allowPrivilegeEscalation",
        "automountServiceAccountToken",
        "blockOwnerDeletion",
        "controller",
        "defaultMode",
        "deletionGracePeriodSeconds",
        "enableServiceLinks",
        "expirationSeconds",
        "fsGroup",
        "gracePeriodSeconds",
        "hostUsers",
        "immutable",
        "maxSurge",
        "maxUnavailable",
        "minAvailable",
        "minReplicas",
        "mode",
        "optional",
        "orphanDependents",
        "priority",
        "privileged",
        "progressDeadlineSeconds",
        "readOnlyRootFilesystem",
        "revisionHistoryLimit",
        "runAsGroup",
        "runAsNonRoot",
        "runAsUser",
        "shareProcessNamespace",
        "terminationGracePeriodSeconds",
        "tolerationSeconds",
    )
)
"""Scalars that are pointers in Go: their zero, when it travels, is somebody's word and not a default."""


class BadProtobuf(ValueError):
    """Bytes that are no protobuf message of the kind they claim to be."""


def decode(body: bytes) -> dict[str, Any]:
    """The object in a `k8s\\x00` envelope, with its `apiVersion` and `kind`. Raises BadProtobuf."""
    if not body.startswith(MAGIC):
        raise BadProtobuf("provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]")
    envelope: dict[int, bytes] = {number: raw for number, raw in _walk(body[len(MAGIC) :]) if isinstance(raw, bytes)}
    meta = {number: raw for number, raw in _walk(envelope.get(1, b"")) if isinstance(raw, bytes)}
    api_version, kind = _text(meta.get(1, b"")), _text(meta.get(2, b""))
    name = schema.type_name(api_version, kind)
    if name is None:
        raise BadProtobuf(f'no kind "{kind}" is registered for version "{api_version}"')
    return {"apiVersion": api_version, "kind": kind, **message(envelope.get(2, b""), name)}


def message(data: bytes, name: str, depth: int = 0) -> dict[str, Any]:
    """One message of the type `name` (see `schema`) as a JSON object: empty scalars are left out, as Go leaves them out."""
    if depth > MAX_DEPTH:
        raise BadProtobuf("message is nested too deeply")
    known = schema.wire_fields(name)
    out: dict[str, Any] = {}
    for number, raw in _walk(data):
        found = known.get(number)
        if found is None:
            continue
        if found.inline:
            out.update(message(_expect_bytes(raw, found), found.type, depth + 1))
        elif found.shape == "map":
            key, value = _entry(_expect_bytes(raw, found), found, depth)
            out.setdefault(found.name, {})[key] = value
        elif found.shape == "list":
            out.setdefault(found.name, []).extend(_items(raw, found, depth))
        else:
            out[found.name] = _value(raw, found, depth)
    return {key: value for key, value in out.items() if _said(key, value, name)}


def _said(key: str, value: Any, name: str) -> bool:
    """Whether a decoded value was meant: Go writes every scalar that is no pointer, zero or not."""
    if value is None:
        return False
    if value not in ("", 0):  # False is 0
        return True
    found = schema.fields(name).get(key)
    if key == "replicas":
        return name.startswith("apps.v1.") and name.endswith("Spec")
    return key in POINTERS or (found is not None and found.required)


def _walk(data: bytes) -> Iterator[tuple[int, Raw]]:
    """(field number, varint or bytes) of one message."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        wire, number = key & 7, key >> 3
        if number == 0:
            raise BadProtobuf("illegal tag 0")
        if wire == _VARINT:
            value, at = _varint(data, at)
            yield number, value
            continue
        if wire == _BYTES:
            size, at = _varint(data, at)
        elif wire in (_FIXED64, _FIXED32):
            size = 8 if wire == _FIXED64 else 4
        else:
            raise BadProtobuf(f"illegal wire type {wire}")
        if at + size > len(data):
            raise BadProtobuf("unexpected EOF")
        yield number, data[at : at + size]
        at += size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            raise BadProtobuf("unexpected EOF")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & (2**64 - 1), at
    raise BadProtobuf("integer overflow")


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise BadProtobuf("string is not valid UTF-8") from None


def _expect_bytes(raw: Raw, found: Field) -> bytes:
    if not isinstance(raw, bytes):
        raise BadProtobuf(f"wrong wire type for field {found.name}")
    return raw


def _entry(raw: bytes, found: Field, depth: int) -> tuple[str, Any]:
    parts = dict(_walk(raw))
    key = _text(_expect_bytes(parts.get(1, b""), found))
    empty: Raw = 0 if found.type in ("int32", "int64", "bool") else b""
    return key, _value(parts.get(2, empty), found, depth)


def _items(raw: Raw, found: Field, depth: int) -> list[Any]:
    if isinstance(raw, bytes) and found.type in ("int32", "int64", "bool"):  # packed
        at, values = 0, []
        while at < len(raw):
            value, at = _varint(raw, at)
            values.append(_value(value, found, depth))
        return values
    return [_value(raw, found, depth)]


def _value(raw: Raw, found: Field, depth: int) -> Any:
    if found.type in ("int32", "int64", "bool"):
        return _whole(raw, found)
    data = _expect_bytes(raw, found)
    if found.is_object:
        return message(data, found.type, depth + 1)
    if found.type == "string":
        return _text(data)
    if found.type == "bytes":
        return base64.b64encode(data).decode()
    if found.type == "double":
        if len(data) != 8:
            raise BadProtobuf(f"wrong wire type for field {found.name}")
        return struct.unpack("<d", data)[0]
    return _special(data, found)


def _whole(raw: Raw, found: Field) -> int | bool:
    if not isinstance(raw, int):
        raise BadProtobuf(f"wrong wire type for field {found.name}")
    if found.type == "bool":
        return raw != 0
    span: int = 1 << (32 if found.type == "int32" else 64)
    number = raw % span
    return number - span if number >= span // 2 else number


def _special(data: bytes, found: Field) -> Any:
    """Types whose JSON form is not that of their message."""
    parts = dict(_walk(data))
    if found.type in ("time", "microtime"):
        return _time(parts, micro=found.type == "microtime")
    if found.type == "quantity":
        return _text(_expect_bytes(parts.get(1, b""), found))
    if found.type == "intstr":
        if parts.get(1, 0) == 1:
            return _text(_expect_bytes(parts.get(3, b""), found))
        return _whole(parts.get(2, 0), Field(found.name, 2, "int32", "one"))
    if found.type == "strings":
        return [_text(raw) for number, raw in _walk(data) if number == 1 and isinstance(raw, bytes)]
    return _embedded(parts)


def _embedded(parts: dict[int, Raw]) -> Any:
    """RawExtension and FieldsV1 hold JSON as bytes; nothing the cluster serves reads it, so it stays an opaque object."""
    raw = parts.get(1, b"")
    try:
        return json.loads(raw) if isinstance(raw, bytes) and raw else None
    except ValueError:
        raise BadProtobuf("embedded object is not JSON") from None


def _time(parts: dict[int, Raw], *, micro: bool) -> str | None:
    seconds, nanos = parts.get(1, 0), parts.get(2, 0)
    if not isinstance(seconds, int) or not isinstance(nanos, int):
        raise BadProtobuf("wrong wire type in a time")
    if seconds >= 2**63:
        seconds -= 2**64
    if not parts:
        return None
    try:
        moment = _EPOCH + timedelta(seconds=seconds, microseconds=nanos // 1000 if micro else 0)
    except OverflowError:
        raise BadProtobuf("time out of range") from None
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ" if micro else "%Y-%m-%dT%H:%M:%SZ")
