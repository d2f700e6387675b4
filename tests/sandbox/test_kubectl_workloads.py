"""The real kubectl on workloads that really run: roll out, undo, scale, look, read logs, delete. Skipped where it is missing."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.sandbox.running import Running

pytestmark = pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed on this machine")

Kubectl = Callable[..., Awaitable[str]]
READY = "rollout status deploy/web --timeout=60s"


@pytest.fixture
def kubectl(empty_cluster: Running, space: str, tmp_path: Path) -> Kubectl:
    """Runs kubectl as the administrator in the test's namespace; answers what it printed. `fails=True` expects exit code 1."""

    async def run(command: str, *, stdin: str = "", fails: bool = False) -> str:
        env = {**os.environ, "KUBECONFIG": str(empty_cluster.kubeconfig), "KUBECACHEDIR": str(tmp_path)}
        process = await asyncio.create_subprocess_exec(
            "kubectl", "-n", space, *command.split(), env=env,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        try:
            out, _ = await asyncio.wait_for(process.communicate(stdin.encode()), 60)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        assert process.returncode == (1 if fails else 0), out.decode()
        return out.decode()

    return run


async def test_a_release_and_its_undo(kubectl: Kubectl) -> None:
    assert "deployment.apps/web created" in await kubectl("create deployment web --image=demo/web:1.0 --replicas=3")
    assert 'deployment "web" successfully rolled out' in await kubectl(READY)
    assert "image updated" in await kubectl("set image deploy/web web=demo/web:1.2-errors")
    await kubectl(READY)
    history = await kubectl("rollout history deploy/web")
    assert [line.split()[0] for line in history.splitlines()[2:] if line] == ["1", "2"]
    assert "Image:\tdemo/web:1.0" in re.sub(r"Image: +", "Image:\t", await kubectl("rollout history deploy/web --revision=1"))
    assert "rolled back" in await kubectl("rollout undo deploy/web")
    await kubectl(READY)
    assert await kubectl("get deploy web -o jsonpath={..image}") == "demo/web:1.0"
    assert "skipped rollback" in await kubectl("rollout undo deploy/web --to-revision=3")


async def test_a_restart_replaces_every_pod(kubectl: Kubectl) -> None:
    await kubectl("create deployment web --image=demo/web:1.0 --replicas=2")
    await kubectl(READY)
    before = set((await kubectl("get pods -o name")).split())
    assert "restarted" in await kubectl("rollout restart deploy/web")
    await kubectl(READY)
    await kubectl(f"wait --for=delete --timeout=60s {' '.join(sorted(before))}")
    after = set((await kubectl("get pods -o name")).split())
    assert len(after) == 2
    assert not after & before


async def test_a_stuck_release_is_reported_with_exit_code_1(kubectl: Kubectl) -> None:
    await kubectl("create deployment web --image=demo/web:1.0")
    await kubectl(READY)
    await kubectl('patch deploy web -p {"spec":{"progressDeadlineSeconds":1}}')
    await kubectl("set image deploy/web web=demo/web:9.99-doesnotexist")
    said = await kubectl(READY, fails=True)
    assert 'error: deployment "web" exceeded its progress deadline' in said
    assert re.search(r"web-\S+ +0/1 +(ErrImagePull|ImagePullBackOff) +0 ", await kubectl("get pods"))
    assert "ProgressDeadlineExceeded" in await kubectl("describe deploy web")


async def test_scaling(kubectl: Kubectl) -> None:
    await kubectl("create deployment web --image=demo/web:1.0")
    assert "scaled" in await kubectl("scale deploy web --replicas=3")
    await kubectl("wait --for=jsonpath={.status.readyReplicas}=3 deploy/web --timeout=60s")
    assert "Expected replicas to be 1, was 3" in await kubectl("scale deploy web --current-replicas=1 --replicas=2", fails=True)
    await kubectl("scale deploy web --replicas=0")
    await kubectl("wait --for=delete pod -l app=web --timeout=60s")
    assert "No resources found" in await kubectl("get pods")


async def test_a_crashing_pod_is_explained(kubectl: Kubectl) -> None:
    await kubectl("run web --image=demo/web:1.2-crash")
    await kubectl("wait --for=jsonpath={.status.containerStatuses[0].state.waiting.reason}=CrashLoopBackOff pod/web --timeout=60s")
    described = await kubectl("describe pod web")
    assert re.search(r"Last State: +Terminated\s+Reason: +Error\s+Exit Code: +1", described)
    assert "Back-off restarting failed container web in pod web" in described
    assert "FATAL cannot read price table" in await kubectl("logs web --previous")
    assert "Warning" in await kubectl("events --for pod/web --types=Warning")


async def test_logs_of_a_deployment_with_times(kubectl: Kubectl) -> None:
    await kubectl("create deployment web --image=demo/web:1.0")
    await kubectl(READY)
    assert re.fullmatch(r"\d{4}-\S+Z INFO web 1.0 listening\n", await kubectl("logs deploy/web --tail=1 --timestamps"))
    assert "not found" in await kubectl("logs nope", fails=True)


async def test_a_manifest_is_applied_and_a_pod_deleted(kubectl: Kubectl) -> None:
    manifest = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {terminationGracePeriodSeconds: 1, containers: [{name: web, image: "demo/web:1.0"}]}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
"""
    assert "deployment.apps/web created" in await kubectl("apply -f -", stdin=manifest)
    await kubectl(READY)
    assert "deployment.apps/web unchanged" in await kubectl("apply -f -", stdin=manifest)
    assert re.search(r"Endpoints: +10\.244\.\d+\.\d+:8080", await kubectl("describe svc web"))
    [name] = (await kubectl("get pods -o name")).split()
    assert "deleted" in await kubectl(f"delete {name}")
    await kubectl("wait --for=jsonpath={.status.availableReplicas}=1 deploy/web --timeout=60s")
    assert name not in await kubectl("get pods -o name")


async def test_a_cordoned_node_takes_no_new_pods(kubectl: Kubectl) -> None:
    await kubectl("cordon sandbox-node-0")
    try:
        await kubectl("run web --image=demo/web:1.0")
        await kubectl("wait --for=condition=PodScheduled=False pod/web --timeout=60s")
        assert "node(s) were unschedulable" in await kubectl("events --for pod/web")
    finally:
        await kubectl("uncordon sandbox-node-0")
    await kubectl("wait --for=condition=Ready pod/web --timeout=60s")
