"""Personal data, each with its validator: public IP addresses, payment cards, US social security numbers, e-mail addresses.

Private, loopback, link-local and documentation addresses stay (`is_global` of `ipaddress`): a diagnosis needs them. So do versions,
times, identifiers and `git@host:path`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache, partial
from ipaddress import ip_address
from typing import Final
from urllib.parse import unquote

from backstop.redaction.hits import Hit, words
from backstop.redaction.layer import Layer

_V4: Final = re.compile(r"(?<![\w.~])(?<![A-Za-z]-)(?:\d{1,3}\.){3}\d{1,3}(?!\w|\.\d|-[A-Za-z])")
_V6: Final = re.compile(r"(?<![\w:.])[23][0-9A-Fa-f]{3}:[0-9A-Fa-f:]{2,35}(?!\w)")
_VERSION_BEFORE: Final = re.compile(r"(?:\b[A-Z][A-Za-z]{1,20}/|(?i:\bversion|\boid)[=: \t\"']{1,4})$")
_DOMAIN: Final = r"((?:[A-Za-z0-9-]{1,63}+\.)+[A-Za-z]{2,24})(?![\w@-]|\.\w)(:(?:\d{2,5}\b|~?[\w.-]{0,100}/))?"
_EMAIL: Final = re.compile(rf"(?<![\w.%+\-@])[\w.%+\-]{{1,64}}+@{_DOMAIN}")
_ENCODED_EMAIL: Final = re.compile(rf"(?<![\w.%+\-@])(?:[\w.+\-]|%2[Bb]){{1,64}}+%40{_DOMAIN}")
_NOT_MAIL: Final = words(
    "local localhost localdomain internal svc service socket timer slice target mount scope device path swap tgz gz zip tar "
    "whl jar js mjs ts json yaml yml so deb rpm apk png jpg svg css html py go rb rs"
)
_CARD: Final = re.compile(
    r"(?<![\w.\-])(?:\d{4}([ -]?)\d{4}\1\d{4}\1\d{4}|3[47]\d{2}([ -]?)\d{6}\2\d{5}|3[068]\d{2}([ -]?)\d{6}\3\d{4})(?![\w\-]|\.\d)"
)
_BRAND: Final = re.compile(
    r"4|5[1-5]|2(?:2(?:2[1-9]|[3-9])|[3-6]|7[01]|720)|3[47]|6(?:011|5|4[4-9])|35(?:2[89]|[3-8])|3(?:0[0-5]|[68])"
)
_SSN: Final = re.compile(r"(?<![\w.\-])(?!000|666|9)\d{3}-(?!00)\d{2}-(?!0000)\d{4}(?![\w\-])")


def _emails(pattern: re.Pattern[str], line: str) -> Iterator[Hit]:
    for found in pattern.finditer(line):
        if not _is_login(line, found):
            yield Hit(found.start(), found.end(1), unquote(line[found.start() : found.end(1)]))


def _v4(line: str) -> Iterator[Hit]:
    for found in _V4.finditer(line):
        if is_public(found.group()) and not _VERSION_BEFORE.search(line, max(0, found.start() - 24), found.start()):
            yield Hit(*found.span(), found.group(), spread=False)


def _v6(line: str) -> Iterator[Hit]:
    for found in _V6.finditer(line):
        text = found.group() if is_public(found.group()) else found.group().removesuffix(":")
        if is_public(text):
            yield Hit(found.start(), found.start() + len(text), text, spread=False)


def _cards(line: str) -> Iterator[Hit]:
    for found in _CARD.finditer(line):
        if is_card(found.group()):
            yield Hit(*found.span(), found.group())


def _ssns(line: str) -> Iterator[Hit]:
    for found in _SSN.finditer(line):
        yield Hit(*found.span(), found.group())


LAYERS: Final = (
    Layer((partial(_emails, _EMAIL),), hint=re.compile(r"@[A-Za-z0-9-]{1,63}\.")),
    Layer((partial(_emails, _ENCODED_EMAIL),), ("%40",)),
    Layer((_v4,), hint=re.compile(r"\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]")),
    Layer((_v6,), hint=re.compile(r"[23][0-9A-Fa-f]{3}:[0-9A-Fa-f]{0,4}:[0-9A-Fa-f:]")),
    Layer((_cards,), hint=re.compile(r"[0-9]{4}[ -]?[0-9]{4,6}[ -]?[0-9]{4,5}")),
    Layer((_ssns,), hint=re.compile(r"-[0-9]{2}-[0-9]{4}")),
)


def kind(value: str) -> str:
    """What sort of personal datum a whole value is; empty if none."""
    if _EMAIL.fullmatch(value):
        return "email"
    if (_V4.fullmatch(value) or _V6.fullmatch(value)) and is_public(value):
        return "ip"
    if _CARD.fullmatch(value) and is_card(value):
        return "card"
    return "ssn" if _SSN.fullmatch(value) else ""


@lru_cache(maxsize=4096)
def is_public(text: str) -> bool:
    """Whether `text` is an IP address that is routed on the Internet."""
    try:
        address = ip_address(text)
    except ValueError:
        return False
    return address.is_global and not address.is_multicast


def is_card(text: str) -> bool:
    """Whether `text` is a payment card number: a brand's prefix, and the check digit of ISO/IEC 7812-1 (Luhn)."""
    digits = [int(char) for char in text if char.isdigit()]
    if not _BRAND.match("".join(map(str, digits))):
        return False
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[-2::-2]]
    return (sum(doubled) + sum(digits[-1::-2])) % 10 == 0


def _is_login(line: str, found: re.Match[str]) -> bool:
    """Whether a match is no e-mail address: `git@host:path`, `https://user@host`, a file, a unit, a name within the cluster."""
    labels = found[1].lower().split(".")
    return (
        found[2] is not None or line[found.start() - 3 : found.start()] == "://" or labels[-1] in _NOT_MAIL or labels[0].isdigit()
    )
