"""Kubernetes Secrets in every form in which they are printed, whole and cut. Every secret is made up."""

from __future__ import annotations

import base64
import json
from typing import Any, Final

from tests.redaction.case import Case, j

PW: Final = j("kT7", "-velvet", "_Anchor", "42")
RAW: Final = j("Opal-", "Lantern", "/88_q")


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


ONE, TWO = encoded(PW), encoded(RAW)


def manifest(**more: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "data": {"blob": ONE, "tls.p12": TWO},
        "kind": "Secret",
        "metadata": {"name": "prod-db", "namespace": "shop", "uid": "7d3c9f52-1b7e-4c11-9e0a-2f6b8a4d5c10"},
        "type": "Opaque",
        **more,
    }


KUBECTL: Final = "kubectl.kubernetes.io"
CONFIG_MAP: Final = {"apiVersion": "v1", "data": {"mode": "blue-green", "blob": "not-a-secret-at-all"}, "kind": "ConfigMap"}
YAML: Final = f"""apiVersion: v1
data:
  blob: {ONE}
  tls.p12: {TWO}
kind: Secret
metadata:
  name: prod-db
  namespace: shop
type: Opaque"""
LIST: Final = f"""apiVersion: v1
items:
- apiVersion: v1
  data:
    blob: {ONE}
  kind: Secret
  metadata:
    name: one
- apiVersion: v1
  data:
    mode: blue-green
    blob: not-a-secret-at-all
  kind: ConfigMap
  metadata:
    name: flags
- apiVersion: v1
  data:
    blob: {TWO}
  kind: Secret
  metadata:
    name: two
kind: List"""


def _case(name: str, text: str, *kept: str, gone: tuple[str, ...] = (ONE, TWO)) -> Case:
    return Case(name, text, gone, kept)


KUBERNETES: Final = (
    _case("yaml", YAML, "name: prod-db", "blob:", "tls.p12:", "type: Opaque"),
    _case("yaml, kind first", f"kind: Secret\napiVersion: v1\ndata:\n  a: {ONE}\n  b: {TWO}\nmetadata:\n  name: x", "name: x"),
    _case("yaml, quoted", f'kind: "Secret"\ndata:\n  a: "{ONE}"\n  b: \'{TWO}\'\nmetadata:\n  name: x', "name: x"),
    _case("yaml, stringData", f"kind: Secret\nstringData:\n  note: {PW}\n  a: {RAW}\ntype: Opaque", "type: Opaque", gone=(PW, RAW)),
    _case("yaml, block in stringData",
         f"kind: Secret\nstringData:\n  conf: |\n    x={PW}\n    {RAW}\ntype: Opaque", "Opaque", gone=(PW, RAW)),
    _case("yaml, flow", f"kind: Secret\ndata: {{a: {ONE}, b: {TWO}}}\ntype: Opaque", "type: Opaque"),
    _case("yaml in a list", LIST, "name: one", "name: two", "name: flags", "blob: not-a-secret-at-all", "mode: blue-green"),
    _case("yaml documents", f"{YAML}\n---\nkind: ConfigMap\ndata:\n  mode: blue-green", "mode: blue-green", "name: prod-db"),
    _case("yaml after log lines",
         f"10:00 INFO start\n10:01 INFO apply\n{YAML}\n10:02 INFO done", "10:00 INFO start", "10:02 INFO done"),
    _case("yaml, cut before kind", YAML[: YAML.index("kind")], "apiVersion: v1", "tls.p12:"),
    _case("yaml, cut within a value", YAML[: YAML.index(TWO) + 12], "apiVersion: v1", gone=(ONE, TWO[:12])),
    _case("yaml, cut at the beginning", YAML[YAML.index("  tls.p12") :], "kind: Secret", "name: prod-db", gone=(TWO,)),
    _case("yaml, indented", "\n".join("    " + line for line in YAML.split("\n")) + "\nafter: it", "after: it", "name: prod-db"),
    _case("json", json.dumps(manifest()), "prod-db", "7d3c9f52-1b7e-4c11-9e0a-2f6b8a4d5c10", '"blob"', "Opaque"),
    _case("json, pretty", json.dumps(manifest(), indent=2), "prod-db", "Opaque"),
    _case("json, kind last", json.dumps({"data": {"a": ONE, "b": TWO}, "kind": "Secret"}), '"kind": "Secret"'),
    _case("json in a list", json.dumps({"items": [manifest(), CONFIG_MAP], "kind": "List"}), "blue-green", "not-a-secret-at-all"),
    _case("json of a SecretList", json.dumps({"items": [{"data": {"a": ONE, "b": TWO}}], "kind": "SecretList"}), "SecretList"),
    _case("json within json", json.dumps({"msg": json.dumps(manifest()), "level": "info"}), "info", "prod-db"),
    _case("json within json within json", json.dumps({"a": json.dumps({"b": json.dumps(manifest())})}), "prod-db"),
    _case("json after log text", f'10:00 INFO created {json.dumps(manifest())} in "shop"', '10:00 INFO created', 'in "shop"'),
    _case("json, cut before kind", json.dumps(manifest())[: json.dumps(manifest()).index('"kind"')], '"v1"'),
    _case("json, cut within a value",
         json.dumps(manifest())[: json.dumps(manifest()).index(TWO) + 12], '"v1"', gone=(ONE, TWO[:12])),
    _case("json of a python repr", repr(manifest()), "prod-db"),
    _case(
        "last applied configuration",
        json.dumps(manifest(metadata={"annotations": {f"{KUBECTL}/last-applied-configuration": json.dumps(manifest())}})),
        "Opaque",
    ),
    _case(
        "last applied configuration alone",
        f"  annotations:\n    {KUBECTL}/last-applied-configuration: |\n      " + json.dumps(manifest()),
        "annotations:",
    ),
    _case("the decoded value elsewhere", f"{YAML}\nlogin with {PW} failed\nthen {RAW}", "login with", gone=(ONE, TWO, PW, RAW)),
    _case(
        "pod spec",
        "env:\n- name: DB_PASSWORD\n  valueFrom:\n    secretKeyRef:\n      name: prod-db\n      key: password\n"
        f"- name: TOKEN\n  value: {PW}",
        "name: prod-db", "key: password", gone=(PW,),
    ),
    _case(
        "kubectl describe",
        "    Environment:\n      DB_PASSWORD:  <set to the key 'password' in secret 'prod-db'>  Optional: false\n"
        f"      API_TOKEN:    {PW}\n"
        "      MODE:         fast\n    Mounts:  <none>",
        "<set to the key 'password' in secret 'prod-db'>", "MODE:         fast", gone=(PW,),
    ),
    _case("create secret",
         f"kubectl create secret generic x --from-literal=note='{PW}' -n shop", "secret generic x", "-n shop", gone=(PW,)),
    _case("kubeconfig",
         f"users:\n- name: admin\n  user:\n    client-key-data: {ONE}\n    token: {PW}", "name: admin", gone=(ONE, PW)),
    _case("helm", f"helm upgrade x . --set auth.password={PW} --set image.tag=1.2", "--set image.tag=1.2", gone=(PW,)),
)  # fmt: skip
