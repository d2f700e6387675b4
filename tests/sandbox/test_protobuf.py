"""Bodies that the real kubectl sends in protobuf read like the JSON they stand for; hostile bytes end in one typed error."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backstop.sandbox import protobuf, schema
from backstop.sandbox.protobuf import MAGIC, BadProtobuf

CAPTURED: dict[str, tuple[str, dict[str, Any]]] = {
    "create deployment": (
        "azhzAAoVCgdhcHBzL3YxEgpEZXBsb3ltZW50ErcBCiMKA3dlYhIAGgRkZW1vIgAqADIAOABCAFoKCgNhcHASA3dlYhKBAQgAEgwK"
        "CgoDYXBwEgN3ZWIaZwocCgASABoAIgAqADIAOABCAFoKCgNhcHASA3dlYhJHEikKAWESA2E6MSoAMgsKABAAGJA/IgAqAEIAagBy"
        "AIABAIgBAJABAKIBABoAMgBCAEoAUgBYAGAAaACCAQCKAQCaAQDCAQAiAgoAKAA4ABoMCAAQABgAIAAoADgAGgAiAA==",
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "web", "namespace": "demo", "labels": {"app": "web"}},
            "spec": {
                "replicas": 0,
                "selector": {"matchLabels": {"app": "web"}},
                "template": {
                    "metadata": {"labels": {"app": "web"}},
                    "spec": {"containers": [{"name": "a", "image": "a:1", "ports": [{"containerPort": 8080}], "resources": {}}]},
                },
                "strategy": {},
            },
            "status": {},
        },
    ),
    "create secret": (
        "azhzAAoMCgJ2MRIGU2VjcmV0EiEKFQoBcxIAGgRkZW1vIgAqADIAOABCABIGCgFwEgF3GgAaACIA",
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "demo"}, "data": {"p": "dw=="}},
    ),
    "create token": (
        "azhzAAooChhhdXRoZW50aWNhdGlvbi5rOHMuaW8vdjESDFRva2VuUmVxdWVzdBIdChAKABIAGgAiACoAMgA4AEIAEgMg2AQaBAoAEgAaACIA",
        {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "metadata": {},
            "spec": {"expirationSeconds": 600},
            "status": {},
        },
    ),
    "create rolebinding": (
        "azhzAAorChxyYmFjLmF1dGhvcml6YXRpb24uazhzLmlvL3YxEgtSb2xlQmluZGluZxJ2ChUKAW0SABoEZGVtbyIAKgAyADgAQgAS"
        "JAoOU2VydmljZUFjY291bnQSABoHZGVmYXVsdCIHZGVmYXVsdBo3ChlyYmFjLmF1dGhvcml6YXRpb24uazhzLmlvEgtDbHVzdGVy"
        "Um9sZRoNY2x1c3Rlci1hZG1pbhoAIgA=",
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": {"name": "m", "namespace": "demo"},
            "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": "default"}],
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        },
    ),
    "create quota": (
        "azhzAAoTCgJ2MRINUmVzb3VyY2VRdW90YRI9ChUKAXESABoEZGVtbyIAKgAyADgAQgASIgoLCgRwb2RzEgMKATIKEwoMcmVxdWVz"
        "dHMuY3B1EgMKATEaABoAIgA=",
        {
            "apiVersion": "v1",
            "kind": "ResourceQuota",
            "metadata": {"name": "q", "namespace": "demo"},
            "spec": {"hard": {"pods": "2", "requests.cpu": "1"}},
            "status": {},
        },
    ),
    "create pdb": (
        "azhzAAogCglwb2xpY3kvdjESE1BvZERpc3J1cHRpb25CdWRnZXQSPgoVCgFwEgAaBGRlbW8iACoAMgA4AEIAEhkKCQgBEAAaAzUw"
        "JRIMCgoKA2FwcBIDd2ViGgoIABgAIAAoADAAGgAiAA==",
        {
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": {"name": "p", "namespace": "demo"},
            "spec": {"minAvailable": "50%", "selector": {"matchLabels": {"app": "web"}}},
            "status": {},
        },
    ),
    "create service": (
        "azhzAAoNCgJ2MRIHU2VydmljZRJtCiMKA3dlYhIAGgRkZW1vIgAqADIAOABCAFoKCgNhcHASA3dlYhJCChsKBzgwLTgwODASA1RD"
        "UBhQIgcIABCQPxoAKAASCgoDYXBwEgN3ZWIaACIJQ2x1c3RlcklQOgBCAFIAWgBgAGgAGgIKABoAIgA=",
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "web", "namespace": "demo", "labels": {"app": "web"}},
            "spec": {
                "ports": [{"name": "80-8080", "protocol": "TCP", "port": 80, "targetPort": 8080}],
                "selector": {"app": "web"},
                "type": "ClusterIP",
            },
            "status": {"loadBalancer": {}},
        },
    ),
    "auth can-i": (
        "azhzAAoyChdhdXRob3JpemF0aW9uLms4cy5pby92MRIXU2VsZlN1YmplY3RBY2Nlc3NSZXZpZXcSOgoQCgASABoAIgAqADIAOABC"
        "ABIcChoKBGRlbW8SBGxpc3QaACIAKgRwb2RzMgA6ABoICAASABoAIAAaACIA",
        {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "metadata": {},
            "spec": {"resourceAttributes": {"namespace": "demo", "verb": "list", "resource": "pods"}},
            "status": {"allowed": False},
        },
    ),
    "auth whoami": (
        "azhzAAotChhhdXRoZW50aWNhdGlvbi5rOHMuaW8vdjESEVNlbGZTdWJqZWN0UmV2aWV3EhoKEAoAEgAaACIAKgAyADgAQgASBgoECgASABoAIgA=",
        {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview", "metadata": {}, "status": {"userInfo": {}}},
    ),
}


def varint(value: int) -> bytes:
    out = b""
    while value > 0x7F:
        out, value = out + bytes([value & 0x7F | 0x80]), value >> 7
    return out + bytes([value])


def length(data: bytes) -> bytes:
    """`data` behind its length."""
    return varint(len(data)) + data


def field(number: int, data: bytes) -> bytes:
    return varint(number << 3 | 2) + length(data)


def envelope(api_version: str, kind: str, raw: bytes) -> bytes:
    meta = field(1, api_version.encode()) + field(2, kind.encode())
    return MAGIC + field(1, meta) + field(2, raw)


@pytest.mark.parametrize("command", CAPTURED)
def test_what_kubectl_sends_is_understood(command: str) -> None:
    body, wanted = CAPTURED[command]
    assert protobuf.decode(base64.b64decode(body)) == wanted


def test_zero_replicas_are_somebodys_word() -> None:
    """`kubectl create deployment --replicas=0` must not become the default of one."""
    spec = protobuf.message(b"\x08\x00", "apps.v1.DeploymentSpec")
    assert spec == {"replicas": 0}
    assert protobuf.message(b"\x28\x00", "apps.v1.DeploymentSpec") == {}, "minReadySeconds: 0 is nobody's word"


def test_types_whose_json_is_another_than_their_message() -> None:
    meta = protobuf.message(field(8, b"\x08" + varint(1767225600)), "meta.v1.ObjectMeta")
    assert meta == {"creationTimestamp": "2026-01-01T00:00:00Z"}
    port = protobuf.message(field(4, b"\x08\x01\x10\x00" + b"\x1a" + length(b"http")), "core.v1.ServicePort")
    assert port == {"targetPort": "http"}
    assert protobuf.message(b"\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "core.v1.ServicePort")["port"] == -1
    secret = protobuf.message(field(2, field(1, b"p") + field(2, b"\x00\xff")), "core.v1.Secret")
    assert secret == {"data": {"p": "AP8="}}


def test_inlined_messages_are_flat_in_json() -> None:
    source = field(19, field(1, field(1, b"settings")))
    volume = protobuf.message(field(1, b"config") + field(2, source), "core.v1.Volume")
    assert volume == {"name": "config", "configMap": {"name": "settings"}}


@given(st.binary(max_size=300))
def test_garbage_is_refused(data: bytes) -> None:
    with pytest.raises(BadProtobuf):
        protobuf.decode(data)


@given(st.binary(max_size=200), st.sampled_from(["Deployment", "Pod", "Secret", "Event", "Role", "TokenRequest"]))
@settings(max_examples=300)
def test_garbage_in_an_envelope_never_crashes(raw: bytes, kind: str) -> None:
    groups = {"Deployment": "apps/v1", "Role": "rbac.authorization.k8s.io/v1", "TokenRequest": "authentication.k8s.io/v1"}
    read_or_refused(envelope(groups.get(kind, "v1"), kind, raw))


@given(st.data())
def test_cut_off_and_flipped_bytes_never_crash(data: st.DataObject) -> None:
    body = bytearray(base64.b64decode(CAPTURED[data.draw(st.sampled_from(sorted(CAPTURED)))][0]))
    at = data.draw(st.integers(0, len(body) - 1))
    body[at] = data.draw(st.integers(0, 255))
    read_or_refused(bytes(body[: data.draw(st.integers(0, len(body)))]))


def read_or_refused(body: bytes) -> None:
    try:
        found = protobuf.decode(body)
    except BadProtobuf:
        return
    name = schema.type_name(found["apiVersion"], found["kind"])
    assert name is not None


def test_a_message_nested_without_end_is_refused() -> None:
    """A list inside a list item inside a list: managed by depth, not by the interpreter's stack."""
    raw = b""
    for _ in range(500):
        raw = field(2, field(20, raw))
    with pytest.raises(BadProtobuf):
        protobuf.decode(MAGIC + field(1, field(1, b"v1") + field(2, b"Pod")) + field(2, b"\x0f" + raw))


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "expected prefix"),
        (b'{"kind": "Pod"}', "expected prefix"),
        (envelope("v1", "Gizmo", b""), 'no kind "Gizmo" is registered for version "v1"'),
        (envelope("v1", "Pod", b"\x0a\x05ab"), "unexpected EOF"),
        (envelope("v1", "Pod", b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"), "integer overflow"),
        (envelope("v1", "Pod", b"\x02\x00"), "illegal tag"),
        (envelope("v1", "Pod", b"\x0b"), "illegal wire type"),
        (envelope("v1", "Pod", b"\x08\x01"), "wrong wire type for field metadata"),
        (envelope("v1", "Pod", field(1, field(1, b"\xff\xfe"))), "not valid UTF-8"),
    ],
)
def test_what_is_wrong_is_said(body: bytes, why: str) -> None:
    with pytest.raises(BadProtobuf, match=why):
        protobuf.decode(body)
