"""Kubernetes quantities mean what the API says they mean; what is none is None."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstop.quantities import quantity


@pytest.mark.parametrize(
    ("said", "means"),
    [("64Mi", 2**26), ("1.5Gi", 3 * 2**29), ("500m", Fraction(1, 2)), ("2", 2), (2, 2), ("1k", 1000), ("3M", 3 * 10**6), ("0", 0)],
)
def test_it_means_a_number(said: Any, means: Any) -> None:
    assert quantity(said) == means


@pytest.mark.parametrize("said", ["", "Mi", "-1", "1 Gi", "1mi", "1e3", "nan", "inf", "1.", "٣", None, True, 1.5, [], {}])
def test_what_is_no_quantity_is_none(said: Any) -> None:
    assert quantity(said) is None


@given(st.text(max_size=40))
def test_it_never_raises(said: str) -> None:
    found = quantity(said)
    assert found is None or found >= 0
