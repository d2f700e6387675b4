"""Pods find a node, or are told in the scheduler's words why no node takes them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from fractions import Fraction
from typing import Any

from backstop.sandbox.controllers.recorder import NORMAL, WARNING, Recorder
from backstop.sandbox.controllers.state import condition, is_finished, is_leaving, matches
from backstop.sandbox.controllers.work import WorkQueue
from backstop.sandbox.quantities import parse
from backstop.sandbox.registry import Registry
from backstop.sandbox.resources import NODES, PODS, Resource
from backstop.sandbox.store import Object

NAME = "default-scheduler"
UNHELPFUL = "Preemption is not helpful for scheduling"
NO_VICTIMS = "No preemption victims found for incoming pod"


class Scheduler:
    """Binds each pod to the node with the most room. A change of any node, or a pod that goes, tries the waiting ones again."""

    def __init__(self, registry: Registry, recorder: Recorder) -> None:
        self._registry = registry
        self._recorder = recorder

    def watch(self, queue: WorkQueue, resource: Resource, obj: Object, old: Object | None) -> None:
        meta = obj["metadata"]
        if resource is PODS and _waits(obj) and (old is None or obj["spec"] != old["spec"]):
            queue.add(meta["namespace"], meta["name"])
        gone = resource is PODS and self._registry.store.get(PODS, meta["namespace"], meta["name"]) is None
        if gone or (resource is NODES and (old is None or _offer(old) != _offer(obj))):
            for pod in self._registry.store.every(PODS):
                if _waits(pod):
                    queue.add(pod["metadata"]["namespace"], pod["metadata"]["name"])

    def reconcile(self, namespace: str, name: str) -> float | None:
        pod = self._registry.find(PODS, namespace, name)
        if pod is None or not _waits(pod):
            return None
        nodes = self._registry.store.every(NODES)
        running = [p for p in self._registry.store.every(PODS) if p["spec"].get("nodeName") and not is_finished(p)]
        refusals = {node["metadata"]["name"]: refusal(pod, node, running) for node in nodes}
        fitting = [node for node in nodes if not refusals[node["metadata"]["name"]][0]]
        if not fitting:
            self._say_unschedulable(pod, explain(list(refusals.values())))
            return None
        load = Counter(p["spec"]["nodeName"] for p in running)
        self._bind(pod, min(fitting, key=lambda node: (load[node["metadata"]["name"]], node["metadata"]["name"])))
        return None

    def _bind(self, pod: Object, node: Object) -> None:
        meta, target = pod["metadata"], node["metadata"]["name"]
        scheduled = {
            "type": "PodScheduled",
            "status": "True",
            "lastProbeTime": None,
            "lastTransitionTime": self._registry.timestamp(),
        }

        def change(obj: Object) -> None:
            obj["spec"]["nodeName"] = target
            others = [found for found in obj["status"].get("conditions") or () if found["type"] != "PodScheduled"]
            obj["status"]["conditions"] = [*others, scheduled]

        self._registry.mutate(PODS, meta["namespace"], meta["name"], change, subresource="binding")
        said = f"Successfully assigned {meta['namespace']}/{meta['name']} to {target}"
        self._recorder.event(pod, NORMAL, "Scheduled", said, action="Binding")

    def _say_unschedulable(self, pod: Object, message: str) -> None:
        before = condition(pod, "PodScheduled")
        self._recorder.event(pod, WARNING, "FailedScheduling", message, action="Scheduling")
        if before is not None and before.get("message") == message:
            return
        now = self._registry.timestamp()
        waiting = {
            "type": "PodScheduled",
            "observedGeneration": pod["metadata"].get("generation", 1),
            "status": "False",
            "lastProbeTime": None,
            "lastTransitionTime": before["lastTransitionTime"] if before is not None else now,
            "reason": "Unschedulable",
            "message": message,
        }

        def change(obj: Object) -> None:
            others = [found for found in obj["status"].get("conditions") or () if found["type"] != "PodScheduled"]
            obj["status"]["conditions"] = [*others, waiting]

        self._registry.mutate(PODS, pod["metadata"]["namespace"], pod["metadata"]["name"], change, subresource="status")


Refusal = tuple[list[str], bool]
"""Why a node does not take a pod (empty: it does), and whether evicting others could change that."""


def explain(refusals: list[Refusal]) -> str:
    """The FailedScheduling message for what every node said."""
    count = len(refusals)
    if not count:
        return "no nodes available to schedule pods"
    reasons = Counter(reason for reasons, _ in refusals for reason in reasons)
    said = ", ".join(sorted(f"{number} {reason}" for reason, number in reasons.items()))
    outlook = Counter(NO_VICTIMS if helpful else UNHELPFUL for _, helpful in refusals)
    preemption = ", ".join(sorted(f"{number} {text}" for text, number in outlook.items()))
    nodes = f"0/{count} nodes are available"
    return f"{nodes}: {said}. no new claims to deallocate, preemption: {nodes}: {preemption}."


def refusal(pod: Object, node: Object, running: list[Object]) -> Refusal:
    """Asks one node, in the order of the real scheduler's filters; the first filter that refuses answers."""
    tolerations = pod["spec"].get("tolerations") or ()
    if node["spec"].get("unschedulable") and not _tolerated(_CORDONED, tolerations):
        return ["node(s) were unschedulable"], False
    taints = [taint for taint in node["spec"].get("taints") or () if taint.get("effect") in {"NoSchedule", "NoExecute"}]
    if any(not _tolerated(taint, tolerations) for taint in taints):
        return ["node(s) had untolerated taint(s)"], False
    if not _selected(pod, node):
        return ["node(s) didn't match Pod's node affinity/selector"], False
    return _room(pod, node, running)


_CORDONED = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}


def _tolerated(taint: dict[str, Any], tolerations: Iterable[dict[str, Any]]) -> bool:
    for toleration in tolerations:
        if toleration.get("effect") not in (None, "", taint.get("effect")):
            continue
        everything = toleration.get("operator") == "Exists" and not toleration.get("key")
        same_key = toleration.get("key") == taint["key"]
        same_value = toleration.get("operator") == "Exists" or toleration.get("value", "") == taint.get("value", "")
        if everything or (same_key and same_value):
            return True
    return False


def _selected(pod: Object, node: Object) -> bool:
    labels = node["metadata"].get("labels") or {}
    if not (pod["spec"].get("nodeSelector") or {}).items() <= labels.items():
        return False
    affinity = (pod["spec"].get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or {}
    terms = required.get("nodeSelectorTerms")
    return terms is None or any(matches({"matchExpressions": term.get("matchExpressions")}, labels) for term in terms)


def _room(pod: Object, node: Object, running: list[Object]) -> Refusal:
    offered = {name: parse(amount) for name, amount in (node["status"].get("allocatable") or {}).items()}
    here = [p for p in running if p["spec"]["nodeName"] == node["metadata"]["name"]]
    if len(here) + 1 > offered.get("pods", Fraction(110)):
        return ["Too many pods"], True
    used: dict[str, Fraction] = {}
    for other in here:
        for name, amount in requests(other).items():
            used[name] = used.get(name, Fraction(0)) + amount
    wanted = {name: amount for name, amount in requests(pod).items() if amount}
    short = [name for name, amount in wanted.items() if amount > offered.get(name, Fraction(0)) - used.get(name, Fraction(0))]
    hopeless = any(wanted[name] > offered.get(name, Fraction(0)) for name in short)
    return [f"Insufficient {name}" for name in sorted(short)], bool(short) and not hopeless


def requests(pod: Object) -> dict[str, Fraction]:
    """What a pod's containers ask for, in cores and bytes."""
    total: dict[str, Fraction] = {}
    for container in pod["spec"].get("containers") or ():
        for name, amount in ((container.get("resources") or {}).get("requests") or {}).items():
            total[name] = total.get(name, Fraction(0)) + parse(amount)
    return total


def _waits(pod: Object) -> bool:
    spec = pod["spec"]
    ours = spec.get("schedulerName", NAME) == NAME
    return ours and not spec.get("nodeName") and not is_leaving(pod) and not is_finished(pod) and not spec.get("schedulingGates")


def _offer(node: Object) -> tuple[Any, ...]:
    """What of a node matters here."""
    return node["spec"], node["metadata"].get("labels"), (node.get("status") or {}).get("allocatable")
