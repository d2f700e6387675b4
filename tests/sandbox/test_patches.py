"""JSON patch, merge patch and strategic merge: their laws, and what the server does with those that do not fit."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstop.sandbox import patches
from backstop.sandbox.status import StatusError
from tests.sandbox.live_api import CONFIGMAPS, DEPLOYMENTS, JSON_PATCH, MERGE, STRATEGIC, LiveApi, configmap, deployment

KEYS = st.text("abc", min_size=1, max_size=2)
SCALARS = st.one_of(st.booleans(), st.integers(-3, 3), st.text("xyz", max_size=2))
VALUES = st.recursive(SCALARS, lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=3)))
OBJECTS = st.dictionaries(KEYS, VALUES, max_size=4)
PATCHES = st.dictionaries(
    KEYS,
    st.recursive(st.one_of(st.none(), SCALARS), lambda inner: st.dictionaries(KEYS, inner, max_size=3)),
    max_size=4,
)
ENV = st.lists(st.builds(lambda n, v: {"name": n, "value": v}, st.sampled_from("ABCDE"), st.text("xyz", max_size=2)), max_size=4)
ENVS = ENV.map(lambda items: list({item["name"]: item for item in items}.values()))


def difference(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """The merge patch that leads from one object to the other."""
    out: dict[str, Any] = dict.fromkeys(before.keys() - after.keys())
    for key, value in after.items():
        old = before.get(key)
        if isinstance(value, dict) and isinstance(old, dict):
            out[key] = difference(old, value)
        elif key not in before or old != value or type(old) is not type(value):
            out[key] = value
    return out


@given(OBJECTS, PATCHES)
def test_a_merge_patch_is_idempotent_and_leaves_its_input_alone(obj: dict[str, Any], patch: dict[str, Any]) -> None:
    kept = repr(obj)
    once = patches.merge(obj, patch)
    assert patches.merge(once, patch) == once
    assert repr(obj) == kept


@given(OBJECTS)
def test_an_empty_merge_patch_changes_nothing(obj: dict[str, Any]) -> None:
    assert patches.merge(obj, {}) == obj


@given(OBJECTS, OBJECTS)
def test_the_difference_of_two_objects_leads_from_one_to_the_other(before: dict[str, Any], after: dict[str, Any]) -> None:
    assert patches.merge(before, difference(before, after)) == after


@given(OBJECTS, PATCHES)
def test_strategic_merge_without_lists_is_merge(obj: dict[str, Any], patch: dict[str, Any]) -> None:
    assert patches.strategic(obj, patch, None) == patches.merge(obj, patch)


@given(OBJECTS)
def test_json_patch_that_tests_and_replaces_what_is_there_changes_nothing(obj: dict[str, Any]) -> None:
    operations = [{"op": op, "path": f"/{key}", "value": obj[key]} for key in obj for op in ("test", "replace")]
    assert patches.json_patch(obj, operations) == obj


def _with_env(env: list[dict[str, str]]) -> dict[str, Any]:
    obj = deployment()
    obj["spec"]["template"]["spec"]["containers"][0]["env"] = env
    return obj


def _env(obj: dict[str, Any]) -> list[dict[str, str]]:
    return list(obj["spec"]["template"]["spec"]["containers"][0].get("env", []))


def _env_patch(env: list[dict[str, str]]) -> dict[str, Any]:
    return {"spec": {"template": {"spec": {"containers": [{"name": "app", "env": env}]}}}}


@given(ENVS, ENVS)
def test_strategic_merge_by_key_is_idempotent_and_keeps_the_others(
    have: list[dict[str, str]], wanted: list[dict[str, str]]
) -> None:
    once = patches.strategic(_with_env(have), _env_patch(wanted), "apps.v1.Deployment")
    assert patches.strategic(once, _env_patch(wanted), "apps.v1.Deployment") == once
    values = {item["name"]: item["value"] for item in _env(once)}
    assert values == {item["name"]: item["value"] for item in have} | {item["name"]: item["value"] for item in wanted}
    assert len(_env(once)) == len(values)


@given(ENVS.filter(bool), ENVS)
def test_a_set_element_order_is_obeyed(have: list[dict[str, str]], wanted: list[dict[str, str]]) -> None:
    patch = _env_patch(wanted)
    order = [{"name": item["name"]} for item in reversed(wanted)]
    patch["spec"]["template"]["spec"]["containers"][0]["$setElementOrder/env"] = order
    after = _env(patches.strategic(_with_env(have), patch, "apps.v1.Deployment"))
    assert [{"name": item["name"]} for item in after if item in wanted] == order


def test_strategic_delete_and_replace_directives() -> None:
    obj = _with_env([{"name": "A", "value": "1"}, {"name": "B", "value": "2"}])
    gone = patches.strategic(obj, _env_patch([{"name": "A", "$patch": "delete"}]), "apps.v1.Deployment")
    assert _env(gone) == [{"name": "B", "value": "2"}]
    new: list[Any] = [{"$patch": "replace"}, {"name": "C", "value": "3"}]
    assert _env(patches.strategic(obj, _env_patch(new), "apps.v1.Deployment")) == [{"name": "C", "value": "3"}]


def test_retain_keys_drops_the_rest() -> None:
    patch = {"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}}
    obj = deployment(strategy={"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}})
    assert patches.strategic(obj, patch, "apps.v1.Deployment")["spec"]["strategy"] == {"type": "Recreate"}


def test_primitive_lists_merge_as_sets_and_can_lose_members() -> None:
    obj = {"metadata": {"finalizers": ["a", "b"]}}
    merged = patches.strategic(obj, {"metadata": {"finalizers": ["b", "c"]}}, "apps.v1.Deployment")
    assert sorted(merged["metadata"]["finalizers"]) == ["a", "b", "c"]
    fewer = patches.strategic(obj, {"metadata": {"$deleteFromPrimitiveList/finalizers": ["a"]}}, "apps.v1.Deployment")
    assert fewer["metadata"]["finalizers"] == ["b"]


def test_a_list_item_without_its_merge_key_is_refused() -> None:
    with pytest.raises(StatusError) as refused:
        patches.strategic(_with_env([{"name": "A", "value": "1"}]), _env_patch([{"value": "2"}]), "apps.v1.Deployment")
    assert refused.value.code == 400


async def test_each_kind_of_patch_over_the_wire(live: LiveApi) -> None:
    await live.ask("POST", DEPLOYMENTS, deployment())
    operations = [{"op": "test", "path": "/spec/replicas", "value": 2}, {"op": "replace", "path": "/spec/replicas", "value": 4}]
    assert (await live.ask("PATCH", f"{DEPLOYMENTS}/web", operations, JSON_PATCH)).body["spec"]["replicas"] == 4
    merged = await live.ask("PATCH", f"{DEPLOYMENTS}/web", {"metadata": {"labels": {"a": "b"}}}, MERGE)
    assert merged.body["metadata"]["labels"] == {"a": "b"}
    strategic = await live.ask("PATCH", f"{DEPLOYMENTS}/web", _env_patch([{"name": "B", "value": "9"}]), STRATEGIC)
    assert _env(strategic.body) == [{"name": "A", "value": "1"}, {"name": "B", "value": "9"}]


@pytest.mark.parametrize(
    ("headers", "body", "status", "reason"),
    [
        (JSON_PATCH, [{"op": "test", "path": "/data/a", "value": "9"}], 422, "Invalid"),
        (JSON_PATCH, [{"op": "remove", "path": "/data/nope"}], 422, "Invalid"),
        (JSON_PATCH, {"data": {}}, 400, "BadRequest"),
        (MERGE, [1], 400, "BadRequest"),
        (MERGE, b'{"data":', 400, "BadRequest"),
        (MERGE, {"data": {"a": 1}}, 422, "Invalid"),
        ({"Content-Type": "application/json"}, {"data": {}}, 415, "UnsupportedMediaType"),
        ({"Content-Type": "application/apply-patch+yaml"}, {"data": {}}, 415, "UnsupportedMediaType"),
    ],
)
async def test_patches_that_do_not_fit_are_refused(
    live: LiveApi, headers: dict[str, str], body: Any, status: int, reason: str
) -> None:
    await live.ask("POST", CONFIGMAPS, configmap("cm", a="1"))
    refused = await live.ask("PATCH", f"{CONFIGMAPS}/cm", body, headers)
    assert (refused.status, refused.body["reason"]) == (status, reason)
    assert (await live.ask("GET", f"{CONFIGMAPS}/cm")).body["data"] == {"a": "1"}


async def test_unknown_fields_warn_or_are_refused(live: LiveApi) -> None:
    await live.ask("POST", DEPLOYMENTS, deployment())
    warned = await live.ask("PATCH", f"{DEPLOYMENTS}/web", {"spec": {"replicaz": 3}}, MERGE)
    assert (warned.status, warned.headers["Warning"]) == (200, '299 - "unknown field \\"spec.replicaz\\""')
    strict = await live.ask("PATCH", f"{DEPLOYMENTS}/web?fieldValidation=Strict", {"spec": {"replicaz": 3}}, MERGE)
    assert strict.status == 422
    assert 'strict decoding error: unknown field "spec.replicaz"' in strict.body["message"]
    ignored = await live.ask("PATCH", f"{DEPLOYMENTS}/web?fieldValidation=Ignore", {"spec": {"replicaz": 3}}, MERGE)
    assert (ignored.status, "Warning" in ignored.headers) == (200, False)
