"""A person's word from the command line: shown before it is said, said of nothing else, and never without a name and a reason."""

from __future__ import annotations

import asyncio
import os
from datetime import timedelta
from pathlib import Path

import pytest
from aiohttp import web

from backstop.events import ApprovalGiven, Event
from tests.cli.incidents_desk import pretending, refused, typed
from tests.cli.processes import BACKSTOP
from tests.cli.terminals import Seat, seated
from tests.engine.incidents_contract import alert, asking, reached
from tests.service.served import Served

WHY = ("--why", "the release is mine")
ASKED = "anything else leaves it as it is: "


async def given(service: Served) -> ApprovalGiven:
    (one,) = [e.body for e in await service.there.incidents.events("alert-1") if isinstance(e.body, ApprovalGiven)]
    return one


async def test_a_yes_shows_the_write_and_makes_it(service: Served) -> None:
    asked = await asking(service.there)
    assert asked.asks is not None
    ended = await typed(service.url, "approve", "alert", *WHY, "--by", "ada", "--yes")
    assert ended.code == 0, ended
    for words in (asked.asks.action, asked.asks.decision, "+      image: demo/web:1.0", "pods of deployment/checkout are replaced"):
        assert words in ended.said
    assert "approved by ada: the release is mine\n" in ended.said
    done = await reached(service.there.incidents, "alert-1", "closed")
    approval = (await given(service)).approval
    assert (done.writes, approval.by, approval.why, approval.decision) == (1, "ada", WHY[1], asked.asks.decision)


async def test_a_no_makes_none_in_the_name_of_the_user(service: Served) -> None:
    await asking(service.there)
    assert (await typed(service.url, "reject", "alert-1", "--why", "not now", "--yes", "--json")).json["asks"] is None
    await reached(service.there.incidents, "alert-1", "closed")
    assert ((await given(service)).approval.by, service.there.writes()) == ("grace", 0)


async def test_a_cancel_ends_it_whatever_it_asks(service: Served) -> None:
    await asking(service.there)
    await service.there.incidents.submit(alert(2))
    for incident in ("alert-2", "alert-1"):
        assert (
            "cancelled by grace: I do it myself"
            in (await typed(service.url, "cancel", incident, "--why", "I do it myself", "--yes")).said
        )
        await reached(service.there.incidents, incident, "cancelled")
    assert service.there.writes() == 0


@pytest.mark.parametrize("word", ["approve", "reject"])
async def test_a_word_about_another_write_is_none(service: Served, word: str) -> None:
    asked = await asking(service.there)
    said = await refused(service.url, word, "alert-1", *WHY, "--yes", "--decision", "0" * 12)
    assert "asks about another write" in said
    assert "nothing was answered" in said
    assert (await service.there.incidents.find("alert-1")).asks == asked.asks


async def test_what_was_seen_is_what_is_approved(service: Served) -> None:
    asked = await asking(service.there)
    assert asked.asks is not None
    ended = await typed(service.url, "approve", "alert-1", *WHY, "--yes", "--decision", asked.asks.decision[:12].upper())
    assert ended.code == 0


async def test_the_hash_of_what_was_shown_is_sent_unasked(service: Served) -> None:
    """The question changes once it was shown, before the answer is in."""
    asked = await asking(service.there)
    assert asked.asks is not None
    incidents, shown = service.there.incidents, asked.asks
    events = incidents.events

    async def overtaken(incident: str, after: int = 0) -> tuple[Event, ...]:
        found = await events(incident, after)
        if not found:  # the record was read to its end: it is about to be shown
            incidents._runs[incident].asks = shown.model_copy(update={"decision": "f" * 64})
        return found

    incidents.events = overtaken  # type: ignore[method-assign]
    ended = await typed(service.url, "approve", "alert-1", *WHY, "--yes")
    assert ended.code == 2
    assert shown.decision in ended.said
    assert "does not ask about that write any more" in ended.complaint
    assert service.there.writes() == 0


@pytest.mark.parametrize("word", ["approve", "reject", "cancel"])
@pytest.mark.parametrize(
    ("more", "said"),
    [((), "reason"), (("--why", " \t"), "reason"), (("--why", "w" * 201), "200"), (("--why", "w", "--by", " "), "who")],
)
async def test_a_word_without_a_reason_or_a_name_is_none(service: Served, word: str, more: tuple[str, ...], said: str) -> None:
    asked = await asking(service.there)
    assert said in await refused(service.url, word, "alert-1", "--yes", *more)
    assert await service.there.incidents.find("alert-1") == asked


@pytest.mark.parametrize("decision", ["", "yes", "1234567", "0" * 65, "0000000g"])
async def test_a_decision_that_is_no_hash_is_refused(service: Served, decision: str) -> None:
    await asking(service.there)
    assert "no hash" in await refused(service.url, "approve", "alert-1", *WHY, "--yes", "--decision", decision)


async def test_what_was_answered_says_by_whom(service: Served) -> None:
    await asking(service.there)
    await service.there.incidents.reject("alert-1", by="ada", why="not now")
    await reached(service.there.incidents, "alert-1", "closed")
    said = await refused(service.url, "approve", "alert-1", *WHY, "--yes")
    assert "alert-1 asks for nothing now: it is closed; it was rejected by ada: not now" in said
    assert "has ended" in await refused_after_showing(service, "cancel", "alert-1", *WHY, "--yes")


async def refused_after_showing(service: Served, *arguments: str) -> str:
    ended = await typed(service.url, *arguments)
    assert ended.code == 2
    return ended.complaint


async def test_an_answer_that_comes_too_late_is_none(service: Served) -> None:
    asked = await asking(service.there)
    assert asked.asks is not None
    over = asked.asks.model_copy(update={"expires_at": service.there.shop.clock.now()})
    page = {"now": (over.expires_at + timedelta(seconds=1)).isoformat()}
    page["incidents"] = [asked.model_copy(update={"asks": over}).model_dump(mode="json")]  # type: ignore[assignment]

    async def answer(request: web.Request) -> web.Response:
        return web.json_response({"events": []} if request.path.endswith("/events") else page)

    async with pretending(answer) as url:
        assert "the time for an answer to alert-1 ended at" in await refused(url, "approve", "alert-1", *WHY, "--yes")


async def test_without_a_terminal_only_yes_is_a_yes(service: Served) -> None:
    asked = await asking(service.there)
    assert asked.asks is not None
    process = await asyncio.create_subprocess_exec(
        BACKSTOP, "incidents", "approve", "alert-1", *WHY, "--by", "ada", "--url", service.url,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    said, complaint = await asyncio.wait_for(process.communicate(b"yes\n"), 60)
    assert (process.returncode, said) == (2, b"")
    assert complaint.decode() == (
        "backstop: there is no terminal to ask back at; nothing was answered; "
        f"add --yes --decision {asked.asks.decision[:12]}, if that is what you saw.\n"
    )
    assert await service.there.incidents.find("alert-1") == asked


@pytest.mark.parametrize(
    ("said", "code", "writes"), [("yes\n", 0, 1), ("no\n", 1, 0), ("\n", 1, 0), ("y\n", 1, 0), ("\x04", 1, 0), ("\x03", 1, 0)]
)
async def test_at_a_terminal_only_an_explicit_yes_is_one(service: Served, said: str, code: int, writes: int) -> None:
    asked = await asking(service.there)
    assert asked.asks is not None

    def sit(seat: Seat) -> tuple[int, str, str]:
        seat.wait_for(asked.asks.decision if asked.asks else "")
        seat.wait_for(ASKED)
        seat.type(said)
        return seat.ended()

    command = [BACKSTOP, "incidents", "approve", "alert-1", *WHY, "--by", "ada", "--url", service.url]

    def work() -> tuple[int, str, str]:
        with seated(command, {**os.environ, "TERM": "dumb"}, Path.cwd()) as seat:
            return sit(seat)

    ended, told, complaint = await asyncio.to_thread(work)
    assert ended == code, complaint
    if code == 0:
        await reached(service.there.incidents, "alert-1", "closed")
        assert told.startswith("approved by ada")
    else:
        assert complaint == "backstop: nothing was answered; it is left as it is.\n"
    assert service.there.writes() == writes
