"""The action gate refuses whatever is not what was diagnosed, as it was seen, undoable, measured, in budget and rehearsed."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from backstop.breaker import BreakerState
from backstop.errors import BackstopError
from backstop.events import Blocked
from backstop.pipeline.action_gate import RULES, Gathered, authorize, with_rehearsal
from backstop.pipeline.evidence import gather
from backstop.pipeline.plan import plan
from backstop.policy import DEFAULT, Context
from backstop.records import Check, Fact, FactKind, Health, Intent, NoAction, OutcomeKind, Restart, TargetState, Verdict
from backstop.testing import FakeExecutor
from tests.pipeline.shop import CHECKOUT, PROD_DB, Shop, only, right

ODD: tuple[Any, ...] = (None, math.nan, "", "2", {}, object())
CLOSED = BreakerState(open=False, scope=None, reason="not spent")


@pytest.fixture
async def gathered(shop: Shop) -> Gathered:
    """Everything as it should be."""
    alert, now = shop.alert(), shop.clock.now()
    evidence = gather(alert, await shop.cluster.look(alert), now)
    state = await shop.cluster.observe(CHECKOUT)
    return Gathered(
        diagnosis=right(evidence),
        evidence=evidence,
        state=state,
        intent=plan(right(evidence).action, state, action_id="bs-abc-1", at=now),
        baseline=await shop.cluster.measure("shop", ("checkout",), 5),
        now=verified(error_rate_low=False),
        breaker=CLOSED,
        policy=DEFAULT,
        context=Context(now=now, action_id="bs-abc-1", recent=()),
    )


def verified(*, target_up: bool = True, error_rate_low: bool = True, known: bool = True) -> Verdict:
    """How the target was found just now."""
    said = {"V-NOTHING-UNKNOWN": known, "V-TARGET-UP": target_up, "V-ERROR-RATE": error_rate_low}
    return Verdict(stage="verify", checks=tuple(Check(rule=rule, passed=so, reason="measured") for rule, so in said.items()))


def failed(gathered: Gathered) -> tuple[str, ...]:
    return authorize(gathered).failed_rules


def intent_of(gathered: Gathered) -> Intent:
    assert gathered.intent is not None
    return gathered.intent


def state_of(gathered: Gathered) -> TargetState:
    assert gathered.state is not None
    return gathered.state


async def test_everything_as_it_should_be_passes(gathered: Gathered) -> None:
    assert failed(gathered) == ()


async def test_nothing_gathered_may_be_missing(gathered: Gathered) -> None:
    assert {"A-TARGET-EXISTS", "A-EVIDENCE-TRUE"} <= set(failed(replace(gathered, state=None)))
    assert failed(replace(gathered, intent=None)) == ("A-MATCHES-DIAGNOSIS", "A-EVIDENCE-TRUE", "A-UNDO-EXISTS")
    assert failed(replace(gathered, baseline=None)) == ("A-BASELINE",)
    assert failed(replace(gathered, now=None)) == ("A-STILL-UNWELL",)


async def test_what_is_well_again_is_not_written_to(gathered: Gathered) -> None:
    assert failed(replace(gathered, now=verified(target_up=False))) == ()
    assert failed(replace(gathered, now=verified())) == ("A-STILL-UNWELL",)
    assert failed(replace(gathered, now=verified(known=False))) == ("A-STILL-UNWELL",), "unknown is no sign of anything"


async def test_no_field_may_hold_something_odd(gathered: Gathered) -> None:
    for name in ("diagnosis", "evidence", "state", "intent", "baseline", "breaker", "policy", "context"):
        for odd in ODD:
            broken = replace(gathered, **{name: odd})
            try:
                passed = authorize(broken).passed
            except (AttributeError, BackstopError):
                continue  # not even a question
            assert not passed, (name, odd)


async def test_a_write_that_is_not_the_diagnosed_action(gathered: Gathered) -> None:
    other = Restart(verb="restart", target=CHECKOUT)
    intent = intent_of(gathered).model_copy(update={"action": other})
    rehashed = intent.model_copy(update={"plan_hash": intent.expected_hash()})
    assert "A-MATCHES-DIAGNOSIS" in failed(replace(gathered, intent=rehashed))


async def test_a_plan_that_was_changed_after_it_was_hashed(gathered: Gathered) -> None:
    tampered = intent_of(gathered).model_copy(update={"after": {"revision": 1, "template": {}}})
    assert failed(replace(gathered, intent=tampered)) == ("A-MATCHES-DIAGNOSIS",)


async def test_a_target_that_is_not_the_one_blamed(gathered: Gathered) -> None:
    elsewhere = gathered.diagnosis.model_copy(update={"suspect": PROD_DB})
    assert "A-MATCHES-DIAGNOSIS" in failed(replace(gathered, diagnosis=elsewhere))


async def test_a_target_that_has_changed_since_the_evidence(gathered: Gathered) -> None:
    later = state_of(gathered).model_copy(update={"generation": 9, "observed_generation": 9})
    assert failed(replace(gathered, state=later)) == ("A-EVIDENCE-TRUE",)
    replaced = state_of(gathered).model_copy(update={"uid": "another"})
    assert failed(replace(gathered, state=replaced)) == ("A-EVIDENCE-TRUE",)


async def test_a_write_that_is_not_bound_to_the_latest_observation(gathered: Gathered) -> None:
    moved = state_of(gathered).model_copy(update={"resource_version": "999"})
    assert failed(replace(gathered, state=moved)) == ("A-EVIDENCE-TRUE",)


async def test_another_revision_than_the_blamed_one_runs_by_now(gathered: Gathered) -> None:
    moved = state_of(gathered).model_copy(update={"current_revision": 3})
    assert failed(replace(gathered, state=moved)) == ("A-EVIDENCE-TRUE",)


async def test_evidence_in_which_the_generation_is_odd(gathered: Gathered) -> None:
    fact = only(gathered.evidence.about(CHECKOUT, FactKind.WORKLOAD))
    for odd in ODD:
        broken = Fact.model_construct(**{**dict(fact), "data": {**fact.data, "generation": odd}})
        facts = tuple(broken if f.id == fact.id else f for f in gathered.evidence.facts)
        assert failed(replace(gathered, evidence=gathered.evidence.model_copy(update={"facts": facts}))) == ("A-EVIDENCE-TRUE",)


async def test_a_baseline_with_a_hole_in_it(gathered: Gathered) -> None:
    assert gathered.baseline is not None
    hole = gathered.baseline.model_copy(update={"unknown": ("pods could not be listed",)})
    assert failed(replace(gathered, baseline=hole)) == ("A-BASELINE",)
    elsewhere = Health(at=gathered.baseline.at, workloads=(), services=(), unknown=())
    assert failed(replace(gathered, baseline=elsewhere)) == ("A-BASELINE",)


async def test_what_could_not_be_put_back(gathered: Gathered) -> None:
    blank = intent_of(gathered).model_copy(update={"before": {}})
    blank = blank.model_copy(update={"plan_hash": blank.expected_hash()})
    assert failed(replace(gathered, intent=blank)) == ("A-UNDO-EXISTS",)


async def test_an_open_breaker(gathered: Gathered) -> None:
    spent = BreakerState(open=True, scope="global", reason="spent")
    assert failed(replace(gathered, breaker=spent)) == ("A-BREAKER",)
    nothing: Any = None
    odd = BreakerState.model_construct(open=nothing, scope=None, reason="?")
    assert failed(replace(gathered, breaker=odd)) == ("A-BREAKER",)


async def test_nothing_to_do_is_nothing_to_authorise(gathered: Gathered) -> None:
    idle = gathered.diagnosis.model_copy(update={"action": NoAction(verb="no_action")})
    assert not authorize(replace(gathered, diagnosis=idle)).passed


PASSED = Check(rule="X-DRY-RUN", passed=True, reason="it would be taken")
REFUSED = Check(rule="X-DRY-RUN", passed=False, reason="denied")


@pytest.mark.parametrize(
    "rehearsal",
    [
        Verdict(stage="executor", checks=()),
        Verdict(stage="executor", checks=(PASSED, REFUSED)),
        Verdict(stage="judge", checks=(PASSED,)),
    ],
)
async def test_a_rehearsal_that_is_empty_failed_or_somebody_elses_refuses(gathered: Gathered, rehearsal: Verdict) -> None:
    assert with_rehearsal(authorize(gathered), rehearsal).failed_rules == ("A-DRY-RUN",)


async def test_a_good_rehearsal_passes_and_saves_nothing_that_failed_before(gathered: Gathered) -> None:
    good = Verdict(stage="executor", checks=(PASSED,))
    assert with_rehearsal(authorize(gathered), good).passed
    assert with_rehearsal(authorize(replace(gathered, baseline=None)), good).failed_rules == ("A-BASELINE",)


async def test_every_rule_of_the_gate_speaks(gathered: Gathered) -> None:
    spoken = [check.rule for check in authorize(replace(gathered, state=None, intent=None, baseline=None)).checks]
    assert spoken[-len(RULES) :] == [rule.id for rule in RULES]


class Strict(FakeExecutor):
    """Refuses in rehearsal."""

    async def rehearse(self, intent: Intent) -> Verdict:
        return Verdict(stage="executor", checks=(self.says,))

    says = REFUSED


@pytest.mark.parametrize(
    ("rule", "defenses"),
    [("X-DRY-RUN", ["cluster", "action_gate"]), ("A-SCOPE", ["executor", "action_gate"]), ("X-API-ANSWERS", ["tool_guard"])],
)
async def test_who_refused_the_rehearsal_is_named(shop: Shop, rule: str, defenses: list[str]) -> None:
    executor = Strict(shop.cluster, DEFAULT, shop.clock)
    executor.says = REFUSED.model_copy(update={"rule": rule})
    outcome = await shop.incident(executor=executor)
    assert outcome.kind is OutcomeKind.ESCALATED
    assert shop.defenses() == defenses
    assert executor.applied == []
    assert [body.rules for body in shop.events(Blocked)] == ([] if rule == "X-API-ANSWERS" else [("A-DRY-RUN",)])
