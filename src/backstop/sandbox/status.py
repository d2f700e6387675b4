"""Refusals in the API server's own words.

`StatusError` carries a Kubernetes Status body; every function here builds the one that the real API server would send.
The registry, the admission checks and the HTTP layer raise them; the HTTP layer is the only one that writes them out.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from backstop.sandbox.resources import Resource

DENIED_CODES = {"Forbidden": 403, "Unauthorized": 401, "RequestEntityTooLarge": 413, "Invalid": 422}
"""What an admission policy's reason means for the HTTP status."""
CONFLICT = "the object has been modified; please apply your changes to the latest version and try again"


class StatusError(Exception):
    """A request that was refused. `body` is the Status object, `code` its HTTP status, `reason` its machine-readable word."""

    def __init__(self, code: int, reason: str, message: str, details: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details = details

    @property
    def body(self) -> dict[str, Any]:
        """The Status object, as sent."""
        status: dict[str, Any] = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
        }
        if self.reason:
            status["reason"] = self.reason
        if self.details is not None:
            status["details"] = self.details
        status["code"] = self.code
        return status


@dataclass(frozen=True, slots=True)
class Cause:
    """One field that is wrong. `reason` is a FieldValue… word; `message` says what, without the field's path."""

    reason: str
    field: str
    message: str


def literal(value: Any) -> str:
    """A value as the API server quotes it in a message."""
    return json.dumps(value, separators=(",", ":"), sort_keys=True, ensure_ascii=False)


def bad_value(field: str, value: Any, why: str) -> Cause:
    return Cause("FieldValueInvalid", field, f"Invalid value: {literal(value)}: {why}")


def required(field: str, why: str = "") -> Cause:
    return Cause("FieldValueRequired", field, f"Required value: {why}" if why else "Required value")


def duplicate(field: str, value: Any) -> Cause:
    return Cause("FieldValueDuplicate", field, f"Duplicate value: {literal(value)}")


def not_supported(field: str, value: Any, known: Iterable[str]) -> Cause:
    names = ", ".join(literal(name) for name in known)
    return Cause("FieldValueNotSupported", field, f"Unsupported value: {literal(value)}: supported values: {names}")


def forbidden_field(field: str, why: str) -> Cause:
    return Cause("FieldValueForbidden", field, f"Forbidden: {why}")


def _details(name: str, group: str, kind: str) -> dict[str, Any]:
    details = {"name": name, "group": group, "kind": kind}
    return {key: value for key, value in details.items() if value}


def not_found(resource: Resource, name: str) -> StatusError:
    details = _details(name, resource.group, resource.plural)
    return StatusError(404, "NotFound", f'{resource.qualified} "{name}" not found', details)


def no_such_endpoint() -> StatusError:
    """A path inside a served group that names no resource."""
    return StatusError(404, "NotFound", "the server could not find the requested resource", {})


def already_exists(resource: Resource, name: str) -> StatusError:
    details = _details(name, resource.group, resource.plural)
    return StatusError(409, "AlreadyExists", f'{resource.qualified} "{name}" already exists', details)


def conflict(resource: Resource, name: str, why: str = CONFLICT) -> StatusError:
    message = f'Operation cannot be fulfilled on {resource.qualified} "{name}": {why}'
    return StatusError(409, "Conflict", message, _details(name, resource.group, resource.plural))


def precondition_failed(resource: Resource, name: str, why: str) -> StatusError:
    """A DELETE whose preconditions do not hold; the server names the kind here, not the resource."""
    kind = f"{resource.kind}.{resource.group}" if resource.group else resource.kind
    message = f'Operation cannot be fulfilled on {kind} "{name}": {why}'
    return StatusError(409, "Conflict", message, _details(name, resource.group, resource.kind))


def forbidden(resource: Resource, name: str, why: str) -> StatusError:
    """Refused by admission: authorisation has its own sentence, see `access`."""
    message = f'{resource.qualified} "{name}" is forbidden: {why}' if name else f"{resource.qualified} is forbidden: {why}"
    return StatusError(403, "Forbidden", message, _details(name, resource.group, resource.plural))


def denied(resource: Resource, name: str, why: str, reason: str) -> StatusError:
    """Refused by an admission policy, which may choose the `reason`; "" is Invalid."""
    refusal = forbidden(resource, name, why)
    refusal.reason = reason or "Invalid"
    refusal.code = DENIED_CODES.get(refusal.reason, 422)
    refusal.details = {**(refusal.details or {}), "causes": [{"message": why}]}
    return refusal


def invalid(kind: str, group: str, name: str, causes: list[Cause]) -> StatusError:
    """422 with one cause per wrong field; equal sentences are said once, as the server does."""
    said = list(dict.fromkeys(f"{cause.field}: {cause.message}" for cause in causes))
    what = said[0] if len(said) == 1 else f"[{', '.join(said)}]"
    details = _details(name, group, kind)
    details["causes"] = [{"reason": cause.reason, "message": cause.message, "field": cause.field} for cause in causes]
    subject = f"{kind}.{group}" if group else kind
    return StatusError(422, "Invalid", f'{subject} "{name}" is invalid: {what}', details)


def bad_request(message: str) -> StatusError:
    return StatusError(400, "BadRequest", message)


def unauthorized() -> StatusError:
    return StatusError(401, "Unauthorized", "Unauthorized")


def method_not_allowed() -> StatusError:
    return StatusError(405, "MethodNotAllowed", "the server does not allow this method on the requested resource", {})


def gone(message: str = "The resourceVersion for the provided list is too old.") -> StatusError:
    return StatusError(410, "Expired", message)


def rejected_patch() -> StatusError:
    """A JSON patch whose test failed or whose path does not exist."""
    return StatusError(422, "Invalid", "the server rejected our request due to an error in our request", {})


def version_too_large(asked: int, current: int) -> StatusError:
    cause = {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
    details = {"causes": [cause], "retryAfterSeconds": 1}
    return StatusError(504, "Timeout", f"Timeout: Too large resource version: {asked}, current: {current}", details)


def unavailable(message: str) -> StatusError:
    return StatusError(503, "ServiceUnavailable", message)


def too_many_requests(message: str, details: dict[str, Any] | None = None) -> StatusError:
    return StatusError(429, "TooManyRequests", message, details)


def internal(message: str) -> StatusError:
    return StatusError(500, "InternalError", f"Internal error occurred: {message}", {"causes": [{"message": message}]})


def success(resource: Resource, name: str, uid: str) -> dict[str, Any]:
    """What a DELETE answers when the object is gone."""
    details = _details(name, resource.group, resource.plural) | {"uid": uid}
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}
