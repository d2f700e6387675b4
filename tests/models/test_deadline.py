"""A model that hangs or drips costs at most its hop's time, and all hops together at most the deadline."""

from __future__ import annotations

import time
from typing import Any

import pytest

from backstop.errors import ModelError
from backstop.records import Evidence


@pytest.mark.parametrize("fault", ["hang", {"do": "drip", "seconds_per_byte": 0.1}])
async def test_the_hop_is_left_in_time(rig: Any, evidence: Evidence, fault: Any) -> None:
    built = await rig({"first": [fault]}, hop_deadline_seconds=0.5)
    started = time.monotonic()
    assert (await built.chain.diagnose(evidence, attempt=0, rejected=())).model == "second"
    assert 0.5 <= time.monotonic() - started < 1.5
    assert built.outcomes() == [("first", "timeout"), ("second", "ok")]
    assert await built.hits() == ["first", "second"]


async def test_one_deadline_for_all_hops(rig: Any, evidence: Evidence) -> None:
    built = await rig(
        {"first": ["hang"], "second": ["hang"], "third": ["hang"]},
        hop_deadline_seconds=30,
        diagnose_deadline_seconds=0.9,
        hop_reserve_seconds=0.2,
    )
    started = time.monotonic()
    with pytest.raises(ModelError, match="timeout"):
        await built.chain.diagnose(evidence, attempt=0, rejected=())
    assert time.monotonic() - started < 1.5
    assert await built.hits() == ["first", "second", "third"]  # the reserve left each later hop its turn


async def test_a_timed_out_hop_is_charged_its_worst_case(rig: Any, evidence: Evidence) -> None:
    built = await rig({"first": ["hang"]}, hop_deadline_seconds=0.2)
    await built.chain.diagnose(evidence, attempt=0, rejected=())
    late, answered = built.calls
    assert late.cost_is_estimate
    assert not answered.cost_is_estimate
    assert late.cost_usd > answered.cost_usd > 0
    assert late.reply_sha256 is None
