"""A contender of the fault matrix is green for one valid diagnosis from the healthy model, and for nothing else."""

from __future__ import annotations

import json

import pytest

from backstop.emulator.diagnoser import diagnose
from contenders import TOOL, Heard
from contenders.evidence import recorded, small
from contenders.faults import HEALTHY

DIAGNOSIS = json.dumps(diagnose(recorded().model_dump(mode="json")))


def test_one_valid_diagnosis_from_the_healthy_model_is_an_answer() -> None:
    assert Heard(HEALTHY, ((TOOL, DIAGNOSIS),)).good(HEALTHY)


@pytest.mark.parametrize(
    "heard",
    [
        Heard("first", ((TOOL, DIAGNOSIS),)),
        Heard(HEALTHY, ((TOOL, DIAGNOSIS), (TOOL, DIAGNOSIS))),
        Heard(HEALTHY, (("run_kubectl", DIAGNOSIS),)),
        Heard(HEALTHY, ((TOOL, DIAGNOSIS[: len(DIAGNOSIS) // 2]),)),
        Heard(HEALTHY, ((TOOL, json.dumps(json.loads(DIAGNOSIS) | {"confidence": "high"})),)),
        Heard(HEALTHY, ((TOOL, ""),)),
        Heard(HEALTHY, (), DIAGNOSIS),
        Heard(HEALTHY),
    ],
)
def test_everything_else_is_garbage(heard: Heard) -> None:
    assert not heard.good(HEALTHY)


def test_the_little_evidence_is_enough_for_the_same_diagnosis() -> None:
    few, all_of_it = (diagnose(evidence.model_dump(mode="json")) for evidence in (small(), recorded()))
    assert (few["suspect"], few["action"]) == (all_of_it["suspect"], all_of_it["action"])
