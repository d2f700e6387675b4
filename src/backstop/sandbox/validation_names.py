"""Names, labels and annotations: what the API server accepts, and its sentences for what it does not."""

from __future__ import annotations

import re
from typing import Any

from backstop.sandbox.resources import Resource
from backstop.sandbox.status import Cause, bad_value, required
from backstop.sandbox.store import Object

LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
SUBDOMAIN = rf"{LABEL}(\.{LABEL})*"
DNS_1035 = "[a-z]([-a-z0-9]*[a-z0-9])?"
QUALIFIED = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
LABEL_VALUE = f"({QUALIFIED})?"
CONFIG_KEY = "[-._a-zA-Z0-9]+"
ANNOTATIONS_LIMIT = 256 * 1024

_SAYS_LABEL = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an "
    f"alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '{LABEL}')"
)
_SAYS_SUBDOMAIN = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with "
    f"an alphanumeric character (e.g. 'example.com', regex used for validation is '{SUBDOMAIN}')"
)
_SAYS_1035 = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end "
    f"with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '{DNS_1035}')"
)
_SAYS_VALUE = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with "
    f"an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '{LABEL_VALUE}')"
)
_SAYS_QUALIFIED = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character "
    f"(e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '{QUALIFIED}')"
)


def _too_long(limit: int) -> str:
    return f"must be no more than {limit} characters"


def label(field: str, value: str) -> list[Cause]:
    """An RFC 1123 label: containers, namespaces, volumes."""
    return _fits(field, value, LABEL, 63, _SAYS_LABEL)


def subdomain(field: str, value: str) -> list[Cause]:
    """An RFC 1123 subdomain: most objects."""
    return _fits(field, value, SUBDOMAIN, 253, _SAYS_SUBDOMAIN)


def _fits(field: str, value: str, pattern: str, limit: int, says: str) -> list[Cause]:
    causes = []
    if len(value) > limit:
        causes.append(bad_value(field, value, _too_long(limit)))
    if not re.fullmatch(pattern, value):
        causes.append(bad_value(field, value, says))
    return causes


def object_name(resource: Resource, field: str, value: str) -> list[Cause]:
    """The name of an object of this kind."""
    if resource.qualified == "services":
        return _fits(field, value, DNS_1035, 63, _SAYS_1035)
    if resource.qualified == "namespaces":
        return label(field, value)
    if resource.group == "rbac.authorization.k8s.io":
        return _path_segment(field, value)
    return subdomain(field, value)


def _path_segment(field: str, value: str) -> list[Cause]:
    if value in {".", ".."}:
        return [bad_value(field, value, f"may not be '{value}'")]
    return [bad_value(field, value, f"may not contain '{mark}'") for mark in "/%" if mark in value]


def metadata(resource: Resource, meta: Object) -> list[Cause]:
    """Name, labels and annotations of an object."""
    causes: list[Cause] = []
    prefix = meta.get("generateName", "")
    if prefix:
        trimmed = prefix[:-1] + "a" if prefix.endswith("-") and len(prefix) > 1 else prefix
        causes += object_name(resource, "metadata.generateName", trimmed)
    name = meta.get("name", "")
    if not name:
        causes.append(required("metadata.name", "name or generateName is required"))
    else:
        causes += object_name(resource, "metadata.name", name)
    causes += label_map("metadata.labels", meta.get("labels"))
    causes += annotation_map("metadata.annotations", meta.get("annotations"))
    return causes


def label_map(field: str, given: Any) -> list[Cause]:
    """Keys and values of a label map."""
    causes: list[Cause] = []
    for key, value in sorted((given or {}).items()):
        causes += _qualified(field, key)
        if len(value) > 63:
            causes.append(bad_value(field, value, _too_long(63)))
        if not re.fullmatch(LABEL_VALUE, value):
            causes.append(bad_value(field, value, _SAYS_VALUE))
    return causes


def annotation_map(field: str, given: Any) -> list[Cause]:
    """Keys of an annotation map, and its size."""
    causes: list[Cause] = []
    for key in sorted(given or {}):
        causes += _qualified(field, key.lower())
    if sum(len(key) + len(value) for key, value in (given or {}).items()) > ANNOTATIONS_LIMIT:
        causes.append(Cause("FieldValueTooLong", field, f"Too long: may not be more than {ANNOTATIONS_LIMIT} bytes"))
    return causes


def _qualified(field: str, key: str) -> list[Cause]:
    prefix, slash, name = key.rpartition("/")
    causes = []
    if slash and not prefix:
        causes.append(bad_value(field, key, "prefix part must be non-empty"))
    elif prefix and not re.fullmatch(SUBDOMAIN, prefix):
        causes.append(bad_value(field, key, f"prefix part {_SAYS_SUBDOMAIN}"))
    if not name:
        causes.append(bad_value(field, key, "name part must be non-empty"))
    elif len(name) > 63:
        causes.append(bad_value(field, key, f"name part {_too_long(63)}"))
    if not re.fullmatch(QUALIFIED, name):
        causes.append(bad_value(field, key, _SAYS_QUALIFIED))
    return causes


def config_keys(field: str, given: Any) -> list[Cause]:
    """Keys of a ConfigMap or a Secret."""
    says = (
        "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or "
        f"'key-name', regex used for validation is '{CONFIG_KEY}')"
    )
    return [
        bad_value(f"{field}[{key}]", key, says)
        for key in sorted(given or {})
        if not re.fullmatch(CONFIG_KEY, key) or len(key) > 253
    ]
