"""Whatever is written in the executor's name, what is admitted is inside the policy: the result is asked, not the rules."""

from __future__ import annotations

import re
from copy import deepcopy
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from backstop.policy.quantities import quantity_bytes
from tests.policy.admission import Object, deployment, refusals, request, rules, scale_of

MIB = 2**20
FREE_POD = {
    "containers", "volumes", "tolerations", "nodeSelector", "affinity", "topologySpreadConstraints", "terminationGracePeriodSeconds"
}  # fmt: skip
FREE_CONTAINER = {
    "image", "imagePullPolicy", "command", "args", "workingDir", "env", "envFrom", "ports", "resources", "livenessProbe",
    "readinessProbe", "startupProbe", "lifecycle", "volumeMounts", "terminationMessagePath", "terminationMessagePolicy",
}  # fmt: skip

LEAVES = st.one_of(
    st.integers(-2, 12), st.booleans(), st.sampled_from(["", "x", "true", "database", "demo/web:1.0", "evil/web:1", "64Mi"])
)
IMAGES = st.sampled_from(
    ["demo/web:1.0", "demo/web", "demo/web:1.0@sha256:" + "0" * 64, "evil/web:1", "demo/web:", "demo/web/x", "web"]
)
QUANTITIES = st.sampled_from(["31Mi", "32Mi", "64Mi", "1Gi", "1025Mi", "2Gi", "33554432", "1", "0", "-1", "", "1Ti", "100M", "1e9"])
VOLUMES = st.lists(
    st.sampled_from(
        [
            {"name": "a", kind: {}}
            for kind in ("emptyDir", "configMap", "hostPath", "secret", "projected", "csi", "persistentVolumeClaim")
        ]
    ),
    max_size=2,
)
KEYS = st.sampled_from(
    ["hostNetwork", "hostPID", "serviceAccountName", "nodeName", "securityContext", "paused", "x", "labels", "image"]
)

EDITS: dict[str, st.SearchStrategy[Any]] = {
    "spec/replicas": st.integers(-3, 20),
    "spec/paused": st.booleans(),
    "spec/selector": st.sampled_from([{}, {"matchLabels": {"app": "checkout"}}, {"matchLabels": {"app": "x"}}]),
    "spec/strategy": st.sampled_from([{"type": "RollingUpdate"}, {"type": "Recreate"}]),
    "spec/template/spec/containers/0/image": IMAGES,
    "spec/template/spec/containers/0/resources": st.builds(lambda q: {"limits": {"memory": q}}, QUANTITIES),
    "spec/template/spec/containers/0/securityContext": st.sampled_from([{}, {"privileged": True}]),
    "spec/template/spec/volumes": VOLUMES,
    "spec/template/spec/hostNetwork": st.booleans(),
    "spec/template/spec/serviceAccountName": st.sampled_from(["default", "admin"]),
    "spec/template/spec/initContainers": st.lists(st.builds(lambda i: {"name": "init", "image": i}, IMAGES), max_size=1),
    "spec/template/metadata/labels": st.sampled_from(
        [{"app": "checkout", "tier": "web"}, {"app": "checkout", "tier": "database"}, {}]
    ),
    "spec/template/metadata/annotations": st.dictionaries(st.sampled_from(["a", "b"]), st.just("x"), max_size=1),
    "metadata/labels": st.sampled_from([{"app": "checkout", "tier": "web"}, {"app": "checkout"}, {}]),
    "metadata/annotations": st.dictionaries(
        st.sampled_from(["backstop.dev/action-id", "deployment.kubernetes.io/revision", "x"]),
        st.sampled_from(["2", "bs-1-1"]),
        max_size=3,
    ),
    "metadata/finalizers": st.lists(st.just("x/y"), max_size=1),
}
ANYWHERE = st.lists(st.sampled_from(["spec", "template", "metadata", "containers", "0", "resources", "limits"]), max_size=5)


@st.composite
def writes(draw: Any) -> tuple[Object, Object]:
    """A Deployment, and the same after a few edits: most of them of places where an edit could matter."""
    name, namespace = draw(st.sampled_from([("checkout", "shop"), ("checkout", "shop"), ("prod-db", "shop"), ("checkout", "bank")]))
    old = deployment(name, namespace, replicas=draw(st.integers(0, 12)))
    new = deepcopy(old)
    new["metadata"]["annotations"]["backstop.dev/action-id"] = "bs-1-1"
    for path in draw(st.lists(st.sampled_from(list(EDITS)), max_size=3)):
        put(new, path.split("/"), draw(EDITS[path]))
    if draw(st.booleans()):
        put(new, [*draw(ANYWHERE), draw(KEYS)], draw(LEAVES))
    return old, new


def put(obj: Any, way: list[str], value: Any) -> None:
    """Sets a value if the way there is one; whatever is not an object or a list is no way."""
    for step in way[:-1]:
        if isinstance(obj, dict):
            obj = obj.setdefault(step, {})
        elif isinstance(obj, list) and step == "0" and obj:
            obj = obj[0]
        else:
            return
    if isinstance(obj, dict) and way[-1] not in {"name", "containers"}:
        obj[way[-1]] = value


def well_formed(new: Object) -> bool:
    """What the API server's own validation lets pass before any admission policy is asked."""
    template = new.get("spec", {}).get("template") if isinstance(new.get("spec"), dict) else None
    if not isinstance(template, dict) or not all(isinstance(template.get(k), dict) for k in ("metadata", "spec")):
        return False
    maps = [new["metadata"].get("labels"), template["metadata"].get("labels"), new["metadata"].get("annotations"),
            template["metadata"].get("annotations"), template["spec"].get("securityContext")]  # fmt: skip
    if not all(one is None or isinstance(one, dict) for one in maps):
        return False
    containers = [*template["spec"]["containers"], *template["spec"].get("initContainers", [])]
    return isinstance(new["spec"].get("replicas"), int) and all(
        isinstance(c.get("image", ""), str)
        and isinstance(c.get("resources", {}), dict)
        and isinstance(c.get("resources", {}).get("limits", {}), dict)
        for c in containers
    )


@given(writes())
@settings(max_examples=400, deadline=None)
def test_what_is_admitted_is_inside_the_policy(write: tuple[Object, Object]) -> None:
    old, new = write
    if not well_formed(new):
        return
    if refusals(request(name=old["metadata"]["name"], namespace=old["metadata"]["namespace"]), new, old):
        return
    assert (old["metadata"]["namespace"], old["metadata"]["name"]) == ("shop", "checkout")
    assert_metadata(new["metadata"], old["metadata"])
    before, after = old["spec"], new["spec"]
    assert {k: v for k, v in after.items() if k not in {"replicas", "template"}} == {
        k: v for k, v in before.items() if k not in {"replicas", "template"}
    }
    assert after["replicas"] >= 1
    if after["replicas"] != before["replicas"]:
        assert 1 <= after["replicas"] <= 10
        assert abs(after["replicas"] - before["replicas"]) <= 5
        assert after["template"] == before["template"]
    if after["template"] != before["template"]:
        assert before["replicas"] <= 10
        assert_pod(after["template"], before["template"])


def assert_metadata(new: Object, old: Object) -> None:
    mine = "backstop.dev/action-id"
    assert {k: v for k, v in new.items() if k != "annotations"} == {k: v for k, v in old.items() if k != "annotations"}
    assert {k: v for k, v in new["annotations"].items() if k != mine} == {k: v for k, v in old["annotations"].items() if k != mine}
    assert re.fullmatch(r"[a-z0-9][a-z0-9.-]{2,65}", new["annotations"][mine])


def assert_pod(new: Object, old: Object) -> None:
    assert new["metadata"].get("labels", {}).keys() == old["metadata"].get("labels", {}).keys()
    assert new["metadata"]["labels"].get("tier") != "database"
    pod, before = new["spec"], old["spec"]
    assert {k: v for k, v in pod.items() if k not in FREE_POD and v != []} == {k: v for k, v in before.items() if k not in FREE_POD}
    assert all(set(volume) <= {"name", "emptyDir", "configMap", "downwardAPI"} for volume in pod.get("volumes", []))
    (container,), (was,) = pod["containers"], before["containers"]
    assert {k: v for k, v in container.items() if k not in FREE_CONTAINER} == {
        k: v for k, v in was.items() if k not in FREE_CONTAINER
    }
    assert re.fullmatch(r"demo/web(:[\w][\w.-]*)?(@sha256:[0-9a-f]{64})?", container["image"])
    limit = container["resources"]["limits"]["memory"]
    assert limit == was["resources"]["limits"]["memory"] or 32 * MIB <= quantity_bytes(limit) <= 1024 * MIB


@given(st.integers(-5, 30), st.integers(0, 30), st.sampled_from(["checkout", "catalog", "prod-db", "x"]))
@settings(deadline=None)
def test_a_scale_that_is_admitted_is_inside_the_policy(to: int, was: int, name: str) -> None:
    old = deployment(name)
    denied = rules(refusals(request(name=name, sub="scale"), scale_of(old, to), scale_of(old, was)))
    inside = name in {"checkout", "catalog"} and ((1 <= to <= 10 and abs(to - was) <= 5) or to == was >= 1)
    assert (denied == set()) is inside


@given(
    st.sampled_from(["CREATE", "UPDATE", "DELETE", "CONNECT"]),
    st.sampled_from(["", "apps", "batch", "rbac.authorization.k8s.io"]),
    st.sampled_from(["deployments", "replicasets", "pods", "secrets", "configmaps", "namespaces", "roles", "nodes"]),
    st.sampled_from(["", "scale", "status", "exec", "eviction", "token"]),
    st.sampled_from([None, {}, {"metadata": {}}, {"spec": None}, {"metadata": {}, "spec": {}}, deployment()]),
    st.sampled_from([None, {}, {"metadata": {}}, {"metadata": {}, "spec": {}}, deployment()]),
)
@settings(deadline=None, max_examples=300)
def test_no_other_kind_of_write_is_ever_admitted(
    operation: str, group: str, resource: str, sub: str, new: Object | None, old: Object | None
) -> None:
    """And none is denied by an error: `refusals` fails on one."""
    asked = request(operation, group=group, resource=resource, sub=sub)
    known = (operation, group, resource) == ("UPDATE", "apps", "deployments") and sub in {"", "scale"}
    if not known:
        assert "K-VERB" in rules(refusals(asked, new, old))
    elif sub == "" and not (new == old == deployment()):
        assert rules(refusals(asked, new, old))
