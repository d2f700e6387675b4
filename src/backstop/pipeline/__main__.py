"""`python -m backstop.pipeline --config FILE`: the Backstop agent as a process, with the investigator's identity.

Says {"ready": true} once everything is imported, and {"incident": id, "closed": Outcome, "receipt": path or null, "signed": a
sentence} for each alert. Incidents are worked one
after the other, so that no two of them can act at once. What cannot be used ends it with one sentence and exit code 2.
"""

from __future__ import annotations

import asyncio
import gc
import sys
from contextlib import AsyncExitStack
from pathlib import Path

from backstop.agent_process import AgentConfig, config_of, say, work_commands
from backstop.breaker import Breaker, budget_of
from backstop.clock import SystemClock
from backstop.cluster.client import ClusterClient
from backstop.cluster.reads import ClusterReads, ReadLimits
from backstop.errors import BackstopError, ConfigError
from backstop.events import EventLog
from backstop.executor.client import ExecutorClient
from backstop.models import Stores, build_models
from backstop.models.budget import FileSpend
from backstop.models.telemetry import export_spans
from backstop.pipeline.calls import CallFeed
from backstop.pipeline.history import History
from backstop.pipeline.incident import Incident, work
from backstop.pipeline.receipt import ask_receipt
from backstop.pipeline.session import Tools
from backstop.policy import load_policy


async def serve(config: AgentConfig) -> None:
    """Works alerts until the input ends or a signal comes. Raises BackstopError if it cannot start."""
    if config.executor_socket is None:
        raise ConfigError("executor_socket is missing", todo="start an executor and name its socket")
    settings, clock, feed = config.load_settings(), SystemClock(), CallFeed()
    async with AsyncExitStack() as stack:
        stack.callback(export_spans())
        log = stack.enter_context(EventLog(config.record, clock))
        client = await stack.enter_async_context(ClusterClient(config.kubeconfig, config.context))
        models = build_models(settings, clock, feed, Stores(spend=FileSpend(config.state / "spend.json")))
        stack.push_async_callback(models.aclose)
        models.warm()
        gc.collect()
        gc.freeze()  # what was imported stays: a full collection of it would be felt in the middle of an incident
        await client.warm(ReadLimits.concurrency)
        policy = load_policy(config.policy)
        executor = ExecutorClient(config.executor_socket, policy_digest=policy.digest())
        tools = Tools(
            cluster=ClusterReads(client, clock, ReadLimits(log_lines=settings.evidence_log_lines)),
            models=models,
            executor=executor,
            policy=policy,
            breaker=Breaker(config.state / "breaker.json", clock, budget_of(settings)),
            history=History(config.state / "history.json"),
            log=log,
            clock=clock,
            settings=settings,
            calls=feed,
            mode=config.mode,
            approver=None,
        )
        await work_commands(lambda alert: _answer(Incident(tools, alert), executor, config.record), clock)


async def _answer(incident: Incident, executor: ExecutorClient, record: Path) -> None:
    outcome = await work(incident)
    signed = await ask_receipt(executor, record, incident.alert.id)
    path = str(signed.path) if signed.path else None
    say(incident=incident.alert.id, closed=outcome.model_dump(mode="json"), receipt=path, signed=signed.said)


def main() -> int:
    try:
        asyncio.run(serve(config_of("backstop.pipeline", __doc__)))
    except BackstopError as error:
        print(f"backstop pipeline: {error}", file=sys.stderr)  # noqa: T201  the interface of the process
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
