"""The page of a run, in a real browser: two lanes side by side, at any moment, and nothing that a model says is more than text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from playwright.async_api import Page, Route, expect

from backstop.scenarios.frames import RUN
from tests.console.browser import Browsing, Look, axe, screenshot
from tests.console.recorded import NAMES, golden, laid
from tests.console.shown import shown

HALLUCINATED = NAMES[0]
HOSTILE = "</script><img src=x onerror=\"document.title='taken'\"><script>document.title='taken'</script>"


async def open_run(page: Page, url: str, name: str, at: str = "") -> None:
    await page.goto(f"{url}/run/{name}{at}")
    await page.locator(".lane").first.wait_for()


async def drawn(page: Page) -> None:
    """What was asked for is on the page: it draws at most every tenth of a second."""
    await page.evaluate("new Promise((done) => setTimeout(() => requestAnimationFrame(() => requestAnimationFrame(done)), 150))")


def line(frame: dict[str, Any]) -> str:
    return json.dumps(frame, separators=(",", ":"))


def with_text(frames: list[str], text: str) -> list[str]:
    """The recording, with that said wherever somebody else says something."""
    found = []
    for frame in map(json.loads, frames):
        body: dict[str, Any] = frame["body"]
        if body.get("line"):
            body["line"]["text"] = text
        if body["kind"] == "event" and body["event"]["body"]["type"] == "diagnosed":
            body["event"]["body"]["diagnosis"]["hypothesis"] = text
        if body["kind"] == "event" and body["event"]["body"]["type"] == "defense_fired":
            body["event"]["body"]["reason"] = text
        if body["kind"] == "ended":
            body["missed"] = [text]
        found.append(line(frame))
    return found


def lay(runs: Path, name: str, frames: list[str]) -> str:
    """A run of these frames, which was stopped after them unless it ended."""
    if '"kind":"ended"' not in frames[-1]:
        frames = [
            *frames,
            line({"n": len(frames) + 1, "t": 9.0, "lane": None, "body": {"kind": "failed", "error": "it was stopped"}}),
        ]
    (runs / name).mkdir(parents=True)
    (runs / name / RUN).write_text("".join(f"{frame}\n" for frame in frames), encoding="utf-8")
    return name


async def test_before_anything_ran_the_page_explains_itself(page: Page, light: Page, phone: Page, tmp_path: Path) -> None:
    async with shown(tmp_path, drills=True) as there:
        for one in (page, light, phone):
            await one.goto(f"{there.url}/run")
            await expect(one.get_by_role("heading", name="Naive agent", exact=True)).to_be_visible()
            assert "Refuses what the facts do not carry" in await one.inner_text("main")
            await axe(one)
            await screenshot(one, "run-idle")


@pytest.mark.parametrize("look", ["dark", "light", "phone"])
async def test_a_run_that_ended_says_how_and_fits_every_screen(browser: Browsing, look: Look, tmp_path: Path) -> None:
    page = await browser.page(look)
    async with shown(tmp_path) as there:
        name = laid(there.parts.runs)
        await open_run(page, there.url, name)
        verdict = page.get_by_label("Verdict")
        await expect(verdict).to_contain_text("As expected")
        await expect(verdict).to_contain_text("no harm measured")
        await expect(verdict).to_contain_text(f"backstop receipt verify {there.parts.runs / name}/backstop/receipts/")
        await expect(page.locator(".lane.backstop h2")).to_contain_text("resolved")
        await expect(page.locator(".lane.naive h2")).to_contain_text("failed")
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        await axe(page)
        await screenshot(page, "run-ended")


async def test_on_a_phone_the_verdict_is_first_and_backstop_before_the_naive_agent(phone: Page, tmp_path: Path) -> None:
    async with shown(tmp_path) as there:
        await open_run(phone, there.url, laid(there.parts.runs))
        tops = [(await phone.locator(one).bounding_box() or {"y": 0})["y"] for one in (".verdict", ".lane.backstop", ".lane.naive")]
    assert tops == sorted(tops)


async def test_a_link_with_a_moment_opens_at_it_in_both_lanes(page: Page, tmp_path: Path) -> None:
    async with shown(tmp_path) as there:
        await open_run(page, there.url, laid(there.parts.runs), "?at=6")
        last = max(json.loads(line)["t"] for line in golden(HALLUCINATED) if json.loads(line)["t"] <= 6)
        await expect(page.locator(".player output")).to_have_text(f"6.0 / {json.loads(golden(HALLUCINATED)[-1])['t']:.1f} s")
        assert await page.get_by_label("Verdict").count() == 0
        times = [float(await cell.inner_text()) for cell in await page.locator(".log .time").all()]
        assert max(times) == round(last, 1)
        await screenshot(page, "run-middle")


async def test_keys_step_from_line_to_line_and_the_address_keeps_the_moment(page: Page, tmp_path: Path) -> None:
    async with shown(tmp_path) as there:
        await open_run(page, there.url, laid(there.parts.runs))
        times = sorted({json.loads(line)["t"] for line in golden(HALLUCINATED) if json.loads(line)["body"].get("line")})
        await page.keyboard.press("[")
        await page.keyboard.press("[")
        await page.wait_for_url(f"**?at={times[-2]}")
        await page.keyboard.press("]")
        await page.wait_for_url(f"**?at={times[-1]}")
        await page.keyboard.press("Home")
        await page.wait_for_url("**?at=0")
        await page.keyboard.press("End")
        await page.wait_for_url("**-7")
        await expect(page.get_by_label("Verdict")).to_be_visible()


async def test_space_plays_and_pauses_and_the_moment_moves(page: Page, tmp_path: Path) -> None:
    async with shown(tmp_path) as there:
        await open_run(page, there.url, laid(there.parts.runs), "?at=1")
        await page.get_by_role("button", name="16\u00d7").click()
        await page.evaluate("document.activeElement.blur()")
        await page.keyboard.press(" ")
        await expect(page.get_by_label("Verdict")).to_be_visible()  # it played to the end
        await page.keyboard.press("Home")
        await page.get_by_role("button", name="1\u00d7", exact=True).click()
        await page.evaluate("document.activeElement.blur()")
        await page.keyboard.press(" ")
        await expect(page.get_by_role("button", name="Pause")).to_be_visible()
        await page.keyboard.press(" ")
        await expect(page.get_by_role("button", name="Play", exact=True)).to_be_visible()


async def test_j_and_k_choose_lines_and_enter_goes_to_their_moment(page: Page, tmp_path: Path) -> None:
    async with shown(tmp_path) as there:
        await open_run(page, there.url, laid(there.parts.runs))
        for key in "jjk":
            await page.keyboard.press(key)
        chosen = page.locator('.log [aria-selected="true"] a')
        moment = await chosen.get_attribute("data-at")
        await page.keyboard.press("Enter")
        await page.wait_for_url(f"**?at={moment}")


async def test_a_defence_opens_on_the_rules_and_the_facts_behind_it(page: Page, tmp_path: Path) -> None:
    async with shown(tmp_path) as there:
        await open_run(page, there.url, laid(there.parts.runs))
        names = [await one.inner_text() for one in await page.locator(".strip .pill").all()]
        report = json.loads(golden(HALLUCINATED)[-1])["body"]["report"]["agents"]["backstop"]
        assert [name.removeprefix("◆ ").partition(" \u00d7")[0].replace(" ", "_") for name in names] == report["defenses"]
        await page.locator(".strip summary", has_text="judge").first.click()
        why = page.locator(".strip li", has_text="J-CLAIM-1").locator(".why")
        assert await why.locator("a[href='/policy#J-CLAIM']").count() > 0  # claims are numbered, the rule is one
        await why.locator("details summary").first.click()
        evidence = [json.loads(line)["body"] for line in golden(HALLUCINATED)]
        facts = next(body["event"]["body"]["evidence"]["facts"] for body in evidence if _type(body) == "evidence_gathered")
        assert await why.locator("pre").first.inner_text() in {fact["text"] for fact in facts}


def _type(body: dict[str, Any]) -> str:
    return str(body["event"]["body"]["type"]) if body["kind"] == "event" else ""


async def test_hostile_words_stay_words(page: Page, tmp_path: Path) -> None:
    async with shown(tmp_path) as there:
        await open_run(page, there.url, lay(there.parts.runs, "hostile-7", with_text(golden(HALLUCINATED), HOSTILE)))
        for summary in await page.locator(".strip summary").all():
            await summary.click()
        assert HOSTILE in await page.locator(".log").first.inner_text()
        assert await page.locator("main img, main script").count() == 0
        assert "taken" not in await page.title()
        links = [await link.get_attribute("href") or "" for link in await page.locator("main a").all()]
        assert all(link.startswith(("/", "?at=")) and not link.startswith("//") for link in links)


async def test_a_run_that_grows_is_followed_to_its_end(page: Page, tmp_path: Path) -> None:
    async with shown(tmp_path) as there:
        frames = golden(HALLUCINATED)
        name = laid(there.parts.runs, frames=60)
        await open_run(page, there.url, name)
        await expect(page.locator("[data-live]")).to_have_text("● live")
        await expect(page.get_by_role("button", name="Live")).to_have_attribute("aria-pressed", "true")
        with (there.parts.runs / name / RUN).open("a", encoding="utf-8") as record:
            record.write("".join(f"{frame}\n" for frame in frames[60:]))
        await expect(page.get_by_label("Verdict")).to_contain_text("As expected")
        await expect(page.locator("[data-live]")).to_have_text("■ ended")
        await expect(page.locator("#said")).to_contain_text("Backstop: resolved")


async def test_a_lane_shows_eighty_lines_and_all_of_them_when_asked(page: Page, tmp_path: Path) -> None:
    again = {"text": "again", "mood": "plain", "source": "", "stage": "", "light": "plain"}
    more = [{"n": n, "t": 1.0, "lane": "backstop", "body": {"kind": "told", "line": again, "mark": None}} for n in range(2, 202)]
    async with shown(tmp_path) as there:
        name = lay(there.parts.runs, "long-7", [golden(HALLUCINATED)[0], *map(line, more)])
        await open_run(page, there.url, name)
        rows = page.locator(".lane.backstop .log tr")
        await expect(rows).to_have_count(80)
        await page.get_by_role("button", name="Open the full log: 200 lines").click()
        await expect(rows).to_have_count(200)


async def test_an_unknown_rate_is_a_gap_and_never_zero(page: Page, tmp_path: Path) -> None:
    samples = [("backstop", 0.5), ("backstop", None)]
    frames = [golden(HALLUCINATED)[0]]
    for n, (lane, rate) in enumerate(samples, 2):
        frames.append(
            line({"n": n, "t": float(n), "lane": lane, "body": {"kind": "sample", "rate": rate, "ready": None, "wanted": None}})
        )
    async with shown(tmp_path) as there:
        await open_run(page, there.url, lay(there.parts.runs, "gap-7", frames))
        await expect(page.locator("figcaption").first).to_contain_text("Backstop unknown")
        await page.get_by_text("As a table").click()
        rows = [await row.inner_text() for row in await page.locator(".charts tbody tr").all()]
    assert [row.split("\t")[1:3] for row in rows] == [["50%", "unknown"], ["unknown", "unknown"]]


async def test_a_number_plays_a_scenario_with_the_proof_that_the_form_carries(page: Page, tmp_path: Path) -> None:
    asked: list[dict[str, list[str]]] = []

    async def answer(route: Route) -> None:
        if route.request.method != "POST":
            await route.continue_()
            return
        asked.append(parse_qs(route.request.post_data or ""))
        await route.fulfill(status=204)

    async with shown(tmp_path, drills=True) as there:
        await page.route("**/run", answer)
        await page.goto(f"{there.url}/run")
        await page.wait_for_load_state("networkidle")
        async with page.expect_request(lambda request: request.method == "POST"):
            await page.keyboard.press("1")
        await page.wait_for_function("true")
    assert [(one["scenario"], one["seed"], len(one["csrf"][0])) for one in asked] == [([HALLUCINATED], ["7"], 64)]


async def test_where_no_drill_may_be_played_the_buttons_say_why(browser: Browsing, tmp_path: Path) -> None:
    page = await browser.page(java_script_enabled=False)
    async with shown(tmp_path, drills=False) as there:
        await page.goto(f"{there.url}/run")
        assert "Drills are played by backstop up" in await page.inner_text("#why")
        buttons = page.locator("#scenarios form button")
        assert await buttons.count() == await page.locator("#scenarios form button:disabled").count() > 20


async def test_the_charts_are_coloured_anew_with_the_theme(page: Page, tmp_path: Path) -> None:
    async with shown(tmp_path) as there:
        await open_run(page, there.url, laid(there.parts.runs))
        await drawn(page)
        before = await page.evaluate("document.querySelector('[data-chart] canvas').toDataURL()")
        await page.locator("[data-theme-toggle]").click()
        await drawn(page)
        assert await page.evaluate("document.querySelector('[data-chart] canvas').toDataURL()") != before
        await axe(page)


async def test_its_receipt_is_named_as_a_shell_finds_it_that_was_opened_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with shown(tmp_path) as there:
        name = laid(there.parts.runs)
        assert f'data-directory="runs/{name}"' in (await there.get(f"/run/{name}")).text


async def test_a_free_choice_of_faults_takes_a_seed(tmp_path: Path) -> None:
    async with shown(tmp_path, drills=True) as there:
        free = (await there.get("/run")).text.partition('id="free"')[2].partition("</form>")[0]
    assert '<label>Seed <input name="seed"' in free
    assert free.count('name="seed"') == 1
