"""With BACKSTOP_LIVE=true the first bad output alone is injected, and everything behind it is the user's own models.

The vendor is an emulator that labels nothing, as a vendor's endpoint would not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.scenarios.play import BACKSTOP


@pytest.fixture
def vendor() -> Iterator[str]:
    command = [sys.executable, "-m", "backstop.emulator", "--unlabelled", "--until-stdin-closes"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        yield json.loads(process.stdout.readline())["url"]
        process.stdin.close()
        assert process.wait(10) == 0


def live(scenario: str, record: Path, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("BACKSTOP_", "AWS_", "OPENAI_", "ANTHROPIC_"))}
    return subprocess.run(
        [BACKSTOP, "drill", scenario, "--json", "--record", str(record), *options],
        capture_output=True, text=True, check=False, timeout=110, env=kept | {"HOME": str(record)} | environment,
    )  # fmt: skip


def models(agent: dict[str, Any]) -> list[tuple[str, str]]:
    return [(model["source"], model["outcome"]) for model in agent["models"] if model["role"] == "diagnose"]


def test_the_first_bad_output_is_injected_and_the_rest_is_live(vendor: str, tmp_path: Path) -> None:
    ended = live("hallucinated-diagnosis", tmp_path, BACKSTOP_LIVE="true", BACKSTOP_MODELS_URL=vendor)
    assert ended.returncode == 0, ended.stderr
    agents = json.loads(ended.stdout)["agents"]
    assert models(agents["backstop"]) == [("injected", "ok"), ("live", "ok")]
    assert {model["source"] for model in agents["backstop"]["models"] if model["role"] == "judge"} == {"live"}
    assert models(agents["naive"]) == [("injected", "ok")]
    assert agents["naive"]["harm"]


def test_what_injects_nothing_is_all_live(vendor: str, tmp_path: Path) -> None:
    ended = live("clean-signal", tmp_path, "--live", BACKSTOP_MODELS_URL=vendor)
    assert ended.returncode == 0, ended.stderr
    agents = json.loads(ended.stdout)["agents"]
    assert {source for agent in agents.values() for source, _ in models(agent)} == {"live"}


@pytest.mark.parametrize("scenario", ["cascading-failure", "rate-limit", "slow-model", "cost-blowup", "secret-in-logs"])
def test_a_scenario_that_cannot_be_live_says_so_in_one_sentence(scenario: str, tmp_path: Path) -> None:
    ended = live(scenario, tmp_path, BACKSTOP_LIVE="true", BACKSTOP_MODELS_URL="http://127.0.0.1:9/v1")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert scenario in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_without_a_model_live_is_refused_before_anything_starts(tmp_path: Path) -> None:
    ended = live("clean-signal", tmp_path, "--live")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "AWS_REGION is not set" in ended.stderr
    assert list(tmp_path.iterdir()) == []
