"""Over the evidence of every kind of fault: the right diagnosis passes the rules, and no plausible wrong one does.

The wrong ones are those that scenarios inject. Their quotes are real, and their confidence is high.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from backstop.emulator import misdiagnoser as wrong
from backstop.emulator.diagnoser import diagnose
from backstop.pipeline.quality_gate import check_quality
from backstop.records import Diagnosis, Evidence, Verdict

FOLDERS = [Path(__file__).parents[1] / folder / "evidence" for folder in ("emulator", "rules")]
PLAIN, FLEET = (sorted(folder.glob("*.json")) for folder in FOLDERS)
EVIDENCE = [*PLAIN, *FLEET]
AMBIGUOUS = {"slow_start"}  # perhaps its pods only need a moment: nobody can know
WRONG = {"Q-SUSPECT-SYMPTOM", "Q-FAULT-SHOWN", "Q-ACTION-FITS", "Q-SECOND-OPINION"}
BADLY_SAID = {"Q-FACTS-EXIST", "Q-DATA-WHOLE", "Q-QUOTES", "Q-NUMBERS", "Q-FRESH", "Q-NO-PLACEHOLDER"}
Misdiagnosis = Callable[[dict[str, Any]], dict[str, Any]]


def judged(path: Path, answer: Misdiagnosis) -> Verdict:
    raw = json.loads(path.read_text())
    evidence = Evidence.model_validate_json(path.read_bytes())
    diagnosis = Diagnosis.model_validate_json(json.dumps(answer(raw)))
    return check_quality(diagnosis, evidence, now=evidence.taken_at + timedelta(seconds=1), max_age_seconds=120.0)


def test_there_is_evidence_of_many_faults() -> None:
    assert len(EVIDENCE) >= 10


@pytest.mark.parametrize("path", [path for path in EVIDENCE if path.stem not in AMBIGUOUS], ids=lambda path: path.stem)
def test_the_right_diagnosis_passes(path: Path) -> None:
    assert judged(path, diagnose).failed_rules == ()


@pytest.mark.parametrize("answer", [wrong.blame_dependency, wrong.blame_dependency_restart, wrong.destroy, wrong.needless_restart])
@pytest.mark.parametrize("path", [path for path in EVIDENCE if path.stem != "stuck"], ids=lambda path: path.stem)
def test_no_wrong_one_does(path: Path, answer: Misdiagnosis) -> None:
    verdict = judged(path, answer)
    assert not verdict.passed
    assert WRONG & set(verdict.failed_rules), "caught for what is wrong with it"
    assert not BADLY_SAID & set(verdict.failed_rules), "and not for how it is said"
