"""A layer of the redactor: something to find in a line, and what a line must hold for looking to be worth while."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from backstop.redaction.hits import Hit, words

_SHORT_KEYS: Final = tuple(f"{key}{after}" for key in ("sig", "pw", "pat") for after in "=:\"' \\%]_")
KEY_HINTS: Final = (
    *sorted(
        words(
            "pass pwd secret token key cred auth cookie session sessid signature hmac bearer psk otp cvv cvc jwt csrf xsrf "
            "mnemonic pepper encrypt"
        )
    ),
    *_SHORT_KEYS,
)
"""Every key that holds a secret has one of these in it, in small letters."""


@dataclass(frozen=True)
class Layer:
    """Each of `finds` gives the hits of one line; what one finds is replaced before the next looks.

    They are asked if the line, in small letters, holds one of `hints`, or `hint` matches in it, so that a text without any of these
    costs next to nothing.
    """

    finds: tuple[Callable[[str], Iterable[Hit]], ...]
    hints: tuple[str, ...] = ()
    hint: re.Pattern[str] | None = None

    def of(self, text: str, low: str) -> Layer | None:
        """The layer with the hints that this text has, so that each line is asked about those only. None: nothing to look for."""
        if self.hint is not None:
            return self if self.hint.search(text) else None
        there = tuple(hint for hint in self.hints if hint in low)
        return Layer(self.finds, there) if there else None

    def wants(self, line: str, low: str) -> bool:
        if self.hint is not None:
            return self.hint.search(line) is not None
        for hint in self.hints:  # noqa: SIM110  a generator would take several times as long, and this runs for every line
            if hint in low:
                return True
        return False
