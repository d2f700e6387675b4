"""Secrets in URLs and data source names: passwords and tokens before the host, tokens in webhook paths, codes in queries.

Sensitive query parameters with telling names (`access_token`, `X-Amz-Signature`, `sig`) are pairs like any other: see `pairs`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from typing import Final
from urllib.parse import unquote

from backstop.redaction.hits import Hit, only_placeholders
from backstop.redaction.layer import Layer
from backstop.redaction.values import harmless

_AUTHORITY: Final = re.compile(
    r"""(?<![\w+.-])([A-Za-z][\w+.-]{0,40}+):(?:\\?/){2}([^\s"'`<>|\\]{1,4096}+(?:<redacted-[a-z]+-[0-9a-f]{8}>[^\s"'`<>|\\]{0,4096}+)*)"""
)
_PORT: Final = re.compile(r"\d{1,5}(?=[/?#,;)\]}]|$)|$")
_NOT_A_LOGIN: Final = re.compile(r"(?:docker|docker-pullable|docker-image|containerd|cri-o|oci|oci-archive|image)", re.IGNORECASE)
_PLACE: Final = re.compile(r"[\w\[(]")
_CUT: Final = re.compile(r"[^/\s,;)\]}]*(?:\.{3}|…)?$")
_ENCODED: Final = re.compile(
    r"%3[Aa]%2[Ff]%2[Ff][\w.%-]{0,200}?%3[Aa]([^\s\"'&%]{1,200}(?:%(?!40)[0-9A-Fa-f]{2}[^\s\"'&%]{0,200}){0,50})%40"
)
_ENCODED_CUT: Final = re.compile(r"%3[Aa]%2[Ff]%2[Ff][\w.-]{0,200}%3[Aa](?!\d{1,5}$)([^\s\"'&%]{1,200})$")
_DSN: Final = re.compile(
    r"""(?<![\w./@-])[\w.-]{1,64}+[:/](?!/)([^\s"'`@/<>]{1,200}+)@(?:(?:tcp|udp|unix)\d?\(|//?[\w\[]|(?!sha\d)[\w.-]{1,200}:\d{2,5}\b(?!\.))"""
)
_WEBHOOK: Final = re.compile(
    r"""(?:hooks\.slack(?:-gov)?\.com/(?:services|workflows|triggers)/|discord(?:app)?\.com/api/(?:v\d{1,2}/)?webhooks/\d{1,24}/"""
    r"""|[\w.-]{0,80}\.webhook\.office\.com/webhookb2/|outlook\.office\.com/webhook/|hooks\.zapier\.com/hooks/catch/)([\w/@.-]{8,})"""
)
_CODE: Final = re.compile(r"[?&](?:code|key|auth|session|sid|ticket|assertion|SAMLResponse|nonce)=([\w.%~+/=-]{12,})")
_LONG_USER: Final = 16
"""A user name of this length with a digit in it and no password is a token."""
_HAS_DIGIT: Final = re.compile(r"\d")


def _logins(line: str) -> Iterator[Hit]:
    for url in _AUTHORITY.finditer(line):
        yield from _login(line, url)


def _dsns(line: str) -> Iterator[Hit]:
    for found in _DSN.finditer(line):
        named = found[1].isalpha() and len(found[1]) < _LONG_USER and line[found.end() - 1].isdigit()
        if not harmless(found[1]) and not named:  # `LeaseRenewer:root@host:9000` names a thread
            yield Hit(*found.span(1), unquote(found[1]))


def _grouped(pattern: re.Pattern[str], line: str) -> Iterator[Hit]:
    for found in pattern.finditer(line):
        if not harmless(found[1]):
            yield Hit(*found.span(1), unquote(found[1]))


def _login(line: str, url: re.Match[str]) -> Iterator[Hit]:
    """The password of `scheme://user:password@host`, also with `/` or `@` in it, and where the line is cut before the `@`."""
    if _NOT_A_LOGIN.fullmatch(url[1]):
        return
    start, end = url.span(2)
    at = line.find("@", start, end)
    slash = _first(line, "/?#", start, end)
    colon = line.find(":", start, min(slash, at) if at >= 0 else slash)
    if colon < 0:
        if (
            0 <= at < slash
            and at - start >= _LONG_USER
            and _HAS_DIGIT.search(line, start, at)
            and not only_placeholders(line[start:at])
        ):
            yield Hit(start, at, unquote(line[start:at]))
        return
    if line[start] == "[" or (_PORT.match(line, colon + 1, end) and not start <= line.rfind("@", colon, slash)):
        return
    stop = _password_end(line, colon + 1, at, end)
    secret = line[colon + 1 : stop]
    if secret and not harmless(secret):
        yield Hit(colon + 1, stop, unquote(secret))


def _password_end(line: str, start: int, at: int, end: int) -> int:
    if at < 0:
        return end if _CUT.fullmatch(line, start, end) and end == len(line.rstrip()) else start
    host_end = _first(line, "/?#", at, end)
    last = line.rfind("@", at, host_end)
    return last if _PLACE.match(line, last + 1) or last + 1 == end else at


def _first(line: str, chars: str, start: int, end: int) -> int:
    places = [place for char in chars if (place := line.find(char, start, end)) >= 0]
    return min(places, default=end)


LAYERS: Final = (
    Layer((_logins,), ("://", ":\\/\\/")),
    Layer((partial(_grouped, _ENCODED), partial(_grouped, _ENCODED_CUT)), ("%3a%2f%2f",)),
    Layer((_dsns,), ("@",)),
    Layer(
        (partial(_grouped, _CODE),),
        ("code=", "key=", "auth=", "session=", "sid=", "ticket=", "assertion=", "samlresponse=", "nonce="),
    ),
    Layer((partial(_grouped, _WEBHOOK),), ("webhook", "hooks.")),
)
