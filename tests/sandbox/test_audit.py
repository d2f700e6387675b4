"""The audit log says of every request who asked what, whether it was allowed, and what was answered, before the client knows."""

from __future__ import annotations

from backstop.sandbox.resources import NAMESPACES
from tests.sandbox.live_api import CONFIGMAPS, DEPLOYMENTS, MERGE, LiveApi, configmap, deployment


async def test_a_write_is_audited_under_the_id_in_its_answer(live: LiveApi) -> None:
    await live.ask("POST", DEPLOYMENTS, deployment())
    reply = await live.ask("PATCH", f"{DEPLOYMENTS}/web?fieldManager=test", {"spec": {"replicas": 1}}, MERGE)
    entries = [entry for entry in live.audited() if entry["auditID"] == reply.headers["Audit-Id"]]
    assert len(entries) == 1
    entry = entries[0]
    assert (entry["kind"], entry["apiVersion"], entry["stage"], entry["verb"]) == (
        "Event",
        "audit.k8s.io/v1",
        "ResponseComplete",
        "patch",
    )
    assert entry["requestURI"] == f"{DEPLOYMENTS}/web?fieldManager=test"
    assert entry["user"]["username"] == "kubernetes-admin"
    assert entry["objectRef"] == {
        "resource": "deployments",
        "namespace": "test",
        "name": "web",
        "apiGroup": "apps",
        "apiVersion": "v1",
    }
    assert entry["responseStatus"] == {"metadata": {}, "code": 200}
    assert entry["annotations"]["authorization.k8s.io/decision"] == "allow"
    assert entry["requestReceivedTimestamp"] <= entry["stageTimestamp"]


async def test_a_refusal_is_audited_with_its_sentence(live: LiveApi) -> None:
    reply = await live.ask("DELETE", f"{DEPLOYMENTS}/web", token=live.tokens["investigator"])
    assert reply.status == 403
    entry = live.audited()[-1]
    assert entry["auditID"] == reply.headers["Audit-Id"]
    assert entry["annotations"]["authorization.k8s.io/decision"] == "forbid"
    assert entry["responseStatus"]["message"] == reply.body["message"]
    assert (entry["responseStatus"]["code"], entry["responseStatus"]["reason"]) == (403, "Forbidden")


async def test_every_request_is_one_line_with_an_id_of_its_own(live: LiveApi) -> None:
    before = len(live.audited())
    asked = [
        ("GET", "/livez"),
        ("GET", "/nope"),
        ("GET", CONFIGMAPS),
        ("GET", f"{CONFIGMAPS}?watch=true&timeoutSeconds=1"),
        ("GET", f"{CONFIGMAPS}/nope"),
        ("POST", f"{CONFIGMAPS}/nope"),
    ]
    for method, path in asked:
        await live.ask(method, path)
    entries = live.audited()[before:]
    assert [(entry["requestURI"], entry["responseStatus"]["code"]) for entry in entries] == [
        ("/livez", 200),
        ("/nope", 404),
        (CONFIGMAPS, 200),
        (f"{CONFIGMAPS}?watch=true&timeoutSeconds=1", 200),
        (f"{CONFIGMAPS}/nope", 404),
        (f"{CONFIGMAPS}/nope", 405),
    ]
    assert len({entry["auditID"] for entry in entries}) == len(asked)
    assert [entry["verb"] for entry in entries] == ["get", "get", "list", "watch", "get", "create"]


async def test_bad_credentials_are_401_and_audited_without_a_user(live: LiveApi) -> None:
    reply = await live.ask("GET", CONFIGMAPS, token="nonsense")
    assert (reply.status, reply.body["reason"]) == (401, "Unauthorized")
    assert live.audited()[-1]["user"] == {}


async def test_impersonation_names_both(live: LiveApi) -> None:
    reply = await live.ask("POST", CONFIGMAPS, configmap("x"), {"Impersonate-User": "system:serviceaccount:backstop:investigator"})
    assert reply.status == 403
    entry = live.audited()[-1]
    assert entry["user"]["username"] == "kubernetes-admin"
    assert entry["impersonatedUser"]["username"] == "system:serviceaccount:backstop:investigator"
    refused = await live.ask("GET", CONFIGMAPS, headers={"Impersonate-User": "admin"}, token=live.tokens["investigator"])
    assert refused.status == 403


async def test_what_the_controllers_write_is_not_a_request(live: LiveApi) -> None:
    before = len(live.audited())
    live.registry.create(NAMESPACES, "", {"metadata": {"name": "quiet"}})
    assert len(live.audited()) == before
