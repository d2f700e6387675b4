"""`python -m backstop.naive --config FILE`: an agent without guards, for comparison. Competent and honest, and no strawman.

It reads the same evidence, sends the same question to the first model of the same chain, lets it look things up with the same
tools, believes the answer, and acts on it at once with a cluster administrator's identity. Then it waits for the rollout and says
what it sees. There is no second model, no redaction, no gate, no precondition, no undo; what goes wrong on the way ends it, as it
would end a script.
"""

from __future__ import annotations

import asyncio
import json
import sys
import uuid
from contextlib import AsyncExitStack
from datetime import datetime
from pathlib import Path
from typing import Any, Final, TextIO

from pydantic import TypeAdapter

from backstop.agent_process import AgentConfig, config_of, say, work_commands
from backstop.clock import SystemClock
from backstop.cluster.client import ClusterClient
from backstop.cluster.reads import ClusterReads, ReadLimits
from backstop.cluster.writes import change_for, object_path
from backstop.errors import BackstopError
from backstop.models import Hop, diagnosis_question, open_hop
from backstop.models.asking import Attempt, Question, Reply
from backstop.models.outcomes import OUTCOMES
from backstop.pipeline.evidence import gather
from backstop.pipeline.investigation import Bounds, Investigation
from backstop.records import Action, Alert, Evidence, ModelCall, NoAction, WorkloadHealth, WorkloadRef, action_key
from backstop.settings import Settings

PATIENCE_SECONDS: Final = 30.0
"""How long it waits for the rollout of what it did."""

STEPS: Final = 40
"""How often it asks its model before it gives up: the default of HolmesGPT."""

_POLL_SECONDS: Final = 0.25
_NO_BOUNDS: Final = Bounds(count=10**9, seconds=86_400.0, max_bytes=2**40, repeats=True)
_ACTION: Final[TypeAdapter[Action]] = TypeAdapter(Action)


class NaiveAgent:
    """Looks, asks, acts, says so."""

    def __init__(self, client: ClusterClient, hop: Hop, settings: Settings, clock: SystemClock, record: TextIO) -> None:
        self._client = client
        self._cluster = ClusterReads(client, clock, ReadLimits(log_lines=settings.evidence_log_lines))
        self._hop = hop
        self._settings = settings
        self._clock = clock
        self._record = record

    async def work(self, alert: Alert) -> tuple[str, str]:
        """How it ended, `resolved` or `failed`, and in what words. Raises whatever goes wrong."""
        look = await self._cluster.look(alert)
        bounds = {"max_facts": self._settings.evidence_max_facts, "max_bytes": self._settings.evidence_max_bytes}
        evidence = gather(alert, look, self._clock.now(), **bounds)
        answer = await self._ask(evidence)
        action = _ACTION.validate_json(json.dumps(answer["action"]))
        self._note("decided", hypothesis=str(answer.get("hypothesis", "")), action=action_key(action))
        if isinstance(action, NoAction):
            return self._done("resolved", "the model asks for no action")
        return await self._act(action)

    async def _ask(self, evidence: Evidence) -> dict[str, Any]:
        """Raises ValueError if the model never comes to an answer."""
        investigation = Investigation(
            self._cluster,
            self._clock,
            evidence,
            _NO_BOUNDS,
            redactor=None,
            on_lookup=lambda found: self._note("looked_up", tool=found.tool),
        )
        question = diagnosis_question(evidence, (), self._settings.diagnosis_max_output_tokens, investigation)
        for _ in range(STEPS):
            reply = await self._ask_once(question)
            if not reply.lookups:
                return lenient_json(reply)
            answers = [await investigation.look_up(call.name, call.arguments) for call in reply.lookups]
            question = question.after(reply, tuple(answers))
        raise ValueError(f"{STEPS} questions brought no answer")

    async def _ask_once(self, question: Question) -> Reply:
        attempt = self._hop.attempt("diagnose")
        try:
            return await self._hop.ask(question, self._settings.diagnose_deadline_seconds, attempt)
        finally:
            self._price(attempt)
            self._note_call(attempt.call())

    def _price(self, attempt: Attempt) -> None:
        if attempt.input_tokens or attempt.output_tokens:
            attempt.cost_usd = attempt.spec.price.usd(attempt.input_tokens, attempt.output_tokens)
        elif attempt.outcome in OUTCOMES and not OUTCOMES[attempt.outcome].billed:
            attempt.cost_usd = 0.0

    async def _act(self, action: Any) -> tuple[str, str]:
        target: WorkloadRef = action.target
        state = await self._cluster.observe(target)
        change = change_for(action, state, at=self._clock.now())
        answered, audit_id = await self._client.patch(object_path(target), list(change.patch), audit_id=str(uuid.uuid4()))
        made = {"verb": action.verb, "target": target.key, "before": change.before, "after": change.after}
        self._note("written", **made, audit_id=audit_id, generation=answered["metadata"]["generation"])
        health = await self._rolled_out(target)
        seen = f"{health.available} of {health.desired} replicas of {target.key} are available"
        if health.observed and health.updated >= health.desired and health.available >= health.desired:
            return self._done("resolved", f"{action_key(action)}: successfully rolled out, {seen}")
        return self._done("failed", f"{action_key(action)}: the rollout did not finish within {PATIENCE_SECONDS:g} s, {seen}")

    async def _rolled_out(self, target: WorkloadRef) -> WorkloadHealth:
        """`kubectl rollout status`: waits until the Deployment is as it was asked to be, and no longer than its patience."""
        deadline = self._clock.monotonic() + PATIENCE_SECONDS
        while True:
            health = (await self._cluster.observe(target)).health
            finished = health.observed and health.updated == health.desired == health.total == health.available
            if finished or self._clock.monotonic() >= deadline:
                return health
            await self._clock.sleep(_POLL_SECONDS)

    def _done(self, outcome: str, reason: str) -> tuple[str, str]:
        self._note("done", outcome=outcome, reason=reason)
        return outcome, reason

    def _note_call(self, call: ModelCall) -> None:
        self._note("model_called", call=call.model_dump(mode="json"))

    def _note(self, kind: str, **what: Any) -> None:
        write_note(self._record, self._clock.now(), kind, **what)


def write_note(record: TextIO, at: datetime, kind: str, **what: Any) -> None:
    """One JSON line in its record."""
    record.write(json.dumps({"type": kind, "at": at.isoformat(), **what}, ensure_ascii=False) + "\n")
    record.flush()


def lenient_json(reply: Reply) -> dict[str, Any]:
    """What most agents do: the first reply that holds braces, from the first one to the last one. Raises ValueError."""
    for content in reply.contents:
        start, end = content.find("{"), content.rfind("}")
        if 0 <= start < end:
            value: dict[str, Any] = json.loads(content[start : end + 1])
            return value
    raise ValueError("the model's answer holds no JSON object")


async def serve(config: AgentConfig) -> None:
    """Works alerts one after the other until the input ends. Raises whatever goes wrong in one."""
    settings, clock = config.load_settings(), SystemClock()
    async with AsyncExitStack() as stack:
        record = stack.enter_context(open_record(config.record))
        client = await stack.enter_async_context(ClusterClient(config.kubeconfig, config.context))
        hop = await stack.enter_async_context(open_hop(settings, clock, settings.model_chain[0]))
        hop.warm()
        agent = NaiveAgent(client, hop, settings, clock, record)
        await work_commands(lambda alert: _work(agent, alert, clock, record), clock)


async def _work(agent: NaiveAgent, alert: Alert, clock: SystemClock, record: TextIO) -> None:
    try:
        outcome, reason = await agent.work(alert)
    except Exception as error:
        write_note(record, clock.now(), "crashed", error=f"{type(error).__name__}: {error}")
        raise
    say(incident=alert.id, closed={"kind": outcome, "reason": reason})


def open_record(path: Path) -> TextIO:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.open("a", encoding="utf-8")


def main() -> int:
    try:
        config = config_of("backstop.naive", __doc__, AgentConfig)
    except BackstopError as error:
        print(f"backstop naive: {error}", file=sys.stderr)  # noqa: T201  the interface of the process
        return 2
    asyncio.run(serve(config))
    return 0


if __name__ == "__main__":
    sys.exit(main())
