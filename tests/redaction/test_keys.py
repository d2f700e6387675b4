"""Which keys hold a secret, and that every one of them is looked for."""

from __future__ import annotations

import pytest

from backstop.redaction import Redactor
from backstop.redaction.hits import words
from backstop.redaction.keys import Holds, holds
from tests.redaction.case import j

VALUE = j("Gn8-", "tundra-", "57")
SENSITIVE = sorted(
    words(
        "password passwd pwd pw pass passphrase passcode DB_PASSWORD dbPassword db-password spring.datasource.password "
        "PGPASSWORD MYSQL_PWD userPass redispass requirepass masterauth bindpw secret_key clientSecret app.secret token "
        "apiToken access_token refreshToken api_key apiKey API_KEY APIKEY apikey secretKey privateKey private_key "
        "signing-key encryptionKey STRIPE_KEY OPENAI_KEY accountKey credentials creds psk otp totp cvv jwt csrf xsrf "
        "JSESSIONID PHPSESSID sessionId session_id sig signature hmac pepper mnemonic pat password1 password_2 "
        "passwordValue PASSWORD_PROD token_b64 secret_key_base client-key-data SharedAccessKey awsSecretAccessKey"
    )
)
HARMLESS = sorted(
    words(
        "author monkey keyboard compass bypass passport passed tokenizer tokens token_count max_tokens secretName "
        "secret_name existingSecret imagePullSecrets passwordFile password_policy public_key publicKey primary_key "
        "PARTITION_KEY cache_key routing_key idempotencyKey next_page_token continuationToken checksum/secret key name "
        "value host author_id keepalive keyspace authenticated authMode authorization_mode proxy_pass session timeout "
        "signal pattern path"
    )
)


@pytest.mark.parametrize("key", SENSITIVE)
def test_a_sensitive_key_hides_its_value_in_every_notation(key: str) -> None:
    assert holds(key) is not None
    for text in (
        f"{key}={VALUE}",
        f"{key}: {VALUE}",
        f'"{key}": "{VALUE}"',
        f"'{key}': '{VALUE}'",
        f'\\"{key}\\": \\"{VALUE}\\"',
        f"?{key}={VALUE}&x=1",
        f"{key}%3D{VALUE}",
        f"[{key}]={VALUE}",
        f"{key} = {VALUE}",
    ):
        assert VALUE not in Redactor(b"k").redact(text), text


@pytest.mark.parametrize("key", HARMLESS)
def test_another_key_hides_nothing(key: str) -> None:
    assert holds(key) is None
    assert Redactor(b"k").redact(f"{key}={VALUE}") == f"{key}={VALUE}"


@pytest.mark.parametrize(
    ("key", "what"),
    [
        ("Authorization", Holds.AUTHORIZATION),
        ("Set-Cookie", Holds.COOKIE),
        ("auth", Holds.BASE64),
        ("secret", Holds.NAME_OR_SECRET),
    ],
)
def test_some_keys_say_how_their_value_is_read(key: str, what: Holds) -> None:
    assert holds(key) is what


def test_the_name_of_a_secret_is_no_key() -> None:
    assert holds("redacted-token-00aa11bb") is None
