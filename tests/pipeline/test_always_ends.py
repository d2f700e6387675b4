"""Every run ends, in time, with an outcome that says why; and everything about it is on record."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from backstop.errors import ClusterRefused, ClusterUnavailable, ModelError
from backstop.events import Closed, EventLog, ModelCalled
from backstop.pipeline.incident import Incident, work
from backstop.ports import InvestigationPort, Proposal
from backstop.records import Evidence, OutcomeKind, Verdict
from backstop.testing import ScriptedModels, model_call
from tests.pipeline.shop import CHECKOUT, Shop, right


async def test_all_models_down_is_escalated_with_the_evidence(shop: Shop) -> None:
    shop.script(ModelError("no model gave a usable diagnosis", unchanged="nothing was written"))
    outcome = await shop.incident()
    assert outcome.kind is OutcomeKind.ESCALATED
    assert "no model" in outcome.reason
    assert outcome.handoff is not None
    assert len(outcome.handoff.evidence_digest) == 64
    assert shop.untouched()
    assert not shop.breaker.state(CHECKOUT).open, "a provider's outage is no anomaly of this target"


async def test_models_that_run_out_while_diagnoses_are_refused_end_it_too(shop: Shop) -> None:
    shop.script(right, ModelError("every model of the chain was already refused"), opinion=False)
    outcome = await shop.incident()
    assert outcome.kind is OutcomeKind.ESCALATED
    assert outcome.handoff is not None
    assert len(outcome.handoff.diagnoses) == 1
    assert shop.untouched()


async def test_a_cluster_that_cannot_be_read_is_escalated(shop: Shop) -> None:
    shop.cluster.read_error = ClusterUnavailable("connection refused", todo="check that the cluster runs")
    outcome = await shop.incident()
    assert outcome.kind is OutcomeKind.ESCALATED
    assert shop.defenses() == ["tool_guard"]
    assert outcome.handoff is not None
    assert outcome.handoff.evidence_digest.startswith("none")


async def test_a_target_that_does_not_exist_is_escalated(shop: Shop) -> None:
    shop.cluster.remove("checkout")
    outcome = await shop.incident()
    assert outcome.kind is OutcomeKind.ESCALATED
    assert "no deployment/checkout" in outcome.reason


async def test_a_target_that_is_gone_after_the_diagnosis_is_blocked(shop: Shop) -> None:
    def gone() -> None:
        raise ClusterRefused("not found", status=404)

    shop.cluster.before_observe = [gone]
    outcome = await shop.incident()
    assert outcome.kind is OutcomeKind.ESCALATED
    assert "action_gate" in shop.defenses()
    assert shop.untouched()


async def test_reads_that_fail_only_after_the_diagnosis_are_a_tool_fault(shop: Shop) -> None:
    def fails() -> None:
        raise ClusterUnavailable("HTTP 500", status=500)

    shop.cluster.before_observe = [fails]
    outcome = await shop.incident()
    assert outcome.kind is OutcomeKind.ESCALATED
    assert shop.defenses() == ["tool_guard"]
    assert shop.untouched()


class Hanging(ScriptedModels):
    async def diagnose(
        self,
        evidence: Evidence,
        *,
        attempt: int,
        rejected: tuple[str, ...],
        behind: str | None = None,
        investigation: InvestigationPort | None = None,
    ) -> Proposal:
        await asyncio.Event().wait()
        raise AssertionError


class HangingJudge(ScriptedModels):
    async def judge(self, proposal: Proposal, evidence: Evidence) -> Verdict:
        await asyncio.Event().wait()
        raise AssertionError


@pytest.mark.parametrize("models", [Hanging([right]), HangingJudge([right])])
async def test_what_hangs_is_left_at_the_deadline(shop: Shop, models: ScriptedModels) -> None:
    shop.models = models
    shop.settings = shop.settings.model_copy(update={"incident_deadline_seconds": 0.2})
    async with asyncio.timeout(5):
        outcome = await shop.incident()
    assert outcome.kind is OutcomeKind.ESCALATED
    assert shop.defenses() == ["deadline"]
    assert shop.untouched()


class Buggy(ScriptedModels):
    async def diagnose(
        self,
        evidence: Evidence,
        *,
        attempt: int,
        rejected: tuple[str, ...],
        behind: str | None = None,
        investigation: InvestigationPort | None = None,
    ) -> Proposal:
        raise ZeroDivisionError("a bug")


async def test_a_bug_of_ours_is_escalated_at_the_process_boundary(shop: Shop) -> None:
    shop.models = Buggy([right])
    with EventLog(shop.record, shop.clock) as log:
        outcome = await work(Incident(shop.tools(log), shop.alert()))
    assert outcome.kind is OutcomeKind.ESCALATED
    assert "ZeroDivisionError" in outcome.reason
    assert [body.outcome for body in shop.events(Closed)] == [outcome]


async def test_history_that_cannot_be_read_refuses_writes(shop: Shop) -> None:
    shop.breaker.state(CHECKOUT)  # beside a history, a breaker without a file would have lost it
    (shop.directory / "history.json").write_text("{")
    outcome = await shop.incident()
    assert outcome.kind is OutcomeKind.ESCALATED
    assert shop.untouched()
    failed = [rule for stage, rule, passed, _ in shop.decisions() if stage == "action_gate" and not passed]
    assert failed == ["A-COOLDOWN", "A-PER-INCIDENT", "A-PER-HOUR"]


async def test_a_second_incident_soon_after_a_write_finds_the_target_cooling_down(shop: Shop) -> None:
    assert (await shop.incident()).kind is OutcomeKind.RESOLVED
    shop.clock.advance(60)
    shop.cluster.release("checkout", "demo/web:1.2-errors")
    shop.clock.advance(5)
    outcome = await shop.incident()
    assert outcome.kind is OutcomeKind.ESCALATED
    assert [rule for _, rule, passed, _ in shop.decisions() if not passed] == ["A-COOLDOWN"]


async def test_a_model_that_answered_after_others_had_failed_is_named(shop: Shop) -> None:
    def after_failures(evidence: Evidence) -> object:
        shop.feed(model_call("claude-sonnet-5-5", "rate_limited"))
        return right(evidence)

    shop.script(after_failures)  # type: ignore[arg-type]
    assert (await shop.incident()).kind is OutcomeKind.RESOLVED
    assert shop.defenses() == ["fallback"]
    assert [body.call.outcome for body in shop.events(ModelCalled)] == ["rate_limited", "ok"]


async def test_unreadable_replies_on_the_way_are_named_too(shop: Shop) -> None:
    def after_garbage(evidence: Evidence) -> object:
        shop.feed(model_call("claude-sonnet-5-5", "ambiguous"))
        return right(evidence)

    shop.script(after_garbage)  # type: ignore[arg-type]
    await shop.incident()
    assert shop.defenses() == ["extraction", "fallback"]


async def test_every_event_of_the_record_holds_together(shop: Shop) -> None:
    await shop.incident()
    kinds = [body.type for body in shop.bodies()]
    assert kinds[0] == "alert_received"
    assert kinds[-1] == "closed"
    assert (
        kinds.index("evidence_gathered") < kinds.index("model_called") < kinds.index("diagnosed") < kinds.index("verdict_reached")
    )


async def test_a_record_that_cannot_be_written_stops_it_before_anything_is_done(shop: Shop, tmp_path: Path) -> None:
    with EventLog(tmp_path / "other.jsonl", shop.clock) as log:
        incident = Incident(shop.tools(log), shop.alert())
    outcome = await incident.run()  # the log is closed by now
    assert outcome.kind is OutcomeKind.ESCALATED
    assert "record" in outcome.reason
    assert shop.models.asked == 0
    assert shop.untouched()


async def test_evidence_that_has_grown_old_while_models_thought_is_refused(shop: Shop) -> None:
    def slowly(evidence: Evidence) -> object:
        shop.clock.advance(timedelta(minutes=3).total_seconds())
        return right(evidence)

    shop.script(slowly)  # type: ignore[arg-type]
    outcome = await shop.incident()
    assert outcome.kind is OutcomeKind.ESCALATED
    assert "Q-FRESH" in {rule for _, rule, passed, _ in shop.decisions() if not passed}
    assert shop.untouched()
