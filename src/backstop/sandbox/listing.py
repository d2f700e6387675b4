"""Which objects a list or a watch is about: label selectors, field selectors, and the token that continues a page."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from backstop.sandbox.resources import Resource
from backstop.sandbox.status import StatusError, bad_request
from backstop.sandbox.store import Key, Object

OPERATORS = "in, notin, =, ==, !=, gt, lt"
NAMED_OPERATORS = {"In": "in", "NotIn": "notin", "Exists": "exists", "DoesNotExist": "absent"}
_WORD = re.compile(r"\s*(==|!=|=|!|\(|\)|,|<|>|[^\s=!(),<>]+)")


@dataclass(frozen=True, slots=True)
class Requirement:
    """One clause of a label selector. `operator` is one of in, notin, exists, absent, gt, lt."""

    key: str
    operator: str
    values: frozenset[str] = frozenset()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether an object with these labels satisfies the clause."""
        value = labels.get(self.key)
        match self.operator:
            case "in":
                return value is not None and value in self.values
            case "notin":
                return value is None or value not in self.values
            case "exists":
                return value is not None
            case "absent":
                return value is None
            case _:
                return self._compares(value)

    def _compares(self, value: str | None) -> bool:
        try:
            have, want = int(value or ""), int(next(iter(self.values)))
        except ValueError:
            return False
        return have > want if self.operator == "gt" else have < want


@dataclass(frozen=True, slots=True)
class Selector:
    """A parsed label selector: all clauses must hold; without a clause it selects everything."""

    requirements: tuple[Requirement, ...] = ()

    def matches(self, labels: Mapping[str, str] | None) -> bool:
        return all(requirement.matches(labels or {}) for requirement in self.requirements)

    @classmethod
    def parse(cls, text: str) -> Selector:
        """`app in (a,b),!c,d=e`. Raises a 400 in the server's words."""
        return cls(tuple(_Clauses(text).all()))

    @classmethod
    def of(cls, selector: Mapping[str, Any] | None) -> Selector:
        """A LabelSelector object: `matchLabels` and `matchExpressions`. `None` and `{}` select everything: ask first."""
        given = selector or {}
        wanted = [Requirement(key, "in", frozenset((value,))) for key, value in (given.get("matchLabels") or {}).items()]
        wanted += [
            Requirement(rule["key"], NAMED_OPERATORS[rule["operator"]], frozenset(rule.get("values") or ()))
            for rule in given.get("matchExpressions") or ()
        ]
        return cls(tuple(wanted))


class _Clauses:
    """The parser of a label selector's text."""

    def __init__(self, text: str) -> None:
        self._words = [match.group(1) for match in _WORD.finditer(text)]

    def all(self) -> list[Requirement]:
        found: list[Requirement] = []
        while self._words:
            found.append(self._one())
            if not self._words:
                break
            if (word := self._words.pop(0)) != ",":
                raise self._unexpected(word, "',' or 'end of string'")
            if not self._words:
                raise self._unexpected("", "identifier after ','")
        return found

    def _one(self) -> Requirement:
        word = self._words.pop(0)
        if word == "!":
            return Requirement(self._name(), "absent")
        if word in {"=", "==", "!=", "(", ")", ",", "<", ">"}:
            raise self._unexpected(word, "!, identifier, or 'end of string'")
        if not self._words or self._words[0] == ",":
            return Requirement(word, "exists")
        operator = self._words.pop(0)
        if operator in {"=", "==", "!="}:
            value = self._words.pop(0) if self._words and self._words[0] != "," else ""
            return Requirement(word, "notin" if operator == "!=" else "in", frozenset((value,)))
        if operator in {"in", "notin"}:
            return Requirement(word, operator, self._values())
        if operator in {"<", ">", "gt", "lt"}:
            return Requirement(word, {"<": "lt", ">": "gt"}.get(operator, operator), frozenset((self._name(),)))
        raise self._unexpected(operator, OPERATORS)

    def _values(self) -> frozenset[str]:
        if (opening := self._words.pop(0) if self._words else "") != "(":
            raise self._unexpected(opening, "'('")
        values: set[str] = set()
        while self._words and (word := self._words.pop(0)) != ")":
            if word != ",":
                values.add(word)
        return frozenset(values)

    def _name(self) -> str:
        if not self._words:
            raise self._unexpected("", "identifier")
        return self._words.pop(0)

    @staticmethod
    def _unexpected(word: str, wanted: str) -> StatusError:
        return bad_request(f"unable to parse requirement: found '{word}', expected: {wanted}")


FIELDS: dict[str, tuple[str, ...]] = {
    "pods": (
        "spec.nodeName",
        "spec.restartPolicy",
        "spec.schedulerName",
        "spec.serviceAccountName",
        "spec.hostNetwork",
        "status.phase",
        "status.podIP",
        "status.nominatedNodeName",
    ),
    "events": (
        "involvedObject.kind",
        "involvedObject.namespace",
        "involvedObject.name",
        "involvedObject.uid",
        "involvedObject.apiVersion",
        "involvedObject.resourceVersion",
        "involvedObject.fieldPath",
        "reason",
        "reportingComponent",
        "source",
        "type",
    ),
    "nodes": ("spec.unschedulable",),
    "namespaces": ("status.phase",),
    "secrets": ("type",),
    "services": ("spec.clusterIP", "spec.type"),
    "replicasets.apps": ("status.replicas",),
}
_EMPTY = {"spec.unschedulable": "false", "spec.hostNetwork": "false", "status.replicas": "0"}


def field_of(obj: Object, path: str) -> str:
    """An object's value of a selectable field, as the text that selectors compare."""
    if path == "source":
        return str((obj.get("source") or {}).get("component") or obj.get("reportingComponent") or "")
    value: Any = obj
    for key in path.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    if isinstance(value, bool):
        return "true" if value else "false"
    return _EMPTY.get(path, "") if value is None else str(value)


@dataclass(frozen=True, slots=True)
class Fields:
    """A parsed field selector: (path, wanted value, equal) triples that must all hold."""

    terms: tuple[tuple[str, str, bool], ...] = ()

    def matches(self, obj: Object) -> bool:
        return all((field_of(obj, path) == value) is equal for path, value, equal in self.terms)

    @classmethod
    def parse(cls, text: str, resource: Resource) -> Fields:
        """`status.phase!=Failed,metadata.name=x`. Raises a 400 for a field that this resource cannot be selected by."""
        known = {"metadata.name", *FIELDS.get(resource.qualified, ())} | ({"metadata.namespace"} if resource.namespaced else set())
        terms = []
        for part in filter(None, (piece.strip() for piece in text.split(","))):
            found = re.fullmatch(r"([^=!]+)(!=|==|=)(.*)", part)
            if found is None:
                raise bad_request(f"invalid selector: '{text}'; can't understand '{part}'")
            path, operator, value = found.groups()
            if path not in known:
                raise bad_request(f"field label not supported: {path}")
            terms.append((path, value, operator != "!="))
        return cls(tuple(terms))


@dataclass(frozen=True, slots=True)
class Chosen:
    """What a list or a watch selects: a namespace (None: all), labels and fields."""

    namespace: str | None
    labels: Selector = Selector()
    fields: Fields = Fields()

    def matches(self, obj: Object) -> bool:
        meta = obj["metadata"]
        return (
            (self.namespace is None or meta.get("namespace", "") == self.namespace)
            and self.labels.matches(meta.get("labels"))
            and self.fields.matches(obj)
        )

    @property
    def everything(self) -> bool:
        """True without any label or field clause: only then may a page say how many items remain."""
        return not self.labels.requirements and not self.fields.terms


def choose(resource: Resource, namespace: str | None, labels: str | Selector | None, fields: str | Fields | None) -> Chosen:
    """Parses what is text. Raises a 400 in the server's words."""
    return Chosen(
        namespace,
        labels if isinstance(labels, Selector) else Selector.parse(labels or ""),
        fields if isinstance(fields, Fields) else Fields.parse(fields or "", resource),
    )


def continue_token(version: int, after: Key) -> str:
    """Opaque to clients: the version a page was cut from, and the last object on it."""
    text = json.dumps({"v": "meta.k8s.io/v1", "rv": version, "start": "/".join(after) + "\x00"})
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read_continue(token: str) -> tuple[int, Key]:
    """The version and key of a token. Raises a 400 for anything that is not one."""
    try:
        text = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise bad_request(f"continue key is not valid: illegal base64 data at input byte {len(token)}") from None
    try:
        fields = json.loads(text)
        namespace, _, name = str(fields["start"]).rstrip("\x00").partition("/")
        return int(fields["rv"]), (namespace, name)
    except (ValueError, KeyError, TypeError):
        raise bad_request(f"invalid continue token: continue key is not valid: {_go_json_error(text)}") from None


def _go_json_error(text: str) -> str:
    """What Go's JSON decoder says of a text that starts a literal and does not finish it."""
    for word in ("null", "true", "false"):
        if text[:1] == word[0]:
            wrong = next((i for i, (a, b) in enumerate(zip(text, word, strict=False)) if a != b), None)
            if wrong is not None:
                return f"invalid character '{text[wrong]}' in literal {word} (expecting '{word[wrong]}')"
    return f"invalid character '{text[:1]}' looking for beginning of value" if text else "unexpected end of JSON input"


Matcher = Callable[[Object], bool]
