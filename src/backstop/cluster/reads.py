"""Every read that an incident needs, with the investigator's identity: bounded, concurrent, and each failing on its own.

What could not be read, or was cut, becomes an `Omission` (look) or an entry of `unknown` (measure): never an exception that hides
the rest, and never a healthy zero.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from backstop.clock import Clock
from backstop.cluster import objects
from backstop.cluster.client import ClusterClient
from backstop.cluster.inspection import Inspector
from backstop.cluster.objects import FRONT, Json, mapping, name, sequence, strings, text
from backstop.cluster.probing import Prober
from backstop.cluster.state import target_state, workload_health
from backstop.cluster.topology import backends, dependencies, reach
from backstop.cluster.writes import object_path
from backstop.errors import ClusterError, ClusterRefused
from backstop.grounds import should_lead
from backstop.ports import ContainerLog, Look, Probe
from backstop.records import (
    Alert,
    Describe,
    EventsAbout,
    Health,
    Inspection,
    Logs,
    ObjectRef,
    Omission,
    ProbeService,
    ServiceHealth,
    TargetState,
    WorkloadHealth,
    WorkloadRef,
)

T = TypeVar("T")

CORE, APPS, DISCOVERY = "/api/v1", "/apis/apps/v1", "/apis/discovery.k8s.io/v1"
KINDS: Mapping[str, str] = {
    "Deployment": f"{APPS}/namespaces/{{}}/deployments",
    "ReplicaSet": f"{APPS}/namespaces/{{}}/replicasets",
    "Pod": f"{CORE}/namespaces/{{}}/pods",
    "Service": f"{CORE}/namespaces/{{}}/services",
    "EndpointSlice": f"{DISCOVERY}/namespaces/{{}}/endpointslices",
    "Event": f"{CORE}/namespaces/{{}}/events",
}
AUTOSCALERS = "/apis/autoscaling/v2/namespaces/{}/horizontalpodautoscalers"
BUDGETS = "/apis/policy/v1/namespaces/{}/poddisruptionbudgets"
BOUNDS: Mapping[str, str] = {
    "HorizontalPodAutoscaler": AUTOSCALERS,
    "PodDisruptionBudget": BUDGETS,
    "ResourceQuota": f"{CORE}/namespaces/{{}}/resourcequotas",
}
"""What bounds workloads. A cluster need not serve these kinds: one that it does not serve it does not have."""
_GONE = "it is gone"


@dataclass(frozen=True)
class ReadLimits:
    """How far one look reads. Deadlines in seconds."""

    page: int = 500
    pages: int = 4
    pods: int = 40
    log_lines: int = 40
    log_bytes: int = 32_768
    services: int = 12
    probes: int = 3
    probe_deadline: float = 4.0  # long enough that a busy machine is not taken for a hung service
    log_deadline: float = 5.0
    concurrency: int = 8


@dataclass
class _Listing:
    """The objects of one namespace by kind, as far as they could be read."""

    namespace: str
    items: dict[str, list[Json]] = field(default_factory=dict)
    omissions: list[Omission] = field(default_factory=list)

    def of(self, kind: str) -> list[Json]:
        return self.items.get(kind, [])

    def omit(self, what: str, why: str, detail: str, about: ObjectRef | None = None) -> None:
        about = about or ObjectRef(kind="Namespace", namespace=self.namespace, name=self.namespace)
        self.omissions.append(Omission.model_validate({"what": what, "why": why, "about": about, "detail": detail}))


class ClusterReads:
    """The `ClusterPort` of a real or embedded cluster."""

    def __init__(self, client: ClusterClient, clock: Clock, limits: ReadLimits | None = None) -> None:
        self._client = client
        self._clock = clock
        self._limits = limits or ReadLimits()
        self._prober = Prober(client, self._limits.probe_deadline, self._limits.concurrency)
        self._inspector = Inspector(client, self._prober)

    async def look(self, alert: Alert) -> Look:
        """Raises ClusterError if the Deployments of the namespace cannot be listed, or the alert's target is not among them."""
        found = _Listing(alert.target.namespace)
        await asyncio.gather(*(self._collect(found, kind, required=kind == "Deployment") for kind in (*KINDS, *BOUNDS)))
        if alert.target.name not in [name(d) for d in found.of("Deployment")]:
            raise _no_such(alert.target, found.of("Deployment"))
        near = reach(alert.target.name, dependencies(found.of("Deployment"), found.of("Service")))
        found.items["Pod"] = self._bounded_pods(found, near)
        logs = await self._logs(found)
        probes = await self._probes(found, alert, near)  # after the logs, so that our own reading does not slow what is probed
        return Look(
            namespace=found.namespace,
            objects=tuple(obj for kind in (*KINDS, *BOUNDS) for obj in found.of(kind)),
            logs=tuple(logs),
            probes=tuple(probes),
            omissions=tuple(found.omissions),
        )

    async def inspect(self, namespace: str, query: Describe | Logs | EventsAbout | ProbeService) -> Inspection:
        return await self._inspector.look(namespace, query)

    async def observe(self, target: WorkloadRef) -> TargetState:
        return (await read_target(self._client, target))[0]

    async def measure(self, namespace: str, services: tuple[str, ...], requests: int) -> Health:
        kinds = ("Deployment", "Pod", "Service")
        found = _Listing(namespace)
        await asyncio.gather(*(self._collect(found, kind) for kind in kinds))
        unknown = [f"{o.what}: {o.detail}" for o in found.omissions]
        workloads: tuple[WorkloadHealth, ...] = ()
        if {"Deployment", "Pod"} <= found.items.keys():
            workloads = tuple(workload_health(d, found.of("Pod")) for d in found.of("Deployment"))
        measured = await asyncio.gather(*(self._service_health(found, service, requests) for service in services))
        unknown += [f"service {health.service}: {why}" for health, why in measured if why]
        return Health(at=self._clock.now(), workloads=workloads, services=tuple(h for h, _ in measured), unknown=tuple(unknown))

    async def _service_health(self, found: _Listing, service: str, requests: int) -> tuple[ServiceHealth, str]:
        obj = next((s for s in found.of("Service") if name(s) == service), None)
        if obj is None:
            why = "it does not exist" if "Service" in found.items else "services could not be listed"
            return ServiceHealth(service=service, requests=0, failures=0), why
        answers = await asyncio.gather(*(self._prober.ask(found.namespace, obj) for _ in range(requests)))
        counted = [answer for answer in answers if answer.known]
        health = ServiceHealth(service=service, requests=len(counted), failures=sum(not answer.ok for answer in counted))
        return health, next((answer.body for answer in answers if not answer.known), "")

    async def _collect(self, found: _Listing, kind: str, *, required: bool = False) -> None:
        """All objects of one kind, up to the limit of pages, with the kind that list items leave out."""
        path, items, token = {**KINDS, **BOUNDS}[kind].format(found.namespace), list[Json](), ""
        try:
            for _ in range(self._limits.pages):
                params: dict[str, str | int] = {"limit": self._limits.page} | ({"continue": token} if token else {})
                page = await self._client.get(path, params)
                version = text(page, "apiVersion")
                items += [_lean({"apiVersion": version, "kind": kind, **item}) for item in sequence(page, "items")]
                token = text(page, "metadata", "continue")
                if not token:
                    break
        except ClusterError as error:
            if required:
                raise
            if kind in BOUNDS and error.status == 404:
                return
            found.omit(f"{kind} objects", "unreadable", error.what)
            return
        if token:
            found.omit(f"{kind} objects", "truncated", f"only the first {len(items)} were read")
        found.items[kind] = sorted(items, key=name)

    def _bounded_pods(self, found: _Listing, near: Sequence[str]) -> list[Json]:
        """The pods of the target and of what it depends on first; no more than the limit."""
        order = {workload: place for place, workload in enumerate(near)}
        selectors = {name(d): mapping(d, "spec", "selector") for d in found.of("Deployment")}

        def place(pod: Json) -> tuple[int, str]:
            labels = strings(pod, "metadata", "labels")
            owners = [order.get(w, len(order)) for w, selector in selectors.items() if objects.selects(selector, labels)]
            return min(owners, default=len(order) + 1), name(pod)

        pods = sorted(found.of("Pod"), key=place)
        if len(pods) > self._limits.pods:
            found.omit("pods", "truncated", f"{len(pods) - self._limits.pods} pods farther from the target were left out")
        return pods[: self._limits.pods]

    async def _logs(self, found: _Listing) -> list[ContainerLog]:
        wanted = [
            (pod, container, previous) for pod in found.of("Pod") for container, previous in containers_with_logs(pod)
        ]  # fmt: skip
        read = await _bounded(self._limits.concurrency, (self._reader(found, *one) for one in wanted))
        gone = {o.about.name for o in found.omissions if o.about.kind == "Pod" and o.why == "unreadable" and o.detail == _GONE}
        found.omissions = [o for o in found.omissions if o.about.name not in gone or o.about.kind != "Pod"]
        found.items["Pod"] = [pod for pod in found.of("Pod") if name(pod) not in gone]  # ended since it was listed
        return [log for log in read if log is not None and log.pod.name not in gone]

    def _reader(self, found: _Listing, pod: Json, container: str, previous: bool) -> Callable[[], Awaitable[ContainerLog | None]]:  # noqa: FBT001
        ref = objects.ref(pod, "Pod")
        params: dict[str, str | int] = {
            "container": container,
            "tailLines": self._limits.log_lines,
            "timestamps": "true",
            "limitBytes": self._limits.log_bytes,
            **({"previous": "true"} if previous else {}),
        }
        what = f"{'previous ' if previous else ''}log of container {container}"

        async def read() -> ContainerLog | None:
            path = f"{KINDS['Pod'].format(found.namespace)}/{ref.name}/log"
            try:
                body, cut = await self._client.log(path, params, limit=self._limits.log_bytes, deadline=self._limits.log_deadline)
            except ClusterError as error:
                found.omit(what, "unreadable", _GONE if error.status == 404 else error.what, ref)
                return None
            if cut or len(body.encode()) >= self._limits.log_bytes:
                found.omit(what, "truncated", f"cut at {self._limits.log_bytes} bytes", ref)
            lines = tuple(objects.clean(line) for line in body.split("\n") if line)[-self._limits.log_lines :]
            return ContainerLog(pod=ref, container=container, previous=previous, lines=lines)

        return read

    async def _probes(self, found: _Listing, alert: Alert, near: Sequence[str]) -> list[Probe]:
        services = {name(s): s for s in found.of("Service")}
        wanted = services_to_probe(found.of("Deployment"), list(services.values()), alert, near)
        for absent in [service for service in wanted if service not in services and "Service" in found.items]:
            about = ObjectRef(kind="Service", namespace=found.namespace, name=absent)
            found.omit(f"probe of service {absent}", "unreadable", "it does not exist", about)
        known = [service for service in wanted if service in services]
        if len(known) > self._limits.services:
            found.omit("probes", "truncated", f"{len(known) - self._limits.services} services were not probed")
        asked = known[: self._limits.services]
        answers = await asyncio.gather(
            *(self._prober.ask(found.namespace, services[service]) for service in asked for _ in range(self._limits.probes))
        )
        for service in asked:
            failed = next((a.body for a in answers if a.service == service and (not a.known or a.other_protocol)), None)
            if failed is not None:
                about = ObjectRef(kind="Service", namespace=found.namespace, name=service)
                found.omit(f"probe of service {service}", "unreadable", failed, about)
        return [
            Probe(service=a.service, path=a.path, status=a.status, body=a.body) for a in answers if a.known and not a.other_protocol
        ]


async def read_target(client: ClusterClient, target: WorkloadRef) -> tuple[TargetState, Json]:
    """The target as it is now by quorum reads, and its JSON. Raises ClusterError; ClusterRefused (404) if it is gone."""
    deployment = await client.get(object_path(target))
    params = {"labelSelector": objects.selector_query(mapping(deployment, "spec", "selector"))}
    replica_sets, pods, autoscalers, budgets = await asyncio.gather(
        client.get(KINDS["ReplicaSet"].format(target.namespace), params),
        client.get(KINDS["Pod"].format(target.namespace), params),
        _if_served(client, AUTOSCALERS.format(target.namespace)),
        _if_served(client, BUDGETS.format(target.namespace)),
    )
    lists = (sequence(found, "items") for found in (replica_sets, pods, autoscalers, budgets))
    return target_state(deployment, *lists), deployment


async def _if_served(client: ClusterClient, path: str) -> Json:
    """A list of a kind that a cluster need not serve: one that it does not serve it does not have. Raises ClusterError."""
    try:
        return await client.get(path)
    except ClusterRefused as error:
        if error.status == 404:
            return {}
        raise


def containers_with_logs(pod: Json) -> list[tuple[str, bool]]:
    """The containers of a pod that have written a log, and whether it is their previous run's. Asking for others is a 400, and a
    pod that is being ended is on its way to a 404."""
    if text(pod, "metadata", "deletionTimestamp"):
        return []
    found: list[tuple[str, bool]] = []
    for status in [*sequence(pod, "status", "initContainerStatuses"), *sequence(pod, "status", "containerStatuses")]:
        container = text(status, "name")
        if any(objects.dig(status, "state", state) is not None for state in ("running", "terminated")):
            found.append((container, False))
        if objects.dig(status, "lastState", "terminated") is not None:
            found.append((container, True))
    return found


def services_to_probe(deployments: Sequence[Json], services: Sequence[Json], alert: Alert, near: Sequence[str]) -> list[str]:
    """The alert's service, those of the target and of what it depends on, those that miss the target, then other front ones."""
    chosen = [alert.service] if alert.service else []
    of = {name(service): backends(service, deployments) for service in services}
    chosen += [service for workload in near for service, found in of.items() if workload in found]
    target = next((d for d in deployments if name(d) == alert.target.name), {})
    labels, idle = strings(target, "spec", "selector", "matchLabels"), [service for service in services if not of[name(service)]]
    chosen += [name(s) for s in idle if should_lead(name(s), strings(s, "spec", "selector"), alert.target.name, labels)]
    chosen += [name(service) for service in services if strings(service, "metadata", "labels").get(FRONT) == "true"]
    return list(dict.fromkeys(chosen))


def _lean(obj: Json) -> Json:
    """An object without the bookkeeping of who set which field."""
    metadata = {k: v for k, v in mapping(obj, "metadata").items() if k != "managedFields"}
    return {**obj, "metadata": metadata}


def _no_such(target: WorkloadRef, deployments: Sequence[Json]) -> ClusterRefused:
    known = ", ".join(name(d) for d in deployments)
    return ClusterRefused(
        f"there is no deployment {target.name} in namespace {target.namespace}",
        status=404,
        reason="NotFound",
        todo=f"it has: {known}" if known else "it has no deployments at all, or does not exist",
    )


async def _bounded(limit: int, calls: Iterable[Callable[[], Awaitable[T]]]) -> list[T]:
    """The results of all calls in their order, no more than `limit` at a time."""
    gate = asyncio.Semaphore(limit)

    async def one(call: Callable[[], Awaitable[T]]) -> T:
        async with gate:
            return await call()

    return list(await asyncio.gather(*(one(call) for call in calls)))
