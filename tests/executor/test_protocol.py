"""Whatever arrives at the socket gets one refusal and does no harm; the executor lives on."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backstop.errors import ExecutorError
from backstop.executor.protocol import MAX_LINE, parse_request
from backstop.executor.server import Server
from backstop.records import Approval, Intent, Verdict, Write
from tests.executor.repair import Plan


class Forbidden:
    """A writer that must not be reached."""

    def __init__(self) -> None:
        self.reached = 0
        self.policy_digest = "p"

    async def rehearse(self, intent: Intent) -> Verdict:
        self.reached += 1
        raise ZeroDivisionError("a bug")

    async def apply(self, intent: Intent, approval: Approval | None) -> Write:
        self.reached += 1
        raise ZeroDivisionError("a bug")

    async def undo(self, action_id: str) -> Write:
        self.reached += 1
        raise ZeroDivisionError("a bug")


@asynccontextmanager
async def serving(writes: Forbidden) -> AsyncIterator[Path]:
    with tempfile.TemporaryDirectory(prefix="bsx") as directory:
        path, stop, listening = Path(directory) / "x.sock", asyncio.Event(), asyncio.Event()
        task = asyncio.ensure_future(Server(writes, path).serve(stop, listening))
        await listening.wait()
        try:
            yield path
        finally:
            stop.set()
            await task


async def said(path: Path, data: bytes) -> list[dict[str, Any]]:
    """Every reply to `data`, after which this side says no more."""
    reader, writer = await asyncio.open_unix_connection(path, limit=MAX_LINE)
    try:
        writer.write(data)
        await writer.drain()
        writer.write_eof()
    except OSError:
        pass  # it has hung up, having answered
    async with asyncio.timeout(10):
        answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return [json.loads(line) for line in answer.splitlines()]


JSONISH = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(st.binary(max_size=400) | JSONISH.map(lambda value: json.dumps(value).encode()))
@settings(max_examples=300, deadline=None)
def test_no_garbage_is_a_request(data: bytes) -> None:
    with pytest.raises(ExecutorError, match="not a request"):
        parse_request(data)


@given(st.lists(st.binary(max_size=200).map(lambda b: b.replace(b"\n", b"")), min_size=1, max_size=5))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_each_line_of_garbage_gets_one_refusal(garbage: list[bytes]) -> None:
    async def talk() -> None:
        writes = Forbidden()
        async with serving(writes) as path:
            replies = await said(path, b"".join(line + b"\n" for line in garbage))
            assert len(replies) == len(garbage)
            assert all(reply["ok"] is False and reply["error"] == "ExecutorError" for reply in replies)
            assert all(reply["unchanged"] == "nothing was written" for reply in replies)
        assert writes.reached == 0

    asyncio.run(talk())


@pytest.mark.parametrize(
    "data",
    [
        b'{"op": "undo", "action_id": "bs-1-1"}',  # a whole request, but no whole line
        b"half a li",
        b"x" * (MAX_LINE + 10) + b"\n",
        b'{"op": "delete", "action_id": "bs-1-1"}\n',
        b'{"op": "undo"}\n',
        b'{"op": "undo", "action_id": 7}\n',
        b'{"op": "undo", "action_id": "../../etc/passwd"}\n',
        b'{"op": "undo", "action_id": "bs-1-1", "force": true}\n',
        b'{"op": ["undo"], "action_id": "bs-1-1"}\n',
        b'[{"op": "undo", "action_id": "bs-1-1"}]\n',
        b'{"op": "apply", "intent": {}}\n',
        b'{"op": "apply", "intent": null}\n',
        b"\x00\xff\n",
        b"\n",
    ],
)
async def test_one_refusal_and_no_harm(data: bytes) -> None:
    writes = Forbidden()
    async with serving(writes) as path:
        replies = await said(path, data)
        assert [reply["ok"] for reply in replies] == [False]
        assert [r["error"] for r in await said(path, b"still there?\n")] == ["ExecutorError"]
    assert writes.reached == 0


async def test_callers_that_hang_up_do_not_matter() -> None:
    writes = Forbidden()
    async with serving(writes) as path:
        for data in (b"", b"half", b'{"op": "undo", "action_id": "bs-1-1"}\n' * 50):
            _, writer = await asyncio.open_unix_connection(path)
            writer.write(data)
            writer.transport.abort()
        assert len(await said(path, b"still there?\n")) == 1


async def test_a_bug_in_the_executor_is_a_refusal_that_claims_nothing() -> None:
    async with serving(Forbidden()) as path:
        (reply,) = await said(path, b'{"op": "undo", "action_id": "bs-1-1"}\n')
    assert (reply["ok"], reply["error"], reply["unchanged"]) == (False, "ExecutorError", "")


async def test_an_intent_with_one_field_more_or_less_or_of_another_type_is_refused(planned: Plan) -> None:
    intent = (await planned()).model_dump(mode="json")
    rest = {"op": "apply", "policy": "p", "approval": None}
    parse_request(json.dumps({**rest, "intent": intent}).encode())
    for name in intent:
        wrong: tuple[Any, ...] = (None, [], -1.5)
        for value in wrong:
            with pytest.raises(ExecutorError):
                parse_request(json.dumps({**rest, "intent": {**intent, name: value}}).encode())
        with pytest.raises(ExecutorError):
            parse_request(json.dumps({**rest, "intent": {k: v for k, v in intent.items() if k != name}}).encode())
    with pytest.raises(ExecutorError):
        parse_request(json.dumps({**rest, "intent": {**intent, "force": True}}).encode())
