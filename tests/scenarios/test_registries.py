"""A scenario is data: every name in it is in a registry, and any cluster fault, model script and API fault can be combined."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest

from backstop.emulator.scripts import parse_script
from backstop.errors import NotFoundError
from backstop.sandbox.fault_rules import parse_rules
from backstop.sandbox.faults import FAULTS
from backstop.scenarios import registry
from backstop.scenarios.api_faults import API_FAULTS
from backstop.scenarios.base import Scenario
from backstop.scenarios.bypasses import BYPASSES
from backstop.scenarios.bystanders import BYSTANDERS
from backstop.scenarios.expectations import EXPECTATIONS
from backstop.scenarios.hallucinated_variants import SCENARIOS as VARIANTS
from backstop.scenarios.model_scripts import MODEL_SCRIPTS, script
from backstop.scenarios.registry import GROUPS, HEADLINE, SCENARIOS, find


@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS)
def test_every_name_is_in_its_registry(scenario: Scenario) -> None:
    assert scenario.cluster in FAULTS
    assert scenario.models in MODEL_SCRIPTS
    assert scenario.api in API_FAULTS
    assert scenario.meanwhile in BYSTANDERS
    assert scenario.bypass in BYPASSES
    assert len(EXPECTATIONS[scenario.expect].endings or ()) == len(scenario.advances)


def test_every_scenario_is_in_one_group_and_has_a_name_of_its_own() -> None:
    assert [scenario.name for group in GROUPS.values() for scenario in group] == list(SCENARIOS)


@pytest.mark.parametrize("scenario", [s for s in SCENARIOS.values() if s not in VARIANTS], ids=lambda s: s.name)
def test_a_scenario_is_one_file_of_at_most_thirty_lines(scenario: Scenario) -> None:
    file = Path(registry.__file__).with_name(scenario.name.replace("-", "_") + ".py")
    assert len(file.read_text().splitlines()) <= 30


def test_the_readme_names_every_scenario() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    assert [s.name for s in SCENARIOS.values() if s not in VARIANTS and f"| `{s.name}` |" not in readme] == []
    assert [s.name for s in VARIANTS if f"| `{s.name.removeprefix(f'{HEADLINE}-')}` |" not in readme] == []


def test_the_headline_comes_in_at_least_ten_variants_two_of_which_only_the_judge_can_catch() -> None:
    variants = [scenario for name, scenario in SCENARIOS.items() if name.startswith(HEADLINE)]
    assert len({scenario.models for scenario in variants}) >= 10
    judged = [scenario for scenario in variants if "quality_gate" in EXPECTATIONS[scenario.expect].silent]
    assert len(judged) >= 2
    assert all("judge" in EXPECTATIONS[scenario.expect].fired for scenario in judged)


def test_any_can_be_combined_with_any() -> None:
    for cluster, models, api in product(FAULTS, MODEL_SCRIPTS, API_FAULTS):
        made = replace(SCENARIOS[HEADLINE], cluster=cluster, models=models, api=api)
        parse_script(script(made.models, 7))
        parse_rules({"rules": API_FAULTS[made.api]})


def test_a_rehearsal_passes_the_api_faults_that_hit_the_write() -> None:
    for name in ("write-refused", "reply-lost", "write-held"):
        path = "/apis/apps/v1/namespaces/shop/deployments/checkout"
        for query, hit in (
            ("", True),
            ("?fieldManager=backstop", True),
            ("?dryRun=All", False),
            ("?fieldManager=b&dryRun=All", False),
        ):
            rules = parse_rules({"rules": API_FAULTS[name]})
            assert any(rule.takes("PATCH", path + query, None) for rule in rules) is hit


def test_no_model_script_names_an_object_of_the_cluster() -> None:
    assert not any(word in str(MODEL_SCRIPTS) for word in ("checkout", "prod-db", "catalog", "storefront", "shop"))


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("halucinated-diagnosis", "hallucinated-diagnosis"), ("clean_signals", "clean-signal"), ("failover", "model-failover")],
)
def test_an_unknown_scenario_is_answered_with_the_nearest(typed: str, meant: str) -> None:
    with pytest.raises(NotFoundError, match=f"the nearest is '{meant}'"):
        find(typed)


def test_a_name_that_is_near_nothing_is_answered_with_all_of_them() -> None:
    with pytest.raises(NotFoundError, match="clean-signal"):
        find("xyzzy")


def test_only_what_injects_at_most_a_first_bad_output_may_be_played_live() -> None:
    live = {name: MODEL_SCRIPTS[scenario.models].live for name, scenario in SCENARIOS.items()}
    variants = {scenario.name for scenario in VARIANTS}
    assert {name for name, injects in live.items() if injects == "first"} == variants | {
        "hallucinated-diagnosis", "destructive-action", "prompt-injection", "false-alarm", "model-failover",
    }  # fmt: skip
    assert {name for name, injects in live.items() if injects == "nothing"} == {
        "clean-signal", "tool-failure", "tool-failure-lost-reply", "secret-in-logs", "wrong-but-plausible-fix",
        "world-moved", "crash-mid-write",
    }  # fmt: skip
