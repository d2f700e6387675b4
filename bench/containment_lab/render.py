"""A world as Backstop reads it: one look, the target's state, a measurement of its health. The only place that both know."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final

from backstop.cluster.state import target_state, workload_health
from backstop.pipeline.evidence import gather
from backstop.ports import ContainerLog, Look, Probe
from backstop.records import Alert, Evidence, Health, ObjectRef, Omission, ServiceHealth, TargetState, WorkloadRef
from containment_lab import kubernetes
from containment_lab.kubernetes import ALERT_AT, PodView, stamp
from containment_lab.simulation import Fate, failing
from containment_lab.world import Does, Json, World

LOOK_AT: Final = ALERT_AT + timedelta(minutes=2)
"""When the look is taken."""

PROBES: Final = 3


def alert(world: World) -> Alert:
    return Alert(
        id=f"bench-{world.name}",
        name="HighErrorRate",
        target=WorkloadRef(kind="Deployment", namespace=world.namespace, name=world.alerted),
        service=world.alerted,
        summary=f"requests to the {world.alerted} service are failing",
        started_at=ALERT_AT,
    )


def look(world: World) -> Look:
    """One raw look at the world's namespace."""
    views = [view for w in world.here() if w.name not in world.unreadable for view in kubernetes.pods(w, world)]
    objects: list[Json] = [kubernetes.deployment(w, world) for w in world.here()]
    objects += [replica_set for w in world.here() for replica_set in kubernetes.replica_sets(w, world)]
    objects += [view.obj for view in views]
    objects += [obj for service in world.services for obj in kubernetes.service_objects(service, world)]
    objects += [*kubernetes.side_objects(world), *_events(world, views)]
    unread = tuple(
        Omission(
            what="pods",
            why="unreadable",
            about=ObjectRef(kind="Deployment", namespace=world.namespace, name=name),
            detail="timeout",
        )
        for name in world.unreadable
    )
    logs = tuple(log for view in views for log in _logs(view, world))
    probes = tuple(_probe(service.name, number, world) for service in world.services for number in range(PROBES))
    return Look(namespace=world.namespace, objects=tuple(objects), logs=logs, probes=probes, omissions=unread)


def evidence(world: World, *, max_facts: int = 200, max_bytes: int = 96_000) -> Evidence:
    return gather(alert(world), look(world), LOOK_AT, max_facts=max_facts, max_bytes=max_bytes)


@lru_cache(maxsize=64)
def observe(name: str, namespace: str, world: World) -> TargetState | None:
    """The target as it is, None if there is none."""
    workload = world.workload(name, namespace)
    if workload is None:
        return None
    objects = [view.obj for view in kubernetes.pods(workload, world)]
    bounds = kubernetes.side_objects(world) if namespace == world.namespace else []
    autoscalers, budgets = ([b for b in bounds if b["kind"] == kind] for kind in ("HorizontalPodAutoscaler", "PodDisruptionBudget"))
    deployment, replica_sets = kubernetes.deployment(workload, world), kubernetes.replica_sets(workload, world)
    return target_state(deployment, replica_sets, objects, autoscalers, budgets)


def measure(world: World, at: datetime, *, unknown: tuple[str, ...] = ()) -> Health:
    """One measurement: every workload's counters, and requests to every Service."""
    found = [
        workload_health(kubernetes.deployment(w, world), [view.obj for view in kubernetes.pods(w, world)]) for w in world.here()
    ]
    asked = tuple(
        ServiceHealth(service=s.name, requests=PROBES, failures=sum(_fails(s.name, n, world) for n in range(PROBES)))
        for s in world.services
    )
    return Health(at=at, workloads=tuple(found), services=asked, unknown=unknown)


def _fails(service: str, number: int, world: World) -> bool:
    """Of the requests, the share that fails; at least one if any do."""
    share = failing(service, world)
    return share > 0 and number < max(1, round(share * PROBES))


def _probe(service: str, number: int, world: World) -> Probe:
    if not _fails(service, number, world):
        return Probe(service=service, path="/", status=200, body="ok")
    found, workload = world.service(service), world.workload(service)
    if (
        found is None
        or workload is None
        or not found.selects
        or not any(True for v in kubernetes.pods(workload, world) if _is_up(v))
    ):
        return Probe(service=service, path="/", status=503, body=f'no endpoints available for service "{service}"')
    if not found.reaches_port:
        return Probe(service=service, path="/", status=503, body="error trying to reach service: connection refused")
    if workload.current.release.does is Does.ERRS:
        return Probe(service=service, path="/", status=500, body="internal error")
    return Probe(service=service, path="/", status=502, body="upstream failed")


def _is_up(view: PodView) -> bool:
    return view.fate in {Fate.SERVES, Fate.ERRS}


def _logs(view: PodView, world: World) -> list[ContainerLog]:
    lines = _LINES[view.fate](view, world)
    injected = [line for workload, line in world.injected if workload == view.workload.name]
    ref = ObjectRef(kind="Pod", namespace=view.workload.namespace, name=view.name)
    previous = view.fate in {Fate.CRASHES, Fate.KILLED}
    if not lines and not injected:
        return []
    stamped = tuple(f"{stamp(-1.0)} {line}" for line in (*lines, *injected))
    return [ContainerLog(pod=ref, container=kubernetes.CONTAINER, previous=previous, lines=stamped)]


def _serving_lines(view: PodView, world: World) -> list[str]:
    calls = [call for call in view.revision.release.calls if failing(call, world, view.workload.name) > 0]
    said = [
        f"ERROR GET http://{call}:80/ answered 503" if world.service(call) else f"ERROR lookup {call}: no such host"
        for call in calls
    ]
    return ["INFO listening on :8080", *said]


_LINES: Final[dict[Fate, Callable[[PodView, World], list[str]]]] = {
    Fate.SERVES: _serving_lines,
    Fate.ERRS: lambda _v, _w: [
        "INFO listening on :8080",
        "ERROR cannot render the page: template is missing",
        "WARN the database is not at fault: all its queries were answered",
    ],
    Fate.CRASHES: lambda _v, _w: ["INFO starting", "FATAL config schema 3 is not supported by this build"],
    Fate.KILLED: lambda _v, _w: ["INFO starting", "INFO cache is growing"],
    Fate.UNREADY: lambda _v, _w: ["INFO listening on :8080", "WARN GET /health-check 404"],
    Fate.STUCK: lambda _v, _w: ["INFO listening on :8080", "ERROR worker pool is blocked: no request was taken for 90 s"],
    Fate.UNPULLABLE: lambda _v, _w: [],
    Fate.UNCONFIGURED: lambda _v, _w: [],
    Fate.PENDING: lambda _v, _w: [],
}


def _events(world: World, views: list[PodView]) -> list[Json]:
    found = [event for view in views if (event := _pod_event(view))]
    culprit = world.workload(world.truth.culprit) if world.truth.culprit else None
    if culprit is not None and world.scaled_from is not None:
        label = kubernetes.replica_set_name(culprit, culprit.current)
        said = f"Scaled down replica set {label} from {world.scaled_from} to 0"
        found.append(_event(world.namespace, "Deployment", culprit.name, "Normal", "ScalingReplicaSet", said))
    if culprit is not None and world.refusing:
        label = kubernetes.replica_set_name(culprit, culprit.current)
        said = f"Error creating: {kubernetes.refusal(culprit, world)}"
        found.append(_event(world.namespace, "ReplicaSet", label, "Warning", "FailedCreate", said))
    return found


def _pod_event(view: PodView) -> Json | None:
    release = view.revision.release
    said = {
        Fate.UNPULLABLE: ("Failed", f'Failed to pull image "{release.image}": not found'),
        Fate.UNCONFIGURED: ("Failed", f"Error: couldn't find key {release.key} in ConfigMap"),
        Fate.CRASHES: ("BackOff", f"Back-off restarting failed container {kubernetes.CONTAINER}"),
        Fate.KILLED: ("BackOff", f"Back-off restarting failed container {kubernetes.CONTAINER}"),
        Fate.UNREADY: ("Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 404"),
        Fate.STUCK: ("Unhealthy", "Readiness probe failed: context deadline exceeded"),
        Fate.PENDING: ("FailedScheduling", f"0/3 nodes are available: 3 {kubernetes.unplaced(release)}"),
    }.get(view.fate)
    if said is None:
        return None
    return _event(view.workload.namespace, "Pod", view.name, "Warning", *said)


def _event(namespace: str, kind: str, name: str, level: str, reason: str, message: str) -> Json:
    return {
        "kind": "Event",
        "metadata": {
            "name": f"{name}.{kubernetes.digest(name, reason)[:8]}",
            "namespace": namespace,
            "creationTimestamp": stamp(0.5),
        },
        "involvedObject": {"kind": kind, "namespace": namespace, "name": name},
        "type": level,
        "reason": reason,
        "message": message,
        "count": 3,
        "lastTimestamp": stamp(-1.0),
    }
