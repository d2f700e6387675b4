"""Installs what `backstop policy compile` prints into a cluster, as an administrator with kubectl would.

Identities, roles, admission policies and the kill switch: from then on the API server itself refuses what the policy does not list,
whoever holds the token.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from backstop.policy import Policy
from backstop.policy.compile import compile_policy
from backstop.sandbox.faults import MERGE, Call, send
from backstop.sandbox.images import IMAGES
from backstop.sandbox.resources import by_kind

KNOWN_IMAGES: Final = dict.fromkeys(("checkout", "catalog"), tuple(image for image in IMAGES if image.startswith("demo/web:")))
"""Of the demo fleet: what its owners have released, good or bad, since an undo puts back what ran. In a real cluster whoever
releases keeps this list."""


async def install_policy(kubeconfig: Path, policy: Policy) -> None:
    """With the administrator's kubeconfig of an embedded cluster. Raises ClusterError, ClusterUnavailable, ConfigError."""
    calls: list[Call] = []
    for manifest in compile_policy(policy, known_images=KNOWN_IMAGES):
        resource = by_kind(manifest["apiVersion"], manifest["kind"])
        assert resource is not None  # noqa: S101  our own manifests
        namespace, name = manifest["metadata"].get("namespace", ""), manifest["metadata"]["name"]
        calls.append(Call("POST", resource.path(namespace), manifest, expected=frozenset((409,))))
        calls.append(Call("PATCH", resource.path(namespace, name), manifest, MERGE))
    await send(kubeconfig, calls)
