"""The catalogue of writes is closed and pure: an action on an observed target makes exactly one known change."""

from __future__ import annotations

import copy
import json
from datetime import UTC, datetime
from typing import Any

import jsonpatch
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backstop.cluster.objects import RESTARTED_AT
from backstop.cluster.state import target_state
from backstop.cluster.writes import change_for, fenced, memory_quantity, restoration, stamped_at, written
from backstop.errors import ClusterConflict, ClusterUnavailable, NotFoundError, UsageError
from backstop.records import NoAction, Restart, Rollback, Scale, SetResources, TargetState, WorkloadRef
from tests.stub_api import StubApi

CHECKOUT = WorkloadRef(kind="Deployment", namespace="shop", name="checkout")
AT = datetime(2026, 1, 1, 12, 30, tzinfo=UTC)
JSON_VALUES = st.none() | st.integers() | st.text(max_size=5) | st.dictionaries(st.text(max_size=3), st.integers(), max_size=3)
SPECS = st.dictionaries(st.sampled_from(["template", "replicas", "paused", "strategy", "selector"]), JSON_VALUES, max_size=5)


@pytest.fixture
def state() -> TargetState:
    api = StubApi()
    api.deploy()
    return target_state(api.checkout, list(api.objects["replicasets"].values()), list(api.objects["pods"].values()))


def test_the_state_of_a_target(state: TargetState) -> None:
    assert [r.number for r in state.revisions] == [1, 2]
    assert state.current_revision == 2
    assert state.health.total == 3
    assert state.health.observed
    assert state.revisions[0].template["metadata"] == {"labels": {"app": "checkout"}}


def test_a_rollback_replaces_the_template(state: TargetState) -> None:
    change = change_for(Rollback(verb="rollback", target=CHECKOUT, to_revision=1), state)
    assert change.patch == ({"op": "replace", "path": "/spec/template", "value": state.revisions[0].template},)
    assert change.after["revision"] == 1
    assert change.before == {"revision": 2, "template": state.template}


def test_a_restart_is_stamped_with_the_time_of_its_intent(state: TargetState) -> None:
    change = change_for(Restart(verb="restart", target=CHECKOUT), state, at=AT)
    assert change.patch[0]["value"]["metadata"]["annotations"] == {RESTARTED_AT: "2026-01-01T12:30:00Z"}
    assert stamped_at(change.after) == AT
    assert change_for(Restart(verb="restart", target=CHECKOUT), state, at=stamped_at(change.after)) == change


def test_a_restart_without_a_time_is_none(state: TargetState) -> None:
    with pytest.raises(UsageError):
        change_for(Restart(verb="restart", target=CHECKOUT), state)


def test_a_memory_limit_is_set_on_the_named_container_only(state: TargetState) -> None:
    action = SetResources(verb="set_resources", target=CHECKOUT, container="web", memory_limit_bytes=128 * 2**20)
    change = change_for(action, state)
    assert change.before == {"container": "web", "memory_limit": "64Mi"}
    assert change.patch[0]["value"]["spec"]["containers"][0]["resources"] == {"limits": {"memory": "128Mi"}}


@pytest.mark.parametrize(
    "action",
    [
        Rollback(verb="rollback", target=CHECKOUT, to_revision=9),
        SetResources(verb="set_resources", target=CHECKOUT, container="nobody", memory_limit_bytes=1),
    ],
)
def test_what_is_not_there_cannot_be_changed(state: TargetState, action: Any) -> None:
    with pytest.raises(NotFoundError):
        change_for(action, state)


@pytest.mark.parametrize("action", [NoAction(verb="no_action"), object(), None, "rollback"])
def test_what_the_catalogue_does_not_hold_is_refused(state: TargetState, action: Any) -> None:
    with pytest.raises(UsageError):
        change_for(action, state)


def test_what_was_observed_is_left_alone(state: TargetState) -> None:
    before = copy.deepcopy(state.template)
    change_for(Restart(verb="restart", target=CHECKOUT), state, at=AT)
    change_for(SetResources(verb="set_resources", target=CHECKOUT, container="web", memory_limit_bytes=1), state)
    assert state.template == before


@pytest.mark.parametrize("annotations", [{}, {"a": "b"}])
def test_every_patch_carries_its_preconditions_and_its_id(annotations: dict[str, str]) -> None:
    patch = fenced([], uid="u", resource_version="7", annotations=annotations, action_id="bs-1-1")
    metadata: dict[str, Any] = {"uid": "old", "resourceVersion": "1"} | ({"annotations": annotations} if annotations else {})
    result = jsonpatch.apply_patch({"metadata": metadata}, json.dumps(patch))["metadata"]
    assert (result["uid"], result["resourceVersion"]) == ("u", "7")
    assert result["annotations"] == {**annotations, "backstop.dev/action-id": "bs-1-1"}


@pytest.mark.parametrize(("size", "quantity"), [(64 * 2**20, "64Mi"), (2**30, "1024Mi"), (1_000_000, "1000000")])
def test_bytes_as_a_quantity(size: int, quantity: str) -> None:
    assert memory_quantity(size) == quantity


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(before=SPECS, after=SPECS)
def test_a_restoration_restores_exactly(before: dict[str, Any], after: dict[str, Any]) -> None:
    assert written(after, restoration(before, after, after)) == before


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(before=SPECS, after=SPECS, now=SPECS)
def test_a_restoration_never_overwrites_what_somebody_else_wrote(
    before: dict[str, Any], after: dict[str, Any], now: dict[str, Any]
) -> None:
    absent = object()
    changed = {f for f in {*before, *after} if before.get(f, absent) != after.get(f, absent)}
    foreign = any(now.get(f, absent) != after.get(f, absent) for f in changed)
    try:
        restored = written(now, restoration(before, after, now))
    except ClusterConflict:
        assert foreign
        return
    assert not foreign
    assert all(restored.get(f, absent) == (before if f in changed else now).get(f, absent) for f in {*before, *after, *now})


@pytest.mark.parametrize("field", ["uid", "resourceVersion", "generation"])
def test_an_answer_that_cannot_be_bound_to_is_no_state(field: str) -> None:
    api = StubApi()
    api.deploy()
    del api.checkout["metadata"][field]
    with pytest.raises(ClusterUnavailable):
        target_state(api.checkout, [], [])


def test_scale_to_zero_parses_so_that_a_gate_can_be_seen_to_refuse_it(state: TargetState) -> None:
    assert change_for(Scale(verb="scale", target=CHECKOUT, replicas=0), state).after == {"replicas": 0}
