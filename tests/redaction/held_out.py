"""Texts written before the redactor was, and never tuned on. Every secret is made up."""

from __future__ import annotations

import base64
import json
from typing import Final

from tests.redaction.case import Case, j

_PW: Final = j("vQ7", "tram", "Kettle", "93")
_PW2: Final = j("Olive", "!Harp", "#2281")
_HEX: Final = j("9f3c1b7ad04e", "52c8a1d6", "77e0b4f2c935")
_B64: Final = base64.b64encode(j("Marble", "Tango", "-5518-x").encode()).decode()
_KEY_BODY: Final = (
    j("MIIEvQIBADANBgkqhkiG9w0BAQEFAASC", "BKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj"),
    j("MzEfYyjiWA4R4/M2bS1GB4t7NXp98C3S", "C6dVMvDuictGeurT8jNbvJZHtCSuYEvu"),
    j("NMoSfm76oqFvAp8Gy0iz5sxjZmSnXyCd", "PEovGhLa0VzMaQ8s+CLOyS56YyCFGeJZ"),
)


def _begin(kind: str = "RSA PRIVATE") -> str:
    return j("-----", "BEGIN ", kind, " KEY", "-----")


def _end(kind: str = "RSA PRIVATE") -> str:
    return j("-----", "END ", kind, " KEY", "-----")


HELD_OUT: Final = (
    Case(
        "postgres says the password is wrong",
        'org.postgresql.util.PSQLException: FATAL: password authentication failed for user "orders"\n'
        "\tat org.postgresql.core.v3.ConnectionFactoryImpl.doAuthentication(ConnectionFactoryImpl.java:659)",
        kept=('password authentication failed for user "orders"', "ConnectionFactoryImpl.java:659"),
    ),
    Case(
        "node prints its environment",
        f"config loaded {{ NODE_ENV: 'production', REDIS_PASSWORD: '{_PW}', PORT: '8080', SESSION_SECRET: '{_HEX}' }}",
        gone=(_PW, _HEX),
        kept=("NODE_ENV: 'production'", "PORT: '8080'", "REDIS_PASSWORD"),
    ),
    Case(
        "kubectl describe",
        "    Environment:\n      DB_HOST:      prod-db.shop.svc\n"
        "      DB_PASSWORD:  <set to the key 'password' in secret 'prod-db'>  Optional: false\n"
        f"      STRIPE_KEY:   {j('sk', '_live_', '51Hq', 'ZtKw8Lm2Nv9Xb4Rc')}\n    Mounts:\n"
        "      /var/run/secrets/kubernetes.io/serviceaccount from kube-api-access-x7k2p (ro)",
        gone=(j("51Hq", "ZtKw8Lm2Nv9Xb4Rc"),),
        kept=("<set to the key 'password' in secret 'prod-db'>", "/var/run/secrets/kubernetes.io/serviceaccount", "x7k2p"),
    ),
    Case(
        "helm values",
        f'auth:\n  rootPassword: "{_PW}"\n  replicationUser: replicator\n  existingSecret: prod-mysql'
        f'\n  password: ""\nreplicas: 3\n',
        gone=(_PW,),
        kept=("replicationUser: replicator", "existingSecret: prod-mysql", 'password: ""', "replicas: 3"),
    ),
    Case(
        "curl with a user",
        f"+ curl -sf -u deployer:{_PW} https://artifacts.internal/repo/app.tgz -o app.tgz",
        gone=(_PW,),
        kept=("https://artifacts.internal/repo/app.tgz", "-o app.tgz"),
    ),
    Case(
        "psql from a shell",
        f"sh: PGPASSWORD={_PW} psql -h prod-db -U app -c 'select 1'",
        gone=(_PW,),
        kept=("psql -h prod-db -U app",),
    ),
    Case(
        "mysqldump",
        f"command: mysqldump -uroot -p{_PW} --single-transaction shop",
        gone=(_PW,),
        kept=("--single-transaction shop",),
    ),
    Case("redis-cli", f"exec: redis-cli -h cache -a {_PW} ping", gone=(_PW,), kept=("redis-cli -h cache", "ping")),
    Case(
        "jdbc",
        f"spring.datasource.url=jdbc:mysql://prod-db:3306/shop?user=app&password={_PW}&useSSL=true",
        gone=(_PW,),
        kept=("jdbc:mysql://prod-db:3306/shop", "useSSL=true"),
    ),
    Case(
        "ado.net",
        f"ConnectionString: Server=tcp:sql-prod,1433;Database=shop;User Id=sa;Password={_PW2};Encrypt=True;",
        gone=(_PW2,),
        kept=("Server=tcp:sql-prod,1433", "Encrypt=True"),
    ),
    Case(
        "azure storage",
        f"DefaultEndpointsProtocol=https;AccountName=shopprod;"
        f"AccountKey={j('kP4w', 'Zr8Q1xYv')}{_B64};EndpointSuffix=core.windows.net",
        gone=(j("kP4w", "Zr8Q1xYv"), _B64),
        kept=("AccountName=shopprod", "EndpointSuffix=core.windows.net"),
    ),
    Case(
        "aws credentials file",
        f"[default]\naws_access_key_id = {j('AK', 'IA', 'Z7Q2LMN4PRSTUV6X')}\n"
        f"aws_secret_access_key = {j('q8Zt/', 'Lw3+Rk9Vb1Nx', 'YcHdM5s0PfGjTe2aU7oI')}\nregion = eu-west-1",
        gone=(j("AK", "IA", "Z7Q2LMN4PRSTUV6X"), j("q8Zt/", "Lw3+Rk9Vb1Nx", "YcHdM5s0PfGjTe2aU7oI")),
        kept=("region = eu-west-1", "[default]"),
    ),
    Case(
        "docker config",
        json.dumps({"auths": {"registry.shop.internal": {"auth": _B64, "email": ""}}}),
        gone=(_B64,),
        kept=("registry.shop.internal",),
    ),
    Case(
        "list of objects",
        json.dumps(
            {
                "kind": "List",
                "items": [
                    {"kind": "Secret", "metadata": {"name": "prod-db"}, "data": {"blob": _B64}},
                    {"kind": "ConfigMap", "metadata": {"name": "flags"}, "data": {"mode": "blue-green-please"}},
                ],
            }
        ),
        gone=(_B64,),
        kept=("prod-db", "flags", "blue-green-please"),
    ),
    Case(
        "several yaml documents",
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: web\ndata:\n  greeting: good-morning\n---\n"
        f"apiVersion: v1\ndata:\n  cert.p12: {_B64}\nkind: Secret\nmetadata:\n  name: web-tls\ntype: Opaque\n---\n"
        "kind: Deployment\nspec:\n  replicas: 4\n",
        gone=(_B64,),
        kept=("greeting: good-morning", "name: web-tls", "replicas: 4", "type: Opaque"),
    ),
    Case(
        "last applied configuration",
        "kind: Secret\nmetadata:\n  annotations:\n    kubectl.kubernetes.io/last-applied-configuration: |\n"
        f'      {{"apiVersion":"v1","kind":"Secret","metadata":{{"name":"x"}},"stringData":{{"field":"{_PW}"}}}}\n  name: x\n',
        gone=(_PW,),
        kept=("name: x",),
    ),
    Case(
        "key in a yaml block",
        "tls:\n  key: |\n    " + "\n    ".join([_begin(), *_KEY_BODY, _end()]) + "\n  cert: /etc/tls/tls.crt\nport: 8443",
        gone=_KEY_BODY,
        kept=("cert: /etc/tls/tls.crt", "port: 8443"),
    ),
    Case(
        "key in a log, cut",
        "\n".join(f"2026-03-01T10:00:0{n}Z stderr F {line}" for n, line in enumerate([_begin("EC PRIVATE"), *_KEY_BODY])),
        gone=_KEY_BODY,
        kept=("2026-03-01T10:00:00Z",),
    ),
    Case(
        "git remote with a token",
        f"fatal: unable to access 'https://x-access-token:{j('gh', 's_', '16C7e42F292c6912E7710c838347Ae178B4a')}"
        f"@github.com/shop/web.git/': "
        "Could not resolve host; try git@github.com:shop/web.git",
        gone=(j("16C7e42F292c", "6912E7710c838347Ae178B4a"),),
        kept=("github.com/shop/web.git", "git@github.com:shop/web.git", "Could not resolve host"),
    ),
    Case(
        "go structs",
        f'cfg=&config.DB{{Host:"prod-db", User:"app", Password:"{_PW}", MaxConns:10}}\n'
        f"cfg={{Host:prod-db User:app Password:{_PW2} Port:5432}}",
        gone=(_PW, _PW2),
        kept=('Host:"prod-db"', "MaxConns:10", "Port:5432", "User:app"),
    ),
    Case(
        "python repr",
        f"Settings(db_password='{_PW}', debug=False,"
        f" api_key=SecretStr('**********'), opts={{'passphrase': '{_PW2}', 'retries': 3}})",
        gone=(_PW, _PW2),
        kept=("debug=False", "SecretStr('**********')", "'retries': 3"),
    ),
    Case(
        "java properties",
        f"spring.datasource.password={_PW}\nspring.datasource.username=app\njwt.signing-key: {_HEX}\nserver.port=8080",
        gone=(_PW, _HEX),
        kept=("spring.datasource.username=app", "server.port=8080"),
    ),
    Case(
        "xml",
        f'<property name="hibernate.connection.password" value="{_PW}"/>\n<secretKey>{_HEX}</secretKey>\n<name>orders</name>',
        gone=(_PW, _HEX),
        kept=("<name>orders</name>", "hibernate.connection.password"),
    ),
    Case(
        "http headers",
        f"> GET /v1/items HTTP/1.1\n> Host: api.internal\n> X-Api-Key: {_PW}\n> Cookie: theme=dark; session={_HEX}\n"
        f'> Proxy-Authorization: Basic {_B64}\n< HTTP/1.1 401 Unauthorized\n< WWW-Authenticate: Bearer realm="items"',
        gone=(_PW, _HEX, _B64),
        kept=("Host: api.internal", "401 Unauthorized", "GET /v1/items"),
    ),
    Case(
        "oauth callback",
        f'10.2.0.7 - - "GET /cb?state=ok&access_token={_HEX}&page=2 HTTP/1.1" 302 0',
        gone=(_HEX,),
        kept=("10.2.0.7", "page=2", "302 0", "state=ok"),
    ),
    Case(
        "presigned url",
        "GET https://shop-media.s3.amazonaws.com/a.png?X-Amz-Algorithm=AWS4-HMAC-SHA256"
        f"&X-Amz-Credential={j('AS', 'IA', 'Q4W5E6R7T2Y3U4A2')}%2F20260301%2Feu-west-1"
        f"&X-Amz-Expires=300&X-Amz-Signature={_HEX}{_HEX} 403",
        gone=(j("AS", "IA", "Q4W5E6R7T2Y3U4A2"), _HEX),
        kept=("https://shop-media.s3.amazonaws.com/a.png", "X-Amz-Expires=300", "403"),
    ),
    Case(
        "jwt in prose",
        'level=warn msg="rejected '
        + j("eyJhbGciOiJIUzI1NiJ9", ".eyJzdWIiOiI0MiIsIm4iOiJBbm4ifQ", ".dBjftJeZ4CVPmB92K27uhbUJU1p1r")
        + '" code=401',
        gone=(j("eyJzdWIiOiI0MiIs", "Im4iOiJBbm4ifQ"), j("dBjftJeZ4CVP", "mB92K27uhbUJU1p1r")),
        kept=("level=warn", "code=401"),
    ),
    Case(
        "slack webhook",
        f"notify failed: https://hooks.slack.com/services/{j('T03', 'ABCDEF', '/B04', 'GHIJKL', '/mN8pQ2rS5tU7vW9xY1zA3bC5')}: 404",
        gone=(j("mN8pQ2rS5tU7", "vW9xY1zA3bC5"),),
        kept=("notify failed", "404"),
    ),
    Case(
        "a customer in a log",
        f"order 4929123412341234 by {j('ann.lee', '+shop', '@', 'mailbox.org')}"
        f" card {j('4539', ' 5787 ', '6362 ', '1486')} ssn {j('219', '-09-', '9997')} ok",
        gone=(j("ann.lee", "+shop", "@", "mailbox.org"), j("4539", " 5787 ", "6362 ", "1486"), j("219", "-09-", "9997")),
        kept=("order 4929123412341234 by", "ok"),
    ),
    Case(
        "access log",
        f'{j("84.", "17.", "52.", "9")} - - [01/Mar/2026:10:00:00 +0000] "GET / HTTP/1.1"'
        f' 200 612 "-" "curl/8.4.0" "{j("2a02:", "8108:96c0::", "1f")}"\n'
        '10.244.1.17 - - [01/Mar/2026:10:00:01 +0000] "GET /healthz HTTP/1.1"'
        ' 200 2 "-" "kube-probe/1.31"\n[fd00:10::2]:8080 up since 10:00:01',
        gone=(j("84.", "17.", "52.", "9"), j("2a02:", "8108:96c0::", "1f")),
        kept=("10.244.1.17", "kube-probe/1.31", "curl/8.4.0", "[fd00:10::2]:8080", "01/Mar/2026:10:00:00 +0000"),
    ),
    Case(
        "the value comes back",
        f"env DB_PASSWORD={_PW2}\nretry with {_PW2} failed\nurl-encoded {_PW2.replace('!', '%21').replace('#', '%23')}\n"
        f"base64 {base64.b64encode(_PW2.encode()).decode()}\nplain words stay",
        gone=(_PW2, _PW2.replace("!", "%21").replace("#", "%23"), base64.b64encode(_PW2.encode()).decode()),
        kept=("retry with ", "plain words stay"),
    ),
    Case(
        "identifiers stay",
        "image: registry.shop.internal/web@sha256:3b1f0e7c5d9a2846b0c1d2e3f4a5968778695a4b3c2d1e0f9a8b7c6d5e4f3a2b\n"
        'uid: 7d3c9f52-1b7e-4c11-9e0a-2f6b8a4d5c10\npod-template-hash: 6d9f7c8b54\nresourceVersion: "184467"\n'
        "commit 1f0c2e9d8b7a6f5e4d3c2b1a09f8e7d6c5b4a392\npod/checkout-6d9f7c8b54-x2x7z restarted",
        kept=(
            "sha256:3b1f0e7c5d9a2846b0c1d2e3f4a5968778695a4b3c2d1e0f9a8b7c6d5e4f3a2b",
            "7d3c9f52-1b7e-4c11-9e0a-2f6b8a4d5c10",
            "pod-template-hash: 6d9f7c8b54",
            "1f0c2e9d8b7a6f5e4d3c2b1a09f8e7d6c5b4a392",
            "checkout-6d9f7c8b54-x2x7z",
            'resourceVersion: "184467"',
        ),
    ),
    Case(
        "token counts stay",
        'usage: {"prompt_tokens": 812, "completion_tokens": 77, "total_tokens": 889}\nmax_tokens: 4096\ntokenizer=cl100k_base\n'
        "token bucket is empty, key=orders, author: kim, passed: 12, monkey: banana, secretName: web-tls",
        kept=(
            '"prompt_tokens": 812',
            "max_tokens: 4096",
            "tokenizer=cl100k_base",
            "key=orders",
            "author: kim",
            "passed: 12",
            "monkey: banana",
            "secretName: web-tls",
            "token bucket is empty",
        ),
    ),
    Case(
        "json in json in json",
        json.dumps({"log": json.dumps({"msg": json.dumps({"user": "kim", "password": _PW}), "n": 3}) + "\n", "stream": "stdout"}),
        gone=(_PW,),
        kept=("kim", "stdout"),
    ),
    Case(
        "json that breaks off",
        f'{{"user":"app","timeout":30,"db_password":"{_PW}',
        gone=(_PW,),
        kept=('"user":"app"', '"timeout":30'),
    ),
    Case("a url that breaks off", f"connecting to postgres://app:{_PW}", gone=(_PW,), kept=("connecting to postgres://",)),
    Case(
        "urls",
        f"redis://:{_PW}@cache:6379/0"
        f" amqp://svc:{_PW2.replace('#', '%23')}@mq:5672/%2f mongodb+srv://u:{_HEX}@c0.x1.mongodb.net/shop?w=1 "
        "http://prod-web:8080/a@b tcp://10.0.0.1:6379",
        gone=(_PW, _PW2.replace("#", "%23"), _HEX),
        kept=("@cache:6379/0", "mq:5672", "c0.x1.mongodb.net/shop?w=1", "http://prod-web:8080/a@b", "tcp://10.0.0.1:6379"),
    ),
    Case(
        "pq dsn",
        f"dial: host=prod-db port=5432 user=app password='{j('two ', 'words ', 'Here77')}' sslmode=disable",
        gone=(j("two ", "words ", "Here77"),),
        kept=("host=prod-db port=5432 user=app", "sslmode=disable"),
    ),
    Case(
        "flags",
        f'args: ["--port", "8080", "--db-password", "{_PW}", "--verbose"]\ncommand: app --api-token={_HEX}'
        f" --log-level debug --secret-key {_PW2} run\n"
        "args:\n  - --jwt-secret\n  - " + j("Zebra", "Cross", "ing41") + "\n  - --workers=4",
        gone=(_PW, _HEX, _PW2, j("Zebra", "Cross", "ing41")),
        kept=('"--port", "8080"', "--log-level debug", "--workers=4", "--verbose", "run"),
    ),
    Case(
        "env pairs",
        f"env:\n- name: SMTP_PASS\n  value: {_PW}\n- name: LOG_LEVEL\n  value: debug\n- name: TOKEN\n"
        f"  valueFrom:\n    secretKeyRef:\n"
        "      name: web-token\n      key: token\n"
        + json.dumps([{"name": "API_SECRET", "value": _HEX}, {"name": "REGION", "value": "eu-west-1"}]),
        gone=(_PW, _HEX),
        kept=("value: debug", "name: web-token", "key: token", "eu-west-1", "SMTP_PASS"),
    ),
    Case(
        "block scalar",
        f"client_secret: |\n  {_PW}\nredirect: https://shop.internal/cb\ncredentials: >-\n    {_HEX}\n    {_PW2}\nname: ok",
        gone=(_PW, _HEX, _PW2),
        kept=("redirect: https://shop.internal/cb", "name: ok"),
    ),
    Case(
        "terraform plan",
        f'  + password             = "{_PW}"\n  + port = 5432\n  ~ token = (sensitive value)\n  + name = "prod-db"',
        gone=(_PW,),
        kept=("port = 5432", "(sensitive value)", 'name = "prod-db"'),
    ),
    Case(
        "kubectl create secret",
        f"$ kubectl create secret generic db --from-literal=password={_PW} --from-literal=api={_PW2} -n shop",
        gone=(_PW, _PW2),
        kept=("kubectl create secret generic db", "-n shop"),
    ),
    Case(
        "kubeadm join",
        f"kubeadm join 10.0.0.5:6443 --token {j('k3x9qz', '.', '7hb2mv4tn8wd5rp1')} --discovery-token-ca-cert-hash "
        "sha256:5f1c0d9e8a7b6c5d4e3f2a1b0c9d8e7f6a5b4c3d2e1f0a9b8c7d6e5f4a3b2c1d",
        gone=(j("k3x9qz", ".", "7hb2mv4tn8wd5rp1"),),
        kept=("10.0.0.5:6443", "sha256:5f1c0d9e8a7b6c5d4e3f2a1b0c9d8e7f6a5b4c3d2e1f0a9b8c7d6e5f4a3b2c1d"),
    ),
    Case(
        "rails parameters",
        f'Parameters: {{"email"=>"{j("kim", "@", "posteo.de")}", "password"=>"[FILTERED]",'
        f' "otp_secret"=>"{_PW}", "commit"=>"Sign in"}}',
        gone=(j("kim", "@", "posteo.de"), _PW),
        kept=('"password"=>"[FILTERED]"', '"commit"=>"Sign in"'),
    ),
    Case(
        "words about passwords stay",
        "KeyError: 'password'\npassword must not be empty\nError: secret \"prod-db\" not found\n"
        'MountVolume.SetUp failed for volume "token" : references non-existent secret key: api-token\n'
        "authentication: none\nthe token expired at 10:00:00\nReason: Unauthorized",
        kept=(
            "KeyError: 'password'",
            "password must not be empty",
            'secret "prod-db" not found',
            "non-existent secret key: api-token",
            "authentication: none",
            "the token expired at 10:00:00",
            "Reason: Unauthorized",
        ),
    ),
)
