"""What a person is shown says what it is: nothing in a cluster's or a model's words can hide, reorder or repeat a line of it."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from backstop.cli.triage_page import plain
from backstop.triage.words import diff


def test_what_reorders_or_hides_is_shown_as_a_hole() -> None:
    assert plain("image: a\u202egnp.exe") == "image: a\ufffdgnp.exe"
    assert plain("yes\u200bno\x1b[2Aup\rover\x07") == "yes\ufffdnoup\ufffdover\ufffd"
    assert plain("one\ntwo") == "one\ufffdtwo"


@given(st.text())
def test_a_line_stays_one_line_without_control_characters(text: str) -> None:
    shown = plain(text)
    assert len(shown.splitlines()) <= 1
    assert all(one.isprintable() or one in {" ", "\t", "\u3000"} or ord(one) > 0x9F for one in shown)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)
parts = st.dictionaries(st.text(), json_values, max_size=4)


@given(parts, parts)
def test_a_diff_is_empty_only_if_nothing_changes(before: dict[str, object], after: dict[str, object]) -> None:
    same = json.dumps(before, sort_keys=True) == json.dumps(after, sort_keys=True)  # True is not 1 here
    assert (diff("x", before, after) == "") == same


def test_a_diff_shows_what_goes_and_what_comes() -> None:
    said = diff("shop/deployment/checkout", {"replicas": 3}, {"replicas": 5}).splitlines()
    assert said[:2] == ["--- shop/deployment/checkout as it is", "+++ shop/deployment/checkout as it would be"]
    assert said[-2:] == ["-replicas: 3", "+replicas: 5"]
