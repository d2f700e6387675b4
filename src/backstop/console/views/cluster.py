"""What a cluster's objects come to on a page. What they do not say is unknown (None), and nothing unknown is called well."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from backstop.cluster import objects
from backstop.cluster.objects import Json, count, mapping, moment, name, sequence, strings, text
from backstop.cluster.state import desired, is_paused, revision_number, scales
from backstop.policy import Policy
from backstop.policy.draft import GITOPS
from backstop.policy.schema import ANY

EVENTS: Final = 20
NEVER: Final = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Raw:
    """One namespace as it was read. None: these objects could not be; `troubles` say why."""

    name: str
    deployments: list[Json] | None
    pods: list[Json] | None
    events: list[Json] | None
    autoscalers: list[Json] | None
    troubles: tuple[str, ...]


@dataclass(frozen=True)
class Pod:
    """`trouble`: what its containers wait for or died of, in the kubelet's words."""

    name: str
    phase: str
    ready: bool
    restarts: int
    trouble: str
    node: str
    began: datetime | None


@dataclass(frozen=True)
class Condition:
    """Of a Deployment, as its controller says."""

    type: str
    status: str
    reason: str
    message: str


@dataclass(frozen=True)
class Workload:
    """One Deployment. `may`: which verbs the policy lists for it; `marks`: why a write to it is nobody's, or would not last."""

    name: str
    wanted: int
    ready: int
    updated: int
    total: int
    seen: bool  # its controller has seen its newest generation
    images: tuple[str, ...]
    revision: int
    paused: bool
    conditions: tuple[Condition, ...]
    marks: tuple[str, ...]
    may: tuple[str, ...]
    pods: tuple[Pod, ...] | None

    @property
    def word(self) -> str:
        """How it does."""
        if not self.seen:
            return "unknown"
        if self.wanted == 0:
            return "scaled to zero"
        if self.ready >= self.wanted and self.updated == self.wanted == self.total:
            return "ready"
        return "none ready" if self.ready == 0 else "not all ready" if self.ready < self.wanted else "rolling out"

    @property
    def mood(self) -> str:
        """Of the word."""
        moods = {"ready": "good", "none ready": "bad", "scaled to zero": "bad", "unknown": "dim"}
        return moods.get(self.word, "warn")


@dataclass(frozen=True)
class Happening:
    """One Event."""

    at: datetime | None
    type: str
    reason: str
    about: str
    message: str
    times: int


@dataclass(frozen=True)
class Namespace:
    """One namespace of the policy. None: unknown, as it could not be read."""

    name: str
    workloads: tuple[Workload, ...] | None
    strays: tuple[Pod, ...]
    events: tuple[Happening, ...] | None
    troubles: tuple[str, ...]


def namespace_of(raw: Raw, policy: Policy) -> Namespace:
    """Workloads by name, events newest first."""
    deployments = sorted(raw.deployments or (), key=name)
    selected = {id(pod) for one in deployments for pod in _pods_of(one, raw.pods or ())}
    strays = tuple(_pod(pod) for pod in raw.pods or () if id(pod) not in selected) if raw.deployments is not None else ()
    workloads = tuple(_workload(one, raw, policy) for one in deployments) if raw.deployments is not None else None
    return Namespace(raw.name, workloads, strays, _events(raw.events), raw.troubles)


def _workload(deployment: Json, raw: Raw, policy: Policy) -> Workload:
    rule = policy.namespace(raw.name)
    listed = next((each.verbs for each in rule.workloads if each.name == name(deployment)), ()) if rule else ()
    return Workload(
        name=name(deployment),
        wanted=desired(deployment),
        ready=count(deployment, "status", "readyReplicas"),
        updated=count(deployment, "status", "updatedReplicas"),
        total=count(deployment, "status", "replicas"),
        seen=count(deployment, "status", "observedGeneration") >= count(deployment, "metadata", "generation") > 0,
        images=objects.images(mapping(deployment, "spec", "template")),
        revision=revision_number(deployment),
        paused=is_paused(deployment),
        conditions=tuple(
            Condition(text(each, "type"), text(each, "status"), text(each, "reason"), text(each, "message"))
            for each in sequence(deployment, "status", "conditions")
        ),
        marks=tuple(_marks(deployment, raw, policy)),
        may=listed,
        pods=None if raw.pods is None else tuple(sorted(map(_pod, _pods_of(deployment, raw.pods)), key=lambda pod: pod.name)),
    )


def _marks(deployment: Json, raw: Raw, policy: Policy) -> Iterator[str]:
    """Why a write to it is not Backstop's."""
    labels, annotations = (strings(deployment, "metadata", which) for which in ("labels", "annotations"))
    if name(deployment) in policy.protected.names:
        yield "protected by name"
    for what, carried, protected in (
        ("label", labels, policy.protected.labels),
        ("annotation", annotations, policy.protected.annotations),
    ):
        for mark in protected:
            if mark.key in carried and mark.value in {carried[mark.key], ANY}:
                yield f"protected by {what} {mark.key}"
    for tool in dict.fromkeys(tool for key, tool in GITOPS.items() if key in labels or key in annotations):
        yield f"managed by {tool}"
    for owner in objects.owners(deployment):
        yield f"owned by {owner.key}"
    if raw.autoscalers is None:
        yield "whether it is autoscaled is unknown"
    for autoscaler in raw.autoscalers or ():
        if scales(autoscaler, deployment):
            yield f"scaled by {name(autoscaler)}"


def _pods_of(deployment: Json, pods: Sequence[Json]) -> list[Json]:
    selector = mapping(deployment, "spec", "selector")
    return [pod for pod in pods if objects.selects(selector, strings(pod, "metadata", "labels"))]


def _pod(pod: Json) -> Pod:
    containers = [*sequence(pod, "status", "initContainerStatuses"), *sequence(pod, "status", "containerStatuses")]
    conditions = {text(each, "type"): text(each, "status") for each in sequence(pod, "status", "conditions")}
    ending = bool(text(pod, "metadata", "deletionTimestamp"))
    return Pod(
        name=name(pod),
        phase="Terminating" if ending else text(pod, "status", "phase") or "Unknown",
        ready=not ending and conditions.get("Ready") == "True",
        restarts=sum(count(each, "restartCount") for each in containers),
        trouble="; ".join(filter(None, map(_trouble, containers))) or _unscheduled(pod),
        node=text(pod, "spec", "nodeName"),
        began=moment(pod, "status", "startTime") or moment(pod, "metadata", "creationTimestamp"),
    )


def _trouble(container: Json) -> str:
    for state in ("waiting", "terminated"):
        if found := mapping(container, "state", state):
            if text(found, "reason") == "Completed":
                return ""
            message = text(found, "message")
            return f"{text(found, 'reason') or state}{f': {message}' if message else ''}"
    last = mapping(container, "lastState", "terminated")
    return f"last ended: {text(last, 'reason') or 'for no reason given'}" if last else ""


def _unscheduled(pod: Json) -> str:
    for condition in sequence(pod, "status", "conditions"):
        if text(condition, "type") == "PodScheduled" and text(condition, "status") == "False":
            return f"{text(condition, 'reason')}: {text(condition, 'message')}"
    return ""


def _events(found: Sequence[Json] | None) -> tuple[Happening, ...] | None:
    if found is None:
        return None
    happenings = [
        Happening(
            at=next((at for key in ("lastTimestamp", "eventTime", "firstTimestamp") if (at := moment(each, key))), None)
            or moment(each, "metadata", "creationTimestamp"),
            type=text(each, "type"),
            reason=text(each, "reason"),
            about=f"{text(each, 'involvedObject', 'kind').lower()}/{text(each, 'involvedObject', 'name')}",
            message=text(each, "message"),
            times=max(1, count(each, "count")),
        )
        for each in found
    ]
    return tuple(sorted(happenings, key=lambda one: one.at or NEVER, reverse=True)[:EVENTS])
