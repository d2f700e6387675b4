"""The page says what was counted, of the first run as of the last, and the picture is one."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from containment_lab.operators import OPERATORS
from containment_lab.page import page
from containment_lab.plot import picture
from containment_lab.world import Json

KEPT = Path(__file__).parents[2] / "bench" / "containment_lab" / "first_run.json"


@pytest.fixture
def first() -> Json:
    found: Json = json.loads(KEPT.read_text(encoding="utf-8"))
    return found


def test_the_page_tells_harm_bound_and_false_blocks_before_anything_else(first: Json) -> None:
    headline = page(first, first, None, (first, first)).split("\n\n")[1]
    assert f"{first['harmful']} of {first['trials']} wrong answers" in headline
    assert "at most 0.62%" in headline
    assert f"Of {first['right writes']} right writes {len(first['false blocks'])} were refused" in headline


def test_every_escape_of_the_first_run_stays_on_the_page(first: Json) -> None:
    text = page({**first, "escapes": []}, first, None, (first, first))
    assert all(f"`{escape['operator']}`" in text for escape in first["escapes"])


def test_the_first_run_tried_only_operators_that_are_still_there(first: Json) -> None:
    assert set(first["operators"]) <= {operator.name for operator in OPERATORS}


def test_the_page_says_what_it_does_not_show(first: Json) -> None:
    assert "invisible to the cluster" in page(first, first, None, (first, first))


def test_the_picture_is_well_formed_and_has_a_bar_for_each_family_for_all_and_for_what_was_held_out(first: Json) -> None:
    drawn = ET.fromstring(picture(first, first))
    bars = [r for r in drawn.iter("{http://www.w3.org/2000/svg}rect") if r.get("class") == "naive" and r.get("height") == "13"]
    assert len(bars) == len(first["families"]) + 2
