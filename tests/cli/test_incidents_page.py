"""What a person at 4 a.m. is shown of a service's incidents: a calm table, one story, a record; and no hostile word raw."""

from __future__ import annotations

import asyncio
import json
import signal
from datetime import timedelta
from pathlib import Path

import pytest
from aiohttp import web

from backstop.cli.incidents_api import Page
from backstop.cli.incidents_page import short_ids, span, table
from backstop.engine.port import IncidentSummary
from backstop.events import Event
from tests.cli.incidents_desk import pretending, typed
from tests.cli.processes import BACKSTOP
from tests.cli.test_receipt import backstop
from tests.engine.incidents_contract import alert, asking, reached
from tests.receipts.signing import Installation
from tests.service.served import Served

HOSTILE = "\x1b]0;owned\x07\x1b[2J\u202e\x9b31m\r\nroot#"


async def test_the_table_says_what_each_is_and_what_it_asks(service: Served) -> None:
    await asking(service.there)
    well = (await service.there.incidents.submit(alert(2, "catalog"))).incident
    await reached(service.there.incidents, well, "closed")
    heads, second, first, _, hint = (await typed(service.url, "list")).said.splitlines()
    assert heads.split() == ["ID", "STATE", "WORKLOAD", "ALERT", "AGE", "WHAT"]
    assert second.startswith("alert-2  closed             shop/catalog   HighErrorRate")
    assert "alert-1  awaiting approval  shop/checkout  HighErrorRate" in first
    assert first.endswith("asks: rollback deployment/checkout to_revision=1, 15:00 left")
    assert hint.endswith("backstop incidents show alert-1")
    assert max(map(len, (heads, second, first))) <= 160


async def test_the_table_is_of_one_state_and_so_many(service: Served) -> None:
    await asking(service.there)
    assert (await typed(service.url, "list", "--state", "closed")).said == "There are no incidents, or none in that state.\n"
    for number in (2, 3):
        await service.there.incidents.submit(alert(number))
    found = (await typed(service.url, "list", "--limit", "2", "--json")).json
    assert [one["id"] for one in found["incidents"]] == ["alert-3", "alert-2"]


async def test_one_incident_is_a_story_with_the_commands_to_answer_it(service: Served) -> None:
    asked = await asking(service.there)
    assert asked.asks is not None
    shown = (await typed(service.url, "show", "alert")).said
    told = ["AWAITING APPROVAL", "bad_release of deployment/checkout", "quality gate: passed", "action gate: passed"]
    asks = ["-      image: demo/web:1.2-errors", "+      image: demo/web:1.0", "all 3 pods of deployment/checkout are replaced"]
    asks += ["kubectl -n shop rollout undo deployment/checkout --to-revision=2", "15:00; no answer by 2026-01-01 01:15:0"]
    places = [shown.index(words) for words in (*told, *asks)]
    assert places == sorted(places)
    for word in ("approve", "reject"):
        assert f'backstop incidents {word} alert-1 --decision {asked.asks.decision[:12]} --why "…"\n' in shown


async def test_commands_name_a_service_that_is_not_the_usual_one(service: Served) -> None:
    await asking(service.there)
    shown = (await typed("http://127.0.0.1:1", "show", "alert-1", "--url", service.url)).said
    assert f'--why "…" --url {service.url}\n' in shown


async def test_of_one_that_has_ended_its_end_and_what_to_do_are_shown(service: Served) -> None:
    await asking(service.there)
    await service.there.incidents.reject("alert-1", by="ada", why="not during the sale")
    await reached(service.there.incidents, "alert-1", "closed")
    shown = (await typed(service.url, "show", "alert-1")).said
    for words in (
        "ESCALATED",
        "Nothing was written to the cluster.",
        "rejected by ada: not during the sale",
        "kubectl -n shop describe",
    ):
        assert words in shown
    assert "--decision" not in shown


async def test_show_as_json_is_what_the_api_says(service: Served) -> None:
    asked = await asking(service.there)
    assert IncidentSummary.model_validate_json((await typed(service.url, "show", "alert-1", "--json")).said) == asked


async def test_the_record_is_a_line_an_event(service: Served) -> None:
    await asking(service.there)
    kept = await service.there.incidents.events("alert-1")
    lines = (await typed(service.url, "events", "alert-1")).said.splitlines()
    assert [int(line.split()[0]) for line in lines] == [event.seq for event in kept]
    assert "asked a person: rollback deployment/checkout to_revision=1" in lines[-1]
    as_json = (await typed(service.url, "events", "alert-1", "--json")).said.splitlines()
    assert tuple(Event.model_validate_json(line) for line in as_json) == kept


async def test_a_record_is_followed_to_its_end(service: Served) -> None:
    await asking(service.there)
    await service.there.incidents.approve("alert-1", by="ada", why="mine")
    lines = (await typed(service.url, "events", "alert-1", "--follow")).said.splitlines()
    assert len(lines) == len(await service.there.incidents.events("alert-1"))
    assert "RESOLVED" in lines[-1]


@pytest.mark.parametrize("command", [("list",), ("list", "--json"), ("show", "alert-1"), ("show", "alert-1", "--json")])
async def test_no_hostile_word_reaches_the_terminal_raw(service: Served, command: tuple[str, ...]) -> None:
    asked = await asking(service.there)
    assert asked.asks is not None
    words = {"alert": HOSTILE, "summary": HOSTILE, "reason": HOSTILE, "outcome": "escalated"}
    asks = asked.asks.model_dump(mode="json") | {"action": HOSTILE, "why": HOSTILE, "before": {HOSTILE: HOSTILE}}
    page = {"now": asked.updated_at.isoformat(), "incidents": [asked.model_dump(mode="json") | words | {"asks": asks}]}

    async def answer(request: web.Request) -> web.Response:
        return web.json_response({"events": []} if request.path.endswith("/events") else page)

    async with pretending(answer) as url:
        ended = await typed(url, *command)
    assert ended.code == 0
    assert all(line.isprintable() for line in ended.said.splitlines()), ended.said
    assert "root#" in ended.said


def test_ids_are_as_short_as_they_can_be_told_apart() -> None:
    more = "0123456789abcdef"
    one, two, three = f"am-0123456789ab{more}", f"am-0123456799ab{more}", f"am-f123456789ab{more}"
    assert short_ids([one, two, three, "x"]) == {one: "am-012345678", two: "am-012345679", three: "am-f1234567", "x": "x"}
    assert short_ids(["checkout-7-1"]) == {"checkout-7-1": "checkout-7-1"}  # the next one is checkout-7-2
    assert short_ids(["triage-000001", "triage-0000011"]) == {"triage-000001": "triage-000001", "triage-0000011": "triage-0000011"}


@pytest.mark.parametrize(("seconds", "said"), [(-5, "0s"), (59, "59s"), (60, "1m"), (7199, "1h"), (200_000, "2d")])
def test_an_age_is_one_number(seconds: int, said: str) -> None:
    assert span(seconds) == said


async def test_time_that_is_over_is_said_by_the_services_clock(service: Served) -> None:
    asked = await asking(service.there)
    assert asked.asks is not None
    for more, said in ((-3661, "1h 01m left"), (-61, "1:01 left"), (1, "its time is over")):
        lines = list(table(Page(now=asked.asks.expires_at + timedelta(seconds=more), incidents=(asked,))))
        assert lines[1].endswith(said)


async def test_an_export_is_the_whole_record_as_a_folder_that_verifies_as_it_lies(service: Served, tmp_path: Path) -> None:
    await asking(service.there)
    await service.there.incidents.reject("alert-1", by="ada", why="not now")
    await reached(service.there.incidents, "alert-1", "closed")
    kept = await service.there.incidents.events("alert-1")
    signed(tmp_path / "receipts", [event.line() for event in kept])
    ended = await typed(service.url, "export", "alert-1", "--to", str(tmp_path / "out"))
    assert ended.said.startswith(f"{len(kept)} events, the receipt: ")
    assert (tmp_path / "out" / "events.jsonl").read_text().splitlines() == [event.line() for event in kept]
    assert (tmp_path / "out" / "evidence" / "look-1.json").exists()
    held = await asyncio.to_thread(backstop, "verify", tmp_path / "out")
    assert held.stdout.startswith(f"holds: receipt 1, incident alert-1, escalated, {len(kept)} events, 0 writes"), held


def signed(receipts: Path, lines: list[str]) -> None:
    """As an executor that wrote nothing signs it, where a service looks for it."""
    home = Installation(receipts.with_name("home"))
    about = {"policy": "p", "admission_policy": "a", "writes": [], "unconfirmed": []}
    receipts.mkdir()
    receipt = home.issuer.issue(lines, executor=about, agent={"prompts": "0" * 64}).receipt
    (receipts / "alert-1.json").write_text(receipt)
    (receipts / "receipt.pub").write_bytes(next(home.keys_directory.glob("*.pub")).read_bytes())


async def test_a_table_is_watched_until_somebody_interrupts(service: Served) -> None:
    await service.there.incidents.submit(alert(1, "catalog"))
    process = await asyncio.create_subprocess_exec(
        BACKSTOP, "incidents", "list", "--watch", "--json", "--url", service.url,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    async with asyncio.timeout(60):
        await process.stdout.readline()
        await service.there.incidents.submit(alert(2, "catalog"))
        while len(json.loads(await process.stdout.readline())["incidents"]) != 2:
            pass
        process.send_signal(signal.SIGINT)
        _, complaint = await process.communicate()
    assert (process.returncode, complaint) == (130, b"")
