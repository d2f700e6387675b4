"""Real breaks of the demo fleet, and the way back: plain API calls, as any administrator could make them.

await send(kubeconfig, FAULTS["bad-release"].calls)
await heal(kubeconfig)
"""

from __future__ import annotations

import base64
import json
import ssl
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp
import yaml

from backstop.errors import ClusterError, ClusterUnavailable, ConfigError
from backstop.sandbox.fleet import NAMESPACE, manifests
from backstop.sandbox.resources import CONFIGMAPS, DEPLOYMENTS, SECRETS, SERVICES, Resource, by_kind
from backstop.sandbox.store import Object
from backstop.sandbox.workload import LEAKED

MERGE: Final = "application/merge-patch+json"
JSON_PATCH: Final = "application/json-patch+json"
STRATEGIC: Final = "application/strategic-merge-patch+json"
ANSWER_SECONDS: Final = 10.0
RECREATE: Final[Object] = {"type": "Recreate", "rollingUpdate": None}


@dataclass(frozen=True, slots=True)
class Call:
    """One request to the API server. `expected` are refusals that are no failure."""

    method: str
    path: str
    body: Any
    content_type: str = "application/json"
    expected: frozenset[int] = field(default_factory=frozenset)


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
        Fault("scaled-to-zero", "somebody scaled checkout to zero", (_scale("checkout", 0),)),
        Fault(
            "dependency-down", "somebody scaled prod-db to zero: checkout and catalog lose their upstream", (_scale("prod-db", 0),)
        ),
    )
}


def repair() -> list[Call]:
    """Applies the fleet's manifests again: creates what is missing and puts back what they say about the rest."""
    calls = []
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
        async with session.request(
            call.method, call.path, data=json.dumps(call.body).encode(), headers={"Content-Type": call.content_type}
        ) as answer:
            said = await answer.text()
    except (aiohttp.ClientError, TimeoutError) as error:
        raise ClusterUnavailable(
            f"the cluster did not answer {call.method} {call.path}: {str(error) or type(error).__name__}"
        ) from error
    if answer.status >= 400 and answer.status not in call.expected:
        raise ClusterError(f"{call.method} {call.path}: {said.strip()[:500]}", status=answer.status)


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
