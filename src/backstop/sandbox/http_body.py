"""Request bodies: JSON, YAML or protobuf, read against the fields of their kind."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from backstop.sandbox import patches, protobuf, schema
from backstop.sandbox.resources import Resource
from backstop.sandbox.status import Cause, StatusError, bad_request, invalid
from backstop.sandbox.store import Object

PROTOBUF = "application/vnd.kubernetes.protobuf"
MEDIA_TYPES = ("application/json", "application/yaml", PROTOBUF)
SHOWN = 30
LARGEST = 3 << 20
"""Bytes of a request body, as in the real server."""


@dataclass(frozen=True, slots=True)
class Body:
    """The raw bytes of a request and their media type, without parameters. An unset type means JSON."""

    data: bytes
    content_type: str


def unsupported() -> StatusError:
    types = ", ".join(MEDIA_TYPES)
    message = f"the body of the request was in an unknown format - accepted media types include: {types}"
    return StatusError(415, "UnsupportedMediaType", message)


def too_large() -> StatusError:
    return StatusError(413, "RequestEntityTooLarge", f"Request entity too large: limit is {LARGEST}", {})


def decode(body: Body, kind: str) -> Object:
    """The object in a body that is to be a `kind`. Raises 400 and 415."""
    content_type = body.content_type or "application/json"
    if content_type not in MEDIA_TYPES:
        raise unsupported()
    try:
        if content_type == PROTOBUF:
            value: Any = protobuf.decode(body.data)
        elif content_type == "application/yaml":
            value = _yaml(body.data)
        else:
            value = json.loads(body.data)
    except (ValueError, RecursionError) as error:
        why = f"couldn't get version/kind; json parse error: {_go_error(error, body.data)}"
        raise _unrecognized(kind, why, body.data) from None
    if not isinstance(value, dict):
        why = "couldn't get version/kind; json parse error: json: cannot unmarshal "
        raise _unrecognized(kind, why + f"{_json_kind(value)} into Go value of type struct", body.data)
    return value


def _yaml(data: bytes) -> Any:
    import yaml

    try:
        return yaml.safe_load(data)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from None


def _json_kind(value: Any) -> str:
    return {list: "array", str: "string", bool: "bool", int: "number", float: "number"}.get(type(value), "null")


def _unrecognized(kind: str, why: str, data: bytes) -> StatusError:
    return bad_request(f"the object provided is unrecognized (must be of type {kind}): {why} ({_summary(data)})")


def _summary(data: bytes) -> str:
    if not data:
        return "<empty>"
    if data[:1] != b"{":
        return data[:SHOWN].hex()
    return data[:SHOWN].decode(errors="replace") + (" ..." if len(data) > SHOWN else "")


def _go_error(error: Exception, data: bytes) -> str:
    """Python's complaint about a JSON text in Go's words."""
    if not isinstance(error, json.JSONDecodeError):
        return str(error)
    text = data.decode(errors="replace")
    rest = text[error.pos :].lstrip()
    if not rest or error.msg.startswith("Unterminated"):
        return "unexpected end of JSON input"
    if error.msg.startswith("Expecting property name"):
        return f"invalid character '{rest[0]}' looking for beginning of object key string"
    if error.msg.startswith("Extra data"):
        return f"invalid character '{rest[0]}' after top-level value"
    return f"invalid character '{rest[0]}' looking for beginning of value"


def read_object(
    body: Body, resource: Resource, *, strictness: str, kind: str = "", api_version: str = ""
) -> tuple[Object, list[str]]:
    """The object of a create or update, and warnings about fields nobody knows. Raises 400 and 415.

    `kind` and `api_version` are those of a subresource's body; the resource's own otherwise.
    """
    kind, api_version = kind or resource.kind, api_version or resource.api_version
    value = decode(body, kind)
    given = str(value.get("kind") or kind), str(value.get("apiVersion") or api_version)
    if given != (kind, api_version):
        raise _other_kind(given, kind, api_version)
    return _typed({**value, "kind": kind, "apiVersion": api_version}, kind, api_version, strictness)


def _typed(value: Object, kind: str, api_version: str, strictness: str) -> tuple[Object, list[str]]:
    name = schema.type_name(api_version, kind)
    if name is None:
        return value, []
    version = api_version.rpartition("/")[2]
    cannot = f'{kind} in version "{version}" cannot be handled as a {kind}: '
    try:
        found = schema.read(value, name)
    except schema.WrongType as error:
        raise bad_request(cannot + str(error)) from None
    complaints = [f'unknown field "{path}"' for path in found.unknown] if strictness != "Ignore" else []
    if complaints and strictness == "Strict":
        raise bad_request(cannot + "strict decoding error: " + ", ".join(complaints))
    return found.value, complaints


def _other_kind(given: tuple[str, str], kind: str, api_version: str) -> StatusError:
    version = given[1].rpartition("/")[2]
    package = given[1].rpartition("/")[0].partition(".")[0] or "core"
    known = schema.type_name(given[1], given[0])
    to = f"{api_version.rpartition('/')[0].partition('.')[0] or 'core'}.{kind}"
    why = (
        f"converting ({version if package else ''}.{given[0]}) to ({to}): unknown conversion"
        if known
        else f'no kind "{given[0]}" is registered for version "{given[1]}"'
    )
    return bad_request(f'{given[0]} in version "{version}" cannot be handled as a {kind}: {why}')


def patched(body: Body, current: Object, *, strictness: str) -> tuple[Object, list[str]]:
    """`current` as changed by a PATCH, and warnings. Raises 400, 415 and 422."""
    if body.content_type not in patches.SERVED:
        raise patches.unsupported()
    try:
        patch = json.loads(body.data)
    except (ValueError, RecursionError) as error:
        raise bad_request(f"error decoding patch: {_go_error(error, body.data)}") from None
    result = patches.apply(body.content_type, current, patch)
    kind, api_version = current["kind"], current["apiVersion"]
    name = schema.type_name(api_version, kind)
    if name is None:
        return result, []
    result = {**result, "kind": kind, "apiVersion": api_version}
    try:
        found = schema.read(result, name)
    except schema.WrongType as error:
        raise _bad_patch(result, str(error)) from None
    complaints = [f'unknown field "{path}"' for path in found.unknown] if strictness != "Ignore" else []
    if complaints and strictness == "Strict":
        raise _bad_patch(result, "strict decoding error: " + ", ".join(complaints))
    return found.value, complaints


def _bad_patch(result: Object, why: str) -> StatusError:
    shown = json.dumps(json.dumps(result, separators=(",", ":")))
    refusal = invalid("", "", "", [Cause("FieldValueInvalid", "patch", f"Invalid value: {shown}: {why}")])
    refusal.message = f' "" is invalid: patch: Invalid value: {shown}: {why}'
    return refusal
