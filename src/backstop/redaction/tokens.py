"""Tokens that can be told by their shape alone: those of `tokens.txt`, and private keys that were base64-encoded whole."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from importlib.resources import files
from typing import Final

from backstop.redaction.hits import Hit
from backstop.redaction.layer import Layer

_BASE64_PEM: Final = re.compile(r"LS0tLS1CRUdJTi[A-Za-z0-9+/]{4,}+={0,2}")
_HEADER: Final = 96


def _shapes() -> Iterator[str]:
    for line in files(__package__).joinpath("tokens.txt").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            yield line.split(None, 1)[1]


_TOKEN: Final = re.compile(rf"(?<![A-Za-z0-9])(?:{'|'.join(_shapes())})")
_RUN: Final = re.compile(r"[A-Za-z0-9_.~+/=:,${}-]{12,}+")
"""Every token is part of such a run, and the distinct runs of a log are a small part of it."""
_FEW: Final = 12


def _find(line: str) -> Iterator[Hit]:
    for found in _TOKEN.finditer(line):
        yield Hit(*found.span(), found.group())


class _Tokens(Layer):
    def of(self, text: str, low: str) -> Layer | None:
        del low
        runs = {run for run in set(_RUN.findall(text)) if _TOKEN.search(run)}
        if not runs:
            return None
        return Layer((_find,), tuple(run.lower() for run in runs)) if len(runs) <= _FEW else Layer((_find,), hint=_RUN)


def _keys(line: str) -> Iterator[Hit]:
    """Base64 of a private key in PEM form; that of a certificate stays."""
    for found in _BASE64_PEM.finditer(line):
        head = found.group()[:_HEADER]
        if b"PRIVATE" in base64.b64decode(head[: len(head) // 4 * 4]):
            yield Hit(*found.span(), found.group(), kind="pem")


LAYERS: Final = (_Tokens((_find,)), Layer((_keys,), ("ls0tls1crudjti",)))


def is_token(value: str) -> bool:
    """Whether a whole value has the shape of a token."""
    return _TOKEN.fullmatch(value) is not None
