"""A webhook that cannot be reached fails closed or is ignored, as it says itself; dry runs are held to it like real writes."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sandbox.live_api import CONFIGMAPS, NS, LiveApi, configmap

HOOKS = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"


def webhook(**changes: Any) -> dict[str, Any]:
    hook = {
        "name": "check.example.com",
        "clientConfig": {"service": {"name": "check", "namespace": "test"}},
        "rules": [{"operations": ["*"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"]}],
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
    }
    return {"metadata": {"name": "check"}, "webhooks": [hook | changes]}


async def refused(live: LiveApi, query: str = "") -> str:
    """The message of the refusal of a new ConfigMap; "" if it is taken."""
    answer = await live.ask("POST", CONFIGMAPS + query, configmap("new"))
    if answer.status == 201:
        return ""
    assert (answer.status, answer.body["reason"]) == (500, "InternalError")
    return str(answer.body["message"])


@pytest.mark.parametrize("query", ["", "?dryRun=All"])
async def test_a_missing_service_refuses_in_the_servers_words(live: LiveApi, query: str) -> None:
    assert (await live.ask("POST", HOOKS, webhook())).status == 201
    assert await refused(live, query) == (
        'Internal error occurred: failed calling webhook "check.example.com": failed to call webhook: '
        'Post "https://check.test.svc:443/?timeout=10s": service "check" not found'
    )


async def test_a_service_without_endpoints_refuses_too(live: LiveApi) -> None:
    service = {"metadata": {"name": "check"}, "spec": {"ports": [{"port": 443}]}}
    assert (await live.ask("POST", f"{NS}/services", service)).status == 201
    assert (await live.ask("POST", HOOKS, webhook())).status == 201
    assert (await refused(live)).endswith('no endpoints available for service "check"')


async def test_an_url_refuses_too(live: LiveApi) -> None:
    hook = webhook(clientConfig={"url": "https://policy.example.com/v1?x=1"}, timeoutSeconds=3)
    assert (await live.ask("POST", HOOKS, hook)).status == 201
    assert 'Post "https://policy.example.com/v1?x=1&timeout=3s"' in await refused(live)


@pytest.mark.parametrize(
    "changes",
    [
        {"failurePolicy": "Ignore"},
        {"rules": [{"operations": ["DELETE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"]}]},
        {"rules": [{"operations": ["*"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods", "*/status"]}]},
        {"rules": [{"operations": ["*"], "apiGroups": ["apps"], "apiVersions": ["*"], "resources": ["*"]}]},
        {"rules": [{"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*"], "scope": "Cluster"}]},
        {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "other"}}},
        {"objectSelector": {"matchLabels": {"checked": "true"}}},
    ],
)
async def test_what_it_is_not_asked_about_or_ignores_is_taken(live: LiveApi, changes: dict[str, Any]) -> None:
    assert (await live.ask("POST", HOOKS, webhook(**changes))).status == 201
    assert await refused(live) == ""


async def test_changes_and_deletions_are_refused_and_change_nothing(live: LiveApi) -> None:
    await live.ask("POST", CONFIGMAPS, configmap("old", a="1"))
    await live.ask("POST", HOOKS, webhook())
    before = (await live.ask("GET", f"{CONFIGMAPS}/old")).body
    assert (await live.ask("PUT", f"{CONFIGMAPS}/old", configmap("old", a="2"))).status == 500
    assert (await live.ask("DELETE", f"{CONFIGMAPS}/old")).status == 500
    assert (await live.ask("DELETE", CONFIGMAPS)).status == 500
    assert (await live.ask("GET", f"{CONFIGMAPS}/old")).body == before


async def test_a_webhook_for_everything_can_still_be_removed(live: LiveApi) -> None:
    everything = [{"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*/*"]}]
    assert (await live.ask("POST", HOOKS, webhook(rules=everything))).status == 201
    assert await refused(live)
    assert (await live.ask("DELETE", f"{HOOKS}/check")).status == 200
    assert await refused(live) == ""


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"sideEffects": "Some"}, "webhooks[0].sideEffects"),
        ({"name": "check"}, "webhooks[0].name"),
        ({"admissionReviewVersions": []}, "webhooks[0].admissionReviewVersions"),
        ({"clientConfig": {}}, "webhooks[0].clientConfig"),
        ({"timeoutSeconds": 31}, "webhooks[0].timeoutSeconds"),
        ({"failurePolicy": "Perhaps"}, "webhooks[0].failurePolicy"),
        ({"matchConditions": [{"name": "c", "expression": "nobody"}]}, "webhooks[0].matchConditions[0].expression"),
    ],
)
async def test_one_that_cannot_be_as_it_is_written_is_refused(live: LiveApi, changes: dict[str, Any], field: str) -> None:
    answer = await live.ask("POST", HOOKS, webhook(**changes))
    assert (answer.status, [cause["field"] for cause in answer.body["details"]["causes"]]) == (422, [field])


@pytest.mark.parametrize(
    ("expression", "asked"), [("request.name == 'new'", True), ("request.name == 'old'", False), ("object.nothing == 1", True)]
)
async def test_its_match_conditions_decide_and_one_that_errs_fails_closed(live: LiveApi, expression: str, *, asked: bool) -> None:
    conditions = [{"name": "c", "expression": expression}]
    assert (await live.ask("POST", HOOKS, webhook(matchConditions=conditions))).status == 201
    assert bool(await refused(live)) == asked
