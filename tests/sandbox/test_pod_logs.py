"""What containers write can be read back: bounded, with times, by tail and since, and while it is being written."""

from __future__ import annotations

from datetime import timedelta

import pytest

from backstop.clock import ManualClock
from backstop.sandbox import logs
from backstop.sandbox.logs import ContainerLog, LogQuery
from backstop.sandbox.resources import PODS, SERVICES
from backstop.sandbox.status import StatusError
from tests.sandbox.running import Client, is_ready, pod, service

ERROR = "ERROR GET / 500 KeyError: 'currency' in price_total (release 1.2)"


async def shown(log: ContainerLog, clock: ManualClock, **query: str) -> str:
    return b"".join([part async for part in log.read(LogQuery.parse(query, clock.now()))]).decode()


async def test_lines_have_the_time_at_which_they_were_written() -> None:
    clock = ManualClock()
    log = ContainerLog(clock)
    log.feed(b"one\ntw")
    clock.advance(2)
    log.feed(b"o\nthree")
    log.end()
    assert await shown(log, clock) == "one\ntwo\nthree\n"
    timed = await shown(log, clock, timestamps="true")
    assert timed.splitlines()[:2] == ["2026-01-01T00:00:00.000000000Z one", "2026-01-01T00:00:02.000000000Z two"]


async def test_tail_since_and_limit() -> None:
    clock = ManualClock()
    log = ContainerLog(clock)
    for number in range(5):
        log.feed(f"line {number}\n".encode())
        clock.advance(10)
    assert await shown(log, clock, tailLines="2") == "line 3\nline 4\n"
    assert await shown(log, clock, tailLines="0") == ""
    assert await shown(log, clock, sinceSeconds="15") == "line 4\n"
    since = (clock.now() - timedelta(seconds=25)).isoformat()
    assert await shown(log, clock, sinceTime=since) == "line 3\nline 4\n"
    assert await shown(log, clock, limitBytes="9") == "line 0\nli"


async def test_a_log_does_not_grow_for_ever() -> None:
    clock = ManualClock()
    log = ContainerLog(clock)
    for number in range(logs.MOST_LINES + 10):
        log.feed(f"{number}\n".encode())
    text = await shown(log, clock)
    assert text.splitlines()[0] == "10"
    assert len(text.splitlines()) == logs.MOST_LINES
    log.feed(b"x" * (3 * logs.MOST_BYTES) + b"\nlast\n")
    assert len(await shown(log, clock)) <= logs.MOST_BYTES + 10


@pytest.mark.parametrize("query", [{"tailLines": "-1"}, {"tailLines": "x"}, {"sinceTime": "yesterday"}, {"limitBytes": "1.5"}])
def test_what_is_no_number_or_time_is_refused(query: dict[str, str]) -> None:
    with pytest.raises(StatusError) as refused:
        LogQuery.parse(query, ManualClock().now())
    assert refused.value.code == 400


async def test_following_shows_lines_as_they_are_written_and_ends_with_the_container(client: Client, space: str) -> None:
    await client.create(space, service("web"), pod("web", "demo/web:1.2-errors"))
    await client.pod(space, is_ready)
    seen: list[str] = []
    async with client.session.get(PODS.path(space, "web", "log") + "?follow=true") as answer:
        async for line in answer.content:
            seen.append(line.decode().rstrip())
            if seen[-1] == "INFO web 1.2 listening":
                await client.text(PODS.path(space, "web:8080", "proxy/"))
            elif seen[-1] == ERROR:
                await client.request("DELETE", PODS.path(space, "web"))
    assert seen == ["INFO web 1.2 starting", "INFO web 1.2 listening", ERROR, "INFO stopped"]


async def test_a_container_that_does_not_exist_is_refused(client: Client, space: str) -> None:
    await client.create(space, pod("web"))
    await client.pod(space, is_ready)
    status, said = await client.text(PODS.path(space, "web", "log") + "?container=nope")
    assert (status, "container nope is not valid for pod web" in said) == (400, True)
    assert (await client.text(PODS.path(space, "nope", "log")))[0] == 404


async def test_lines_of_evidence_are_the_same_from_pod_to_pod(client: Client, space: str) -> None:
    """No times, durations or names of pods inside a line: the API adds the time, and both lanes of a drill see the same text."""
    await client.create(space, service("a"), pod("a", "demo/web:1.2-errors"), pod("b", "demo/web:1.2-errors"))
    texts = []
    for name in ("a", "b"):
        await client.pod(space, is_ready, name)
        for _ in range(2):
            await client.text(PODS.path(space, f"{name}:8080", "proxy/"))
        texts.append((await client.text(PODS.path(space, name, "log")))[1])
    assert texts[0] == texts[1]
    assert (await client.text(SERVICES.path(space, "a", "proxy/")))[0] == 500
