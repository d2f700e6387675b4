"""Which keys hold secrets: `DB_PASSWORD`, `spring.datasource.password`, `apiKey` do; `token_count`, `secretName`, `author` do not.

A key is cut into words (camel case, dots, dashes, underscores); what counts is the last word that is no mere qualifier. Word lists
are ours, from the names that configuration files, clients and cloud providers use.
"""

from __future__ import annotations

import re
from enum import Enum
from functools import lru_cache
from typing import Final

from backstop.redaction.hits import PLACEHOLDER, words


class Holds(Enum):
    """What the value of a key is, and so how it is read."""

    SECRET = 1
    NUMBER_OR_SECRET = 2  # `token: 5` and `pass=12` are counts
    NAME_OR_SECRET = 3  # `secret: prod-db` names a Secret
    AUTHORIZATION = 4  # a scheme, then the secret
    COOKIE = 5  # pairs, each of whose values is one
    BASE64 = 6  # `auth` of a registry's configuration, `encrypt` of Consul's: only if it is base64


_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_]+")
_QUALIFIERS: Final = words(
    "value val str string text plain plaintext cleartext raw b base encoded encrypted hash hashed old new current "
    "previous prev confirmation confirm repeat default prod production staging stage dev test live secondary main base data "
    "env ro rw backup"
)
_NEVER: Final = words("checksum digest count counts total length len size ttl expiry expiration")
_PASSWORDS: Final = words(
    "password passwd passphrase passcode passwort pwd pw psk apikey credential credentials cred creds otp totp cvv cvc jwt "
    "bearer mnemonic csrf xsrf sessionid jsessionid phpsessid requirepass masterauth signature sig hmac pepper authkey pat "
    "bindpw rootpw adminpw"
)
_ENDINGS: Final = (
    "password", "passwd", "passphrase", "passwort", "apikey", "secretkey", "accesskey", "privatekey", "authkey", "sessionid",
)  # fmt: skip
_ANY_PASS: Final = re.compile(r"(?!by|com|tres|under|over|sur|im)\w{2,12}pass$")
_PASSED_ON: Final = words("proxy fastcgi uwsgi scgi grpc memcached multi single first second render shader test")
_NAMED_SECRET: Final = words(
    "existing image pull tls kube kubernetes k8s from ref external sealed target registry cert certificate"
)
_COUNTED_TOKEN: Final = words(
    "page next continuation continue sync resume pagination cancellation fencing lock stop eos bos pad unk start end special "
    "mask sep cls first last lookahead unexpected expected input output prompt completion per max min num invalid"
)
_SECRET_KEY: Final = words(
    "api access secret private encryption encrypt encrypted decryption signing sign master shared account storage app "
    "application client auth authentication authorization session license licence ssh deploy webhook hmac aes rsa ec ecdsa ed "
    "jwt jwk service subscription admin root tls ssl pem crypto cipher vault unseal recovery cookie csrf stripe openai "
    "anthropic sendgrid twilio datadog dd newrelic pagerduty opsgenie github gitlab google gcp aws azure mailgun algolia "
    "mapbox integration instrumentation ingest ingestion function"
)
_PLAIN_KEY: Final = words(
    "public primary foreign partition sort shard cache routing row group index object map label annotation node composite "
    "unique idempotency dedup dedupe deduplication message lookup topology config registry field column table metric s3 redis "
    "item natural business order range hash distribution dist feature flag translation resource event kafka record lock rate "
    "limit tenant project bucket path file env tag the a by for host name"
)


@lru_cache(maxsize=8192)
def holds(key: str) -> Holds | None:
    """What the value of `key` is; None if nothing that has to be hidden."""
    if PLACEHOLDER.search(f"<{key}>"):
        return None
    parts = [word.lower() for word in _WORD.findall(key)]
    while parts and (parts[-1].isdigit() or parts[-1] in _QUALIFIERS):
        parts.pop()
    if not parts or not _NEVER.isdisjoint(parts):
        return None
    last, before = parts[-1], parts[-2] if len(parts) > 1 else ""
    if last == "key":
        return _key(before, shouting=key.isupper())
    if last in {"id", "cookie", "authorization", "auth", "encrypt"}:
        return _header(last, before, alone=len(parts) == 1)
    return _by_last_word(last, before)


def _by_last_word(last: str, before: str) -> Holds | None:
    if last.endswith("secret"):
        return None if before in _NAMED_SECRET else Holds.SECRET if before or last != "secret" else Holds.NAME_OR_SECRET
    if last.endswith("token"):
        return None if before in _COUNTED_TOKEN else Holds.NUMBER_OR_SECRET
    if last == "pass":
        return None if before in _PASSED_ON else Holds.NUMBER_OR_SECRET
    if last in _PASSWORDS or last.endswith(_ENDINGS) or _ANY_PASS.match(last):
        return Holds.SECRET
    return None


def _key(before: str, *, shouting: bool) -> Holds | None:
    if before in _SECRET_KEY or (shouting and before and before not in _PLAIN_KEY):
        return Holds.NUMBER_OR_SECRET
    return None


def _header(last: str, before: str, *, alone: bool) -> Holds | None:
    if last == "authorization":
        return Holds.AUTHORIZATION
    if last == "cookie":
        return Holds.COOKIE if alone or before in {"set", "http"} else None
    if last in {"auth", "encrypt"}:
        return Holds.BASE64 if alone else None
    return Holds.SECRET if before == "session" else None
