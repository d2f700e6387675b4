"""Every way a call to the API server can fail has its own error, and no call is made twice."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from backstop.cluster.client import ClusterClient
from backstop.errors import ClusterConflict, ClusterRefused, ClusterUnavailable, ReplyLost
from tests.stub_api import READER, WRITER, StubApi

CHECKOUT = "/apis/apps/v1/namespaces/shop/deployments/checkout"
LABEL = [{"op": "add", "path": "/metadata/labels/x", "value": "y"}]


def client(api: StubApi, tmp_path: Path, token: str = WRITER, deadline: float = 5.0) -> ClusterClient:
    return ClusterClient(api.kubeconfig(tmp_path, token), deadline=deadline)


async def test_a_read_gives_the_object_as_the_server_has_it(api: StubApi, tmp_path: Path) -> None:
    async with client(api, tmp_path) as door:
        found = await door.get(CHECKOUT)
    assert found["spec"]["aFieldOfALaterRelease"] == {"kept": True}


async def test_the_audit_id_of_a_refusal_is_kept(api: StubApi, tmp_path: Path) -> None:
    async with client(api, tmp_path, READER) as door:
        with pytest.raises(ClusterRefused) as refused:
            await door.patch(CHECKOUT, LABEL, audit_id="mine")
    assert (refused.value.status, refused.value.reason, refused.value.audit_id) == (403, "Forbidden", "mine")


async def test_a_patch_says_who_it_is_from_and_under_which_id(api: StubApi, tmp_path: Path) -> None:
    async with client(api, tmp_path) as door:
        _, audit_id = await door.patch(CHECKOUT, LABEL, audit_id="mine")
    assert audit_id == "mine"
    assert api.patches() == [("PATCH", f"{CHECKOUT}?fieldManager=backstop", "mine")]


async def test_a_dry_run_changes_nothing(api: StubApi, tmp_path: Path) -> None:
    before = dict(api.checkout["metadata"])
    async with client(api, tmp_path) as door:
        await door.patch(CHECKOUT, LABEL, audit_id="mine", dry_run=True)
    assert api.checkout["metadata"] == before


async def test_a_stale_version_is_a_conflict(api: StubApi, tmp_path: Path) -> None:
    async with client(api, tmp_path) as door:
        with pytest.raises(ClusterConflict):
            await door.patch(CHECKOUT, [{"op": "replace", "path": "/metadata/resourceVersion", "value": "1"}], audit_id="mine")


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
async def test_a_server_that_fails_is_unavailable(api: StubApi, tmp_path: Path, status: int) -> None:
    api.faults.append(f"error:{status}")
    async with client(api, tmp_path) as door:
        with pytest.raises(ClusterUnavailable) as failed:
            await door.patch(CHECKOUT, LABEL, audit_id="mine")
    assert failed.value.status == status
    assert len(api.patches()) == 1


@pytest.mark.parametrize("fault", ["lose_reply", "lose_request", "hang"])
async def test_a_write_without_a_whole_reply_is_lost_and_not_repeated(api: StubApi, tmp_path: Path, fault: str) -> None:
    api.faults.append(fault)
    async with client(api, tmp_path, deadline=0.5) as door:
        with pytest.raises(ReplyLost) as lost:
            await door.patch(CHECKOUT, LABEL, audit_id="mine")
    assert lost.value.audit_id == "mine"
    assert len(api.patches()) == 1


async def test_a_server_that_is_not_there_was_sent_nothing(api: StubApi, tmp_path: Path) -> None:
    kubeconfig = api.kubeconfig(tmp_path, WRITER)
    await api.stop()
    async with ClusterClient(kubeconfig) as door:
        with pytest.raises(ClusterUnavailable, match="nothing was sent to it"):
            await door.patch(CHECKOUT, LABEL, audit_id="mine")


async def test_a_server_that_accepts_and_is_silent_meets_the_deadline(api: StubApi, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        api.url = f"http://127.0.0.1:{mute.getsockname()[1]}"
        async with client(api, tmp_path, deadline=0.3) as door, asyncio.timeout(5):
            with pytest.raises(ClusterUnavailable):
                await door.get(CHECKOUT)


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"a": NaN}', b'{"a":', b"\xff\xfe", b"[" * 100_000])
async def test_a_read_that_is_no_json_object_is_unavailable(tmp_path: Path, body: bytes) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    stub = StubApi()
    stub.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server, client(stub, tmp_path) as door:
        with pytest.raises(ClusterUnavailable):
            await door.get(CHECKOUT)
