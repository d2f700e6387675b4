"""Secrets that show by their own shape: tokens, URLs, headers, command lines, private keys, people. All made up."""

from __future__ import annotations

import base64
from typing import Final

from tests.redaction.case import Case, j

PW: Final = j("kT7", "-velvet", "_Anchor", "42")
HEX: Final = j("c4d0e8f1", "97b35a62", "1f6e09d8", "b7a4c513")
LONG: Final = j("Zq8Lw3Rk", "9Vb1NxYc", "HdM5s0Pf", "GjTe2aU7", "oIqW4eR6", "tY8uI0oP")
PAIR: Final = base64.b64encode(j("svc:", "Marble-", "Tango-77").encode()).decode()

_TOKENS: Final = (
    ("anthropic", j("sk-", "ant-", "api03-"), LONG),
    ("openai", j("sk-", "proj-"), LONG),
    ("huggingface", j("h", "f_"), LONG[:34]),
    ("github", j("gh", "p_"), LONG[:36]),
    ("github fine-grained", j("github", "_pat_"), LONG),
    ("gitlab", j("gl", "pat-"), LONG[:20]),
    ("aws", j("AK", "IA"), "Z7Q2LMN4PRSTUV6X"),
    ("google", j("AI", "za"), LONG[:35]),
    ("google oauth", j("ya", "29."), LONG),
    ("slack", j("xo", "xb-"), "123456789012-123456789012-" + LONG[:24]),
    ("stripe", j("sk", "_live_"), LONG[:24]),
    ("stripe restricted", j("rk", "_live_"), LONG[:24]),
    ("sendgrid", j("S", "G."), LONG[:22] + "." + LONG[:43]),
    ("npm", j("np", "m_"), LONG[:36]),
    ("pypi", j("pypi-", "AgEI"), LONG),
    ("digitalocean", j("do", "p_v1_"), HEX + HEX),
    ("databricks", j("da", "pi"), HEX),
    ("vault", j("hv", "s."), LONG[:24]),
    ("grafana", j("gl", "sa_"), LONG[:32] + "_1a2b3c4d"),
    ("new relic", j("NR", "AK-"), LONG[:27].upper()),
    ("shopify", j("sh", "pat_"), HEX),
    ("twilio", j("S", "K"), HEX),
    ("telegram", "7012345678:", j("AA", "H") + LONG[:32]),
    ("docker", j("dckr", "_pat_"), LONG[:27]),
    ("doppler", j("dp", ".pt."), LONG[:43]),
    ("tailscale", j("tsk", "ey-auth-"), LONG[:20]),
    ("openshift", j("sha", "256~"), LONG[:43]),
    ("age", j("AGE-", "SECRET-KEY-1"), LONG.upper()),
    ("json web token", j("ey", "JhbGciOiJSUzI1NiJ9."), j("ey", "JzdWIiOiI0MiJ9.") + LONG),
    ("linear", j("lin", "_api_"), LONG[:40]),
    ("atlassian", j("ATA", "TT3"), LONG + "="),
    ("sentry", j("sntr", "yu_"), HEX + HEX),
    ("postman", j("PM", "AK-"), HEX[:24] + "-" + HEX),
)  # fmt: skip


def _pem(kind: str = "RSA PRIVATE") -> tuple[str, tuple[str, ...], str]:
    body = tuple(base64.b64encode(f"{kind} key material, made up, {n}".encode() * 2).decode()[:64] for n in range(4))
    return j("-----", "BEGIN ", kind, " KEY-----"), body, j("-----", "END ", kind, " KEY-----")


BEGIN, BODY, END = _pem()
_ALL: Final = "\n".join([BEGIN, *BODY, END])

SHAPES: Final = (
    *(Case(f"token: {name}", f"level=warn rejected {start}{rest} by gateway", (rest[-20:],), ("level=warn rejected", "by gateway"))
      for name, start, rest in _TOKENS),
    *(Case(f"token, cut: {name}", f"rejected {start}{rest[:24]}", (rest[10:24],), ("rejected",))
      for name, start, rest in _TOKENS if name in {"anthropic", "github", "stripe", "vault", "json web token"}),
    # URLs
    Case("url",
         f"dial postgres://app:{PW}@prod-db:5432/shop?sslmode=disable failed", (PW,), ("postgres://app:",
         "@prod-db:5432/shop?sslmode=disable failed")),
    Case("url without a user", f"redis://:{PW}@cache:6379/0", (PW,), ("@cache:6379/0",)),
    Case("url with a slash in the password", "amqp://app:ab/cd9X!e@mq:5672/v", ("ab/cd9X!e",), ("@mq:5672/v",)),
    Case("url with an at sign in the password", "mysql://app:ab@cd9X!ef@db:3306/v", ("ab@cd9X!ef",), ("@db:3306/v",)),
    Case("url with an encoded password",
         "mongodb://app:p%40ss%2Fw0rd@m0:27017,m1:27017/x", ("p%40ss%2Fw0rd",), ("@m0:27017,m1:27017/x",)),
    Case("url with a token for a user",
         f"clone https://{LONG[:30]}@git.internal/shop/web.git", (LONG[:30],), ("@git.internal/shop/web.git",)),
    Case("url with a placeholder name",
         f"url=https://user:{PW}@host.example.com/path#frag", (PW,), ("@host.example.com/path#frag",)),
    Case("url, encoded whole", f"target=postgres%3A%2F%2Fapp%3A{PW}%40db%3A5432", (PW,), ("%40db%3A5432",)),
    Case("url, cut", f"connecting to redis://default:{PW[:13]}", (PW[:13],), ("redis://default:",)),
    Case("go mysql", f"open app:{PW}@tcp(prod-db:3306)/shop?parseTime=true", (PW,), ("@tcp(prod-db:3306)/shop",)),
    Case("oracle", f"sqlplus app/{PW}@//ora:1521/ORCL", (PW,), ("@//ora:1521/ORCL",)),
    Case("proxy", f"proxy app:{PW}@10.0.0.9:3128 refused", (PW,), ("@10.0.0.9:3128 refused",)),
    Case("signed url",
         f"GET https://b.s3.amazonaws.com/k?X-Amz-Expires=60&X-Amz-Signature={HEX}{HEX} 403", (HEX,), ("X-Amz-Expires=60", " 403")),
    Case("shared access signature",
         f"https://x.blob.core.windows.net/c?sv=2022-11-02&sig={LONG}%3D&se=2026", (LONG,), ("sv=2022-11-02", "se=2026")),
    Case("discord", f"POST https://discord.com/api/webhooks/123456789012345678/{LONG} 429", (LONG,), (" 429",)),
    Case("code of a callback", f"GET /cb?code={LONG}&state=ok 302", (LONG,), ("state=ok", " 302")),
    # headers
    Case("bearer", f"Authorization: Bearer {PW}", (PW,), ("Authorization: Bearer",)),
    Case("bearer, bare", f"sent Bearer {LONG} to api", (LONG,), ("to api",)),
    Case("basic", f"authorization: Basic {PAIR}", (PAIR,), ("Basic",)),
    Case("basic spreads",
         f"Authorization: Basic {PAIR}\nlater {j('Marble-', 'Tango-77')} seen", (PAIR, j("Marble-", "Tango-77")), ("seen",)),
    Case("token scheme", f"'Authorization': 'Token {PW}'", (PW,), ("'Token ",)),
    Case("no scheme", f"Authorization: {PW}", (PW,)),
    Case("digest", f'Authorization: Digest username="kim", nonce="{HEX}", response="{HEX}"', (HEX,), ("Digest",)),
    Case("aws signature",
         f"Authorization: AWS4-HMAC-SHA256 Credential={j('AK', 'IA')}Z7Q2LMN4PRSTUV6X/2026/s3, Signature={HEX}", (HEX,
         "Z7Q2LMN4PRSTUV6X")),
    Case("go header map", f"map[Accept:[*/*] Authorization:[Bearer {PW}] X-Api-Key:[{HEX}]]", (PW, HEX), ("Accept:[*/*]",)),
    Case("json header list", f'{{"Authorization":["Bearer {PW}"],"Accept":["*/*"]}}', (PW,), ('"Accept":["*/*"]',)),
    Case("cookie", f"Cookie: theme=dark; session={PW}; csrftoken={HEX}", (PW, HEX), ("theme=", "session=")),
    Case("set-cookie", f"Set-Cookie: sid={PW}; Path=/; HttpOnly; Max-Age=60", (PW,), ("Path=/; HttpOnly; Max-Age=60",)),
    Case("api key header", f"x-api-key: {PW}\r\nhost: api", (PW,), ("host: api",)),
    Case("curl header", f"curl -H 'Authorization: Bearer {PW}' https://api/x", (PW,), ("https://api/x",)),
    Case("registry login", f'{{"auths":{{"r.internal":{{"auth":"{PAIR}"}}}}}}', (PAIR,), ("r.internal",)),
    # command lines
    Case("flag", f"app --db-password {PW} --port 8080", (PW,), ("--port 8080",)),
    Case("flag with an equals sign", f"app --client-secret={PW} --port=8080", (PW,), ("--port=8080",)),
    Case("flag in a list", f'["app","--api-key","{PW}","--port","8080"]', (PW,), ('"--port","8080"',)),
    Case("flag with quotes", f"app --password '{PW} x' run", (PW,), ("run",)),
    Case("java property", f"java -Djavax.net.ssl.keyStorePassword={PW} -jar a.jar", (PW,), ("-jar a.jar",)),
    Case("mysql", f"mysql -h db -uapp -p{PW} shop", (PW,), ("mysql -h db -uapp", " shop")),
    Case("sshpass", f"sshpass -p {PW} ssh app@10.0.0.4", (PW,), ("ssh app@10.0.0.4",)),
    Case("curl user", f"curl -u kim:{PW} https://x.internal/", (PW,), ("https://x.internal/",)),
    Case("argv with a user", f"['tool', '-u', 'kim', '-p', '{PW}', '-v']", (PW,), ("'-v'",)),
    Case("sql", f"ALTER USER app WITH PASSWORD '{PW}' VALID UNTIL 'infinity'", (PW,), ("VALID UNTIL 'infinity'",)),
    Case("sql of mysql", f"CREATE USER 'app'@'%' IDENTIFIED BY '{PW}'", (PW,), ("CREATE USER 'app'",)),
    Case("netrc", f"machine git.internal login kim password {PW}", (PW,), ("machine git.internal login kim",)),
    # private keys
    Case("pem", f"key:\n{_ALL}\ndone", BODY, ("key:", "done")),
    Case("pem of a newer kind", _ALL.replace("RSA PRIVATE", "PRIVATE"), BODY),
    Case("pem for ssh", _ALL.replace("RSA", "OPENSSH"), BODY),
    Case("pem, encrypted", _ALL.replace("KEY-----\n", "KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,9F3A\n\n", 1), BODY),
    Case("pem, indented", "tls:\n" + "\n".join("      " + line for line in _ALL.split("\n")) + "\nport: 1", BODY, ("port: 1",)),
    Case("pem in a string", f'{{"key":"{_ALL}","n":1}}'.replace("\n", "\\n"), BODY, ('"n":1',)),
    Case("pem in a string of a string", f'{{\\"key\\":\\"{_ALL}\\",\\"n\\":1}}'.replace("\n", "\\\\n"), BODY, ('\\"n\\":1',)),
    Case("pem behind log prefixes",
         "\n".join(f"10:00:0{n} INFO {line}" for n, line in enumerate(_ALL.split("\n"))), BODY, ("10:00:03 INFO",)),
    Case("pem in log objects",
         "\n".join(f'{{"log":"{line}\\n","stream":"stdout"}}' for line in _ALL.split("\n")), BODY, ('"stream":"stdout"',)),
    Case("pem without its end", "\n".join(["start", BEGIN, *BODY]), BODY, ("start",)),
    Case("pem without its end, mid-line", "\n".join(["start", BEGIN, *BODY, BODY[0][:30]]), BODY, ("start",)),
    Case("pem without its beginning", "\n".join([*BODY, END, "stop"]), BODY, ("stop",)),
    Case("pem in base64",
         "key " + base64.b64encode(_ALL.encode()).decode() + " end", (base64.b64encode(_ALL.encode()).decode(),), (" end",)),
    # people
    Case("e-mail",
         f"sent to {j('ann.lee', '+x', '@', 'mailbox.org')} at 10:00", (j("ann.lee", "+x", "@", "mailbox.org"),), ("at 10:00",)),
    Case("e-mail in a path",
         f"GET /users/{j('ann', '@', 'mailbox.org')}/orders 200", (j("ann", "@", "mailbox.org"),), ("/orders 200",)),
    Case("e-mail, encoded", f"GET /u?mail={j('ann', '%40', 'mailbox.org')}&n=1", (j("ann", "%40", "mailbox.org"),), ("&n=1",)),
    Case("public address",
         f"from {j('84.', '17.52.', '9')}:4711 and 10.1.2.3", (j("84.", "17.52.", "9"),), (":4711 and 10.1.2.3",)),
    Case("public address, version 6",
         f"from [{j('2a02:', '8108:96c0::', '1f')}]:443 ok", (j("2a02:", "8108:96c0::", "1f"),), ("]:443 ok",)),
    Case("card", f"card={j('4111', '1111', '1111', '1111')} ok", (j("4111", "1111", "1111", "1111"),), (" ok",)),
    Case("card with dashes", f"card {j('5500', '-0000', '-0000', '-0004')} ok", (j("5500", "-0000", "-0000", "-0004"),), (" ok",)),
    Case("american express", f"card {j('3782', ' 822463', ' 10005')} ok", (j("3782", " 822463", " 10005"),), (" ok",)),
    Case("social security number", f"ssn {j('219', '-09-', '9999')} ok", (j("219", "-09-", "9999"),), (" ok",)),
)  # fmt: skip
