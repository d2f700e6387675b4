"""The DSSE envelope: the payload and its type are signed together, by Ed25519 over their pre-authentication encoding.

Protocol: https://github.com/secure-systems-lab/dsse/blob/master/protocol.md. The envelope's own JSON is canonical, so that one
receipt is one sequence of bytes, and its digest names it.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidSignature

from backstop.errors import ReceiptError
from backstop.events import canonical
from backstop.receipts.keys import PublicKeys, SigningKeys
from backstop.receipts.record import Json, strict

PAYLOAD_TYPE: Final = "application/vnd.in-toto+json"


@dataclass(frozen=True)
class Opened:
    """An envelope that was taken apart. Nothing in it is to be believed before `check`."""

    payload: bytes
    signature: bytes
    key_id: str


def pae(payload: bytes, payload_type: str = PAYLOAD_TYPE) -> bytes:
    """What is signed: DSSE's pre-authentication encoding."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def seal(payload: Json, keys: SigningKeys) -> str:
    """The envelope as a file's text."""
    body = canonical(payload).encode()
    signature = {"keyid": keys.key_id, "sig": _coded(keys.signer.sign(pae(body)))}
    return canonical({"payload": _coded(body), "payloadType": PAYLOAD_TYPE, "signatures": [signature]}) + "\n"


def take_apart(content: bytes) -> Opened:
    """Raises ReceiptError for what is no envelope of ours, byte for byte."""
    try:
        text = content.decode("utf-8")
        envelope = strict(text.removesuffix("\n"))
    except ValueError as error:
        raise ReceiptError(f"the receipt {'is not UTF-8' if isinstance(error, UnicodeDecodeError) else error}") from error
    if not text.endswith("\n"):
        raise ReceiptError("the receipt is cut off")
    match envelope:
        case {"payloadType": str(kind)} if kind != PAYLOAD_TYPE:
            raise ReceiptError("the receipt's payload type was altered, or it is no receipt")
        case {"payload": str(payload), "payloadType": str(), "signatures": [{"keyid": str(key_id), "sig": str(sig), **rest}]} if (
            len(envelope) == 3 and not rest
        ):
            return Opened(_decoded(payload, "payload"), _decoded(sig, "signature"), key_id)
        case _:
            raise ReceiptError("this is no receipt: an envelope has a payload, its type and one signature")


def check(opened: Opened, keys: PublicKeys) -> Json:
    """The payload, once its signature holds. Raises ReceiptError."""
    key = keys.get(opened.key_id)
    if key is None:
        raise ReceiptError(f"the receipt was signed with the key {opened.key_id!a}, which is none of {', '.join(keys) or 'none'}")
    try:
        key.verify(opened.signature, pae(opened.payload))
    except InvalidSignature as error:
        raise ReceiptError(
            f"the signature does not hold under the key {opened.key_id}: payload or signature were altered"
        ) from error
    return payload_of(opened)


def payload_of(opened: Opened) -> Json:
    """The payload without regard to its signature. Raises ReceiptError."""
    try:
        return strict(opened.payload.decode("utf-8"))
    except ValueError as error:
        raise ReceiptError("the receipt's payload is no canonical JSON") from error


def _coded(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _decoded(text: str, what: str) -> bytes:
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ReceiptError(f"the receipt's {what} was altered: it is not base64") from error
    if _coded(raw) != text:  # the unused bits at the end
        raise ReceiptError(f"the receipt's {what} was altered: it is not canonical base64")
    return raw
