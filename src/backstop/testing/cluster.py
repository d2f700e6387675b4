"""A cluster of one namespace in memory. Rollouts are over at once, unless `stuck` says otherwise."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from backstop.clock import Clock
from backstop.cluster.state import target_state, workload_health
from backstop.errors import BackstopError, ClusterRefused
from backstop.ports import ContainerLog, Look, Probe
from backstop.records import (
    Alert,
    Describe,
    EventsAbout,
    Health,
    Inspection,
    Logs,
    ObjectRef,
    ProbeService,
    ServiceHealth,
    TargetState,
    WorkloadRef,
)

Json = dict[str, Any]
NAMESPACE = "shop"


@dataclass
class _Workload:
    """One Deployment with its ReplicaSets, newest last, and the Service in front of it."""

    deployment: Json
    replica_sets: list[Json]
    stuck: bool = False  # its pods never become ready
    stuck_since: str = ""


@dataclass
class FakeCluster:
    """The `ClusterPort` of one namespace. Set `read_error` to make every read fail, `unknown` to leave measurements incomplete."""

    clock: Clock
    failing_images: set[str] = field(default_factory=set)
    read_error: BackstopError | None = None
    unknown: tuple[str, ...] = ()
    reads: list[str] = field(default_factory=list)
    before_observe: list[Callable[[], None]] = field(default_factory=list)  # each is called once, before one `observe`
    inspections: dict[str, Inspection] = field(default_factory=dict)  # by the name of the query's class: Describe, Logs, …
    log_lines: dict[str, tuple[str, ...]] = field(default_factory=dict)  # by workload, behind what its containers log anyway
    _workloads: dict[str, _Workload] = field(default_factory=dict)
    _version: int = 100

    def deploy(
        self, name: str, image: str, *, replicas: int, upstream: str | None = None, labels: dict[str, str] | None = None
    ) -> None:
        """A Deployment at revision 1 with a Service of the same name in front of it."""
        env = [{"name": "UPSTREAM", "value": f"http://{upstream}:80"}] if upstream else []
        meta = {"app": name, **(labels or {})}
        container = {"name": "app", "image": image, "env": env, "resources": {"limits": {"memory": "64Mi"}}}
        template = {"metadata": {"labels": meta}, "spec": {"containers": [container]}}
        deployment = {
            "metadata": {
                "name": name, "namespace": NAMESPACE, "uid": _uid("deployment", name), "generation": 0, "labels": meta,
                "annotations": {}, "creationTimestamp": self._stamp(),
            },
            "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": template},
        }  # fmt: skip
        self._workloads[name] = _Workload(deployment, [])
        self.change(name, deployment["spec"])

    def release(self, name: str, image: str) -> None:
        """A new revision with another image."""
        spec = self._workloads[name].deployment["spec"]
        container = {**spec["template"]["spec"]["containers"][0], "image": image}
        self.change(name, {**spec, "template": {**spec["template"], "spec": {"containers": [container]}}})

    def scale(self, name: str, replicas: int) -> None:
        self.change(name, {**self._workloads[name].deployment["spec"], "replicas": replicas})

    def stick(self, name: str, *, stuck: bool = True) -> None:
        """From now on pods of this workload are never ready; or are again."""
        self._workloads[name].stuck, self._workloads[name].stuck_since = stuck, self._stamp()
        self.touch(name)

    def touch(self, name: str) -> None:
        """A change of status only: another resourceVersion, the same generation."""
        self._version += 1
        self._workloads[name].deployment["metadata"]["resourceVersion"] = str(self._version)

    def remove(self, name: str) -> None:
        del self._workloads[name]

    def deployment(self, name: str) -> Json:
        """The Deployment as JSON, not a copy."""
        return self._workloads[name].deployment

    def image(self, name: str) -> str:
        image: str = self._workloads[name].deployment["spec"]["template"]["spec"]["containers"][0]["image"]
        return image

    def change(self, name: str, spec: Json, annotations: dict[str, str] | None = None) -> None:
        """What a write to the spec does: the next generation, and a revision if the template is another one."""
        workload = self._workloads[name]
        meta = workload.deployment["metadata"]
        meta["annotations"] = {**meta["annotations"], **(annotations or {})}
        meta["generation"] += 1
        workload.deployment["spec"] = spec
        self._revise(workload)
        self.touch(name)

    def _revise(self, workload: _Workload) -> None:
        name, template = workload.deployment["metadata"]["name"], workload.deployment["spec"]["template"]
        known = next((r for r in workload.replica_sets if r["spec"]["template"] == template), None)
        number = 1 + max((_revision(r) for r in workload.replica_sets), default=0)
        if known is None:
            label = f"{name}-{_uid('template', str(template))[:8]}"
            owner = _owner("Deployment", name, _uid("deployment", name))
            metadata = {"name": label, "namespace": NAMESPACE, "creationTimestamp": self._stamp(), "ownerReferences": [owner]}
            known = {"metadata": metadata, "spec": {"template": template}}
        elif known is workload.replica_sets[-1]:
            return
        known["metadata"]["annotations"] = {"deployment.kubernetes.io/revision": str(number)}
        workload.replica_sets = [*(r for r in workload.replica_sets if r is not known), known]

    def _stamp(self) -> str:
        return self.clock.now().isoformat(timespec="seconds").replace("+00:00", "Z")

    # What is read.

    async def look(self, alert: Alert) -> Look:
        self._read("look")
        if alert.target.name not in self._workloads:
            raise ClusterRefused(f"there is no {alert.target.key}", status=404, reason="NotFound")
        objects = [obj for name in self._workloads for obj in self._objects(name)]
        failing = [name for name in self._workloads if self.fails(name)]
        logs = tuple(self._log(pod, name) for name in self._workloads for pod in self._pods(name))
        probes = tuple(self._probe(name, name in failing) for name in self._workloads)
        return Look(namespace=NAMESPACE, objects=tuple(objects), logs=logs, probes=probes, omissions=())

    async def inspect(self, namespace: str, query: Describe | Logs | EventsAbout | ProbeService) -> Inspection:
        """What `inspections` holds for a query, else that it is not there."""
        self._read("inspect")
        found = self.inspections.get(type(query).__name__)
        if found is None:
            raise ClusterRefused(f"there is nothing to see of that in {namespace}", status=404, reason="NotFound")
        return found

    async def observe(self, target: WorkloadRef) -> TargetState:
        if self.before_observe:
            self.before_observe.pop(0)()
        self._read("observe")
        if target.name not in self._workloads or target.namespace != NAMESPACE:
            raise ClusterRefused(f"there is no {target.key}", status=404, reason="NotFound")
        return target_state(self._deployment(target.name), self._replica_sets(target.name), self._pods(target.name))

    async def measure(self, namespace: str, services: tuple[str, ...], requests: int) -> Health:
        self._read("measure")
        names = self._workloads if namespace == NAMESPACE else ()
        workloads = tuple(workload_health(self._deployment(name), self._pods(name)) for name in names)
        answers = tuple(
            ServiceHealth(service=name, requests=requests, failures=requests if self.fails(name) else 0) for name in services
        )
        return Health(at=self.clock.now(), workloads=workloads, services=answers, unknown=self.unknown)

    def fails(self, name: str) -> bool:
        """Whether requests to the Service of this name fail: its image does, nobody is ready, or who it calls fails."""
        workload = self._workloads.get(name)
        if (
            workload is None
            or workload.stuck
            or workload.deployment["spec"]["replicas"] == 0
            or self.image(name) in self.failing_images
        ):
            return True
        env = workload.deployment["spec"]["template"]["spec"]["containers"][0]["env"]
        return any(self.fails(e["value"].removeprefix("http://").removesuffix(":80")) for e in env)

    def _read(self, what: str) -> None:
        self.reads.append(what)
        if self.read_error is not None:
            raise self.read_error

    def _objects(self, name: str) -> list[Json]:
        service = {"metadata": {"name": name, "namespace": NAMESPACE}, "spec": {"selector": {"app": name}, "ports": [{"port": 80}]}}
        found = [("Deployment", self._deployment(name)), ("Service", service)]
        found += [("ReplicaSet", r) for r in self._replica_sets(name)] + [("Pod", p) for p in self._pods(name)]
        return [{"kind": kind, **obj} for kind, obj in found]

    def _replica_sets(self, name: str) -> list[Json]:
        """The last one has all the pods."""
        *former, current = self._workloads[name].replica_sets
        return [*former, {**current, "status": {"replicas": self._workloads[name].deployment["spec"]["replicas"]}}]

    def _deployment(self, name: str) -> Json:
        workload = self._workloads[name]
        replicas, generation = workload.deployment["spec"]["replicas"], workload.deployment["metadata"]["generation"]
        ready = 0 if workload.stuck else replicas
        since = workload.stuck_since or self._stamp()
        status = {
            "observedGeneration": generation, "replicas": replicas, "updatedReplicas": replicas, "readyReplicas": ready,
            "availableReplicas": ready,
            "conditions": [{"type": "Available", "status": str(not workload.stuck), "lastTransitionTime": since}],
        }  # fmt: skip
        return {**workload.deployment, "status": status}

    def _pods(self, name: str) -> list[Json]:
        workload = self._workloads[name]
        owner, spec = workload.replica_sets[-1]["metadata"]["name"], workload.deployment["spec"]
        ready = "False" if workload.stuck else "True"
        return [
            {
                "metadata": {
                    "name": f"{owner}-{number}", "namespace": NAMESPACE, "labels": spec["template"]["metadata"]["labels"],
                    "ownerReferences": [_owner("ReplicaSet", owner, "")], "creationTimestamp": self._stamp(),
                },
                "spec": spec["template"]["spec"],
                "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": ready}]},
            }
            for number in range(spec["replicas"])
        ]  # fmt: skip

    def _log(self, pod: Json, name: str) -> ContainerLog:
        failing = self.image(name) in self.failing_images
        said = "ERROR cannot render the page: template is missing" if failing else "INFO serving"
        ref = ObjectRef(kind="Pod", namespace=NAMESPACE, name=pod["metadata"]["name"])
        lines = (said, *self.log_lines.get(name, ()))
        return ContainerLog(pod=ref, container="app", previous=False, lines=tuple(f"{self._stamp()} {line}" for line in lines))

    def _probe(self, name: str, failing: bool) -> Probe:  # noqa: FBT001
        return Probe(service=name, path="/", status=500 if failing else 200, body="error" if failing else "ok")


def _owner(kind: str, name: str, uid: str) -> Json:
    return {"kind": kind, "name": name, "uid": uid, "controller": True}


def _revision(replica_set: Json) -> int:
    return int(replica_set["metadata"]["annotations"]["deployment.kubernetes.io/revision"])


def _uid(*parts: str) -> str:
    return hashlib.sha256("/".join(parts).encode()).hexdigest()[:32]
