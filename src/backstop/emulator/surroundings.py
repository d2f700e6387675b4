"""What keeps a workload from serving although nothing is wrong with its containers: pods that are refused, a probe that asks for
what is not there, a Service that leads astray. For most of it no write to the workload is right, and the hypothesis says what a
person changes instead.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

from backstop.emulator.findings import Finding, claim, no_action, service_of, symptom_claims, way_back
from backstop.emulator.reading import Fact, Json, Scene, Workload

_WHO_REFUSES: Final = re.compile(
    r"exceeded (?P<quota>quota): (?P<name>[^,\s]+)"
    r"|(?:failed calling |admission )(?P<webhook>webhook) \"(?P<hook>[^\"]+)\""
    r"|(?P<policy>ValidatingAdmissionPolicy) '(?P<rule>[^']+)'"
)
_NOT_THERE: Final = re.compile(r"\b(Readiness|Liveness|Startup) probe failed: HTTP probe failed with statuscode: (4\d\d)\b")
_MISSING_SERVICE: Final = re.compile(r'service "([^"]+)" not found')


def refused(scene: Scene, target: Workload) -> Finding | None:
    """Its missing pods may not be created: a quota, a webhook or a policy refuses them."""
    shown = [(fact, line) for fact in _refusals(target) for line in fact.lines() if "FailedCreate" in line]
    if not shown or not target.short_of_replicas:
        return None
    name, said = target.name.name, " ".join(line for _, line in shown)
    who, cure = _refuser(scene, target, said)
    return Finding(
        "admission_refused",
        f"New pods of {name} are refused by {who}, so that a write to {name} would change nothing. {cure}",
        [claim(f"New pods of deployment/{name} are refused by {who}.", [], shown[:2]), *symptom_claims(target)],
        no_action(),
        target,
    )


def _refusals(target: Workload) -> list[Fact]:
    failing = [fact for fact in target.kind("workload") if "ReplicaFailure=True FailedCreate" in fact.text]
    return [*failing, *(fact for fact in target.kind("event") if fact.word("reason") == "FailedCreate")]


def _refuser(scene: Scene, target: Workload, said: str) -> tuple[str, str]:
    """Who refuses, as the message names it, and what a person does about it."""
    found = _WHO_REFUSES.search(said)
    if found is None:
        return "admission", "A person reads the message of the FailedCreate event and changes what it names."
    if found["quota"]:
        return f"quota {found['name']}", _more_room(scene, target, found["name"])
    if found["policy"]:
        return f"policy {found['rule']}", f"A person changes what that policy, {found['rule']}, asks for, or the policy."
    gone = _MISSING_SERVICE.search(said)
    back = f"brings its service {gone[1]} back" if gone else "repairs it"
    return f"webhook {found['hook']}", (
        f"A person {back}, or takes the webhook away until then (kubectl get validatingwebhookconfigurations,"
        f"mutatingwebhookconfigurations shows whose it is)."
    )


def _more_room(scene: Scene, target: Workload, quota: str) -> str:
    """With the room that the missing pods need, where the quota counts pods."""
    known = next((fact for fact in scene.facts if fact.kind == "quota" and fact.word("name") == quota), None)
    used = str(_part(known, "used").get("pods", "")) if known else ""
    missing = (target.desired or 0) - (target.ready or 0)
    if not used.isdigit():
        return f"A person gives quota {quota} more room."
    hard = json.dumps({"spec": {"hard": {"pods": str(int(used) + missing)}}})
    command = f"kubectl -n {target.name.namespace} patch resourcequota {quota} --type=merge -p '{hard}'"
    return f"A person gives quota {quota} room for {missing} more pods: {command}"


def _part(fact: Fact, key: str) -> Json:
    value: Any = fact.data.get(key)
    return value if isinstance(value, dict) else {}


def bad_probe(_scene: Scene, target: Workload) -> Finding | None:
    """Its containers run and answer, and their probe asks for a page that is not there."""
    running = {fact.about for fact in target.staying_pods() if fact.word("phase") == "Running" and _undisturbed(fact)}
    told = [(fact, found) for fact in target.kind("event") if fact.about in running and (found := _NOT_THERE.search(fact.text))]
    if not told or not target.short_of_replicas:
        return None
    name, kind, status = target.name.name, told[0][1][1].lower(), told[0][1][2]
    action, blamed, change = way_back(target)
    cure = "Go back to the release before." if blamed else f"A person corrects the path that the {kind} probe asks."
    shown = claim(f"The {kind} probe of deployment/{name} fails with status {status}.", [fact for fact, _ in told])
    return Finding(
        "bad_probe",
        f"Containers of {name} run and answer, and their {kind} probe asks for what answers {status}. {cure}",
        [shown, claim(f"Pods of deployment/{name} are not ready.", target.unready_pods()[:3]), *change],
        action,
        target,
        blamed,
    )


def _undisturbed(pod: Fact) -> bool:
    return pod.data.get("ready") is False and not pod.word("waiting_reason") and not pod.word("terminated_reason")


def misled(_scene: Scene, target: Workload) -> Finding | None:
    """A Service in front of it leads to nobody, though its pods are there and ready."""
    if target.state is None or target.short_of_replicas or not target.failing_probes():
        return None
    failing = {service_of(probe) for probe in target.failing_probes()}
    for service in (fact for fact in target.kind("service") if fact.about.name in failing):
        finding = _nobody_selected(target, service) or _nobody_listens(target, service)
        if finding is not None:
            return finding
    return None


def _nobody_selected(target: Workload, service: Fact) -> Finding | None:
    if service.number("endpoints") != 0 or target.state is None:
        return None
    name, label = service.about.name, _part(target.state, "selector")
    body = json.dumps({"spec": {"selector": label}})
    cure = f"kubectl -n {service.about.namespace} patch service {name} --type=merge -p '{body}'"
    line = next((line for line in service.lines() if line.startswith("selects")), service.lines()[0])
    return Finding(
        "bad_service",
        f"Service {name} selects no pod, though those of {target.name.name} are ready. "
        f"A person gives it the labels that they carry: {cure}",
        [claim(f"Service {name} selects no pods.", [service], [(service, line)]), *symptom_claims(target)],
        no_action(),
        target,
    )


def _nobody_listens(target: Workload, service: Fact) -> Finding | None:
    state, ports = target.state, service.data.get("target_ports")
    if state is None or not isinstance(ports, list):
        return None
    named, numbers = _part(state, "port_names"), state.data.get("ports") or []
    place, strange = next(((n, p) for n, p in enumerate(ports) if p not in named and p not in numbers), (0, None))
    if strange is None or not numbers:
        return None
    name, right = service.about.name, next(iter(named), numbers[0])
    body = json.dumps([{"op": "replace", "path": f"/spec/ports/{place}/targetPort", "value": right}])
    cure = f"kubectl -n {service.about.namespace} patch service {name} --type=json -p '{body}'"
    shown = [(fact, line) for fact in (service, state) for line in fact.lines() if "-> " in line or "listens on" in line]
    return Finding(
        "bad_service",
        f"Service {name} leads to port {strange}, and no container of {target.name.name} listens there. "
        f"A person aims it right: {cure}",
        [
            claim(f"Service {name} leads to port {strange}, where deployment/{target.name.name} does not listen.", [], shown),
            *symptom_claims(target),
        ],
        no_action(),
        target,
    )
