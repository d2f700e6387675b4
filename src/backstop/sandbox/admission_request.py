"""A write as validating admission sees it, and whether the rules of a webhook or policy are about it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from backstop.sandbox.callers import Caller
from backstop.sandbox.listing import Selector
from backstop.sandbox.resources import NAMESPACES, Resource
from backstop.sandbox.scale import scale_of
from backstop.sandbox.status import not_found
from backstop.sandbox.store import Object

if TYPE_CHECKING:
    from backstop.sandbox.registry import Registry

CREATE: Final = "CREATE"
UPDATE: Final = "UPDATE"
DELETE: Final = "DELETE"
CONNECT: Final = "CONNECT"
ADMISSION: Final = "admissionregistration.k8s.io"


@dataclass(frozen=True, slots=True)
class AdmissionRequest:
    """Who wants what to become of which object. `obj` is None for a deletion, `old` for a creation."""

    operation: str
    resource: Resource
    subresource: str
    namespace: str
    name: str
    obj: Object | None
    old: Object | None
    caller: Caller
    dry_run: bool

    @classmethod
    def of_update(
        cls, resource: Resource, subresource: str, new: Object, old: Object, caller: Caller, *, dry_run: bool
    ) -> AdmissionRequest:
        """An update; one of a workload's scale is seen as that of its Scale."""
        seen: Callable[[Object], Object] = scale_of if subresource == "scale" else lambda obj: obj
        meta = old["metadata"]
        where = meta.get("namespace", ""), meta["name"]
        return cls(UPDATE, resource, subresource, *where, seen(new), seen(old), caller, dry_run)


def rule_matches(rule: Mapping[str, Any], request: AdmissionRequest) -> bool:
    """Whether a RuleWithOperations (with `resourceNames`, a NamedRuleWithOperations) is about this request.

    As in k8s.io/apiserver, package rules: `*` among the resources means all of them but no subresource, `*/*` everything.
    """
    resource = request.resource
    return (
        _among(rule.get("operations"), request.operation)
        and _among(rule.get("apiGroups"), resource.group)
        and _among(rule.get("apiVersions"), resource.version)
        and _in_scope(rule.get("scope") or "*", request)
        and any(_names(entry, resource.plural, request.subresource) for entry in rule.get("resources") or ())
        and (not rule.get("resourceNames") or request.name in rule["resourceNames"])
    )


def _among(allowed: Iterable[str] | None, value: str) -> bool:
    return bool({"*", value} & set(allowed or ()))


def _in_scope(scope: str, request: AdmissionRequest) -> bool:
    return scope == "*" or request.resource.namespaced == (scope == "Namespaced")


def _names(entry: str, plural: str, subresource: str) -> bool:
    resource, _, sub = entry.partition("/")
    return resource in {"*", plural} and sub in {"*", subresource}


def selected(registry: Registry, chooser: Mapping[str, Any], request: AdmissionRequest) -> bool:
    """Whether the `namespaceSelector` and `objectSelector` of a webhook or of MatchResources take this request in."""
    return _namespace_selected(registry, chooser.get("namespaceSelector"), request) and _object_selected(
        chooser.get("objectSelector"), request
    )


def _namespace_selected(registry: Registry, selector: Object | None, request: AdmissionRequest) -> bool:
    """A Namespace is judged by its own labels; no other cluster-scoped object is ever left out."""
    if not selector:
        return True
    if request.resource is NAMESPACES:
        about = request.obj or request.old
    elif request.resource.namespaced:
        about = namespace_of(registry, request)
    else:
        return True
    return Selector.of(selector).matches(_labels(about))


def namespace_of(registry: Registry, request: AdmissionRequest) -> Object:
    """The stored namespace that a request is in. Raises 404."""
    found = registry.store.get(NAMESPACES, "", request.namespace)
    if found is None:
        raise not_found(NAMESPACES, request.namespace)
    return found


def _object_selected(selector: Object | None, request: AdmissionRequest) -> bool:
    if not selector:
        return True
    wanted = Selector.of(selector)
    return any(wanted.matches(_labels(obj)) for obj in (request.obj, request.old) if obj is not None)


def _labels(obj: Object | None) -> dict[str, str]:
    return dict(((obj or {}).get("metadata") or {}).get("labels") or {})
