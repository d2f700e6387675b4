"""At the terminal only an explicit yes, in time, with a name and a reason, is a yes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.cli.terminals import Seat, seated

ROOT = Path(__file__).parents[2]
QUESTION = "anything else is a no: "
WHY = "Why, for the record? "


@contextmanager
def asked(seconds: float = 600, who: str = "ada", term: str = "dumb") -> Iterator[Seat]:
    command = [sys.executable, "-m", "tests.cli.asking", str(seconds), who]
    with seated(command, {**os.environ, "TERM": term}, ROOT) as seat:
        yield seat


def answer(seat: Seat) -> Any:
    code, said, _ = seat.ended()
    assert code == 0
    return json.loads(said)


def test_a_yes_with_a_reason_is_an_approval_in_the_persons_name() -> None:
    with asked() as seat:
        seat.wait_for(QUESTION)
        assert "what there is to decide" in seat.shown
        assert "UTC is a no; 9:5" in seat.shown
        seat.type("yes\n")
        seat.wait_for(WHY)
        seat.type("the release broke it\n")
        said = answer(seat)
    assert (said["answer"], said["by"], said["why"], said["decision"]) == ("approved", "ada", "the release broke it", "a" * 64)


def test_who_is_asked_for_if_nobody_is_known() -> None:
    with asked(who="") as seat:
        seat.wait_for(QUESTION)
        seat.type("yes\n")
        seat.wait_for("Who are you? ")
        seat.type("grace\n")
        seat.wait_for(WHY)
        seat.type("seen it\n")
        assert answer(seat)["by"] == "grace"


@pytest.mark.parametrize("typed", ["no\n", "\n", "y\n", "YES\n", "yes please\n", "да\n", "y e s\n", "yes\x00\n", "ye\x1b[Ds\n"])
def test_anything_but_yes_is_a_no(typed: str) -> None:
    with asked() as seat:
        seat.wait_for(QUESTION)
        seat.type(typed)
        said = answer(seat)
    assert (said["answer"], said["by"]) == ("rejected", "ada")


def test_a_yes_without_a_reason_is_none() -> None:
    with asked() as seat:
        seat.wait_for(QUESTION)
        seat.type("yes\n")
        seat.wait_for(WHY)
        seat.type("  \n")
        assert answer(seat) is None


def test_an_end_of_input_is_none() -> None:
    with asked() as seat:
        seat.wait_for(QUESTION)
        seat.type("\x04")
        assert answer(seat) is None


@pytest.mark.parametrize("half", ["", "ye", "yes", "yes\n", "yes\nbecause"])
def test_silence_until_the_deadline_is_none_however_much_was_typed(half: str) -> None:
    with asked(seconds=1.5) as seat:
        seat.wait_for(QUESTION)
        seat.type(half)
        seat.wait_for("no answer in time, which is a no")
        assert answer(seat) is None


def test_what_was_typed_before_the_question_answers_nothing() -> None:
    with asked(seconds=1.5) as seat:
        seat.type("yes\nearly\n")
        seat.wait_for("no answer in time")
        assert answer(seat) is None


def test_the_countdown_is_kept_true_where_the_terminal_can_be_told_to() -> None:
    with asked(seconds=60, term="xterm") as seat:
        seat.wait_for("0:57 left")
        seat.type("yes\n")
        seat.wait_for(WHY)
        seat.type("still here\n")
        assert answer(seat)["answer"] == "approved"


def test_without_a_terminal_the_answer_is_none_whatever_is_piped_in() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "tests.cli.asking", "600", "ada"], input="yes\nbecause\n", cwd=ROOT,
        capture_output=True, text=True, check=True, start_new_session=True, timeout=60,
    )  # fmt: skip
    assert json.loads(ended.stdout) is None
    assert "there is no terminal to ask at" in ended.stderr
