"""Whatever a model writes: nothing protected, nothing out of scope and nothing at zero ever gets through."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from backstop.policy import DEFAULT, Context, PastWrite, Policy, decide
from backstop.policy.schema import Freeze
from backstop.records import (
    Action,
    Availability,
    DisruptionBudget,
    NoAction,
    Restart,
    Revision,
    Rollback,
    Scale,
    SetResources,
    TargetState,
    WorkloadRef,
)
from tests.policy.test_decide import CHECKOUT, NOW, context, memory, restart, rollback, scale, state, template

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


IMAGES = st.one_of(
    st.sampled_from(["demo/web:1", "demo/web", "docker.io/demo/web:1"]),
    st.sampled_from(["demo/web:1", "evil/web:1", "demo/web-x:1", "demo/web/x:1", "x/demo/web:1", "Demo/web:1", ""]),
)
MINE = st.one_of(
    st.integers(0, 12).map(scale), st.just(restart()), st.just(rollback()), st.sampled_from([16, 65, 128, 256, 2048]).map(memory)
)
MARKS = st.one_of(
    st.just({"tier": "web"}),
    st.dictionaries(
        st.sampled_from(["tier", "app", "argocd.argoproj.io/instance", "argocd.argoproj.io/tracking-id"]),
        st.sampled_from(["database", "web", ""]),
        max_size=2,
    ),
)


@st.composite
def histories(draw: Any) -> TargetState:
    """checkout with whatever Kubernetes could tell of it beside its replicas and labels."""
    replicas = draw(st.one_of(st.integers(2, 8), st.integers(0, 12)))
    seconds = st.one_of(st.integers(0, 2000), st.sampled_from([0, 1999]))
    old = Revision(
        number=1,
        name="r1",
        created_at=NOW - timedelta(seconds=draw(seconds)),
        images=(),
        replicas=(pods := draw(st.integers(0, 2))),
        ready=draw(st.integers(0, pods)),
        template=template(draw(IMAGES), draw(MARKS)),
    )
    new = old.model_copy(
        update={
            "number": 2,
            "created_at": NOW - timedelta(seconds=draw(seconds)),
            "template": template(draw(IMAGES), draw(MARKS)),
        }
    )
    return state(
        replicas=replicas,
        template=new.template,
        annotations=draw(MARKS),
        revisions=(old, new),
        max_unavailable=draw(st.one_of(st.just(0), st.integers(0, 12))),
        autoscalers=draw(st.sampled_from([(), (), ("hpa",)])),
        budgets=tuple(DisruptionBudget(name="pdb", allowed=n) for n in draw(st.lists(st.integers(-1, 3), max_size=2))),
        availability=draw(
            st.one_of(
                st.none(),
                st.builds(Availability, available=st.booleans(), since=seconds.map(lambda s: NOW - timedelta(seconds=s))),
            )
        ),
    )


def policies() -> st.SearchStrategy[Policy]:
    limits = DEFAULT.limits.model_copy(update={"proven_after_seconds": 600.0})
    freeze = st.builds(
        lambda start, hours: Freeze(name="f", start=NOW + timedelta(hours=start), end=NOW + timedelta(hours=start + hours)),
        st.integers(-5, 5),
        st.integers(1, 5),
    )
    return st.one_of(st.just([]), st.lists(freeze, max_size=2)).map(
        lambda them: DEFAULT.model_copy(update={"limits": limits, "freezes": tuple(them)})
    )


@given(MINE, histories(), policies())
@settings(max_examples=400, deadline=None)
def test_what_passes_is_unfrozen_proven_of_a_listed_image_and_neither_scaled_nor_guarded_by_somebody_else(
    action: Action, seen: TargetState, policy: Policy
) -> None:
    if isinstance(action, NoAction) or not decide(action, seen, policy, Context(now=NOW, action_id="bs-a-1", recent=())).passed:
        return
    assert not any(freeze.start <= NOW < freeze.end for freeze in policy.freezes)
    assert "argocd.argoproj.io/tracking-id" not in seen.annotations
    old, new = seen.revisions
    goes_to = old if isinstance(action, Rollback) else new
    for one in (goes_to, new):
        labels: Any = one.template["metadata"]
        assert labels["labels"].get("tier") != "database"
        assert "argocd.argoproj.io/instance" not in labels["labels"]
    if isinstance(action, Scale):
        assert not seen.autoscalers
    else:
        pod: Any = goes_to.template["spec"]
        assert pod["containers"][0]["image"] in {"demo/web:1", "demo/web", "docker.io/demo/web:1"}
    if isinstance(action, Rollback) and old.ready == 0:
        assert (new.created_at - old.created_at).total_seconds() >= 600
        assert seen.availability is not None
    removed = seen.replicas - action.replicas if isinstance(action, Scale) else 0
    if isinstance(action, Restart | SetResources):
        removed = min(seen.max_unavailable, seen.health.available)
    assert removed <= 0 or all(removed <= budget.allowed for budget in seen.budgets)


@given(MINE, histories(), st.integers(0, 10_000), st.integers(0, 3))
@settings(deadline=None)
def test_no_write_passes_while_its_target_cools_down_or_its_hour_is_used_up(
    action: Any, seen: TargetState, ago: int, more: int
) -> None:
    recent = [
        PastWrite(action_id=f"bs-x{n}-1", target=CHECKOUT, action="a", at=NOW - timedelta(seconds=ago)) for n in range(4 * more)
    ]
    if recent and decide(action, seen, DEFAULT, context(*recent)).passed:
        assert ago >= 300
        assert ago >= 3600 or len(recent) < 6
