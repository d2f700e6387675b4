"""The judge can only veto: whatever is not a unanimous yes is a failed check, and nothing is raised."""

from __future__ import annotations

from typing import Any

import pytest

from backstop.errors import ConfigError
from backstop.ports import Proposal
from backstop.records import Evidence
from tests.models.conftest import PRICED, priced


async def _proposal(built: Any, evidence: Evidence) -> Proposal:
    proposal: Proposal = await built.chain.diagnose(evidence, attempt=0, rejected=())
    return proposal


async def test_every_claim_of_a_grounded_diagnosis_is_supported(rig: Any, evidence: Evidence) -> None:
    built = await rig({})
    proposal = await _proposal(built, evidence)
    verdict = await built.chain.judge(proposal, evidence)
    assert verdict.passed
    assert [check.rule for check in verdict.checks] == [f"J-CLAIM-{n + 1}" for n in range(len(proposal.diagnosis.claims))]
    assert len([call for call in built.calls if call.role == "judge"]) == 3 * len(verdict.checks)


async def test_no_claim_that_blames_the_innocent_is_supported(rig: Any, evidence: Evidence) -> None:
    built = await rig({"first": ["blame_dependency"]})
    verdict = await built.chain.judge(await _proposal(built, evidence), evidence)
    assert [check.passed for check in verdict.checks] == [False, False]


@pytest.mark.parametrize(
    "fault",
    [
        "http_429",
        "http_500",
        "hang",
        "truncate",
        "html",
        "no_choices",
        "empty",
        "prose",
        "length",
        "refusal",
        "two_objects",
        "judge_no",
    ],
)
async def test_anything_but_an_answer_is_a_no(rig: Any, evidence: Evidence, fault: str) -> None:
    built = await rig({}, {"judge": [fault]}, judge_deadline_seconds=0.5)
    verdict = await built.chain.judge(await _proposal(built, evidence), evidence)
    assert verdict.checks
    assert not any(check.passed for check in verdict.checks)


async def test_one_dissenting_sample_is_enough(rig: Any, evidence: Evidence) -> None:
    built = await rig({}, {"judge": ["judge_yes", "judge_yes", "judge_no", "judge_yes"]})
    verdict = await built.chain.judge(await _proposal(built, evidence), evidence)
    failed = [check for check in verdict.checks if not check.passed]
    assert len(failed) == 1
    assert "disagrees with itself" in failed[0].reason


@pytest.mark.parametrize("fault", ["http_500", "prose", "hang"])
async def test_one_sample_without_an_answer_is_enough(rig: Any, evidence: Evidence, fault: str) -> None:
    built = await rig({}, {"judge": ["judge_yes", fault, "judge_yes"]}, judge_deadline_seconds=0.8)
    verdict = await built.chain.judge(await _proposal(built, evidence), evidence)
    failed = [check for check in verdict.checks if not check.passed]
    assert len(failed) == 1
    assert "no answer in 1 of 3" in failed[0].reason


async def test_a_proposal_of_nobody_who_may_be_judged_is_a_no_without_a_call(rig: Any, evidence: Evidence) -> None:
    built = await rig({})
    proposal = (await _proposal(built, evidence)).model_copy(update={"model": "a-stranger", "family": "nobody"})
    verdict = await built.chain.judge(proposal, evidence)
    assert not verdict.passed
    assert not [call for call in built.calls if call.role == "judge"]


async def test_without_any_judge_every_proposal_is_refused(rig: Any, evidence: Evidence) -> None:
    built = await rig({}, judge_models=())
    verdict = await built.chain.judge(await _proposal(built, evidence), evidence)
    assert not verdict.passed


@pytest.mark.parametrize(
    ("judge", "why"),
    [
        (priced("one", 0.1), "its proposer's family"),
        (priced("four", 3.0), "as dear as its proposer"),
        (priced("four", 9.0), "dearer"),
        ({"family": "four"}, "of unknown price"),
        (priced("unknown", 0.1), "of unknown family"),
    ],
)
async def test_a_judge_that_may_not_judge_is_refused_at_the_start(rig: Any, judge: dict[str, Any], why: str) -> None:
    with pytest.raises(ConfigError, match="another family than first's"):
        await rig({}, model_chain=("first",), models=PRICED | {"judge": judge})


async def test_the_judge_is_the_first_that_is_of_another_family_and_cheaper(rig: Any, evidence: Evidence) -> None:
    built = await rig({}, model_chain=("nova-pro",), judge_models=("nova-lite", "claude-haiku-4-5", "llama-3.1-8b"))
    await built.chain.judge(await _proposal(built, evidence), evidence)
    assert {call.model for call in built.calls if call.role == "judge"} == {"llama-3.1-8b"}


async def test_a_claim_on_facts_that_do_not_exist_is_a_no_without_a_call(rig: Any, evidence: Evidence) -> None:
    built = await rig({})
    proposal = await _proposal(built, evidence)
    claim = proposal.diagnosis.claims[0].model_copy(update={"facts": ("E999",)})
    made_up = proposal.model_copy(update={"diagnosis": proposal.diagnosis.model_copy(update={"claims": (claim,)})})
    verdict = await built.chain.judge(made_up, evidence)
    assert not verdict.passed
    assert "E999" in verdict.checks[0].reason
    assert not [call for call in built.calls if call.role == "judge"]
