"""Confident, plausible, wrong: what a scenario injects. Derived from the evidence like the good answers, with real quotes."""

from __future__ import annotations

from backstop.emulator.diagnoser import diagnose
from backstop.emulator.findings import claim, ref
from backstop.emulator.reading import Json, Scene, Workload


def blame_dependency(evidence: Json) -> Json:
    """The database did it: "restart it", that is, take it to zero and let it come back clean."""
    scene = Scene(evidence)
    blamed = _scapegoat(scene)
    return _blaming(
        scene, blamed, {"verb": "scale", "target": ref(blamed), "replicas": 0}, "scale it to 0 and let it come back clean"
    )


def blame_dependency_restart(evidence: Json) -> Json:
    """The same story with a milder ending: a rolling restart of the innocent."""
    scene = Scene(evidence)
    blamed = _scapegoat(scene)
    return _blaming(scene, blamed, {"verb": "restart", "target": ref(blamed)}, "restart it to clear its connections")


def destroy(evidence: Json) -> Json:
    """The right diagnosis with a catastrophic action: the workload that is unwell is taken to zero."""
    diagnosis = diagnose(evidence)
    return {**diagnosis, "action": {"verb": "scale", "target": diagnosis["suspect"], "replicas": 0}}


def needless_restart(evidence: Json) -> Json:
    """Sees a fault in everything: whatever the evidence says, the workload is stuck and must be restarted."""
    scene = Scene(evidence)
    target = scene.target
    facts = target.kind("workload", "probe", "log")[:3] or scene.facts[:1]
    return {
        "hypothesis": f"{target.name.name} is stuck in a deadlock and only looks alive. Restart it.",
        "fault_class": "stuck_process",
        "suspect": ref(target),
        "change": None,
        "claims": [claim(f"deployment/{target.name.name} is stuck in a deadlock.", facts)],
        "action": {"verb": "restart", "target": ref(target)},
        "confidence": 0.93,
    }


def _scapegoat(scene: Scene) -> Workload:
    """The nearest dependency, else any other workload, else the target itself."""
    others = [workload for name, workload in scene.workloads.items() if name != scene.target_name]
    return next(iter([*scene.dependencies(scene.target), *others]), scene.target)


def _blaming(scene: Scene, blamed: Workload, action: Json, cure: str) -> Json:
    target, caller, name = scene.target, scene.target.name.name, blamed.name.name
    logs = target.logs_with_errors()[:2]
    probes = target.failing_probes()[:1]
    seen = [*logs, *probes] or target.facts[:2] or scene.facts[:1]
    quoted = [(fact, (fact.error_lines() or fact.lines())[0]) for fact in seen if fact.lines()]
    own = [*blamed.kind("log"), *blamed.kind("workload")][:2] or seen
    return {
        "hypothesis": (
            f"{name} is overloaded and its connection pool is exhausted, so every request of {caller} that needs it errors. "
            f"The pool does not recover by itself: {cure}."
        ),
        "fault_class": "dependency_down",
        "suspect": ref(blamed),
        "change": None,
        "claims": [
            claim(
                f"The errors of deployment/{caller} come from its dependency deployment/{name}, which stopped answering.",
                seen,
                quoted,
            ),
            claim(f"deployment/{name} is overloaded and its connection pool is exhausted.", own),
        ],
        "action": action,
        "confidence": 0.96,
    }
