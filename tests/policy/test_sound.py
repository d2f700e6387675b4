"""What a record cannot hold is seen, wherever it was put in past the validation."""

from __future__ import annotations

import math
from typing import Any

import pytest
from pydantic import JsonValue

from backstop.policy import DEFAULT, decide
from backstop.policy.sound import require_sound
from backstop.records import Availability, Record, TargetState
from tests.policy.test_decide import NOW, context, restart, rollback, state

ODD: tuple[Any, ...] = (math.nan, math.inf, 1.5, b"x", [], object(), state())


def test_what_was_validated_is_sound() -> None:
    for one in (state(), state(availability=None), rollback(), restart(), state().revisions[0]):
        require_sound(one)


@pytest.mark.parametrize("field", TargetState.model_fields)
def test_no_field_of_an_observation_holds_anything_odd_or_nothing(field: str) -> None:
    for odd in ODD:
        with pytest.raises(TypeError, match=field):
            require_sound(TargetState.model_construct(**{**dict(state()), field: odd}))
    with pytest.raises(TypeError, match=field):
        require_sound(TargetState.model_construct(**{k: v for k, v in dict(state()).items() if k != field}))


@pytest.mark.parametrize(
    "change",
    [
        {"strategy": "Sideways"},
        {"paused": 1},
        {"replicas": True},
        {"labels": {"a": 1}},
        {"labels": {1: "a"}},
        {"template": {1: "a"}},
        {"autoscalers": ("a", 1)},
        {"autoscalers": ["a"]},
        {"revisions": (state(),)},
        {"owners": (None,)},
        {"health": state().health.model_copy(update={"updated": math.nan})},
        {"health": state().health.model_copy(update={"ref": None})},
        {"availability": Availability(available=True, since=NOW).model_copy(update={"available": "yes"})},
    ],
)
def test_what_looks_nearly_right_is_odd_too(change: dict[str, Any]) -> None:
    broken = state().model_copy(update=change)
    with pytest.raises(TypeError):
        require_sound(broken)
    assert "A-TARGET-EXISTS" in decide(restart(), broken, DEFAULT, context()).failed_rules


def test_an_odd_action_is_refused() -> None:
    for odd in (math.nan, "1", None, True):
        assert (
            "A-TARGET-EXISTS"
            in decide(rollback().model_copy(update={"to_revision": odd}), state(), DEFAULT, context()).failed_rules
        )


@pytest.mark.parametrize("field", ["number", "created_at", "ready", "replicas", "images", "template", "name"])
@pytest.mark.parametrize("place", [0, 1])
def test_a_rollback_asks_for_both_revisions_that_it_rests_on(field: str, place: int) -> None:
    revisions = list(state().revisions)
    revisions[place] = revisions[place].model_copy(update={field: math.nan})
    assert not decide(rollback(), state(revisions=()).model_copy(update={"revisions": tuple(revisions)}), DEFAULT, context()).passed


def test_an_annotation_that_nobody_thought_of_is_an_error_and_no_pass() -> None:
    class Odd(Record):
        value: dict[str, int]

    class Other(Record):
        value: JsonValue

    for one in (Odd(value={}), Other(value=1)):
        with pytest.raises(NotImplementedError):
            require_sound(one)
