"""How many replicas the Deployments of one lane have and should have, by a watch: it costs nothing while nothing changes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from backstop.errors import ClusterError
from backstop.scenarios.kube import Kube

AGAIN = 0.2
"""Seconds until a cluster is asked again that did not answer."""


class Replicas:
    """Follows the Deployments of a namespace. `run` it in a task of its own. None: not known."""

    def __init__(self, kube: Kube, namespace: str) -> None:
        self._kube = kube
        self._path = f"/apis/apps/v1/namespaces/{namespace}/deployments"
        self._seen: dict[str, dict[str, Any]] | None = None

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                async for kind, deployment in self._kube.watch(self._path):
                    self._take(kind, deployment)
            except ClusterError:
                pass  # said by the readings, which are unknown until it answers again
            self._seen = None
            await asyncio.sleep(AGAIN)

    def ready(self) -> dict[str, int] | None:
        return self._each(lambda deployment: (deployment.get("status") or {}).get("readyReplicas", 0))

    def wanted(self) -> dict[str, int] | None:
        return self._each(lambda deployment: deployment["spec"].get("replicas", 1))

    def _each(self, count: Callable[[dict[str, Any]], int]) -> dict[str, int] | None:
        return None if self._seen is None else {name: count(deployment) for name, deployment in sorted(self._seen.items())}

    def _take(self, kind: str, deployment: dict[str, Any]) -> None:
        self._seen = (self._seen or {}) | {deployment["metadata"]["name"]: deployment}
        if kind == "DELETED":
            del self._seen[deployment["metadata"]["name"]]
