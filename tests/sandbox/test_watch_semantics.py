"""What a watch sees: everything after its version in order, what enters and leaves its selection, and 410 when it asks too late."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.sandbox.live_api import CONFIGMAPS, MERGE, LiveApi, configmap


async def _version(live: LiveApi) -> str:
    return str((await live.ask("GET", CONFIGMAPS)).body["metadata"]["resourceVersion"])


def _seen(events: list[dict]) -> list[tuple[str, str]]:  # type: ignore[type-arg]
    return [(event["type"], event["object"]["metadata"]["name"]) for event in events]


async def test_a_watch_from_a_version_replays_what_came_after(live: LiveApi) -> None:
    await live.ask("POST", CONFIGMAPS, configmap("before"))
    start = await _version(live)
    await live.ask("POST", CONFIGMAPS, configmap("a", v="1"))
    await live.ask("PATCH", f"{CONFIGMAPS}/a", {"data": {"v": "2"}}, MERGE)
    await live.ask("DELETE", f"{CONFIGMAPS}/a")
    events = await live.events(f"{CONFIGMAPS}?watch=true&resourceVersion={start}&timeoutSeconds=1")
    assert _seen(events) == [("ADDED", "a"), ("MODIFIED", "a"), ("DELETED", "a")]
    versions = [int(event["object"]["metadata"]["resourceVersion"]) for event in events]
    assert versions == sorted(set(versions))
    assert versions[0] > int(start)
    assert events[2]["object"]["data"] == {"v": "2"}


async def test_a_watch_without_a_version_begins_with_what_there_is(live: LiveApi) -> None:
    await live.ask("POST", CONFIGMAPS, configmap("a"))
    for version in ("", "&resourceVersion=0"):
        events = await live.events(f"{CONFIGMAPS}?watch=true&timeoutSeconds=1{version}")
        assert _seen(events) == [("ADDED", "a")]


async def test_entering_and_leaving_a_selection_is_added_and_deleted(live: LiveApi) -> None:
    start = await _version(live)
    await live.ask("POST", CONFIGMAPS, configmap("a"))
    await live.ask("PATCH", f"{CONFIGMAPS}/a", {"metadata": {"labels": {"set": "x"}}}, MERGE)
    await live.ask("PATCH", f"{CONFIGMAPS}/a", {"data": {"v": "1"}}, MERGE)
    await live.ask("PATCH", f"{CONFIGMAPS}/a", {"metadata": {"labels": None}}, MERGE)
    events = await live.events(f"{CONFIGMAPS}?watch=true&resourceVersion={start}&timeoutSeconds=1&labelSelector=set%3Dx")
    assert [event["type"] for event in events] == ["ADDED", "MODIFIED", "DELETED"]
    assert events[2]["object"]["metadata"]["labels"] == {"set": "x"}


async def test_live_changes_arrive_while_the_watch_is_open(live: LiveApi) -> None:
    start = await _version(live)
    watching = asyncio.create_task(live.events(f"{CONFIGMAPS}?watch=true&resourceVersion={start}&timeoutSeconds=1"))
    await live.ask("POST", CONFIGMAPS, configmap("late"))
    assert _seen(await watching) == [("ADDED", "late")]


async def test_initial_events_end_with_a_bookmark(live: LiveApi) -> None:
    await live.ask("POST", CONFIGMAPS, configmap("a"))
    events = await live.events(
        f"{CONFIGMAPS}?watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&timeoutSeconds=1"
    )
    assert [event["type"] for event in events][:2] == ["ADDED", "BOOKMARK"]
    assert events[1]["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}


async def test_a_forgotten_version_is_410_in_the_stream_and_in_a_list(tmp_path: Path) -> None:
    live = LiveApi(tmp_path, history=4)
    await live.start()
    try:
        start = await _version(live)
        for i in range(6):
            await live.ask("POST", CONFIGMAPS, configmap(f"c{i}"))
        events = await live.events(f"{CONFIGMAPS}?watch=true&resourceVersion={start}&timeoutSeconds=1")
        assert [(event["type"], event["object"]["code"], event["object"]["reason"]) for event in events] == [
            ("ERROR", 410, "Expired")
        ]
        listed = await live.ask("GET", f"{CONFIGMAPS}?resourceVersion={start}&resourceVersionMatch=Exact")
        assert (listed.status, listed.body["reason"]) == (410, "Expired")
        page = await live.ask("GET", f"{CONFIGMAPS}?limit=1")
        for i in range(6):
            await live.ask("DELETE", f"{CONFIGMAPS}/c{i}")
        stale = await live.ask("GET", f"{CONFIGMAPS}?limit=1&continue={page.body['metadata']['continue']}")
        assert stale.status == 410
    finally:
        await live.stop()


async def test_a_stopping_server_ends_its_watches(live: LiveApi) -> None:
    headers = {"Authorization": f"Bearer {live.tokens['admin']}"}
    reply = await live.session.get(f"{CONFIGMAPS}?watch=true", headers=headers)
    await live.server.stop()
    assert await reply.content.read() == b""


async def test_a_client_that_leaves_takes_its_watch_along(live: LiveApi) -> None:
    headers = {"Authorization": f"Bearer {live.tokens['admin']}"}
    reply = await live.session.get(f"{CONFIGMAPS}?watch=true", headers=headers)
    listening = live.registry.listeners
    reply.close()
    async with asyncio.timeout(5):
        while live.registry.listeners == listening:  # noqa: ASYNC110  a subscription that ends has no event of its own
            await asyncio.sleep(0.01)
    assert live.audited()[-1]["responseStatus"]["code"] == 200


async def test_pages_show_one_moment_even_if_the_world_moves_on(live: LiveApi) -> None:
    for name in "abcd":
        await live.ask("POST", CONFIGMAPS, configmap(name))
    first = await live.ask("GET", f"{CONFIGMAPS}?limit=2")
    assert first.body["metadata"]["remainingItemCount"] == 2
    await live.ask("DELETE", f"{CONFIGMAPS}/c")
    await live.ask("POST", CONFIGMAPS, configmap("e"))
    rest = await live.ask("GET", f"{CONFIGMAPS}?limit=9&continue={first.body['metadata']['continue']}")
    names = [item["metadata"]["name"] for page in (first, rest) for item in page.body["items"]]
    assert names == ["a", "b", "c", "d"]
    assert rest.body["metadata"]["resourceVersion"] == first.body["metadata"]["resourceVersion"]
