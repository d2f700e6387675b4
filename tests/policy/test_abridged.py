"""What is put on record of a target is what the rules read: they say of it what they say of the target, and it tells no secret."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from backstop.cluster.writes import change_for
from backstop.policy import DEFAULT, Policy, decide
from backstop.policy.abridged import NOT_KEPT, abridge
from backstop.policy.schema import LabelRule
from backstop.records import Action, Intent, Rollback, TargetState
from tests.policy.test_decide import NOW, context, rollback, state
from tests.policy.test_never_passes import MINE, actions, states

SECRET = "hunter2-and-more"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from(["", "app", "64Mi", "demo/web:1"]),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["name", "image", "limits", "memory"]), inner, max_size=3)
    ),
    max_leaves=6,
)
TEMPLATES = st.dictionaries(
    st.sampled_from(["metadata", "spec"]),
    st.dictionaries(st.sampled_from(["labels", "containers", "initContainers", "resources"]), JSON, max_size=3) | JSON,
    max_size=2,
)


def words(action: Action, seen: TargetState | None, policy: Policy = DEFAULT) -> list[tuple[str, bool]]:
    return [(check.rule, check.passed) for check in decide(action, seen, policy, context()).checks]


def kept(seen: TargetState) -> TargetState:
    """As the record gives it back."""
    return TargetState.model_validate_json(abridge(seen, None)[0].model_dump_json())


@given(actions() | MINE, states())
def test_every_rule_says_of_it_what_it_says_of_the_target(action: Action, seen: TargetState) -> None:
    assert words(action, kept(seen)) == words(action, seen)


@given(action=MINE, current=TEMPLATES, earlier=TEMPLATES)
def test_also_of_a_template_that_is_none(action: Action, current: dict[str, Any], earlier: dict[str, Any]) -> None:
    seen = state(revisions=state().revisions)
    first, *others = seen.revisions
    odd = seen.model_copy(
        update={"template": current, "revisions": (first.model_copy(update={"template": earlier}), *others)},
    )
    assert words(action, kept(odd)) == words(action, odd)


@given(st.sampled_from(["argocd.argoproj.io/instance", "team"]), st.sampled_from(["a", "b", "*"]))
def test_whatever_annotation_a_policy_protects_by(key: str, value: str) -> None:
    protected = DEFAULT.protected.model_copy(update={"annotations": (LabelRule(key="team", value=value),)})
    policy = DEFAULT.model_copy(update={"protected": protected})
    seen = state(annotations={key: "a"})
    assert words(rollback(), kept(seen), policy) == words(rollback(), seen, policy)


def with_environment(seen: TargetState) -> TargetState:
    container = {"name": "app", "image": "demo/web:1", "env": [{"name": "PASSWORD", "value": SECRET}], "args": [SECRET]}
    template = {"metadata": {"labels": {"app": "x"}, "annotations": {"a": SECRET}}, "spec": {"containers": [container]}}
    revisions = tuple(revision.model_copy(update={"template": template}) for revision in seen.revisions)
    documents = {"kubectl.kubernetes.io/last-applied-configuration": json.dumps({"env": SECRET}), "note": "x" * 300}
    return seen.model_copy(update={"template": template, "revisions": revisions, "annotations": documents})


def test_no_environment_argument_or_document_of_the_target_is_kept() -> None:
    seen = with_environment(state())
    assert SECRET in seen.model_dump_json()
    assert SECRET not in kept(seen).model_dump_json()
    assert set(kept(seen).annotations.values()) == {NOT_KEPT}


def test_an_intent_is_kept_without_them_too_and_its_hash_holds_if_it_held() -> None:
    seen = with_environment(state())
    action = rollback()
    assert isinstance(action, Rollback)
    change = change_for(action, seen, at=NOW)
    draft = Intent(
        action_id="bs-1-1",
        action=action,
        target_uid=seen.uid,
        resource_version=seen.resource_version,
        generation=seen.generation,
        before=change.before,
        after={**change.after, "template": {**seen.template, "x": 1}},
        plan_hash="",
    )
    _, shown = abridge(seen, draft.model_copy(update={"plan_hash": draft.expected_hash()}))
    assert shown is not None
    assert SECRET not in shown.model_dump_json()
    assert shown.plan_hash == shown.expected_hash()
    assert shown.before["template"] != shown.after["template"]
    _, broken = abridge(seen, draft)
    assert broken is not None
    assert broken.plan_hash != broken.expected_hash()
