"""The rules that CONTRIBUTING states are held by these tests, not by memory."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from backstop import errors
from backstop.pipeline import STAGES

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted((ROOT / "src" / "backstop").rglob("*.py"))
HOSTS = re.compile(r"https?://[^\s\"']+/(?:simple|packages)/|index-url\s")
MACHINE = re.compile(r"(?<![\w.])/(?:work|farm|root)/[\w.]")


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def test_there_is_something_to_check() -> None:
    assert len(SOURCES) > 40


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_file_fits_in_four_hundred_lines(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_function_fits_in_fifty_lines(path: Path) -> None:
    long = {f.name: (f.end_lineno or f.lineno) - f.lineno + 1 for f in functions(path)}
    assert {name: lines for name, lines in long.items() if lines > 50} == {}


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_module_says_what_it_is_for(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))


def test_errors_opens_with_its_tree() -> None:
    tree = errors.__doc__ or ""
    drawn = set(re.findall(r"\b[A-Z]\w+", tree.split("Each says")[0])) & set(vars(errors))
    defined = {name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, errors.BackstopError)}
    assert drawn == defined


def test_the_readme_draws_the_stages_in_their_order() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    drawn = re.findall(r"[a-z ]+", readme[readme.index("alert ─►") :].split("\n```")[0])
    places = [
        next(i for i, word in enumerate(drawn) if word.strip() == stage.replace("_", " ")) for stage in STAGES if stage != "undo"
    ]
    assert places == sorted(places)


def test_nothing_names_this_machine_or_a_package_index() -> None:
    texts = [
        p for folder in ("src", "tests", "docs", "bench", "requirements", ".ci") for p in (ROOT / folder).rglob("*") if p.is_file()
    ]
    found = []
    for path in [*texts, *ROOT.glob("*.md"), ROOT / "Makefile"]:
        if path.suffix in {".pyc", ".png", ".gz"} or path == Path(__file__):
            continue
        text = path.read_text(encoding="utf-8")
        if HOSTS.search(text) or MACHINE.search(text):
            found.append(str(path.relative_to(ROOT)))
    assert found == []
