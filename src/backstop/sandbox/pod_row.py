"""The row of a pod: what `kubectl get pods` says of it, by the rules of the API server's own printer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from backstop.sandbox.printed import NONE, duration, parse_time

Object = Mapping[str, Any]


@dataclass
class _Seen:
    """What was found out about a pod's containers so far."""

    reason: str
    ready: int = 0
    restarts: int = 0
    last_restart: datetime | None = None
    initializing: bool = False

    def count(self, status: Object) -> None:
        self.restarts += status.get("restartCount") or 0
        ended = ((status.get("lastState") or {}).get("terminated") or {}).get("finishedAt")
        if (moment := parse_time(ended)) and (self.last_restart is None or moment > self.last_restart):
            self.last_restart = moment


def pod_status(pod: Object) -> str:
    """The STATUS column: `Running`, `CrashLoopBackOff`, `Terminating`, …"""
    return _look(pod).reason


def row(pod: Object, now: datetime, age: str) -> list[Any]:
    """Every cell of a pod's row, those of `-o wide` included."""
    seen = _look(pod)
    spec, status = pod.get("spec") or {}, pod.get("status") or {}
    total = len(spec.get("containers") or ()) + sum(map(_is_sidecar, spec.get("initContainers") or ()))
    restarts = str(seen.restarts)
    if seen.restarts and seen.last_restart:
        restarts += f" ({duration(int((now - seen.last_restart).total_seconds()))} ago)"
    return [
        pod["metadata"]["name"],
        f"{seen.ready}/{total}",
        seen.reason,
        restarts,
        age,
        status.get("podIP") or NONE,
        spec.get("nodeName") or NONE,
        status.get("nominatedNodeName") or NONE,
        _gates(spec, status),
    ]


def _look(pod: Object) -> _Seen:
    status = pod.get("status") or {}
    seen = _Seen(status.get("reason") or status.get("phase") or "")
    if _condition(status, "PodScheduled").get("reason") == "SchedulingGated":
        seen.reason = "SchedulingGated"
    _init_containers(pod.get("spec") or {}, status, seen)
    if not seen.initializing or _condition(status, "Initialized").get("status") == "True":
        _app_containers(status, seen)
    if (pod.get("metadata") or {}).get("deletionTimestamp"):
        if status.get("reason") == "NodeLost":
            seen.reason = "Unknown"
        elif status.get("phase") not in ("Succeeded", "Failed"):
            seen.reason = "Terminating"
    return seen


def _condition(status: Object, kind: str) -> Object:
    return next((found for found in status.get("conditions") or () if found.get("type") == kind), {})


def _is_sidecar(container: Object) -> bool:
    return container.get("restartPolicy") == "Always"


def _init_containers(spec: Object, status: Object, seen: _Seen) -> None:
    specs = {item.get("name"): item for item in spec.get("initContainers") or ()}
    for index, found in enumerate(status.get("initContainerStatuses") or ()):
        seen.count(found)
        state = found.get("state") or {}
        ended, waiting = state.get("terminated"), state.get("waiting")
        if ended and not ended.get("exitCode"):
            continue
        if _is_sidecar(specs.get(found.get("name"), {})) and found.get("started"):
            seen.ready += bool(found.get("ready"))
            continue
        seen.initializing = True
        if ended:
            seen.reason = f"Init:{_ending(ended)}"
        elif waiting and waiting.get("reason") not in (None, "", "PodInitializing"):
            seen.reason = f"Init:{waiting['reason']}"
        else:
            seen.reason = f"Init:{index}/{len(specs)}"
        return


def _ending(ended: Object) -> str:
    if ended.get("reason"):
        return str(ended["reason"])
    return f"Signal:{ended['signal']}" if ended.get("signal") else f"ExitCode:{ended.get('exitCode', 0)}"


def _app_containers(status: Object, seen: _Seen) -> None:
    seen.restarts, running = 0, False
    for found in reversed(status.get("containerStatuses") or ()):
        seen.count(found)
        state = found.get("state") or {}
        ended, waiting = state.get("terminated"), state.get("waiting")
        if waiting and waiting.get("reason"):
            seen.reason = waiting["reason"]
        elif ended:
            seen.reason = _ending(ended)
        elif found.get("ready") and state.get("running") is not None:
            running = True
            seen.ready += 1
    if seen.reason == "Completed" and running:
        seen.reason = "Running" if _condition(status, "Ready").get("status") == "True" else "NotReady"


def _gates(spec: Object, status: Object) -> str:
    wanted = [gate["conditionType"] for gate in spec.get("readinessGates") or ()]

    def met() -> Iterator[bool]:
        for name in wanted:
            yield _condition(status, name).get("status") == "True"

    return f"{sum(met())}/{len(wanted)}" if wanted else NONE
