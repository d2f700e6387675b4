"""More texts, from software that the other corpora do not mention; scored once before anything was changed for them."""

from __future__ import annotations

import base64
import json
from typing import Final

from tests.redaction.case import Case, j

PW: Final = j("Wq5", "+copper", "Ladder", "81")
HEX: Final = j("5be0c7d1", "94a2f836", "0d17e5b9", "c2683af4")
B64: Final = base64.b64encode(j("thirty", "-two-", "bytes-of-", "key-7").encode()).decode()
LONG: Final = j("Rk9Vb1Nx", "YcHdM5s0", "PfGjTe2a", "U7oIqW4e", "R6tY8uI0")
PEM_LINE: Final = j("MIIEvgIBADANBgkqhkiG9w0B", "AQEFAASCBKgwggSkAgEAAoIB")


def _case(name: str, text: str, *kept: str, gone: tuple[str, ...] = (PW,)) -> Case:
    return Case(name, text, gone, kept)


HELD_OUT_2: Final = (
    _case("jaas",
         f'sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required username="app" password="{PW}";',
          "PlainLoginModule required", 'username="app"'),
    _case("vault init", f"Unseal Key 1: {B64}\nInitial Root Token: {j('hv', 's.')}{LONG[:24]}\nVault initialized with 5 key shares",
          "Vault initialized with 5 key shares", gone=(B64, LONG[:24])),
    _case("rabbitmq", f"default_user = shop\ndefault_pass = {PW}\nlisteners.tcp.default = 5672", "default_user = shop", "5672"),
    _case("redis acl", f"user default on >{PW} ~* &* +@all\nuser ro on nopass ~*", "user ro on nopass"),
    _case("pgbouncer", f'"app" "{PW}"\nlisten_port = 6432\nauth_file: /etc/pgbouncer/userlist.txt', "listen_port = 6432", gone=()),
    _case("pgpass", f"prod-db:5432:shop:app:{PW}\n", "prod-db:5432"),
    _case("htpasswd", f"kim:{j('$ap', 'r1$')}u8Zq2x1K${LONG[:22]}", "kim", gone=(LONG[:22],)),
    _case("shadow", f"app:{j('$', '6$')}rounds=5000$saltsalt${LONG}:19000:0:99999:7:::", "app:", gone=(LONG,)),
    _case("wireguard",
         f"[Interface]\nPrivateKey = {B64[:43]}=\nListenPort = 51820\n[Peer]\nPublicKey = abc", "ListenPort = 51820",
         gone=(B64[:43],)),
    _case("google service account", json.dumps({"type": "service_account", "project_id": "shop-1", "private_key_id": HEX,
          "private_key": j("-----", "BEGIN PRIVATE", " KEY-----\n") + PEM_LINE + "\n" + j("-----", "END PRIVATE", " KEY-----\n")}),
          "service_account", "shop-1", gone=(PEM_LINE,)),
    _case("service bus",
         f"Endpoint=sb://shop.servicebus.windows.net/;SharedAccessKeyName=Root;SharedAccessKey={B64}",
         "SharedAccessKeyName=Root", gone=(B64,)),
    _case("debezium",
         json.dumps({"connector.class": "Postgres", "database.hostname": "db", "database.password": PW, "tasks.max": "1"}),
          '"tasks.max": "1"', '"database.hostname": "db"'),
    _case("prometheus",
         f"remote_write:\n- url: https://m.internal/w\n  basic_auth:\n    username: app\n    password: {PW}\n  queue_config: {{}}",
          "username: app", "queue_config"),
    _case("alertmanager",
         f"global:\n  smtp_auth_username: a\n  smtp_auth_password: {PW}\n  slack_api_url: "
         f"https://hooks.slack.com/services/T1/B2/{LONG[:24]}",
          "smtp_auth_username: a", gone=(PW, LONG[:24])),
    _case("nginx",
         f'proxy_set_header Authorization "Basic {base64.b64encode(f"app:{PW}".encode()).decode()}";\nproxy_pass http://web:80;',
          "proxy_pass http://web:80;", gone=(base64.b64encode(f"app:{PW}".encode()).decode(), PW)),
    _case("docker inspect",
         json.dumps({"Env": [f"DB_PASSWORD={PW}", "PATH=/usr/bin", f"API_KEY={HEX}"], "Cmd": ["run"]}), "PATH=/usr/bin", '"run"',
          gone=(PW, HEX)),
    _case("systemd", f'Environment="APP_TOKEN={PW}" "MODE=fast"\nExecStart=/usr/bin/app', "MODE=fast", "ExecStart=/usr/bin/app"),
    _case("strace", f'execve("/bin/app", ["app", "--secret", "{PW}"], 0x7ffe /* 12 vars */) = 0', "/* 12 vars */) = 0"),
    _case("audit log",
         json.dumps({"verb": "create", "requestObject": {"kind": "Secret", "apiVersion": "v1", "metadata": {"name": "x"},
         "data": {"k": B64}}}),
          '"verb": "create"', gone=(B64,)),
    _case("npmrc", f"//registry.npmjs.org/:_authToken={LONG}\nalways-auth=true", "always-auth=true", gone=(LONG,)),
    _case("npmrc, password", f"//r.internal/:_password={B64}\n//r.internal/:username=kim", ":username=kim", gone=(B64,)),
    _case("pip", f"Looking in indexes: https://kim:{PW}@pypi.internal/simple", "pypi.internal/simple"),
    _case("maven", f"<server><id>central</id><username>kim</username><password>{PW}</password></server>", "<id>central</id>"),
    _case("ansible",
         f"web1 ansible_host=10.0.0.4 ansible_ssh_pass={PW} ansible_become_pass='{HEX}'", "ansible_host=10.0.0.4", gone=(PW, HEX)),
    _case("ldap", f"uri ldap://ldap.internal\nbinddn cn=app,dc=x\nbindpw {PW}", "binddn cn=app,dc=x"),
    _case("consul", f'encrypt = "{B64[:44]}"\ndatacenter = "dc1"', 'datacenter = "dc1"', gone=(B64[:44],)),
    _case("temporary password", f"your temporary password is {PW} until noon", "until noon"),
    _case("net user", f"net user app {PW} /add", "net user app"),
    _case("unzip", f"unzip -P {PW} backup.zip", "backup.zip"),
    _case("htpasswd command", f"htpasswd -b -c /etc/h kim {PW}", "/etc/h kim"),
    _case("openssl", f"openssl rsa -in k.pem -passin pass:{PW} -out o.pem", "-out o.pem"),
    _case("sentry dsn", f"SENTRY_DSN=https://{HEX}@o42.ingest.sentry.io/1337", "ingest.sentry.io/1337", gone=(HEX,)),
    _case("laravel", f"APP_KEY=base64:{B64}\nAPP_DEBUG=true", "APP_DEBUG=true", gone=(B64,)),
    _case("rails", f"config.secret_key_base = '{HEX}{HEX}'\nRails.env = production", "production", gone=(HEX,)),
    _case("django", f"SECRET_KEY = 'django-insecure-{LONG}'\nDEBUG = True", "DEBUG = True", gone=(LONG,)),
    _case("keycloak",
         f"KC_DB_URL=jdbc:postgresql://db/kc KC_DB_PASSWORD={PW} KC_HTTP_PORT=8080", "KC_HTTP_PORT=8080",
         "jdbc:postgresql://db/kc"),
    _case("elastic", f"curl: (22) http://elastic:{PW}@es:9200/_cat returned 401", "@es:9200/_cat returned 401"),
    _case("airflow", f"AIRFLOW_CONN_DB=postgresql+psycopg2://af:{PW}@db/af", "@db/af"),
    _case("sqlalchemy", f"(Background) engine=Engine(postgresql://af:{PW}@db:5432/af) pool=QueuePool", "pool=QueuePool"),
    _case("python logging of headers",
         f"send: b'GET / HTTP/1.1\\r\\nHost: api\\r\\nAuthorization: Bearer {LONG}\\r\\nAccept: */*\\r\\n'", "Accept: */*",
         gone=(LONG,)),
    _case("java map",
         f"config={{bootstrap.servers=[k:9092], ssl.keystore.password={PW}, acks=all}}", "acks=all", "bootstrap.servers=[k:9092]"),
    _case("graphql",
         f'query: mutation {{ login(email: "{j("kim", "@", "posteo.de")}", password: "{PW}") {{ id }} }}', "{ id }",
         gone=(PW, j("kim", "@", "posteo.de"))),
    _case("csv header", "user,password_changed_at\nkim,2026-01-01", "user,password_changed_at", "kim,2026-01-01", gone=()),
    _case("coredns",
         "[INFO] 10.244.0.12:53211 - 4711 \"A IN prod-db.shop.svc.cluster.local. udp 54 false 512\" NOERROR qr,aa,rd 106 0.000187s",
          "10.244.0.12:53211 - 4711", "0.000187s", gone=()),
    _case("etcd",
         '{"level":"warn","ts":"2026-03-01T10:00:00.1Z","caller":"etcdserver/util.go:170","msg":"apply request took too long",'
          '"took":"120ms","prefix":"read-only range ","request":"key:\\"/registry/secrets/shop/prod-db\\" ",'
          '"response":"range_response_count:1 size:1204"}',
          'key:\\"/registry/secrets/shop/prod-db\\"', "size:1204", gone=()),
    _case("kubelet",
         'E0301 10:00:00.1 1 pod_workers.go:1301] "Error syncing pod, skipping" err="failed to \\"StartContainer\\" for '
          '\\"web\\" with CrashLoopBackOff: \\"back-off 5m0s restarting failed '
          'container=web pod=web-6d9f7c8b54-x2x7z_shop(7d3c9f52-1b7e-4c11-9e0a-2f6b8a4d5c10)\\""',
          "container=web pod=web-6d9f7c8b54-x2x7z_shop(7d3c9f52-1b7e-4c11-9e0a-2f6b8a4d5c10)", gone=()),
    _case("envoy",
         "[2026-03-01T10:00:00.000Z] \"POST /v1/tokens HTTP/2\" 503 UC upstream_reset - \"-\" 12 95 3 - "
          "\"10.1.0.9\" \"Go-http-client/2.0\" \"b3f1c2d4-0a1b-4c2d-8e3f-9a8b7c6d5e4f\" \"tokens.shop:80\" \"10.1.2.3:8080\"",
          "b3f1c2d4-0a1b-4c2d-8e3f-9a8b7c6d5e4f", "tokens.shop:80", gone=()),
    _case("certificate error",
         "tls: failed to verify certificate: x509: certificate is valid for 10.96.0.1, not 10.0.0.5; key usage: digital signature",
          "key usage: digital signature", "not 10.0.0.5", gone=()),
)  # fmt: skip
