"""Control loops are held to admission policies under their own names, and survive what refuses them."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from tests.sandbox.policies import BINDINGS, POLICIES, binding, policy, rule
from tests.sandbox.running import Client, deployment, is_ready

REPLICASETS = "system:serviceaccount:kube-system:replicaset-controller"


@pytest.fixture
async def only_here(client: Client, space: str) -> Any:
    """Stores a policy of the shared cluster for this test's namespace only."""

    async def bind(wanted: dict[str, Any]) -> None:
        here = {"matchLabels": {"kubernetes.io/metadata.name": space}}
        await client.request("POST", POLICIES, wanted)
        await client.request("POST", BINDINGS, binding(matchResources={"namespaceSelector": here}))

    yield bind
    for path in (f"{BINDINGS}/b", f"{POLICIES}/p"):
        await client.request("DELETE", path)


async def test_a_policy_may_refuse_the_pods_of_a_replica_set_and_no_others(client: Client, space: str, only_here: Any) -> None:
    theirs = [{"name": "controller", "expression": f"request.userInfo.username == '{REPLICASETS}'"}]
    await only_here(policy({"expression": "false", "message": "no pods today"}, rules=[rule("pods")], matchConditions=theirs))
    await client.create(space, deployment("web", 1))
    event = await client.event(space, "FailedCreate")
    assert event["message"].endswith("ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no pods today")
    bare = {"metadata": {"name": "bare"}, "spec": deployment("x", 1)["spec"]["template"]["spec"]}
    await client.request("POST", f"/api/v1/namespaces/{space}/pods", bare)
    assert is_ready(await client.pod(space, is_ready, "bare"))
    await client.request("PUT", f"{POLICIES}/p", policy("true", rules=[rule("pods")]))
    await client.pod(space, lambda pod: pod["metadata"]["name"] != "bare" and is_ready(pod))


async def test_a_policy_that_denies_everything_stops_a_rollout_but_no_control_loop(
    client: Client, space: str, only_here: Any
) -> None:
    await only_here(policy("object.nothing", rules=[rule("*/*", operations=("CREATE", "UPDATE"))]))
    path = f"/apis/apps/v1/namespaces/{space}/deployments"
    async with client.session.post(path, json=deployment("web", 1)) as answer:
        assert answer.status == 422
    await client.request("PUT", f"{POLICIES}/p", policy("object.nothing", rules=[rule("pods/status", "replicasets")]))
    await client.create(space, deployment("web", 1))
    await client.event(space, "ReplicaSetCreateError", lambda said: "no such key: nothing" in said)
    await client.request("PUT", f"{POLICIES}/p", policy("true"))
    await client.pod(space, is_ready)


def test_a_cluster_without_policies_never_loads_the_library() -> None:
    program = "import sys, backstop.sandbox.cluster; sys.exit('cel_expr_python' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
