"""Whatever goes wrong between a person and the service is one sentence: what happened, what is unchanged, what to do."""

from __future__ import annotations

import asyncio
import json
import socket
from pathlib import Path

import pytest
from aiohttp import web

from backstop.cli import incidents_api
from backstop.cli.incidents_api import service as asked_of
from backstop.errors import UsageError
from backstop.service import Access
from tests.cli.incidents_desk import Answer, pretending, refused, typed
from tests.engine.incidents_contract import alert, asking
from tests.service.served import MONITORING, TOKEN, Served, served

NOWHERE = "http://127.0.0.1:1"
APPROVE = ("approve", "alert-1", "--why", "mine", "--yes")


@pytest.mark.parametrize("command", [("list",), ("show", "x"), ("events", "x"), APPROVE, ("export", "x", "--to", "nowhere")])
async def test_where_no_service_is_that_is_said(command: tuple[str, ...]) -> None:
    said = await refused(NOWHERE, *command)
    assert said.startswith("there is no service at http://127.0.0.1:1 (Connection refused); ")
    assert "nothing was changed" in said
    assert "backstop serve" in said


URLS = [
    "",
    "x",
    "ftp://h",
    "http://",
    "http://h:port",
    "http://h:0",
    "http://[h",
    "http://u:p@h",
    "http://h?x=1",
    "http://h/\x1b[31m",
    "http://ħ",
]


@pytest.mark.parametrize("url", URLS)
async def test_what_is_no_url_is_said(url: str) -> None:
    said = await refused(url or "http://", "list", "--url", url)
    assert "URL" in said
    assert "http://HOST:PORT" in said


@pytest.mark.parametrize("token", ["", MONITORING, "wrong-token-of-somebody"])
async def test_a_token_that_is_not_the_services_is_said_and_not_shown(tmp_path: Path, token: str) -> None:
    async with served(tmp_path, Access(token=TOKEN, monitoring_token=MONITORING)) as service:
        await asking(service.there)
        for command in (("list",), APPROVE):
            said = await refused(service.url, *command, token=token)
            assert "BACKSTOP_TOKEN" in said
            assert not token or token not in said
        assert (await typed(service.url, "list", token=TOKEN)).code == 0


async def test_a_service_without_a_token_says_itself_why_it_answers_only_this_machine() -> None:
    async def answer(_request: web.Request) -> web.Response:
        problem = {"error": "without a token only this machine is answered", "unchanged": "", "todo": "set BACKSTOP_TOKEN there"}
        return web.json_response(problem, status=403)

    async with pretending(answer) as url:
        assert await refused(url, "list", token=TOKEN) == "without a token only this machine is answered; set BACKSTOP_TOKEN there."


@pytest.mark.parametrize("token", ["a b", "a\nHost: x", "ħ", "a\x00"])
async def test_what_no_header_carries_is_no_token(service: Served, token: str) -> None:
    if "\x00" in token:
        token = "\x7f"
    assert "BACKSTOP_TOKEN is no token" in await refused(service.url, "list", token=token)


@pytest.mark.parametrize("named", ["none", "alert-9", "%", "../alert-1", "", "a/b", "\x1b[2J", "x" * 300])
async def test_an_id_that_is_none_is_said(service: Served, named: str) -> None:
    await asking(service.there)
    said = await refused(service.url, "show", "--", named)
    assert "backstop incidents list" in said


async def test_an_id_that_may_be_several_is_said(service: Served) -> None:
    for number in (1, 2, 12):
        await service.there.incidents.submit(alert(number))
    said = await refused(service.url, "cancel", "alert", "--why", "mine", "--yes")
    assert said == "alert may be any of alert-12, alert-2, alert-1; nothing was changed; write more of the id."
    assert (await typed(service.url, "show", "alert-1")).said.startswith("alert-1 ")


@pytest.mark.parametrize("state", ["lost", "", "\x1b[31m"])
async def test_a_state_that_is_none_is_said(service: Served, state: str) -> None:
    assert "awaiting_approval" in await refused(service.url, "list", "--state", state)


NONSENSE = [
    b"",
    b"<html>hello</html>",
    b"{}",
    b"[]",
    b"null",
    b'{"incidents": 5}',
    b"\xff\x00",
    b"[" * 100_000,
    b'{"now":"x","incidents":[]}',
]


@pytest.mark.parametrize("body", NONSENSE)
@pytest.mark.parametrize("status", [200, 302, 404, 500])
async def test_a_server_that_is_no_service_is_not_believed(body: bytes, status: int) -> None:
    async def answer(_request: web.Request) -> web.Response:
        return web.Response(body=body, status=status, headers={"Location": "http://127.0.0.1:2/"})

    async with pretending(answer) as url:
        for command in (("list",), APPROVE):
            assert "what Backstop's service of this version does not" in await refused(url, *command)


async def test_a_problem_that_a_service_tells_is_told_without_what_moves_a_terminal() -> None:
    async def answer(_request: web.Request) -> web.Response:
        problem = {"error": "\x1b[2Jgone\u202e\n" * 1000, "unchanged": "\x9bnothing", "todo": "start it\r"}
        return web.json_response(problem, status=503)

    async with pretending(answer) as url:
        assert len(await refused(url, "list")) < 1000


async def test_an_answer_that_is_too_long_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(incidents_api, "ANSWER_BYTES", 2**20)
    sent: list[int] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        reply = web.StreamResponse()
        await reply.prepare(request)
        while len(sent) < 10_000:
            await reply.write(b" " * 2**16)
            sent.append(1)
        return reply

    async with pretending(answer) as url:
        assert "answers more than" in await refused(url, "list")
    assert len(sent) < 1000


async def hangs(_request: web.Request) -> web.Response:
    await asyncio.sleep(60)
    return web.Response()


async def drips(request: web.Request) -> web.StreamResponse:
    reply = web.StreamResponse()
    await reply.prepare(request)
    while True:
        await reply.write(b" ")
        await asyncio.sleep(0.02)


@pytest.mark.parametrize("answer", [hangs, drips])
async def test_a_service_that_hangs_is_left_at_its_deadline(answer: Answer) -> None:
    async with pretending(answer) as url, asked_of(url, seconds=0.3) as there:
        with pytest.raises(UsageError, match=r"did not answer within 0\.3 s; nothing was changed"):
            await there.recent()
        with pytest.raises(UsageError, match="whether it was taken is not known; look: backstop incidents show alert-1"):
            await there.tell("alert-1", "approve", {"by": "ada", "why": "mine"})


async def test_a_connection_that_breaks_off_after_the_answer_was_sent_says_that_nobody_knows() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def close() -> None:
            connection, _ = listener.accept()
            connection.recv(65_536)
            connection.close()

        closing = asyncio.create_task(asyncio.to_thread(close))
        async with asked_of(f"http://127.0.0.1:{listener.getsockname()[1]}", seconds=20) as there:
            with pytest.raises(UsageError, match="whether it was taken is not known"):
                await there.tell("alert-1", "approve", {"by": "ada", "why": "mine"})
        await closing


async def test_the_token_is_never_sent_on_to_where_a_service_points(service: Served) -> None:
    asked: list[str] = []

    async def elsewhere(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response()

    async with pretending(elsewhere) as other:

        async def answer(_request: web.Request) -> web.Response:
            return web.Response(status=307, headers={"Location": other})

        async with pretending(answer) as url:
            await refused(url, "list", token=TOKEN)
    assert asked == []


@pytest.mark.parametrize("harm", ["reason", "order", "other"])
async def test_a_record_that_does_not_hold_together_is_refused(service: Served, harm: str) -> None:
    asked = await asking(service.there)
    events = [json.loads(event.line()) for event in await service.there.incidents.events("alert-1")]
    if harm == "reason":
        events[0]["body"]["alert"]["name"] = "Another"
    elif harm == "order":
        events[2:4] = events[3:1:-1]
    else:
        events[2]["incident"] = "alert-2"
    page = {"now": asked.updated_at.isoformat(), "incidents": [asked.model_dump(mode="json")]}

    async def answer(request: web.Request) -> web.Response:
        return web.json_response({"events": events} if request.path.endswith("/events") else page)

    async with pretending(answer) as url:
        for command in (("show", "alert-1"), ("events", "alert-1"), APPROVE):
            assert "does not hold together: event" in await refused(url, *command)


async def test_an_export_into_a_folder_that_is_not_empty_is_refused(service: Served, tmp_path: Path) -> None:
    await asking(service.there)
    (tmp_path / "file").write_text("mine")
    assert "is not empty" in await refused(service.url, "export", "alert-1", "--to", str(tmp_path))
    assert (tmp_path / "file").read_text() == "mine"
    await service.there.incidents.submit(alert(2))
    assert "nothing is on record of alert-2" in await refused(service.url, "export", "alert-2", "--to", str(tmp_path / "new"))
    assert not (tmp_path / "new").exists()
