"""The command that a line tells somebody to type is one that their shell finds."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from backstop.cli.telling import command


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    found = tmp_path / "a place" / "backstop"
    found.parent.mkdir()
    found.touch(mode=0o755)
    monkeypatch.setattr(sys, "argv", [str(found), "up"])
    return found


def test_it_is_the_word_alone_where_the_shell_finds_this_very_program(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(program.parent))
    assert command() == "backstop"


def test_it_is_where_the_program_lies_if_the_shell_finds_none(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(program.parent.parent))
    assert command() == f"'{program}'"


def test_another_program_of_that_name_is_not_meant(program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "backstop").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert command() == f"'{program}'"


def test_whatever_else_runs_it_is_nothing_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["somewhere/__main__.py"])
    assert command() == "backstop"
