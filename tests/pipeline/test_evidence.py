"""Evidence is the same for the same world, complete where it matters, bounded, and never raises on what a cluster may hold."""

from __future__ import annotations

import copy
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backstop.pipeline.describe import stable, template_changes
from backstop.pipeline.evidence import gather
from backstop.ports import ContainerLog, Look, Probe
from backstop.records import Alert, Evidence, Fact, FactKind, ObjectRef, WorkloadRef
from tests.stub_api import NOW, StubApi, template

CHECKOUT = WorkloadRef(kind="Deployment", namespace="shop", name="checkout")
ALERT = Alert(id="a1", name="ErrorRate", target=CHECKOUT, service="checkout", summary="requests fail", started_at=NOW)
KINDS = {
    "deployments": "Deployment", "replicasets": "ReplicaSet", "pods": "Pod", "services": "Service",
    "endpointslices": "EndpointSlice", "events": "Event", "horizontalpodautoscalers": "HorizontalPodAutoscaler",
    "poddisruptionbudgets": "PodDisruptionBudget", "resourcequotas": "ResourceQuota",
}  # fmt: skip


def pod_ref(name: str) -> ObjectRef:
    return ObjectRef(kind="Pod", namespace="shop", name=name)


def shop() -> StubApi:
    """checkout, which calls prod-db, and storefront, which calls nobody."""
    api = StubApi()
    api.deploy()
    for name in ("prod-db", "storefront"):
        tmpl = template(f"demo/{name}:1.0")
        tmpl["metadata"]["labels"] = {"app": name}
        api.put(
            "deployments", name,
            metadata={"generation": 1},
            spec={"replicas": 1, "selector": {"matchLabels": {"app": name}}, "template": tmpl},
            status={"observedGeneration": 1, "readyReplicas": 1, "availableReplicas": 1, "updatedReplicas": 1, "replicas": 1},
        )  # fmt: skip
        api.put("services", name, spec={"selector": {"app": name}, "ports": [{"port": 5432, "targetPort": 5432}]})
    api.put(
        "horizontalpodautoscalers", "checkout-hpa",
        spec={"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "checkout"}, "maxReplicas": 9},
    )  # fmt: skip
    api.put(
        "poddisruptionbudgets", "checkout-pdb",
        spec={"minAvailable": "50%", "selector": {"matchLabels": {"app": "checkout"}}}, status={"disruptionsAllowed": 1},
    )  # fmt: skip
    api.put(
        "resourcequotas", "team",
        spec={"hard": {"pods": "9"}}, status={"hard": {"pods": "9", "requests.cpu": "4"}, "used": {"pods": "5"}},
    )  # fmt: skip
    api.put(
        "endpointslices", "checkout-1",
        metadata={"labels": {"kubernetes.io/service-name": "checkout"}},
        endpoints=[{"conditions": {"ready": True}}, {"conditions": {"ready": False}}],
    )  # fmt: skip
    api.put(
        "events", "e1",
        involvedObject={"kind": "Pod", "namespace": "shop", "name": "checkout-bbb-0"},
        type="Warning", reason="BackOff", count=3, lastTimestamp="2026-01-01T02:59:00Z",
        message="Back-off restarting failed container web in pod checkout-bbb-0_shop(0a1b2c3d-0000-1111-2222-333344445555)",
    )  # fmt: skip
    return api


def look(api: StubApi, **changes: Any) -> Look:
    found = [{"kind": KINDS[kind], **obj} for kind, named in api.objects.items() for obj in named.values()]
    log = ContainerLog(
        pod=pod_ref("checkout-bbb-0"),
        container="web",
        previous=False,
        lines=("2026-01-01T02:00:00.123456789Z listening", "2026-01-01T02:00:01Z ERROR boom", "2026-01-01T02:00:01Z ERROR boom"),
    )
    whole = Look(
        namespace="shop",
        objects=tuple(copy.deepcopy(found)),
        logs=(log,),
        probes=(
            Probe(service="checkout", path="/", status=500, body="boom"),
            Probe(service="prod-db", path="/", status=200, body="ok"),
        ),
        omissions=(),
    )
    return whole.model_copy(update=changes)


def evidence(api: StubApi | None = None, **changes: Any) -> Evidence:
    return gather(ALERT, look(api or shop(), **changes), NOW)


def only(found: Evidence, kind: FactKind, name: str) -> Fact:
    (fact,) = [f for f in found.facts if f.kind is kind and f.about.name == name]
    return fact


def test_facts_come_in_their_order_with_the_target_first() -> None:
    found = evidence()
    order = ["workload", "revision", "service", "dependency", "pod", "probe", "log", "log_previous"]
    order += ["autoscaler", "budget", "quota", "event"]
    places = [order.index(fact.kind) for fact in found.facts]
    assert places == sorted(places)
    assert [f.id for f in found.facts] == [f"E{n}" for n in range(1, len(found.facts) + 1)]
    assert [f.about.name for f in found.facts if f.kind is FactKind.WORKLOAD] == ["checkout", "prod-db", "storefront"]


def test_a_workload_says_how_many_and_in_data_too() -> None:
    fact = only(evidence(), FactKind.WORKLOAD, "checkout")
    assert fact.lines()[0] == "3 replicas desired, 3 ready, 3 available, 3 updated"
    assert "strategy RollingUpdate (maxSurge 25%, maxUnavailable 25%)" in fact.lines()
    expected = {
        "desired": 3,
        "ready": 3,
        "available": 3,
        "updated": 3,
        "total": 3,
        "paused": False,
        "generation": 2,
        "unhealthy": False,
    }
    assert expected.items() <= fact.data.items()


def test_what_bounds_a_workload_is_said_of_it() -> None:
    found = evidence()
    scaler, budget = (only(found, kind, "checkout") for kind in (FactKind.AUTOSCALER, FactKind.BUDGET))
    assert scaler.text == "horizontalpodautoscaler/checkout-hpa sets the replicas of deployment/checkout, 1 to 9"
    assert scaler.data == {"name": "checkout-hpa", "minimum": 1, "maximum": 9}
    assert budget.lines() == (
        "poddisruptionbudget/checkout-pdb keeps pods of deployment/checkout: at least 50%",
        "1 more may be missing now",
    )
    assert budget.data == {"name": "checkout-pdb", "disruptions_allowed": 1}
    assert scaler.about.kind == budget.about.kind == "Deployment"


def test_a_quota_is_said_of_the_namespace() -> None:
    fact = only(evidence(), FactKind.QUOTA, "shop")
    assert fact.lines() == ("resourcequota/team of namespace shop", "pods: 5 of 9 used", "requests.cpu: 0 of 4 used")
    assert fact.data == {"name": "team", "hard": {"pods": "9", "requests.cpu": "4"}, "used": {"pods": "5"}}
    assert fact.about.kind == "Namespace"


@pytest.mark.parametrize("aim", [{"kind": "StatefulSet", "name": "checkout"}, {"kind": "Deployment", "name": "gone"}, {}])
def test_an_autoscaler_of_something_else_is_said_of_nothing(aim: dict[str, str]) -> None:
    api = shop()
    api.objects["horizontalpodautoscalers"]["checkout-hpa"]["spec"]["scaleTargetRef"] = aim
    assert not [fact for fact in evidence(api).facts if fact.kind is FactKind.AUTOSCALER]


def test_a_budget_without_a_status_allows_nothing_to_be_missing() -> None:
    api = shop()
    del api.objects["poddisruptionbudgets"]["checkout-pdb"]["status"]
    assert only(evidence(api), FactKind.BUDGET, "checkout").data["disruptions_allowed"] == 0


def test_a_workload_says_what_its_containers_ask_for_and_offer() -> None:
    api = shop()
    api.checkout["spec"]["template"]["spec"]["containers"][0] |= {
        "resources": {"requests": {"cpu": "50m"}, "limits": {"memory": "64Mi", "cpu": 1}},
        "ports": [{"name": "http", "containerPort": 8080}, {"containerPort": 9090, "protocol": "UDP"}],
        "readinessProbe": {"httpGet": {"path": "/ready", "port": "http", "httpHeaders": [{"name": "X", "value": "hidden"}]}},
        "livenessProbe": {"exec": {"command": ["hidden"]}},
    }
    fact = only(evidence(api), FactKind.WORKLOAD, "checkout")
    assert {
        "selects pods with app=checkout",
        "container web requests cpu 50m; limits cpu 1, memory 64Mi",
        "container web listens on 8080/TCP (http), 9090/UDP",
        "container web readiness: GET /ready on port http",
        "container web liveness: a command",
    } <= set(fact.lines())
    assert "hidden" not in fact.text
    assert fact.data["selector"] == {"app": "checkout"}
    assert fact.data["ports"] == [8080, 9090]
    assert fact.data["port_names"] == {"http": 8080}
    assert fact.data["memory_limits"] == {"web": 64 * 2**20}


def test_a_service_says_where_its_ports_lead() -> None:
    api = shop()
    api.objects["services"]["checkout"]["spec"]["ports"] = [
        {"port": 80, "targetPort": "http"},
        {"port": 81, "targetPort": 8081},
        {"port": 82},
    ]
    fact = only(evidence(api), FactKind.SERVICE, "checkout")
    assert fact.data["target_ports"] == ["http", 8081, 82]
    assert fact.data["selector"] == {"app": "checkout"}


def test_refused_pods_are_told_without_the_names_they_would_have_had() -> None:
    said = 'pods "checkout-bbb-x7k2p" is forbidden: exceeded quota: q, requested: pods=1, used: pods=6, limited: pods=4'
    expected = 'pods "checkout-bbb-<random>" is forbidden: exceeded quota: q, requested: pods=1, used: <then>, limited: pods=4'
    assert stable(said) == expected


@pytest.mark.parametrize(
    ("field", "value"),
    [("availableReplicas", 2), ("availableReplicas", None), ("observedGeneration", 1), ("conditions", "stalled")],
)
def test_a_workload_that_lacks_something_is_unhealthy(field: str, value: Any) -> None:
    api = shop()
    api.checkout["status"][field] = [{"type": "Progressing", "status": "False"}] if value == "stalled" else value
    assert only(evidence(api), FactKind.WORKLOAD, "checkout").data["unhealthy"] is True


def test_a_served_workload_without_pods_is_unhealthy() -> None:
    api = shop()
    api.objects["deployments"]["prod-db"]["spec"]["replicas"] = 0
    api.objects["deployments"]["prod-db"]["status"] = {"observedGeneration": 1}
    assert only(evidence(api), FactKind.WORKLOAD, "prod-db").data["unhealthy"] is True


def test_a_revision_says_what_it_changed_and_when() -> None:
    first, second = (f for f in evidence().facts if f.kind is FactKind.REVISION)
    assert second.lines() == (
        "revision 2 (current)",
        "images: demo/web:1.2-errors",
        "changed from revision 1:",
        "image: demo/web:1.0 -> demo/web:1.2-errors",
    )
    assert second.time == datetime(2026, 1, 1, 2, tzinfo=UTC)
    assert (second.data["number"], second.data["current"], second.data["created_at"]) == (2, True, "2026-01-01T02:00:00+00:00")
    assert second.data["changes"] == ["image: demo/web:1.0 -> demo/web:1.2-errors"]
    assert (first.data["number"], first.data["current"], first.data["images"]) == (1, False, ["demo/web:1.0"])
    assert second.about.same(CHECKOUT)


def test_a_log_has_its_lines_without_their_times() -> None:
    fact = only(evidence(), FactKind.LOG, "checkout-bbb-0")
    assert fact.text == "listening\nERROR boom\nERROR boom"
    assert (fact.data["errors"], fact.data["lines"]) == (2, 3)
    assert fact.data["times"] == ["2026-01-01T02:00:00+00:00", "2026-01-01T02:00:01+00:00", "2026-01-01T02:00:01+00:00"]
    assert fact.time == datetime(2026, 1, 1, 2, 0, 1, tzinfo=UTC)


def test_probes_say_what_was_answered() -> None:
    failed, fine = only(evidence(), FactKind.PROBE, "checkout"), only(evidence(), FactKind.PROBE, "prod-db")
    assert failed.text == "GET / of service/checkout -> HTTP 500: boom"
    assert (failed.data["service"], failed.data["status"], failed.data["ok"]) == ("checkout", 500, False)
    assert fine.data["ok"] is True


def test_dependencies_and_owners_are_edges() -> None:
    found = evidence()
    named = {(e.relation, e.source.key, e.target.key) for e in found.edges}
    assert {
        ("depends_on", "deployment/checkout", "service/prod-db"),
        ("depends_on", "service/prod-db", "deployment/prod-db"),
        ("depends_on", "deployment/checkout", "deployment/prod-db"),
        ("depends_on", "service/checkout", "deployment/checkout"),
        ("owned_by", "pod/checkout-bbb-0", "replicaset/checkout-bbb"),
        ("owned_by", "replicaset/checkout-bbb", "deployment/checkout"),
    } <= named
    assert not any("storefront" in source and relation == "depends_on" and "deployment" in source for relation, source, _ in named)
    fact = only(found, FactKind.DEPENDENCY, "checkout")
    assert fact.data == {"source": "checkout", "service": "prod-db", "target": "prod-db", "variable": "UPSTREAM"}


@pytest.mark.parametrize(
    "value",
    [
        "http://prod-db:5432",
        "prod-db",
        "prod-db:5432",
        "prod-db.shop.svc",
        "postgres://u:p@prod-db.shop.svc.cluster.local:5432/x?y=1",
        "a:1,prod-db:2",
    ],
)
def test_a_service_is_recognised_in_an_env_value(value: str) -> None:
    api = shop()
    api.checkout["spec"]["template"] = template("demo/web:1.0", UPSTREAM=value)
    assert only(evidence(api), FactKind.DEPENDENCY, "checkout").data["service"] == "prod-db"


@pytest.mark.parametrize("value", ["prod-db.other.svc", "my-prod-db", "http://prod-dbs:1", "prod-db!", "checkout"])
def test_what_only_looks_like_another_service_is_none(value: str) -> None:
    api = shop()
    api.checkout["spec"]["template"] = template("demo/web:1.0", UPSTREAM=value)
    assert not [f for f in evidence(api).facts if f.kind is FactKind.DEPENDENCY and f.about.name == "checkout"]


def test_routine_events_are_no_facts() -> None:
    api = shop()
    involved = {"kind": "Pod", "namespace": "shop", "name": "checkout-bbb-0"}
    for number, (kind, reason, message) in enumerate(
        [
            ("Normal", "Started", "Started container web"),
            ("Normal", "Killing", "Stopping container web"),
            ("Normal", "Killing", "Container web failed liveness probe, will be restarted"),
            ("Warning", "Created", "odd"),
        ]
    ):
        api.put("events", f"x{number}", involvedObject=involved, type=kind, reason=reason, message=message)
    found = [fact.text for fact in evidence(api).facts if fact.kind is FactKind.EVENT]
    assert [text.split(":")[0] for text in found] == ["Normal Killing", "Warning BackOff", "Warning Created"]
    assert "liveness" in found[0]


def test_events_are_last_and_without_uids() -> None:
    found = evidence()
    event = found.facts[-1]
    assert event.kind is FactKind.EVENT
    assert event.text == "Warning BackOff: Back-off restarting failed container web in pod checkout-bbb-0_shop(<uid>)"
    assert event.data == {"type": "Warning", "reason": "BackOff", "count": 3}
    assert event.time == datetime(2026, 1, 1, 2, 59, tzinfo=UTC)


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ('Get "http://10.244.0.5:8080/healthz": refused', 'Get "http://<address>/healthz": refused'),
        ("back-off 1m20s restarting failed container", "back-off restarting failed container"),
        ("pod x(0a1b2c3d-0000-1111-2222-333344445555)", "pod x(<uid>)"),
        ("image demo/web:1.2-errors not found", "image demo/web:1.2-errors not found"),
    ],
)
def test_messages_say_the_same_in_two_clusters(message: str, text: str) -> None:
    assert stable(message) == text


def test_the_same_world_in_another_order_is_the_same_evidence() -> None:
    whole = look(shop())
    turned = whole.model_copy(update={"objects": whole.objects[::-1], "probes": whole.probes[::-1]})
    assert gather(ALERT, turned, NOW).digest() == gather(ALERT, whole, NOW).digest()


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ({"state": {"waiting": {"reason": "ImagePullBackOff", "message": "no"}}}, {"waiting_reason": "ImagePullBackOff"}),
        (
            {"state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": {"terminated": {"exitCode": 1, "reason": "Error"}}},
            {"waiting_reason": "CrashLoopBackOff", "terminated_reason": "Error", "exit_code": 1},
        ),
        (
            {"lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}},
            {"terminated_reason": "OOMKilled", "exit_code": 137},
        ),
        ({"state": {"terminated": {"exitCode": 0, "reason": "Completed"}}}, {"terminated_reason": None, "exit_code": None}),
        (
            {"lastState": {"terminated": {"exitCode": 1, "reason": "Error", "finishedAt": "2020-01-01T00:00:00Z"}}},
            {"terminated_reason": "Error"},
        ),
    ],
)
def test_a_pod_says_what_ails_it(status: dict[str, Any], expected: dict[str, Any]) -> None:
    api = shop()
    pod = api.objects["pods"]["checkout-bbb-0"]["status"]
    pod["conditions"] = [{"type": "Ready", "status": "False"}]
    pod["containerStatuses"] = [{"name": "web", "image": "i", "restartCount": 2, **status}]
    data = only(evidence(api), FactKind.POD, "checkout-bbb-0").data
    assert expected.items() <= data.items()
    assert (data["ready"], data["restarts"]) == (False, 2)


def test_an_old_failure_of_a_pod_that_is_well_is_no_news() -> None:
    api = shop()
    api.objects["pods"]["checkout-bbb-0"]["status"]["containerStatuses"][0]["lastState"] = {
        "terminated": {"exitCode": 1, "reason": "Error", "finishedAt": "2025-12-01T00:00:00Z"}
    }
    assert only(evidence(api), FactKind.POD, "checkout-bbb-0").data["terminated_reason"] is None


def test_secrets_in_a_change_are_withheld_and_that_is_said() -> None:
    before, after = template("i", API_KEY="hunter2", MODE="a"), template("i", API_KEY="hunter3", MODE="b")
    assert template_changes(before, after) == ("env[API_KEY].value: (withheld) -> (withheld)", "env[MODE].value: a -> b")


def test_a_restart_is_said_without_its_time() -> None:
    after = template("i")
    after["metadata"]["annotations"] = {"kubectl.kubernetes.io/restartedAt": "2026-01-01T00:00:00Z"}
    (line,) = template_changes(template("i"), after)
    assert "2026" not in line
    assert line.endswith("restarted")


def test_what_does_not_fit_is_cut_from_the_far_end_and_said() -> None:
    whole = evidence()
    found = gather(ALERT, look(shop()), NOW, max_facts=len(whole.facts) - 2)
    lost = {(f.kind, f.about.name) for f in whole.facts} - {(f.kind, f.about.name) for f in found.facts}
    assert all(name == "storefront" for _, name in lost)
    assert [(o.why, o.about.key) for o in found.omissions] == [("truncated", "deployment/storefront")] * len(found.omissions)
    assert found.omissions


def test_bytes_are_bounded_and_the_target_stays() -> None:
    lines = tuple(f"2026-01-01T02:00:00Z {'x' * 500}" for _ in range(40))
    logs = tuple(
        ContainerLog(pod=pod_ref(f"other-{n}"), container="web", previous=False, lines=lines) for n in range(50)
    )  # fmt: skip
    found = gather(ALERT, look(shop(), logs=(*logs, *look(shop()).logs)), NOW, max_bytes=20_000)
    assert sum(len(f.text.encode()) for f in found.facts) <= 20_000
    assert only(found, FactKind.LOG, "checkout-bbb-0").text.endswith("ERROR boom")
    assert found.omissions


def test_a_line_that_is_cut_is_said() -> None:
    log = ContainerLog(pod=pod_ref("checkout-bbb-0"), container="web", previous=False, lines=("y" * 5000,))
    found = evidence(logs=(log,))
    assert [(o.why, o.about.name) for o in found.omissions] == [("truncated", "checkout-bbb-0")]
    assert len(only(found, FactKind.LOG, "checkout-bbb-0").text) == 2000


def test_control_characters_and_colours_do_not_split_or_hide_lines() -> None:
    raw = "2026-01-01T02:00:00Z \x1b[31mERROR\x1b[0m a\x00b\u2028c\x0cd\ud800e"
    fact = only(
        evidence(logs=(ContainerLog.model_construct(pod=pod_ref("p"), container="web", previous=False, lines=(raw,)),)),
        FactKind.LOG,
        "p",
    )
    assert len(fact.lines()) == 1
    assert fact.text.startswith("ERROR a")
    json.dumps(fact.text).encode()
    fact.text.encode()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 10**20) | st.text(max_size=10) | st.sampled_from(["True", "False", "Ready"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)


def mutate(obj: Any, path: list[int], value: Any) -> Any:
    """`obj` with one place, anywhere in it, replaced."""
    if not path or not isinstance(obj, dict | list) or not obj:
        return value
    key = sorted(obj)[path[0] % len(obj)] if isinstance(obj, dict) else path[0] % len(obj)
    inside = mutate(obj[key], path[1:], value)
    if isinstance(obj, dict):
        return {**obj, key: inside}
    return [inside if place == key else item for place, item in enumerate(obj)]


@given(st.lists(st.tuples(st.integers(0, 30), st.lists(st.integers(0, 9), min_size=1, max_size=6), JSON), min_size=1, max_size=6))
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_nothing_that_a_cluster_may_hold_makes_it_raise(mutations: list[tuple[int, list[int], Any]]) -> None:
    found = [{"kind": KINDS[kind], **obj} for kind, named in _SHOP.objects.items() for obj in named.values()]
    for place, path, value in mutations:
        changed = mutate(found[place % len(found)], path, value)
        found[place % len(found)] = changed if isinstance(changed, dict) else {"kind": "Pod", "metadata": changed}
    result = gather(ALERT, look(_SHOP, objects=tuple(found)), NOW)
    Evidence.model_validate_json(result.model_dump_json())
    result.digest()


@given(st.lists(st.text(max_size=60), max_size=30))
@settings(max_examples=100, deadline=None)
def test_no_log_makes_it_raise(lines: list[str]) -> None:
    log = ContainerLog.model_construct(pod=pod_ref("p"), container="web", previous=True, lines=tuple(lines))
    result = gather(ALERT, look(_SHOP, logs=(log,)), NOW)
    for fact in result.facts:
        if fact.kind is FactKind.LOG_PREVIOUS:
            assert len(fact.text.split("\n")) == fact.data["lines"]
    result.digest()


_SHOP = shop()
