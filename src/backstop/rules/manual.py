"""The exact change for a person where no write of Backstop's is right: kubectl commands, read off the evidence alone.

    manual_change(evidence, diagnosis)   # ("why: kubectl …", …); nothing where the evidence does not say what to change

Every name and number comes from a fact, never from a model's words. What could not be the name of an object or a label is not put
into a command at all, and what is put there is quoted for a shell.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from fractions import Fraction
from typing import Any, Final

from backstop.quantities import quantity
from backstop.records import Diagnosis, Evidence, Fact, FactKind, FaultClass, NoAction, WorkloadRef
from backstop.rules.answer import blamed, replicas_before
from backstop.rules.ranking import Suspect, suspects_of
from backstop.rules.reading import Scene
from backstop.rules.troubles import Trouble

_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_LABEL: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9./_-]{0,315}[A-Za-z0-9])?")
_QUOTA: Final = re.compile(r"exceeded quota: ([a-z0-9][a-z0-9.-]*), requested: (\S+), used: \S+, limited: (\S+)$")
_WEBHOOK: Final = re.compile(r'(failed calling webhook|admission webhook) "([a-z0-9][a-z0-9.-]*)"')
_BACKEND: Final = re.compile(r'Post "https://([a-z0-9][a-z0-9-]*)\.([a-z0-9][a-z0-9-]*)\.svc[:/]')
_CONFIGURATIONS: Final = (
    "kubectl get validatingwebhookconfigurations,mutatingwebhookconfigurations"
    " -o custom-columns=KIND:.kind,NAME:.metadata.name,'WEBHOOKS:.webhooks[*].name'"
)


def manual_change(evidence: Evidence, diagnosis: Diagnosis) -> tuple[str, ...]:
    """What a person would run, the reason before each command. Empty if the diagnosis proposes a write, if the model-free reading
    does not see the fault that it names, or if the evidence does not say what the change is."""
    scene = Scene(evidence)
    if scene.unreadable or not isinstance(diagnosis.action, NoAction) or not _NAME.fullmatch(diagnosis.suspect.name):
        return ()
    named = (s for s in suspects_of(scene) if s.workload.ref == diagnosis.suspect and s.fault is diagnosis.fault_class)
    suspect = next(named, None)
    change = _CHANGES.get(diagnosis.fault_class)
    return change(scene, suspect) if suspect is not None and change is not None else ()


def _service(_scene: Scene, suspect: Suspect) -> tuple[str, ...]:
    found: list[str] = []
    for trouble, repair in ((Trouble.CUT_OFF, _selector), (Trouble.MISAIMED, _ports)):
        services = [fact for fact in suspect.troubles.get(trouble, ()) if fact.kind is FactKind.SERVICE]
        found += [step for fact in services for step in repair(fact, suspect)]
    return tuple(found)


def _selector(service: Fact, suspect: Suspect) -> list[str]:
    """Gives a Service the labels by which the Deployment knows its own pods."""
    state = suspect.workload.state
    wanted, there = (_labels(fact.data.get("selector")) for fact in (state.fact if state else service, service))
    if not wanted or there is None:
        return []
    selector: dict[str, str | None] = {**{key: None for key in there if key not in wanted}, **wanted}
    said = ", ".join(f"{key}={value}" for key, value in wanted.items())
    why = f"service/{service.about.name} selects no pod, and those of {suspect.workload.ref.key} carry {said}"
    return _patched(why, suspect.workload.ref, "service", service.about.name, {"spec": {"selector": selector}})


def _ports(service: Fact, suspect: Suspect) -> list[str]:
    """Leads each port of a Service that leads nowhere to the one port that the containers declare."""
    state, aims = suspect.workload.state, service.data.get("target_ports")
    if state is None or not isinstance(aims, list) or len(set(state.data.ports)) != 1:
        return []
    port, known = state.data.ports[0], {*state.data.ports, *state.data.port_names}
    astray = [place for place, aim in enumerate(aims) if aim not in known]
    change = [{"op": "replace", "path": f"/spec/ports/{place}/targetPort", "value": port} for place in astray]
    behind = suspect.workload.ref.key
    why = f"service/{service.about.name} leads to a port that no container of {behind} declares; they declare {port}"
    return _patched(why, suspect.workload.ref, "service", service.about.name, change)


def _admission(scene: Scene, suspect: Suspect) -> tuple[str, ...]:
    said = [line for fact in suspect.troubles.get(Trouble.REFUSED, ()) for line in fact.lines() if fact.kind is FactKind.WORKLOAD]
    found: list[str] = []
    for line in said:
        if quota := _QUOTA.search(line):
            found += _room(scene, suspect, quota.group(1), _amounts(quota.group(2)))
        elif webhook := _WEBHOOK.search(line):
            found += _webhook(line, webhook.group(2), down=webhook.group(1) == "failed calling webhook")
    return tuple(dict.fromkeys(found))


def _room(scene: Scene, suspect: Suspect, name: str, requested: dict[str, Fraction]) -> list[str]:
    """Raises a quota to what is used plus what the missing pods ask for."""
    state, quotas = suspect.workload.state, [f for f in scene.facts if f.kind is FactKind.QUOTA and f.data.get("name") == name]
    if state is None or len(quotas) != 1 or quotas[0].about.name != suspect.workload.ref.namespace:
        return []
    missing = state.data.desired - state.data.total
    hard, used = (_parsed(quotas[0].data.get(part)) for part in ("hard", "used"))
    needed = {resource: used.get(resource, Fraction(0)) + each * missing for resource, each in requested.items()}
    raised = {resource: _said(resource, amount) for resource, amount in needed.items() if amount > hard.get(resource, amount)}
    if missing < 1 or not raised:
        return []
    why = f"resourcequota/{name} refuses the {missing} pods that {suspect.workload.ref.key} lacks; this makes room for them"
    return _patched(why, suspect.workload.ref, "resourcequota", name, {"spec": {"hard": raised}})


def _webhook(line: str, name: str, *, down: bool) -> list[str]:
    """The configuration that names a webhook is not in the evidence: how to find it is, and who should answer."""
    backend = _BACKEND.search(line)
    found = []
    if down and backend is not None:
        service, namespace = backend.groups()
        why = f"webhook {name} must be asked about every new pod, and nobody answers; bring back the Service that should"
        found.append(f"{why}: kubectl -n {shlex.quote(namespace)} get service {service}")
    why = f"this is the configuration that asks webhook {name}; if it cannot be brought back, that is to be changed or deleted"
    if not down:
        why = f"webhook {name} denies the pods; this is the configuration that asks it"
    return [*found, f"{why}: {_CONFIGURATIONS} | grep -F {shlex.quote(name)}"]


def _dependency(scene: Scene, suspect: Suspect) -> tuple[str, ...]:
    replicas = replicas_before(scene, suspect.workload)
    if Trouble.AT_ZERO not in suspect.troubles or replicas is None:
        return ()
    ref = suspect.workload.ref
    return (
        f"{ref.key} is scaled to zero, and had {replicas} replicas before: {_kubectl(ref)} scale {_it(ref)} --replicas={replicas}",
    )


def _stuck(_scene: Scene, suspect: Suspect) -> tuple[str, ...]:
    ref = suspect.workload.ref
    return (f"a restart may help {ref.key}, which hangs, and others depend on it: {_kubectl(ref)} rollout restart {_it(ref)}",)


def _release(_scene: Scene, suspect: Suspect) -> tuple[str, ...]:
    """Going back, where that was left to a person as the workload is protected. Whether its data allows it is not on record."""
    ref, previous = suspect.workload.ref, suspect.workload.previous
    if not blamed(suspect) or previous is None:
        return ()
    number = previous.data.number
    return (
        f"{ref.key} is unwell since its last release; look what else it changed, and whether its data can go back, before you do: "
        f"{_kubectl(ref)} rollout undo {_it(ref)} --to-revision={number}",
    )


def _patched(why: str, ref: WorkloadRef, kind: str, name: str, change: Any) -> list[str]:
    """One step with a patch: a merge patch if it is a mapping, a JSON patch if it is a list."""
    if not change or not _NAME.fullmatch(name):
        return []
    body = shlex.quote(json.dumps(change, separators=(",", ":")))
    how = "merge" if isinstance(change, dict) else "json"
    return [f"{why}: {_kubectl(ref)} patch {kind} {shlex.quote(name)} --type {how} -p {body}"]


def _kubectl(ref: WorkloadRef) -> str:
    return f"kubectl -n {shlex.quote(ref.namespace)}"


def _it(ref: WorkloadRef) -> str:
    return shlex.quote(ref.key)


def _labels(value: Any) -> dict[str, str] | None:
    """Labels as they can be; None if that is not what it is."""
    if not isinstance(value, dict):
        return None
    good = all(isinstance(v, str) and _LABEL.fullmatch(k) and _LABEL.fullmatch(v) for k, v in value.items())
    return dict(value) if good else None


def _amounts(said: str) -> dict[str, Fraction]:
    """`pods=1,requests.cpu=50m` by resource."""
    return _parsed(dict(part.split("=", 1) for part in said.split(",") if "=" in part))


def _parsed(value: Any) -> dict[str, Fraction]:
    pairs = value.items() if isinstance(value, dict) else ()
    return {k: amount for k, v in pairs if _LABEL.fullmatch(k) and (amount := quantity(v)) is not None}


def _said(resource: str, amount: Fraction) -> str:
    """As a quantity: whole Mi where a resource is memory and it comes out even, thousandths where it is no whole number."""
    if resource.endswith(("memory", "storage")) and amount % 2**20 == 0:
        return f"{amount // 2**20}Mi"
    return str(amount) if amount.denominator == 1 else f"{-(-amount * 1000 // 1)}m"


_CHANGES: Final[dict[FaultClass, Callable[[Scene, Suspect], tuple[str, ...]]]] = {
    FaultClass.BAD_SERVICE: _service,
    FaultClass.ADMISSION_REFUSED: _admission,
    FaultClass.DEPENDENCY_DOWN: _dependency,
    FaultClass.STUCK_PROCESS: _stuck,
    FaultClass.BAD_RELEASE: _release,
    FaultClass.BAD_IMAGE: _release,
    FaultClass.BAD_CONFIG: _release,
    FaultClass.BAD_PROBE: _release,
    FaultClass.CRASH_LOOP: _release,
    FaultClass.OUT_OF_MEMORY: _release,
    FaultClass.UNSCHEDULABLE: _release,
}
