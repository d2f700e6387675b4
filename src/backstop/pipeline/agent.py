"""What an agent works its incidents with: the investigator's identity, models, executor, policy and state, as configured."""

from __future__ import annotations

import gc
from contextlib import AsyncExitStack

from backstop.agent_process import AgentSetup
from backstop.breaker import Breaker, budget_of
from backstop.clock import Clock
from backstop.cluster.client import ClusterClient
from backstop.cluster.reads import ClusterReads, ReadLimits
from backstop.documents import Documents, files_of
from backstop.errors import ConfigError
from backstop.executor.client import ExecutorClient
from backstop.models import Stores, build_models
from backstop.models.budget import KeptSpend
from backstop.models.telemetry import export_spans
from backstop.pipeline.calls import CallFeed
from backstop.pipeline.history import History
from backstop.pipeline.journal import Log
from backstop.pipeline.session import Tools
from backstop.policy import load_policy
from backstop.ports import ExecutorPort


def executor_of(config: AgentSetup) -> ExecutorClient:
    """The executor that the configuration names. Raises ConfigError."""
    if config.executor_socket is None:
        raise ConfigError("executor_socket is missing", todo="start an executor and name its socket")
    digest = load_policy(config.policy).digest()
    return ExecutorClient(config.executor_socket, policy_digest=digest, patience=config.executor_patience)


async def open_tools(
    config: AgentSetup, log: Log, clock: Clock, executor: ExecutorPort, stack: AsyncExitStack, kept: Documents | None = None
) -> Tools:
    """Warmed up; `stack` closes them. `kept`: where what outlives an incident is, None: in files of the state directory. Raises
    BackstopError."""
    settings, feed, kept = config.load_settings(), CallFeed(), kept or files_of(config.state)
    stack.callback(export_spans())
    client = await stack.enter_async_context(ClusterClient(config.kubeconfig, config.context))
    models = build_models(settings, clock, feed, Stores(spend=KeptSpend(kept.spend)))
    stack.push_async_callback(models.aclose)
    models.warm()
    gc.collect()
    gc.freeze()  # what was imported stays: a full collection of it would be felt in the middle of an incident
    await client.warm(ReadLimits.concurrency)
    return Tools(
        cluster=ClusterReads(client, clock, ReadLimits(log_lines=settings.evidence_log_lines)),
        models=models,
        executor=executor,
        policy=load_policy(config.policy),
        breaker=Breaker(kept.breaker, clock, budget_of(settings)),
        history=History(kept.history),
        log=log,
        clock=clock,
        settings=settings,
        calls=feed,
        mode=config.mode,
        approver=None,
    )
