"""How long the gates take to decide, without any I/O: the action gate on one write, the quality gate on much evidence.

    .venv/bin/python bench/gates.py

Aims: `authorize` at most 50 µs and the quality rules over 500 facts at most 2 ms, in CPU time, by the median. No two
decisions in a row are the same: replicas, revisions and times move from one to the next. The first decision of a process is
measured apart.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from backstop.breaker import BreakerState
from backstop.pipeline.action_gate import Gathered, authorize
from backstop.pipeline.plan import plan
from backstop.pipeline.quality_gate import check_quality
from backstop.policy import DEFAULT, Context, PastWrite, decide
from backstop.records import (
    Action,
    Availability,
    Check,
    Diagnosis,
    Evidence,
    Fact,
    FactKind,
    Health,
    ObjectRef,
    Restart,
    Revision,
    Rollback,
    Scale,
    SetResources,
    TargetState,
    Verdict,
    WorkloadHealth,
    WorkloadRef,
)
from backstop.rules import diagnose

ROUNDS: Final = 3000
FACTS: Final = 500
NOW: Final = datetime(2026, 1, 1, 12, tzinfo=UTC)
CHECKOUT: Final = WorkloadRef(kind="Deployment", namespace="shop", name="checkout")
EVIDENCE: Final = Path(__file__).parents[1] / "tests" / "rules" / "evidence" / "bad_release.json"


def template(image: str) -> dict[str, Any]:
    """A pod template of ordinary size."""
    probe = {"httpGet": {"path": "/healthz", "port": "http"}, "periodSeconds": 1, "timeoutSeconds": 1}
    container = {
        "name": "web",
        "image": image,
        "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}],
        "env": [{"name": "UPSTREAM", "value": "http://prod-db:5432"}, {"name": "CURRENCY", "value": "EUR"}],
        "readinessProbe": probe,
        "resources": {"requests": {"cpu": "50m", "memory": "32Mi"}, "limits": {"memory": "96Mi"}},
    }
    return {"metadata": {"labels": {"app": "checkout", "tier": "web"}}, "spec": {"containers": [container]}}


def state(number: int, history: int = 10) -> TargetState:
    """A Deployment with as many revisions as Kubernetes keeps, different for every number."""
    replicas, first = 3 + number % 5, number
    revisions = tuple(
        Revision(
            number=first + n,
            name=f"checkout-{first + n}",
            created_at=NOW - timedelta(hours=history - n),
            images=(f"demo/web:1.{n}",),
            replicas=replicas if n == history else 0,
            ready=0,
            template=template(f"demo/web:1.{n}"),
        )
        for n in range(1, history + 1)
    )
    counters = dict.fromkeys(("desired", "ready", "available", "updated", "total"), replicas)
    ref = ObjectRef(kind="Deployment", namespace="shop", name="checkout", uid="u-1")
    return TargetState(
        ref=ref,
        uid="u-1",
        resource_version=str(1000 + number),
        generation=2 + number,
        observed_generation=2 + number,
        replicas=replicas,
        paused=False,
        strategy="RollingUpdate",
        max_unavailable=0,
        labels={"app": "checkout", "tier": "web"},
        annotations={"deployment.kubernetes.io/revision": str(first + history)},
        owners=(),
        template=revisions[-1].template,
        current_revision=first + history,
        revisions=revisions,
        health=WorkloadHealth(ref=ref, observed=True, **counters),
        availability=Availability(available=True, since=NOW - timedelta(hours=24)),
        autoscalers=(),
        budgets=(),
    )


def action(verb: str, seen: TargetState) -> Action:
    match verb:
        case "rollback":
            return Rollback(verb="rollback", target=CHECKOUT, to_revision=seen.current_revision - 1)
        case "restart":
            return Restart(verb="restart", target=CHECKOUT)
        case "scale":
            return Scale(verb="scale", target=CHECKOUT, replicas=seen.replicas + 1)
        case _:
            return SetResources(verb="set_resources", target=CHECKOUT, container="web", memory_limit_bytes=192 * 2**20)


def bad_release() -> tuple[Evidence, Diagnosis]:
    """Recorded evidence of a bad release, and what the rules make of it."""
    evidence = Evidence.model_validate_json(EVIDENCE.read_text())
    diagnosis = diagnose(evidence)
    return evidence, diagnosis


def gathered(verb: str, number: int, evidence: Evidence, diagnosis: Diagnosis) -> Gathered:
    """Everything that the action gate decides on, in order."""
    seen = state(number)
    wanted = action(verb, seen)
    (workload,) = evidence.about(CHECKOUT, FactKind.WORKLOAD)
    now = workload.model_copy(
        update={"about": workload.about.model_copy(update={"uid": "u-1"}), "data": {**workload.data, "generation": seen.generation}}
    )
    facts = tuple(now if fact.id == workload.id else fact for fact in evidence.facts)
    change = diagnosis.change.model_copy(update={"revision": seen.current_revision}) if diagnosis.change else None
    past = PastWrite(action_id="bs-x-1", target=CHECKOUT, action="restart", at=NOW - timedelta(hours=2, seconds=number))
    return Gathered(
        diagnosis=diagnosis.model_copy(update={"action": wanted, "suspect": CHECKOUT, "change": change}),
        evidence=evidence.model_copy(update={"facts": facts}),
        state=seen,
        intent=plan(wanted, seen, action_id=f"bs-{number}-1", at=NOW),
        baseline=Health(at=NOW, workloads=(seen.health,), services=(), unknown=()),
        now=Verdict(stage="verify", checks=(Check(rule="V-TARGET-UP", passed=False, reason="it does not answer"),)),
        breaker=BreakerState(open=False, scope=None, reason="not spent"),
        policy=DEFAULT,
        context=Context(now=NOW + timedelta(seconds=number), action_id=f"bs-{number}-1", recent=(past,)),
    )


def many_facts(evidence: Evidence) -> Evidence:
    """The same evidence with as many facts as the gate is meant for: more pods and lines of the workloads that are there."""
    facts: list[Fact] = list(evidence.facts)
    originals = [fact for fact in facts if fact.kind in {FactKind.LOG, FactKind.EVENT, FactKind.POD}]
    while len(facts) < FACTS:
        facts.append(originals[len(facts) % len(originals)].model_copy(update={"id": f"E{len(facts) + 1}"}))
    return evidence.model_copy(update={"facts": tuple(facts)})


def medians(work: Callable[[int], object], rounds: int) -> tuple[float, float]:
    """Microseconds of CPU: of half of the rounds at most so many, and of nine in ten."""
    times: list[int] = []
    for number in range(rounds):
        started = time.process_time_ns()
        work(number)
        times.append(time.process_time_ns() - started)
    return statistics.median(times) / 1000, statistics.quantiles(times, n=10)[-1] / 1000


def show(what: str, figures: Sequence[float], note: str = "") -> None:
    print(f"{what:<44}" + "".join(f"{figure:>10.1f}" for figure in figures) + f"  {note}")


def main() -> None:
    evidence, diagnosis = bad_release()
    print(f"{'µs of CPU':<44}{'median':>10}{'90%':>10}")
    for verb in ("rollback", "restart", "scale", "set_resources"):
        subjects = [gathered(verb, number, evidence, diagnosis) for number in range(200)]
        first = medians(lambda n: authorize(subjects[n]), 1 + 1)[0]  # noqa: B023
        show(f"action gate, {verb}", medians(lambda n: authorize(subjects[n % 200]), ROUNDS), f"first {first:.0f}")  # noqa: B023
        failed = authorize(replace(subjects[0])).failed_rules
        print(f"{'':<44}{len(authorize(subjects[0]).checks)} rules, failing: {', '.join(failed) or 'none'}")
        show(f"  of which the policy's rules, {verb}", medians(
            lambda n: decide(subjects[n % 200].diagnosis.action, subjects[n % 200].state, DEFAULT, subjects[n % 200].context),  # noqa: B023
            ROUNDS,
        ))  # fmt: skip
    large = many_facts(evidence)
    for size, subject in ((len(evidence.facts), evidence), (len(large.facts), large)):
        show(
            f"quality rules over {size} facts",
            medians(lambda _: check_quality(diagnosis, subject, now=subject.taken_at, max_age_seconds=1e9), 200),  # noqa: B023
        )


if __name__ == "__main__":
    main()
