"""What bounds a workload in words and numbers: who else sets its replicas, how many pods may be missing, what a namespace may use.
Pure."""

from __future__ import annotations

from backstop.cluster import objects
from backstop.cluster.objects import Json, clean, count, dig, mapping, moment, name
from backstop.pipeline.describe import Draft, lines
from backstop.records import FactKind, ObjectRef


def autoscaler(obj: Json, deployment: Json) -> Draft:
    """A HorizontalPodAutoscaler that scales `deployment`; its least number of replicas is 1 where that is left out."""
    least, most = count(obj, "spec", "minReplicas") or 1, count(obj, "spec", "maxReplicas")
    about = objects.ref(deployment, "Deployment")
    return Draft(
        kind=FactKind.AUTOSCALER,
        about=about,
        time=moment(obj, "metadata", "creationTimestamp"),
        text=f"horizontalpodautoscaler/{name(obj)} sets the replicas of {about.key}, {least} to {most}",
        data={"name": name(obj), "minimum": least, "maximum": most},
        workload=about.name,
    )


def budget(obj: Json, deployment: Json) -> Draft:
    """A PodDisruptionBudget that selects the pods of `deployment`. One whose status says nothing yet allows none."""
    about, allowed = objects.ref(deployment, "Deployment"), count(obj, "status", "disruptionsAllowed")
    wanted = [
        f"{words} {clean(str(value))}"
        for field, words in (("minAvailable", "at least"), ("maxUnavailable", "without at most"))
        if (value := dig(obj, "spec", field)) is not None
    ]
    return Draft(
        kind=FactKind.BUDGET,
        about=about,
        time=moment(obj, "metadata", "creationTimestamp"),
        text=lines(
            f"poddisruptionbudget/{name(obj)} keeps pods of {about.key}{f': {wanted[0]}' if wanted else ''}",
            f"{allowed} more may be missing now",
        ),
        data={"name": name(obj), "disruptions_allowed": allowed},
        workload=about.name,
    )


def quota(obj: Json, target: str) -> Draft:
    """A ResourceQuota. It binds the whole namespace, and so `target`, the Deployment that the alert is about."""
    hard, used = (_amounts(mapping(obj, "status", part)) for part in ("hard", "used"))
    hard = hard or _amounts(mapping(obj, "spec", "hard"))
    namespace = objects.text(obj, "metadata", "namespace")
    return Draft(
        kind=FactKind.QUOTA,
        about=ObjectRef(kind="Namespace", namespace=namespace, name=namespace),
        time=moment(obj, "metadata", "creationTimestamp"),
        text=lines(
            f"resourcequota/{name(obj)} of namespace {namespace}",
            *(f"{resource}: {used.get(resource, '0')} of {limit} used" for resource, limit in sorted(hard.items())),
        ),
        data={"name": name(obj), "hard": {**hard}, "used": {**used}},
        workload=target,
    )


def _amounts(value: Json) -> dict[str, str]:
    return {clean(str(resource)): clean(str(amount)) for resource, amount in value.items() if isinstance(amount, str | int)}
