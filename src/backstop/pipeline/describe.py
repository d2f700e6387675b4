"""Kubernetes objects in words and numbers: what one fact says about a Deployment, a revision, a Service, a pod or an Event. Pure.

Texts hold no times, ages, addresses or uids, so that the same fault in two clusters of one seed reads the same, and so that a quote
can be compared line by line. Numbers and times are in `data` and `Fact.time`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from pydantic import JsonValue

from backstop.cluster import objects
from backstop.cluster.objects import Json, count, dig, mapping, moment, name, sequence, strings, text, whole
from backstop.cluster.state import strategy, workload_health
from backstop.quantities import quantity
from backstop.records import FactKind, ObjectRef, Revision, clean

_UNSTABLE: Final = (
    (re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"), "<uid>"),
    (re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b"), "<address>"),
    (re.compile(r"\bback-off \d\w* "), "back-off "),
    (re.compile(r'(?<=pods ")([a-z0-9.-]+)-[a-z0-9]{5}(?=" is forbidden)'), r"\1-<random>"),  # another name at each attempt
    (re.compile(r"(?<=, used: )\S+(?=, limited: )"), "<then>"),  # what a quota had given away at that moment
)
_SECRET: Final = re.compile(r"pass|secret|token|credential|private|(?:^|_)(?:api_?)?key$", re.IGNORECASE)
_ROUTINE: Final = frozenset({"Scheduled", "Pulling", "Pulled", "Created", "Started", "SuccessfulCreate", "SuccessfulDelete"})
_LATELY: Final = timedelta(hours=1)
WITHHELD: Final = "(withheld)"


@dataclass(frozen=True)
class Draft:
    """A fact that has no id yet."""

    kind: FactKind
    about: ObjectRef
    time: datetime | None
    text: str
    data: dict[str, JsonValue]
    workload: str  # the Deployment that it belongs to, empty if to none


def stable(message: str) -> str:
    """A message of the cluster without what differs from one cluster to the next."""
    for pattern, word in _UNSTABLE:
        message = pattern.sub(word, message)
    return message


def lines(*parts: str) -> str:
    return "\n".join(part for part in parts if part)


def workload(deployment: Json, pods: Sequence[Json], *, served: bool) -> Draft:
    """`served`: some Service selects its pods, so that having none of them is a fault and not a choice."""
    health = workload_health(deployment, pods)
    paused = dig(deployment, "spec", "paused") is True
    conditions = sorted(sequence(deployment, "status", "conditions"), key=lambda c: text(c, "type"))
    failing = any(text(c, "type") == "Progressing" and text(c, "status") == "False" for c in conditions)
    short = health.available < health.desired or not health.observed or (served and health.desired == 0)
    images = objects.images(mapping(deployment, "spec", "template"))
    labels, chosen = strings(deployment, "metadata", "labels"), strings(deployment, "spec", "selector", "matchLabels")
    containers = sequence(deployment, "spec", "template", "spec", "containers")
    offered = [port for container in containers for port in sequence(container, "ports")]
    return Draft(
        kind=FactKind.WORKLOAD,
        about=objects.ref(deployment, "Deployment"),
        time=moment(deployment, "metadata", "creationTimestamp"),
        text=lines(
            f"{health.desired} replicas desired, {health.ready} ready, {health.available} available, {health.updated} updated",
            f"{health.total} pods in total" if health.total != health.desired else "",
            f"images: {', '.join(images)}",
            f"strategy {_strategy(deployment)}",
            "the rollout is paused" if paused else "",
            f"labels: {_labels(labels)}" if labels else "",
            f"selects pods with {_labels(chosen)}" if chosen else "",
            *(line for c in containers for line in _declared(c)),
            *(_condition(c) for c in conditions),
        ),
        data={
            "desired": health.desired,
            "ready": health.ready,
            "available": health.available,
            "updated": health.updated,
            "total": health.total,
            "paused": paused,
            "generation": count(deployment, "metadata", "generation"),
            "unhealthy": short or failing,
            "images": list(images),
            "selector": {**chosen},
            "ports": [port for one in offered if (port := whole(one, "containerPort"))],
            "port_names": {named: count(one, "containerPort") for one in offered if (named := text(one, "name"))},
            "memory_limits": {text(c, "name"): _memory_limit(c) for c in containers},
        },
        workload=name(deployment),
    )


def _labels(labels: Mapping[str, str]) -> str:
    return ", ".join(f"{key}={value}" for key, value in sorted(labels.items()))


def _declared(container: Json) -> list[str]:
    """What a container of a template asks for and offers: its resources, ports and probes."""
    label = f"container {text(container, 'name')}"
    asked = [
        f"{kind} {', '.join(f'{key} {clean(str(value))}' for key, value in sorted(given.items()))}"
        for kind in ("requests", "limits")
        if (given := mapping(container, "resources", kind))
    ]
    ports = [f"{count(p, 'containerPort')}/{text(p, 'protocol') or 'TCP'}{_named(p)}" for p in sequence(container, "ports")]
    probes = [
        f"{label} {kind}: {_asked(mapping(container, f'{kind}Probe'))}"
        for kind in ("readiness", "liveness", "startup")
        if mapping(container, f"{kind}Probe")
    ]
    return [
        *([f"{label} {'; '.join(asked)}"] if asked else []),
        *([f"{label} listens on {', '.join(ports)}"] if ports else []),
        *probes,
    ]


def _named(port: Json) -> str:
    return f" ({text(port, 'name')})" if text(port, "name") else ""


def _asked(probe: Json) -> str:
    """How a probe asks, without the command, the body or the headers that it may send."""
    for kind, said in (
        ("httpGet", "GET {path} on port {port}"),
        ("tcpSocket", "TCP on port {port}"),
        ("grpc", "gRPC on port {port}"),
    ):
        if aim := mapping(probe, kind):
            return said.format(path=text(aim, "path") or "/", port=clean(str(aim.get("port"))))
    return "a command" if mapping(probe, "exec") else "something else"


def _memory_limit(container: Json) -> int | None:
    """In bytes; None if there is none that can be read."""
    limit = quantity(dig(container, "resources", "limits", "memory"))
    return int(limit) if limit is not None else None


def _strategy(deployment: Json) -> str:
    bounds = mapping(deployment, "spec", "strategy", "rollingUpdate")
    words = [f"{key} {clean(str(bounds[key]))}" for key in ("maxSurge", "maxUnavailable") if bounds.get(key) is not None]
    return " ".join([strategy(deployment), *([f"({', '.join(words)})"] if words else [])])


def _condition(condition: Json) -> str:
    reason, message = text(condition, "reason"), stable(text(condition, "message"))
    said = ": ".join(part for part in (reason, message) if part)
    return f"{text(condition, 'type')}={text(condition, 'status')}{f' {said}' if said else ''}"


def revision(deployment: Json, this: Revision, previous: Revision | None, *, current: bool) -> Draft:
    changes = template_changes(previous.template, this.template) if previous else ()
    return Draft(
        kind=FactKind.REVISION,
        about=objects.ref(deployment, "Deployment"),
        time=this.created_at,
        text=lines(
            f"revision {this.number}{' (current)' if current else ''}",
            f"images: {', '.join(this.images)}",
            f"changed from revision {previous.number}:" if previous and changes else "",
            *changes,
            f"the same template as revision {previous.number}" if previous and not changes else "",
        ),
        data={
            "number": this.number,
            "current": current,
            "created_at": this.created_at.isoformat(),
            "images": list(this.images),
            "changes": list(changes),
            "replicas": this.replicas,
            "ready": this.ready,
            "replicaset": this.name,
        },
        workload=name(deployment),
    )


def template_changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[str, ...]:
    """What differs between two pod templates, one line each: `image: demo/web:1.0 -> demo/web:1.1`. Secrets are withheld."""
    old, new = _leaves(before), _leaves(after)
    only = _only_container(before, after)
    changed = [path for path in sorted(old.keys() | new.keys()) if old.get(path) != new.get(path)]
    return tuple(_change(path.removeprefix(only), old.get(path), new.get(path)) for path in changed)


def _only_container(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """With a single container there is no need to say which."""
    names = {text(c, "name") for template in (before, after) for c in sequence(template, "spec", "containers")}
    return f"spec.containers[{names.pop()}]." if len(names) == 1 else ""


def _change(path: str, old: str | None, new: str | None) -> str:
    if objects.RESTARTED_AT in path:
        return f"{path}: restarted"
    variable = re.search(r"env\[([^\]]*)\]\.value$", path)
    if variable and _SECRET.search(variable.group(1)):
        old, new = old and WITHHELD, new and WITHHELD
    if old is None:
        return f"{path}: added {new}"
    return f"{path}: removed {old}" if new is None else f"{path}: {old} -> {new}"


def _leaves(value: Any, path: str = "") -> dict[str, str]:
    """Every leaf of a JSON value by its path. Lists whose items have names are keyed by them."""
    if isinstance(value, Mapping):
        children = [(f"{path}.{clean(str(key))}" if path else clean(str(key)), item) for key, item in value.items()]
    elif isinstance(value, list) and value:
        children = [(f"{path}[{_item_name(item, place)}]", item) for place, item in enumerate(value)]
    else:
        return {path: clean(value if isinstance(value, str) else str(value)).replace("\n", "\\n")[:500]}
    found: dict[str, str] = {}
    for child, item in children:
        found |= _leaves(item, child)
    return {leaf: word for leaf, word in found.items() if not leaf.endswith("].name")}


def _item_name(item: Any, place: int) -> str:
    return text(item, "name") or str(place)


def service(obj: Json, slices: Sequence[Json] | None, backends: Sequence[str]) -> Draft:
    """`slices` are the namespace's EndpointSlices; None if they could not be read."""
    selector = strings(obj, "spec", "selector")
    ready, total = _endpoints(name(obj), slices or ())
    known = slices is not None
    front = strings(obj, "metadata", "labels").get(objects.FRONT) == "true"
    return Draft(
        kind=FactKind.SERVICE,
        about=objects.ref(obj, "Service"),
        time=moment(obj, "metadata", "creationTimestamp"),
        text=lines(
            f"selects {_labels(selector)}" if selector else "selects no pods",
            f"in front of {', '.join(f'deployment/{b}' for b in backends)}" if backends else "in front of no deployment",
            *(_port(port) for port in sequence(obj, "spec", "ports")),
            f"{ready} of {total} endpoints ready" if known else "endpoints unknown",
        ),
        data={
            "service": name(obj),
            "ready_endpoints": ready if known else None,
            "endpoints": total if known else None,
            "front": front,
            "selector": {**selector},
            "target_ports": [_aim(port) for port in sequence(obj, "spec", "ports")],
        },
        workload=backends[0] if backends else "",
    )


def _aim(port: Json) -> int | str:
    """The container port that a Service's port leads to, by number or by name: its own number if it names none."""
    aim = dig(port, "targetPort")
    return clean(aim) if isinstance(aim, str) else whole(port, "targetPort") or count(port, "port")


def _port(port: Json) -> str:
    aim = dig(port, "targetPort")
    where = f" -> {clean(str(aim))}" if isinstance(aim, str | int) else ""
    return f"port {count(port, 'port')}/{text(port, 'protocol') or 'TCP'}{where}"


def _endpoints(label: str, slices: Sequence[Json]) -> tuple[int, int]:
    """Ready and all endpoints. An endpoint that does not say is ready, as the API has it."""
    mine = [s for s in slices if strings(s, "metadata", "labels").get("kubernetes.io/service-name") == label]
    found = [endpoint for one in mine for endpoint in sequence(one, "endpoints")]
    return sum(dig(endpoint, "conditions", "ready") is not False for endpoint in found), len(found)


def pod(obj: Json, owner: str, taken_at: datetime) -> Draft:
    statuses = [*sequence(obj, "status", "initContainerStatuses"), *sequence(obj, "status", "containerStatuses")]
    conditions = sequence(obj, "status", "conditions")
    ready = any(text(c, "type") == "Ready" and text(c, "status") == "True" for c in conditions)
    terminating = bool(text(obj, "metadata", "deletionTimestamp"))
    ended = next((e for s in statuses if (e := _ended(s, taken_at, ready=ready))), {})
    waiting = next((w for s in statuses if (w := text(s, "state", "waiting", "reason"))), "")
    phase = text(obj, "status", "phase") or "Unknown"
    unmet = [c for c in conditions if text(c, "status") == "False" and text(c, "type") == "PodScheduled"]
    return Draft(
        kind=FactKind.POD,
        about=objects.ref(obj, "Pod"),
        time=moment(obj, "metadata", "creationTimestamp"),
        text=lines(
            f"phase {phase}, {'ready' if ready else 'not ready'}{', terminating' if terminating else ''}",
            ": ".join(part for part in (text(obj, "status", "reason"), stable(text(obj, "status", "message"))) if part),
            *(_condition(c) for c in unmet),
            *(line for s in statuses for line in _container(s, ended)),
        ),
        data={
            "phase": phase,
            "ready": ready,
            "restarts": sum(count(s, "restartCount") for s in statuses),
            "waiting_reason": waiting or None,
            "terminated_reason": (text(ended, "reason") or "Terminated") if ended else None,
            "exit_code": whole(ended, "exitCode"),
            "images": list(objects.images({"spec": mapping(obj, "spec")})),
            "revision_hash": strings(obj, "metadata", "labels").get(objects.TEMPLATE_HASH),
            "terminating": terminating,
        },
        workload=owner,
    )


def _ended(status: Json, taken_at: datetime, *, ready: bool) -> Json:
    """How a container ended, if that still tells something: it is so now, or it failed and the pod is unwell or it was lately."""
    now, last = mapping(status, "state", "terminated"), mapping(status, "lastState", "terminated")
    if now and (whole(now, "exitCode") != 0 or text(now, "reason") not in {"", "Completed"}):
        return now
    when = moment(last, "finishedAt")
    lately = when is None or when > taken_at - _LATELY
    return last if last and whole(last, "exitCode") != 0 and (not ready or lately) else {}


def _container(status: Json, ended: Json) -> list[str]:
    label = f"container {text(status, 'name')}"
    words: list[str] = []
    if dig(status, "state", "waiting") is not None:
        waiting = mapping(status, "state", "waiting")
        said = ": ".join(p for p in (text(waiting, "reason"), stable(text(waiting, "message"))) if p)
        words.append(f"{label} waiting: {said or 'no reason given'}")
    elif dig(status, "state", "running") is not None:
        words.append(f"{label} running, {'ready' if status.get('ready') is True else 'not ready'}")
    for when, end in (("", mapping(status, "state", "terminated")), ("last ", mapping(status, "lastState", "terminated"))):
        if end and (end is ended or not when):
            last_words = stable(text(end, "message").strip().split("\n")[-1])
            said = f"{when}terminated: {text(end, 'reason')}, exit code {whole(end, 'exitCode')}"
            words.append(f"{label} {said}{f': {last_words}' if last_words else ''}")
    if not words:
        words.append(f"{label} has no state")
    return [f"{words[0]}, image {text(status, 'image')}", *words[1:]]


def routine(obj: Json) -> bool:
    """Whether an Event only says that a container came or went as it should: its pod's facts say that already."""
    ending = text(obj, "reason") == "Killing" and text(obj, "message").startswith("Stopping container")
    return text(obj, "type") != "Warning" and (text(obj, "reason") in _ROUTINE or ending)


def event(obj: Json, owner: str) -> Draft:
    involved = mapping(obj, "involvedObject")
    times = (
        moment(obj, "series", "lastObservedTime"),
        moment(obj, "lastTimestamp"),
        moment(obj, "eventTime"),
        moment(obj, "metadata", "creationTimestamp"),
    )
    kind, reason = text(obj, "type") or "Normal", text(obj, "reason")
    return Draft(
        kind=FactKind.EVENT,
        about=ObjectRef(
            kind=text(involved, "kind"),
            namespace=text(involved, "namespace") or text(obj, "metadata", "namespace"),
            name=text(involved, "name"),
            uid=text(involved, "uid") or None,
        ),
        time=next((t for t in times if t is not None), None),
        text=f"{kind} {reason}: {stable(text(obj, 'message')).strip()}",
        data={"type": kind, "reason": reason, "count": max(1, count(obj, "count"), count(obj, "series", "count"))},
        workload=owner,
    )
