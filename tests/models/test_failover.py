"""A hop that errs or talks nonsense is asked exactly once, and the next one answers."""

from __future__ import annotations

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


@pytest.mark.parametrize(("fault", "outcome"), FAULTS.items())
async def test_one_hit_then_the_next_hop(rig: Any, evidence: Evidence, fault: str, outcome: str) -> None:
    built = await rig({"first": [fault]})
    proposal = await built.chain.diagnose(evidence, attempt=0, rejected=())
    assert proposal.model == "second"
    assert isinstance(proposal.diagnosis.action, Rollback)
    assert await built.hits() == ["first", "second"]
    assert built.outcomes() == [("first", outcome), ("second", "ok")]
    assert [call.source for call in built.calls] == ["injected", "emulated"]


@pytest.mark.parametrize("retry_after", [1, 30, 300])
async def test_no_retry_after_is_waited_for(rig: Any, evidence: Evidence, retry_after: int) -> None:
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
    assert built.outcomes() == [("first", "server_error"), ("second", "malformed"), ("third", "empty")]
    assert await built.hits() == ["first", "second", "third"]


async def test_a_refused_connection_is_no_crash_and_carries_the_label_for_silence(rig: Any, evidence: Evidence) -> None:
    built = await rig({}, models_url="http://127.0.0.1:9/v1", models_silent_source="injected")
    with pytest.raises(ModelError, match="first: connection"):
        await built.chain.diagnose(evidence, attempt=0, rejected=())
    assert {call.source for call in built.calls} == {"injected"}
    assert {call.cost_usd for call in built.calls} == {None}  # unknown is not zero


async def test_a_cooling_hop_is_asked_last_and_only_if_the_others_fail(rig: Any, evidence: Evidence) -> None:
    built = await rig({"first": ["http_500", "competent"], "second": ["competent", "http_500"], "third": ["http_500"]})
    for _ in range(2):
        await built.chain.diagnose(evidence, attempt=0, rejected=())
    assert await built.hits() == ["first", "second", "second", "third", "first"]


async def test_a_reroute_never_returns_to_a_rejected_model(rig: Any, evidence: Evidence) -> None:
    built = await rig({"first": ["http_500"], "second": ["blame_dependency"]})
    assert (await built.chain.diagnose(evidence, attempt=0, rejected=())).model == "second"
    assert (await built.chain.diagnose(evidence, attempt=1, rejected=("no symptom",))).model == "third"
    with pytest.raises(ModelError, match="every model of the chain was already refused"):
        await built.chain.diagnose(evidence, attempt=2, rejected=("no symptom", "nor there"))
    assert await built.hits() == ["first", "second", "third"]


async def test_incidents_do_not_share_their_place_in_the_chain(rig: Any, evidence: Evidence) -> None:
    built = await rig({})
    other = evidence.model_copy(update={"alert": evidence.alert.model_copy(update={"id": "another"})})
    assert (await built.chain.diagnose(evidence, attempt=0, rejected=())).model == "first"
    assert (await built.chain.diagnose(other, attempt=0, rejected=())).model == "first"
    assert (await built.chain.diagnose(evidence, attempt=1, rejected=("x",))).model == "second"
    assert (await built.chain.diagnose(other, attempt=1, rejected=("x",))).model == "second"
