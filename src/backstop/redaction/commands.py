"""Secrets on command lines and in settings without a separator: `--db-password VALUE`, `-pVALUE`, `curl -u user:VALUE`, SQL."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from typing import Final

from backstop.redaction.hits import Hit
from backstop.redaction.keys import Holds, holds
from backstop.redaction.layer import Layer
from backstop.redaction.values import bare, counts, harmless, quoted

_FLAG: Final = re.compile(r"(?<![\w-])-{1,2}([A-Za-z][\w.-]{2,60}+)[ \t]{1,8}(?![-=:])")
_PROSE: Final = re.compile(
    r"(?:flag|option|argument|parameter|value|instead|deprecated|environment|variable|when|if|on|at|by|from|as|will|can)\b"
)
_SETTING: Final = re.compile(r"[ \t]*(?:ENV[ \t]+|ARG[ \t]+|export[ \t]+|set[ \t]+)?([\w.-]{1,80}+)[ \t]+(\S{1,4096}+)[ \t]*\r?$")
_SETTINGS: Final = frozenset({"requirepass", "masterauth", "bindpw", "rootpw"})
_TOOLS: Final = re.compile(
    r"\b(?:(?P<mysql>mysql\w*|mariadb[\w-]*)|(?P<login>sshpass|mongo\w*|(?:docker|podman|registry)[ ]login)|(?P<openssl>openssl)"
    r"|(?P<redis>(?:redis|valkey)-cli)|(?P<curl>curl|wget|http|https|xh)|(?P<ldap>ldap\w+)|(?P<zip>(?:un)?zip)|(?P<sevenzip>7z\w?)"
    r"|(?P<smb>smbclient|rpcclient))(?=[ \t])"
)
_OPTION: Final = {
    "mysql": re.compile(r"(?<=\s)-p(?=\S)"),
    "login": re.compile(r"(?<=\s)-p[ \t]?(?=\S)"),
    "redis": re.compile(r"(?<=\s)-a[ \t]{1,4}"),
    "curl": re.compile(r"""(?<=\s)(?:-u|--user|--proxy-user|-U|-a)[ \t=]{0,4}["']?[^\s:"']{0,128}:"""),
    "ldap": re.compile(r"(?<=\s)-w[ \t]{1,4}"),
    "openssl": re.compile(r"(?<=\s)-pass(?:in|out|word)?[ \t]{1,4}pass:"),
    "zip": re.compile(r"(?<=\s)-P[ \t]?"),
    "sevenzip": re.compile(r"(?<=\s)-p(?=\S)"),
    "smb": re.compile(r"(?<=\s)-U[ \t]?[\w.\\]{1,64}%"),
}
_WITHIN: Final = 400
"""How far behind a tool's name its options are looked for, in characters."""
_SQL: Final = re.compile(
    r"""(?:\b(?:password|passphrase|passwd)|\bidentified[ ](?:with[ ]\w{1,40}[ ])?by)[ \t]{1,8}(?:is[ \t]{1,4})?(?=\\{0,15}["'])""",
    re.IGNORECASE,
)
_SAID: Final = re.compile(
    r"(?:password|passphrase|passcode)[ ](?:is|was|(?:set|changed|reset)[ ]to)[ ]"
    r"(?=[^\s\"']{0,64}\d)(?=[^\s\"']{0,64}[A-Za-z])(?=\S{6})",
    re.IGNORECASE,
)
_REDIS: Final = re.compile(
    r"""["']AUTH["'][ \t]{1,4}(?:["'][^"']{1,128}["'][ \t]{1,4})?(?=["'][^"']{1,1024}["'](?:[ \t]*$))""", re.IGNORECASE
)
_REDIS_USER: Final = re.compile(r"\buser[ ]\S{1,64}[ ](?:[^\s>]{1,64}[ ]){1,8}>(?=\S)")
_NETRC: Final = re.compile(r"\blogin[ \t]+\S{1,200}[ \t]+password[ \t]+(?=\S)")
_PGPASS: Final = re.compile(r"^[\w.*-]{1,253}:(?:\d{4,5}|\*):[^:\s]{1,64}:[^:\s]{1,64}:(?=\S)")
_LITERAL: Final = re.compile(r"--from-literal[= ][\"']?[\w.-]{1,253}=")
_CONFIG_MAP: Final = re.compile(r"\b(?:configmap|cm)\b")
_ARGV: Final = re.compile(r"""["'](?:-u|--user(?:name)?)["'],[ ]?["'][^"']{0,128}["'],[ ]?.{0,128}?["']-p["'],[ ]?(?=["'])""")
_ECHOED: Final = re.compile(r"\becho[ ](?:-n[ ])?(?=.{1,400}\|[^|]{0,200}(?:--password-stdin|passwd|sudo[ ]-S))")
_NET_USER: Final = re.compile(r"\bnet[ ]user[ ]\S{1,64}[ ](?=[^\s/])")
_HTPASSWD: Final = re.compile(
    r"\b(?:htpasswd|mosquitto_passwd)[ ](?:-\w{1,8}[ ]){0,4}?-\w{0,4}b\w{0,4}[ ](?:-\w{1,8}[ ]){0,4}"
    r"[^\s-]\S{0,255}[ ]\S{1,64}[ ](?=\S)"
)


def flags(line: str) -> Iterator[Hit]:
    """`--token VALUE`, with one dash or two."""
    for flag in _FLAG.finditer(line):
        if holds(flag[1]) in {Holds.SECRET, Holds.NUMBER_OR_SECRET} and not _PROSE.match(line, flag.end()):
            yield from _value(line, flag.end())


def settings(line: str) -> Iterator[Hit]:
    """`requirepass VALUE` of redis, `ENV DB_PASSWORD VALUE` of a Dockerfile: a key and a value, and nothing else on the line."""
    found = _SETTING.match(line)
    if found is None or harmless(found[2]):
        return
    key = found[1]
    telling = key.lower() in _SETTINGS or "_" in key.strip("_")
    if telling and holds(key) in {Holds.SECRET, Holds.NUMBER_OR_SECRET} and not counts(found[2]):
        yield Hit(*found.span(2), found[2].strip("\"'"))


def _tools(line: str) -> Iterator[Hit]:
    for tool in _TOOLS.finditer(line):
        option = _OPTION[tool.lastgroup or ""].search(line, tool.end(), tool.end() + _WITHIN)
        if option:
            yield from _value(line, option.end())


def _after(pattern: re.Pattern[str], line: str) -> Iterator[Hit]:
    at = 0
    while found := pattern.search(line, at):
        at = found.end()
        for hit in _value(line, at):
            yield hit
            at = hit.end  # what stands within a value is part of it, and reading it again would take the square of the time


def _literals(line: str) -> Iterator[Hit]:
    """Each literal of `kubectl create secret`, whatever its key is called; a ConfigMap's are no secrets."""
    return iter(()) if _CONFIG_MAP.search(line) else _after(_LITERAL, line)


def _value(line: str, at: int) -> Iterator[Hit]:
    value = quoted(line, at) or bare(line, at)
    if value and not harmless(value.value) and not (counts(value.value) and len(value.value) < 3):
        yield Hit(value.start, value.end, value.value)


LAYERS: Final = (
    Layer((_tools,), (" -p", " -a", " -u", " --user", " --proxy-user", " -w")),
    Layer((partial(_after, _SQL), partial(_after, _SAID)), ("password ", "passphrase ", "passwd ", "passcode ", "identified ")),
    Layer((partial(_after, _REDIS),), ('auth"', "auth'")),
    Layer((partial(_after, _REDIS_USER),), (" >",)),
    Layer((partial(_after, _NETRC),), ("login ",)),
    Layer((_literals,), ("--from-literal",)),
    Layer((partial(_after, _ARGV),), ('"-p"', "'-p'")),
    Layer((partial(_after, _ECHOED),), ("echo ",)),
    Layer((partial(_after, _NET_USER), partial(_after, _HTPASSWD)), ("net user ", "passwd ")),
    Layer((partial(_after, _PGPASS),), hint=re.compile(r":(?:[0-9]{4,5}|\*):")),
)
