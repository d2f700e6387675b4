"""Whatever a model writes: nothing protected, nothing out of scope and nothing at zero ever gets through."""

from __future__ import annotations

from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

from backstop.policy import DEFAULT, decide
from backstop.records import Action, Restart, Rollback, Scale, SetResources, TargetState, WorkloadRef
from tests.policy.test_decide import context, state

NAMES = st.one_of(
    st.sampled_from(["checkout", "catalog", "prod-db", "storefront", "coredns"]), st.from_regex(r"[a-z]{1,8}", fullmatch=True)
)
SPACES = st.one_of(st.sampled_from(["shop", "kube-system", "default", "backstop"]), st.from_regex(r"[a-z]{1,8}", fullmatch=True))
TARGETS = st.builds(WorkloadRef, kind=st.just("Deployment"), namespace=SPACES, name=NAMES)
NUMBERS = st.one_of(st.integers(0, 12), st.integers(0, 1_000_000))
IN_SCOPE = {("shop", "checkout"), ("shop", "catalog")}
LABELS = st.sampled_from([{}, {"tier": "database"}, {"backstop.dev/protected": "true"}, {"app": "x"}])
PROTECTED = ({"tier": "database"}, {"backstop.dev/protected": "true"})


@st.composite
def actions(draw: Any) -> Action:
    target = draw(TARGETS)
    one: Action = draw(
        st.one_of(
            st.builds(Scale, verb=st.just("scale"), target=st.just(target), replicas=NUMBERS),
            st.builds(Restart, verb=st.just("restart"), target=st.just(target)),
            st.builds(Rollback, verb=st.just("rollback"), target=st.just(target), to_revision=st.integers(1, 9)),
            st.builds(
                SetResources,
                verb=st.just("set_resources"),
                target=st.just(target),
                container=st.sampled_from(["app", "x"]),
                memory_limit_bytes=st.integers(1, 2**34),
            ),
        )
    )
    return one


@st.composite
def states(draw: Any) -> TargetState:
    counter = st.integers(0, 12)
    health = {key: draw(counter) for key in ("ready", "available", "updated", "total")}
    return state(
        draw(TARGETS),
        replicas=draw(counter),
        labels=draw(LABELS),
        paused=draw(st.booleans()),
        strategy=draw(st.sampled_from(["RollingUpdate", "Recreate"])),
        current_revision=draw(st.integers(1, 4)),
        health={**health, "observed": draw(st.booleans())},
    )


@given(actions(), st.one_of(st.none(), states()))
def test_what_passes_is_in_scope_unprotected_observed_and_leaves_somebody_serving(action: Action, seen: TargetState | None) -> None:
    assume(action is not None)
    if not decide(action, seen, DEFAULT, context()).passed:
        return
    assert seen is not None
    assert not hasattr(action, "replicas") or action.replicas >= 1
    assert (action.target.namespace, action.target.name) in IN_SCOPE  # type: ignore[union-attr]
    assert seen.ref.same(action.target)  # type: ignore[union-attr]
    assert seen.labels not in PROTECTED
    assert not seen.paused
    assert isinstance(action, Scale) or seen.replicas >= 1


@given(actions(), states())
def test_the_same_question_has_the_same_answer(action: Action, seen: TargetState) -> None:
    assert decide(action, seen, DEFAULT, context()) == decide(action, seen, DEFAULT, context())


@given(TARGETS, states())
def test_zero_never_passes(target: WorkloadRef, seen: TargetState) -> None:
    assert not decide(Scale(verb="scale", target=target, replicas=0), seen, DEFAULT, context()).passed
