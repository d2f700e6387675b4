"""From one raw look at a namespace to the facts that everything rests on. Pure, and never raises on what a cluster may hold.

Facts come in a fixed order: workloads, revisions, services, dependencies, pods, probes, logs, previous logs, autoscalers, budgets,
quotas, events; within a kind those of the alert's target first, then those of what it depends on, then by name. What `data` holds,
by kind:

    workload    desired, ready, available, updated, total (pods, terminating ones included), paused, generation, unhealthy, images,
                selector (its matchLabels), ports and port_names (of its containers), memory_limits (bytes by container, or None)
    revision    number, current, created_at, images, changes, replicas, ready, replicaset; it is about the Deployment
    service     service, ready_endpoints, endpoints (None: unknown), front, selector, target_ports (number or name, in their order)
    dependency  source, service, target (None: the Service selects no Deployment), variable; it is about the source
    pod         phase, ready, restarts, waiting_reason, terminated_reason, exit_code, images, revision_hash, terminating
    probe       service, status (0: no HTTP answer), ok, requests, failures; it is about the Service
    log         pod, container, errors (lines that report one), lines, times (of each line)
    autoscaler  name, minimum, maximum (replicas); it is about the Deployment
    budget      name, disruptions_allowed (pods); it is about the Deployment
    quota       name, hard, used (quantities by resource); it is about the Namespace
    event       type, reason, count; it is about the involved object

A log is by its nature the end of something: the last lines, as many as its window holds. Of Events, the routine ones are left out
(Scheduled, Pulled, Created, Started, …), as the pods say it themselves. Anything else that was cut is an Omission.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import Final

from pydantic import JsonValue

from backstop.cluster import objects
from backstop.cluster.objects import Json, name
from backstop.cluster.state import covers, current_revision, revisions, scales
from backstop.cluster.topology import Dependency, backends, dependencies, reach
from backstop.pipeline import describe, describe_bounds
from backstop.pipeline.describe import WITHHELD, Draft, lines
from backstop.ports import ContainerLog, Look, Probe
from backstop.records import Alert, Edge, Evidence, Fact, FactKind, ObjectRef, Omission, clean

_ERROR: Final = re.compile(
    r"\b(?:ERROR|FATAL|CRITICAL|PANIC|SEVERE)\b|\bpanic:|\bTraceback\b|\b[Ee]rror:|\bfatal\b|\b\w*Exception\b"
)
_STAMP: Final = re.compile(r"^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)) ?")
_LINE: Final = 2000  # what a quote may hold
_TEXT: Final = 16_000
_KEPT_REVISIONS: Final = 12
_KINDS: Final = tuple(FactKind)


def gather(alert: Alert, look: Look, taken_at: datetime, *, max_facts: int = 200, max_bytes: int = 96_000) -> Evidence:
    """The evidence of one look. What does not fit is cut from the far end: the alert's target is never cut first."""
    scene = _Scene(alert, look, taken_at)
    window = min(_TEXT, max(1000, max_bytes // 2 // max(1, len(look.logs))))
    omissions = list(look.omissions)
    drafts = [_bounded(draft, omissions) for draft in _drafts(scene, window, omissions)]
    kept = _fitting(scene, drafts, max_facts, max_bytes, omissions)
    facts = tuple(
        Fact(id=f"E{number}", kind=d.kind, about=d.about, time=d.time, text=d.text, data=d.data) for number, d in enumerate(kept, 1)
    )
    return Evidence(alert=alert, taken_at=taken_at, facts=facts, edges=scene.edges(), omissions=tuple(omissions))


@dataclass(frozen=True)
class _Scene:
    """The objects of a look, sorted out: who owns and who calls whom."""

    alert: Alert
    look: Look
    taken_at: datetime

    def of(self, kind: str) -> list[Json]:
        return sorted((obj for obj in self.look.objects if obj.get("kind") == kind), key=name)

    @cached_property
    def deployments(self) -> list[Json]:
        return sorted(self.of("Deployment"), key=lambda d: (self.distance(name(d)), name(d)))

    @cached_property
    def replica_sets(self) -> list[Json]:
        return self.of("ReplicaSet")

    @cached_property
    def pods(self) -> list[Json]:
        return sorted(self.of("Pod"), key=lambda p: (self.distance(self.workload_of(objects.ref(p, "Pod"))), name(p)))

    @cached_property
    def services(self) -> list[Json]:
        return sorted(self.of("Service"), key=lambda s: (self.distance(next(iter(self.behind(s)), "")), name(s)))

    @cached_property
    def dependencies(self) -> tuple[Dependency, ...]:
        found = dependencies(self.of("Deployment"), self.of("Service"))
        near = {workload: place for place, workload in enumerate(reach(self.alert.target.name, found))}
        return tuple(sorted(found, key=lambda d: near.get(d.source, len(near))))

    @cached_property
    def _near(self) -> dict[str, int]:
        return {workload: place for place, workload in enumerate(reach(self.alert.target.name, self.dependencies))}

    def distance(self, workload: str) -> int:
        """0 for the alert's target, then what it depends on, nearest first, then everything else."""
        return self._near.get(workload, len(self._near) + (not workload))

    def behind(self, service: Json) -> list[str]:
        return backends(service, self.of("Deployment"))

    @cached_property
    def _owners(self) -> dict[tuple[str, str], ObjectRef]:
        found: dict[tuple[str, str], ObjectRef] = {}
        for kind in ("ReplicaSet", "Pod"):
            for obj in self.of(kind):
                if (owner := objects.controller(obj)) is not None:
                    found[(kind, name(obj))] = owner
        return found

    def workload_of(self, ref: ObjectRef) -> str:
        """The Deployment that an object belongs to; empty if to none that is known."""
        if ref.kind == "Service":
            service = next((s for s in self.of("Service") if name(s) == ref.name), {})
            return next(iter(self.behind(service)), "")
        for _ in range(3):
            if ref.kind == "Deployment":
                return ref.name
            owner = self._owners.get((ref.kind, ref.name))
            if owner is None:
                return ""
            ref = owner
        return ""

    def ref(self, kind: str, label: str) -> ObjectRef:
        known = next((obj for obj in self.of(kind) if name(obj) == label), None)
        return objects.ref(known, kind) if known else ObjectRef(kind=kind, namespace=self.look.namespace, name=label)

    def edges(self) -> tuple[Edge, ...]:
        """Owners; Deployment to Service to Deployment; and the shortcut from Deployment to Deployment."""
        owned = [
            Edge(relation="owned_by", source=objects.ref(obj, kind), target=owner)
            for kind in ("ReplicaSet", "Pod")
            for obj in self.of(kind)
            if (owner := self._owners.get((kind, name(obj)))) is not None
        ]
        pairs = [(("Service", name(s)), ("Deployment", b)) for s in self.services for b in self.behind(s)]
        for found in self.dependencies:
            pairs.append((("Deployment", found.source), ("Service", found.service)))
            if found.target is not None:
                pairs.append((("Deployment", found.source), ("Deployment", found.target)))
        calls = [Edge(relation="depends_on", source=self.ref(*a), target=self.ref(*b)) for a, b in dict.fromkeys(pairs)]
        return (*owned, *calls)


def _drafts(scene: _Scene, window: int, omissions: list[Omission]) -> Iterable[Draft]:
    served = {workload for service in scene.services for workload in scene.behind(service)}
    for deployment in scene.deployments:
        yield describe.workload(deployment, scene.pods, served=name(deployment) in served)
    for deployment in scene.deployments:
        yield from _revisions(scene, deployment, omissions)
    unread = any(o.what == "EndpointSlice objects" and o.why == "unreadable" for o in scene.look.omissions)
    for service in scene.services:
        yield describe.service(service, None if unread else scene.of("EndpointSlice"), scene.behind(service))
    for found in scene.dependencies:
        yield _dependency(scene, found)
    for pod in scene.pods:
        yield describe.pod(pod, scene.workload_of(objects.ref(pod, "Pod")), scene.taken_at)
    yield from _probes(scene)
    for previous in (False, True):
        logs = [log for log in scene.look.logs if log.previous is previous and log.lines]
        for log in sorted(logs, key=lambda one: (scene.distance(scene.workload_of(one.pod)), one.pod.name, one.container)):
            yield _log(scene, log, window, omissions)
    yield from _bounds(scene)
    yield from _events(scene)


def _bounds(scene: _Scene) -> Iterable[Draft]:
    for deployment in scene.deployments:
        found = [obj for obj in scene.of("HorizontalPodAutoscaler") if scales(obj, deployment)]
        yield from (describe_bounds.autoscaler(obj, deployment) for obj in found)
    for deployment in scene.deployments:
        selecting = [obj for obj in scene.of("PodDisruptionBudget") if covers(obj, deployment)]
        yield from (describe_bounds.budget(obj, deployment) for obj in selecting)
    yield from (describe_bounds.quota(obj, scene.alert.target.name) for obj in scene.of("ResourceQuota"))


def _revisions(scene: _Scene, deployment: Json, omissions: list[Omission]) -> list[Draft]:
    uid = objects.text(deployment, "metadata", "uid")
    found = revisions([r for r in scene.replica_sets if objects.owned_by(r, uid)])
    current = current_revision(deployment, found)
    drafts = [
        describe.revision(deployment, this, found[place - 1] if place else None, current=this.number == current)
        for place, this in enumerate(found)
    ]
    about = objects.ref(deployment, "Deployment")
    if any(WITHHELD in draft.text for draft in drafts):
        detail = "values whose names sound like secrets"
        omissions.append(Omission(what="changed env values", why="withheld", about=about, detail=detail))
    if len(drafts) > _KEPT_REVISIONS:
        detail = f"only the last {_KEPT_REVISIONS} of {len(drafts)} are here"
        omissions.append(Omission(what="older revisions", why="truncated", about=about, detail=detail))
    return drafts[-_KEPT_REVISIONS:]


def _dependency(scene: _Scene, found: Dependency) -> Draft:
    behind = f"which selects deployment/{found.target}" if found.target else "which selects no deployment"
    return Draft(
        kind=FactKind.DEPENDENCY,
        about=scene.ref("Deployment", found.source),
        time=None,
        text=f"env {found.variable} of deployment/{found.source} names service/{found.service}, {behind}",
        data={"source": found.source, "service": found.service, "target": found.target, "variable": found.variable},
        workload=found.source,
    )


def _probes(scene: _Scene) -> Iterable[Draft]:
    by_service: dict[str, list[Probe]] = {}
    for probe in scene.look.probes:
        by_service.setdefault(probe.service, []).append(probe)
    drafts = [_probe(scene, service, probes) for service, probes in by_service.items()]
    return sorted(drafts, key=lambda d: (scene.distance(d.workload), d.about.name))


def _probe(scene: _Scene, service: str, probes: Sequence[Probe]) -> Draft:
    failures = [probe for probe in probes if not 100 <= probe.status < 500]
    status = Counter(probe.status for probe in failures or probes).most_common(1)[0][0]
    about = scene.ref("Service", clean(service))
    return Draft(
        kind=FactKind.PROBE,
        about=about,
        time=scene.taken_at,
        text=lines(*sorted({_answer(probe) for probe in probes})),
        data={
            "service": about.name,
            "status": status,
            "ok": not failures,
            "requests": len(probes),
            "failures": len(failures),
        },
        workload=scene.workload_of(about),
    )


def _answer(probe: Probe) -> str:
    said = describe.stable(clean(probe.body)).replace("\n", " ")
    status = f"HTTP {probe.status}" if probe.status else "no HTTP answer"
    return f"GET {clean(probe.path)} of service/{clean(probe.service)} -> {status}{f': {said}' if said else ''}"


def _log(scene: _Scene, log: ContainerLog, window: int, omissions: list[Omission]) -> Draft:
    times: list[JsonValue] = []
    kept: list[str] = []
    size = 0
    for raw in reversed(log.lines):
        stamp, line = _stamped(clean(raw).replace("\n", " "))
        if len(line) > _LINE:
            detail = f"a line of {len(line)} characters was cut at {_LINE}"
            omissions.append(Omission(what=f"log of container {log.container}", why="truncated", about=log.pod, detail=detail))
            line = line[:_LINE]
        size += len(line) + 1
        if size > window and kept:
            break
        kept.append(line)
        times.append(stamp)
    kept.reverse()
    times.reverse()
    return Draft(
        kind=FactKind.LOG_PREVIOUS if log.previous else FactKind.LOG,
        about=log.pod,
        time=next((t for stamp in reversed(times) if (t := objects.moment({"t": stamp}, "t"))), None),
        text="\n".join(kept),
        data={
            "pod": log.pod.name,
            "container": log.container,
            "errors": sum(bool(_ERROR.search(line)) for line in kept),
            "lines": len(kept),
            "times": times,
        },
        workload=scene.workload_of(log.pod),
    )


def _stamped(line: str) -> tuple[str | None, str]:
    """The API server's timestamp of a log line, to the second, and the line itself."""
    found = _STAMP.match(line)
    if found is None:
        return None, line
    when = objects.moment({"t": found.group(1)}, "t")
    return (when.isoformat(timespec="seconds") if when else None), line[found.end() :]


def _events(scene: _Scene) -> list[Draft]:
    """Events that say the same of the same object are one, with their counts added up and the latest time."""
    merged: dict[tuple[str, str, str], Draft] = {}
    for obj in (found for found in scene.of("Event") if not describe.routine(found)):
        draft = describe.event(obj, "")
        draft = replace(draft, workload=scene.workload_of(draft.about))
        key = (draft.about.kind, draft.about.name, draft.text)
        merged[key] = _both(merged[key], draft) if key in merged else draft
    return sorted(merged.values(), key=lambda d: (scene.distance(d.workload), d.about.kind, d.about.name, d.text))


def _both(one: Draft, other: Draft) -> Draft:
    later = one.time is None or (other.time is not None and other.time > one.time)
    latest = other if later else one
    counts = [d.data["count"] for d in (one, other)]
    return replace(latest, data={**latest.data, "count": sum(c for c in counts if isinstance(c, int))})


def _bounded(draft: Draft, omissions: list[Omission]) -> Draft:
    """No fact is longer than it may be."""
    if len(draft.text) <= _TEXT:
        return draft
    detail = f"{len(draft.text)} characters were cut at {_TEXT}"
    omissions.append(Omission(what=f"text of a {draft.kind} fact", why="truncated", about=draft.about, detail=detail))
    return replace(draft, text=draft.text[:_TEXT])


def _fitting(scene: _Scene, drafts: list[Draft], max_facts: int, max_bytes: int, omissions: list[Omission]) -> list[Draft]:
    """The drafts that fit, in their order, chosen from the target outward; one Omission per workload and kind for the others."""
    order = sorted(range(len(drafts)), key=lambda i: (scene.distance(drafts[i].workload), _KINDS.index(drafts[i].kind), i))
    room, chosen = max_bytes, set[int]()
    cut: Counter[tuple[str, FactKind]] = Counter()
    for place in order:
        draft = drafts[place]
        size = len(draft.text.encode()) + len(json.dumps(draft.data))
        if len(chosen) < max_facts and size <= room:
            chosen.add(place)
            room -= size
        else:
            cut[(draft.workload, draft.kind)] += 1
    for (workload, kind), number in sorted(cut.items()):
        about = scene.ref("Deployment", workload) if workload else scene.ref("Namespace", scene.look.namespace)
        omissions.append(Omission(what=f"{kind} facts", why="truncated", about=about, detail=f"{number} did not fit"))
    return [draft for place, draft in enumerate(drafts) if place in chosen]
