"""Whatever is well-formed is stored or refused with a Status; nothing makes the server stumble, and what is stored is stable."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from backstop.clock import ManualClock
from backstop.sandbox import schema
from backstop.sandbox.controllers.budgets import DisruptionBudgets, QuotaStatus
from backstop.sandbox.gc import GarbageCollector
from backstop.sandbox.lifecycle import NamespaceLifecycle
from backstop.sandbox.patches import strategic
from backstop.sandbox.registry import Registry
from backstop.sandbox.resources import NAMESPACES, RESOURCES, Resource
from backstop.sandbox.status import StatusError
from backstop.sandbox.store import Store

STORED = [resource for resource in RESOURCES if resource.stored]
TEXT = st.sampled_from(
    ["", "a", "web", "Bad_Name", "In", "Exists", "RollingUpdate", "Recreate", "50%", "0", "10.96.0.10", "None", "x" * 70]
)
SCALARS: dict[str, st.SearchStrategy[Any]] = {
    "string": TEXT,
    "int32": st.integers(-2, 70000),
    "int64": st.integers(-2, 70000),
    "double": st.floats(-1, 1),
    "bool": st.booleans(),
    "bytes": st.sampled_from(["", "YQ=="]),
    "time": st.just("2026-01-01T00:00:00Z"),
    "microtime": st.just("2026-01-01T00:00:00.000000Z"),
    "duration": st.just("1s"),
    "quantity": st.sampled_from(["1", "500m", "64Mi", 2, "1.5", "-1", "1e3"]),
    "intstr": st.sampled_from([0, 1, "25%", "http", "101%", -1]),
    "strings": st.lists(TEXT, max_size=2),
    "raw": st.just({}),
    "fields": st.just({}),
}


def _one(kind: str, depth: int) -> st.SearchStrategy[Any]:
    return SCALARS[kind] if kind in SCALARS else objects(kind, depth + 1)


def _field(field: schema.Field, depth: int) -> st.SearchStrategy[Any]:
    one = _one(field.type, depth)
    if field.shape == "list":
        return st.lists(one, max_size=2)
    return st.dictionaries(TEXT, one, max_size=2) if field.shape == "map" else one


def objects(kind: str, depth: int = 0) -> st.SearchStrategy[dict[str, Any]]:
    """Any object of a type, a few fields at a time."""
    if depth > 6:
        return st.just({})

    @st.composite
    def build(draw: st.DrawFn) -> dict[str, Any]:
        known = {name: field for name, field in schema.fields(kind).items() if name != "metadata" or depth}
        names = draw(st.lists(st.sampled_from(sorted(known)), max_size=6, unique=True)) if known else []
        return {name: draw(_field(known[name], depth)) for name in names}

    return build()


def _registry() -> Registry:
    registry = Registry(Store(7), ManualClock())
    NamespaceLifecycle(registry)
    GarbageCollector(registry)
    QuotaStatus(registry)
    DisruptionBudgets(registry)
    registry.create(NAMESPACES, "", {"metadata": {"name": "test"}})
    return registry


@st.composite
def _requests(draw: st.DrawFn) -> tuple[Resource, dict[str, Any], dict[str, Any]]:
    resource = draw(st.sampled_from(STORED))
    name = schema.type_name(resource.api_version, resource.kind)
    assert name is not None
    body = draw(objects(name)) | {"metadata": {"name": draw(st.sampled_from(["thing", "Not_Valid"])), "labels": {"app": "web"}}}
    return resource, body, draw(objects(name))


def _read(resource: Resource, obj: dict[str, Any]) -> dict[str, Any]:
    name = schema.type_name(resource.api_version, resource.kind)
    assert name is not None
    return schema.read({**obj, "kind": resource.kind, "apiVersion": resource.api_version}, name).value


def _answer(call: Callable[[], dict[str, Any]]) -> tuple[int, dict[str, Any]]:
    try:
        return 200, call()
    except StatusError as error:
        return error.code, {}


@settings(deadline=None, max_examples=150)
@given(_requests())
def test_stored_or_refused_and_stable(request: tuple[Resource, dict[str, Any], dict[str, Any]]) -> None:
    resource, body, change = request
    registry, namespace = _registry(), "test" if resource.namespaced else ""
    code, made = _answer(lambda: registry.create(resource, namespace, _read(resource, body)))
    assert code in {200, 400, 403, 404, 409, 422}
    if code != 200:
        return
    name, kind = made["metadata"]["name"], schema.type_name(resource.api_version, resource.kind)
    same = registry.update(resource, namespace, name, registry.get(resource, namespace, name))
    assert same == registry.get(resource, namespace, name)

    def patch() -> dict[str, Any]:
        patched = strategic(registry.get(resource, namespace, name), change, kind)
        return registry.update(resource, namespace, name, _read(resource, patched), patched=True)

    assert _answer(patch)[0] in {200, 400, 403, 409, 422}
    registry.delete(resource, namespace, name)
