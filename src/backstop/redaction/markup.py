"""Secrets in XML elements whose name is sensitive, or whose `name` or `key` attribute is: `<password>…</password>`."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from typing import Final

from backstop.redaction.hits import Hit
from backstop.redaction.keys import holds
from backstop.redaction.values import harmless

_ELEMENT: Final = re.compile(r"<([\w:.-]{1,100}+)((?:\s[^<>]{0,400})?)>(?:([^<]{1,4096}+)(?=</)|([^\s<]{1,4096})$)")
_NAMED: Final = re.compile(r"""\s(?:name|key|id)\s?=\s?["']([^"']{1,200})["']""")


def find(line: str) -> Iterator[Hit]:
    for element in _ELEMENT.finditer(line):
        name = element[1].rpartition(":")[2]
        attribute = _NAMED.search(element[2])
        if holds(name) is None and (attribute is None or holds(attribute[1]) is None):
            continue
        text = (element[3] or element[4]).strip()
        if text and not harmless(text):
            start = line.index(text, element.end(2))
            yield Hit(start, start + len(text), html.unescape(text))
