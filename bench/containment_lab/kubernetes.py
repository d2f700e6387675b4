"""A world as the API server would show it: Deployments, ReplicaSets, Pods, Services, EndpointSlices and what else matters."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from containment_lab.simulation import READY, Fate, fate_of, ready
from containment_lab.world import TOO_MUCH_CPU, Json, Pods, Release, Revision, Service, Workload, World, total

ALERT_AT: Final = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
"""When every alert begins. Minutes of a world count back from here."""

CONTAINER: Final = "app"
_PORT: Final = {"name": "http", "containerPort": 8080, "protocol": "TCP"}
_SETTLED_MINUTES: Final = 1440.0


def digest(*parts: object) -> str:
    """A stable word for what a cluster would make up."""
    return hashlib.sha256("/".join(map(str, parts)).encode()).hexdigest()


def uid(*parts: object) -> str:
    raw = digest("uid", *parts)
    return f"{raw[:8]}-{raw[8:12]}-{raw[12:16]}-{raw[16:20]}-{raw[20:32]}"


def stamp(minutes_before: float) -> str:
    at = ALERT_AT - timedelta(minutes=minutes_before)
    return at.isoformat(timespec="seconds").replace("+00:00", "Z")


def workload_uid(workload: Workload) -> str:
    return uid(workload.namespace, workload.name, workload.life)


def template(workload: Workload, release: Release) -> Json:
    """The pod template of a release."""
    env: list[Json] = [{"name": f"UPSTREAM_{n}", "value": f"http://{call}:80"} for n, call in enumerate(release.calls, 1)]
    if release.key is not None:
        source = {"configMapKeyRef": {"name": f"{workload.name}-config", "key": release.key}}
        env.append({"name": release.key, "valueFrom": source})
    container = {
        "name": CONTAINER,
        "image": release.image,
        "ports": [_PORT],
        "env": env,
        "readinessProbe": {"httpGet": {"path": release.probe_path, "port": "http"}, "periodSeconds": 5},
        "resources": {"requests": {"cpu": release.cpu, "memory": "32Mi"}, "limits": {"memory": f"{release.limit_mib}Mi"}},
    }
    spec: Json = {"containers": [container]}
    if release.node_selector is not None:
        spec["nodeSelector"] = dict([release.node_selector])
    metadata: Json = {"labels": dict(workload.labels)}
    if release.restarted:
        metadata["annotations"] = {"kubectl.kubernetes.io/restartedAt": stamp(float(-release.restarted))}
    return {"metadata": metadata, "spec": spec}


def replica_set_name(workload: Workload, revision: Revision) -> str:
    return f"{workload.name}-{digest(workload.name, workload.life, revision.release)[:10]}"


@dataclass(frozen=True)
class PodView:
    """One pod: which of which group it is, what becomes of it, and its object."""

    workload: Workload
    revision: Revision
    fate: Fate
    obj: Json

    @property
    def name(self) -> str:
        return str(self.obj["metadata"]["name"])


def deployment(workload: Workload, world: World) -> Json:
    available, current = ready(workload, world), workload.current.number
    updated = sum(group.count for group in workload.pods if group.revision == current)
    rolling = {"maxUnavailable": workload.max_unavailable, "maxSurge": workload.max_surge}
    spec: Json = {
        "replicas": workload.desired,
        "selector": {"matchLabels": {"app": workload.name}},
        "strategy": {"type": "Recreate"}
        if workload.strategy == "Recreate"
        else {"type": "RollingUpdate", "rollingUpdate": rolling},
        "template": template(workload, workload.current.release),
    }
    if workload.paused:
        spec["paused"] = True
    return {
        "kind": "Deployment",
        "metadata": {
            "name": workload.name,
            "namespace": workload.namespace,
            "uid": workload_uid(workload),
            "resourceVersion": str(workload.version),
            "generation": workload.generation,
            "labels": dict(workload.labels),
            "annotations": {"deployment.kubernetes.io/revision": str(current)},
            "creationTimestamp": stamp(workload.revisions[0].minutes + 30),
        },
        "spec": spec,
        "status": {
            "observedGeneration": workload.generation,
            "replicas": total(workload.pods),
            "updatedReplicas": updated,
            "readyReplicas": available,
            "availableReplicas": available,
            "conditions": _conditions(workload, world, available, updated),
        },
    }


def _conditions(workload: Workload, world: World, available: int, updated: int) -> list[Json]:
    enough = available >= workload.desired - (workload.max_unavailable if workload.strategy == "RollingUpdate" else 0)
    since = stamp(_since(workload))
    conditions = [
        {
            "type": "Available",
            "status": "True" if enough else "False",
            "reason": "MinimumReplicasAvailable" if enough else "MinimumReplicasUnavailable",
            "message": f"Deployment {'has' if enough else 'does not have'} minimum availability.",
            "lastTransitionTime": since,
            "lastUpdateTime": since,
        }
    ]
    newest = [group for group in workload.pods if group.revision == workload.current.number]
    done = updated >= workload.desired and all(fate_of(g, workload, world) in READY or g.stuck for g in newest)
    label = replica_set_name(workload, workload.current)
    conditions.append(
        {
            "type": "Progressing",
            "status": "True" if done else "False",
            "reason": "NewReplicaSetAvailable" if done else "ProgressDeadlineExceeded",
            "message": f'ReplicaSet "{label}" has {"successfully progressed" if done else "timed out progressing"}.',
            "lastTransitionTime": since,
            "lastUpdateTime": since,
        }
    )
    if world.refusing and total(workload.pods) < workload.desired:
        conditions.append(
            {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": refusal(workload, world)}
        )
    return conditions


def _since(workload: Workload) -> float:
    """Minutes before the alert at which things came to be as they are."""
    return min(5.0, max(0.5, workload.current.minutes)) if workload.current.minutes < _SETTLED_MINUTES else 4.0


def refusal(workload: Workload, world: World) -> str:
    """What the API server says of a new pod."""
    if world.refusing == "quota":
        label = f"{replica_set_name(workload, workload.current)}-x"
        return f'pods "{label}" is forbidden: exceeded quota: compute, requested: pods=1, used: pods=12, limited: pods=12'
    return (
        'Internal error occurred: failed calling webhook "pods.guard.example": failed to call webhook: Post '
        '"https://guard.guard-system.svc:443/validate?timeout=10s": service "guard" not found'
    )


def replica_sets(workload: Workload, world: World) -> list[Json]:
    return [_replica_set(workload, revision, world) for revision in workload.revisions]


def _replica_set(workload: Workload, revision: Revision, world: World) -> Json:
    mine = [group for group in workload.pods if group.revision == revision.number]
    label = replica_set_name(workload, revision)
    return {
        "kind": "ReplicaSet",
        "metadata": {
            "name": label,
            "namespace": workload.namespace,
            "uid": uid(workload.namespace, label),
            "annotations": {"deployment.kubernetes.io/revision": str(revision.number)},
            "creationTimestamp": stamp(revision.minutes),
            "ownerReferences": [_owner("Deployment", workload.name, workload_uid(workload))],
        },
        "spec": {"template": template(workload, revision.release), "replicas": total(mine)},
        "status": {
            "replicas": total(mine),
            "readyReplicas": sum(g.count for g in mine if fate_of(g, workload, world) in READY),
        },
    }


def pods(workload: Workload, world: World) -> list[PodView]:
    return [view for group in workload.pods for view in _group(workload, group, world)]


def _group(workload: Workload, group: Pods, world: World) -> Iterator[PodView]:
    revision = workload.revision(group.revision)
    if revision is None:
        return
    for number in range(group.count):
        yield _pod(workload, revision, fate_of(group, workload, world), f"{group.stuck}{number}")


def _pod(workload: Workload, revision: Revision, becomes: Fate, salt: str) -> PodView:
    owner = replica_set_name(workload, revision)
    label = f"{owner}-{digest(owner, salt)[:5]}"
    is_ready = becomes in READY
    made = min(revision.minutes, _SETTLED_MINUTES)
    conditions = [{"type": "Ready", "status": "True" if is_ready else "False"}]
    placed = becomes is not Fate.PENDING
    message = "" if placed else "0/3 nodes are available: 3 " + unplaced(revision.release)
    conditions.append(
        {
            "type": "PodScheduled",
            "status": "True" if placed else "False",
            **({} if placed else {"reason": "Unschedulable", "message": message}),
        }
    )
    started = becomes in {*READY, Fate.UNREADY, Fate.STUCK, Fate.CRASHES, Fate.KILLED}
    obj = {
        "kind": "Pod",
        "metadata": {
            "name": label,
            "namespace": workload.namespace,
            "uid": uid(workload.namespace, label),
            "labels": {**dict(workload.labels), "pod-template-hash": owner.rpartition("-")[2]},
            "creationTimestamp": stamp(made),
            "ownerReferences": [_owner("ReplicaSet", owner, uid(workload.namespace, owner))],
        },
        "spec": template(workload, revision.release)["spec"],
        "status": {
            "phase": "Running" if started else "Pending",
            "conditions": conditions,
            "containerStatuses": [_container(workload, revision.release, becomes, made)] if placed else [],
        },
    }
    return PodView(workload, revision, becomes, obj)


def unplaced(release: Release) -> str:
    return "Insufficient cpu." if release.cpu == TOO_MUCH_CPU else "node(s) didn't match Pod's node affinity/selector."


def _container(workload: Workload, release: Release, becomes: Fate, made: float) -> Json:
    running = {"running": {"startedAt": stamp(made)}}
    state: Json = running
    last: Json = {}
    match becomes:
        case Fate.UNPULLABLE:
            state = _waiting("ImagePullBackOff", f'Back-off pulling image "{release.image}": not found')
        case Fate.UNCONFIGURED:
            message = f"couldn't find key {release.key} in ConfigMap {workload.namespace}/{workload.name}-config"
            state = _waiting("CreateContainerConfigError", message)
        case Fate.CRASHES | Fate.KILLED:
            state = _waiting("CrashLoopBackOff", "back-off 1m20s restarting failed container")
            reason, code = ("OOMKilled", 137) if becomes is Fate.KILLED else ("Error", 1)
            last = {"terminated": {"reason": reason, "exitCode": code, "finishedAt": stamp(0.5)}}
        case _:
            pass
    return {
        "name": CONTAINER,
        "image": release.image,
        "ready": becomes in READY,
        "restartCount": 5 if last else 0,
        "state": state,
        "lastState": last,
    }


def _waiting(reason: str, message: str) -> Json:
    return {"waiting": {"reason": reason, "message": message}}


def service_objects(service: Service, world: World) -> list[Json]:
    workload = world.workload(service.name)
    chosen = {"app": service.name} if service.selects else {"app": f"{service.name}-v2"}
    port = {"port": service.port, "protocol": "TCP", "targetPort": "http" if service.reaches_port else 9999}
    meta = {"name": service.name, "namespace": world.namespace, "uid": uid(world.namespace, "svc", service.name)}
    labels = {"app": service.name} | ({"backstop.dev/front": "true"} if service.name == world.alerted else {})
    endpoints = [
        {"addresses": ["10.0.0.1"], "conditions": {"ready": view.fate in READY}}
        for view in (pods(workload, world) if workload and service.selects else [])
        if view.fate not in {Fate.PENDING, Fate.UNPULLABLE, Fate.UNCONFIGURED}
    ]
    return [
        {
            "kind": "Service",
            "metadata": {**meta, "labels": labels, "creationTimestamp": stamp(70_000)},
            "spec": {"selector": chosen, "ports": [port]},
        },
        {
            "kind": "EndpointSlice",
            "metadata": {
                "name": f"{service.name}-abcde", "namespace": world.namespace,
                "labels": {"kubernetes.io/service-name": service.name},
            },
            "endpoints": endpoints,
        },
    ]  # fmt: skip


def side_objects(world: World) -> list[Json]:
    """Autoscalers, disruption budgets and the quota, for whoever reads them."""
    found: list[Json] = []
    for workload in world.here():
        meta = {"name": workload.name, "namespace": world.namespace}
        if workload.autoscaled:
            aim = {"apiVersion": "apps/v1", "kind": "Deployment", "name": workload.name}
            spec = {"scaleTargetRef": aim, "minReplicas": 1, "maxReplicas": max(2, workload.usual * 2)}
            found.append({"kind": "HorizontalPodAutoscaler", "metadata": meta, "spec": spec})
        if workload.budget is not None:
            selector = {"selector": {"matchLabels": {"app": workload.name}}, "minAvailable": workload.budget}
            allowed = {"disruptionsAllowed": max(0, ready(workload, world) - workload.budget)}
            found.append({"kind": "PodDisruptionBudget", "metadata": meta, "spec": selector, "status": allowed})
    if world.refusing == "quota":
        room = {"pods": "12"}
        status = {"hard": room, "used": room}
        found.append(
            {
                "kind": "ResourceQuota",
                "metadata": {"name": "compute", "namespace": world.namespace},
                "spec": {"hard": room},
                "status": status,
            }
        )
    return found


def _owner(kind: str, name: str, owner_uid: str) -> Json:
    return {"kind": kind, "name": name, "uid": owner_uid, "controller": True}
