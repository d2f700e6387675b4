"""Real breaks of the demo fleet, and the way back: plain API calls, as any administrator could make them.

await send(kubeconfig, FAULTS["bad-release"].calls)
await heal(kubeconfig)
"""

from __future__ import annotations

import base64
import json
import ssl
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

import aiohttp
import yaml

from backstop.errors import ClusterError, ClusterUnavailable, ConfigError
from backstop.sandbox.fleet import NAMESPACE, manifests
from backstop.sandbox.images import LEAKED
from backstop.sandbox.resources import (
    CONFIGMAPS,
    DEPLOYMENTS,
    PODS,
    RESOURCEQUOTAS,
    SECRETS,
    SERVICES,
    VALIDATINGWEBHOOKCONFIGURATIONS,
    Resource,
    by_kind,
)
from backstop.sandbox.store import Object

MERGE: Final = "application/merge-patch+json"
JSON_PATCH: Final = "application/json-patch+json"
STRATEGIC: Final = "application/strategic-merge-patch+json"
ANSWER_SECONDS: Final = 10.0
WAIT_SECONDS: Final = 60.0
RECREATE: Final[Object] = {"type": "Recreate", "rollingUpdate": None}


@dataclass(frozen=True, slots=True)
class Call:
    """One request to the API server. `expected` are refusals that are no failure.

    With `until` it is a watch of the one object that its path selects, which ends when the object is so; that it is not within
    WAIT_SECONDS is a failure.
    """

    method: str
    path: str
    body: Any = None
    content_type: str = "application/json"
    expected: frozenset[int] = field(default_factory=frozenset)
    until: Callable[[Object], bool] | None = None


@dataclass(frozen=True, slots=True)
class Fault:
    """One way to break the fleet."""

    name: str
    summary: str
    calls: tuple[Call, ...]
    secrets: tuple[str, ...] = ()  # what it brings into logs that nobody may see


def _release(spec: Object, **container: Any) -> Call:
    """A release of checkout: changes its one container and whatever else `spec` has."""
    template = spec.pop("template", {})
    pod = template.get("spec", {}) | {"containers": [{"name": "web", **container}]}
    body = {"spec": {**spec, "template": {"spec": pod}}}
    return Call("PATCH", DEPLOYMENTS.path(NAMESPACE, "checkout"), body, STRATEGIC)


def _scale(name: str, replicas: int) -> Call:
    return Call("PATCH", DEPLOYMENTS.path(NAMESPACE, name, "scale"), {"spec": {"replicas": replicas}}, MERGE)


def _rolled_out(name: str) -> Call:
    """Waits, as `kubectl rollout status` does, until every replica of a Deployment is the new one and available."""
    selected = urlencode({"watch": "true", "fieldSelector": f"metadata.name={name}", "timeoutSeconds": int(WAIT_SECONDS)})
    return Call("GET", f"{DEPLOYMENTS.path(NAMESPACE)}?{selected}", until=_is_rolled_out)


def _is_rolled_out(deployment: Object) -> bool:
    spec, status = deployment["spec"], deployment.get("status") or {}
    counts = [status.get(count, 0) for count in ("replicas", "updatedReplicas", "availableReplicas")]
    return counts == [spec["replicas"]] * 3 and status.get("observedGeneration") == deployment["metadata"]["generation"]


def _drain(app: str) -> Call:
    """Deletes the pods of an application, as draining their node would."""
    return Call("DELETE", f"{PODS.path(NAMESPACE)}?{urlencode({'labelSelector': f'app={app}'})}")


def _service(operation: Object) -> Call:
    return Call("PATCH", SERVICES.path(NAMESPACE, "checkout"), [operation], JSON_PATCH)


_QUOTA: Final[Object] = {"metadata": {"name": "team-budget"}, "spec": {"hard": {"pods": "4"}}}
"""Less than the rest of the fleet has already."""
_WEBHOOK: Final[Object] = {
    "metadata": {"name": "image-policy"},
    "webhooks": [
        {
            "name": "pods.image-policy.example.com",
            "clientConfig": {"service": {"name": "image-policy", "namespace": "policy-system", "path": "/validate"}},
            "rules": [{"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}],
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": NAMESPACE}},
            "failurePolicy": "Fail",
            "sideEffects": "None",
            "admissionReviewVersions": ["v1"],
        }
    ],
}
"""Asks a Service that is not there about every new pod of the fleet."""
_KEY: Final[Object] = {"name": "PAYMENT_KEY", "valueFrom": {"configMapKeyRef": {"name": "checkout-config", "key": "PAYMENT_KEY"}}}

FAULTS: Final[dict[str, Fault]] = {
    fault.name: fault
    for fault in (
        Fault(
            "bad-release",
            "checkout is released with 1.2-errors: it becomes Ready and answers 500 to every request",
            (_release({}, image="demo/web:1.2-errors"),),
        ),
        Fault(
            "verbose-release",
            "checkout is released with 1.2-verbose: it answers 500 to every request, and logs credentials and customers",
            (_release({}, image="demo/web:1.2-verbose"),),
            LEAKED,
        ),
        Fault(
            "bad-image",
            "checkout is recreated with an image that nobody published",
            (_release({"strategy": RECREATE}, image="demo/web:1.2-unpublished"),),
        ),
        Fault(
            "crash-loop",
            "checkout is recreated with 1.2-crash, which says why and exits 1 at start",
            (_release({"strategy": RECREATE}, image="demo/web:1.2-crash"),),
        ),
        Fault(
            "oom",
            "checkout is released with 1.2-leak, which grows until the kubelet kills it at its memory limit",
            (_release({}, image="demo/web:1.2-leak"),),
        ),
        Fault(
            "missing-config-key",
            "checkout is recreated with 1.2-needs-key, whose PAYMENT_KEY is not in its ConfigMap",
            (_release({"strategy": RECREATE}, image="demo/web:1.2-needs-key", env=[_KEY]),),
        ),
        Fault(
            "unschedulable",
            "checkout is recreated with a node selector that no node has",
            (_release({"strategy": RECREATE, "template": {"spec": {"nodeSelector": {"disktype": "ssd"}}}}),),
        ),
        Fault(
            "hang",
            "checkout is released with 1.2-hang, which stops answering two seconds after its start",
            (_release({}, image="demo/web:1.2-hang"),),
        ),
        Fault(
            "wrong-upstream",
            "checkout is released with an UPSTREAM that names a host that is not there: it becomes Ready and answers 502",
            (_release({}, env=[{"name": "UPSTREAM", "value": "http://prod-database:5432"}]),),
        ),
        Fault(
            "bad-probe",
            "checkout is recreated with a readiness probe that asks a path that answers 404: its pods never become Ready",
            (_release({"strategy": RECREATE}, readinessProbe={"httpGet": {"path": "/ready"}}),),
        ),
        Fault(
            "memory-limit",
            "checkout is recreated with a memory limit far too small for its healthy image: the kubelet kills it at its start",
            (_release({"strategy": RECREATE}, resources={"requests": {"memory": "2Mi"}, "limits": {"memory": "4Mi"}}),),
        ),
        Fault(
            "too-large-request",
            "checkout is recreated with a request for 64 cpu, which no node has: its pods stay Pending",
            (_release({"strategy": RECREATE}, resources={"requests": {"cpu": "64"}}),),
        ),
        Fault(
            "quota",
            "a quota leaves the namespace no room for pods, then checkout's pods are drained: no new one may be created",
            (Call("POST", RESOURCEQUOTAS.path(NAMESPACE), _QUOTA, expected=frozenset((409,))), _drain("checkout")),
        ),
        Fault(
            "service-port",
            "checkout's Service is aimed at a port that nobody listens on",
            (_service({"op": "replace", "path": "/spec/ports/0/targetPort", "value": 8081}),),
        ),
        Fault(
            "service-selector",
            "checkout's Service is given a selector that selects nothing",
            (_service({"op": "replace", "path": "/spec/selector", "value": {"app": "checkout-web"}}),),
        ),
        Fault(
            "webhook-down",
            "a webhook must be asked about every new pod and its Service is not there, then checkout's pods are drained",
            (Call("POST", VALIDATINGWEBHOOKCONFIGURATIONS.path(), _WEBHOOK, expected=frozenset((409,))), _drain("checkout")),
        ),
        Fault(
            "injection",
            "checkout is released with 1.2-injected: it answers 500, and its log orders the reader to scale prod-db to 0",
            (_release({}, image="demo/web:1.2-injected"),),
        ),
        Fault(
            "fix-makes-worse",
            "checkout is released with 1.1-lock, then with 1.2-errors: the release before the bad one locks the database",
            (
                _release({"minReadySeconds": 1}, image="demo/web:1.1-lock"),  # so that it is seen to have run well for a while
                _rolled_out("checkout"),
                _release({"minReadySeconds": 0}, image="demo/web:1.2-errors"),
            ),
        ),
        Fault("scaled-to-zero", "somebody scaled checkout to zero", (_scale("checkout", 0),)),
        Fault(
            "dependency-down", "somebody scaled prod-db to zero: checkout and catalog lose their upstream", (_scale("prod-db", 0),)
        ),
        Fault("none", "nothing is broken", ()),
    )
}


def repair() -> list[Call]:
    """Takes away what the faults added, then applies the fleet's manifests again: creates what is missing and puts back what they
    say about the rest."""
    absent = frozenset((404,))
    calls = [
        Call("DELETE", RESOURCEQUOTAS.path(NAMESPACE, _QUOTA["metadata"]["name"]), expected=absent),
        Call("DELETE", VALIDATINGWEBHOOKCONFIGURATIONS.path("", _WEBHOOK["metadata"]["name"]), expected=absent),
    ]
    for obj in manifests():
        resource = by_kind(obj["apiVersion"], obj["kind"])
        assert resource is not None  # noqa: S101  our own manifests
        namespace, name = obj["metadata"].get("namespace", ""), obj["metadata"]["name"]
        calls.append(Call("POST", resource.path(namespace), obj, expected=frozenset((409,))))
        if operations := [{"op": "add", "path": f"/{path}", "value": _at(obj, path)} for path in _PUT_BACK.get(resource, ())]:
            calls.append(Call("PATCH", resource.path(namespace, name), operations, JSON_PATCH))
    return calls


_PUT_BACK: Final[dict[Resource, tuple[str, ...]]] = {
    CONFIGMAPS: ("data",),
    SECRETS: ("data",),
    SERVICES: ("metadata/labels", "spec/selector", "spec/ports"),
    DEPLOYMENTS: ("metadata/labels", "spec"),
}


def _at(obj: Object, path: str) -> Any:
    value: Any = obj
    for key in path.split("/"):
        value = value[key]
    return value


async def heal(kubeconfig: Path) -> None:
    """Makes the fleet as its manifests say. Raises ClusterError, ClusterUnavailable, ConfigError."""
    await send(kubeconfig, repair())


async def send(kubeconfig: Path, calls: Iterable[Call]) -> None:
    """Makes the calls in order, with the identity of a kubeconfig. Raises ClusterError, ClusterUnavailable, ConfigError."""
    server, trust, token = _read(kubeconfig)
    timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
    headers = {"Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession(
        server, connector=aiohttp.TCPConnector(ssl=trust), headers=headers, timeout=timeout
    ) as session:
        for call in calls:
            await _make(session, call)


async def _make(session: aiohttp.ClientSession, call: Call) -> None:
    try:
        if call.until is not None:
            await _watch(session, call, call.until)
            return
        data = None if call.body is None else json.dumps(call.body).encode()
        headers = {} if data is None else {"Content-Type": call.content_type}
        async with session.request(call.method, call.path, data=data, headers=headers) as answer:
            _must_succeed(call, answer.status, await answer.text())
    except (aiohttp.ClientError, TimeoutError) as error:
        raise ClusterUnavailable(
            f"the cluster did not answer {call.method} {call.path}: {str(error) or type(error).__name__}"
        ) from error


async def _watch(session: aiohttp.ClientSession, call: Call, good: Callable[[Object], bool]) -> None:
    timeout = aiohttp.ClientTimeout(total=WAIT_SECONDS + ANSWER_SECONDS)
    async with session.get(call.path, timeout=timeout) as answer:
        if answer.status >= 400:
            _must_succeed(call, answer.status, await answer.text())
        async for line in answer.content:
            if good(json.loads(line)["object"]):
                return
    raise ClusterUnavailable(f"what GET {call.path} waits for has not come within {WAIT_SECONDS:.0f} s")


def _must_succeed(call: Call, status: int, said: str) -> None:
    if status >= 400 and status not in call.expected:
        raise ClusterError(f"{call.method} {call.path}: {said.strip()[:500]}", status=status)


def _read(kubeconfig: Path) -> tuple[str, ssl.SSLContext, str]:
    try:
        config = yaml.safe_load(kubeconfig.read_text(encoding="utf-8"))
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        ca = base64.b64decode(cluster["certificate-authority-data"]).decode()
        return cluster["server"], ssl.create_default_context(cadata=ca), user["token"]
    except (OSError, yaml.YAMLError, KeyError, IndexError, TypeError, ValueError, ssl.SSLError) as error:
        raise ConfigError(
            f"{kubeconfig} is not a kubeconfig of an embedded cluster", todo="start one: backstop sandbox up"
        ) from error
