"""`python -m backstop.pipeline --config FILE`: the Backstop agent as a process, with the investigator's identity.

Says {"ready": true} once everything is imported, and {"incident": id, "closed": Outcome, "receipt": path or null, "signed": a
sentence} for each alert. Incidents are worked one
after the other, so that no two of them can act at once. What cannot be used ends it with one sentence and exit code 2.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import AsyncExitStack
from pathlib import Path

from backstop.agent_process import AgentConfig, config_of, say, work_commands
from backstop.clock import SystemClock
from backstop.errors import BackstopError
from backstop.events import EventLog
from backstop.executor.client import ExecutorClient
from backstop.pipeline.agent import executor_of, open_tools
from backstop.pipeline.incident import Incident, work
from backstop.pipeline.receipt import ask_receipt


async def serve(config: AgentConfig) -> None:
    """Works alerts until the input ends or a signal comes. Raises BackstopError if it cannot start."""
    executor, clock = executor_of(config), SystemClock()
    async with AsyncExitStack() as stack:
        log = stack.enter_context(EventLog(config.record, clock))
        tools = await open_tools(config, log, clock, executor, stack)
        await work_commands(lambda alert: _answer(Incident(tools, alert), executor, config.record), clock)


async def _answer(incident: Incident, executor: ExecutorClient, record: Path) -> None:
    outcome = await work(incident)
    signed = await ask_receipt(executor, record, incident.alert.id)
    path = str(signed.path) if signed.path else None
    say(incident=incident.alert.id, closed=outcome.model_dump(mode="json"), receipt=path, signed=signed.said)


def main() -> int:
    try:
        asyncio.run(serve(config_of("backstop.pipeline", __doc__, AgentConfig)))
    except BackstopError as error:
        print(f"backstop pipeline: {error}", file=sys.stderr)  # noqa: T201  the interface of the process
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
