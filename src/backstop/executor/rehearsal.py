"""Would the API server take a pod of the new template, now? Asked with a third identity, which may create pods and whose every real
creation admission refuses: what it sends is a dry-run or nothing.

With a quota that is full, a webhook that is down or a policy that refuses, every rollout loses pods and makes none. This is the
cheap, decisive question before any of them; see notes on benchmarks, "what faults look like at object level".
"""

from __future__ import annotations

from typing import Final

from backstop.cluster.client import ClusterClient
from backstop.cluster.objects import Json, mapping
from backstop.cluster.writes import written
from backstop.errors import BackstopError, ClusterRefused
from backstop.executor.fence import audit_id
from backstop.records import Check, Intent, Scale, TargetState, WorkloadRef

RULE: Final = "X-POD-DRY-RUN"
_PODS: Final = "/api/v1/namespaces/{}/pods"


class PodRehearsal:
    """Asks with the rehearser's identity. `client` None: there is none, and the answer is no."""

    def __init__(self, client: ClusterClient | None) -> None:
        self._client = client

    async def ask(self, intent: Intent, target: WorkloadRef, state: TargetState, operations: tuple[Json, ...]) -> Check:
        """A failed check, never an exception, if it is refused or cannot be asked."""
        if isinstance(intent.action, Scale) and intent.action.replicas <= state.replicas:
            return Check(rule=RULE, passed=True, reason="the write makes no pod")
        if self._client is None:
            return Check(rule=RULE, passed=False, reason="there is no identity that could rehearse a pod")
        pod = _pod(target, mapping(written({"template": state.template}, operations), "template"))
        name = audit_id(intent.action_id, intent.resource_version, "pod-rehearsal")
        try:
            await self._client.rehearse_create(_PODS.format(target.namespace), pod, audit_id=name)
        except ClusterRefused as error:
            return Check(rule=RULE, passed=False, reason=f"a pod of the new template would be refused: {error.what}")
        except BackstopError as error:
            return Check(rule="X-API-ANSWERS", passed=False, reason=error.what)
        return Check(rule=RULE, passed=True, reason="the API server would take a pod of the new template")


def _pod(target: WorkloadRef, template: Json) -> Json:
    """A pod as the ReplicaSet controller would make it, by another name."""
    metadata = mapping(template, "metadata")
    kept = {key: metadata[key] for key in ("labels", "annotations") if metadata.get(key)}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"generateName": f"{target.name}-rehearsal-", "namespace": target.namespace, **kept},
        "spec": mapping(template, "spec"),
    }
