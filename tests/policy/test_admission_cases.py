"""The API server refuses every write outside the policy, by the rule that it breaks and by no error."""

from __future__ import annotations

from typing import Any

import pytest

from backstop.policy import DEFAULT
from backstop.policy.schema import LabelRule, Policy, WorkloadRule
from tests.policy.admission import (
    ALLOWED,
    REHEARSER,
    Object,
    deployment,
    edited,
    refusals,
    request,
    rules,
    scale_of,
)

OLD = deployment()
TEMPLATE = "spec/template"
POD = f"{TEMPLATE}/spec"
WEB = f"{POD}/containers/0"
MEMORY = f"{WEB}/resources/limits/memory"
APPARMOR = "container.apparmor.security.beta.kubernetes.io/web"
IMAGE = (f"{WEB}/image", "demo/web:1.0")
Change = tuple[str, Any]


def policy_of(*, limits: Object | None = None, **fields: Any) -> Policy:
    """The default, with something changed for checkout."""
    (shop,) = DEFAULT.namespaces
    checkout = WorkloadRule(**{**dict(shop.workloads[0]), **fields})
    changed = shop.model_copy(update={"workloads": (checkout, *shop.workloads[1:])})
    return DEFAULT.model_copy(
        update={"namespaces": (changed,), "limits": DEFAULT.limits.model_copy(update=limits or {})}
    )  # fmt: skip


ROLLBACK_ONLY = policy_of(verbs=("rollback",))
RESTART_ONLY = policy_of(verbs=("restart",))
MEMORY_ONLY = policy_of(verbs=("set_resources",))
SCALE_ONLY = policy_of(verbs=("scale",))
NO_MEMORY = policy_of(verbs=("rollback",), memory=None)


@pytest.mark.parametrize(
    "changes",
    [
        [IMAGE],
        [(f"{WEB}/image", "docker.io/demo/web:1.0@sha256:" + "0" * 64)],
        [IMAGE, (f"{WEB}/env", None), (f"{WEB}/args", ["--old"]), (f"{WEB}/readinessProbe", {"tcpSocket": {"port": 8080}})],
        [IMAGE, (f"{POD}/nodeSelector", {"disk": "ssd"}), (f"{POD}/affinity", {})],
        [IMAGE, (f"{POD}/volumes", [{"name": "c", "configMap": {"name": "checkout-config"}}])],
        [(f"{TEMPLATE}/metadata/annotations", {"kubectl.kubernetes.io/restartedAt": "2026-01-01T00:00:00Z"})],
        [(MEMORY, "192Mi")],
        [(MEMORY, "134217728")],
        [(MEMORY, "1Gi")],
        [("spec/replicas", 5)],
        [("spec/replicas", 8)],
        [("spec/replicas", 1)],
        [],
    ],
)
def test_every_write_of_the_catalogue_passes(changes: list[Change]) -> None:
    assert refusals(request(), edited(OLD, *changes), OLD) == []


def test_a_rehearsal_of_a_write_passes_as_the_write_does() -> None:
    assert refusals(request(dry_run=True), edited(OLD, IMAGE), OLD) == []


def test_a_pods_annotations_may_change_and_go() -> None:
    old = edited(OLD, (f"{TEMPLATE}/metadata/annotations", {"checksum": "2", "gone": "x"}), action_id=None)
    assert refusals(request(), edited(old, IMAGE, (f"{TEMPLATE}/metadata/annotations", {"checksum": "1"})), old) == []


def test_an_undo_carries_its_own_id() -> None:
    old = edited(OLD, IMAGE)
    assert refusals(request(), edited(old, (f"{WEB}/image", "demo/web:1.1"), action_id="bs-1-1-undo"), old) == []


FORBIDDEN: list[tuple[str, list[Change], set[str]]] = [
    ("zero replicas", [("spec/replicas", 0)], {"K-REPLICAS"}),
    ("a negative number of replicas", [("spec/replicas", -1)], {"K-REPLICAS"}),
    ("a million replicas", [("spec/replicas", 1_000_000)], {"K-REPLICAS"}),
    ("more than the bounds", [("spec/replicas", 11)], {"K-REPLICAS"}),
    ("more than a step", [("spec/replicas", 9)], {"K-REPLICAS"}),
    ("a rollout and a scale at once", [IMAGE, ("spec/replicas", 4)], {"K-REPLICAS"}),
    ("an unknown image", [(f"{WEB}/image", "evil/web:1.0")], {"K-IMAGE"}),
    ("a longer repository", [(f"{WEB}/image", "demo/web-evil:1.0")], {"K-IMAGE"}),
    ("a path below the repository", [(f"{WEB}/image", "demo/web/evil:1.0")], {"K-IMAGE"}),
    ("a registry that ends alike", [(f"{WEB}/image", "evil.example/demo/web:1.0")], {"K-IMAGE"}),
    ("a port that looks like a tag", [(f"{WEB}/image", "demo/web:5000/evil")], {"K-IMAGE"}),
    ("an image with a line break", [(f"{WEB}/image", "demo/web:1.0\nx")], {"K-IMAGE"}),
    ("a look-alike image", [(f"{WEB}/image", "demo/w\u0435b:1.0")], {"K-IMAGE"}),
    ("no image", [(f"{WEB}/image", None)], {"K-IMAGE"}),
    ("too little memory", [(MEMORY, "31Mi")], {"K-MEMORY"}),
    ("too much memory", [(MEMORY, "2Gi")], {"K-MEMORY"}),
    ("a terabyte", [(MEMORY, "1Ti")], {"K-MEMORY"}),
    ("memory in thousandths", [(MEMORY, "96000000000m")], {"K-MEMORY"}),
    ("no memory limit", [(MEMORY, None)], {"K-MEMORY"}),
    ("no resources", [(f"{WEB}/resources", None)], {"K-MEMORY"}),
    ("a label stripped", [("metadata/labels/tier", None)], {"K-METADATA"}),
    ("all labels stripped", [("metadata/labels", None)], {"K-METADATA"}),
    ("a label of protection put on", [("metadata/labels/backstop.dev~1protected", "true")], {"K-METADATA"}),
    ("a finalizer", [("metadata/finalizers", ["x/y"])], {"K-METADATA"}),
    ("an owner", [("metadata/ownerReferences", [{"kind": "X", "name": "x"}])], {"K-METADATA"}),
    ("another annotation", [("metadata/annotations/note", "x")], {"K-METADATA"}),
    ("an annotation taken away", [("metadata/annotations/deployment.kubernetes.io~1revision", None)], {"K-METADATA"}),
    ("an action id that is none", [("metadata/annotations/backstop.dev~1action-id", "A B")], {"K-METADATA"}),
    ("another selector", [("spec/selector", {"matchLabels": {"app": "catalog"}})], {"K-SPEC"}),
    ("another strategy", [("spec/strategy", {"type": "Recreate"})], {"K-SPEC"}),
    ("a pause", [("spec/paused", True)], {"K-SPEC"}),
    ("a field that Kubernetes has not invented yet", [("spec/newField", 1)], {"K-SPEC"}),
    ("hostPath", [(f"{POD}/volumes", [{"name": "h", "hostPath": {"path": "/"}}])], {"K-TEMPLATE"}),
    ("a Secret as a volume", [(f"{POD}/volumes", [{"name": "s", "secret": {"secretName": "x"}}])], {"K-TEMPLATE"}),
    ("somebody's disk", [(f"{POD}/volumes", [{"name": "d", "persistentVolumeClaim": {"claimName": "x"}}])], {"K-TEMPLATE"}),
    ("a token as a volume", [(f"{POD}/volumes", [{"name": "t", "projected": {"sources": []}}])], {"K-TEMPLATE"}),
    ("privileged", [(f"{WEB}/securityContext", {"privileged": True})], {"K-TEMPLATE"}),
    ("a capability", [(f"{WEB}/securityContext", {"capabilities": {"add": ["SYS_ADMIN"]}})], {"K-TEMPLATE"}),
    ("root", [(f"{POD}/securityContext", {"runAsUser": 0})], {"K-TEMPLATE"}),
    ("AppArmor put off", [IMAGE, (f"{TEMPLATE}/metadata/annotations", {APPARMOR: "unconfined"})], {"K-TEMPLATE"}),
    (
        "an annotation that has a webhook inject something",
        [IMAGE, (f"{TEMPLATE}/metadata/annotations", {"vault.hashicorp.com/role": "x"})],
        {"K-TEMPLATE"},
    ),
    ("host network", [(f"{POD}/hostNetwork", True)], {"K-TEMPLATE"}),
    ("host processes", [(f"{POD}/hostPID", True)], {"K-TEMPLATE"}),
    ("another service account", [(f"{POD}/serviceAccountName", "admin")], {"K-TEMPLATE"}),
    ("its token mounted", [(f"{POD}/automountServiceAccountToken", True)], {"K-TEMPLATE"}),
    ("another priority", [(f"{POD}/priorityClassName", "system-node-critical")], {"K-TEMPLATE"}),
    ("a node of its own", [(f"{POD}/nodeName", "control-plane")], {"K-TEMPLATE"}),
    ("a toleration", [(f"{POD}/tolerations", [{"operator": "Exists"}])], {"K-TEMPLATE"}),
    ("a port of the host", [(f"{WEB}/ports", [{"containerPort": 80, "hostPort": 80}])], {"K-TEMPLATE"}),
    ("another container", [(f"{POD}/containers/1", {"name": "x", "image": "demo/web:1.0"})], {"K-TEMPLATE"}),
    ("another name", [(f"{WEB}/name", "x")], {"K-TEMPLATE"}),
    ("an init container", [(f"{POD}/initContainers", [{"name": "x", "image": "demo/web:1.0"}])], {"K-TEMPLATE"}),
    ("a foreign init container", [(f"{POD}/initContainers", [{"name": "x", "image": "evil/web:1"}])], {"K-TEMPLATE", "K-IMAGE"}),
    ("another Service's label", [(f"{TEMPLATE}/metadata/labels/role", "payments")], {"K-TEMPLATE"}),
    ("a pod label stripped", [(f"{TEMPLATE}/metadata/labels/tier", None)], {"K-TEMPLATE"}),
    ("a pod's finalizer", [(f"{TEMPLATE}/metadata/finalizers", ["x/y"])], {"K-TEMPLATE"}),
    ("a label that protects", [(f"{TEMPLATE}/metadata/labels/tier", "database")], {"K-PROTECTED"}),
    (
        "another Secret in the environment",
        [(f"{WEB}/env", [{"name": "X", "valueFrom": {"secretKeyRef": {"name": "prod-db-credentials", "key": "password"}}}])],
        {"K-TEMPLATE"},
    ),
    ("a Secret without a name", [(f"{WEB}/env/0/valueFrom/secretKeyRef/name", None)], {"K-TEMPLATE"}),
    ("a whole Secret in the environment", [(f"{WEB}/envFrom", [{"secretRef": {"name": "own"}}])], {"K-TEMPLATE"}),
    ("a device", [(f"{WEB}/volumeDevices", [{"name": "d", "devicePath": "/dev/x"}])], {"K-TEMPLATE"}),
]


def unescaped(changes: list[Change], obj: Object, **other: Any) -> Object:
    """As `edited`, for keys with a slash in them, written `~1`."""
    plain = [(path, value) for path, value in changes if "~1" not in path]
    new = edited(obj, *plain, **other)
    for path, value in changes:
        if "~1" in path:
            *way, last = path.split("/")
            inner = new
            for step in way:
                inner = inner.setdefault(step, {})
            inner.pop(last.replace("~1", "/"), None)
            if value is not None:
                inner[last.replace("~1", "/")] = value
    return new


@pytest.mark.parametrize(("what", "changes", "expected"), FORBIDDEN, ids=[what for what, _, _ in FORBIDDEN])
def test_a_write_outside_the_policy_is_denied_by_its_rule(what: str, changes: list[Change], expected: set[str]) -> None:
    denied = rules(refusals(request(), unescaped(changes, OLD), OLD))
    if what == "a label of protection put on":
        expected = {*expected, "K-PROTECTED"}
    assert denied == expected


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        ({"name": "storefront"}, {"K-WORKLOAD"}),
        ({"name": "prod-db"}, {"K-PROTECTED", "K-WORKLOAD"}),
        ({"name": "checkout", "namespace": "bank"}, {"K-NAMESPACE", "K-WORKLOAD"}),
        ({"name": "coredns", "namespace": "kube-system"}, {"K-NAMESPACE", "K-PROTECTED", "K-WORKLOAD"}),
    ],
)
@pytest.mark.parametrize("sub", ["", "scale"])
def test_another_workload_is_denied_by_its_name_whole_or_by_its_scale(other: dict[str, Any], expected: set[str], sub: str) -> None:
    old = deployment(**other)
    new = edited(old, IMAGE)
    if sub:
        old, new = scale_of(old, 3), scale_of(old, 4)
    assert rules(refusals(request(sub=sub, **other), new, old)) == expected


@pytest.mark.parametrize(
    ("asked", "new", "old"),
    [
        (request("DELETE"), None, OLD),
        (request("CREATE"), OLD, None),
        (request("UPDATE", sub="status"), OLD, OLD),
        (request("UPDATE", resource="replicasets"), OLD, OLD),
        (request("UPDATE", resource="statefulsets"), OLD, OLD),
        (request("UPDATE", resource="daemonsets"), OLD, OLD),
        (request("CREATE", resource="pods", group="", name=""), {"kind": "Pod", "spec": {}}, None),
        (request("CONNECT", resource="pods", group="", sub="exec"), {"kind": "PodExecOptions"}, None),
        (request("CREATE", resource="pods", group="", sub="eviction"), {"kind": "Eviction"}, None),
        (request("DELETE", resource="namespaces", group="", namespace=""), None, {"metadata": {}}),
        (request("DELETE", name=""), None, OLD),
        (request("UPDATE", resource="configmaps", group="", name="backstop-switch", namespace="backstop"), ALLOWED, ALLOWED),
        (request("UPDATE", resource="secrets", group=""), {"data": {}}, {"data": {}}),
        (request("UPDATE", resource="nodes", group="", namespace="", name="n"), {"spec": {}}, {"spec": {}}),
        (request("CREATE", resource="rolebindings", group="rbac.authorization.k8s.io"), {"metadata": {}}, None),
        (request("UPDATE"), {"metadata": {}}, OLD),
        (request("UPDATE"), {"metadata": {}, "spec": {}}, OLD),
        (request("UPDATE"), edited(OLD, (TEMPLATE, None)), OLD),
    ],
)
def test_any_other_kind_of_write_is_denied_as_such(asked: Object, new: Object | None, old: Object | None) -> None:
    assert rules(refusals(asked, new, old)) == {"K-VERB"}


@pytest.mark.parametrize(("to", "allowed"), [(1, True), (2, True), (8, True), (9, False), (11, False), (0, False), (10**6, False)])
def test_the_scale_alone_is_bounded_too(to: int, allowed: bool) -> None:
    denied = refusals(request(sub="scale"), scale_of(OLD, to), scale_of(OLD, 3))
    assert rules(denied) == (set() if allowed else {"K-REPLICAS"})


def test_the_scale_changes_nothing_but_replicas() -> None:
    old = scale_of(OLD, 3)
    assert rules(refusals(request(sub="scale"), edited(old, ("spec/x", 1), action_id=None), old)) == {"K-SPEC"}
    assert rules(refusals(request(sub="scale"), edited(old, ("metadata/labels", {"a": "b"}), action_id=None), old)) == {
        "K-METADATA"
    }


def test_a_write_carries_a_new_action_id() -> None:
    assert rules(refusals(request(), edited(OLD, IMAGE, action_id=None), OLD)) == {"K-METADATA"}
    marked = edited(OLD)
    assert rules(refusals(request(), edited(marked, IMAGE), marked)) == {"K-METADATA"}
    assert refusals(request(), edited(marked, IMAGE, action_id="bs-1-2"), marked) == []
    bare = edited(OLD, ("metadata/annotations", None), action_id=None)
    assert refusals(request(), edited(bare, IMAGE), bare) == []
    assert rules(refusals(request(), bare, bare)) == {"K-METADATA"}


@pytest.mark.parametrize(
    "mark", [{"tier": "database"}, {"backstop.dev/protected": "true"}, {"argocd.argoproj.io/instance": "whatever"}]
)
@pytest.mark.parametrize("place", ["metadata/labels", "spec/template/metadata/labels"])
def test_what_bears_a_label_of_protection_stays_as_it_is_and_cannot_be_stripped_of_it(mark: dict[str, str], place: str) -> None:
    marked = edited(OLD, (place, {"app": "checkout", **mark}), action_id=None)
    assert rules(refusals(request(), edited(marked, IMAGE), marked)) == {"K-PROTECTED"}
    assert "K-PROTECTED" in rules(refusals(request(), edited(marked, IMAGE, (place, {"app": "checkout"})), marked))


def test_what_bears_an_annotation_of_protection_stays_as_it_is() -> None:
    marked = edited(OLD, ("metadata/annotations", {"argocd.argoproj.io/tracking-id": "x"}), action_id=None)
    assert rules(refusals(request(), edited(marked, IMAGE), marked)) == {"K-PROTECTED"}


def test_another_value_of_a_label_protects_nothing() -> None:
    some = DEFAULT.protected.model_copy(update={"labels": (LabelRule(key="tier", value='da"ta\\base'),)})
    policy = DEFAULT.model_copy(update={"protected": some})
    assert refusals(request(), edited(OLD, IMAGE), OLD, policy=policy) == []
    odd = edited(OLD, ("metadata/labels/tier", 'da"ta\\base'), action_id=None)
    assert rules(refusals(request(), edited(odd, IMAGE), odd, policy=policy)) == {"K-PROTECTED"}


def test_what_is_owned_or_paused_is_somebodys() -> None:
    owned = edited(OLD, ("metadata/ownerReferences", [{"kind": "Operator", "name": "op"}]), action_id=None)
    assert rules(refusals(request(), edited(owned, IMAGE), owned)) == {"K-METADATA"}
    paused = deployment(paused=True)
    assert rules(refusals(request(), edited(paused, IMAGE), paused)) == {"K-SPEC"}


def test_a_rollout_of_too_many_pods_or_of_none_is_denied() -> None:
    many, none = deployment(replicas=11), deployment(replicas=0)
    assert rules(refusals(request(), edited(many, IMAGE), many)) == {"K-REPLICAS"}
    assert rules(refusals(request(), edited(none, IMAGE), none)) == {"K-REPLICAS"}
    assert refusals(request(), edited(none, ("spec/replicas", 3)), none) == []


@pytest.mark.parametrize("after", [None, {}, {APPARMOR: "unconfined"}, {"checksum/config": "2"}])
def test_a_profile_that_a_pod_has_is_neither_taken_away_nor_changed(after: Object | None) -> None:
    old = edited(OLD, (f"{TEMPLATE}/metadata/annotations", {APPARMOR: "runtime/default", "checksum/config": "1"}), action_id=None)
    assert rules(refusals(request(), edited(old, IMAGE, (f"{TEMPLATE}/metadata/annotations", after)), old)) == {"K-TEMPLATE"}
    kept = {APPARMOR: "runtime/default", "checksum/config": "2"}
    assert refusals(request(), edited(old, IMAGE, (f"{TEMPLATE}/metadata/annotations", kept)), old) == []


RESTART = (f"{TEMPLATE}/metadata/annotations", {"kubectl.kubernetes.io/restartedAt": "2026-01-01T00:00:00Z"})


@pytest.mark.parametrize(
    ("policy", "change", "expected"),
    [
        (ROLLBACK_ONLY, ("spec/replicas", 4), {"K-REPLICAS"}),
        (ROLLBACK_ONLY, IMAGE, set()),
        (RESTART_ONLY, RESTART, set()),
        (RESTART_ONLY, IMAGE, {"K-TEMPLATE"}),
        (RESTART_ONLY, (MEMORY, "128Mi"), {"K-TEMPLATE"}),
        (RESTART_ONLY, (f"{TEMPLATE}/metadata/annotations", {"note": "x"}), {"K-TEMPLATE"}),
        (RESTART_ONLY, (f"{TEMPLATE}/metadata/labels/tier", "x"), {"K-TEMPLATE"}),
        (RESTART_ONLY, (f"{POD}/nodeSelector", {"a": "b"}), {"K-TEMPLATE"}),
        (MEMORY_ONLY, (MEMORY, "128Mi"), set()),
        (MEMORY_ONLY, RESTART, {"K-TEMPLATE"}),
        (MEMORY_ONLY, IMAGE, {"K-TEMPLATE"}),
        (MEMORY_ONLY, (f"{WEB}/resources/limits/cpu", "2"), {"K-TEMPLATE"}),
        (MEMORY_ONLY, (f"{WEB}/resources/requests/memory", "1Gi"), {"K-TEMPLATE"}),
        (MEMORY_ONLY, (f"{WEB}/resources/claims", []), {"K-TEMPLATE"}),
        (SCALE_ONLY, ("spec/replicas", 4), set()),
        (SCALE_ONLY, RESTART, {"K-TEMPLATE"}),
        (SCALE_ONLY, IMAGE, {"K-TEMPLATE"}),
        (NO_MEMORY, IMAGE, set()),
        (NO_MEMORY, (MEMORY, "128Mi"), {"K-MEMORY"}),
    ],
)
def test_a_verb_that_is_not_listed_is_denied_by_what_it_changes(policy: Policy, change: Change, expected: set[str]) -> None:
    assert rules(refusals(request(), edited(OLD, change), OLD, policy=policy)) == expected


@pytest.mark.parametrize(
    "params", [{"data": {"writes": "stopped"}}, {"data": {"writes": ""}}, {"data": {}}, {}, {"data": {"x": "y"}}]
)
@pytest.mark.parametrize("sub", ["", "scale"])
def test_the_kill_switch_stops_every_write(params: Object, sub: str) -> None:
    new, old = (scale_of(OLD, 4), scale_of(OLD, 3)) if sub else (edited(OLD, IMAGE), OLD)
    assert rules(refusals(request(sub=sub), new, old, params=params)) == {"K-SWITCH"}


def test_where_known_good_images_are_listed_no_other_runs() -> None:
    known: Object = {"data": {"writes": "allowed", "checkout.1": "demo/web:1.0", "checkout.20": "demo/web:0.9", "other.1": "x"}}
    assert refusals(request(), edited(OLD, IMAGE), OLD, params=known) == []
    assert refusals(request(), edited(OLD, (f"{WEB}/image", "demo/web:0.9")), OLD, params=known) == []
    assert rules(refusals(request(), edited(OLD, (f"{WEB}/image", "demo/web:1.2")), OLD, params=known)) == {"K-IMAGE"}
    assert refusals(request(), edited(OLD, ("spec/replicas", 4)), OLD, params=known) == []
    elsewhere: Object = {"data": {"writes": "allowed", "other.1": "x", "checkout.x": "y", "checkout.1.1": "z"}}
    assert refusals(request(), edited(OLD, IMAGE), OLD, params=elsewhere) == []


POD_REQUEST: Object = {"resource": "pods", "group": "", "name": "", "user": REHEARSER}


def test_the_rehearser_only_rehearses_pods() -> None:
    pod = {"kind": "Pod", "spec": {"containers": []}}
    assert refusals(request("CREATE", dry_run=True, **POD_REQUEST), pod, None) == []
    assert rules(refusals(request("CREATE", **POD_REQUEST), pod, None)) == {"K-DRY-RUN"}
    unsaid = {key: value for key, value in request("CREATE", **POD_REQUEST).items() if key != "dryRun"}
    assert rules(refusals(unsaid, pod, None)) == {"K-DRY-RUN"}
    elsewhere = {**POD_REQUEST, "namespace": "kube-system"}
    assert rules(refusals(request("CREATE", dry_run=True, **elsewhere), pod, None)) == {"K-NAMESPACE"}
    assert rules(refusals(request("UPDATE", dry_run=True, user=REHEARSER), OLD, OLD)) == {"K-VERB"}
    assert rules(refusals(request("DELETE", user=REHEARSER), None, OLD)) == {"K-VERB", "K-DRY-RUN"}
    assert rules(refusals(request("CREATE", dry_run=True, sub="eviction", **POD_REQUEST), pod, None)) == {"K-VERB"}


def test_nobody_elses_write_is_looked_at() -> None:
    assert refusals(request("DELETE", user="kubernetes-admin"), None, OLD) == []
    assert refusals(request("DELETE", user="system:serviceaccount:other:executor"), None, OLD) == []
