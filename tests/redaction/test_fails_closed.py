"""A text that cannot be redacted is not given out, and the error that says so does not quote it."""

from __future__ import annotations

import traceback

import pytest

from backstop.errors import InvariantError
from backstop.redaction import Redactor
from tests.redaction.case import j

SECRET = j("Gn8-", "tundra-", "Lantern-", "57")


class Odd(str):
    """A text that fails when it is taken apart, and says what it holds."""

    __slots__ = ()

    def split(self, *_: object, **__: object) -> list[str]:
        raise ValueError(f"cannot split {self}")

    def __eq__(self, other: object) -> bool:
        raise ValueError(f"cannot compare {self}")

    __hash__ = str.__hash__


@pytest.mark.parametrize("work", ["redact", "learn", "redact_json"])
def test_a_failure_gives_no_text_and_quotes_none(work: str) -> None:
    with pytest.raises(InvariantError) as refusal:
        getattr(Redactor(b"k"), work)(Odd(f"token {SECRET}"))
    assert SECRET not in "".join(traceback.format_exception(refusal.value))


def test_what_is_no_text_is_refused() -> None:
    with pytest.raises(InvariantError):
        Redactor(b"k").redact(7)  # type: ignore[arg-type]


def test_a_redactor_works_on_after_a_failure() -> None:
    redactor = Redactor(b"k")
    with pytest.raises(InvariantError):
        redactor.redact(7)  # type: ignore[arg-type]
    assert SECRET not in redactor.redact(f"password={SECRET}")


@pytest.mark.parametrize(
    "text", ["\ud800 password=\udfff\ud800abcdefgh", "\x00password=\x00abc\x00", "password=\u0130\u0130\u0130\u0130 \u2028x"]
)
def test_odd_characters_are_no_failure(text: str) -> None:
    assert "<redacted-pw-" in Redactor(b"k").redact(text)
