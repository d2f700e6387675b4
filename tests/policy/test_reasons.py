"""Every rule's word for word, both ways: people read these sentences at night, and the hand-off is made of them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from backstop.pipeline.plan import plan
from backstop.policy import DEFAULT, Context, Permission, Policy, check_mode, decide
from backstop.policy.schema import Freeze, WeeklyFreeze, WorkloadRule
from backstop.records import Approval, Availability, DisruptionBudget, NoAction, ObjectRef, SetResources, TargetState
from tests.policy.test_decide import (
    CHECKOUT,
    MIB,
    NOW,
    context,
    memory,
    other,
    past,
    restart,
    revision,
    rollback,
    scale,
    state,
    template,
)

OWNER = ObjectRef(kind="Operator", namespace="shop", name="op")
BARE = {"metadata": {}, "spec": {"containers": [{"name": "app", "image": "demo/web:2"}]}}
FREEZE = Freeze(name="release day", start=NOW - timedelta(hours=1), end=NOW + timedelta(hours=1))
WEEKLY = WeeklyFreeze(name="lunch", days=("thu",), start="11:30", end="12:30")  # 2026-01-01 is a Thursday


def of_checkout(**fields: Any) -> Policy:
    (shop,) = DEFAULT.namespaces
    rule = WorkloadRule.model_construct(**{**dict(shop.workloads[0]), **fields})
    return DEFAULT.model_copy(update={"namespaces": (shop.model_copy(update={"workloads": (rule,)}),)})


def limited(**limits: Any) -> Policy:
    return DEFAULT.model_copy(update={"limits": DEFAULT.limits.model_copy(update=limits)})


def unwell(**fields: Any) -> TargetState:
    return state(health=fields)


def history(old: Any, new: Any, **fields: Any) -> TargetState:
    return state(revisions=(old, new), **fields)


def budget(allowed: int, name: str = "pdb") -> DisruptionBudget:
    return DisruptionBudget(name=name, allowed=allowed)


def holding(**template: Any) -> TargetState:
    """With a revision to go back to whose template is another."""
    return history(revision(1, "demo/web:1").model_copy(update={"template": template}), revision(2, "demo/web:2"))


UNPROTECTED = "checkout is not protected by name, namespace, label or annotation"
UNSEEN = "the Deployment controller has not yet seen its newest generation"
FOREIGN = "is not of a repository that the policy lists for it"
ODD_METADATA: tuple[Any, ...] = (
    "x",
    {"labels": "x"},
    {"labels": {"tier": 1}},
    {"labels": {"tier": None}},
    ["labels"],
    {"labels": ["tier"]},
)
UNLIMITED: tuple[dict[str, Any], ...] = (
    {},
    {"resources": {}},
    {"resources": {"limits": {}}},
    {"resources": {"limits": {"memory": None}}},
)

CASES: list[tuple[str, bool, Any, TargetState | None, str]] = [
    ("A-SCOPE", True, restart(), state(), "restart is allowed on shop/checkout"),
    ("A-SCOPE", False, restart(other("x")), state(other("x")), "shop/x is not a workload that Backstop may write to"),
    ("A-SCOPE", False, restart(other("x", "y")), state(other("x", "y")), "namespace y is not one that Backstop may write in"),
    ("A-NOT-PROTECTED", True, restart(), state(), UNPROTECTED),
    ("A-NOT-PROTECTED", False, restart(other("prod-db")), state(other("prod-db")), "prod-db is protected by name"),
    ("A-NOT-PROTECTED", False, restart(other("x", "default")), state(other("x", "default")), "namespace default is protected"),
    ("A-NOT-PROTECTED", False, restart(), state(labels={"tier": "database"}), "checkout is protected by its label tier=database"),
    (
        "A-NOT-PROTECTED", False, restart(), state(annotations={"argocd.argoproj.io/tracking-id": "x"}),
        "checkout is protected by its annotation argocd.argoproj.io/tracking-id=x",
    ),
    (
        "A-NOT-PROTECTED", False, rollback(),
        holding(**template("demo/web:1", {"tier": "database"})),
        "checkout is protected by its label tier=database",
    ),
    *(
        (
            "A-NOT-PROTECTED", False, restart(), state(template={"metadata": metadata, "spec": {}}),
            "could not be evaluated (TypeError: the pod template's labels cannot be read), which is a refusal",
        )
        for metadata in ODD_METADATA
    ),
    ("A-NOT-PROTECTED", True, restart(), state(template={"spec": {}}), UNPROTECTED),
    ("A-TARGET-EXISTS", True, restart(), state(), "it exists, at generation 2"),
    ("A-TARGET-EXISTS", False, restart(), None, "there is no deployment/checkout"),
    (
        "A-TARGET-EXISTS", False, restart(), state(other("catalog")),
        "what was observed is deployment/catalog, not deployment/checkout",
    ),
    (
        "A-TARGET-EXISTS", False, restart(), state(uid=""),
        "its uid, resourceVersion or generation is unknown, so a write could not be bound to it",
    ),
    ("A-NOT-OWNED", True, restart(), state(), "nothing owns it"),
    ("A-NOT-OWNED", False, restart(), state(owners=(OWNER,)), "operator/op owns it and would revert the write"),
    ("A-NOT-PAUSED", True, restart(), state(), "its rollout is not paused"),
    ("A-NOT-PAUSED", False, restart(), state(paused=True), "its rollout is paused, by somebody"),
    (
        "A-NOT-PAUSED", False, restart(), None,
        "could not be evaluated (MissingError: the target was not observed), which is a refusal",
    ),
    ("A-NEVER-ZERO", True, scale(1), state(), "1 replicas are left to serve"),
    ("A-NEVER-ZERO", False, scale(0), None, "it would leave no replica at all"),
    ("A-NEVER-ZERO", True, restart(), state(replicas=1), "1 replicas are asked for before and after"),
    (
        "A-NEVER-ZERO", False, restart(), state(replicas=0),
        "the workload is scaled to zero: a rollout cannot bring it back, and could not be verified",
    ),
    ("A-BLAST-PODS", True, restart(), state(replicas=10), "10 of at most 10 pods are touched"),
    ("A-BLAST-PODS", True, restart(), state(replicas=0), "0 of at most 10 pods are touched"),
    ("A-BLAST-PODS", False, restart(), state(replicas=11), "11 pods would be touched, at most 10 may be"),
    ("A-BLAST-PODS", True, scale(13), state(), "10 of at most 10 pods are touched"),
    ("A-BLAST-PODS", False, scale(14), state(), "11 pods would be touched, at most 10 may be"),
    ("A-BLAST-SHARE", True, scale(2), state(replicas=4), "50% of the workload's pods are taken away at once, at most 50% may be"),
    ("A-BLAST-SHARE", True, scale(9), state(), "0% of the workload's pods are taken away at once, at most 50% may be"),
    ("A-BLAST-SHARE", False, scale(1), state(), "67% of the workload's pods would be taken away at once, at most 50% may be"),
    (
        "A-BLAST-SHARE", False, restart(), state(max_unavailable=2),
        "67% of the workload's pods would be taken away at once, at most 50% may be",
    ),
    (
        "A-BLAST-SHARE", True, restart(), state(max_unavailable=3, health={"available": 1}),
        "33% of the workload's pods are taken away at once, at most 50% may be",
    ),
    (
        "A-BLAST-SHARE", True, rollback(), state(max_unavailable=3),
        "0% of the workload's pods are taken away at once, at most 50% may be",
    ),
    ("A-BLAST-STEP", True, scale(8), state(), "3 to 8 replicas is a step of 5, at most 5 is allowed"),
    ("A-BLAST-STEP", False, scale(9), state(), "3 to 9 replicas is a step of 6, at most 5 is allowed"),
    ("A-BLAST-STEP", True, memory(256), state(), "4.00 times the present memory limit, more than 1 and at most 4 is allowed"),
    ("A-BLAST-STEP", False, memory(64), state(), "1.00 times the present memory limit, more than 1 and at most 4 is allowed"),
    ("A-BLAST-STEP", True, restart(), state(), "the write sets no number"),
    *(
        (
            "A-BLAST-STEP", False, memory(128), state(template={"spec": {"containers": [{"name": "app", "image": "x", **more}]}}),
            "could not be evaluated (MissingError: container app has no memory limit to start from), which is a refusal",
        )
        for more in UNLIMITED
    ),
    (
        "A-BLAST-STEP", False, SetResources(verb="set_resources", target=CHECKOUT, container="x", memory_limit_bytes=MIB), state(),
        "could not be evaluated (MissingError: there is no container x), which is a refusal",
    ),
    ("A-BOUNDS", True, scale(10), state(), "10 replicas, between 1 and 10 is allowed"),
    ("A-BOUNDS", True, scale(1), state(), "1 replicas, between 1 and 10 is allowed"),
    ("A-BOUNDS", False, scale(11), state(), "11 replicas, between 1 and 10 is allowed"),
    ("A-BOUNDS", True, memory(1024), state(), "1073741824 bytes of memory, between 33554432 and 1073741824 is allowed"),
    ("A-BOUNDS", False, memory(31), state(), "32505856 bytes of memory, between 33554432 and 1073741824 is allowed"),
    ("A-BOUNDS", True, restart(), state(), "the write sets no number"),
    (
        "A-BOUNDS", False, scale(2, other("x")), state(other("x")),
        "could not be evaluated (MissingError: the policy does not list the target), which is a refusal",
    ),
    ("A-REVISION", True, rollback(), state(), "revision 1 is in its history, before the current 2"),
    ("A-REVISION", True, restart(), state(), "the write chooses no revision"),
    ("A-REVISION", False, rollback(2), state(), "revision 2 is not earlier than the current one, 2"),
    (
        "A-REVISION", False, rollback(), state(revisions=(revision(2, "demo/web:2"),)),
        "could not be evaluated (MissingError: revision 1 is not in its history), which is a refusal",
    ),
    (
        "A-REVISION", False, rollback(), history(revision(1, "demo/web:2"), revision(2, "demo/web:2")),
        "revision 1 is what runs now, or its template is unknown",
    ),
    (
        "A-REVISION", False, rollback(), holding(),
        "revision 1 is what runs now, or its template is unknown",
    ),
    (
        "A-REVISION", False, rollback(), history(revision(1, "demo/web:1", replicas=1), revision(2, "demo/web:2")),
        "revision 1 has 1 pods now, and none is ready",
    ),
    ("A-ONCE-HEALTHY", True, restart(), state(), "the write chooses no revision"),
    ("A-ONCE-HEALTHY", True, rollback(), state(), "revision 1 ran for 1 s or more before a later one replaced it"),
    (
        "A-ONCE-HEALTHY", True, rollback(), history(revision(1, "demo/web:1", 1, 1), revision(2, "demo/web:2")),
        "revision 1 has 1 ready pods now",
    ),
    ("A-ONCE-HEALTHY", False, rollback(), state(availability=None), "whether the workload was ever available is not known"),
    (
        "A-ONCE-HEALTHY", False, rollback(), state(availability=Availability(available=False, since=NOW - timedelta(hours=9))),
        "the workload has not been available since revision 1 was made, or not for 1 s",
    ),
    ("A-IMAGE", True, rollback(), state(), "it would run demo/web:1"),
    ("A-IMAGE", True, scale(2), state(), "the write changes no image"),
    ("A-IMAGE", False, restart(), state(template=template("evil/web:1")), f"evil/web:1 {FOREIGN}"),
    (
        "A-IMAGE", False, restart(), state(template={"spec": {"containers": []}}),
        "no image is not of a repository that the policy lists for it",
    ),
    (
        "A-IMAGE", False, restart(),
        state(template={"spec": {"initContainers": [{"image": "evil/init"}], "containers": [{"image": "demo/web"}]}}),
        "evil/init is not of a repository that the policy lists for it",
    ),
    (
        "A-IMAGE", True, restart(),
        state(template={"spec": {"initContainers": [{"image": "demo/web:0"}], "containers": [{"image": "demo/web"}]}}),
        "it would run demo/web:0, demo/web",
    ),
    ("A-NOT-AUTOSCALED", True, restart(), state(autoscalers=("hpa",)), "no autoscaler sets what is written"),
    (
        "A-NOT-AUTOSCALED", False, scale(2), state(autoscalers=("hpa", "other")),
        "the autoscaler hpa sets its replicas, and would set them again",
    ),
    ("A-BUDGET", True, scale(2), state(budgets=(budget(1),)), "1 working pods would be missing at once"),
    ("A-BUDGET", True, rollback(), state(budgets=(budget(0),)), "0 working pods would be missing at once"),
    (
        "A-BUDGET", False, scale(2), state(budgets=(budget(3, "wide"), budget(0))),
        "1 pods would be missing at once, and the disruption budget pdb allows 0",
    ),
    ("A-ROLLOUT-QUIET", True, restart(), state(), "no rollout is in progress"),
    ("A-ROLLOUT-QUIET", True, rollback(), unwell(updated=1), "a rollout in progress would be the one that is reversed"),
    ("A-ROLLOUT-QUIET", True, scale(4), unwell(updated=2, total=2), "no rollout is in progress, only a change of scale"),
    (
        "A-ROLLOUT-QUIET", False, scale(4), unwell(updated=2),
        "a rollout is in progress: 2 of 3 pods are of the newest template, 3 exist",
    ),
    (
        "A-ROLLOUT-QUIET", False, restart(), unwell(updated=2, total=2),
        "a rollout is in progress: 2 of 3 pods are of the newest template, 2 exist",
    ),
    (
        "A-ROLLOUT-QUIET", False, restart(), unwell(total=4),
        "a rollout is in progress: 3 of 3 pods are of the newest template, 4 exist",
    ),
    ("A-ROLLOUT-QUIET", False, rollback(), unwell(observed=False), UNSEEN),
    (
        "A-ROLLOUT-QUIET", False, rollback(), state(observed_generation=1),
        UNSEEN,
    ),
    ("A-HAS-EFFECT", True, scale(2), state(), "the write changes something"),
    ("A-HAS-EFFECT", False, scale(3), state(), "it has 3 replicas already"),
    (
        "A-HAS-EFFECT", False, memory(128).model_copy(update={"container": ""}), state(), "no container is named",
    ),
    ("A-FREEZE", True, restart(), state(), "no freeze is on"),
    ("A-COOLDOWN", True, restart(), state(), "nothing was written to it in the last 300 s"),
    ("A-PER-INCIDENT", True, restart(), state(), "0 of at most 2 actions of this incident were taken before"),
    ("A-PER-HOUR", True, restart(), state(), "0 of at most 6 actions were taken in the last hour"),
]  # fmt: skip


def word(
    rule: str, action: Any, seen: TargetState | None, policy: Policy = DEFAULT, asked: Context | None = None
) -> tuple[bool, str]:
    (check,) = [check for check in decide(action, seen, policy, asked or context()).checks if check.rule == rule]
    return check.passed, check.reason


@pytest.mark.parametrize(("rule", "passed", "action", "seen", "reason"), CASES)
def test_a_rule_says_what_it_found(rule: str, passed: bool, action: Any, seen: TargetState | None, reason: str) -> None:
    assert word(rule, action, seen) == (passed, reason)


def test_what_rests_on_the_policy_says_what_the_policy_says() -> None:
    no_restart = of_checkout(verbs=("scale",))
    assert word("A-SCOPE", restart(), state(), no_restart) == (False, "restart is not allowed on shop/checkout")
    unbounded = of_checkout(replicas=None, memory=None)
    assert word("A-BOUNDS", scale(2), state(), unbounded) == (False, "the policy gives no bounds for replicas")
    assert word("A-BOUNDS", memory(128), state(), unbounded) == (False, "the policy gives no bounds for bytes of memory")
    frozen = DEFAULT.model_copy(update={"freezes": (FREEZE,)})
    assert word("A-FREEZE", restart(), state(), frozen) == (
        False,
        "nothing is written during release day, until 2026-01-01 13:00 UTC",
    )
    weekly = DEFAULT.model_copy(update={"weekly_freezes": (WEEKLY,)})
    assert word("A-FREEZE", restart(), state(), weekly) == (False, "nothing is written during lunch, until 12:30 UTC")


def test_repositories_are_alternatives_and_may_have_dashes() -> None:
    several = of_checkout(images=("demo/web", "my-org/side-car", "registry.example:5000/a"))
    for image in ("demo/web:1", "my-org/side-car:1", "registry.example:5000/a@sha256:" + "0" * 64):
        assert word("A-IMAGE", restart(), state(template=template(image)), several) == (True, f"it would run {image}")
    for image in ("registryxexample:5000/a:1", "my-org/side", "demo/webmy-org/side-car"):
        assert not word("A-IMAGE", restart(), state(template=template(image)), several)[0]


@pytest.mark.parametrize(
    ("seconds", "reason"),
    [
        (0, "revision 1 ran for 0 s before the next one, less than 600 s: it is not proven"),
        (599, "revision 1 ran for 599 s before the next one, less than 600 s: it is not proven"),
        (600, ""),
        (-1, "somebody went back from revision 1 to an earlier template"),
    ],
)
def test_how_long_a_revision_ran_is_counted_to_the_second(seconds: int, reason: str) -> None:
    old, new = revision(1, "demo/web:1"), revision(2, "demo/web:2")
    later = new.model_copy(update={"created_at": old.created_at + timedelta(seconds=seconds)})
    passed, said = word("A-ONCE-HEALTHY", rollback(), history(old, later), limited(proven_after_seconds=600.0))
    assert (passed, said if reason else "") == (not reason, reason)


@pytest.mark.parametrize(("after", "passed"), [(0, False), (599, False), (600, True), (900, True)])
def test_a_workload_that_fell_ill_soon_after_a_revision_does_not_prove_it(after: int, passed: bool) -> None:
    old = revision(1, "demo/web:1")
    ill = Availability(available=False, since=old.created_at + timedelta(seconds=after))
    found, said = word("A-ONCE-HEALTHY", rollback(), state(availability=ill), limited(proven_after_seconds=600.0))
    assert (found, said.startswith("the workload has not been available since revision 1 was made, or not for 600 s")) == (
        passed,
        not passed,
    )


def test_earlier_writes_are_told() -> None:
    asked = context(past("bs-other-1", 299))
    assert word("A-COOLDOWN", restart(), state(), asked=asked) == (False, "Backstop wrote to it less than 300 s ago, as bs-other-1")
    assert word("A-COOLDOWN", restart(), state(), asked=context(past("bs-other-1", 300)))[0] is True
    elsewhere = other("catalog")
    again = context(past("bs-abc-7", 4000, elsewhere))
    assert word("A-PER-INCIDENT", restart(), state(), asked=again) == (False, "the same was already done in this incident")
    one = context(past("bs-abc-7", 4000, elsewhere, "x"))
    assert word("A-PER-INCIDENT", restart(), state(), asked=one) == (
        True,
        "1 of at most 2 actions of this incident were taken before",
    )
    two = context(*(past(f"bs-abc-{n}", 4000, elsewhere, f"x{n}") for n in (7, 8)))
    assert word("A-PER-INCIDENT", restart(), state(), asked=two) == (
        False,
        "2 of at most 2 actions of this incident were taken before",
    )
    many = context(*(past(f"bs-{n}-1", 3599, elsewhere) for n in range(6)), past("bs-old-1", 3600, elsewhere))
    assert word("A-PER-HOUR", restart(), state(), asked=many) == (False, "6 of at most 6 actions were taken in the last hour")
    unknown = Context(now=NOW, action_id="bs-abc-1", recent=None)
    assert word("A-PER-HOUR", restart(), state(), asked=unknown) == (
        False,
        "could not be evaluated (MissingError: earlier writes are not known), which is a refusal",
    )


INTENT = plan(rollback(), state(), action_id="bs-abc-1", at=NOW)


def test_the_mode_is_told() -> None:
    (shop,) = DEFAULT.namespaces

    def told(mode: Any, approval: Approval | None = None, now: datetime = NOW) -> str:
        modes = shop.modes.model_copy(update={"rollback": mode})
        policy = DEFAULT.model_copy(update={"namespaces": (shop.model_copy(update={"modes": modes}),)})
        return check_mode(INTENT, policy, Permission(ceiling="auto", approval=approval), now).reason

    yes = Approval(
        decision=INTENT.decision_hash(), answer="approved", by="ann", why="I looked", at=NOW, expires_at=NOW + timedelta(seconds=60)
    )
    assert told("auto") == "rollback may be written without asking in shop"
    assert told("observe") == "it is only observed: the write is shown, and not made"
    assert told(None) == "the policy has no mode for rollback in shop"
    assert told("approve") == "it wants the approval of a person, and nobody has given it"
    assert told("approve", yes.model_copy(update={"decision": "0" * 64})) == "what ann approved is not exactly this write"
    assert told("approve", yes, NOW + timedelta(seconds=60)) == "the approval of ann is not, or no longer, valid"
    nothing = INTENT.model_copy(update={"action": NoAction(verb="no_action")})
    assert check_mode(nothing, DEFAULT, Permission(ceiling="auto", approval=None), NOW).reason == "there is nothing to write"
