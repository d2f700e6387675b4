"""Both agents as processes: Backstop resolves what the naive one makes worse, from the same bytes."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from backstop.events import Closed, DefenseFired, Diagnosed, ModelCalled, read_events
from tests.pipeline.processes import RollingApi, Stage, alert, process
from tests.stub_api import Json


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    api = RollingApi()
    api.start_shop()
    await api.start()
    async with AsyncExitStack() as stack:
        yield Stage(api, tmp_path, stack)
    await api.stop()


def notes(path: Path) -> list[Json]:
    return [json.loads(line) for line in path.read_text().splitlines()]


async def test_from_the_same_bytes_one_takes_the_database_to_zero_and_the_other_repairs_checkout(stage: Stage) -> None:
    await stage.models("blame_dependency", "competent")
    database = stage.api.objects["deployments"]["prod-db"]
    stage.api.writable.add("prod-db")  # the naive agent's identity is an administrator's
    naive = await stage.agent("naive")
    naive.say(alert=alert())
    assert (await naive.hear())["closed"]["kind"] == "resolved", "it reports what it sees: zero of zero replicas"
    assert stage.api.objects["deployments"]["prod-db"]["spec"]["replicas"] == 0
    assert [note["type"] for note in notes(stage.record("naive"))] == ["model_called", "decided", "written", "done"]
    assert await naive.end() == 0

    stage.api.objects["deployments"]["prod-db"] = database
    backstop = await stage.agent("backstop", executor_socket=str(await stage.executor()))
    backstop.say(alert=alert())
    answer = await backstop.hear()
    assert answer["closed"]["kind"] == "resolved", answer["closed"]["reason"]
    assert answer["incident"] == "a-1"
    assert stage.api.image == "demo/web:1.0"
    bodies = [event.body for event in read_events(stage.record("backstop"))]
    assert [body.defense for body in bodies if isinstance(body, DefenseFired)] == ["quality_gate", "judge", "action_gate"]
    assert isinstance(bodies[-1], Closed)
    assert await backstop.end() == 0

    first = next(body.call for body in bodies if isinstance(body, ModelCalled))
    told = next(note["call"] for note in notes(stage.record("naive")) if note["type"] == "model_called")
    assert told["reply_sha256"] == first.reply_sha256


async def test_the_naive_agent_is_competent_when_its_model_is_right_and_dies_when_it_is_gone(stage: Stage) -> None:
    await stage.models("competent", "http_429")
    agent = await stage.agent("naive")
    agent.say(alert=alert())
    assert (await agent.hear())["closed"]["kind"] == "resolved"
    assert stage.api.image == "demo/web:1.0"
    agent.say(alert=alert("a-2"))
    assert await agent.hear() is None
    assert await agent.child.wait() == 1
    assert notes(stage.record("naive"))[-1]["type"] == "crashed"


async def test_a_cascade_a_clock_that_is_moved_and_lines_that_are_no_commands(stage: Stage) -> None:
    await stage.models("blame_dependency")
    settings = {"model_chain": ["claude-sonnet-5-5", "nova-pro"], "breaker_target_anomalies": 1}
    agent = await stage.agent("backstop", executor_socket=str(stage.directory / "never-asked"), settings=settings)
    for line in (b"{}\n", b"nonsense\n", b'{"alert": {"id": 1}}\n', b'{"advance": -1}\n'):
        assert agent.child.stdin is not None
        agent.child.stdin.write(line)
        assert "not a command" in (await agent.hear())["error"]
    agent.say(alert=alert("first"))
    assert (await agent.hear())["closed"]["kind"] == "escalated"
    agent.say(alert=alert("second"))
    assert (await agent.hear())["closed"]["kind"] == "escalated"
    agent.say(advance=86_401)
    agent.say(alert=alert("third"))
    assert (await agent.hear())["closed"]["kind"] == "escalated"
    diagnosed = [event.incident for event in read_events(stage.record("backstop")) if isinstance(event.body, Diagnosed)]
    assert diagnosed == ["first", "third"]
    assert stage.api.patches() == []
    agent.child.send_signal(signal.SIGTERM)
    assert await agent.child.wait() == 0


@pytest.mark.parametrize(
    ("module", "content", "says"),
    [
        ("backstop.pipeline", "{", "cannot be used"),
        ("backstop.pipeline", None, "cannot read"),
        ("backstop.naive", '{"models_url": 7}', "cannot be used"),
    ],
)
async def test_a_configuration_that_cannot_be_used_is_one_sentence_and_exit_2(
    tmp_path: Path, module: str, content: str | None, says: str
) -> None:
    path = tmp_path / "config.json"
    if content is not None:
        path.write_text(content)
    async with process(module, "--config", str(path)) as one:
        _, errors = await one.child.communicate()
    assert one.child.returncode == 2
    assert says in errors.decode()
    assert errors.decode().count("\n") == 1
    assert sys.executable not in errors.decode()
