"""One text of a redaction corpus: what must go from it, what must stay in it, and how a redactor did."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from backstop.redaction import Redactor

PIECE = 8


@dataclass(frozen=True)
class Case:
    """`gone`: no 8-character piece of it may be left (the whole, if it is shorter). `kept`: must be left as it is."""

    name: str
    text: str
    gone: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()


@dataclass(frozen=True)
class Score:
    """Counts over a corpus."""

    texts: int
    perfect: int
    secrets: int
    removed: int
    strings: int
    kept: int
    faults: tuple[str, ...]

    def __str__(self) -> str:
        return (
            f"{self.removed}/{self.secrets} secrets removed, {self.kept}/{self.strings} strings kept, "
            f"{self.perfect}/{self.texts} texts perfect"
        )


def j(*parts: str) -> str:
    """A fake secret from its parts, so that it does not stand in this repository as one string."""
    return "".join(parts)


def leaked(secret: str, text: str) -> bool:
    """Whether a piece of the secret that is long enough to be one can still be read."""
    bare = re.sub(r"<redacted-[a-z]+-[0-9a-f]{8}>", "\0", text)
    size = min(PIECE, len(secret))
    return any(secret[at : at + size] in bare for at in range(len(secret) - size + 1))


def score(cases: Iterable[Case], key: bytes = b"k" * 32) -> Score:
    """Each text under a redactor of its own, as if it were a whole incident."""
    cases = list(cases)
    removed = kept = perfect = 0
    faults = []
    for case in cases:
        output = Redactor(key).redact(case.text)
        left = [secret for secret in case.gone if leaked(secret, output)]
        lost = [string for string in case.kept if string not in output]
        removed += len(case.gone) - len(left)
        kept += len(case.kept) - len(lost)
        perfect += not left and not lost
        faults += [f"{case.name}: left {secret!r}" for secret in left] + [f"{case.name}: lost {string!r}" for string in lost]
    return Score(
        len(cases), perfect, sum(len(c.gone) for c in cases), removed, sum(len(c.kept) for c in cases), kept, tuple(faults)
    )
