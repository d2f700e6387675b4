"""A hop that errs or talks nonsense is left for the next one, and only what may pass by itself is tried once more first."""

from __future__ import annotations

import time
from typing import Any

import pytest

from backstop.errors import ModelError
from backstop.records import Evidence, Rollback

FAULTS = {
    "http_429": "rate_limited",
    "http_401": "auth",
    "http_403": "auth",
    "http_404": "not_found",
    "http_408": "timeout",
    "http_500": "server_error",
    "http_503": "server_error",
    "http_529": "server_error",
    "context_length": "context_length",
    "truncate": "connection",
    "broken_json": "malformed",
    "html": "malformed",
    "no_choices": "malformed",
    "prose": "malformed",
    "cut_content": "malformed",
    "two_objects": "ambiguous",
    "schema_invalid": "schema_invalid",
    "length": "truncated",
    "empty": "empty",
    "refusal": "refused",
}


PASSING = {"server_error", "connection"}


@pytest.mark.parametrize(("fault", "outcome"), FAULTS.items())
async def test_the_next_hop_answers(rig: Any, evidence: Evidence, fault: str, outcome: str) -> None:
    built = await rig({"first": [fault]})
    proposal = await built.chain.diagnose(evidence, attempt=0, rejected=())
    assert proposal.model == "second"
    assert isinstance(proposal.diagnosis.action, Rollback)
    tries = 2 if outcome in PASSING else 1
    assert await built.hits() == ["first"] * tries + ["second"]
    assert built.outcomes() == [("first", outcome)] * tries + [("second", "ok")]
    assert [call.source for call in built.calls] == ["injected"] * tries + ["emulated"]


@pytest.mark.parametrize("fault", ["http_503", "truncate"])
async def test_what_passes_by_itself_is_overcome_by_the_same_hop(rig: Any, evidence: Evidence, fault: str) -> None:
    built = await rig({"first": [fault, "competent"]})
    assert (await built.chain.diagnose(evidence, attempt=0, rejected=())).model == "first"
    assert await built.hits() == ["first", "first"]


async def test_a_short_retry_after_is_honoured(rig: Any, evidence: Evidence) -> None:
    built = await rig({"first": [{"do": "http_429", "retry_after": 1}, "competent"]})
    started = time.monotonic()
    assert (await built.chain.diagnose(evidence, attempt=0, rejected=())).model == "first"
    assert time.monotonic() - started >= 1.0
    assert await built.hits() == ["first", "first"]


async def test_a_retry_after_that_does_not_fit_the_deadline_is_not(rig: Any, evidence: Evidence) -> None:
    built = await rig({"first": [{"do": "http_429", "retry_after": 1}]}, diagnose_deadline_seconds=2.0, hop_reserve_seconds=0.7)
    assert (await built.chain.diagnose(evidence, attempt=0, rejected=())).model == "second"
    assert await built.hits() == ["first", "second"]


async def test_retries_can_be_turned_off(rig: Any, evidence: Evidence) -> None:
    built = await rig({"first": ["http_503"]}, hop_retries=0)
    assert (await built.chain.diagnose(evidence, attempt=0, rejected=())).model == "second"
    assert await built.hits() == ["first", "second"]


@pytest.mark.parametrize("retry_after", [30, 300])
async def test_no_long_retry_after_is_waited_for(rig: Any, evidence: Evidence, retry_after: int) -> None:
    built = await rig({"first": [{"do": "http_429", "retry_after": retry_after}]})
    assert (await built.chain.diagnose(evidence, attempt=0, rejected=())).model == "second"
    assert sum(call.seconds for call in built.calls) < 0.9


async def test_fenced_json_with_prose_around_it_is_read(rig: Any, evidence: Evidence) -> None:
    built = await rig({"first": ["fenced_with_prose"]})
    assert (await built.chain.diagnose(evidence, attempt=0, rejected=())).model == "first"


async def test_when_all_fail_every_attempt_is_told_of(rig: Any, evidence: Evidence) -> None:
    built = await rig({"first": ["http_500"], "second": ["html"], "third": ["empty"]})
    with pytest.raises(ModelError, match=r"first: server_error; second: malformed; third: empty"):
        await built.chain.diagnose(evidence, attempt=0, rejected=())
    assert built.outcomes() == [("first", "server_error")] * 2 + [("second", "malformed"), ("third", "empty")]
    assert await built.hits() == ["first", "first", "second", "third"]


async def test_a_refused_connection_is_no_crash_and_carries_the_label_for_silence(rig: Any, evidence: Evidence) -> None:
    built = await rig({}, models_url="http://127.0.0.1:9/v1", models_silent_source="injected")
    with pytest.raises(ModelError, match="first: unreachable"):
        await built.chain.diagnose(evidence, attempt=0, rejected=())
    assert {call.source for call in built.calls} == {"injected"}
    assert {call.cost_usd for call in built.calls} == {0.0}  # nothing was sent


async def test_a_cooling_hop_is_asked_last_and_only_if_the_others_fail(rig: Any, evidence: Evidence) -> None:
    script = {"first": ["http_500", "competent"], "second": ["competent", "http_500"], "third": ["http_500"]}
    built = await rig(script, hop_retries=0)
    for _ in range(2):
        await built.chain.diagnose(evidence, attempt=0, rejected=())
    assert await built.hits() == ["first", "second", "second", "third", "first"]


async def test_a_reroute_never_returns_to_a_rejected_model(rig: Any, evidence: Evidence) -> None:
    built = await rig({"first": ["http_500"], "second": ["blame_dependency"]}, hop_retries=0)
    assert (await built.chain.diagnose(evidence, attempt=0, rejected=())).model == "second"
    assert (await built.chain.diagnose(evidence, attempt=1, rejected=("no symptom",), behind="second")).model == "third"
    with pytest.raises(ModelError, match="every model of the chain was already refused"):
        await built.chain.diagnose(evidence, attempt=2, rejected=("no symptom", "nor there"), behind="third")
    assert await built.hits() == ["first", "second", "third"]


async def test_incidents_do_not_share_their_place_in_the_chain(rig: Any, evidence: Evidence) -> None:
    built = await rig({})
    other = evidence.model_copy(update={"alert": evidence.alert.model_copy(update={"id": "another"})})
    assert (await built.chain.diagnose(evidence, attempt=0, rejected=())).model == "first"
    assert (await built.chain.diagnose(other, attempt=0, rejected=())).model == "first"
    assert (await built.chain.diagnose(evidence, attempt=1, rejected=("x",), behind="first")).model == "second"
    assert (await built.chain.diagnose(other, attempt=1, rejected=("x",), behind="first")).model == "second"
