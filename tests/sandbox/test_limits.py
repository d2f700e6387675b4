"""The list of limits is something a person can read, and says every difference once."""

from __future__ import annotations

import re

from backstop.sandbox.limits import LIMITS


def test_each_limit_is_one_sentence_in_a_known_area() -> None:
    areas = {"storage", "api", "admission", "controllers", "kubelet", "network", "access"}
    assert {limit.area for limit in LIMITS} <= areas
    for limit in LIMITS:
        assert limit.what.endswith(".")
        assert "\n" not in limit.what


def test_each_recorded_case_is_named_once_and_as_group_and_case() -> None:
    named = [case for limit in LIMITS for case in limit.golden]
    assert len(named) == len(set(named))
    assert all(re.fullmatch(r"\d\d-[a-z-]+/[a-z-]+", case) for case in named)
    assert len({limit.what for limit in LIMITS}) == len(LIMITS)
