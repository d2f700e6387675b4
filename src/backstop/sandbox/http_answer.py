"""Answers: which representation the client accepts, and the bytes of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from backstop.sandbox.http_ports import Tables
from backstop.sandbox.resources import Resource
from backstop.sandbox.status import StatusError
from backstop.sandbox.store import Object

JSON = "application/json"
YAML = "application/yaml"
META = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1"}


@dataclass(frozen=True, slots=True)
class Shape:
    """How to answer: the media type, and `as_` Table, PartialObjectMetadata(List) or "" for the objects themselves."""

    media_type: str = JSON
    as_: str = ""


@dataclass(slots=True)
class Answer:
    """A whole answer. `status` is a Status body if it is a refusal; the audit log keeps that."""

    code: int
    body: bytes
    content_type: str = JSON
    headers: dict[str, str] = field(default_factory=dict)
    status: Mapping[str, Any] = field(default_factory=dict)


def negotiate(accept: str) -> Shape:
    """The first representation of the Accept header that is served. Raises 406."""
    if not accept or accept == JSON:
        return Shape()
    for clause in sorted((_clause(text) for text in accept.split(",")), key=lambda item: -item[2]):
        media_type, parameters, _ = clause
        served = {"*/*": JSON, "application/*": JSON, JSON: JSON, YAML: YAML}.get(media_type)
        as_ = parameters.get("as", "")
        known = as_ in {"", "Table", "PartialObjectMetadata", "PartialObjectMetadataList"}
        if served and known and (not as_ or (parameters.get("v"), parameters.get("g")) == ("v1", "meta.k8s.io")):
            return Shape(served, as_)
    message = f"406: Not Acceptable\n\nAvailable representations: {JSON}, {YAML}"
    raise StatusError(406, "NotAcceptable", message, {})


def _clause(text: str) -> tuple[str, dict[str, str], float]:
    media_type, *rest = (part.strip() for part in text.split(";"))
    parameters = dict(part.split("=", 1) for part in rest if "=" in part)
    try:
        weight = float(parameters.pop("q", "1"))
    except ValueError:
        weight = 0.0
    return media_type.lower(), parameters, weight


def encode(value: Any, shape: Shape) -> bytes:
    """The bytes of a JSON value in the negotiated media type."""
    if shape.media_type == YAML:
        import yaml

        return yaml.safe_dump(value, default_flow_style=False).encode()
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


def plain(value: Any, shape: Shape, code: int = 200) -> Answer:
    """An answer that has one representation only, such as a Status or a Scale."""
    return Answer(code, encode(value, shape), shape.media_type)


def refusal(error: StatusError) -> Answer:
    """A StatusError as an answer."""
    body = error.body
    answer = Answer(error.code, encode(body, Shape()), status=body)
    seconds = (error.details or {}).get("retryAfterSeconds")
    if seconds:
        answer.headers["Retry-After"] = str(seconds)
    return answer


def not_found_page() -> Answer:
    """What a path outside every API answers."""
    return Answer(404, b"404 page not found\n", "text/plain; charset=utf-8")


def metadata_only(obj: Object) -> Object:
    return {**META, "metadata": obj["metadata"]}


class Presenter:
    """Objects and lists in the shape that was negotiated."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def one(self, resource: Resource, obj: Object, shape: Shape, query: Mapping[str, str], code: int = 200) -> Answer:
        """One object, or the Status that stands for it."""
        return plain(self.shaped(resource, obj, shape, query, headers=True), shape, code)

    def shaped(self, resource: Resource, obj: Object, shape: Shape, query: Mapping[str, str], *, headers: bool) -> Object:
        """One object as it goes into an answer or a watch event."""
        if not shape.as_ or obj.get("kind") == "Status":
            return obj
        if shape.as_ == "Table":
            version = obj["metadata"].get("resourceVersion", "")
            include = query.get("includeObject", "Metadata")
            return self._tables.table(resource, [obj], version=version, include=include, headers=headers)
        return metadata_only(obj)

    def many(self, resource: Resource, objects: Sequence[Object], meta: Object, shape: Shape, query: Mapping[str, str]) -> Answer:
        """A list."""
        if shape.as_ == "Table":
            include = query.get("includeObject", "Metadata")
            table = self._tables.table(resource, objects, version=meta["resourceVersion"], include=include, headers=True)
            table["metadata"] = meta
            return plain(table, shape)
        if shape.as_:
            items = [metadata_only(obj) for obj in objects]
            return plain({"kind": f"{META['kind']}List", "apiVersion": META["apiVersion"], "metadata": meta, "items": items}, shape)
        bare = [{key: value for key, value in obj.items() if key not in {"kind", "apiVersion"}} for obj in objects]
        head = {"kind": resource.list_kind, "apiVersion": resource.api_version}
        return plain({**head, "metadata": meta, "items": bare}, shape)
