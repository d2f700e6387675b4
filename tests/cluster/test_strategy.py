"""How many pods a rollout may take away at once, as the Deployment controller resolves it; unreadable means all of them."""

from __future__ import annotations

from typing import Any

import pytest

from backstop.cluster.state import max_unavailable


def deployment(replicas: int, kind: str = "RollingUpdate", **rolling: Any) -> dict[str, Any]:
    return {"spec": {"replicas": replicas, "strategy": {"type": kind, "rollingUpdate": rolling}}}


@pytest.mark.parametrize(
    ("spec", "pods"),
    [
        (deployment(8), 2),
        (deployment(3), 0),  # 25% of 3 rounds down, and the surge of one makes up for it
        (deployment(3, maxUnavailable="100%"), 3),
        (deployment(3, maxUnavailable=2, maxSurge=0), 2),
        (deployment(3, maxUnavailable="10%", maxSurge=0), 1),  # both come to nothing: one must go
        (deployment(3, maxUnavailable=9), 3),
        (deployment(3, "Recreate"), 3),
        (deployment(3, maxUnavailable="lots"), 3),
        (deployment(3, maxUnavailable=True), 3),
        (deployment(3, maxSurge=[1]), 3),
        ({"spec": {"strategy": {"type": "RollingUpdate"}}}, 0),
    ],
)
def test_pods_that_may_be_missing(spec: dict[str, Any], pods: int) -> None:
    assert max_unavailable(spec) == pods
