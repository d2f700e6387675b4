"""The real kubectl against the API server: discovery, printing, generators, apply, access. Skipped where it is not installed."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from backstop.sandbox import bootstrap
from tests.sandbox.live_api import LiveApi

pytestmark = pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed on this machine")
DEADLINE_SECONDS = 60

MANIFEST = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - {name: app, image: "demo/web:1.0", ports: [{containerPort: 8080}], env: [{name: A, value: "1"}, {name: B, value: "2"}]}
"""


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str


Kubectl = Callable[..., Awaitable[Done]]


@pytest.fixture
def kubectl(live: LiveApi, tmp_path: Path) -> Kubectl:
    """Runs kubectl in namespace `test`: `await kubectl("get pods", stdin="", who="admin")`."""
    trust = (tmp_path / "ca.crt").read_bytes()
    for name, token in live.tokens.items():
        bootstrap.write_kubeconfig(tmp_path / name, server=live.url, ca_pem=trust, user=name, token=token, namespace="test")

    async def run(command: str, stdin: str = "", who: str = "admin") -> Done:
        env = {**os.environ, "KUBECONFIG": str(tmp_path / who), "KUBECACHEDIR": str(tmp_path / "cache")}
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec("kubectl", *command.split(), env=env, stdin=pipe, stdout=pipe, stderr=pipe)
        try:
            out, err = await asyncio.wait_for(process.communicate(stdin.encode()), DEADLINE_SECONDS)
        except TimeoutError:
            process.kill()
            await process.wait()
            raise
        return Done(process.returncode or 0, out.decode(), err.decode())

    return run


async def test_it_finds_what_is_served(kubectl: Kubectl) -> None:
    done = await kubectl("api-resources --api-group=apps --no-headers -o name")
    assert done.out.split() == [
        "controllerrevisions.apps",
        "daemonsets.apps",
        "deployments.apps",
        "replicasets.apps",
        "statefulsets.apps",
    ]
    assert (await kubectl("get all -A")).code == 0
    unknown = await kubectl("get gizmos")
    assert unknown.err.strip() == 'error: the server doesn\'t have a resource type "gizmos"'


async def test_generators_send_protobuf_and_it_is_understood(kubectl: Kubectl) -> None:
    for command, said in {
        "create deployment web --image=demo/web:1.0 --replicas=0 --port=8080": "deployment.apps/web created",
        "create configmap settings --from-literal=a=b": "configmap/settings created",
        "create secret generic key --from-literal=p=w": "secret/key created",
        "create serviceaccount bot": "serviceaccount/bot created",
        "create quota cap --hard=pods=2": "resourcequota/cap created",
        "create pdb web --selector=app=web --min-available=1": "poddisruptionbudget.policy/web created",
        "create role r --verb=get --resource=pods": "role.rbac.authorization.k8s.io/r created",
        "create rolebinding r --role=r --serviceaccount=test:bot": "rolebinding.rbac.authorization.k8s.io/r created",
        "create service clusterip web --tcp=80:8080": "service/web created",
        "create namespace other": "namespace/other created",
    }.items():
        done = await kubectl(command)
        assert (done.code, done.out.strip()) == (0, said), done.err
    assert (await kubectl("get deploy web -o jsonpath={.spec.replicas}")).out == "0"
    assert (await kubectl("get secret key -o jsonpath={.data.p}")).out == "dw=="


async def test_tables_have_the_usual_columns(kubectl: Kubectl) -> None:
    await kubectl("create deployment web --image=demo/web:1.0")
    done = await kubectl("get deploy -o wide")
    heads = ["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE", "CONTAINERS", "IMAGES", "SELECTOR"]
    assert done.out.splitlines()[0].split() == heads
    assert re.match(r"web +0/1 +0 +0 +\d+s +web +demo/web:1.0 +app=web", done.out.splitlines()[1])


async def test_apply_creates_then_changes_then_leaves_alone(kubectl: Kubectl) -> None:
    assert "created" in (await kubectl("apply -f -", MANIFEST)).out
    assert "unchanged" in (await kubectl("apply -f -", MANIFEST)).out
    without = MANIFEST.replace('{name: A, value: "1"}, ', "")
    assert "configured" in (await kubectl("apply -f -", without)).out
    env = await kubectl("get deploy web -o jsonpath={.spec.template.spec.containers[0].env}")
    assert env.out == '[{"name":"B","value":"2"}]', "lists are merged by their keys"


async def test_a_misspelt_field_is_refused_by_the_server(kubectl: Kubectl) -> None:
    done = await kubectl("create -f -", MANIFEST.replace("selector:", "selektor:"))
    assert done.code == 1
    assert 'unknown field "spec.selektor"' in done.err


async def test_everybody_learns_who_they_are_and_what_they_may(kubectl: Kubectl) -> None:
    who = await kubectl("auth whoami -o jsonpath={.status.userInfo.username}", who="executor")
    assert who.out == "system:serviceaccount:backstop:executor"
    assert (await kubectl("auth can-i list pods", who="investigator")).out.strip() == "yes"
    assert (await kubectl("auth can-i delete pods", who="investigator")).out.strip() == "no"
    assert (await kubectl("auth can-i delete secrets -n kube-system", who="naive")).out.strip() == "yes"
    rules = await kubectl("auth can-i --list", who="investigator")
    assert re.search(r"pods/log +\[\] +\[\] +\[get list watch\]", rules.out)


async def test_a_created_token_is_worth_its_account(kubectl: Kubectl) -> None:
    token = (await kubectl("create token investigator -n backstop --duration=10m")).out.strip()
    assert token.count(".") == 2
    done = await kubectl(f"--token={token} create configmap x")
    assert done.code == 1
    assert 'User "system:serviceaccount:backstop:investigator" cannot create resource "configmaps"' in done.err


async def test_a_refusal_reads_as_in_kubernetes(kubectl: Kubectl) -> None:
    done = await kubectl("delete deploy web", who="investigator")
    assert done.err.strip() == (
        'Error from server (Forbidden): deployments.apps "web" is forbidden: User "system:serviceaccount:backstop:investigator" '
        'cannot delete resource "deployments" in API group "apps" in the namespace "test"'
    )


POLICY = """
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: no-zero}
spec:
  paramKind: {apiVersion: v1, kind: ConfigMap}
  matchConstraints:
    resourceRules:
    - {apiGroups: [apps], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [deployments, deployments/scale], scope: "*"}
  validations: [{expression: "has(object.spec.replicas) && object.spec.replicas > 0", message: "K-REPLICAS: never zero"}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: no-zero}
spec: {policyName: no-zero, validationActions: [Deny]}
"""


async def test_admission_policies_are_applied_listed_and_enforced(kubectl: Kubectl) -> None:
    first = await kubectl("apply -f -", POLICY)
    assert first.out.splitlines() == [
        "validatingadmissionpolicy.admissionregistration.k8s.io/no-zero created",
        "validatingadmissionpolicybinding.admissionregistration.k8s.io/no-zero created",
    ]
    assert (await kubectl("apply -f -", POLICY)).out.count("unchanged") == 2
    listed = await kubectl("get validatingadmissionpolicies,validatingadmissionpolicybindings")
    assert re.search(r"no-zero +1 +v1/ConfigMap", listed.out)
    assert re.search(r"no-zero +no-zero +<unset>", listed.out)
    assert (await kubectl("apply -f -", MANIFEST)).code == 0
    refused = await kubectl("scale deployment web --replicas=0")
    assert refused.code == 1
    assert "ValidatingAdmissionPolicy 'no-zero' with binding 'no-zero' denied request: K-REPLICAS: never zero" in refused.err
