"""What an engine keeps of an incident is raw: templates with their environment, logs as they were read. It is sealed at rest.

AES-256-GCM under a key that is not in the database: who can read the database reads no secret of the cluster, and who can write to
it forges no step and no approval. Records and questions are in the clear, and marked under the same key (HMAC-SHA-256): nobody else
puts one there. The key is a file beside a local database, or `BACKSTOP_STATE_KEY` for several machines.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hmac
import json
import secrets
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from dbos import Serializer
from pydantic import JsonValue
from sqlalchemy.exc import SQLAlchemyError

from backstop.durable import create_file
from backstop.engine.formats import Unsealable, read_only_what_is_sealed
from backstop.errors import ConfigError

KEY_BYTES: Final = 32
_NONCE: Final = 12
_VERSION: Final = "1."


class StateKey:
    """The key that one installation seals its state with."""

    def __init__(self, key: bytes) -> None:
        self._aead = AESGCM(key)
        self._marking = hmac.digest(key, b"backstop: what is kept in the clear", "sha256")

    @classmethod
    def parse(cls, text: str) -> StateKey:
        """From 64 hexadecimal digits. Raises ConfigError."""
        try:
            key = binascii.unhexlify(text.strip())
        except ValueError as error:
            raise _unusable("it is not written in hexadecimal digits") from error
        if len(key) != KEY_BYTES:
            raise _unusable(f"it has {len(key)} bytes instead of {KEY_BYTES}")
        return cls(key)

    @classmethod
    def of_file(cls, path: Path) -> StateKey:
        """The key in `path`, which is made if there is none. Raises ConfigError."""
        try:
            with contextlib.suppress(FileExistsError):
                create_file(path, secrets.token_hex(KEY_BYTES))
        except OSError as error:
            raise ConfigError(f"the state key {path} cannot be made: {error.strerror}", unchanged="nothing was started") from error
        return cls._read(path)

    @classmethod
    def _read(cls, path: Path) -> StateKey:
        try:
            if path.stat().st_mode & 0o077:
                raise ConfigError(
                    f"others can read the state key {path}", unchanged="nothing was started", todo=f"chmod 600 {path}"
                )
            return cls.parse(path.read_text())
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"the state key {path} cannot be read: {error}", unchanged="nothing was started") from error

    def seal(self, text: str) -> str:
        nonce = secrets.token_bytes(_NONCE)
        return _VERSION + base64.b64encode(nonce + self._aead.encrypt(nonce, text.encode(), None)).decode()

    def open(self, sealed: str) -> str:
        """Raises Unsealable for what was not sealed with this key, or was changed since."""
        try:
            raw = base64.b64decode(sealed.removeprefix(_VERSION), validate=True)
            return self._aead.decrypt(raw[:_NONCE], raw[_NONCE:], None).decode()
        except (InvalidTag, ValueError) as error:
            raise Unsealable(
                "what the engine kept was sealed with another key, or was changed since",
                unchanged="it was left as it is",
                todo="start with the state key that belongs to this database",
            ) from error

    def mark(self, text: str) -> str:
        """`text` in the clear, behind a mark that nobody makes without this key."""
        return f"{self._mark_of(text)} {text}"

    def marked(self, kept: str) -> str:
        """The text. Raises Unsealable for what was not marked with this key, or was changed since."""
        mark, _, text = kept.partition(" ")
        if not hmac.compare_digest(mark.encode(), self._mark_of(text).encode()):
            raise Unsealable(
                "what the engine kept was changed since, or put there by somebody else",
                unchanged="it was left as it is, and is not shown",
                todo="see who can write to the database",
            )
        return text

    def _mark_of(self, text: str) -> str:
        return hmac.digest(self._marking, text.encode(), "sha256").hex()


def unmarked(kept: str) -> str:
    """The text, for whoever has no key: nothing tells whether it was changed."""
    return kept if kept.startswith("{") else kept.partition(" ")[2]


class SealedJson(Serializer):
    """DBOS keeps whatever it keeps as JSON under the state key, never as pickles, and reads nothing else."""

    def __init__(self, key: StateKey) -> None:
        read_only_what_is_sealed()
        self._key = key

    def serialize(self, data: object) -> str:
        return self._key.seal(json.dumps(data, default=_plain, ensure_ascii=False, separators=(",", ":")))

    def deserialize(self, serialized_data: str) -> JsonValue:
        kept: JsonValue = json.loads(self._key.open(serialized_data))
        return kept

    def name(self) -> str:
        return "backstop-sealed-json"


def _plain(value: object) -> object:
    """An exception as what it says: DBOS keeps one where a workflow fails, which is for people to read. Not the database's own,
    which DBOS would keep, once the database answers again, as what the step gave whose result it could not keep before."""
    if isinstance(value, SQLAlchemyError):
        raise value
    if isinstance(value, BaseException):
        return {"error": type(value).__name__, "what": str(value)}
    raise TypeError(f"a {type(value).__name__} cannot be kept")


def _unusable(why: str) -> ConfigError:
    return ConfigError(f"the state key cannot be used: {why}", unchanged="nothing was started", todo="name the right one")
