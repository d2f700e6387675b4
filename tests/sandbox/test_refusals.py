"""Refusals in the API server's own words and codes: what was recorded of a real one, asked over a real socket."""

from __future__ import annotations

import io
from typing import Any

import pytest

from tests.sandbox.live_api import CONFIGMAPS, DEPLOYMENTS, MERGE, NS, LiveApi, configmap, deployment

FROM_COLLECTION: list[tuple[str, str, Any, int, str]] = [
    ("POST", "/api/v1/namespaces/no-such/configmaps", configmap("x"), 404, 'namespaces "no-such" not found'),
    ("GET", "/apis/apps/v1/namespaces/test/gizmos", None, 404, "the server could not find the requested resource"),
    ("GET", f"{DEPLOYMENTS}/nope", None, 404, 'deployments.apps "nope" not found'),
    ("POST", f"{DEPLOYMENTS}/web", {}, 405, "the server does not allow this method on the requested resource"),
    (
        "POST",
        CONFIGMAPS,
        b'{"apiVersion": "v1", ',
        400,
        "the object provided is unrecognized (must be of type ConfigMap): couldn't get version/kind; json parse error: "
        'unexpected end of JSON input ({"apiVersion": "v1", )',
    ),
    (
        "POST",
        DEPLOYMENTS,
        configmap("x"),
        400,
        'ConfigMap in version "v1" cannot be handled as a Deployment: converting (v1.ConfigMap) to (apps.Deployment): '
        "unknown conversion",
    ),
    (
        "POST",
        DEPLOYMENTS,
        deployment(replicas="many"),
        400,
        'Deployment in version "v1" cannot be handled as a Deployment: json: cannot unmarshal string into Go struct field '
        "DeploymentSpec.spec.replicas of type int32",
    ),
    (
        "POST",
        CONFIGMAPS,
        {"metadata": {}},
        422,
        'ConfigMap "" is invalid: metadata.name: Required value: name or generateName is required',
    ),
    (
        "POST",
        DEPLOYMENTS,
        {"metadata": {"name": "x"}, "spec": {"replicas": 1}},
        422,
        'Deployment.apps "x" is invalid: [spec.selector: Required value, spec.template.metadata.labels: Invalid value: null: '
        "`selector` does not match template `labels`, spec.template.spec.containers: Required value]",
    ),
    ("POST", f"{NS}/services", {"metadata": {"name": "x"}, "spec": {}}, 422, 'Service "x" is invalid: spec.ports: Required value'),
    (
        "GET",
        f"{CONFIGMAPS}?labelSelector=a%20b",
        None,
        400,
        "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt",
    ),
    ("GET", f"{NS}/pods?fieldSelector=spec.containers%3Dx", None, 400, "field label not supported: spec.containers"),
    (
        "GET",
        f"{CONFIGMAPS}?limit=2&continue=bm9wZQ",
        None,
        400,
        "invalid continue token: continue key is not valid: invalid character 'o' in literal null (expecting 'u')",
    ),
    (
        "GET",
        f"{CONFIGMAPS}?resourceVersionMatch=Exact",
        None,
        422,
        'ListOptions.meta.k8s.io "" is invalid: resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden unless '
        "resourceVersion is provided",
    ),
]


@pytest.mark.parametrize(("method", "path", "body", "status", "message"), FROM_COLLECTION)
async def test_the_servers_words(live: LiveApi, method: str, path: str, body: Any, status: int, message: str) -> None:
    reply = await live.ask(method, path, body)
    assert (reply.status, reply.body["code"], reply.body["message"]) == (status, status, message)
    assert (reply.body["kind"], reply.body["apiVersion"], reply.body["status"]) == ("Status", "v1", "Failure")


async def test_a_path_of_no_api_is_a_plain_page(live: LiveApi) -> None:
    for path in ("/nope", "/apis/gizmo.example/v1/gizmos"):
        reply = await live.ask("GET", path)
        assert (reply.status, reply.body) == (404, "404 page not found\n")


async def test_every_answer_carries_an_audit_id_and_forbids_caching(live: LiveApi) -> None:
    for path in ("/livez", "/nope", CONFIGMAPS, f"{CONFIGMAPS}/nope"):
        reply = await live.ask("GET", path)
        assert len(reply.headers["Audit-Id"]) == 36
        assert reply.headers["Cache-Control"] == "no-cache, private"


async def test_names_must_match_the_url(live: LiveApi) -> None:
    await live.ask("POST", CONFIGMAPS, configmap("cm"))
    name = await live.ask("PUT", f"{CONFIGMAPS}/cm", configmap("other"))
    assert (name.status, name.body["message"]) == (400, "the name of the object (other) does not match the name on the URL (cm)")
    elsewhere = configmap("x")
    elsewhere["metadata"]["namespace"] = "elsewhere"
    namespace = await live.ask("POST", CONFIGMAPS, elsewhere)
    assert namespace.body["message"] == "the namespace of the provided object does not match the namespace sent on the request"


async def test_an_immutable_selector_and_a_frozen_pod(live: LiveApi) -> None:
    await live.ask("POST", DEPLOYMENTS, deployment())
    selector = {"spec": {"selector": {"matchLabels": {"app": "other"}}}}
    changed = await live.ask("PATCH", f"{DEPLOYMENTS}/web", selector, MERGE)
    assert [cause["field"] for cause in changed.body["details"]["causes"]] == ["spec.template.metadata.labels", "spec.selector"]
    pod = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "a", "image": "demo/web:1.0"}]}}
    await live.ask("POST", f"{NS}/pods", pod)
    frozen = await live.ask("PATCH", f"{NS}/pods/p", {"spec": {"hostNetwork": True}}, MERGE)
    assert (frozen.status, frozen.body["details"]["causes"][0]["field"]) == (422, "spec")
    image = [{"op": "replace", "path": "/spec/containers/0/image", "value": "demo/web:1.1"}]
    assert (await live.ask("PATCH", f"{NS}/pods/p", image, {"Content-Type": "application/json-patch+json"})).status == 200


async def test_a_negative_scale_names_the_scale(live: LiveApi) -> None:
    await live.ask("POST", DEPLOYMENTS, deployment())
    refused = await live.ask("PATCH", f"{DEPLOYMENTS}/web/scale", {"spec": {"replicas": -1}}, MERGE)
    message = 'Scale.autoscaling "web" is invalid: spec.replicas: Invalid value: -1: must be greater than or equal to 0'
    assert (refused.status, refused.body["message"]) == (422, message)
    zero = await live.ask("PATCH", f"{DEPLOYMENTS}/web/scale", {"spec": {"replicas": 0}}, MERGE)
    assert (zero.status, zero.body["spec"]) == (200, {})
    assert (await live.ask("GET", f"{DEPLOYMENTS}/web")).body["spec"]["replicas"] == 0


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("application/json", "ConfigMapList"),
        ("application/json;as=Table;v=v1;g=meta.k8s.io,application/json", "Table"),
        ("application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io", "PartialObjectMetadataList"),
        ("application/vnd.kubernetes.protobuf,application/json", "ConfigMapList"),
        ("text/html;q=0.9,*/*;q=0.1", "ConfigMapList"),
    ],
)
async def test_representations(live: LiveApi, accept: str, kind: str) -> None:
    await live.ask("POST", CONFIGMAPS, configmap("cm", a="1"))
    reply = await live.ask("GET", CONFIGMAPS, headers={"Accept": accept})
    assert (reply.status, reply.body["kind"]) == (200, kind)


async def test_unacceptable_and_unreadable_types(live: LiveApi) -> None:
    assert (await live.ask("GET", CONFIGMAPS, headers={"Accept": "text/html"})).status == 406
    reply = await live.ask("POST", CONFIGMAPS, b"hello", {"Content-Type": "text/plain"})
    assert (reply.status, reply.body["reason"]) == (415, "UnsupportedMediaType")
    assert (await live.ask("POST", CONFIGMAPS, io.BytesIO(b"x" * (4 << 20)))).status == 413


async def test_what_the_server_fills_in(live: LiveApi) -> None:
    made = (await live.ask("POST", DEPLOYMENTS, deployment())).body
    assert made["spec"]["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"}}
    container = made["spec"]["template"]["spec"]["containers"][0]
    assert (container["imagePullPolicy"], container["terminationMessagePolicy"]) == ("IfNotPresent", "File")
    service = (await live.ask("POST", f"{NS}/services", {"metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}]}})).body
    assert service["spec"]["ports"] == [{"port": 80, "protocol": "TCP", "targetPort": 80}]
    assert service["spec"]["clusterIP"].startswith("10.96.")
    named = (await live.ask("POST", CONFIGMAPS, {"metadata": {"generateName": "made-"}})).body
    assert len(named["metadata"]["name"]) == len("made-") + 5
    assert (await live.ask("GET", f"{NS}/serviceaccounts/default")).status == 200


async def test_logs_and_proxies_are_handed_on(live: LiveApi) -> None:
    pod = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "a", "image": "demo/web:1.0"}]}}
    await live.ask("POST", f"{NS}/pods", pod)
    assert (await live.ask("GET", f"{NS}/pods/p/log")).body == "hello\n"
    assert (await live.ask("GET", f"{NS}/pods/nope/log")).status == 404
    proxied = await live.ask("GET", f"{NS}/services/web:http/proxy/a/b?c=d")
    assert proxied.body == "GET web:http /a/b?c=d"
    assert (await live.ask("GET", f"{NS}/services/nope/proxy/")).status == 404


async def test_eviction_spends_a_disruption_budget(live: LiveApi) -> None:
    from backstop.sandbox.controllers.budgets import DisruptionBudgets

    DisruptionBudgets(live.registry)
    running = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
    for name in ("a", "b"):
        spec = {"nodeName": "n", "containers": [{"name": "a", "image": "demo/web:1.0"}]}
        await live.ask("POST", f"{NS}/pods", {"metadata": {"name": name, "labels": {"app": "w"}}, "spec": spec})
        await live.ask("PATCH", f"{NS}/pods/{name}/status", {"status": running}, MERGE)
    budget = {"metadata": {"name": "w"}, "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "w"}}}}
    await live.ask("POST", "/apis/policy/v1/namespaces/test/poddisruptionbudgets", budget)
    first = await live.ask("POST", f"{NS}/pods/a/eviction", {"metadata": {"name": "a"}})
    second = await live.ask("POST", f"{NS}/pods/b/eviction", {"metadata": {"name": "b"}})
    assert (first.status, second.status, second.body["reason"]) == (201, 429, "TooManyRequests")


async def test_a_quota_refuses_the_object_too_many(live: LiveApi) -> None:
    quota = {"metadata": {"name": "cap"}, "spec": {"hard": {"configmaps": "1"}}}
    assert (await live.ask("POST", f"{NS}/resourcequotas", quota)).status == 201
    assert (await live.ask("POST", CONFIGMAPS, configmap("one"))).status == 201
    refused = await live.ask("POST", CONFIGMAPS, configmap("two"))
    said = "exceeded quota: cap, requested: configmaps=1, used: configmaps=1, limited: configmaps=1"
    assert (refused.status, refused.body["message"]) == (403, f'configmaps "two" is forbidden: {said}')
