"""The table of fields knows the served kinds; reading against it finds unknown fields and wrong types, in the server's words."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstop.sandbox import openapi, schema
from backstop.sandbox.discovery import AGGREGATED, Documents
from backstop.sandbox.resources import GROUP_VERSIONS, RESOURCES, by_kind, by_path

DEPLOYMENT = "apps.v1.Deployment"
TEMPLATE = ("spec", "template", "spec")


def test_every_served_kind_is_known() -> None:
    for resource in RESOURCES:
        assert schema.type_name(resource.api_version, resource.kind), resource.kind
        assert by_kind(resource.api_version, resource.kind) is resource
        assert by_path(resource.group, resource.version, resource.plural) is resource
    assert schema.type_name("v1", "Gizmo") is None


def test_every_type_that_is_mentioned_is_in_the_table() -> None:
    for name in schema.names():
        for field in schema.fields(name).values():
            assert field.is_object or field.type in openapi.SCALARS, f"{name}.{field.name}"


@pytest.mark.parametrize(
    ("path", "key"),
    [
        ((*TEMPLATE, "containers"), "name"),
        ((*TEMPLATE, "containers", "ports"), "containerPort"),
        ((*TEMPLATE, "containers", "env"), "name"),
        ((*TEMPLATE, "containers", "volumeMounts"), "mountPath"),
        ((*TEMPLATE, "volumes"), "name"),
        ((*TEMPLATE, "tolerations"), ""),
        ((*TEMPLATE, "containers", "command"), ""),
        (("metadata", "finalizers"), "-"),
        (("metadata", "ownerReferences"), "uid"),
        (("status", "conditions"), "type"),
        (("spec", "nonsense", "deeper"), ""),
    ],
)
def test_merge_keys(path: tuple[str, ...], key: str) -> None:
    assert schema.merge_key(DEPLOYMENT, path) == key


def test_inlined_fields_are_flat() -> None:
    assert "httpGet" in schema.fields("core.v1.Probe")
    assert "handler" not in schema.fields("core.v1.Probe")
    assert "configMap" in schema.fields("core.v1.Volume")
    assert schema.fields("core.v1.SecretKeySelector")["key"].required


def test_unknown_fields_are_found_where_they_are_and_dropped() -> None:
    found = schema.read(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"labels": {"any": "key"}, "labelz": {}},
            "spec": {"replicaz": 2, "template": {"spec": {"containers": [{"name": "a"}, {"imag": "x"}]}}},
        },
        DEPLOYMENT,
    )
    assert found.unknown == ["metadata.labelz", "spec.replicaz", "spec.template.spec.containers[1].imag"]
    assert found.value["metadata"] == {"labels": {"any": "key"}}
    assert found.value["spec"] == {"template": {"spec": {"containers": [{"name": "a"}, {}]}}}


@pytest.mark.parametrize(
    ("obj", "why"),
    [
        ({"spec": {"replicas": "two"}}, "cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32"),
        ({"spec": {"replicas": True}}, "cannot unmarshal bool into Go struct field DeploymentSpec.spec.replicas of type int32"),
        (
            {"spec": {"replicas": 1.5}},
            "cannot unmarshal number 1.5 into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
        ({"spec": {"replicas": 2**31}}, "cannot unmarshal number 2147483648"),
        ({"spec": []}, "cannot unmarshal array into Go struct field Deployment.spec of type v1.DeploymentSpec"),
        (
            {"metadata": {"labels": {"a": 1}}},
            "cannot unmarshal number into Go struct field ObjectMeta.metadata.labels.a of type string",
        ),
        ({"metadata": {"finalizers": "x"}}, "cannot unmarshal string into Go struct field ObjectMeta.metadata.finalizers of type"),
        ({"metadata": {"creationTimestamp": "today"}}, 'parsing time "today"'),
    ],
)
def test_wrong_types_are_refused_in_the_words_of_the_server(obj: dict[str, Any], why: str) -> None:
    with pytest.raises(schema.WrongType) as refused:
        schema.read(obj, DEPLOYMENT)
    assert why in str(refused.value)


def test_quantities_are_kept_in_one_spelling() -> None:
    limits = {"cpu": 0.5, "memory": "1024Mi"}
    pod = {"spec": {"containers": [{"name": "a", "resources": {"limits": limits}}]}}
    read = schema.read(pod, "core.v1.Pod").value
    assert read["spec"]["containers"][0]["resources"]["limits"] == {"cpu": "500m", "memory": "1Gi"}
    limits["cpu"] = "lots"
    with pytest.raises(schema.WrongType, match="quantities must match the regular expression"):
        schema.read(pod, "core.v1.Pod")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["spec", "metadata", "name", "x"]), inner),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(["apiVersion", "kind", "metadata", "spec", "status", "x"]), JSON))
def test_reading_anything_ends_in_an_object_or_a_refusal(obj: dict[str, Any]) -> None:
    try:
        found = schema.read(obj, DEPLOYMENT)
    except schema.WrongType:
        return
    assert schema.read(found.value, DEPLOYMENT).value == found.value, "reading twice changes nothing"
    assert schema.read(found.value, DEPLOYMENT).unknown == []


def document(path: str, accept: str = "application/json") -> Any:
    page = Documents().document(path, accept)
    return None if page is None else json.loads(page.body)


def test_discovery_lists_what_is_served() -> None:
    assert document("/api")["versions"] == ["v1"]
    assert {group["name"] for group in document("/apis")["groups"]} == {group for group, _ in GROUP_VERSIONS if group}
    names = [entry["name"] for entry in document("/apis/apps/v1")["resources"]]
    assert {"deployments", "deployments/scale", "deployments/status", "replicasets"} <= set(names)
    assert document("/apis/gizmo.example") is None
    assert document("/apis/apps/v2") is None
    assert document("/nope") is None


def test_aggregated_discovery_is_for_those_who_ask() -> None:
    accept = f"{AGGREGATED},application/json"
    found = document("/apis", accept)
    assert found["kind"] == "APIGroupDiscoveryList"
    apps = next(item for item in found["items"] if item["metadata"]["name"] == "apps")
    deployment = next(entry for entry in apps["versions"][0]["resources"] if entry["resource"] == "deployments")
    scale = next(entry for entry in deployment["subresources"] if entry["subresource"] == "scale")
    assert scale["responseKind"] == {"group": "autoscaling", "version": "v1", "kind": "Scale"}


def test_openapi_has_what_kubectl_looks_for() -> None:
    index = document("/openapi/v3")["paths"]
    assert set(index) >= {"api/v1", "apis/apps/v1"}
    apps = document("/openapi/v3/apis/apps/v1")
    patch = apps["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]["patch"]
    assert patch["x-kubernetes-group-version-kind"] == {"group": "apps", "version": "v1", "kind": "Deployment"}
    assert "fieldValidation" in {parameter["name"] for parameter in patch["parameters"]}
    schemas = apps["components"]["schemas"]
    containers = schemas["io.k8s.api.core.v1.PodSpec"]["properties"]["containers"]
    assert (containers["x-kubernetes-patch-merge-key"], containers["x-kubernetes-patch-strategy"]) == ("name", "merge")
    text = json.dumps(apps)
    assert {ref.split('"')[0] for ref in text.split("#/components/schemas/")[1:]} <= set(schemas)
