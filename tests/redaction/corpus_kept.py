"""What a diagnosis needs and no rule may take: identifiers, names, counts, references, and sentences about secrets."""

from __future__ import annotations

import json
from typing import Final

from tests.redaction.case import Case

_LINES: Final = {
    "identifiers": (
        "image: registry.internal/web@sha256:3b1f0e7c5d9a2846b0c1d2e3f4a5968778695a4b3c2d1e0f9a8b7c6d5e4f3a2b",
        "Image ID: docker-pullable://nginx:1.25@sha256:3b1f0e7c5d9a2846b0c1d2e3f4a5968778695a4b3c2d1e0f9a8b7c6d5e4f3a2b",
        "containerID: containerd://3b1f0e7c5d9a2846b0c1d2e3f4a5968778695a4b3c2d1e0f9a8b7c6d5e4f3a2b",
        "uid: 7d3c9f52-1b7e-4c11-9e0a-2f6b8a4d5c10",
        'resourceVersion: "184467440"',
        "commit 1f0c2e9d8b7a6f5e4d3c2b1a09f8e7d6c5b4a392 (HEAD -> main)",
        "pod-template-hash: 6d9f7c8b54",
        "pod/checkout-6d9f7c8b54-x2x7z is in CrashLoopBackOff",
        "trace_id=4bf92f3577b34da6a3ce929d0e0e4736 span_id=00f067aa0ba902b7",
        "request-id: req_011CSHoEeqs5C35K2UUqR7Fy",
        "etag W/\"5f-1893a4c2b10\"",
        "checksum/secret: 3b1f0e7c5d9a2846b0c1d2e3f4a5968778695a4b3c2d1e0f9a8b7c6d5e4f3a2b",
    ),
    "names": (
        "imagePullSecrets: [{name: regcred}]",
        "secretName: web-tls",
        "existingSecret: prod-mysql",
        "secret: prod-db",
        "serviceAccountToken: {path: token, expirationSeconds: 3607}",
        "secretKeyRef: {name: prod-db, key: password}",
        'Error: secret "prod-db" not found',
        "couldn't find key password in Secret shop/prod-db",
        "references non-existent secret key: api-token",
        "Warning  FailedMount  MountVolume.SetUp failed for volume \"web-token-x2x7z\"",
        "/var/run/secrets/kubernetes.io/serviceaccount from kube-api-access-x2x7z (ro)",
        "system:serviceaccount:shop:checkout cannot get resource \"secrets\" in API group \"\"",
        "--tls-private-key-file=/etc/kubernetes/pki/apiserver.key --token-auth-file=/etc/tokens.csv",
        "passwordKey: db-password",
        'resources: ["secrets", "configmaps"]',
        "authorization-mode=Node,RBAC",
        "authentication: none",
    ),
    "counts": (
        "token_count=5 max_tokens: 4096 tokens: 512",
        'usage {"prompt_tokens": 812, "completion_tokens": 77, "total_tokens": 889}',
        "pass=12 fail=0 skipped=3",
        "tokens per second: 38.2, passes: 3, passed: 12",
        "token bucket refilled, 40 left",
        "key=orders partition=3 offset=12345678901",
        "cache_key=user:42 routing_key=orders.created",
        "password_min_length: 12",
        "session timeout: 30m, auth_timeout=5s, keyspace=shop, keepalive=60",
        "author: kim, monkey: banana, compass: north, bypass: true, passport: none",
        "1.23 1,234,567 3.14159265358979 1700000000000 1700000000123456789",
        "order 4929123412341234 shipped, invoice 0123456789012345",
        "phone extension 555-12-34567, part 12-345-6789",
    ),
    "nothing in it": (
        'password: ""',
        "password: null",
        "password=",
        "token: ~",
        "secret: false",
        "api_key: none",
        "password: '***'",
        "password=****** user=app",
        '"password": "[FILTERED]"',
        "password = (sensitive value)",
        "env DB_PASSWORD=(withheld)",
        "Authorization: <redacted>",
        "DB_PASSWORD=$(DB_PASSWORD_FROM_SECRET)",
        "password: ${DB_PASSWORD}",
        "password: {{ .Values.db.password }}",
        "url=postgres://app:$(DB_PASSWORD)@prod-db:5432/shop",
        "mysqladmin ping -u root -p${MYSQL_ROOT_PASSWORD}",
        "password_file: /run/secrets/db-password",
        "password: /run/secrets/db-password",
        "DB_PASSWORD: <set to the key 'password' in secret 'prod-db'>",
        "token: vault:secret/data/shop#token",
        "password = os.environ['DB_PASSWORD']",
    ),
    "sentences": (
        'FATAL: password authentication failed for user "orders"',
        "KeyError: 'password'",
        "password must not be empty",
        "the password is missing",
        "invalid token: expired",
        "error parsing token: signature is invalid",
        "SyntaxError: Unexpected token: }",
        "Unexpected token < in JSON at position 0",
        "the token expired at 10:00:00",
        "Access denied for user 'app'@'10.244.0.7' (using password: YES)",
        "Bearer token missing",
        'WWW-Authenticate: Bearer realm="items"',
        "basic authentication is disabled",
        "secrets are mounted read-only; keys rotate daily; credentials: true",
        "x509: certificate signed by unknown authority",
        "no basic auth credentials",
        "missing fields: ['password', 'token', 'username']",
        '{"error":"invalid_grant","field":"password","code":"E-4012"}',
    ),
    "addresses": (
        "10.244.1.17:8080 172.16.0.4 192.168.1.1 127.0.0.1:6443 0.0.0.0 169.254.169.254 100.64.0.9",
        "192.0.2.17 198.51.100.4 203.0.113.99 are documentation",
        "255.255.255.0 224.0.0.251 10.96.0.0/12",
        "[::1]:8080 fe80::1 fd00:10::2 2001:db8::7",
        "Mozilla/5.0 (X11) AppleWebKit/537.36 Chrome/120.0.0.0 Safari/537.36",
        "version 1.2.3.4, v2.0.0.1, lib-1.2.3.4.jar, package~6.1.1.0",
        "10:00:01.123 2026-03-01T10:00:01Z 01:02:03:04:05:06",
        "http://prod-db:5432/a@b http://prod-web.shop.svc.cluster.local:8080/healthz",
        "git@github.com:shop/web.git ssh://git@github.com/shop/web.git",
        "kubernetes-admin@kubernetes admin@prod.k8s.local user@1000.service lodash@4.17.21",
        "std::string ab::cd dead::beef",
    ),
}  # fmt: skip

_CERTIFICATE: Final = "\n".join(
    ["-----BEGIN CERTIFICATE-----", "MIIDSzCCAjOgAwIBAgIIcxWifFVzuYIw" * 2, "-----END CERTIFICATE-----"]
)

KEPT: Final = (
    *(Case(f"{name}, line {number}", line, kept=(line,)) for name, lines in _LINES.items() for number, line in enumerate(lines, 1)),
    *(Case(f"{name}, together", "\n".join(lines), kept=lines) for name, lines in _LINES.items()),
    *(Case(f"{name}, as a log", text := "\n".join(json.dumps({"log": line}) for line in _LINES[name]), kept=(text,))
      for name in ("identifiers", "counts", "addresses")),
    Case("a certificate", _CERTIFICATE, kept=(_CERTIFICATE,)),
)  # fmt: skip
