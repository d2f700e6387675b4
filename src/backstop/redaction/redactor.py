"""The redactor of one incident."""

from __future__ import annotations

import hashlib
import hmac
import itertools
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Final, NamedTuple, TypeVar

from pydantic import JsonValue

from backstop.errors import InvariantError
from backstop.redaction import blocks, commands, headers, manifests, markup, pairs, pem, personal, structured, tokens, urls
from backstop.redaction.hits import Hit, replaced
from backstop.redaction.layer import KEY_HINTS, Layer
from backstop.redaction.taint import Taint

S = TypeVar("S")
T = TypeVar("T")

_WHOLE: Final[tuple[Callable[[str], Iterable[Hit]], ...]] = (manifests.find, pem.find, blocks.find)
"""Layers that read several lines at once."""
_KEYED: Final = Layer((pairs.find, markup.find, commands.flags, commands.settings), KEY_HINTS)
_LINE: Final = (*tokens.LAYERS, *headers.LAYERS, *urls.LAYERS, _KEYED, *commands.LAYERS, *personal.LAYERS)
"""Layers that read one line, in this order: what one has replaced, the next does not see."""
_ROUNDS: Final = 12
_SHORT: Final = 200


class Learnt(NamedTuple):
    """One find: the value, how it was written, whether it goes from everywhere, and its kind where the value does not show it."""

    value: str
    literal: str
    spread: bool
    kind: str


class Redactor:
    """Takes secrets and personal data out of the texts of one incident, and puts stable names in their places.

    `key` is the incident's: a name is the HMAC-SHA-256 of the value under it, so that the same secret has the same name throughout
    the incident and nobody without the key can try out weak passwords.

    A text keeps its lines, their number and their order. Each line of a private key becomes the name of the key.
    """

    def __init__(self, key: bytes) -> None:
        if not key:
            raise InvariantError("a redactor needs a key", todo="give each incident a random one")
        self._key = key
        self._placeholders: dict[str, str] = {}
        self._found: Counter[str] = Counter()
        self._taint = Taint()
        self._known = 0
        self._learnt: dict[Learnt, None] = {}
        self._unchanged: set[str] = set()  # short texts that held nothing, given what was known then: objects repeat them

    @property
    def found(self) -> Mapping[str, int]:
        """How many distinct values were found, by kind: pw, token, pem, email, ip, card, ssn."""
        return dict(self._found)

    def learnt(self, after: int = 0) -> tuple[Learnt, ...]:
        """What was found so far, from the find of number `after` on. It holds the secrets themselves."""
        return tuple(itertools.islice(self._learnt, after, None))

    def recall(self, learnt: Iterable[Learnt]) -> None:
        """Knows from now on what another redactor of the same incident has learnt."""
        for value, literal, spread, kind in learnt:
            self._name(Hit(0, 0, value, spread, kind), literal)

    def spare(self, names: Iterable[str]) -> None:
        """From now on a value that is one of these names goes only from where it stands as a secret, and stays elsewhere.

        Meant for the names of objects in the cluster, so that a log line `password=checkout` does not blind a diagnosis.
        """
        self._taint.spare(names)

    def redact(self, text: str) -> str:
        """`text` without what is sensitive, as far as it is known by now; what is found goes from all later texts too.

        Doing it again changes nothing. Raises `InvariantError`, and gives no text, if it cannot be done.
        """
        return self._safely(self._fixed, text)

    def learn(self, text: str) -> None:
        """Finds what `text` holds, so that it goes from texts that are redacted before `text` itself is."""
        self._safely(self._fixed, text)

    def learn_json(self, value: JsonValue) -> None:
        """The same for a JSON value."""
        self._safely(self._structured, value)

    def redact_json(self, value: JsonValue) -> JsonValue:
        """A JSON value without what is sensitive in its strings and keys, or under its keys. What is found once goes everywhere.

        Of a Secret go the values of `data`, `stringData` and the last-applied-configuration. Raises like `redact`.
        """
        return self._safely(self._structured, value)

    @staticmethod
    def _safely(work: Callable[[S], T], subject: S) -> T:
        try:
            return work(subject)
        except InvariantError:
            raise
        except Exception as error:  # noqa: BLE001  whatever went wrong, its message may quote the evidence: only its type is said
            raise InvariantError(
                f"a text could not be redacted ({type(error).__name__})", unchanged="none of it was passed on"
            ) from None

    def _structured(self, value: JsonValue) -> JsonValue:
        structured.redacted(value, self._fixed, self._name)
        return structured.redacted(value, self._fixed, self._name)

    def _fixed(self, text: str) -> str:
        """`text` redacted until nothing changes: what one round takes away may show the next one something."""
        if len(self._taint) != self._known:
            self._known = len(self._taint)
            self._unchanged.clear()
        if text in self._unchanged:
            return text
        clean: set[str] = set()
        for _ in range(_ROUNDS):
            after = self._taint.scrub(self._layers(text, clean))
            if after == text:
                if len(text) <= _SHORT:
                    self._unchanged.add(text)
                return text
            text = after
        raise InvariantError("a text changes each time it is redacted", unchanged="none of it was passed on")

    def _layers(self, text: str, clean: set[str]) -> str:
        """`text` through all layers once. `clean`: lines that are known to hold nothing for the layers that read one line."""
        for layer in _WHOLE:
            text = replaced(text, layer(text), self._name)
        lines = text.split("\n")
        fresh = dict.fromkeys(line for line in lines if line not in clean)
        known = {line: self._line(line, active) for active in [_active(fresh)] for line in fresh}
        clean.update(line for line, after in known.items() if after == line)
        return "\n".join([known.get(line, line) for line in lines])

    def _line(self, line: str, active: list[Layer]) -> str:
        low = line.lower()
        for layer in active:
            if layer.wants(line, low):
                for find in layer.finds:
                    line = replaced(line, find(line), self._name)
                low = line.lower()
        return line

    def _name(self, hit: Hit, literal: str) -> str:
        """The placeholder of a hit. The first time, the value is counted and, if it is to spread, looked for from now on."""
        self._learnt[Learnt(hit.value, literal, hit.spread, hit.kind)] = None
        placeholder = self._placeholders.get(hit.value)
        if placeholder is None:
            kind = hit.kind or personal.kind(hit.value) or ("token" if tokens.is_token(hit.value) else "pw")
            digest = hmac.new(self._key, hit.value.encode(errors="surrogatepass"), hashlib.sha256).hexdigest()
            placeholder = self._placeholders[hit.value] = f"<redacted-{kind}-{digest[:8]}>"
            self._found[kind] += 1
        if hit.spread:
            for text in self._spreading(hit.value, literal):
                self._taint.add(text, placeholder)
        return placeholder

    @staticmethod
    def _spreading(value: str, literal: str) -> Iterator[str]:
        yield value
        if literal != value:
            yield literal
        password = headers.password_of_pair(value)
        if password:
            yield password


def _active(lines: Collection[str]) -> list[Layer]:
    """The layers that have something to look for in these lines."""
    text = "\n".join(lines)
    low = text.lower()
    return [there for layer in _LINE if (there := layer.of(text, low))]
