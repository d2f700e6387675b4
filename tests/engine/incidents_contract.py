"""What every engine promises of its incidents, whatever keeps them. An engine's tests inherit it and hand in a `workplace`.

class TestMine(IncidentsContract):
    @pytest.fixture
    async def workplace(self, tmp_path: Path) -> AsyncIterator[Workplace]: ...
"""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Protocol

import pytest

from backstop.engine.port import Counts, Incidents, IncidentSummary, State
from backstop.errors import NotFoundError, UsageError
from backstop.events import GENESIS, AlertReceived, ApprovalGiven, Closed
from backstop.records import Alert, OutcomeKind, WorkloadRef

SOON = 30.0  # seconds of real time within which anything here is over
BEGAN = datetime(2026, 1, 1, 1, 0, tzinfo=UTC)


class Workplace(Protocol):
    """A shop in which `checkout` has had a bad release, `catalog` is well, and a rollback wants a person's approval."""

    @property
    def incidents(self) -> Incidents: ...

    def pass_time(self, seconds: float) -> None:
        """On the clock by which questions expire."""
        ...

    def writes(self) -> int:
        """How often the cluster was written to."""
        ...


def alert(number: int = 1, name: str = "checkout") -> Alert:
    target = WorkloadRef(kind="Deployment", namespace="shop", name=name)
    return Alert(
        id=f"alert-{number}",
        name="HighErrorRate",
        target=target,
        service=name,
        summary=f"requests to {name} fail",
        started_at=BEGAN + timedelta(seconds=number),
    )


async def reached(incidents: Incidents, incident: str, *states: State, within: float = SOON) -> IncidentSummary:
    """The incident once it is in one of these states. The port has no news to wait for, so it is asked again and again."""
    async with asyncio.timeout(within):
        while (summary := await incidents.find(incident)).state not in states:  # noqa: ASYNC110  there is no event
            await asyncio.sleep(0.01)
    return summary


async def asking(workplace: Workplace, number: int = 1) -> IncidentSummary:
    submitted = await workplace.incidents.submit(alert(number))
    return await reached(workplace.incidents, submitted.incident, "awaiting_approval")


class IncidentsContract:
    """Collected by those that inherit it."""

    async def test_the_same_alert_twice_is_one_incident(self, workplace: Workplace) -> None:
        first = await workplace.incidents.submit(alert())
        again = await workplace.incidents.submit(alert())
        assert (first.new, again.new, again.incident) == (True, False, first.incident)
        assert len(await workplace.incidents.recent()) == 1

    async def test_an_alert_that_was_worked_is_not_worked_again(self, workplace: Workplace) -> None:
        first = await asking(workplace)
        await workplace.incidents.reject(first.id, by="ada", why="not now")
        ended = await reached(workplace.incidents, first.id, "closed")
        assert not (await workplace.incidents.submit(alert())).new
        assert await workplace.incidents.find(first.id) == ended

    async def test_what_came_last_is_first(self, workplace: Workplace) -> None:
        names = ("checkout", "catalog", "checkout")
        submitted = [(await workplace.incidents.submit(alert(n, name))).incident for n, name in enumerate(names)]
        assert [one.id for one in await workplace.incidents.recent()] == submitted[::-1]
        assert [one.id for one in await workplace.incidents.recent(limit=2)] == submitted[:0:-1]

    async def test_incidents_are_found_by_their_state(self, workplace: Workplace) -> None:
        waiting = await asking(workplace)
        well = (await workplace.incidents.submit(alert(2, "catalog"))).incident
        await reached(workplace.incidents, well, "closed")
        assert [one.id for one in await workplace.incidents.recent(state="awaiting_approval")] == [waiting.id]
        assert [one.id for one in await workplace.incidents.recent(state="closed")] == [well]
        assert await workplace.incidents.recent(state="failed") == ()

    async def test_incidents_are_found_by_how_their_id_begins(self, workplace: Workplace) -> None:
        for number in (1, 2, 12):
            await workplace.incidents.submit(alert(number, "catalog"))
        found = {
            prefix: [one.id for one in await workplace.incidents.recent(prefix=prefix)]
            for prefix in ("alert-1", "alert-12", "ALERT", "%")
        }
        assert found == {"alert-1": ["alert-12", "alert-1"], "alert-12": ["alert-12"], "ALERT": [], "%": []}
        assert [one.id for one in await workplace.incidents.recent(prefix="alert-1", limit=1)] == ["alert-12"]

    async def test_every_incident_is_counted(self, workplace: Workplace) -> None:
        assert await workplace.incidents.counts() == Counts(states={}, outcomes={})
        cancelled = await asking(workplace)
        await workplace.incidents.cancel(cancelled.id, by="ada", why="mine")
        await reached(workplace.incidents, cancelled.id, "cancelled")
        await asking(workplace, 2)
        well = (await workplace.incidents.submit(alert(3, "catalog"))).incident
        ended = await reached(workplace.incidents, well, "closed")
        assert ended.outcome is not None
        counts = await workplace.incidents.counts()
        assert counts.states == {"cancelled": 1, "awaiting_approval": 1, "closed": 1}
        assert counts.outcomes == dict(Counter([OutcomeKind.ESCALATED, ended.outcome]))
        assert [one.id for one in await workplace.incidents.recent(state="cancelled")] == [cancelled.id]

    async def test_one_incident_at_a_time_per_workload(self, workplace: Workplace) -> None:
        first = await asking(workplace)
        second = (await workplace.incidents.submit(alert(2))).incident
        other = (await workplace.incidents.submit(alert(3, "catalog"))).incident
        await reached(workplace.incidents, other, "closed")
        assert (await workplace.incidents.find(second)).state == "queued"
        await workplace.incidents.reject(first.id, by="ada", why="not now")
        await reached(workplace.incidents, second, "awaiting_approval")

    async def test_a_summary_says_what_it_is_about(self, workplace: Workplace) -> None:
        asked, said = await asking(workplace), alert()
        assert (asked.target, asked.alert, asked.summary) == (said.target, said.name, said.summary)
        assert asked.started_at == said.started_at
        assert asked.received_at <= asked.updated_at
        assert (asked.outcome, asked.writes) == (None, 0)
        assert asked.asks is not None
        assert asked.asks.action == "rollback deployment/checkout to_revision=1"

    async def test_the_record_is_a_chain_of_its_own(self, workplace: Workplace) -> None:
        asked = await asking(workplace)
        events = await workplace.incidents.events(asked.id)
        assert [event.seq for event in events] == list(range(1, len(events) + 1))
        assert [event.prev for event in events] == [GENESIS, *(event.hash for event in events[:-1])]
        assert isinstance(events[0].body, AlertReceived)
        assert {event.incident for event in events} == {asked.id}

    async def test_events_are_read_on_from_where_one_was(self, workplace: Workplace) -> None:
        asked = await asking(workplace)
        events = await workplace.incidents.events(asked.id)
        assert await workplace.incidents.events(asked.id, after=events[2].seq) == events[3:]
        assert await workplace.incidents.events(asked.id, after=events[-1].seq) == ()

    async def test_a_yes_makes_the_write(self, workplace: Workplace) -> None:
        asked = await asking(workplace)
        await workplace.incidents.approve(asked.id, by="ada", why="the release is mine")
        ended = await reached(workplace.incidents, asked.id, "closed")
        assert (ended.outcome, ended.writes, ended.asks) == (OutcomeKind.RESOLVED, 1, None), ended.reason
        assert workplace.writes() == 1
        (given,) = [e.body for e in await workplace.incidents.events(asked.id) if isinstance(e.body, ApprovalGiven)]
        assert (given.approval.answer, given.approval.by, given.approval.why) == ("approved", "ada", "the release is mine")

    async def test_a_no_leaves_it(self, workplace: Workplace) -> None:
        asked = await asking(workplace)
        await workplace.incidents.reject(asked.id, by="ada", why="not during the sale")
        ended = await reached(workplace.incidents, asked.id, "closed")
        assert (ended.outcome, ended.writes) == (OutcomeKind.ESCALATED, 0)
        assert workplace.writes() == 0
        (given,) = [e.body for e in await workplace.incidents.events(asked.id) if isinstance(e.body, ApprovalGiven)]
        assert (given.approval.answer, given.approval.by) == ("rejected", "ada")

    async def test_silence_is_a_no(self, workplace: Workplace) -> None:
        asked = await asking(workplace)
        workplace.pass_time(86_400.0)
        ended = await reached(workplace.incidents, asked.id, "closed")
        assert (ended.outcome, ended.writes) == (OutcomeKind.ESCALATED, 0)
        assert workplace.writes() == 0

    async def test_a_yes_that_comes_too_late_is_refused(self, workplace: Workplace) -> None:
        asked = await asking(workplace)
        workplace.pass_time(86_400.0)
        with pytest.raises(UsageError):
            await workplace.incidents.approve(asked.id, by="ada", why="sorry, I was asleep")
        await reached(workplace.incidents, asked.id, "closed")
        assert workplace.writes() == 0

    async def test_a_question_is_answered_once(self, workplace: Workplace) -> None:
        asked = await asking(workplace)
        await workplace.incidents.reject(asked.id, by="ada", why="no")
        with pytest.raises(UsageError):
            await workplace.incidents.approve(asked.id, by="bob", why="yes")
        await reached(workplace.incidents, asked.id, "closed")
        assert workplace.writes() == 0

    @pytest.mark.parametrize("answer", ["approve", "reject"])
    @pytest.mark.parametrize("decision", ["0" * 64, "", "0" * 8])
    async def test_an_answer_to_an_older_question_answers_nothing(self, workplace: Workplace, answer: str, decision: str) -> None:
        asked = await asking(workplace)
        with pytest.raises(UsageError):
            await getattr(workplace.incidents, answer)(asked.id, by="ada", why="I saw another", decision=decision)
        assert (await workplace.incidents.find(asked.id)).asks == asked.asks
        assert workplace.writes() == 0

    @pytest.mark.parametrize("digits", [8, 64])
    async def test_an_answer_to_what_is_asked_now_is_taken(self, workplace: Workplace, digits: int) -> None:
        asked = await asking(workplace)
        assert asked.asks is not None
        await workplace.incidents.approve(asked.id, by="ada", why="that one", decision=asked.asks.decision[:digits])
        assert (await reached(workplace.incidents, asked.id, "closed")).writes == 1

    @pytest.mark.parametrize("answer", ["approve", "reject"])
    async def test_nothing_is_answered_where_nothing_is_asked(self, workplace: Workplace, answer: str) -> None:
        incident = (await workplace.incidents.submit(alert(1, "catalog"))).incident
        await reached(workplace.incidents, incident, "closed")
        with pytest.raises(UsageError):
            await getattr(workplace.incidents, answer)(incident, by="ada", why="why not")

    async def test_a_cancelled_incident_writes_nothing(self, workplace: Workplace) -> None:
        asked = await asking(workplace)
        await workplace.incidents.cancel(asked.id, by="ada", why="I do it myself")
        ended = await reached(workplace.incidents, asked.id, "cancelled")
        assert "ada" in ended.reason
        assert "I do it myself" in ended.reason
        assert ended.asks is None
        assert workplace.writes() == 0
        with pytest.raises(UsageError):
            await workplace.incidents.approve(asked.id, by="bob", why="yes")

    async def test_one_that_waits_for_its_turn_can_be_cancelled(self, workplace: Workplace) -> None:
        first = await asking(workplace)
        second = (await workplace.incidents.submit(alert(2))).incident
        await workplace.incidents.cancel(second, by="ada", why="the same again")
        await reached(workplace.incidents, second, "cancelled")
        assert (await workplace.incidents.find(first.id)).state == "awaiting_approval"

    async def test_what_has_ended_cannot_be_cancelled(self, workplace: Workplace) -> None:
        asked = await asking(workplace)
        await workplace.incidents.reject(asked.id, by="ada", why="no")
        ended = await reached(workplace.incidents, asked.id, "closed")
        with pytest.raises(UsageError):
            await workplace.incidents.cancel(asked.id, by="ada", why="too late")
        assert await workplace.incidents.find(asked.id) == ended

    async def test_the_record_of_what_ended_ends_with_its_outcome(self, workplace: Workplace) -> None:
        asked = await asking(workplace)
        await workplace.incidents.reject(asked.id, by="ada", why="no")
        ended = await reached(workplace.incidents, asked.id, "closed")
        last = (await workplace.incidents.events(asked.id))[-1].body
        assert isinstance(last, Closed)
        assert (last.outcome.kind, last.outcome.reason) == (ended.outcome, ended.reason)

    async def test_what_is_not_there_is_not_found(self, workplace: Workplace) -> None:
        incidents = workplace.incidents
        for asked in (incidents.find("none"), incidents.events("none")):
            with pytest.raises(NotFoundError):
                await asked
        for told in (incidents.approve, incidents.reject, incidents.cancel):
            with pytest.raises(NotFoundError):
                await told("none", by="ada", why="why not")
