"""Do the numbers of a claim stand in the facts that it cites, in the unit in which it says them?

A number is looked up as what it is said to be: a revision among revisions, replicas among counters, memory as bytes, a share as
what the counters give, a length of time between the times on record. Names with digits in them (images, pods, versions) must stand
in the facts as they are.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Final

from backstop.checks import Opinion, fails, holds
from backstop.pipeline.quality_gate.figures import TIME, Figures, seconds
from backstop.pipeline.quality_gate.subject import Subject
from backstop.quantities import SUFFIXES

_SPELT: Final = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_WORDS: Final = {word: number for number, word in enumerate(_SPELT)}
_COUNTED: Final = r"(?:replicas?|pods?|containers?|endpoints?|instances?|copies)"
_NUMBER: Final = r"\d+(?:\.\d+)?"
_CLOCK: Final = re.compile(r"\b(?:\d{4}-\d\d-\d\d[T ])?\d\d:\d\d(?::\d\d)?(?:\.\d+)?Z?\b|\b\d{4}-\d\d-\d\d\b")
_NAME: Final = re.compile(r"(?<![\w./:@-])(?=[\w./:@-]*\d)(?=[\w./:@-]*[A-Za-z])(?=\w+[./:@-]+\w)[A-Za-z0-9][\w./:@-]*\w")
"""A word of letters and digits with something between: an image, a pod, a version with a name, an address."""
_REVISION: Final = re.compile(r"\brevisions?[ #]+(\d+)(?:(?:,| and| or| to) (?:revision )?(\d+))?", re.IGNORECASE)
_EXIT: Final = re.compile(r"\b(?:exit(?:ed|s)?(?: with)?(?: code| status)?|code) (\d+)", re.IGNORECASE)
_COUNT: Final = re.compile(rf"\b(\d+|{'|'.join(_WORDS)})(?: (?!of\b)[a-z-]+){{0,3}}? {_COUNTED}\b", re.IGNORECASE)
_OF: Final = re.compile(r"\b(\d+)\s*(?:/|of|out of)\s*(?:the |its |all )?(\d+)\b(?: ([a-z]+))?", re.IGNORECASE)
_SHARE: Final = re.compile(rf"({_NUMBER}) ?(?:%|percent\b|per cent\b)")
_CLASS: Final = re.compile(r"\b([1-5])xx\b", re.IGNORECASE)
_SIZE: Final = re.compile(rf"\b({_NUMBER}) ?(?:([KMGTPE]i?|k)?B|([KMGTPE]i)|bytes)\b")
_ROUGH: Final = re.compile(rf"\b{_NUMBER}(?:e\d+|[kx])\b", re.IGNORECASE)
"""`1e9`, `10k`, `10x`: numbers that nothing in the evidence is written as."""
_BARE: Final = re.compile(rf"(?<![\w.]){_NUMBER}(?!\w|\.\d)")


def amounts(subject: Subject) -> Opinion:
    """A claim may say less than its facts, and nothing else."""
    for claim in subject.diagnosis.claims:
        figures = Figures(subject, claim, tuple(subject.fact(fact_id) for fact_id in claim.facts))
        for said in _unshown(claim.text, figures):
            return fails(f"a claim says {said!r}, which is not what the facts say that it cites", *claim.facts)
    return holds("every number in its claims stands in the facts that they cite")


def _unshown(text: str, figures: Figures) -> Iterator[str]:
    """What a text says in numbers and the facts do not, by kind. What was looked up as one kind is not looked up as another."""
    if not text.isascii():
        yield from (
            sign for sign in text if unicodedata.category(sign) in {"Nl", "No"} and sign not in figures.text
        )  # `½`, `Ⅸ`, `³`
    for pattern, shown in _KINDS:
        if found := list(pattern.finditer(text)):
            yield from (match.group(0) for match in found if not shown(figures, match))
            text = pattern.sub(" ", text)


def _time(figures: Figures, match: re.Match[str]) -> bool:
    """Within one of the unit in which it is said, or a tenth."""
    said, unit = seconds(*match.groups()), seconds("1", match.group(2))
    return any(abs(said - known) <= max(unit, 0.1 * known) for known in figures.lengths)


def _size(figures: Figures, match: re.Match[str]) -> bool:
    """Within a hundredth: `96Mi` is neither 96 MB nor 100 MB, and is 96 MiB and 100663296 bytes."""
    unit = match.group(2) or match.group(3) or ""
    size = Fraction(match.group(1)) * SUFFIXES["k" if unit == "K" else unit]
    return any(abs(size - known) * 100 <= known for known in figures.sizes)


def _share(figures: Figures, match: re.Match[str]) -> bool:
    share = Fraction(match.group(1))
    return any(abs(share - known) <= Fraction(1, 2) for known in figures.shares) or figures.name(match.group(0))


def _parts(figures: Figures, match: re.Match[str]) -> bool:
    """`2 of 3 pods`, `2 of 3 requests`; where neither is said, either."""
    part, total, noun = int(match.group(1)), int(match.group(2)), (match.group(3) or "").lower()
    requests = (part, total) in figures.requests
    if noun.startswith(("request", "probe", "attempt")):
        return requests
    return {part, total} <= figures.counts or (requests and not re.match(_COUNTED, noun))


def _count(figures: Figures, match: re.Match[str]) -> bool:
    said = match.group(1).lower()
    return said == "one" or (_WORDS[said] if said in _WORDS else int(said)) in figures.counts


_KINDS: Final[tuple[tuple[re.Pattern[str], Callable[[Figures, re.Match[str]], bool]], ...]] = (
    (_CLOCK, lambda figures, match: figures.moment(match.group(0))),
    (_NAME, lambda figures, match: figures.name(match.group(0))),
    (_REVISION, lambda figures, match: all(int(number) in figures.revisions for number in match.groups() if number)),
    (_EXIT, lambda figures, match: int(match.group(1)) in figures.codes),
    (_CLASS, lambda figures, match: any(int(match.group(1)) == known // 100 for known in figures.numbers)),
    (_SHARE, _share),
    (_SIZE, _size),
    (_OF, _parts),
    (_COUNT, _count),
    (TIME, _time),
    (_ROUGH, lambda figures, match: figures.name(match.group(0))),
    (_BARE, lambda figures, match: Fraction(match.group(0)) in figures.numbers),
)
"""The kinds of number, in the order in which they are looked for, and whether the facts show one."""
