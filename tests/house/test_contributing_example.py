"""The scenario that CONTRIBUTING shows is one that would run, in no more lines than it promises."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from backstop.sandbox.faults import FAULTS
from backstop.scenarios.api_faults import API_FAULTS
from backstop.scenarios.base import Scenario
from backstop.scenarios.expectations import EXPECTATIONS
from backstop.scenarios.model_scripts import MODEL_SCRIPTS

CONTRIBUTING = Path(__file__).resolve().parents[2] / "CONTRIBUTING.md"


def test_the_example_names_what_exists_and_fits_in_thirty_lines() -> None:
    match = re.search(r"```python\n(.*?)```", CONTRIBUTING.read_text(encoding="utf-8"), re.DOTALL)
    assert match
    assert len(match.group(1).splitlines()) <= 30
    names: dict[str, Any] = {}
    exec(compile(match.group(1), "CONTRIBUTING.md", "exec"), names)
    scenario = names["SCENARIO"]
    assert isinstance(scenario, Scenario)
    assert scenario.cluster in FAULTS
    assert scenario.models in MODEL_SCRIPTS
    assert scenario.api in API_FAULTS
    assert scenario.expect in EXPECTATIONS
