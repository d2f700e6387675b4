"""What the policy lets through, and why it refuses the rest."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from backstop.policy import DEFAULT, Context, PastWrite, decide, decide_undo
from backstop.records import (
    Action,
    Availability,
    NoAction,
    ObjectRef,
    Restart,
    Revision,
    Rollback,
    Scale,
    SetResources,
    TargetState,
    WorkloadHealth,
    WorkloadRef,
)

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
CHECKOUT = WorkloadRef(kind="Deployment", namespace="shop", name="checkout")
MIB = 2**20


def template(image: str, labels: dict[str, str] | None = None) -> dict[str, Any]:
    container = {"name": "app", "image": image, "resources": {"limits": {"memory": "64Mi"}}}
    return {"metadata": {"labels": labels or {}}, "spec": {"containers": [container]}}


def revision(number: int, image: str, replicas: int = 0, ready: int = 0) -> Revision:
    return Revision(
        number=number,
        name=f"r{number}",
        created_at=NOW - timedelta(hours=10 - number),
        images=(image,),
        replicas=replicas,
        ready=ready,
        template=template(image),
    )


def state(target: WorkloadRef = CHECKOUT, **other: Any) -> TargetState:
    replicas = other.pop("replicas", 3)
    health = {
        "desired": replicas,
        "ready": replicas,
        "available": replicas,
        "updated": replicas,
        "total": replicas,
        "observed": True,
    }
    fields: dict[str, Any] = {
        "ref": ObjectRef(kind="Deployment", namespace=target.namespace, name=target.name, uid="u-1"),
        "uid": "u-1",
        "resource_version": "7",
        "generation": 2,
        "observed_generation": 2,
        "replicas": replicas,
        "paused": False,
        "strategy": "RollingUpdate",
        "max_unavailable": replicas if other.get("strategy") == "Recreate" else 0,
        "labels": {},
        "annotations": {},
        "owners": (),
        "template": template("demo/web:2"),
        "current_revision": 2,
        "revisions": (revision(1, "demo/web:1"), revision(2, "demo/web:2", 3, 3)),
        "availability": Availability(available=True, since=NOW - timedelta(hours=10)),
        "autoscalers": (),
        "budgets": (),
        "health": WorkloadHealth(ref=target.ref(), **{**health, **other.pop("health", {})}),
    }
    return TargetState(**{**fields, **other})


def rollback(to: int = 1, target: WorkloadRef = CHECKOUT) -> Rollback:
    return Rollback(verb="rollback", target=target, to_revision=to)


def scale(replicas: int, target: WorkloadRef = CHECKOUT) -> Scale:
    return Scale(verb="scale", target=target, replicas=replicas)


def restart(target: WorkloadRef = CHECKOUT) -> Restart:
    return Restart(verb="restart", target=target)


def memory(mib: int) -> SetResources:
    return SetResources(verb="set_resources", target=CHECKOUT, container="app", memory_limit_bytes=mib * MIB)


def context(*recent: PastWrite, action_id: str = "bs-abc-1") -> Context:
    return Context(now=NOW, action_id=action_id, recent=recent)


def past(
    action_id: str, seconds_ago: float, target: WorkloadRef = CHECKOUT, action: str = "restart deployment/checkout"
) -> PastWrite:
    return PastWrite(action_id=action_id, target=target, action=action, at=NOW - timedelta(seconds=seconds_ago))


def refused(action: Action, seen: TargetState | None, *recent: PastWrite) -> tuple[str, ...]:
    verdict = decide(action, seen, DEFAULT, context(*recent))
    assert verdict.passed is not bool(verdict.failed_rules)
    return verdict.failed_rules


@pytest.mark.parametrize("action", [rollback(), restart(), scale(2), scale(8), memory(128)])
def test_what_the_policy_allows_passes(action: Action) -> None:
    assert refused(action, state()) == ()


def other(name: str, namespace: str = "shop") -> WorkloadRef:
    return WorkloadRef(kind="Deployment", namespace=namespace, name=name)


def test_another_workload_is_out_of_scope() -> None:
    assert refused(restart(other("storefront")), state(other("storefront"))) == ("A-SCOPE", "A-IMAGE")


def test_another_namespace_is_out_of_scope() -> None:
    assert refused(restart(other("checkout", "bank")), state(other("checkout", "bank"))) == ("A-SCOPE", "A-IMAGE")


def test_a_verb_that_is_not_listed_is_out_of_scope() -> None:
    (shop,) = DEFAULT.namespaces
    only_scale = shop.workloads[0].model_copy(update={"verbs": ("scale",)})
    policy = DEFAULT.model_copy(update={"namespaces": (shop.model_copy(update={"workloads": (only_scale,)}),)})
    assert decide(restart(), state(), policy, context()).failed_rules == ("A-SCOPE",)


def test_a_protected_name_is_protected_as_well_as_out_of_scope() -> None:
    assert {"A-SCOPE", "A-NOT-PROTECTED"} <= set(refused(restart(other("prod-db")), state(other("prod-db"))))


@pytest.mark.parametrize("label", [{"tier": "database"}, {"backstop.dev/protected": "true"}, {"argocd.argoproj.io/instance": "x"}])
def test_a_protected_label_wins_over_scope_on_the_deployment_and_on_its_pods(label: dict[str, str]) -> None:
    assert refused(restart(), state(labels=label)) == ("A-NOT-PROTECTED",)
    assert refused(restart(), state(template=template("demo/web:2", label))) == ("A-NOT-PROTECTED",)


def test_what_was_not_observed_is_refused_by_every_rule_that_needs_it() -> None:
    failed = refused(rollback(), None)
    assert {"A-NOT-PROTECTED", "A-TARGET-EXISTS", "A-NOT-OWNED", "A-NOT-PAUSED", "A-NEVER-ZERO", "A-REVISION"} <= set(failed)


def test_an_observation_of_something_else_is_refused() -> None:
    assert "A-TARGET-EXISTS" in refused(restart(), state(other("catalog")))


@pytest.mark.parametrize("missing", [{"uid": ""}, {"resource_version": ""}, {"generation": 0, "observed_generation": 0}])
def test_a_target_that_a_write_cannot_be_bound_to_is_refused(missing: dict[str, Any]) -> None:
    assert "A-TARGET-EXISTS" in refused(restart(), state(**missing))


def test_a_first_generation_is_one_that_a_write_can_be_bound_to() -> None:
    assert refused(restart(), state(generation=1, observed_generation=1)) == ()


def test_an_owned_workload_is_refused() -> None:
    owner = ObjectRef(kind="Operator", namespace="shop", name="op")
    assert refused(restart(), state(owners=(owner,))) == ("A-NOT-OWNED",)


def test_a_paused_rollout_is_refused() -> None:
    assert refused(rollback(), state(paused=True)) == ("A-NOT-PAUSED",)


def test_never_zero() -> None:
    assert "A-NEVER-ZERO" in refused(scale(0), state(replicas=1))
    assert "A-NEVER-ZERO" in refused(rollback(), state(replicas=0))


def test_scaling_up_from_zero_is_no_scaling_to_zero() -> None:
    assert refused(scale(3), state(replicas=0)) == ()


def test_blast_radius_in_pods_share_and_step() -> None:
    assert refused(restart(), state(replicas=11)) == ("A-BLAST-PODS",)
    assert refused(scale(1), state(replicas=3)) == ("A-BLAST-SHARE",)
    assert refused(scale(9), state(replicas=3)) == ("A-BLAST-STEP",)
    assert "A-BOUNDS" in refused(scale(11), state(replicas=8))


def test_a_recreate_restart_takes_everything_away_at_once_and_a_rollback_only_what_is_blamed() -> None:
    assert refused(restart(), state(strategy="Recreate")) == ("A-BLAST-SHARE",)
    assert refused(rollback(), state(strategy="Recreate")) == ()


def test_a_rolling_restart_takes_away_no_more_at_once_than_the_policy_allows() -> None:
    assert refused(restart(), state(replicas=4, max_unavailable=2)) == ()
    assert refused(restart(), state(replicas=4, max_unavailable=4)) == ("A-BLAST-SHARE",)


def test_memory_is_only_raised_and_only_so_far() -> None:
    assert refused(memory(64), state()) == ("A-BLAST-STEP",)
    assert refused(memory(32), state()) == ("A-BLAST-STEP",)
    assert refused(memory(512), state()) == ("A-BLAST-STEP",)
    assert "A-BOUNDS" in refused(memory(2048), state())


def test_memory_of_a_container_without_a_limit_or_that_is_not_there_is_refused() -> None:
    bare = {"metadata": {}, "spec": {"containers": [{"name": "app", "image": "demo/web:2"}]}}
    assert refused(memory(128), state(template=bare)) == ("A-BLAST-STEP",)
    missing = SetResources(verb="set_resources", target=CHECKOUT, container="sidecar", memory_limit_bytes=128 * MIB)
    assert refused(missing, state()) == ("A-BLAST-STEP",)


@pytest.mark.parametrize("to", [2, 3, 99])
def test_a_rollback_goes_to_an_earlier_revision_that_exists(to: int) -> None:
    assert refused(rollback(to), state())[:1] == ("A-REVISION",)


def test_a_rollback_to_what_runs_already_is_refused() -> None:
    same = (revision(1, "demo/web:2"), revision(2, "demo/web:2"))
    assert refused(rollback(), state(revisions=same)) == ("A-REVISION",)


def test_a_rollback_to_a_revision_whose_pods_are_unwell_now_is_refused() -> None:
    sick = (revision(1, "demo/web:1", replicas=1, ready=0), revision(2, "demo/web:2"))
    assert refused(rollback(), state(revisions=sick)) == ("A-REVISION",)


def test_during_a_rollout_only_its_reversal_passes() -> None:
    rolling = state(health={"updated": 1, "total": 4})
    assert refused(restart(), rolling) == ("A-ROLLOUT-QUIET",)
    assert refused(rollback(), rolling) == ()


def test_a_generation_that_the_controller_has_not_seen_is_refused() -> None:
    assert refused(rollback(), state(observed_generation=1)) == ("A-ROLLOUT-QUIET",)
    assert refused(rollback(), state(health={"observed": False})) == ("A-ROLLOUT-QUIET",)


def test_a_scale_that_changes_nothing_is_refused() -> None:
    assert refused(scale(3), state()) == ("A-HAS-EFFECT",)


def test_a_target_cools_down_after_a_write() -> None:
    assert refused(restart(), state(), past("bs-other-1", 299)) == ("A-COOLDOWN",)
    assert refused(restart(), state(), past("bs-other-1", 301)) == ()
    assert refused(restart(), state(), past("bs-other-1", 1, other("catalog"))) == ()


def test_a_write_is_no_reason_against_itself() -> None:
    assert refused(restart(), state(), past("bs-abc-1", 1)) == ()


def test_an_incident_does_the_same_thing_once_and_few_things_at_all() -> None:
    elsewhere = other("catalog")
    assert refused(restart(), state(), past("bs-abc-7", 1, elsewhere)) == ("A-PER-INCIDENT",)
    many = [past(f"bs-abc-{n}", 1, elsewhere, f"act {n}") for n in (7, 8)]
    assert refused(restart(), state(), *many) == ("A-PER-INCIDENT",)


def test_an_hour_holds_only_so_many_writes() -> None:
    many = [past(f"bs-{n}-1", 60, other("catalog")) for n in range(DEFAULT.limits.actions_per_hour)]
    assert refused(restart(), state(), *many) == ("A-PER-HOUR",)


def test_unknown_earlier_writes_refuse() -> None:
    unknown = Context(now=NOW, action_id="bs-abc-1", recent=None)
    assert decide(restart(), state(), DEFAULT, unknown).failed_rules == ("A-COOLDOWN", "A-PER-INCIDENT", "A-PER-HOUR")


def test_nothing_to_write_is_not_allowed_either() -> None:
    for verdict in (
        decide(NoAction(verb="no_action"), state(), DEFAULT, context()),
        decide_undo(NoAction(verb="no_action"), state(), DEFAULT, context()),
    ):
        (check,) = verdict.checks
        assert (check.rule, check.passed) == ("A-SCOPE", False)
        assert check.reason.startswith("there is nothing to ")


def test_an_undo_may_follow_at_once_but_not_reach_elsewhere() -> None:
    assert decide_undo(rollback(), state(), DEFAULT, context(past("bs-abc-9", 1))).passed
    assert decide_undo(scale(5), state(replicas=5), DEFAULT, context()).passed
    assert not decide_undo(restart(other("prod-db")), state(other("prod-db")), DEFAULT, context()).passed
    assert not decide_undo(rollback(), state(paused=True), DEFAULT, context()).passed
