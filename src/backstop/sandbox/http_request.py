"""What a request asks for, read from its method, path and query: the API server's RequestInfo and its option checks."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from backstop.sandbox.http_ports import Attributes
from backstop.sandbox.resources import GROUP_VERSIONS, NAMESPACES, Resource, by_path
from backstop.sandbox.status import Cause, StatusError, bad_request, forbidden_field, invalid, not_supported

VERBS = {"GET": "get", "HEAD": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
ON_COLLECTION = {"get": "list", "delete": "deletecollection"}
TRUE = frozenset(("1", "true", "True", "t", "T", "TRUE"))
PROPAGATIONS = ("Background", "Foreground", "Orphan")
FIELD_VALIDATIONS = ("", "Ignore", "Strict", "Warn")


@dataclass(frozen=True, slots=True)
class Asked:
    """A parsed request. `resource` is None for a path that names no served resource; `served` says if its group is ours."""

    verb: str
    attributes: Attributes
    resource: Resource | None = None
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    rest: str = ""
    """What follows `.../proxy`, with its leading slash."""
    served: bool = False

    @property
    def is_document(self) -> bool:
        """Discovery, OpenAPI, health, version: a path, not a resource."""
        return not self.attributes.resource


def flag(query: Mapping[str, str], name: str) -> bool:
    """A boolean query parameter."""
    return query.get(name, "") in TRUE


def read(method: str, path: str, query: Mapping[str, str]) -> Asked:
    """What is asked. Never refuses: an unknown path is a document that nobody has."""
    verb = VERBS.get(method, method.lower())
    parts = path.strip("/").split("/")
    group, version, tail = _group_version(parts)
    if not tail:
        return Asked(verb, Attributes(verb, path=path))
    namespace, tail = _namespace(group, tail)
    plural = tail[0]
    name = unquote(tail[1]) if len(tail) > 1 else ""
    subresource = tail[2] if len(tail) > 2 else ""
    rest = "/" + "/".join(tail[3:]) if subresource == "proxy" else ""
    if plural == "namespaces" and not group:
        namespace = name
    if not name:
        verb = "watch" if verb == "get" and flag(query, "watch") else ON_COLLECTION.get(verb, verb)
    asked_name = name or _selected_name(verb, query)
    attributes = Attributes(verb, group, version, plural, subresource, namespace, asked_name, path)
    served = (group, version) in GROUP_VERSIONS
    resource = by_path(group, version, plural)
    if resource is not None and len(tail) > 3 and subresource != "proxy":
        resource = None
    if resource is NAMESPACES:
        namespace = ""
    return Asked(verb, attributes, resource, subresource, namespace, name, rest, served)


def _group_version(parts: list[str]) -> tuple[str, str, list[str]]:
    if parts[0] == "api" and len(parts) > 2:
        return "", parts[1], parts[2:]
    if parts[0] == "apis" and len(parts) > 3:
        return parts[1], parts[2], parts[3:]
    return "", "", []


def _namespace(group: str, tail: list[str]) -> tuple[str, list[str]]:
    """Splits `namespaces/NS/...`; `namespaces/NS` and its subresources are the namespace itself."""
    if tail[0] != "namespaces" or len(tail) < 3 or (not group and tail[2] in {"status", "finalize"}):
        return "", tail
    return unquote(tail[1]), tail[2:]


def _selected_name(verb: str, query: Mapping[str, str]) -> str:
    """A list of one name is authorised as that name, as in the real server."""
    if verb not in {"list", "watch", "deletecollection"}:
        return ""
    found = re.search(r"(?:^|,)metadata\.name==?([^,]+)", query.get("fieldSelector", ""))
    return found.group(1) if found else ""


# Options


def dry_run(values: list[str], options: str) -> bool:
    """Whether nothing is to be stored. Raises 422 for anything but `All`."""
    if any(value != "All" for value in values):
        raise _bad_options(options, [not_supported("dryRun", values, ["All"])])
    return bool(values)


def field_validation(query: Mapping[str, str], options: str) -> str:
    """Ignore, Warn or Strict; Warn unless said. Raises 422."""
    asked = query.get("fieldValidation", "")
    if asked not in FIELD_VALIDATIONS:
        raise _bad_options(options, [not_supported("fieldValidation", asked, FIELD_VALIDATIONS)])
    return asked or "Warn"


def propagation(asked: str | None) -> str | None:
    """A propagation policy, or None. Raises 422."""
    if asked is not None and asked not in PROPAGATIONS:
        raise _bad_options("DeleteOptions", [not_supported("propagationPolicy", asked, [*PROPAGATIONS, "nil"])])
    return asked


def list_options(query: Mapping[str, str]) -> None:
    """Raises 422 for options of a list or watch that contradict each other."""
    match, version = query.get("resourceVersionMatch", ""), query.get("resourceVersion", "")
    watching, initial = flag(query, "watch"), "sendInitialEvents" in query
    causes: list[Cause] = []
    if match and not watching and not version:
        causes.append(
            forbidden_field("resourceVersionMatch", "resourceVersionMatch is forbidden unless resourceVersion is provided")
        )
    if match and watching and not initial:
        causes.append(
            forbidden_field(
                "resourceVersionMatch", "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"
            )
        )
    if initial and not watching:
        causes.append(forbidden_field("sendInitialEvents", "sendInitialEvents is forbidden for list"))
    if initial and watching and match != "NotOlderThan":
        causes.append(
            forbidden_field("resourceVersionMatch", "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan")
        )
    if match and match not in {"Exact", "NotOlderThan"}:
        causes.append(not_supported("resourceVersionMatch", match, ["Exact", "NotOlderThan", ""]))
    if match == "Exact" and version == "0":
        causes.append(forbidden_field("resourceVersionMatch", 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"'))
    if causes:
        raise _bad_options("ListOptions", causes)


def whole_number(query: Mapping[str, str], name: str) -> int | None:
    """A non-negative number of the query, or None. Raises 400."""
    text = query.get(name, "")
    if not text:
        return None
    try:
        return int(text)
    except ValueError:
        raise bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax') from None


def version_of(text: str) -> int:
    """A resourceVersion as a number; 0 if unset. Raises the 500 with which the real server answers nonsense."""
    if not text:
        return 0
    if not text.isascii() or not text.isdigit():
        message = f'resourceVersion: Invalid value: "{text}": strconv.ParseUint: parsing "{text}": invalid syntax'
        raise StatusError(500, "", message)
    return int(text)


def _bad_options(kind: str, causes: list[Cause]) -> StatusError:
    return invalid(kind, "meta.k8s.io", "", causes)
