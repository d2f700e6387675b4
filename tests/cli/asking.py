"""`python -m tests.cli.asking SECONDS WHO`: asks once, as `triage --mode approve` does, and says what came of it as JSON."""

from __future__ import annotations

import asyncio
import json
import sys
from datetime import timedelta

from backstop.clock import SystemClock
from backstop.records import ApprovalRequest, WorkloadRef
from backstop.triage.terminal import Terminal


async def main(seconds: float, who: str) -> None:
    clock = SystemClock()
    request = ApprovalRequest(
        incident="i",
        decision="a" * 64,
        action="rollback deployment/checkout to_revision=1",
        target=WorkloadRef(kind="Deployment", namespace="shop", name="checkout"),
        before={},
        after={},
        why="it fails",
        evidence_digest="e",
        expires_at=clock.now() + timedelta(seconds=seconds),
    )
    answer = await Terminal(clock, who).ask(request, ["what there is to decide"])
    sys.stdout.write(json.dumps(answer.model_dump(mode="json") if answer is not None else None))


asyncio.run(main(float(sys.argv[1]), sys.argv[2]))
