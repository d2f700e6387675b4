"""The pattern for a range of memory matches exactly the quantities in it."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from backstop.policy.quantities import UNITS, memory_between, whole_between


@given(st.integers(1, 3000), st.integers(0, 3000), st.integers(0, 7000))
def test_a_range_of_whole_numbers_is_matched_exactly(low: int, more: int, number: int) -> None:
    assert bool(re.fullmatch(whole_between(low, low + more), str(number))) is (low <= number <= low + more)


@given(st.integers(1, 2000), st.integers(1, 2000))
def test_its_ends_are_in_it_and_their_neighbours_are_not(low: int, more: int) -> None:
    pattern = whole_between(low, low + more)
    assert [bool(re.fullmatch(pattern, str(n))) for n in (low - 1, low, low + more, low + more + 1)] == [False, True, True, False]


@given(st.integers(2**20, 2**41), st.integers(0, 2**41), st.integers(0, 2**43), st.sampled_from(list(UNITS)))
def test_a_quantity_matches_if_its_bytes_are_between(low: int, more: int, size: int, suffix: str) -> None:
    number = size // UNITS[suffix]
    inside = low <= number * UNITS[suffix] <= low + more
    assert bool(re.search(memory_between(low, low + more), f"{number}{suffix}")) is inside


def test_what_is_no_whole_quantity_matches_nothing() -> None:
    pattern = memory_between(2**25, 2**30)
    for odd in ("", "Mi", "064Mi", "64.0Mi", "1e9", "-64Mi", "64Mi ", "64mi", "64MiB", "64000000000m", "٦٤Mi", "64Mi\n"):
        assert not re.fullmatch(pattern, odd), odd
