"""A person's word is asked for where it is wanted, binds to one exact write, and is a no unless it is a yes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from backstop.events import ApprovalAsked, ApprovalGiven, IntentRecorded, Proposed
from backstop.pipeline.incident import TRIES
from backstop.policy import DEFAULT, Mode, Policy
from backstop.ports import RULES
from backstop.records import Approval, ApprovalRequest, Intent, Outcome, OutcomeKind, Verdict
from backstop.rules import diagnose
from backstop.testing import FakeExecutor
from tests.pipeline.shop import BAD, GOOD, Shop

Answer = Callable[[Shop, ApprovalRequest], Approval | None]


def with_mode(mode: Mode) -> Policy:
    shop = DEFAULT.namespaces[0]
    modes = shop.modes.model_copy(update={"rollback": mode})
    return DEFAULT.model_copy(update={"namespaces": (shop.model_copy(update={"modes": modes}), *DEFAULT.namespaces[1:])})


class Person:
    """Answers as it is told, and remembers what it was asked."""

    def __init__(self, shop: Shop, answer: Answer) -> None:
        self.shop, self.answer = shop, answer
        self.asked: list[ApprovalRequest] = []

    async def ask(self, request: ApprovalRequest) -> Approval | None:
        self.asked.append(request)
        return self.answer(self.shop, request)


def yes(shop: Shop, request: ApprovalRequest, **other: Any) -> Approval:
    said = {
        "decision": request.decision,
        "answer": "approved",
        "by": "ada",
        "why": "the release is mine",
        "at": shop.clock.now(),
        "expires_at": request.expires_at,
    }
    return Approval(**{**said, **other})


def no(shop: Shop, request: ApprovalRequest) -> Approval:
    return yes(shop, request, answer="rejected", why="not during the sale")


async def worked(shop: Shop, answer: Answer, verb_mode: Mode = "approve", **other: Any) -> tuple[Outcome, Person]:
    person, policy = Person(shop, answer), with_mode(verb_mode)
    shop.executor.policy = policy
    return await shop.incident(policy=policy, approver=person, **other), person


async def test_a_yes_makes_exactly_the_write_that_was_shown(shop: Shop) -> None:
    outcome, person = await worked(shop, yes)
    assert outcome.kind is OutcomeKind.RESOLVED, outcome.reason
    assert len(person.asked) == 1
    (intent,) = shop.executor.applied
    assert person.asked[0].decision == intent.decision_hash()
    assert shop.executor.approvals[0] == shop.events(ApprovalGiven)[0].approval
    assert shop.cluster.image("checkout") == GOOD


async def test_who_was_asked_what_and_answered_why_is_on_record(shop: Shop) -> None:
    await worked(shop, yes)
    request, approval = shop.events(ApprovalAsked)[0].request, shop.events(ApprovalGiven)[0].approval
    assert request.action == "rollback deployment/checkout to_revision=1"
    assert (request.before["revision"], request.after["revision"]) == (2, 1)
    assert (approval.by, approval.why) == ("ada", "the release is mine")


NOES: dict[str, Answer] = {
    "a no": no,
    "silence": lambda _shop, _request: None,
    "a yes to another write": lambda shop, request: yes(shop, request, decision="0" * 64),
    "a yes that is over": lambda shop, request: yes(shop, request, expires_at=shop.clock.now()),
    "a yes from the future": lambda shop, request: yes(shop, request, at=shop.clock.now() + timedelta(minutes=5)),
    "a yes for ever": lambda shop, request: yes(shop, request, expires_at=shop.clock.now() + timedelta(days=9)),
}


@pytest.mark.parametrize("answer", NOES.values(), ids=NOES.keys())
async def test_anything_else_is_a_no(shop: Shop, answer: Answer) -> None:
    outcome, _ = await worked(shop, answer)
    assert outcome.kind is OutcomeKind.ESCALATED
    assert outcome.handoff is not None
    assert outcome.handoff.proposed == "rollback deployment/checkout to_revision=1"
    assert shop.untouched()
    assert shop.events(IntentRecorded) == []


async def test_where_nobody_can_be_asked_nothing_is_written(shop: Shop) -> None:
    outcome = await shop.incident(policy=with_mode("approve"))
    assert outcome.kind is OutcomeKind.ESCALATED
    assert "nobody can be asked" in outcome.reason
    assert shop.untouched()


async def test_evidence_that_changed_meanwhile_voids_it(shop: Shop) -> None:
    """While the person thinks, a colleague releases something else."""

    def late(shop: Shop, request: ApprovalRequest) -> Approval:
        if shop.cluster.image("checkout") == BAD:
            shop.cluster.release("checkout", "demo/web:1.1")
        return yes(shop, request)

    outcome, _ = await worked(shop, late)
    assert shop.cluster.image("checkout") == "demo/web:1.1", "the colleague's release stands"
    assert outcome.kind is OutcomeKind.ESCALATED
    assert shop.untouched()


async def test_a_status_that_moves_does_not_void_it(shop: Shop) -> None:
    def late(shop: Shop, request: ApprovalRequest) -> Approval:
        shop.cluster.touch("checkout")
        return yes(shop, request)

    outcome, person = await worked(shop, late)
    assert outcome.kind is OutcomeKind.RESOLVED, outcome.reason
    assert len(person.asked) == 1


async def test_the_time_that_a_person_takes_is_not_the_incidents(shop: Shop) -> None:
    def slow(shop: Shop, request: ApprovalRequest) -> Approval:
        shop.clock.advance(shop.settings.incident_deadline_seconds + 60)
        return yes(shop, request)

    outcome, _ = await worked(shop, slow)
    assert outcome.kind is OutcomeKind.RESOLVED, outcome.reason


async def test_to_observe_is_to_show_the_write_and_to_leave_it(shop: Shop) -> None:
    outcome, person = await worked(shop, yes, "auto", mode="observe")
    assert outcome.kind is OutcomeKind.ESCALATED
    assert person.asked == []
    (shown,) = shop.events(Proposed)
    assert (shown.mode, shown.rehearsed) == ("observe", False)
    assert shop.untouched()
    assert shop.executor.rehearsed == [], "nobody with a write identity is asked for anything"
    assert outcome.handoff is not None
    assert "neither rehearsed nor made" in outcome.handoff.next_steps[0]


@pytest.mark.parametrize(("policy", "run"), [("observe", "auto"), ("observe", "approve"), ("approve", "observe")])
async def test_the_stricter_of_policy_and_run_counts(shop: Shop, policy: Mode, run: Mode) -> None:
    outcome, person = await worked(shop, yes, policy, mode=run)
    assert outcome.kind is OutcomeKind.ESCALATED
    assert person.asked == []
    assert shop.untouched()


async def test_what_the_rules_propose_wants_a_person_whatever_the_policy_says(shop: Shop) -> None:
    shop.script(diagnose)
    shop.models.family = RULES
    outcome, person = await worked(shop, yes, "auto")
    assert outcome.kind is OutcomeKind.RESOLVED, outcome.reason
    assert "no model answered" in person.asked[0].why


class Restless(FakeExecutor):
    """The target's status moves after each rehearsal of the first look, so that its write never comes."""

    async def rehearse(self, intent: Intent) -> Verdict:
        verdict = await super().rehearse(intent)
        if len(self.rehearsed) <= TRIES:
            self.cluster.touch("checkout")
        return verdict


async def test_another_look_is_another_question(shop: Shop) -> None:
    """The same write, but what it rests on was looked at anew: a yes to the old evidence is none to the new."""
    person, policy = Person(shop, yes), with_mode("approve")
    executor = Restless(shop.cluster, policy, shop.clock)
    outcome = await shop.incident(policy=policy, approver=person, executor=executor)
    assert outcome.kind is OutcomeKind.RESOLVED, outcome.reason
    assert len(person.asked) == 2
