"""Where the value of a key begins and ends in a line, and which values hide nothing.

Quotes are understood at any escaping depth (`"`, `\\"`, `\\\\\\"`, also `%22` and `&quot;`); a value whose closing quote was cut
off ends with its line. Everything is linear in the length of the line.
"""

from __future__ import annotations

import json
import re
from itertools import islice
from typing import Final, NamedTuple

from backstop.redaction.hits import only_placeholders

QUOTE: Final = r"""(?:\\{0,31}["'`]|%2[27]|&quot;|&\#3[49];)"""

_OPENING: Final = re.compile(
    rf"""(?:(?:[A-Za-z_&*][\w.]{{0,40}}|\[\]byte)\([ \t]{{0,4}}|[&*])?(?:[bBuUrRfF]{{1,2}}(?=["']))?({QUOTE})"""
)
_NEXT_QUOTE: Final = {mark: re.compile(rf"(?<!\\)\\*+{mark}") for mark in ('"', "'", "`")}
_RUN: Final = re.compile(r"""(?:[^\s"'`]|(?<=\w)["'`](?=\w))++""")
_STOP: Final = re.compile(
    r"""(?<!\\)\\++(?:$|n|r\\+n)|</|%26|&amp;|"""
    r"""[,;&|](?=$|["'\[{(]?[\w.\-%\[\]]{1,60}["'\]]?(?:=|:(?!//)|%3[Dd]))|[)\]}]++(?=$|[,;])"""
)
_STOPS: Final = 16
"""How many possible ends of a value are looked at: what has more of them goes whole."""
_FIRST_LOOK: Final = 256
"""How many characters of a value are read at first: most end sooner, and each is read once only."""
_LOOKAHEAD: Final = 64
"""How far behind a value's end `_STOP` looks."""
_OPENER: Final = {")": "(", "]": "[", "}": "{"}
_KEYS: Final = frozenset({"token", "password", "secret", "key", "api-key", "apikey", "tls.key", "value"})
_HARMLESS: Final = re.compile(
    r"""
    null|nil|none|true|false|undefined|n/a|yes|no|on|off|ok|~|\*+|\.{2,}|-+|_+|[xX]{3,}|
    (?:expired|invalid|missing|required|unauthorized|denied|revoked|malformed|mismatch(?:ed)?|empty|unknown|unset|disabled|enabled|
       failed|wrong|incorrect|not|is|was|has|must|cannot|could|should|unavailable|rejected|accepted|present|absent|optional|string|
       bool|int|bytes|text|basic|bearer|digest|and|or|for|in|to|of|the|with)[.,:;!]?|
    <set\ to\ the\ key\ '[\w.-]+'\ (?:in|of)\ [\w ]+\ '[\w.-]+'>(?:\ +Optional:\ \w+)?|
    [<\[({]{1,2}(?:none|nil|null|unset|unknown|empty|hidden|redacted|masked|secret|sensitive|not|no|your|omitted|removed|filtered|
       protected|withheld|known|set)(?:[a-z ,_-]{0,60}[>\])}]{1,2})?|
    \$\([\w./-]+\)?|\$\{[\w.]+\}|(?-i:\$[A-Z_][A-Z0-9_]*)|\{\{[^{}]{0,80}\}\}|%\(\w+\)s|%[svqd]|
    <%=[^%]{0,80}%>|<[a-z][a-z_ -]{0,40}>|
    (?-i:(?:[a-z]\w*\.)+[A-Z][\w$]*@[0-9a-f]{4,8}|Token\{[0-9a-f]{5,8})|
    (?:~|\.{1,2})?/(?:run|var|etc|mnt|tmp|home|opt|usr|secrets?|vault|app|data|root|dev|proc|srv)(?:/[\w.\-]*)*|
    (?:file|vault|secret|op|ref\+\w+):[\w.-]*/[\w./#+?=-]*|(?-i:env:[A-Z_]+)|secretref:[\w/.-]+|!secret\ [\w.-]+|
    arn:aws:(?:secretsmanager|ssm):[\w:/.-]*|projects/[\w-]+/secrets/[\w/-]*|
    (?:os\.environ|os\.getenv|process\.env|System\.getenv|getenv)(?:[.\[(].*)?
    """,
    re.VERBOSE | re.IGNORECASE,
)
_NAME: Final = re.compile(r"[a-z]+(?:[-.][a-z]+)+(?:-\d{1,2})?")
_NUMBER: Final = re.compile(r"-?\d{1,5}(?:\.\d{1,6})?(?:ms|[smhd%])?")


class Scalar(NamedTuple):
    """A value in a line: where its text starts and ends, the value itself (unescaped), and where reading goes on."""

    start: int
    end: int
    value: str
    after: int
    quoted: bool


def harmless(value: str) -> bool:
    """Whether a value hides nothing: empty, null, a mask, a reference, a path, a word that says it is missing, a placeholder."""
    return only_placeholders(value) or _HARMLESS.fullmatch(value) is not None


def names_an_object(value: str) -> bool:
    """Whether a value reads like the name of a Kubernetes object: `prod-db`."""
    return _NAME.fullmatch(value) is not None


def counts(value: str) -> bool:
    """Whether a value is a short number, or the name of a key: `5`, `24h`, `token`."""
    return value in _KEYS or _NUMBER.fullmatch(value) is not None


def quoted(line: str, at: int) -> Scalar | None:
    """The quoted value at `at`, also within a call or constructor (`SecretStr('…')`, `[]byte("…")`); None if there is none."""
    opening = _OPENING.match(line, at)
    if opening is None:
        return None
    start, quote = opening.end(), opening.group(1)
    end, after = _closing(line, start, quote)
    return Scalar(start, end, unescaped(line[start:end], quote), after, quoted=True)


def _closing(line: str, start: int, quote: str) -> tuple[int, int]:
    """Where the content ends and where the closing quote ends. Without one, the line was cut: both are its end."""
    mark = quote[-1]
    if mark not in _NEXT_QUOTE:
        found = line.find(quote, start)
        return (len(line), len(line)) if found < 0 else (found, found + len(quote))
    depth = len(quote) - 1
    at = start
    while close := _NEXT_QUOTE[mark].search(line, at):
        at = close.end()
        slashes = at - close.start() - 1
        if mark == "'" and depth == slashes == 0 and line[at : at + 1] == "'" and at < len(line):
            at += 1  # YAML and SQL double a quote
        elif slashes >= depth and (slashes - depth) % (2 * depth + 2) == 0:
            return at - 1 - depth, at
        elif slashes < depth:
            return close.start(), close.start()  # the text around it ends, and so does the value
    return len(line), len(line)


def unescaped(text: str, quote: str = '"') -> str:
    """The value that `text` stands for within `quote`, as far as its escapes are JSON's; else `text` itself."""
    if "\\" not in text:
        return text
    depth = (len(quote) - 1 if quote[-1] in _NEXT_QUOTE else 0).bit_length() + 1
    value = text
    for _ in range(depth):
        try:
            value = json.loads(f'"{value}"', strict=False)
        except ValueError:
            break
    return value


def bare(line: str, at: int) -> Scalar | None:
    """The unquoted value at `at`: up to white space, a quote, or a comma, semicolon or ampersand that a further pair follows."""
    size, end = _FIRST_LOOK, at
    while run := _RUN.match(line, at, at + size):
        end = _stop(line, at, run.end())
        if run.end() < at + size or end < run.end() - _LOOKAHEAD:
            break
        size *= 8
    text = line[at:end].rstrip(".,;:|")
    return Scalar(at, at + len(text), text, max(at + len(text), at + 1), quoted=False) if text else None


def _stop(line: str, at: int, end: int) -> int:
    """Where a value ends that has no white space between `at` and `end`."""
    for stop in islice(_STOP.finditer(line, at, end), _STOPS):
        closer = stop.group()[0]
        if closer not in _OPENER or line.count(_OPENER[closer], at, stop.start()) < stop.end() - stop.start():
            return stop.start()
    return end
