"""Whatever id a verdict names has a sentence."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import backstop
from backstop.executor.rehearsal import RULE as POD_RULE
from backstop.pipeline import action_gate, quality_gate, undo, verify
from backstop.pipeline.rulebook import ACTION, QUALITY, RULEBOOK, rule_of
from backstop.policy.decide import RULES

_ID = re.compile(r"^([AQJXVUK]-[A-Z]+(?:-[A-Z]+)*)(?::|-?$)")
_SOURCES = Path(backstop.__file__).parent
_BOOK = {rule for chapter in RULEBOOK for rule in chapter.rules}


def _said() -> set[str]:
    """Every string of the code that is a rule's id or begins as one, the book's own apart."""
    found = set()
    for path in _SOURCES.rglob("*.py"):
        if path.name == "rulebook.py":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and (match := _ID.match(node.value)):
                found.add(match[1])
    return found


def test_every_id_that_the_code_can_say_has_a_sentence() -> None:
    assert _said() <= _BOOK


def test_the_book_names_no_rule_that_nobody_asks() -> None:
    assert _said() >= _BOOK


def test_no_rule_is_in_two_chapters() -> None:
    assert sum(len(chapter.rules) for chapter in RULEBOOK) == len(_BOOK)


def test_the_gates_rules_are_in_the_book_in_the_order_in_which_they_are_asked() -> None:
    asked = [rule.id for rule in RULES] + [rule.id for rule in action_gate.RULES]
    assert list(ACTION.rules)[: len(asked)] == asked
    assert list(QUALITY.rules) == [rule.id for rule in quality_gate.RULES]


def test_what_verifies_and_undoes_is_in_the_book() -> None:
    rules = [rule.id for rule in (*verify.RULES, verify.IS_WORSE, *verify.SNAPSHOT_RULES)]
    undone = [rule.id for rule in (*undo.RULES, *undo.STANDING_RULES)]
    assert {*rules, *undone, POD_RULE} <= _BOOK


def test_each_claim_s_check_is_of_one_rule() -> None:
    assert [rule_of(check) for check in ("J-CLAIM-1", "J-CLAIM-12", "A-SCOPE")] == ["J-CLAIM", "J-CLAIM", "A-SCOPE"]


def test_a_sentence_ends_as_one() -> None:
    for chapter in RULEBOOK:
        for sentence in (chapter.about, *chapter.rules.values()):
            assert sentence.endswith(".")
            assert sentence[0].isupper()
