"""`python -m backstop.worker --config FILE`: an agent process whose incidents outlive it.

Speaks as `python -m backstop.pipeline` does, and works several incidents at a time. Killed and started again with the same
configuration, it goes on with what had not ended, and says {"incident": …, "closed": …} for it as for any other. Of one that asks a
person it says {"incident": …, "asks": ApprovalRequest}.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence

from backstop.agent_process import config_of, say, work_commands
from backstop.clock import SystemClock
from backstop.errors import BackstopError
from backstop.events import ApprovalAsked, Closed, Event
from backstop.pipeline.receipt import Signed
from backstop.records import Alert
from backstop.worker.config import WorkerConfig
from backstop.worker.run import worker


async def serve(config: WorkerConfig) -> None:
    """Works alerts until the input ends or a signal comes. Raises BackstopError if it cannot start."""
    clock = SystemClock()
    async with worker(config, clock, _tell, _ask) as working:

        async def submit(alert: Alert) -> None:
            await working.engine.submit(alert)

        await work_commands(submit, clock)


def _tell(events: Sequence[Event], signed: Signed) -> None:
    outcome = next((event.body.outcome for event in reversed(events) if isinstance(event.body, Closed)), None)
    if outcome is not None:
        path = str(signed.path) if signed.path else None
        say(incident=events[0].incident, closed=outcome.model_dump(mode="json"), receipt=path, signed=signed.said)


def _ask(events: Sequence[Event]) -> None:
    """A question, when it is asked. What begins with the first event is an incident taken up, whose question was told before."""
    for event in events if events and events[0].seq > 1 else ():
        if isinstance(event.body, ApprovalAsked):
            say(incident=event.incident, asks=event.body.request.model_dump(mode="json"))


def main() -> int:
    try:
        asyncio.run(serve(config_of("backstop.worker", __doc__, WorkerConfig)))
    except BackstopError as error:
        print(f"backstop worker: {error}", file=sys.stderr)  # noqa: T201  the interface of the process
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
