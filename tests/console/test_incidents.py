"""The history of incidents and one incident's page, as a browser without scripts sees them."""

from __future__ import annotations

import html
import re
from pathlib import Path

import pytest

from backstop.errors import EngineError
from tests.console.seeded import HOSTILE, Seeds, seeded
from tests.console.shown import Shown, shown
from tests.engine.incidents_contract import alert, asking, reached
from tests.pipeline.shop import hallucinated, right
from tests.service.served import Broken


def text_of(page: str) -> str:
    """What stands on it, without markup."""
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", page)).split())


async def rows(console: Shown, query: str = "") -> list[str]:
    """The targets' addresses of the table, in its order."""
    page = (await console.get(f"/incidents{query}")).text
    return re.findall(r'<td><a href="/incidents/([^"]+)">', page)


async def closed(console: Shown, number: int, name: str = "catalog") -> str:
    found = (await console.there.incidents.submit(alert(number, name))).incident
    await reached(console.there.incidents, found, "closed")
    return found


class TestTheHistory:
    async def test_an_empty_one_says_how_an_incident_comes_about(self, tmp_path: Path) -> None:
        async with shown(tmp_path) as console:
            said = text_of((await console.get("/incidents")).text)
            assert "There are no incidents yet" in said
            assert "backstop up" in said
            assert "/api/v1/alerts/alertmanager" in said

    async def test_the_newest_is_first_and_the_limit_holds(self, tmp_path: Path) -> None:
        async with shown(tmp_path) as console:
            ended = [await closed(console, number) for number in (1, 2, 3)]
            assert await rows(console) == ended[::-1]
            assert await rows(console, "?limit=2") == ended[:0:-1]
            assert "There are more" in (await console.get("/incidents?limit=2")).text
            assert "There are more" not in (await console.get("/incidents?limit=3")).text

    async def test_filters_are_of_the_address(self, tmp_path: Path) -> None:
        async with shown(tmp_path) as console:
            ended, waiting = await closed(console, 1), (await asking(console.there, 2)).id
            assert await rows(console, "?state=closed") == [ended]
            assert await rows(console, "?state=awaiting_approval") == [waiting]
            assert await rows(console, "?outcome=escalated&state=") == [ended]
            assert await rows(console, "?q=CATALOG") == [ended]
            assert await rows(console, "?q=nothing-like-it") == []
            page = (await console.get("/incidents?q=catalog&state=closed&limit=7")).text
            assert 'value="catalog"' in page
            assert '<option value="closed" selected>' in page
            assert 'value="7"' in page

    @pytest.mark.parametrize("query", ["?state=lost", "?outcome=great", "?limit=0", "?limit=many", "?limit=1001"])
    async def test_a_filter_that_means_nothing_is_refused_as_a_page(self, tmp_path: Path, query: str) -> None:
        async with shown(tmp_path) as console:
            answer = await console.get(f"/incidents{query}")
            assert answer.status == 400
            assert "<h1>" in answer.text

    async def test_those_that_wait_stand_above_whatever_is_filtered(self, tmp_path: Path) -> None:
        async with shown(tmp_path) as console:
            await closed(console, 1)
            waiting = await asking(console.there, 2)
            page = (await console.get("/incidents?state=closed")).text
            panel = page[page.index('id="waiting"') : page.index("<form")]
            assert f'href="/incidents/{waiting.id}#decision"' in panel
            assert "1 incident waits for a person" in panel
            assert re.search(r'data-seconds="\d+">\d+:\d\d<', panel)

    async def test_a_database_that_is_away_is_said(self, tmp_path: Path) -> None:
        gone = Broken(EngineError("the database cannot be reached", todo="start it"))
        async with shown(tmp_path, incidents=gone) as console:  # type: ignore[arg-type]
            for path in ("/incidents", "/incidents/alert-1"):
                answer = await console.get(path)
                assert answer.status == 503
                assert "The database cannot be reached" in answer.text
                assert "Start it" in answer.text or "start it" in answer.text


class TestOneIncident:
    @pytest.mark.parametrize("name", ["nobody", "%00", "..%2f..", "%22onload%3d", "a" * 300])
    async def test_one_that_is_not_there_is_a_page(self, tmp_path: Path, name: str) -> None:
        async with shown(tmp_path) as console:
            answer = await console.get(f"/incidents/{name}")
            assert answer.status == 404
            assert "<h1>" in answer.text

    async def test_what_waits_shows_what_is_decided_on(self, tmp_path: Path) -> None:
        async with shown(tmp_path) as console:
            asked = await asking(console.there)
            assert asked.asks is not None
            page = (await console.get(f"/incidents/{asked.id}")).text
            said = text_of(page)
            assert f'name="decision" value="{asked.asks.decision}"' in page
            assert f'data-part="{asked.asks.decision}"' in page
            for words in (
                "template.spec.containers[app].image - demo/web:1.2-errors + demo/web:1.0",
                "all 3 pods of deployment/checkout are replaced",
                "kubectl -n shop rollout undo deployment/checkout --to-revision=2",
                f"Unless somebody approves by {asked.asks.expires_at:%H:%M:%S} UTC",
                "nothing is written and it is escalated",
                "revision 2 of checkout serves errors",
            ):
                assert words in said

    async def test_what_is_over_asks_nothing(self, tmp_path: Path) -> None:
        async with shown(tmp_path) as console:
            page = (await console.get(f"/incidents/{await closed(console, 1)}")).text
            assert "/approve" not in page
            assert "/cancel" not in page
            assert "data-stream" not in page or "data-after" in page

    async def test_each_rule_links_to_the_policy_and_each_fact_to_the_evidence(self, tmp_path: Path) -> None:
        async with shown(tmp_path) as console:
            asked = await asking(console.there)
            page = (await console.get(f"/incidents/{asked.id}")).text
            assert 'href="/policy#A-BLAST-PODS"' in page
            cited = set(re.findall(r'href="#(E\d+)"', page))
            assert cited
            assert all(f'id="{fact}"' in page for fact in cited)

    async def test_an_earlier_moment_is_shown_and_cannot_be_answered(self, tmp_path: Path) -> None:
        async with shown(tmp_path) as console:
            asked = await asking(console.there)
            total = len(await console.there.incidents.events(asked.id))
            page = (await console.get(f"/incidents/{asked.id}?at=3")).text
            assert f"As of event 3 of {total}" in page
            assert f'rel="prev" href="/incidents/{asked.id}?at=2"' in page
            assert f'rel="next" href="/incidents/{asked.id}?at=4"' in page
            assert "/approve" not in page
            assert "data-stream" not in page


async def refused(seeds: Seeds) -> None:
    await seeds.ended(await seeds.alert(seeds.shop("am-1", hallucinated), "am-1"))


async def resolved(seeds: Seeds) -> None:
    await seeds.ended(await seeds.alert(seeds.shop("am-1", right), "am-1"))


async def test_a_refused_diagnosis_is_shown_with_the_rules_that_refused_it(tmp_path: Path) -> None:
    async with seeded(tmp_path, refused) as console:
        page = (await console.get("/incidents/am-1")).text
        diagnoses = page[page.index('id="diagnoses"') : page.index('id="verdicts"')]
        assert "prod-db is overloaded" in diagnoses
        assert "scale deployment/prod-db replicas=0" in diagnoses
        assert 'href="/policy#Q-SUSPECT-SYMPTOM"' in diagnoses
        assert "emulated" in diagnoses
        assert "Nothing was written to the cluster" in page
        assert "defence: quality gate" in text_of(page)
        assert "kubectl -n shop describe deployment/checkout" in page  # of the hand-off


async def test_a_resolved_one_shows_its_write_and_what_was_measured(tmp_path: Path) -> None:
    async with seeded(tmp_path, resolved) as console:
        page = (await console.get("/incidents/am-1")).text
        said = text_of(page)
        assert "resolved" in page[page.index('id="banner"') : page.index("</h1>")]
        assert "rollback shop/deployment/checkout" in said
        assert "audit-bs-" in said
        assert "after write" in said
        assert 'id="handoff-text"' not in page


async def test_hostile_text_stays_text(tmp_path: Path) -> None:
    from tests.console.seeded import hostile

    async def tell(seeds: Seeds) -> None:
        await seeds.asking("am-1", hostile, summary=HOSTILE)

    async with seeded(tmp_path, tell) as console:
        for path in ("/incidents", "/incidents/am-1", "/incidents/am-1?at=5"):
            page = (await console.get(path)).text
            assert "alert(&#34;x&#34;)" in page
            assert "<script>" not in page
            assert "<img" not in page
            assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069\u200b-\u200f]", page)
