"""A person's word by the console: it records who and why, changes exactly one thing, and what is refused changes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from backstop.console.sessions import Sessions
from backstop.engine.port import IncidentSummary
from backstop.events import ApprovalGiven
from backstop.records import Approval, OutcomeKind
from tests.console.shown import Shown, shown
from tests.engine.incidents_contract import asking, reached


def fields(asked: IncidentSummary, **other: str) -> dict[str, str]:
    assert asked.asks is not None
    return {"decision": asked.asks.decision, "by": "Ada", "why": "the release is mine"} | other


async def approvals(console: Shown, incident: str) -> list[Approval]:
    return [e.body.approval for e in await console.there.incidents.events(incident) if isinstance(e.body, ApprovalGiven)]


async def unanswered(console: Shown, asked: IncidentSummary) -> bool:
    """Whether the question stands exactly as it did, and nothing was written."""
    return await console.there.incidents.find(asked.id) == asked and console.there.writes() == 0


async def test_a_yes_is_recorded_with_who_and_why_and_makes_one_write(tmp_path: Path) -> None:
    async with shown(tmp_path) as console:
        asked, other = await asking(console.there), await asking_other(console)
        answer = await console.submit(f"/incidents/{asked.id}/approve", fields(asked))
        assert (answer.status, answer.headers["Location"]) == (303, f"/incidents/{asked.id}?said=approved")
        ended = await reached(console.there.incidents, asked.id, "closed")
        assert (ended.outcome, console.there.writes()) == (OutcomeKind.RESOLVED, 1)
        (given,) = await approvals(console, asked.id)
        assert (given.answer, given.by, given.why) == ("approved", "Ada", "the release is mine")
        assert (await console.there.incidents.find(other)).state in {"queued", "working", "awaiting_approval", "closed"}
        assert await approvals(console, other) == []


async def asking_other(console: Shown) -> str:
    """One more incident of the same workload: it waits for the first."""
    from tests.engine.incidents_contract import alert

    return (await console.there.incidents.submit(alert(2))).incident


async def test_a_no_is_recorded_with_who_and_why_and_writes_nothing(tmp_path: Path) -> None:
    async with shown(tmp_path) as console:
        asked = await asking(console.there)
        assert (await console.submit(f"/incidents/{asked.id}/reject", fields(asked, why="a migration runs"))).status == 303
        ended = await reached(console.there.incidents, asked.id, "closed")
        assert (ended.outcome, console.there.writes()) == (OutcomeKind.ESCALATED, 0)
        (given,) = await approvals(console, asked.id)
        assert (given.answer, given.by, given.why) == ("rejected", "Ada", "a migration runs")
        assert "Ada said no: a migration runs" in (await console.get(f"/incidents/{asked.id}")).text


async def test_cancelling_ends_it_with_who_and_why(tmp_path: Path) -> None:
    async with shown(tmp_path) as console:
        asked = await asking(console.there)
        assert (await console.submit(f"/incidents/{asked.id}/cancel", {"by": "Ada", "why": "I am on it"})).status == 303
        ended = await reached(console.there.incidents, asked.id, "cancelled")
        assert "cancelled by Ada: I am on it" in ended.reason
        assert console.there.writes() == 0
        again = await console.submit(f"/incidents/{asked.id}/cancel", {"by": "Ada", "why": "again"})
        assert again.status == 409


async def test_a_name_is_asked_for_once(tmp_path: Path) -> None:
    async with shown(tmp_path) as console:
        asked = await asking(console.there)
        assert 'name="by"' in (await console.get(f"/incidents/{asked.id}")).text
        await console.submit(f"/incidents/{asked.id}/reject", fields(asked))
        await reached(console.there.incidents, asked.id, "closed")
        again = await asking(console.there, 2)
        page = (await console.get(f"/incidents/{again.id}")).text
        assert 'name="by"' not in page
        assert "As Ada." in page
        await console.submit(f"/incidents/{again.id}/reject", {k: v for k, v in fields(again).items() if k != "by"})
        assert (await approvals(console, again.id))[0].by == "Ada"


async def test_whoever_is_signed_in_answers_as_themselves(tmp_path: Path) -> None:
    async with shown(tmp_path) as console:
        await console.submit("/login", {"name": "Ada"})
        asked = await asking(console.there)
        await console.submit(f"/incidents/{asked.id}/approve", fields(asked, by="Somebody else"))
        assert [given.by for given in await approvals(console, asked.id)] == ["Ada"]


@pytest.mark.parametrize("decision", ["", "0" * 64, "0"])
@pytest.mark.parametrize("word", ["approve", "reject"])
async def test_an_answer_to_another_question_is_refused(tmp_path: Path, word: str, decision: str) -> None:
    async with shown(tmp_path) as console:
        asked = await asking(console.there)
        answer = await console.submit(f"/incidents/{asked.id}/{word}", fields(asked, decision=decision))
        assert answer.status == 409
        assert "look at what it asks now" in answer.text.lower()
        assert await unanswered(console, asked)


@pytest.mark.parametrize("wrong", [{"why": " "}, {"why": "x" * 201}, {"by": ""}, {"by": "a\nb\x00"}])
async def test_an_answer_without_who_and_why_is_refused(tmp_path: Path, wrong: dict[str, str]) -> None:
    async with shown(tmp_path) as console:
        asked = await asking(console.there)
        for word in ("approve", "reject", "cancel"):
            answer = await console.submit(f"/incidents/{asked.id}/{word}", fields(asked, **wrong))
            assert answer.status in {400, 409}
        assert await unanswered(console, asked)


async def test_a_form_without_the_session_s_proof_is_refused(tmp_path: Path) -> None:
    async with shown(tmp_path) as console:
        asked = await asking(console.there)
        theirs = console.parts.sessions.csrf(console.parts.sessions.issue("Eve")[0])
        stale = Sessions(console.parts.clock)
        before = stale.csrf(stale.issue("Ada")[0])
        for csrf in ("", theirs, before):
            for word in ("approve", "reject", "cancel", "verify"):
                answer = await console.send(f"/incidents/{asked.id}/{word}", {"csrf": csrf, **fields(asked)})
                assert answer.status == 403
        assert await unanswered(console, asked)


async def test_an_answer_by_its_address_alone_is_none(tmp_path: Path) -> None:
    async with shown(tmp_path) as console:
        asked = await asking(console.there)
        for word in ("approve", "reject", "cancel", "verify"):
            assert (await console.get(f"/incidents/{asked.id}/{word}")).status == 405
        assert await unanswered(console, asked)


async def test_what_is_answered_is_not_answered_again(tmp_path: Path) -> None:
    async with shown(tmp_path) as console:
        asked = await asking(console.there)
        await console.submit(f"/incidents/{asked.id}/reject", fields(asked))
        late = await console.submit(f"/incidents/{asked.id}/approve", fields(asked))
        assert late.status == 409
        await reached(console.there.incidents, asked.id, "closed")
        assert [given.answer for given in await approvals(console, asked.id)] == ["rejected"]
        assert console.there.writes() == 0


async def test_after_its_time_it_cannot_be_answered_and_nothing_was_written(tmp_path: Path) -> None:
    async with shown(tmp_path) as console:
        asked = await asking(console.there)
        csrf = await console.csrf()
        console.there.pass_time(901)
        late = await console.send(f"/incidents/{asked.id}/approve", {"csrf": csrf, **fields(asked)})
        assert late.status == 409
        await reached(console.there.incidents, asked.id, "closed")
        assert console.there.writes() == 0
        assert "Nobody answered in time" in (await console.get(f"/incidents/{asked.id}")).text


async def test_a_word_on_an_incident_that_is_not_there_is_refused(tmp_path: Path) -> None:
    async with shown(tmp_path) as console:
        for word in ("approve", "reject", "cancel"):
            assert (await console.submit(f"/incidents/nobody/{word}", {"by": "Ada", "why": "so", "decision": "0"})).status == 404
