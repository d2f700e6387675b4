"""Views of an incident are folds of its record: every prefix has one, and nothing that differs is left out."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstop.console.views.incident import Asked, story
from backstop.console.views.incident_changes import changes
from backstop.console.views.incident_findings import findings
from backstop.console.views.incident_list import Unknown, filters_of, listing
from backstop.console.views.incident_receipt import Kept
from backstop.console.views.incident_timeline import EVENTS, JSON_BUDGET, log_page, moments
from backstop.console.views.incident_words import said, standing
from backstop.console.wording import plain
from backstop.engine.port import IncidentSummary
from backstop.events import Diagnosed, Event, Rerouted, VerdictReached
from backstop.records import Check, OutcomeKind, Verdict, action_key
from tests.console.seeded import Seeds, seeded
from tests.pipeline.shop import CHECKOUT, right

NOW = datetime(2026, 1, 1, tzinfo=UTC)
NOTHING = Kept("x.json", None, {})
JSON: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


def summary(name: str, minutes: int = 0, **other: Any) -> IncidentSummary:
    at = NOW - timedelta(minutes=minutes)
    own: dict[str, Any] = {
        "id": name, "state": "closed", "target": CHECKOUT, "alert": "HighErrorRate", "summary": "requests fail", "started_at": at,
        "received_at": at, "updated_at": at, "outcome": OutcomeKind.RESOLVED, "reason": "recovered", "writes": 1, "cost_usd": 0.1,
        "asks": None,
    }  # fmt: skip
    return IncidentSummary(**own | other)


def event(seq: int, reason: str = "why") -> Event:
    return Event(seq=seq, at=NOW, incident="i", body=Rerouted(attempt=1, reason=reason), prev="", hash="")


async def test_every_moment_of_every_kind_of_incident_has_a_page(tmp_path: Path) -> None:
    async with seeded(tmp_path) as console:
        for one in await console.seeds.incidents.recent():
            events = await console.seeds.incidents.events(one.id)
            stops = {1, 2, len(events) // 2, len(events) - 1, len(events), len(events) + 5}
            for at in stops:
                shown = story(one, events, NOTHING, Asked(at=at), console.seeds.clock.now())
                assert shown.point.seq == min(at, len(events))
                assert all(moment.seq <= at for moment in shown.moments)
                assert shown.sentence
                assert shown.question is None or not shown.point.past or shown.question.blocked


async def test_a_cited_fact_is_one_of_the_look_that_it_was_cited_from(tmp_path: Path) -> None:
    async with seeded(tmp_path) as console:
        for one in await console.seeds.incidents.recent():
            found = findings(await console.seeds.incidents.events(one.id))
            anchors = {fact.anchor for look in found.looks for fact in look.facts}
            assert len(anchors) == sum(len(look.facts) for look in found.looks)
            cited = [cited for opinion in found.opinions for claim in opinion.claims for cited in claim.facts]
            assert {one.anchor for one in cited} <= anchors


async def test_a_judge_s_no_to_an_earlier_diagnosis_does_not_speak_against_the_same_write_of_the_rules(tmp_path: Path) -> None:
    no = Verdict(stage="judge", checks=(Check(rule="J-CLAIM-1", passed=False, reason="it does not follow"),))
    async with seeded(tmp_path, one_that_asks) as console:
        events = list(await console.seeds.incidents.events("am-1"))
        asked = await console.seeds.incidents.find("am-1")
        place = next(place for place, one in enumerate(events) if isinstance(one.body, Diagnosed))
        diagnosed = events[place].body
        assert isinstance(diagnosed, Diagnosed)
        action = action_key(diagnosed.diagnosis.action)
        refusal = event(0).model_copy(update={"body": VerdictReached(attempt=0, action=action, verdict=no)})
        judged = [one for one in events[place:] if not _is_judge(one)]
        shown = story(asked, [*events[: place + 1], refusal, *judged], NOTHING, Asked(), NOW).question
        assert shown is not None
        assert (shown.against, shown.judged) == ("", False)
        direct = story(asked, [*events, refusal], NOTHING, Asked(), NOW).question
        assert direct is not None
        assert direct.against == "J-CLAIM-1: it does not follow"


async def one_that_asks(seeds: Seeds) -> None:
    await seeds.asking("am-1", right)


def _is_judge(one: Event) -> bool:
    return isinstance(one.body, VerdictReached) and one.body.verdict.stage == "judge"


async def test_what_was_rehearsed_is_a_gate_s_word(tmp_path: Path) -> None:
    async with seeded(tmp_path, one_that_asks) as console:
        found = findings(await console.seeds.incidents.events("am-1"))
        assert [gate.stage for gate in found.opinions[-1].verdicts] == ["quality_gate", "judge", "executor", "action_gate"]


def test_a_record_that_is_empty_so_far_has_a_page() -> None:
    shown = story(summary("a", state="queued", outcome=None), (), NOTHING, Asked(), NOW)
    assert (shown.moments, shown.findings.looks, shown.seconds, shown.over) == ((), (), 0.0, False)
    assert moments(()) == ()


@given(before=st.dictionaries(st.text(max_size=3), JSON, max_size=3), after=st.dictionaries(st.text(max_size=3), JSON, max_size=3))
def test_what_is_the_same_is_not_shown_and_what_differs_is(before: dict[str, Any], after: dict[str, Any]) -> None:
    found = changes("t", before, after)
    assert all(one.before != one.after for one in found.places)
    if json.dumps(before, sort_keys=True) == json.dumps(after, sort_keys=True):
        assert found.places == ()
    elif "." not in json.dumps([before, after]) and "[" not in "".join(_keys(before) + _keys(after)):
        assert found.places or found.whole


def _keys(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [*value, *(key for part in value.values() for key in _keys(part))]
    return [key for part in value for key in _keys(part)] if isinstance(value, list) else []


def test_entries_are_known_by_name_wherever_they_stand() -> None:
    before: dict[str, Any] = {"env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]}
    after: dict[str, Any] = {"env": [{"name": "B", "value": "3"}, {"name": "A", "value": "1"}]}
    assert [(one.path, one.before, one.after) for one in changes("t", before, after).places] == [("env[B].value", "2", "3")]


def test_entries_of_the_same_name_hide_nothing() -> None:
    before: dict[str, Any] = {"env": [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]}
    after: dict[str, Any] = {"env": [{"name": "A", "value": "9"}, {"name": "A", "value": "2"}]}
    assert [(one.path, one.before, one.after) for one in changes("t", before, after).places] == [("env[0].value", "1", "9")]


def test_a_rule_that_could_not_be_asked_is_neither_passed_nor_failed() -> None:
    words = [
        said(Check(rule="R", passed=passed, reason=reason)).word
        for passed, reason in (
            (True, "so"),
            (False, "not so"),
            (False, "could not be evaluated (KeyError: 'x'), which is a refusal"),
        )
    ]
    assert words == ["passed", "failed", "unknown"]


def test_each_state_and_outcome_has_a_word_and_a_mark_of_its_own() -> None:
    outcomes = [standing("closed", outcome) for outcome in OutcomeKind]
    assert len({one.word for one in outcomes}) == len({one.mark for one in outcomes}) == len(OutcomeKind)
    assert standing("cancelled", OutcomeKind.ESCALATED).word == "cancelled"


def test_a_record_is_shown_in_pages_that_leave_nothing_out() -> None:
    events = [event(seq) for seq in range(1, 2 * EVENTS + 11)]
    first = log_page(events, 1)
    assert (len(first.entries), first.earlier, first.later) == (EVENTS, None, EVENTS + 1)
    second = log_page(events, EVENTS + 1)
    assert (second.entries[0].seq, second.earlier, second.later) == (EVENTS + 1, 1, 2 * EVENTS + 1)
    last = log_page(events, 10**8)
    assert (last.entries[-1].seq, last.later) == (len(events), None)


def test_what_a_page_cuts_is_said() -> None:
    log = log_page([event(seq, "x" * 50_000) for seq in range(1, 100)], 1)
    assert all(entry.cut for entry in log.entries)
    assert sum(len(entry.content) for entry in log.entries) <= JSON_BUDGET
    assert not log_page([event(1)], 1).entries[0].cut


def test_the_text_filter_finds_ids_targets_alerts_and_reasons() -> None:
    found = [summary("one"), summary("two", reason="nobody answered"), summary("three", alert="OutOfMemory")]
    for text, ids in (("ONE", ["one"]), ("nobody", ["two"]), ("outof", ["three"]), ("shop", ["one", "two", "three"])):
        assert [row.id for row in listing(found, (), filters_of({"q": text}), NOW).rows] == ids


@given(st.dictionaries(st.sampled_from(["state", "outcome", "q", "limit", "x"]), st.text(max_size=12)))
def test_any_address_is_a_filter_or_is_refused(query: dict[str, str]) -> None:
    with suppress(Unknown):
        assert 1 <= filters_of(query).limit <= 1000


@pytest.mark.parametrize("limit", ["0", "-1", "1001", "000005000", "\u0661", "9" * 50, "1.5"])
def test_a_limit_out_of_bounds_is_refused(limit: str) -> None:
    with pytest.raises(Unknown):
        filters_of({"limit": limit})


@given(st.text())
def test_what_is_shown_controls_no_terminal_and_reorders_nothing(text: str) -> None:
    shown = plain(text)
    assert not any(ord(one) < 32 and one not in "\n\t" for one in shown)
    assert not set(shown) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200b\u200e\u200f\ufeff\x7f\x9b")
