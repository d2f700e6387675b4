"""The emulator's competent answers, from nothing but the evidence in the request.

It looks at the workload that the alert names and asks, in this order: is it scaled to zero, can its pods not start and why, are
they killed or do they crash, are they refused, is their probe wrong, does its Service lead astray, does something that it calls not
run, does it fail since a release, or before one, is it stuck. Otherwise: no fault. What a log orders is evidence, and nothing more.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from backstop.emulator.findings import Finding, answers, claim, no_action, ref, service_of, symptom_claims, way_back
from backstop.emulator.reading import Fact, Json, Scene, Workload
from backstop.emulator.surroundings import bad_probe, misled, refused

_UNPULLABLE: Final = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName")
_UNCONFIGURED: Final = ("CreateContainerConfigError", "CreateContainerError")
_MISSING_KEY: Final = re.compile(r"\b(?:missing|not set|required|unset|no such key)\b", re.IGNORECASE)
_SCALED_FROM: Final = re.compile(r"[Ss]caled down replica set \S+ from (\d+) to 0|[Ss]caled down replica set \S+ to 0 from (\d+)")


def diagnose(evidence: Json) -> Json:
    """A diagnosis of the evidence, as a competent person would give it."""
    scene = Scene(evidence)
    for look in _LOOKS:
        finding = look(scene, scene.target)
        if finding is not None:
            return finding.diagnosis()
    return _unknown(scene.target).diagnosis()


def _scaled_to_zero(scene: Scene, target: Workload) -> Finding | None:
    state = target.state
    if state is None or target.desired != 0:
        return None
    name = target.name.name
    return Finding(
        "scaled_down",
        f"{name} was scaled to zero, so nothing serves its requests. Scale it up again.",
        [claim(f"deployment/{name} is scaled to zero.", [state]), *symptom_claims(target)],
        {"verb": "scale", "target": ref(target), "replicas": _replicas_before(scene, target)},
        target,
    )


def _replicas_before(scene: Scene, target: Workload) -> int:
    """How many there were: the deployment controller's events say it. One is better than none."""
    events = [fact for fact in [*target.facts, *scene.facts] if fact.kind == "event"]
    for event in reversed(events):
        found = _SCALED_FROM.search(event.text)
        if found and event.belongs_to(target.name.name):
            return max(1, int(found.group(1) or found.group(2)))
    return 1


def _cannot_pull(_scene: Scene, target: Workload) -> Finding | None:
    pods = target.pods("waiting_reason", *_UNPULLABLE)
    if not pods:
        return None
    name = target.name.name
    action, blamed, change = way_back(target)
    return Finding(
        "bad_image",
        f"The current release of {name} names an image that cannot be pulled, so its pods never start. Go back to the one before.",
        [claim(f"Pods of deployment/{name} cannot pull their image.", pods), *change],
        action,
        target,
        blamed,
    )


def _not_configured(_scene: Scene, target: Workload) -> Finding | None:
    pods = target.pods("waiting_reason", *_UNCONFIGURED)
    if not pods:
        return None
    name = target.name.name
    action, blamed, change = way_back(target)
    return Finding(
        "bad_config",
        f"Containers of {name} cannot be created: something that their configuration refers to is missing.",
        [claim(f"Containers of deployment/{name} cannot be created because configuration is missing.", pods), *change],
        action,
        target,
        blamed,
    )


def _out_of_memory(_scene: Scene, target: Workload) -> Finding | None:
    pods = target.pods("terminated_reason", "OOMKilled")
    if not pods:
        return None
    name = target.name.name
    action, blamed, change = way_back(target)
    return Finding(
        "out_of_memory",
        f"Containers of {name} are killed when they reach their memory limit, since its current release.",
        [claim(f"A container of deployment/{name} was OOMKilled at its memory limit.", pods), *change],
        action,
        target,
        blamed,
    )


def _crashing(_scene: Scene, target: Workload) -> Finding | None:
    looping = target.pods("waiting_reason", "CrashLoopBackOff")
    ended = [
        fact for fact in target.staying_pods() if fact.number("exit_code") not in {None, 0} and fact.data.get("ready") is not True
    ]
    pods = looping or ended
    if not pods:
        return None
    name = target.name.name
    logs = target.logs_with_errors()
    keyless = any(_MISSING_KEY.search(line) for fact in logs for line in fact.error_lines())
    action, blamed, change = way_back(target)
    return Finding(
        "bad_config" if keyless else "crash_loop",
        f"The current release of {name} exits at start" + (", for want of configuration." if keyless else ".") + " Go back.",
        [claim(f"Containers of deployment/{name} crash and are started again.", pods), *symptom_claims(target), *change],
        action,
        target,
        blamed,
    )


def _unschedulable(_scene: Scene, target: Workload) -> Finding | None:
    events = [fact for fact in target.kind("event") if fact.word("reason") == "FailedScheduling"]
    refused = {event.about for event in events}
    pending = [fact for fact in target.staying_pods() if fact.word("phase") == "Pending" and not fact.word("waiting_reason")]
    pods = [fact for fact in pending if fact.about in refused or "PodScheduled=False" in fact.text]
    if not pods:
        return None
    name = target.name.name
    action, blamed, change = way_back(target)
    return Finding(
        "unschedulable",
        f"Pods of {name} find no node that would take them, since its current release.",
        [claim(f"Pods of deployment/{name} cannot be scheduled.", pods), *change],
        action,
        target,
        blamed,
    )


def _dependency_down(scene: Scene, target: Workload) -> Finding | None:
    for dependency in scene.dependencies(target):
        state = dependency.state
        if state is None or dependency.ready is None or not (dependency.ready == 0 or dependency.desired == 0):
            continue
        name = dependency.name.name
        return Finding(
            "dependency_down",
            f"{name}, which {target.name.name} calls, has no replica that is ready. A person decides what to do with it.",
            [claim(f"deployment/{name} has no ready replicas.", [state]), *symptom_claims(target)],
            no_action(),
            dependency,
        )
    return None


def _bad_release(scene: Scene, target: Workload) -> Finding | None:
    symptoms = symptom_claims(target)
    action, blamed, change = way_back(target)
    if not symptoms or answers(target) or blamed is None or not _before_alert(blamed, scene):
        return None
    name, number = target.name.name, blamed.number("number")
    configured = bool(blamed.changes()) and all(line.startswith("env") for line in blamed.changes())
    brought = "which changed nothing but its configuration" if configured else "whose containers log errors of their own"
    return Finding(
        "bad_config" if configured else "bad_release",
        f"Requests to {name} fail since revision {number}, {brought}. Go back to the one before.",
        [*change, *symptoms],
        action,
        target,
        blamed,
    )


def _before_alert(revision: Fact, scene: Scene) -> bool:
    """ISO times in one format compare as text; where one is missing the order is taken to be right."""
    created, started = revision.word("created_at") or revision.time, str(scene.alert.get("started_at") or "")
    return not created or not started or created[:19] <= started[:19]


def _in_other_hands(scene: Scene, target: Workload) -> Finding | None:
    """It failed before what runs now was released: somebody is at work on it, and neither that nor a restart is the answer."""
    _, blamed, change = way_back(target)
    symptoms = symptom_claims(target)
    if not symptoms or answers(target) or blamed is None or _before_alert(blamed, scene):
        return None
    name, number = target.name.name, blamed.number("number")
    return Finding(
        "unknown",
        f"Requests to {name} failed before its revision {number} was released, so that somebody else is at work on it. "
        f"A person who knows of that release decides.",
        [*change, *symptoms],
        no_action(),
        target,
        confidence=0.5,
    )


def _stuck(_scene: Scene, target: Workload) -> Finding | None:
    symptoms = symptom_claims(target)
    if not symptoms or answers(target):
        return None
    name = target.name.name
    return Finding(
        "stuck_process",
        f"{name} fails without any change that would explain it. A restart may free it.",
        symptoms,
        {"verb": "restart", "target": ref(target)},
        target,
        confidence=0.6,
    )


def _well(_scene: Scene, target: Workload) -> Finding | None:
    state = target.state
    if state is None or target.short_of_replicas or target.ready is None or target.unready_pods():
        return None
    name = target.name.name
    probes = [fact for fact in target.kind("probe") if fact.data.get("ok") is True][:1]
    claims = [claim(f"deployment/{name} has all its replicas ready.", [state])]
    claims += [claim(f"Requests to service {service_of(probe)} succeed.", [probe]) for probe in probes]
    return Finding("no_fault", f"Nothing is wrong with {name}.", claims, no_action(), target, confidence=0.8)


def _unknown(target: Workload) -> Finding:
    name, waiting = target.name.name, target.unready_pods()[:2]
    short = claim(f"deployment/{name} is short of ready replicas.", target.facts[:2])
    claims = [claim(f"Pods of deployment/{name} are not ready.", waiting) if waiting and not target.short_of_replicas else short]
    return Finding("unknown", f"The evidence does not say what is wrong with {name}.", claims, no_action(), target, confidence=0.1)


_LOOKS: Final[tuple[Callable[[Scene, Workload], Finding | None], ...]] = (
    _scaled_to_zero,
    _cannot_pull,
    _not_configured,
    _out_of_memory,
    _crashing,
    _unschedulable,
    refused,
    bad_probe,
    misled,
    _dependency_down,
    _bad_release,
    _in_other_hands,
    _stuck,
    _well,
)
