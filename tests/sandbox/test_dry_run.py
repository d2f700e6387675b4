"""`dryRun=All` answers what would be and stores nothing; and the DELETE trap, in which a body makes the query count for nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.sandbox.live_api import CONFIGMAPS, DEPLOYMENTS, MERGE, NS, LiveApi, configmap, deployment

DRY = "?dryRun=All"


async def _everything(live: LiveApi) -> tuple[int, Any]:
    maps, workloads = await live.ask("GET", CONFIGMAPS), await live.ask("GET", DEPLOYMENTS)
    return live.registry.store.version, json.dumps([maps.body, workloads.body], sort_keys=True)


async def test_no_dry_run_stores_anything(live: LiveApi) -> None:
    await live.ask("POST", CONFIGMAPS, configmap("cm", a="1"))
    await live.ask("POST", DEPLOYMENTS, deployment())
    before = await _everything(live)
    replies = [
        await live.ask("POST", CONFIGMAPS + DRY, configmap("new")),
        await live.ask("PUT", f"{CONFIGMAPS}/cm{DRY}", configmap("cm", a="2")),
        await live.ask("PATCH", f"{CONFIGMAPS}/cm{DRY}", {"data": {"a": "2"}}, MERGE),
        await live.ask("PATCH", f"{DEPLOYMENTS}/web/scale{DRY}", {"spec": {"replicas": 5}}, MERGE),
        await live.ask("PATCH", f"{DEPLOYMENTS}/web/status{DRY}", {"status": {"replicas": 5}}, MERGE),
        await live.ask("DELETE", f"{CONFIGMAPS}/cm{DRY}"),
        await live.ask("DELETE", f"{CONFIGMAPS}/cm", {"dryRun": ["All"]}),
        await live.ask("DELETE", f"{DEPLOYMENTS}/web", {"dryRun": ["All"], "propagationPolicy": "Foreground"}),
        await live.ask("DELETE", CONFIGMAPS + DRY),
    ]
    assert [reply.status for reply in replies] == [201] + [200] * 8
    assert replies[3].body["spec"] == {"replicas": 5}
    assert "resourceVersion" not in replies[0].body["metadata"]
    assert await _everything(live) == before


async def test_a_dry_run_is_refused_like_the_real_thing(live: LiveApi) -> None:
    await live.ask("POST", DEPLOYMENTS, deployment())
    invalid = await live.ask("PATCH", f"{DEPLOYMENTS}/web{DRY}", {"spec": {"replicas": -1}}, MERGE)
    assert (invalid.status, invalid.body["details"]["causes"][0]["field"]) == (422, "spec.replicas")
    taken = await live.ask("POST", DEPLOYMENTS + DRY, deployment())
    assert (taken.status, taken.body["reason"]) == (409, "AlreadyExists")
    stale = await live.ask("PATCH", f"{DEPLOYMENTS}/web{DRY}", {"metadata": {"resourceVersion": "1"}}, MERGE)
    assert stale.status == 409
    denied = await live.ask("PATCH", f"{DEPLOYMENTS}/web{DRY}", {"spec": {"replicas": 1}}, MERGE, token=live.tokens["investigator"])
    assert denied.status == 403


@pytest.mark.parametrize("query", ["dryRun=Some", "dryRun=", "dryRun=All&dryRun=Some"])
async def test_any_other_word_is_422(live: LiveApi, query: str) -> None:
    await live.ask("POST", CONFIGMAPS, configmap("cm", a="1"))
    refused = await live.ask("PATCH", f"{CONFIGMAPS}/cm?{query}", {"data": {"a": "2"}}, MERGE)
    assert (refused.status, refused.body["details"]["kind"]) == (422, "PatchOptions")
    assert (await live.ask("GET", f"{CONFIGMAPS}/cm")).body["data"] == {"a": "1"}


async def test_delete_with_any_body_ignores_the_query(live: LiveApi) -> None:
    for name in ("one", "two"):
        await live.ask("POST", CONFIGMAPS, configmap(name))
    assert (await live.ask("DELETE", f"{CONFIGMAPS}/one{DRY}")).status == 200
    assert (await live.ask("GET", f"{CONFIGMAPS}/one")).status == 200
    assert (await live.ask("DELETE", f"{CONFIGMAPS}/two{DRY}", {})).status == 200
    assert (await live.ask("GET", f"{CONFIGMAPS}/two")).status == 404


async def test_a_rehearsed_pod_is_completed_and_not_there(live: LiveApi) -> None:
    pod = {"metadata": {"generateName": "try-"}, "spec": {"containers": [{"name": "a", "image": "demo/web:1.0"}]}}
    made = await live.ask("POST", f"{NS}/pods{DRY}", pod)
    assert (made.status, made.body["spec"]["serviceAccountName"], made.body["status"]["phase"]) == (201, "default", "Pending")
    assert (await live.ask("GET", f"{NS}/pods")).body["items"] == []


async def test_a_dry_run_of_a_pod_passes_quotas_and_webhooks_like_a_real_one(live: LiveApi) -> None:
    pod = {"metadata": {"generateName": "web-"}, "spec": {"containers": [{"name": "app", "image": "demo/web:1.0"}]}}
    quota = {"metadata": {"name": "cap"}, "spec": {"hard": {"pods": "0"}}}
    assert (await live.ask("POST", f"{NS}/resourcequotas", quota)).status == 201
    full = await live.ask("POST", f"{NS}/pods{DRY}", pod)
    assert (full.status, full.body["reason"]) == (403, "Forbidden")
    assert "is forbidden: exceeded quota: cap, requested: pods=1, used: pods=0, limited: pods=0" in full.body["message"]
    assert (await live.ask("DELETE", f"{NS}/resourcequotas/cap")).status == 200
    rehearsed = await live.ask("POST", f"{NS}/pods{DRY}", pod)
    assert (rehearsed.status, rehearsed.body["spec"]["serviceAccountName"]) == (201, "default")
    assert (await live.ask("GET", f"{NS}/pods")).body["items"] == []
