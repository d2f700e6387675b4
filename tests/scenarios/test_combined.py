"""Drills by free choice: any fault with any other, held to what must hold whatever is wrong."""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path

import pytest

from backstop.errors import NotFoundError
from backstop.sandbox.faults import FAULTS
from backstop.scenarios.api_faults import API_FAULTS
from backstop.scenarios.base import Scenario
from backstop.scenarios.combined import CHOICES, combined
from backstop.scenarios.crashes import CRASHES
from backstop.scenarios.drill import hold
from backstop.scenarios.expectations import EXPECTATIONS
from backstop.scenarios.frames import RUN, Begun, Ended, read_frames
from backstop.scenarios.model_scripts import MODEL_SCRIPTS
from backstop.scenarios.registry import FREE

ALL = [combined(cluster, models, api) for cluster, models, api in product(CHOICES.cluster, CHOICES.models, CHOICES.api)]


def test_everything_in_the_registries_can_be_chosen_and_has_a_sentence_for_people() -> None:
    assert list(CHOICES.cluster) == list(FAULTS)
    assert list(CHOICES.models) == list(MODEL_SCRIPTS)
    assert list(CHOICES.api) == list(API_FAULTS)
    sentences = [*CHOICES.cluster.values(), *CHOICES.models.values(), *CHOICES.api.values()]
    assert all(10 < len(sentence) < 130 and not sentence.endswith(".") for sentence in sentences)
    assert len(set(sentences)) == len(sentences)


def test_each_choice_has_a_name_of_its_own_that_fits_a_directory_and_a_url() -> None:
    assert len({scenario.name for scenario in ALL}) == len(ALL)
    assert all(re.fullmatch(r"[a-z0-9+-]{3,100}", scenario.name) for scenario in ALL)
    assert combined("bad-release", "malformed").name == "bad-release+malformed"


def test_whoever_is_killed_in_a_write_is_started_again() -> None:
    killed = [scenario for scenario in ALL if any(rule["do"] == "hold_reply" for rule in API_FAULTS[scenario.api])]
    assert killed
    assert all(CRASHES[scenario.crashes] for scenario in killed)


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        (("bad-releese", "competent"), "no cluster fault 'bad-releese'; the nearest is 'bad-release'"),
        (("bad-release", "malformd"), "no model script 'malformd'; the nearest is 'malformed'"),
        (("bad-release", "competent", "reply_lost"), "no API fault 'reply_lost'; the nearest is 'reply-lost'"),
        (("../../etc", "competent"), "no cluster fault"),
    ],
)
def test_a_name_that_there_is_not_is_refused_with_the_nearest(chosen: tuple[str, ...], words: str) -> None:
    with pytest.raises(NotFoundError, match=re.escape(words)):
        combined(*chosen)


def test_any_outcome_is_right_and_any_number_of_writes() -> None:
    assert {scenario.expect for scenario in ALL} == {"harmless"}
    assert (EXPECTATIONS["harmless"].endings, EXPECTATIONS["harmless"].writes) == (None, None)


@pytest.mark.parametrize("scenario", [combined("crash-loop", "primary-rate-limited", "reply-lost")], ids=lambda s: s.name)
async def test_a_drill_that_nobody_wrote_down_is_held_and_judged(tmp_path: Path, scenario: Scenario) -> None:
    report = await hold(scenario, 7, ["backstop"], tmp_path)
    first, *_, last = read_frames(tmp_path / RUN)
    assert isinstance(first.body, Begun)
    assert (first.body.scenario.name, first.body.scenario.group) == ("crash-loop+primary-rate-limited+reply-lost", FREE)
    assert isinstance(last.body, Ended)
    assert last.body.missed == ()
    assert report.agents["backstop"].harm == ()
