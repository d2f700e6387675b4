"""Deployments make ReplicaSets: revisions, RollingUpdate, Recreate, scaling, pausing, deadlines, history."""

from __future__ import annotations

from typing import Any

from backstop.sandbox.controllers import conditions, revisions
from backstop.sandbox.controllers.recorder import NORMAL, WARNING, Recorder
from backstop.sandbox.controllers.rollout import Size, grow, proportional, shrink
from backstop.sandbox.controllers.state import controller_of, is_controlled_by, is_finished
from backstop.sandbox.controllers.work import WorkQueue
from backstop.sandbox.registry import Registry
from backstop.sandbox.resources import DEPLOYMENTS, PODS, REPLICASETS, Resource
from backstop.sandbox.status import StatusError
from backstop.sandbox.store import Object

REVISION_FIELDS = (revisions.REVISION, revisions.DESIRED, revisions.MAX)


class DeploymentController:
    """Moves one Deployment one step per call of `reconcile`; every change of its ReplicaSets or pods calls it again."""

    def __init__(self, registry: Registry, recorder: Recorder) -> None:
        self._registry = registry
        self._recorder = recorder

    def watch(self, queue: WorkQueue, resource: Resource, obj: Object, _old: Object | None) -> None:
        """Puts the Deployment that a change concerns on the queue."""
        meta = obj["metadata"]
        owner = controller_of(obj)
        if resource is DEPLOYMENTS:
            queue.add(meta["namespace"], meta["name"])
        elif resource is REPLICASETS and owner is not None and owner["kind"] == "Deployment":
            queue.add(meta["namespace"], owner["name"])
        elif resource is PODS and owner is not None and owner["kind"] == "ReplicaSet":
            replicaset = self._registry.store.get(REPLICASETS, meta["namespace"], owner["name"])
            above = controller_of(replicaset) if replicaset else None
            if above is not None and above["kind"] == "Deployment":
                queue.add(meta["namespace"], above["name"])

    def reconcile(self, namespace: str, name: str) -> float | None:
        """One step. Answers in how many seconds the progress deadline should be looked at."""
        deployment = self._registry.find(DEPLOYMENTS, namespace, name)
        if deployment is None:
            return None
        return Step(self._registry, self._recorder, deployment).take()


class Step:
    """One look at one Deployment and what follows from it."""

    def __init__(self, registry: Registry, recorder: Recorder, deployment: Object) -> None:
        self._registry = registry
        self._recorder = recorder
        self.deployment = deployment
        self.namespace = deployment["metadata"]["namespace"]
        self.now = registry.timestamp()
        owned = [rs for rs in registry.store.every(REPLICASETS, self.namespace) if is_controlled_by(rs, deployment)]
        self.replicasets = sorted(owned, key=revisions.age_order)
        self.new = revisions.current(deployment, self.replicasets)

    # What there is

    @property
    def old(self) -> list[Object]:
        """Every ReplicaSet but the current one, oldest first."""
        return [rs for rs in self.replicasets if rs is not self.new]

    @property
    def active_old(self) -> list[Object]:
        return [rs for rs in self.old if rs["spec"].get("replicas", 0) > 0]

    @property
    def replicas(self) -> int:
        return int(self.deployment["spec"].get("replicas", 1))

    @property
    def has_deadline(self) -> bool:
        return conditions.deadline_of(self.deployment) is not None

    # The step

    def take(self) -> float | None:
        if "deletionTimestamp" in self.deployment["metadata"]:
            return self._write(conditions.next_status(self.deployment, self.new, self.replicasets, self.now))
        self._say_paused()
        if self.deployment["spec"].get("paused") or self._is_scaling():
            return self._sync_scale()
        if (self.deployment["spec"].get("strategy") or {}).get("type") == "Recreate":
            return self._recreate()
        return self._roll()

    def _roll(self) -> float | None:
        new = self._revise(create=True)
        assert new is not None  # noqa: S101  create=True answers one or raises
        limits = revisions.limits_of(self.deployment)
        wanted = grow(limits, _size(new), [_footprint(rs) for rs in self.old])
        if not self._scale(new, wanted):
            targets = shrink(limits, _size(new), [_size(rs) for rs in self.active_old])
            for rs in self.active_old:
                self._scale(rs, targets.get(rs["metadata"]["name"], rs["spec"]["replicas"]))
            if not targets:
                self._forget_old()
        return self._report()

    def _recreate(self) -> float | None:
        self._revise(create=False)
        scaled = [self._scale(rs, 0) for rs in self.active_old]
        if any(scaled) or self._old_pods_run():
            return self._report()
        new = self._revise(create=True)
        assert new is not None  # noqa: S101
        if not self._scale(new, self.replicas):
            self._forget_old()
        return self._report()

    def _old_pods_run(self) -> bool:
        old = {rs["metadata"]["uid"] for rs in self.old}
        for pod in self._registry.store.every(PODS, self.namespace):
            owner = controller_of(pod)
            if owner is not None and owner["uid"] in old and not is_finished(pod):
                return True
        return False

    def _is_scaling(self) -> bool:
        for rs in self.replicasets:
            desired = (rs["metadata"].get("annotations") or {}).get(revisions.DESIRED)
            if rs["spec"].get("replicas", 0) and desired is not None and desired != str(self.replicas):
                return True
        return False

    def _sync_scale(self) -> float | None:
        self._revise(create=False)
        self._rescale()
        if self.deployment["spec"].get("paused"):
            self._forget_old()
        return self._write(conditions.next_status(self.deployment, self.new, self.replicasets, self.now))

    def _rescale(self) -> None:
        active = [rs for rs in self.replicasets if rs["spec"].get("replicas", 0) > 0]
        only = active[0] if len(active) == 1 else None
        if not active:
            only = self.new or (self.replicasets[-1] if self.replicasets else None)
        if only is not None:
            self._scale(only, self.replicas)
        elif self.new is not None and self._is_saturated(self.new):
            for rs in self.active_old:
                self._scale(rs, 0)
        elif (self.deployment["spec"].get("strategy") or {}).get("type") != "Recreate":
            most = [(_size(rs), int((rs["metadata"].get("annotations") or {}).get(revisions.MAX, 0))) for rs in active]
            targets = proportional(revisions.limits_of(self.deployment), most)
            for rs in active:
                self._scale(rs, targets[rs["metadata"]["name"]])

    def _is_saturated(self, rs: Object) -> bool:
        annotations = rs["metadata"].get("annotations") or {}
        available = (rs.get("status") or {}).get("availableReplicas", 0)
        return rs["spec"].get("replicas", 0) == self.replicas == available and annotations.get(revisions.DESIRED) == str(
            self.replicas
        )

    # Writing

    def _revise(self, *, create: bool) -> Object | None:
        """Makes the current ReplicaSet the newest revision, creating it if asked; the Deployment's annotation follows."""
        revision = max((revisions.revision_of(rs) for rs in self.old), default=0) + 1
        if self.new is None:
            if not create:
                return None
            self._create(revision)
        else:
            self._annotate(self.new, revision)
            if self.has_deadline and conditions.find(self._status, "Progressing") is None:
                self._condition("True", "FoundNewReplicaSet", f'Found new replica set "{self.new["metadata"]["name"]}"')
        assert self.new is not None  # noqa: S101
        said = str(revisions.revision_of(self.new))
        if (self.deployment["metadata"].get("annotations") or {}).get(revisions.REVISION) != said:
            self._annotate_deployment(said)
        return self.new

    def _create(self, revision: int) -> None:
        limits = revisions.limits_of(self.deployment)
        count = grow(limits, Size("", 0, 0), [_footprint(rs) for rs in self.old])
        wanted = revisions.build(self.deployment, revision, count)
        name = wanted["metadata"]["name"]
        try:
            self.new = self._registry.create(REPLICASETS, self.namespace, wanted)
        except StatusError as refused:
            self._creation_failed(name, refused)
            raise
        self.replicasets.append(self.new)
        if count:
            self._recorder.event(self.deployment, NORMAL, "ScalingReplicaSet", f"Scaled up replica set {name} from 0 to {count}")
        if self.has_deadline:
            self._condition("True", "NewReplicaSetCreated", f'Created new replica set "{name}"')

    def _creation_failed(self, name: str, refused: StatusError) -> None:
        if refused.reason == "AlreadyExists":  # another template with the same hash: the next one is salted
            collisions = self._status.get("collisionCount", 0) + 1
            self._update_status({**self._status, "collisionCount": collisions})
            return
        why = f'Failed to create new replica set "{name}": {refused.message}'
        self._recorder.event(self.deployment, WARNING, "ReplicaSetCreateError", why)
        if self.has_deadline:
            self._condition("False", "ReplicaSetCreateError", why)

    def _annotate(self, rs: Object, revision: int) -> None:
        minimum = self.deployment["spec"].get("minReadySeconds", 0)

        def change(obj: Object) -> None:
            revisions.annotate(self.deployment, obj, revision)
            if obj["spec"].get("minReadySeconds", 0) != minimum:
                obj["spec"]["minReadySeconds"] = minimum

        self._replace(rs, self._registry.mutate(REPLICASETS, self.namespace, rs["metadata"]["name"], change))

    def _scale(self, rs: Object, wanted: int) -> bool:
        """Sets a ReplicaSet's size, says so, and keeps its annotations true. Answers whether the size changed."""
        before = rs["spec"].get("replicas", 0)

        def change(obj: Object) -> None:
            obj["spec"]["replicas"] = wanted
            obj["metadata"].setdefault("annotations", {}).update(revisions.replica_annotations(self.deployment))

        name = rs["metadata"]["name"]
        if wanted == before and not self._is_scaling():
            return False
        self._replace(rs, self._registry.mutate(REPLICASETS, self.namespace, name, change))
        if wanted == before:
            return False
        direction = "up" if wanted > before else "down"
        said = f"Scaled {direction} replica set {name} from {before} to {wanted}"
        self._recorder.event(self.deployment, NORMAL, "ScalingReplicaSet", said)
        return True

    def _replace(self, before: Object, after: Object) -> None:
        self.replicasets = [after if rs is before else rs for rs in self.replicasets]
        if before is self.new:
            self.new = after

    def _forget_old(self) -> None:
        """Deletes what the history limit leaves no room for."""
        limit = self.deployment["spec"].get("revisionHistoryLimit", 10)
        done = self.deployment["spec"].get("paused") or conditions.is_complete(self.deployment, self._status)
        if limit is None or not done:
            return
        empty = [rs for rs in self.old if not rs["spec"].get("replicas") and not (rs.get("status") or {}).get("replicas")]
        for rs in sorted(empty, key=revisions.revision_of)[: max(0, len(empty) - limit)]:
            self._registry.delete(REPLICASETS, self.namespace, rs["metadata"]["name"])
            self.replicasets = [kept for kept in self.replicasets if kept is not rs]

    # Status

    @property
    def _status(self) -> dict[str, Any]:
        return self.deployment.get("status") or {}

    def _say_paused(self) -> None:
        found = conditions.find(self._status, "Progressing")
        if not self.has_deadline or (found is not None and found["reason"] == conditions.TIMED_OUT):
            return
        paused, said = bool(self.deployment["spec"].get("paused")), found is not None and found["reason"] == conditions.PAUSED
        if paused and not said:
            self._condition("Unknown", conditions.PAUSED, "Deployment is paused")
        elif said and not paused:
            self._condition("Unknown", "DeploymentResumed", "Deployment is resumed")

    def _condition(self, value: str, reason: str, message: str) -> None:
        status = {**self._status, "conditions": list(self._status.get("conditions") or [])}
        conditions.put(status, "Progressing", value, reason, message, self.now)
        self._update_status(status)

    def _annotate_deployment(self, revision: str) -> None:
        def change(obj: Object) -> None:
            obj["metadata"].setdefault("annotations", {})[revisions.REVISION] = revision

        name = self.deployment["metadata"]["name"]
        self.deployment = self._registry.mutate(DEPLOYMENTS, self.namespace, name, change, subresource="status")

    def _report(self) -> float | None:
        return self._write(conditions.rollout_status(self.deployment, self.new, self.replicasets, self.now))

    def _write(self, status: Object) -> float | None:
        self._update_status(status)
        if self.deployment["spec"].get("paused"):
            return None
        left = conditions.seconds_left(self.deployment, status, self.now)
        return None if left is None else max(0.0, left) + 1.0  # times are whole seconds: look when it has surely passed

    def _update_status(self, status: Object) -> None:
        if status == self._status:
            return
        name = self.deployment["metadata"]["name"]

        def change(obj: Object) -> None:
            obj["status"] = status

        self.deployment = self._registry.mutate(DEPLOYMENTS, self.namespace, name, change, subresource="status")


def _size(rs: Object) -> Size:
    wanted = rs["spec"].get("replicas", 0)
    available = (rs.get("status") or {}).get("availableReplicas", 0)
    return Size(rs["metadata"]["name"], wanted, min(wanted, available))  # the status may be one step behind


def _footprint(rs: Object) -> Size:
    """An old ReplicaSet as it weighs on a surge: pods that are to go but are still there count too. (The real controller
    counts what is wanted only, and so exceeds its surge for moments.)
    """
    there = (rs.get("status") or {}).get("replicas", 0)
    return Size(rs["metadata"]["name"], max(rs["spec"].get("replicas", 0), there), 0)
