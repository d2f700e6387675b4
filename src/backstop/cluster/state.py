"""A Deployment's JSON, with its ReplicaSets and pods, as the `TargetState` that everything decides on. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Literal

from backstop.cluster import objects
from backstop.cluster.objects import Json, bare_template, count, mapping, moment, strings, text, whole
from backstop.errors import ClusterUnavailable
from backstop.records import Availability, DisruptionBudget, ObjectRef, Revision, TargetState, WorkloadHealth

_NEVER = datetime.fromtimestamp(0, UTC)


def target_state(
    deployment: Json,
    replica_sets: Sequence[Json],
    pods: Sequence[Json],
    autoscalers: Sequence[Json] = (),
    budgets: Sequence[Json] = (),
) -> TargetState:
    """`autoscalers` and `budgets` are those of the namespace, whomever they are about.

    Raises ClusterUnavailable if what the API server sent cannot be bound to: no uid, resourceVersion, template or revision."""
    uid, version = text(deployment, "metadata", "uid"), text(deployment, "metadata", "resourceVersion")
    template, generation = mapping(deployment, "spec", "template"), whole(deployment, "metadata", "generation")
    ref = objects.ref(deployment, "Deployment")
    if not (uid and version and template and generation):
        raise ClusterUnavailable(f"the API server's answer about {ref.key} lacks its uid, resourceVersion, generation or template")
    found = revisions([r for r in replica_sets if objects.owned_by(r, uid)])
    return TargetState(
        ref=ref,
        uid=uid,
        resource_version=version,
        generation=generation,
        observed_generation=count(deployment, "status", "observedGeneration"),
        replicas=desired(deployment),
        paused=is_paused(deployment),
        strategy=strategy(deployment),
        max_unavailable=max_unavailable(deployment),
        labels=strings(deployment, "metadata", "labels"),
        annotations=strings(deployment, "metadata", "annotations"),
        owners=objects.owners(deployment),
        template=template,
        current_revision=current_revision(deployment, found),
        revisions=found,
        health=workload_health(deployment, pods),
        availability=availability(deployment),
        autoscalers=tuple(objects.name(a) for a in autoscalers if scales(a, deployment)),
        budgets=tuple(
            DisruptionBudget(name=objects.name(b), allowed=count(b, "status", "disruptionsAllowed"))
            for b in budgets
            if covers(b, deployment)
        ),
    )


def availability(deployment: Json) -> Availability | None:
    """Its Available condition; None without one, or without a time."""
    for condition in objects.sequence(deployment, "status", "conditions"):
        since = moment(condition, "lastTransitionTime")
        if text(condition, "type") == "Available" and since is not None:
            return Availability(available=text(condition, "status") == "True", since=since)
    return None


def scales(autoscaler: Json, deployment: Json) -> bool:
    """Whether a HorizontalPodAutoscaler of the same namespace sets this Deployment's replicas."""
    aim = mapping(autoscaler, "spec", "scaleTargetRef")
    return (text(aim, "kind"), text(aim, "name")) == ("Deployment", objects.name(deployment))


def covers(budget: Json, deployment: Json) -> bool:
    """Whether a PodDisruptionBudget of the same namespace selects the pods that this Deployment makes. An empty selector selects
    every pod of the namespace."""
    selector, labels = mapping(budget, "spec", "selector"), strings(deployment, "spec", "template", "metadata", "labels")
    return objects.selects(selector, labels) or not (selector.get("matchLabels") or selector.get("matchExpressions"))


def desired(deployment: Json) -> int:
    """`spec.replicas`, which is 1 where it is left out."""
    replicas = whole(deployment, "spec", "replicas")
    return 1 if replicas is None else replicas


def is_paused(deployment: Json) -> bool:
    return objects.dig(deployment, "spec", "paused") is True


def strategy(deployment: Json) -> Literal["RollingUpdate", "Recreate"]:
    return "Recreate" if text(deployment, "spec", "strategy", "type") == "Recreate" else "RollingUpdate"


def max_unavailable(deployment: Json) -> int:
    """How many pods a rollout may take away at once, as the Deployment controller resolves it: 25% if nothing is said, rounded
    down, and 1 if that and the surge both come to nothing. What cannot be read is taken for all of them."""
    replicas = desired(deployment)
    if strategy(deployment) == "Recreate":
        return replicas
    missing, surge = (_share(deployment, field, replicas) for field in ("maxUnavailable", "maxSurge"))
    if missing is None or surge is None:
        return replicas
    return min(replicas, max(missing, 0 if surge else 1))


def _share(deployment: Json, field: str, replicas: int) -> int | None:
    """`maxUnavailable` (rounded down) or `maxSurge` (rounded up) in pods; None if it is neither a number nor a percentage."""
    value = objects.dig(deployment, "spec", "strategy", "rollingUpdate", field)
    if value is None:
        value = "25%"
    if isinstance(value, int) and not isinstance(value, bool):
        return max(0, value)
    number = value.removesuffix("%") if isinstance(value, str) and value.endswith("%") else ""
    if not (number.isascii() and number.isdigit() and len(number) <= 3):
        return None
    return (int(number) * replicas + (99 if field == "maxSurge" else 0)) // 100


def revision_number(obj: Json) -> int:
    """The revision in an object's annotations; 0 if there is none yet."""
    number = strings(obj, "metadata", "annotations").get(objects.REVISION, "")
    return int(number) if number.isascii() and number.isdigit() and len(number) < 10 else 0


def revisions(replica_sets: Sequence[Json]) -> tuple[Revision, ...]:
    """The ReplicaSets of one Deployment as its revisions, oldest first. One that has no number yet is none."""
    numbered = sorted(((revision_number(r), r) for r in replica_sets if revision_number(r)), key=lambda pair: pair[0])
    return tuple(
        Revision(
            number=number,
            name=objects.name(replica_set),
            created_at=moment(replica_set, "metadata", "creationTimestamp") or _NEVER,
            images=objects.images(mapping(replica_set, "spec", "template")),
            replicas=count(replica_set, "status", "replicas"),
            ready=count(replica_set, "status", "readyReplicas"),
            template=bare_template(mapping(replica_set, "spec", "template")),
            earlier=earlier_numbers(replica_set),
        )
        for number, replica_set in numbered
    )


def earlier_numbers(replica_set: Json) -> tuple[int, ...]:
    """The revisions that a ReplicaSet was before it was returned to, as the Deployment controller notes them on it."""
    noted = strings(replica_set, "metadata", "annotations").get(objects.REVISION_HISTORY, "").split(",")
    return tuple(sorted(int(number) for number in noted if number.isascii() and number.isdigit() and len(number) < 10))


def current_revision(deployment: Json, found: Sequence[Revision]) -> int:
    """The revision whose template the Deployment has now; what its annotation says if the controller has not made one yet."""
    template = mapping(deployment, "spec", "template")
    same = [revision.number for revision in found if revision.template == template]
    return max(same) if same else revision_number(deployment)


def workload_health(deployment: Json, pods: Sequence[Json]) -> WorkloadHealth:
    """A Deployment's counters. Pods are counted by its selector, as its status leaves out the terminating ones."""
    selector = mapping(deployment, "spec", "selector")
    namespace = text(deployment, "metadata", "namespace")
    mine = [
        p
        for p in pods
        if text(p, "metadata", "namespace") == namespace
        and objects.selects(selector, strings(p, "metadata", "labels"))
        and text(p, "status", "phase") not in {"Succeeded", "Failed"}
    ]
    full = objects.ref(deployment, "Deployment")
    return WorkloadHealth(
        ref=ObjectRef(kind="Deployment", namespace=full.namespace, name=full.name, uid=full.uid),
        desired=desired(deployment),
        ready=count(deployment, "status", "readyReplicas"),
        available=count(deployment, "status", "availableReplicas"),
        updated=count(deployment, "status", "updatedReplicas"),
        total=max(len(mine), count(deployment, "status", "replicas")),
        observed=count(deployment, "status", "observedGeneration") >= count(deployment, "metadata", "generation") > 0,
    )
