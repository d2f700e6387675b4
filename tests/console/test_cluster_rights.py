"""The cluster's page over a real API server: its own answers on who may do what, in each identity's own name."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page

from backstop.clock import SystemClock
from backstop.console.rights import RightsOf
from backstop.console.views.rights import Question, cell_of
from backstop.doctor.cluster import WRITE
from backstop.executor.process import Identity
from backstop.policy import DEFAULT
from backstop.scenarios.installation import write_manifests
from tests.console.browser import axe, screenshot
from tests.console.shown import shown
from tests.console.test_cluster import BREAKS, Ground, Measured, Monitors
from tests.embedded import Embedded, embedded

NAMES = ("investigator", "executor", "rehearser")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embedded]:
    with embedded(manifests=write_manifests(tmp_path_factory.mktemp("policy") / "policy.json", DEFAULT)) as found:
        yield found


def identities(cluster: Embedded) -> dict[str, Identity]:
    return {name: Identity(cluster.kubeconfigs[name], None) for name in NAMES}


async def test_each_identity_is_asked_in_its_own_name_and_has_what_it_needs_and_no_more(cluster: Embedded) -> None:
    told: list[str] = []
    rights = RightsOf(identities(cluster), DEFAULT, SystemClock(), lambda: told.append("changed"))
    found = {one.name: one for one in await rights.now()}
    assert {name: one.trouble for name, one in found.items()} == dict.fromkeys(NAMES, "")
    assert [one.identity.rpartition(":")[2] for one in found.values()] == list(NAMES)
    words = {
        (name, str(question.right), question.name): cell_of(name, question, one.answers[question], DEFAULT).word
        for name, one in found.items()
        for question in rights.questions
    }
    assert not [key for key, word in words.items() if word in {"unknown", "denied, and needed", "allowed, needed by nobody"}]
    assert found["executor"].answers[Question(WRITE, "shop", "checkout")][0] is True
    assert found["executor"].answers[Question(WRITE, "shop", "prod-db")][0] is False
    assert found["investigator"].answers[Question(WRITE, "shop", "checkout")][0] is False
    assert told == ["changed"]
    assert await rights.now() == tuple(found.values())
    assert told == ["changed"]


async def test_an_identity_that_cannot_ask_is_unknown_and_says_why(tmp_path: Path, cluster: Embedded) -> None:
    nobody = {"executor": Identity(tmp_path / "none", None), "investigator": identities(cluster)["investigator"]}
    rights = RightsOf(nobody, DEFAULT, SystemClock(), lambda: None)
    found = {one.name: one for one in await rights.now()}
    assert (found["executor"].answers, found["executor"].identity) == ({}, "")
    assert "none" in found["executor"].trouble
    assert found["investigator"].trouble == ""


async def test_who_still_asks_is_ended_with_the_console(cluster: Embedded) -> None:
    rights = RightsOf(identities(cluster), DEFAULT, SystemClock(), lambda: None)
    asking = asyncio.create_task(rights.now())
    await asyncio.sleep(0)
    await rights.aclose()
    with pytest.raises(asyncio.CancelledError):
        await asking


async def test_it_reads_well(tmp_path: Path, cluster: Embedded, page: Page, light: Page, phone: Page) -> None:
    grounds = Ground(Monitors(Measured({"checkout": 0.31, "catalog": 0.0})))
    await grounds.break_("bad-release")
    async with cluster.door("investigator") as door:
        parts: dict[str, Any] = {"cluster": door, "identities": identities(cluster), "grounds": grounds, "breaks": BREAKS}
        async with shown(tmp_path, **parts) as console:
            for one in (page, light, phone):
                await one.goto(f"{console.url}/cluster")
                await one.get_by_text("● live").wait_for()
                await axe(one)
                await screenshot(one, "cluster")
                assert "prod-db" in await one.inner_text("#namespace-shop")
                await one.goto("about:blank")  # its stream with it
