"""`fold.js` makes of a run's frames what Python makes of them, at every moment."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page

from backstop.console.pages import static_url
from tests.console.recorded import NAMES, golden
from tests.console.shown import shown

LANES = ("naive", "backstop")

AT_EVERY_PREFIX = """async ([address, lines]) => {
  const { START, blocked, fold, items } = await import(address);
  const lane = (one) => ({
    lights: one.lights, now: one.now, lines: items(one.lines).map((line) => line.text), spent: one.spent,
    defenses: one.defenses, writes: items(one.writes).map((write) => write.audit), ending: one.ending?.kind ?? null,
    blocked: blocked(one), models: items(one.calls).map((call) => call.model),
    rates: items(one.samples).map((sample) => sample.rate),
  });
  let state = START;
  return lines.map((line) => {
    state = fold(state, JSON.parse(line));
    const { naive, backstop } = state.lanes;
    return { n: state.n, t: state.t, naive: lane(naive), backstop: lane(backstop), over: state.over?.kind ?? null };
  });
}"""


@asynccontextmanager
async def folding(page: Page, directory: Path) -> AsyncIterator[str]:
    """A page that may import the module, and its address."""
    async with shown(directory) as there:
        await page.goto(f"{there.url}/login")
        yield static_url("fold.js")


async def folded(page: Page, directory: Path, frames: Sequence[str]) -> list[Any]:
    async with folding(page, directory) as address:
        found: list[Any] = await page.evaluate(AT_EVERY_PREFIX, [address, list(frames)])
        return found


def truth(frames: Sequence[str]) -> list[Any]:
    """The same by way of the records' own names, as the terminal has it: the stage that was lit last is the one at work."""
    lanes: dict[str, Any] = {name: {"lights": {}, "now": "", "lines": [], "rates": []} for name in LANES}
    found = []
    for frame in map(json.loads, frames):
        body = frame["body"]
        for name in [frame["lane"]] if frame["lane"] else LANES:
            lane = lanes[name]
            if line := body.get("line"):
                lane["lines"].append(line["text"])
                if line["stage"]:
                    lane["lights"][line["stage"]], lane["now"] = line["light"], line["stage"]
            if body["kind"] == "sample":
                lane["rates"].append(body["rate"])
        found.append(json.loads(json.dumps(lanes)) | {"n": frame["n"], "t": frame["t"]})
    return found


def told(n: int, t: float, body: dict[str, Any], lane: str | None = "backstop") -> str:
    return json.dumps({"n": n, "t": t, "lane": lane, "body": body})


def event(n: int, body: dict[str, Any], incident: str = "one", line: dict[str, Any] | None = None) -> str:
    return told(n, n / 10, {"kind": "event", "event": {"incident": incident, "body": body}, "line": line})


def call(cost: float | None) -> dict[str, Any]:
    return {
        "type": "model_called",
        "call": {"model": "a", "role": "diagnose", "source": "emulated", "outcome": "ok", "cost_usd": cost},
    }


@pytest.mark.parametrize("scenario", NAMES)
async def test_at_every_prefix_the_lights_and_lines_are_those_of_the_record(page: Page, tmp_path: Path, scenario: str) -> None:
    frames = golden(scenario)
    for mine, right in zip(await folded(page, tmp_path, frames), truth(frames), strict=True):
        assert (mine["n"], mine["t"]) == (right["n"], right["t"])
        for lane in LANES:
            for what in ("lights", "now", "lines", "rates"):
                assert mine[lane][what] == right[lane][what], f"{what} of {lane} at frame {mine['n']}"


@pytest.mark.parametrize("scenario", NAMES)
async def test_at_the_end_it_says_what_the_report_says(page: Page, tmp_path: Path, scenario: str) -> None:
    frames = golden(scenario)
    end = (await folded(page, tmp_path, frames))[-1]
    report = json.loads(frames[-1])["body"]["report"]["agents"]
    assert end["over"] == "ended"
    assert end["backstop"]["ending"] == report["backstop"]["outcome"]
    assert end["naive"]["ending"] == report["naive"]["incidents"][-1]["outcome"]
    for lane in LANES:
        assert end[lane]["defenses"] == report[lane]["defenses"]
        assert end[lane]["blocked"] == report[lane]["blocked"]
        assert end[lane]["writes"] == [write["audit_id"] for write in report[lane]["writes"]]
        assert end[lane]["models"] == [model["model"] for model in report[lane]["models"]]
        assert end[lane]["spent"] == pytest.approx(report[lane]["cost_usd"], abs=1e-6)


async def test_a_moment_is_the_fold_of_what_was_before_it_whichever_way_it_is_reached(page: Page, tmp_path: Path) -> None:
    script = """async ([address, lines]) => {
      const { START, fold, upTo } = await import(address);
      const frames = lines.map((line) => JSON.parse(line));
      const wrong = [];
      let on = START;
      for (let t = 0; t < 20; t += 0.5) {
        on = upTo(frames, t, on);
        const anew = frames.filter((frame) => frame.t <= t).reduce(fold, START);
        if (JSON.stringify(on) !== JSON.stringify(anew) || JSON.stringify(upTo(frames, t)) !== JSON.stringify(anew)) wrong.push(t);
      }
      return [wrong, on.n, frames.length];
    }"""
    async with folding(page, tmp_path) as address:
        wrong, reached, there_are = await page.evaluate(script, [address, golden(NAMES[0])])
    assert wrong == []
    assert reached == there_are


async def test_a_state_is_never_changed_by_what_is_folded_after_it(page: Page, tmp_path: Path) -> None:
    script = """async ([address, lines]) => {
      const { START, fold } = await import(address);
      const frozen = (one) => {
        if (one && typeof one === "object" && !Object.isFrozen(one)) Object.values(Object.freeze(one)).forEach(frozen);
        return one;
      };
      return lines.map((line) => JSON.parse(line)).reduce((state, frame) => frozen(fold(state, frozen(frame))), frozen(START)).n;
    }"""
    frames = golden(NAMES[0])
    async with folding(page, tmp_path) as address:
        assert await page.evaluate(script, [address, frames]) == len(frames)


async def test_what_a_call_cost_is_unknown_from_the_first_that_does_not_say(page: Page, tmp_path: Path) -> None:
    frames = [event(1, call(0.25)), event(2, call(None)), event(3, call(0.25))]
    assert [state["backstop"]["spent"] for state in await folded(page, tmp_path, frames)] == [0.25, None, None]


async def test_a_second_incident_begins_with_no_stage_lit(page: Page, tmp_path: Path) -> None:
    line = {"text": "looked", "mood": "plain", "source": "", "stage": "evidence", "light": "good"}
    alert = {"type": "alert_received"}
    frames = [event(1, alert), event(2, {"type": "policy_read"}, line=line), event(3, alert, "two")]
    assert [state["backstop"]["lights"] for state in await folded(page, tmp_path, frames)] == [{}, {"evidence": "good"}, {}]


async def test_what_the_cluster_refuses_is_a_defence_that_fired(page: Page, tmp_path: Path) -> None:
    line = {"text": "refused", "mood": "good", "source": "injected", "stage": "", "light": "plain"}
    frames = [told(1, 1.0, {"kind": "told", "mark": "bypass", "line": line})]
    assert (await folded(page, tmp_path, frames))[0]["backstop"]["defenses"] == ["cluster"]


async def test_what_both_lanes_are_told_at_once_is_one_mark_and_what_one_does_is_its_own(page: Page, tmp_path: Path) -> None:
    alert = {"kind": "told", "mark": "alert", "line": {"text": "alert", "mood": "bad", "source": "", "stage": "", "light": "plain"}}
    wrote = {"kind": "note", "note": {"type": "written", "verb": "scale", "target": "deployment/db", "audit_id": "x"}, "line": None}
    frames = [told(1, 1.0, alert, "naive"), told(2, 1.1, alert), told(3, 2.0, wrote, "naive")]
    script = """async ([address, lines]) => {
      const { START, items, upTo } = await import(address);
      return items(upTo(lines.map((line) => JSON.parse(line)), 9).marks).map((mark) => [mark.lane, mark.kind, mark.text]);
    }"""
    async with folding(page, tmp_path) as address:
        marks = await page.evaluate(script, [address, frames])
    assert marks == [[None, "alert", "alert"], ["naive", "write", "scale deployment/db"]]
