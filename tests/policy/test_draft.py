"""A drafted policy lists what may be gone back on with a person's yes, protects the rest with the reason, and invents nothing."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backstop.errors import UsageError
from backstop.policy import Policy
from backstop.policy.draft import Container, Inventory, Workload, draft, why_protected
from backstop.policy.load import parse_policy
from backstop.records import WorkloadRef

MIB = 2**20
WEB = Container(image="demo/web:1.0", memory_limit=96 * MIB, ports=(8080,))


def workload(name: str = "web", **fields: Any) -> Workload:
    """A Deployment of three that nothing speaks against."""
    whole: dict[str, Any] = {
        "kind": "Deployment", "name": name, "labels": {"app": name}, "annotations": {}, "owners": (), "managers": ("kubectl",),
        "containers": (WEB,), "claims": (), "replicas": 3, "autoscalers": (),
    }  # fmt: skip
    return Workload(**{**whole, **fields})


def inventory(*workloads: Workload, **fields: Any) -> Inventory:
    return Inventory(**{"namespace": "shop", "workloads": workloads, "unread": (), "autoscalers_known": True, **fields})


def loaded(text: str) -> Policy:
    return parse_policy(tomllib.loads(text), Path("draft"))


def listed(policy: Policy) -> list[str]:
    return [one.name for one in policy.namespaces[0].workloads]


def test_a_deployment_is_listed_with_what_runs_now() -> None:
    sidecar = Container(image="registry.example:5000/team/proxy@sha256:00", memory_limit=None, ports=())
    rule = loaded(draft(inventory(workload(containers=(WEB, sidecar))))).namespaces[0].workloads[0]
    assert rule.images == ("demo/web", "registry.example:5000/team/proxy")
    assert rule.verbs == ("rollback", "restart", "scale", "set_resources")
    assert rule.replicas is not None
    assert (rule.replicas.minimum, rule.replicas.maximum) == (2, 6)
    assert rule.memory is not None
    assert (rule.memory.minimum, rule.memory.maximum) == (96 * MIB, 192 * MIB)


def test_only_a_rollback_may_lead_to_a_write_and_only_after_a_persons_yes() -> None:
    modes = loaded(draft(inventory(workload()))).namespaces[0].modes
    assert (modes.rollback, modes.restart, modes.scale, modes.set_resources) == ("approve", "observe", "observe", "observe")


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"kind": "StatefulSet"}, "a StatefulSet"),
        ({"kind": "DaemonSet"}, "a DaemonSet"),
        ({"labels": {"app": "x", "backstop.dev/protected": "true"}}, "labelled backstop.dev/protected"),
        ({"owners": ("Kafka/main",)}, "Kafka/main owns it"),
        ({"labels": {"app": "x", "argocd.argoproj.io/instance": "shop"}}, "Argo CD manages it (label argocd"),
        ({"annotations": {"argocd.argoproj.io/tracking-id": "x"}}, "Argo CD manages it (annotation argocd"),
        ({"labels": {"app": "x", "kustomize.toolkit.fluxcd.io/name": "x"}}, "Flux manages it"),
        ({"managers": ("kubectl", "kustomize-controller")}, "Flux manages it (it set its fields)"),
        ({"autoscalers": ("web",)}, "the HorizontalPodAutoscaler web sets its replicas"),
        ({"containers": (WEB.model_copy(update={"image": "docker.io/library/postgres:16"}),)}, "by its image"),
        ({"containers": (WEB, WEB.model_copy(update={"image": "bitnami/redis:7"}))}, "by its image bitnami/redis:7"),
        ({"containers": (WEB.model_copy(update={"image": "demo/db:1"}),)}, "by its image"),
        ({"labels": {"app": "x", "tier": "Database"}}, "by its label tier=Database"),
        ({"containers": (WEB.model_copy(update={"ports": (8080, 5432)}),)}, "by its port 5432 (PostgreSQL)"),
        ({"claims": ("uploads",)}, "volume claim uploads"),
        ({"labels": {}}, "nobody says what it is or whose"),
        ({"labels": {"app": "", "pod-template-hash": "1"}}, "nobody says what it is or whose"),
        ({"containers": ()}, "could not be read"),
        ({"containers": (WEB.model_copy(update={"image": "Demo/Web:1"}),)}, "has no name that a policy could list"),
        ({"containers": (WEB.model_copy(update={"image": ""}),)}, "has no name that a policy could list"),
    ],
)
def test_what_keeps_state_or_is_somebody_elses_or_nobodys_is_protected_with_the_reason(fields: dict[str, Any], why: str) -> None:
    text = draft(inventory(workload(), workload("other", **fields)))
    policy = loaded(text)
    assert (listed(policy), policy.protected.names) == (["web"], ("other",))
    (line,) = [line for line in text.splitlines() if line.startswith('  "other",')]
    assert why in line


def test_a_deployment_that_bears_a_protected_name_is_not_listed() -> None:
    policy = loaded(draft(inventory(workload(), workload("db", kind="StatefulSet"), workload("db"))))
    assert (listed(policy), policy.protected.names) == (["web"], ("db",))


def test_what_could_not_be_read_is_said_and_not_guessed() -> None:
    text = draft(inventory(workload(), unread=("HorizontalPodAutoscalers (403)",), autoscalers_known=False))
    assert "# NOT READ: HorizontalPodAutoscalers (403)" in text
    rule = loaded(text).namespaces[0].workloads[0]
    assert ("scale" in rule.verbs, rule.replicas) == (False, None)


def test_without_a_memory_limit_there_is_nothing_to_raise() -> None:
    bare = WEB.model_copy(update={"memory_limit": None})
    rule = loaded(draft(inventory(workload(containers=(bare,))))).namespaces[0].workloads[0]
    assert ("set_resources" in rule.verbs, rule.memory) == (False, None)


def test_a_workload_at_zero_is_never_bound_to_zero() -> None:
    rule = loaded(draft(inventory(workload(replicas=0)))).namespaces[0].workloads[0]
    assert rule.replicas is not None
    assert rule.replicas.minimum == 1


def test_a_large_workload_may_still_be_rolled_back() -> None:
    assert loaded(draft(inventory(workload(replicas=40), workload("b")))).limits.max_pods_touched == 40


@pytest.mark.parametrize(
    ("there", "sentence"),
    [
        (inventory(), "there is no Deployment"),
        (inventory(workload("db", kind="StatefulSet")), "the first, db, because: a StatefulSet"),
        (inventory(workload(), namespace="kube-system"), "no policy should allow writes in kube-system"),
    ],
)
def test_a_namespace_with_nothing_to_list_has_no_draft(there: Inventory, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        draft(there)


words = st.text(max_size=30)
names = st.from_regex(r"\A[a-z0-9]([-a-z0-9]{0,20}[a-z0-9])?\Z")
workloads = st.builds(
    Workload,
    kind=st.sampled_from(("Deployment", "StatefulSet", "DaemonSet")),
    name=names,
    labels=st.dictionaries(st.sampled_from(("app", "team", "tier", "argocd.argoproj.io/instance")) | words, words, max_size=3),
    annotations=st.dictionaries(words, words, max_size=2),
    owners=st.lists(words, max_size=1).map(tuple),
    managers=st.lists(words, max_size=2).map(tuple),
    containers=st.lists(
        st.builds(
            Container,
            image=st.sampled_from(("demo/web:1", "postgres", "a.b/c@sha256:0")) | words,
            memory_limit=st.none() | st.integers(0, 2**60),
            ports=st.lists(st.integers(0, 65535), max_size=2).map(tuple),
        ),
        max_size=3,
    ).map(tuple),
    claims=st.lists(words, max_size=1).map(tuple),
    replicas=st.integers(0, 500) | st.integers(0, 2**31),
    autoscalers=st.lists(names, max_size=1).map(tuple),
)


@settings(max_examples=300)
@given(st.lists(workloads, max_size=6, unique_by=lambda w: (w.kind, w.name)), st.lists(words, max_size=2), st.booleans())
def test_whatever_is_there_the_draft_is_a_policy_that_lists_only_what_is_not_protected(
    there: list[Workload], unread: list[str], autoscalers_known: bool
) -> None:
    seen = inventory(
        workload("sane"), *(w for w in there if w.name != "sane"), unread=tuple(unread), autoscalers_known=autoscalers_known
    )
    policy = loaded(draft(seen))
    free = {w.name for w in seen.workloads if not why_protected(w)} - {w.name for w in seen.workloads if why_protected(w)}
    assert set(listed(policy)) == free
    for one in seen.workloads:
        if why_protected(one):
            assert policy.workload(WorkloadRef(kind="Deployment", namespace="shop", name=one.name)) is None
    assert policy.namespaces[0].modes.rollback == "approve"
