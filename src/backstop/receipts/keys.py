"""Signing keys: Ed25519, PEM files in a directory that only their owner may read. The newest signs; all of them verify.

A key id is the first 16 hexadecimal digits of the SHA-256 of the public key's SubjectPublicKeyInfo (DER).
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from backstop.durable import create_file
from backstop.errors import ConfigError

_NAME: Final = re.compile(r"^receipt-([0-9]{4,8})\.pem$")
_PUBLIC: Final = re.compile(rb"-----BEGIN PUBLIC KEY-----.*?-----END PUBLIC KEY-----", re.DOTALL)
_MAX_BYTES: Final = 2**20

PublicKeys = dict[str, Ed25519PublicKey]
"""By key id."""


@dataclass(frozen=True)
class SigningKeys:
    """`signer` signs; `public` are the PEM texts of all, by key id, the oldest first."""

    signer: Ed25519PrivateKey
    key_id: str
    public: dict[str, str]

    @property
    def pem(self) -> str:
        return "".join(self.public.values())


def key_id(key: Ed25519PublicKey) -> str:
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(der).hexdigest()[:16]


def public_pem(key: Ed25519PublicKey) -> str:
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def create_key(directory: Path) -> tuple[str, Path]:
    """Makes the next key of a directory, which signs from now on, and its public half beside it (`.pub`). Gives its id and the
    public file. Raises ConfigError."""
    private = Ed25519PrivateKey.generate()
    text = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        number = max((n for n, _ in _files(directory)), default=0) + 1
        path = directory / f"receipt-{number:04d}.pem"
        create_file(path, text)
        public = path.with_suffix(".pub")
        with contextlib.suppress(FileExistsError):  # it is derived, and made again where it is missing
            create_file(public, public_pem(private.public_key()))
    except OSError as error:
        raise ConfigError(f"no key can be made in {directory}: {error.strerror}", unchanged="no key was replaced") from error
    return key_id(private.public_key()), public


def load_signing_keys(directory: Path) -> SigningKeys:
    """Every key of a directory; makes the first if there is none. Raises ConfigError for one that others can read, or that is
    none."""
    if not _files(directory):
        create_key(directory)
    keys = [_private(path) for _, path in _files(directory)]
    newest = keys[-1]
    public = {key_id(key.public_key()): public_pem(key.public_key()) for key in keys}
    return SigningKeys(newest, key_id(newest.public_key()), public)


def load_public(path: Path) -> PublicKeys:
    """The public keys of a PEM file, or of every `.pub` file of a directory. Raises ConfigError if there is none."""
    files = sorted(path.glob("*.pub")) if path.is_dir() else [path]
    keys: PublicKeys = {}
    for file in files:
        try:
            with file.open("rb") as opened:
                blocks = _PUBLIC.findall(opened.read(_MAX_BYTES))
            found = [load_pem_public_key(block) for block in blocks]
        except OSError as error:
            raise ConfigError(f"the key {file} cannot be read: {error.strerror}", todo="name a file with --key") from error
        except (ValueError, UnsupportedAlgorithm) as error:
            raise ConfigError(f"{file} is no public key", todo="name a PEM file with an Ed25519 public key") from error
        keys |= {key_id(key): key for key in found if isinstance(key, Ed25519PublicKey)}
    if not keys:
        raise ConfigError(f"{path} holds no Ed25519 public key", todo="name the installation's receipt.pub with --key")
    return keys


def _files(directory: Path) -> list[tuple[int, Path]]:
    """The private keys, the oldest first."""
    named = ((match, path) for path in directory.glob("receipt-*.pem") if (match := _NAME.match(path.name)))
    return sorted((int(match.group(1)), path) for match, path in named)


def _private(path: Path) -> Ed25519PrivateKey:
    todo = f"chmod 600 {path}, and make a new key with 'backstop receipt keygen' if anybody may have read it"
    try:
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise ConfigError(f"others can read the signing key {path}", unchanged="nothing was signed", todo=todo)
        key = load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise ConfigError(f"the signing key {path} cannot be read: {error.strerror}", unchanged="nothing was signed") from error
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ConfigError(f"{path} is no signing key", unchanged="nothing was signed") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigError(f"{path} is no Ed25519 key", unchanged="nothing was signed")
    return key
