"""Service-account tokens: JSON Web Tokens signed with a key that the cluster makes for itself (ES256)."""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

AUDIENCE = "https://kubernetes.default.svc"
_HALF = 32


class BadToken(ValueError):
    """A token that is not ours, not valid now, or not meant for this API server."""


@dataclass(frozen=True)
class Claims:
    """What a valid token says: the account it stands for and its own id."""

    namespace: str
    name: str
    uid: str
    token_id: str
    expires: datetime


class Signer:
    """Makes and checks the tokens of one cluster."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._key = ec.generate_private_key(ec.SECP256R1())
        public = self._key.public_key().public_numbers()
        self._key_id = _encode(hmac.digest(b"kid", public.x.to_bytes(_HALF, "big"), "sha256"))

    def issue(self, namespace: str, name: str, uid: str, seconds: int, audiences: Sequence[str] = (AUDIENCE,)) -> str:
        """A token for a service account that is valid from now on for `seconds`."""
        now = int(self._now().timestamp())
        claims = {
            "aud": list(audiences),
            "exp": now + seconds,
            "iat": now,
            "iss": AUDIENCE,
            "jti": _uuid(),
            "kubernetes.io": {"namespace": namespace, "serviceaccount": {"name": name, "uid": uid}},
            "nbf": now,
            "sub": f"system:serviceaccount:{namespace}:{name}",
        }
        head = _encode(_json({"alg": "ES256", "kid": self._key_id})) + "." + _encode(_json(claims))
        r, s = decode_dss_signature(self._key.sign(head.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{head}.{_encode(r.to_bytes(_HALF, 'big') + s.to_bytes(_HALF, 'big'))}"

    def check(self, token: str, audience: str = AUDIENCE) -> Claims:
        """What the token says, if it is ours, valid now and meant for `audience`. Raises BadToken."""
        parts = token.split(".")
        if len(parts) != 3:
            raise BadToken("not a JSON Web Token")
        header, claims = _read(parts[0]), _read(parts[1])
        if header.get("alg") != "ES256":
            raise BadToken("signed in a way that is not ours")
        self._check_signature(f"{parts[0]}.{parts[1]}".encode(), _decode(parts[2]))
        now = self._now().timestamp()
        expires, begins, audiences = claims.get("exp"), claims.get("nbf"), claims.get("aud")
        if not isinstance(expires, int) or not isinstance(begins, int) or not begins <= now + 1 or not now < expires:
            raise BadToken("expired or not yet valid")
        if not isinstance(audiences, list) or audience not in audiences or claims.get("iss") != AUDIENCE:
            raise BadToken("meant for another audience")
        return _claims(claims, datetime.fromtimestamp(expires, self._now().tzinfo))

    def _check_signature(self, head: bytes, signature: bytes) -> None:
        if len(signature) != 2 * _HALF:
            raise BadToken("wrong signature")
        r, s = (int.from_bytes(half, "big") for half in (signature[:_HALF], signature[_HALF:]))
        try:
            self._key.public_key().verify(encode_dss_signature(r, s), head, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature:
            raise BadToken("wrong signature") from None


def _claims(claims: Mapping[str, Any], expires: datetime) -> Claims:
    bound = claims.get("kubernetes.io")
    account = bound.get("serviceaccount") if isinstance(bound, dict) else None
    if not isinstance(bound, dict) or not isinstance(account, dict):
        raise BadToken("names no service account")
    texts = [bound.get("namespace"), account.get("name"), account.get("uid"), claims.get("jti")]
    if not all(isinstance(text, str) and text for text in texts):
        raise BadToken("names no service account")
    namespace, name, uid, token_id = map(str, texts)
    return Claims(namespace, name, uid, token_id, expires)


def _uuid() -> str:
    digits = secrets.token_hex(16)
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise BadToken("not base64") from None


def _read(text: str) -> dict[str, Any]:
    try:
        value = json.loads(_decode(text))
    except (ValueError, RecursionError):
        raise BadToken("not a JSON Web Token") from None
    if not isinstance(value, dict):
        raise BadToken("not a JSON Web Token")
    return value
