"""The API server and this program decide alike: the same writes pass both, and what a policy bounds is refused by both.

What only one of them can know is listed here, and in docs/policy.md, and nowhere else.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backstop.cluster.writes import change_for, fenced, written
from backstop.policy import DEFAULT, decide
from backstop.records import Action, ObjectRef, Rollback, TargetState
from tests.policy.admission import Object, refusals, request, rules
from tests.policy.test_decide import context, memory, other, restart, revision, rollback, scale, state, template

COUNTERPARTS: Final[dict[str, frozenset[str]]] = {
    "A-SCOPE": frozenset({"K-NAMESPACE", "K-WORKLOAD"}),
    "A-NOT-PROTECTED": frozenset({"K-PROTECTED"}),
    "A-NOT-OWNED": frozenset({"K-METADATA"}),
    "A-NOT-PAUSED": frozenset({"K-SPEC"}),
    "A-NEVER-ZERO": frozenset({"K-REPLICAS"}),
    "A-BLAST-PODS": frozenset({"K-REPLICAS"}),
    "A-BLAST-STEP": frozenset({"K-REPLICAS", "K-MEMORY"}),
    "A-BOUNDS": frozenset({"K-REPLICAS", "K-MEMORY"}),
    "A-IMAGE": frozenset({"K-IMAGE"}),
}
"""Rules of the policy that the API server holds too. Those that are not here rest on what it cannot see: ReplicaSets, pods, time,
earlier writes, autoscalers, budgets, and a memory limit in relation to the one before."""


def deployment_of(seen: TargetState) -> Object:
    """The observation as the object that it was read from."""
    owners = [{"kind": owner.kind, "name": owner.name} for owner in seen.owners]
    metadata: Object = {
        "name": seen.ref.name, "namespace": seen.ref.namespace, "uid": seen.uid, "resourceVersion": seen.resource_version,
        "labels": seen.labels, "annotations": seen.annotations, **({"ownerReferences": owners} if owners else {}),
    }  # fmt: skip
    spec = {"replicas": seen.replicas, "selector": {}, "template": seen.template, **({"paused": True} if seen.paused else {})}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}


def admitted(action: Any, seen: TargetState) -> set[str]:
    """The rules by which the API server refuses what the catalogue makes of this action."""
    change = change_for(action, seen, at=datetime(2026, 1, 1, tzinfo=UTC))
    old = deployment_of(seen)
    patch = fenced(change.patch, uid="u-1", resource_version="7", annotations=seen.annotations, action_id="bs-abc-1")
    assert patch[2]["path"].startswith("/metadata/annotations")
    annotations = {**seen.annotations, "backstop.dev/action-id": "bs-abc-1"}
    new = {**old, "metadata": {**old["metadata"], "annotations": annotations}, "spec": written(old["spec"], change.patch)}
    where: Object = {"name": seen.ref.name, "namespace": seen.ref.namespace}
    return rules(refusals(request(**where), new, old))


PROTECTED = {"tier": "database"}
OWNER = ObjectRef(kind="Operator", namespace="shop", name="op")
CASES: list[tuple[Any, TargetState]] = [
    (rollback(), state()),
    (restart(), state()),
    (restart(), state(annotations={"deployment.kubernetes.io/revision": "2"})),
    (scale(2), state()),
    (scale(8), state()),
    (scale(3), state(replicas=0)),
    (memory(128), state()),
    (memory(256), state()),
    (restart(other("storefront")), state(other("storefront"))),
    (restart(other("prod-db")), state(other("prod-db"))),
    (scale(2, other("prod-db")), state(other("prod-db"))),
    (restart(other("checkout", "bank")), state(other("checkout", "bank"))),
    (restart(other("coredns", "kube-system")), state(other("coredns", "kube-system"))),
    (restart(), state(labels=PROTECTED)),
    (restart(), state(template=template("demo/web:2", PROTECTED))),
    (scale(2), state(annotations={"argocd.argoproj.io/tracking-id": "x"})),
    (restart(), state(owners=(OWNER,))),
    (scale(2), state(owners=(OWNER,))),
    (rollback(), state(paused=True)),
    (scale(0), state(replicas=1)),
    (rollback(), state(replicas=0)),
    (restart(), state(replicas=11)),
    (scale(9), state()),
    (scale(11), state(replicas=8)),
    (scale(1_000_000), state()),
    (memory(2048), state()),
    (memory(16), state()),
    (rollback(), state(revisions=(revision(1, "evil/web:1"), revision(2, "demo/web:2")))),
    (rollback(), state(revisions=(revision(1, "demo/web-evil:1"), revision(2, "demo/web:2")))),
    (restart(), state(template=template("evil/web:2"))),
]


@pytest.mark.parametrize(("action", "seen"), CASES)
def test_a_write_that_the_policy_refuses_the_api_server_refuses_for_the_same_reason(action: Action, seen: TargetState) -> None:
    failed, denied = decide(action, seen, DEFAULT, context()).failed_rules, admitted(action, seen)
    assert bool(failed) is bool(denied)
    for rule in set(failed) & COUNTERPARTS.keys():
        assert COUNTERPARTS[rule] & denied or _said_by_scope(rule, denied), (rule, denied)


def _said_by_scope(rule: str, denied: set[str]) -> bool:
    """Of a workload that is not listed the API server knows no bounds and no images, and says only that it is not listed."""
    return rule in {"A-IMAGE", "A-BOUNDS", "A-BLAST-STEP", "A-BLAST-PODS"} and bool(denied & {"K-WORKLOAD", "K-NAMESPACE"})


numbers = st.integers(0, 12)


@given(
    st.one_of(
        numbers.map(scale), st.just(restart()), st.just(rollback()), st.sampled_from([33, 64, 65, 96, 128, 256, 512]).map(memory)
    ),
    numbers,
    st.booleans(),
    st.sampled_from([{}, {"tier": "web"}, PROTECTED]),
    st.sampled_from(["demo/web:1", "demo/web:1@sha256:" + "a" * 64, "evil/web:1", "demo/web/x:1"]),
)
@settings(deadline=None)
def test_whatever_the_policy_lets_through_the_api_server_admits(
    action: Any, replicas: int, paused: bool, labels: dict[str, str], image: str
) -> None:
    """Else Backstop would plan writes that its own cluster policy refuses."""
    seen = state(
        replicas=replicas,
        paused=paused,
        labels=labels,
        revisions=(revision(1, image), revision(2, "demo/web:2", replicas, replicas)),
    )
    if decide(action, seen, DEFAULT, context()).passed:
        assert admitted(action, seen) == set()
    elif isinstance(action, Rollback) and paused:
        assert admitted(action, seen)
