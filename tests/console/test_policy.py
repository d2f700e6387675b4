"""The policy's page: the document, the rules with what they said, and the answer to a question in its address."""

from __future__ import annotations

import html
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from playwright.async_api import Page

from backstop.console.recorded import Told
from backstop.console.views.policy import FIELDS, answer, tallies
from backstop.engine.port import Incidents
from backstop.errors import EngineError, UsageError
from backstop.policy import DEFAULT
from backstop.policy.decide import RULES
from tests.console.browser import axe, screenshot
from tests.console.shown import Shown, shown
from tests.engine.incidents_contract import BEGAN as NOW
from tests.engine.incidents_contract import alert, reached

QUESTION = {"verb": "scale", "target": "shop/deployment/checkout", "replicas": "9"}


async def asked(console: Shown, **fields: str) -> str:
    found = await console.get(f"/policy?{urlencode(fields)}")
    assert found.status == 200
    return html.unescape(found.text)


async def test_it_shows_the_document_that_is_in_force_and_its_digest(tmp_path: Path) -> None:
    async with shown(tmp_path) as console:
        page = await asked(console)
        assert DEFAULT.digest() in page
        assert "max_pods_touched: 10" in page
        for name in (*DEFAULT.protected.names, *DEFAULT.protected.namespaces):
            assert f"<code>{name}</code>" in page


async def test_every_rule_of_the_gates_has_an_anchor_of_its_id(tmp_path: Path) -> None:
    async with shown(tmp_path) as console:
        page = await asked(console)
        for rule in RULES:
            assert page.count(f'id="{rule.id}"') == 1


async def test_a_question_is_answered_rule_by_rule_with_links_to_the_rules(tmp_path: Path) -> None:
    async with shown(tmp_path) as console:
        page = await asked(console, **QUESTION)
        assert "refused by A-BLAST-STEP" in page
        assert '<a class="mono" href="#A-BLAST-STEP">' in page
        assert "limits.max_step = 5" in page
        assert 'value="shop/deployment/checkout"' in page


async def test_what_is_allowed_is_said_with_how_far_it_goes_by_itself(tmp_path: Path) -> None:
    async with shown(tmp_path) as console:
        page = await asked(console, verb="restart", target="shop/deployment/checkout")
        assert "✓ Allowed" in page
        assert "auto: what is allowed is written without asking" in page


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"verb": "delete", "target": "shop/deployment/checkout"}, "here is no verb"),
        ({"verb": "scale", "target": "shop/deployment/checkout"}, "cale needs replicas"),
        ({"verb": "restart", "target": "<script>alert(1)</script>"}, "'<script>alert(1)</script>' is no target"),
        ({**QUESTION, "replicas": "many"}, "eplicas is a whole number"),
        ({**QUESTION, "replicas": "9" * 5000}, "eplicas is a whole number"),
        ({"verb": "set_resources", "target": "shop/deployment/checkout", "memory": "lots"}, "lots"),
    ],
)
async def test_a_question_that_cannot_be_asked_is_one_sentence_in_the_page(
    tmp_path: Path, fields: dict[str, str], said: str
) -> None:
    async with shown(tmp_path) as console:
        found = await console.get(f"/policy?{urlencode(fields)}")
        assert found.status == 200
        assert said in html.unescape(found.text)
        assert "<script>alert" not in found.text


_TEXT = st.text("aZ/-0 19.Mi\x00é<", max_size=12) | st.sampled_from(
    ["scale", "rollback", "restart", "set_resources", "shop/deployment/checkout", "0", "3", "64Mi"]
)


@given(st.dictionaries(st.sampled_from(FIELDS), _TEXT))
def test_no_question_is_anything_but_answered_or_refused_in_a_sentence(fields: dict[str, str]) -> None:
    with suppress(UsageError):
        assert answer(fields, DEFAULT, NOW).lines


async def test_counts_are_folded_from_the_incidents_on_record_and_name_them(tmp_path: Path) -> None:
    async with shown(tmp_path) as console:
        assert "There is no incident on record yet" in await asked(console)
        incident = (await console.there.incidents.submit(alert(name="catalog"))).incident
        await reached(console.there.incidents, incident, "closed")
        page = await asked(console)
        assert "newest 1 incident" in page
        assert f'href="/incidents/{incident}"' in page


def test_a_tally_counts_every_word_and_names_the_five_newest_incidents_at_most() -> None:
    recorded = [Told(f"i{n}", NOW, {("A-SCOPE", True): 2, ("A-SCOPE", False): n % 2}, ()) for n in range(8)]
    found = tallies(recorded)["A-SCOPE"]
    assert (found.passed, found.refused) == (16, 4)
    assert found.passed_in == ("i0", "i1", "i2", "i3", "i4")
    assert found.refused_in == ("i1", "i3", "i5", "i7")


class _Gone:
    """Incidents whose database does not answer."""

    def __init__(self, incidents: Incidents) -> None:
        self._incidents = incidents

    def __getattr__(self, name: str) -> object:
        async def gone(*_: object, **__: object) -> None:
            raise EngineError("the database does not answer")

        return gone


async def test_without_a_database_the_policy_is_shown_and_every_count_is_unknown(tmp_path: Path) -> None:
    async with shown(tmp_path, incidents=_Gone(None)) as console:  # type: ignore[arg-type]
        page = await asked(console, **QUESTION)
        assert "refused by A-BLAST-STEP" in page
        assert "how often each rule spoke is unknown" in page


async def test_it_reads_well(tmp_path: Path, page: Page, light: Page, phone: Page) -> None:
    async with shown(tmp_path) as console:
        incident = (await console.there.incidents.submit(alert(name="catalog"))).incident
        await reached(console.there.incidents, incident, "closed")
        for one in (page, light, phone):
            await one.goto(f"{console.url}/policy?{urlencode(QUESTION)}#A-BLAST-STEP")
            await axe(one)
            await screenshot(one, "policy")


async def test_it_says_how_far_this_service_goes_when_the_policy_would_go_further(tmp_path: Path) -> None:
    question = {"verb": "rollback", "target": "shop/deployment/checkout", "to_revision": "1"}
    async with shown(tmp_path, mode="approve") as console:
        page = await asked(console, **question)
        assert "approve: a person is asked before anything is written; the policy would go as far as auto" in page
        assert "This service was started with <code>--mode approve</code>" in page
        assert "Mode approve: a person is asked before anything is written." in page
    async with shown(tmp_path, mode="observe") as console:
        assert "auto: what is allowed is written without asking" not in await asked(console, **question)


async def test_what_is_no_question_is_told_with_what_to_do(tmp_path: Path) -> None:
    async with shown(tmp_path) as console:
        assert "'checkout' is no target; write NAMESPACE/deployment/NAME" in await asked(console, verb="restart", target="checkout")
