"""A policy that may be said is still looked over: each thing that a careful person would ask about, once, at its line."""

from __future__ import annotations

import tomllib
from datetime import UTC, datetime
from pathlib import Path

import pytest

from backstop.policy.document import parse_policy
from backstop.policy.lines import line_of, lines_of
from backstop.policy.lint import warnings
from tests.policy.test_load import WHOLE

NOW = datetime(2026, 6, 1, tzinfo=UTC)
CAREFUL = WHOLE.replace('["kube-system"]', '["kube-system", "backstop"]').replace(
    "replicas = { minimum = 1, maximum = 4 }",
    'replicas = { minimum = 1, maximum = 5 }\nmemory = { minimum = "32Mi", maximum = "256Mi" }',
)


def warned(text: str) -> list[tuple[int | None, str]]:
    document = tomllib.loads(text)
    lines = lines_of(text, document)
    return [(line_of(lines, w.place), w.text) for w in warnings(parse_policy(document, Path("p"), text), NOW)]


def test_a_careful_policy_has_nothing_to_look_at_again() -> None:
    assert warned(CAREFUL) == []


@pytest.mark.parametrize(
    ("old", "new", "line", "told"),
    [
        ('scale = "approve"', 'scale = "auto"', 8, "scale is written without asking"),
        ('scale = "approve"', 'scale = "approve", restart = "auto"', 8, "no workload of shop lists restart"),
        ("maximum = 5", "maximum = 50", 13, "from 1 to 50 bounds the replicas of checkout very little"),
        ('maximum = "256Mi"', 'maximum = "64Gi"', 14, "bounds the memory of checkout very little"),
        ('["rollback", "scale"]', '["rollback"]', 13, "checkout does not list scale: these bounds are never used"),
        ('memory = { minimum = "32Mi", maximum = "256Mi" }\n', "", 11, "the API server refuses rollbacks of checkout"),
        ("max_share = 0.5", "max_share = 0.9", 24, "may take away 90%"),
        ("cooldown_seconds = 300.0", "cooldown_seconds = 0", 27, "before the last write can show"),
        ("proven_after_seconds = 600.0", "proven_after_seconds = 1", 30, "ran for 1 s counts as proven"),
        ("max_step = 5", "max_step = 6", 25, "no workload may have more than 5 replicas"),
        ('"backstop"]', '"other"]', 18, "namespace backstop is not protected"),
        ('"kube-system"', '"other"', 18, "namespace kube-system is not protected"),
        (
            "freezes = []",
            'freezes = [{ name = "winter", start = 2026-01-01T00:00:00Z, end = 2026-06-01T00:00:00Z }]',
            3,
            "the freeze winter has been over since 2026-06-01",
        ),
    ],
)
def test_what_a_careful_person_would_ask_about_is_said_once_at_its_line(old: str, new: str, line: int, told: str) -> None:
    assert old in CAREFUL
    found = [(at, text) for at, text in warned(CAREFUL.replace(old, new, 1)) if told in text]
    assert [at for at, _ in found] == [line]


def test_a_policy_that_protects_no_database_is_asked_about() -> None:
    bare = CAREFUL.replace('["prod-db"]', "[]").replace('[{ key = "tier", value = "database" }]', "[]")
    assert [text for _, text in warned(bare)] == ["no database is protected, by name or by a label such as tier=database"]


def test_a_freeze_that_is_still_to_end_is_none_of_it() -> None:
    text = CAREFUL.replace(
        "freezes = []", 'freezes = [{ name = "x", start = 2026-01-01T00:00:00Z, end = 2026-06-01T00:00:01Z }]', 1
    )
    assert warned(text) == []
