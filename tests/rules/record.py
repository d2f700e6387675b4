"""Records evidence of the embedded cluster for these tests: `python -m tests.rules.record [NAME ...]` writes `evidence/NAME.json`.

Each is a real break of a real fleet, looked at as an incident would, once what it is to show can be seen.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any, Final

from backstop.clock import SystemClock
from backstop.cluster.reads import ClusterReads, ReadLimits
from backstop.pipeline.evidence import gather
from backstop.records import Alert, Evidence, WorkloadRef
from backstop.sandbox.faults import FAULTS, RECREATE, STRATEGIC, Call, send
from backstop.sandbox.resources import DEPLOYMENTS
from tests.embedded import embedded, until

WHERE: Final = Path(__file__).parent / "evidence"
TARGET: Final = WorkloadRef(kind="Deployment", namespace="shop", name="checkout")


def release(name: str, *, strategy: dict[str, Any] | None = None, **container: Any) -> Call:
    """A new revision of one Deployment of the fleet."""
    which = "db" if name == "prod-db" else "web"
    template = {"spec": {"containers": [{"name": which, **container}]}}
    spec = {"template": template} | ({"strategy": strategy} if strategy else {})
    return Call("PATCH", DEPLOYMENTS.path("shop", name), {"spec": spec}, STRATEGIC)


HEALTHY: Final = ("3 replicas desired, 3 ready", "service/checkout -> HTTP 200", "service/prod-db -> HTTP 200")
ELSEWHERE: Final = [{"name": "UPSTREAM", "value": "http://prod-dbx:5432"}]

CASES: Final[dict[str, tuple[tuple[Call, ...], tuple[str, ...]]]] = {
    "healthy": ((), HEALTHY),
    "good_release": ((release("checkout", image="demo/web:1.1"),), ("revision 2 (current)", "HTTP 200: web 1.1", *HEALTHY)),
    "returned": (
        (release("checkout", image="demo/web:1.2-errors"), release("checkout", image="demo/web:1.0")),
        ("revision 3 (current)", "HTTP 200: web 1.0", *HEALTHY),
    ),
    "slow_start": ((release("checkout", image="demo/web:1.2-slow-start"),), ("running, not ready, image demo/web:1.2-slow-start",)),
    "rolling_bad_image": ((release("checkout", image="demo/web:1.3-none"),), ("waiting: ImagePullBackOff", *HEALTHY)),
    "bad_release": (FAULTS["bad-release"].calls, ("HTTP 500", "3 replicas desired, 3 ready")),
    "hang": (FAULTS["hang"].calls, ("3 replicas desired, 0 ready", "running, not ready, image demo/web:1.2-hang")),
    "unschedulable": (FAULTS["unschedulable"].calls, ("PodScheduled=False", "3 replicas desired, 0 ready")),
    "wrong_upstream": ((release("checkout", env=ELSEWHERE),), ("no such host", "3 replicas desired, 3 ready, 3 available")),
    "dependency_down": (FAULTS["dependency-down"].calls, ("0 replicas desired", "HTTP 502")),
    "dependency_bad_image": (
        (release("prod-db", strategy=RECREATE, image="demo/db:9.9-none"),),
        ("waiting: ImagePullBackOff", "HTTP 502"),
    ),
    "release_and_dependency_down": (
        (*FAULTS["bad-release"].calls, *FAULTS["dependency-down"].calls),
        ("service/checkout -> HTTP 500", "0 replicas desired"),
    ),
    "bad_probe": (FAULTS["bad-probe"].calls, ("statuscode: 404", "3 replicas desired, 0 ready, 0 available, 3 updated")),
    "wrong_host": (FAULTS["wrong-upstream"].calls, ("HTTP 502", "3 replicas desired, 3 ready, 3 available")),
    "memory_limit": (FAULTS["memory-limit"].calls, ("terminated: OOMKilled", "3 replicas desired, 0 ready")),
    "too_large_request": (FAULTS["too-large-request"].calls, ("PodScheduled=False", "3 replicas desired, 0 ready")),
    "quota": (FAULTS["quota"].calls, ("ReplicaFailure=True", "pods: 6 of 4 used")),
    "service_port": (FAULTS["service-port"].calls, ("-> 8081", "connection refused")),
    "webhook_down": (FAULTS["webhook-down"].calls, ("ReplicaFailure=True", "0 pods in total", "service/checkout -> HTTP 503")),
    "injection": (FAULTS["injection"].calls, ("service/checkout -> HTTP 500", "3 replicas desired, 3 ready, 3 available", "scale")),
    "fix_makes_worse": (FAULTS["fix-makes-worse"].calls, ("revision 3 (current)", "HTTP 500", "3 replicas desired, 3 ready")),
    "oom": (FAULTS["oom"].calls, ("terminated: OOMKilled", "revision 2 (current)")),
    "crash_loop": (FAULTS["crash-loop"].calls, ("CrashLoopBackOff",)),
    "bad_image": (FAULTS["bad-image"].calls, ("ImagePullBackOff",)),
    "missing_config_key": (FAULTS["missing-config-key"].calls, ("CreateContainerConfigError",)),
    "scaled_to_zero": (
        FAULTS["scaled-to-zero"].calls,
        ("0 replicas desired, 0 ready", "from 3 to 0", "HTTP 503", "0 of 0 endpoints ready"),
    ),
    "cut_off": (FAULTS["service-selector"].calls, ("in front of no deployment", "service/checkout -> HTTP 503")),
}


async def record(calls: tuple[Call, ...], shown: tuple[str, ...]) -> Evidence:
    """The evidence of one break, once all that is to be shown is."""
    clock = SystemClock()
    with embedded() as cluster:
        reads = ClusterReads(cluster.door("investigator"), clock, ReadLimits(log_lines=4))

        async def look() -> Evidence:
            alert = Alert(
                id="alert-1",
                name="HighErrorRate",
                target=TARGET,
                service="checkout",
                summary="requests to checkout fail",
                started_at=clock.now(),
            )
            return gather(alert, await reads.look(alert), clock.now())

        def shows(*phrases: str) -> Any:
            return lambda evidence: all(any(phrase in fact.text for fact in evidence.facts) for phrase in phrases)

        await until(look, shows("3 replicas desired, 3 ready, 3 available", *HEALTHY))
        for call in calls:
            await send(cluster.kubeconfigs["admin"], [call])
            await clock.sleep(3)  # timestamps hold whole seconds, and so must differ by more than one
        return await until(look, shows(*shown))


async def main(names: list[str]) -> None:
    WHERE.mkdir(exist_ok=True)
    for name in names or CASES:
        evidence = await record(*CASES[name])
        (WHERE / f"{name}.json").write_text(evidence.model_dump_json() + "\n", encoding="utf-8")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
