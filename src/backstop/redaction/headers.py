"""Authorization and Cookie values, wherever they stand: a header line, a quoted argument, a field of a JSON object."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from typing import Final

from backstop.redaction.hits import Hit, only_placeholders
from backstop.redaction.layer import Layer
from backstop.redaction.values import harmless

_SCHEME: Final = re.compile(
    r"[ \t]*(?:(?:Basic|Bearer|Bot|Token|ApiKey|Api-Key|Key|Negotiate|NTLM|GoogleLogin|SharedKey\w*|JWT|OAuth2?)[ \t]+(?!\w+=))?",
    re.IGNORECASE,
)
_PARAMETERS: Final = re.compile(
    r"""[ \t]*(?:Digest|AWS4-HMAC-SHA256|Signature|OAuth|Hawk|GNAP|DPoP|MAC)[ \t]+"""
    r"""((?:[\w-]{1,40}=(?:\\{0,15}"[^"]{0,2000}"|[^\s,"'`]{1,2000})(?:,[ \t]{0,4})?){1,40})""",
    re.IGNORECASE,
)
_CREDENTIAL: Final = re.compile(r"""(?:[^\s,;"'`\\]|\\(?![rn"'`\\]))++""")
_COOKIE: Final = re.compile(r"""[ \t]*([^=;,:\s"'`\\]{1,200}+)(?:=((?:[^;\s"'`\\]|\\(?![rn"'`\\]))*+))?;?""")
_DATE: Final = re.compile(r"[ \t]*\d")  # `Expires=Wed, 21 Oct …` goes on after its blank
_ATTRIBUTES: Final = frozenset({"path", "domain", "expires", "max-age", "samesite", "priority", "version"})
_OPENERS: Final = {"]": "[", ")": "(", "}": "{"}
_DEEPEST: Final = 8
_BARE: Final = re.compile(r"(?<![\w-])(?:(Bearer)|Basic)[ \t]{1,4}([A-Za-z0-9._~+/=-]{8,})", re.IGNORECASE)
_WORD: Final = re.compile(r"[A-Za-z]?[a-z]+(?:[-/=][a-z]+)*=?\.?")
_MODE: Final = re.compile(r"[A-Za-z]{1,12}(?:,[A-Za-z]{1,12})*")  # `authorization: RBAC`
_PRINTABLE: Final = re.compile(r"[\x20-\x7e\xa0-\uffff]+")


def authorization(line: str, start: int) -> Iterator[Hit]:
    """The credentials of the Authorization value at `start`; of a scheme with parameters (Digest, AWS4, …) all of them."""
    if parameters := _PARAMETERS.match(line, start):
        if not only_placeholders(parameters[1]):
            yield Hit(*parameters.span(1), parameters[1])
        return
    scheme = _SCHEME.match(line, start)
    found = _CREDENTIAL.match(line, scheme.end() if scheme else start)
    text = _unclosed(found.group()) if found else ""
    if found and not harmless(text) and ((scheme and scheme.group()) or _MODE.fullmatch(text) is None):
        yield Hit(found.start(), found.start() + len(text), password_of_pair(text) or text)


def cookies(line: str, start: int) -> Iterator[Hit]:
    """The value of each cookie at `start`; the attributes of Set-Cookie stay."""
    while (cookie := _COOKIE.match(line, start)) and cookie.end() > start:
        text = _unclosed(cookie[2] or "")
        if cookie[1].lower() not in _ATTRIBUTES and not harmless(text):
            yield Hit(cookie.start(2), cookie.start(2) + len(text), text)
        start = cookie.end()
        if not cookie.group().endswith(";") and not _DATE.match(line, start):
            break


def _unclosed(text: str) -> str:
    """A value without the brackets that close what is around it."""
    for _ in range(_DEEPEST):
        if text and text[-1] in _OPENERS and text.count(text[-1]) > text.count(_OPENERS[text[-1]]):
            text = text[:-1]
    return text


def find(line: str) -> Iterator[Hit]:
    """`Bearer …` and `Basic …` without the header's name."""
    for found in _BARE.finditer(line):
        value = found[2]
        if (found[1] and _WORD.fullmatch(value) is None and not value.lower().startswith("realm=")) or password_of_pair(value):
            yield Hit(*found.span(2), password_of_pair(value) or value)


LAYERS: Final = (Layer((find,), ("bearer", "basic")),)


def password_of_pair(text: str) -> str | None:
    """The password of a base64-encoded `user:password`; None if `text` is something else."""
    decoded = decoded_text(text)
    return decoded.partition(":")[2] or None if decoded and ":" in decoded else None


def decoded_text(text: str) -> str | None:
    """What `text` decodes to, if it is base64 of printable text; white space around that is taken off."""
    if len(text) < 4:
        return None
    padded = text + "=" * (-len(text) % 4)
    try:
        decoded = base64.b64decode(padded, altchars=b"-_" if set("-_") & set(text) else None, validate=True).decode().strip()
    except ValueError:
        return None
    return decoded if _PRINTABLE.fullmatch(decoded.replace("\n", " ")) else None
