"""The executor as a process: it serves its socket, survives whatever is said to it, and ends when it is told to."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import stat
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from backstop.errors import ClusterConflict, ExecutorError, ExecutorGone
from backstop.executor.client import ExecutorClient
from backstop.policy import DEFAULT
from tests.executor.process import executor, spawn
from tests.executor.repair import Plan
from tests.stub_api import WRITER, StubApi


@pytest.fixture
def short() -> Iterator[Path]:
    """A directory whose path leaves room for a socket's name."""
    with tempfile.TemporaryDirectory(prefix="bsx") as directory:
        yield Path(directory)


async def test_a_write_and_its_undo_over_the_socket(api: StubApi, tmp_path: Path, planned: Plan) -> None:
    intent = await planned()
    async with executor(api.kubeconfig(tmp_path, WRITER)) as running:
        client = ExecutorClient(running.socket, policy_digest=DEFAULT.digest())
        assert (await client.rehearse(intent)).passed
        write = await client.apply(intent)
        assert write.after == intent.after
        assert api.checkout["spec"]["template"]["spec"]["containers"][0]["image"] == "demo/web:1.0"
        assert (await client.undo(intent.action_id)).after == intent.before
    assert api.checkout["spec"]["template"]["spec"]["containers"][0]["image"] == "demo/web:1.2-errors"


async def test_a_refusal_arrives_as_the_error_it_is(api: StubApi, tmp_path: Path, planned: Plan) -> None:
    intent = await planned()
    api.touch("deployments", "checkout")
    async with executor(api.kubeconfig(tmp_path, WRITER)) as running:
        with pytest.raises(ClusterConflict) as conflict:
            await ExecutorClient(running.socket, policy_digest=DEFAULT.digest()).apply(intent)
    assert (conflict.value.status, conflict.value.reason) == (409, "StatusChanged")


async def test_only_its_owner_may_speak_to_it(api: StubApi, tmp_path: Path) -> None:
    async with executor(api.kubeconfig(tmp_path, WRITER)) as running:
        assert stat.S_IMODE(running.socket.stat().st_mode) == 0o600
        assert stat.S_IMODE(running.socket.parent.stat().st_mode) == 0o700


async def test_it_ends_when_its_parent_closes_standard_input(api: StubApi, tmp_path: Path) -> None:
    async with executor(api.kubeconfig(tmp_path, WRITER)) as running:
        running.close_stdin()
        assert await running.ended() == 0
        assert not running.socket.exists()


async def test_it_ends_on_sigterm_with_a_caller_connected(api: StubApi, tmp_path: Path) -> None:
    async with executor(api.kubeconfig(tmp_path, WRITER)) as running:
        _, writer = await asyncio.open_unix_connection(running.socket)
        running.process.send_signal(signal.SIGTERM)
        assert await running.ended() == 0
        writer.close()


async def test_killed_in_a_call_the_agent_is_told_that_it_is_gone(api: StubApi, tmp_path: Path, planned: Plan) -> None:
    intent = await planned()
    async with executor(api.kubeconfig(tmp_path, WRITER)) as running:
        api.faults.append("hang")
        call = asyncio.ensure_future(ExecutorClient(running.socket, policy_digest=DEFAULT.digest()).apply(intent))
        async with asyncio.timeout(10):
            await api.patching.wait()
        running.process.kill()
        with pytest.raises(ExecutorError) as gone:
            await call
    assert gone.value.unchanged == ""  # whether it was written is not claimed to be known


async def test_killed_after_the_commit_its_successor_finds_the_write(
    api: StubApi, tmp_path: Path, short: Path, planned: Plan
) -> None:
    intent = await planned()
    kubeconfig = api.kubeconfig(tmp_path, WRITER)
    async with executor(kubeconfig, short) as running:
        api.faults.append("commit_and_hang")
        call = asyncio.ensure_future(ExecutorClient(running.socket, policy_digest=DEFAULT.digest()).apply(intent))
        async with asyncio.timeout(10):
            await api.patching.wait()
        running.process.kill()
        with pytest.raises(ExecutorError):
            await call
        await running.process.wait()
        async with executor(kubeconfig, short) as successor:  # the socket that was left behind is no obstacle
            client = ExecutorClient(successor.socket, policy_digest=DEFAULT.digest())
            write = await client.apply(intent)
            assert write.audit_id == api.patches()[0][2]
            assert len(api.patches()) == 1
            await client.undo(intent.action_id)
    assert api.checkout["spec"]["template"]["spec"]["containers"][0]["image"] == "demo/web:1.2-errors"


@pytest.mark.parametrize(("fault", "patches"), [("hang", 2), ("commit_and_hang", 1)])
async def test_a_patient_caller_gets_one_write_from_the_successor_of_an_executor_that_was_killed(
    api: StubApi, tmp_path: Path, short: Path, planned: Plan, fault: str, patches: int
) -> None:
    intent = await planned()
    kubeconfig = api.kubeconfig(tmp_path, WRITER)
    async with executor(kubeconfig, short) as running:
        api.faults.append(fault)
        client = ExecutorClient(running.socket, policy_digest=DEFAULT.digest(), patience=20)
        call = asyncio.ensure_future(client.apply(intent))
        async with asyncio.timeout(10):
            await api.patching.wait()
        running.process.kill()
        await running.process.wait()
        async with executor(kubeconfig, short):
            write = await call
    assert (write.after, write.audit_id) == (intent.after, api.patches()[-1][2])
    assert len(api.patches()) == patches  # the first of two was never carried out: the API server hung
    assert api.checkout["metadata"]["annotations"]["backstop.dev/action-id"] == intent.action_id


async def test_a_patient_caller_never_says_that_nothing_was_written_after_it_was_cut_off(
    api: StubApi, tmp_path: Path, planned: Plan
) -> None:
    intent = await planned()
    async with executor(api.kubeconfig(tmp_path, WRITER)) as running:
        api.faults.append("hang")
        client = ExecutorClient(running.socket, policy_digest=DEFAULT.digest(), patience=0.5)
        call = asyncio.ensure_future(client.apply(intent))
        async with asyncio.timeout(10):
            await api.patching.wait()
        running.process.kill()
        with pytest.raises(ExecutorGone) as gone:  # the last thing it met is a socket at which nobody listens
            await call
    assert gone.value.unchanged == ""


async def test_what_another_executor_wrote_is_never_told_as_not_written(api: StubApi, tmp_path: Path, planned: Plan) -> None:
    intent = await planned()
    kubeconfig = api.kubeconfig(tmp_path, WRITER)
    async with executor(kubeconfig) as elsewhere:
        await ExecutorClient(elsewhere.socket, policy_digest=DEFAULT.digest()).apply(intent)
    async with executor(kubeconfig) as here:
        with pytest.raises(ExecutorError, match="no snapshot here") as unknown:
            await ExecutorClient(here.socket, policy_digest=DEFAULT.digest()).apply(intent)
    assert unknown.value.unchanged == ""
    assert len(api.patches()) == 1


async def test_no_executor_is_an_executor_error(short: Path) -> None:
    with pytest.raises(ExecutorError, match="nothing was written"):
        await ExecutorClient(short / "x.sock", policy_digest=DEFAULT.digest()).undo("bs-0123-1")


@asynccontextmanager
async def impostor(path: Path, line: bytes | None) -> AsyncIterator[None]:
    """Something that listens at the socket and says `line` to whatever it hears; None: nothing, until its caller hangs up."""
    over = asyncio.Event()

    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await (reader.readline() if line is not None else reader.read())
        writer.write(line or b"")
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        over.set()

    async with await asyncio.start_unix_server(say, path):
        yield
        await over.wait()


async def test_a_silent_executor_meets_the_deadline(short: Path) -> None:
    async with impostor(short / "x.sock", None):
        with pytest.raises(ExecutorError, match="did not answer within"):
            await ExecutorClient(short / "x.sock", deadline=0.2, policy_digest=DEFAULT.digest()).undo("bs-0123-1")


@pytest.mark.parametrize(
    "line", [b"", b"{}\n", b"nonsense\n", b'{"ok": true}\n', b'{"ok": true, "write": {}}\n', b'{"ok": false, "error": "Evil"}\n']
)
async def test_a_reply_that_is_none_is_an_executor_error(short: Path, line: bytes) -> None:
    async with impostor(short / "x.sock", line):
        with pytest.raises(ExecutorError):
            await ExecutorClient(short / "x.sock", deadline=5, policy_digest=DEFAULT.digest()).undo("bs-0123-1")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--kubeconfig", "/nowhere/kubeconfig"], "there is no kubeconfig at /nowhere/kubeconfig"),
        (["--policy", "/nowhere/policy.toml"], "the policy /nowhere/policy.toml cannot be used"),
        (["--context", "stubb"], "did you mean stub?"),
        (["--socket", "/tmp/" + "x" * 120], "is longer than"),
        (["--socket", "/tmp/x.sock"], "others may enter /tmp"),
    ],
)
async def test_what_cannot_be_used_is_one_sentence_and_exit_code_two(
    api: StubApi, tmp_path: Path, short: Path, arguments: list[str], sentence: str
) -> None:
    process = await spawn(api.kubeconfig(tmp_path, WRITER), short, *arguments)
    out, err = await process.communicate()
    assert process.returncode == 2
    assert out == b""
    assert sentence in err.decode()
    assert err.count(b"\n") == 1


async def test_a_second_one_does_not_take_the_socket_of_the_first(api: StubApi, tmp_path: Path, short: Path) -> None:
    kubeconfig = api.kubeconfig(tmp_path, WRITER)
    async with executor(kubeconfig, short) as first:
        second = await spawn(kubeconfig, short)
        _, err = await second.communicate()
        assert second.returncode == 2
        assert b"listens" in err
        reader, writer = await asyncio.open_unix_connection(first.socket)
        writer.write(b"{}\n")
        assert json.loads(await reader.readline())["ok"] is False
        writer.close()
