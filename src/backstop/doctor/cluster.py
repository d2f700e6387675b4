"""Whether the cluster can be reached, as whom, and what this identity may do of what Backstop needs. It only asks.

Backstop works with two identities: the investigator reads and writes nothing, the executor patches the workloads of the policy and
reads little. Each question is a SelfSubjectAccessReview, which the API server answers from the identity's own rights.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from backstop.cluster.client import ClusterClient
from backstop.cluster.inspection import PATHS
from backstop.cluster.kubeconfig import default_path
from backstop.cluster.objects import Json, text
from backstop.cluster.reads import KINDS
from backstop.doctor.report import ClusterEntry, Fit, NamespaceEntry
from backstop.doctor.scrubbing import Scrub, plain_url
from backstop.errors import ClusterError, ClusterRefused, ClusterUnavailable, ConfigError
from backstop.policy import Policy
from backstop.policy.schema import NamespaceRule


@dataclass(frozen=True)
class Right:
    """One verb on one resource."""

    verb: str
    resource: str
    group: str = ""
    subresource: str = ""

    def __str__(self) -> str:
        return f"{self.verb} {self.resource}{'/' + self.subresource if self.subresource else ''}"

    def about(self, namespace: str, name: str = "") -> Json:
        """The question as the API has it."""
        asked = {"namespace": namespace, "name": name, "verb": self.verb, "group": self.group, "resource": self.resource}
        return {"resourceAttributes": asked | ({"subresource": self.subresource} if self.subresource else {})}


def _on(verb: str, path: str) -> Right:
    """`verb` on what a path of the API lists: `/apis/apps/v1/namespaces/{}/deployments`."""
    prefix, resource = path.rsplit("/namespaces/{}/")
    return Right(verb, resource, prefix.split("/")[2] if prefix.startswith("/apis/") else "")


READS: Final = (
    *(_on("list", path) for path in KINDS.values()),
    *(_on("get", path) for path in PATHS.values()),
    Right("get", "pods", subresource="log"),
    Right("get", "services", subresource="proxy"),  # the black-box probe
)
"""What an investigation reads."""

READS_TO_EXECUTE: Final = (_on("get", KINDS["Deployment"]), _on("list", KINDS["ReplicaSet"]), _on("list", KINDS["Pod"]))
WRITE: Final = _on("patch", KINDS["Deployment"])
BEYOND: Final = (WRITE, _on("delete", KINDS["Deployment"]), _on("delete", KINDS["Pod"]), Right("get", "secrets"))
"""What no identity of Backstop needs, of any name: the executor patches those that the policy names."""

_NO_REVIEW: Final = "unknown: this API server cannot be asked (SelfSubjectReview is of Kubernetes 1.28)"


def chosen_kubeconfig(kubeconfig: Path | None, context: str | None) -> tuple[Path, bool] | None:
    """The kubeconfig that applies, and whether somebody named it; None if there is none."""
    named = kubeconfig is not None or context is not None or bool(os.environ.get("KUBECONFIG"))
    path = kubeconfig or default_path()
    return (path, named) if named or path.is_file() else None


async def look_at_cluster(path: Path, context: str | None, policy: Policy, scrub: Scrub, *, named: bool) -> ClusterEntry:
    """Raises `ConfigError` for a kubeconfig that somebody named and that cannot be used; the one that happens to lie where kubectl
    looks is only told of."""
    try:
        async with ClusterClient(path, context) as client:
            seen = await _seen(client, policy, scrub)
    except ConfigError as error:
        if named:
            raise
        seen = _Seen(trouble=scrub.known(str(error)))
    return ClusterEntry(
        kubeconfig=str(path),
        named=named,
        context=context,
        server=seen.server,
        version=seen.version,
        identity=seen.identity,
        namespaces=seen.namespaces,
        fit=_fit(seen.namespaces) if seen.namespaces else None,
        trouble=seen.trouble,
    )


@dataclass
class _Seen:
    """What was found out before something went wrong, and what did."""

    server: str = ""
    version: str = ""
    identity: str = ""
    namespaces: tuple[NamespaceEntry, ...] = ()
    trouble: str = ""


async def _seen(client: ClusterClient, policy: Policy, scrub: Scrub) -> _Seen:
    seen = _Seen(server=plain_url(client.server))
    try:
        seen.version = text(await client.get("/version"), "gitVersion")
        seen.identity = await identity_of(client)
        found = await asyncio.gather(*(_namespace(client, rule) for rule in policy.namespaces))
        seen.namespaces = tuple(found)
    except ClusterError as error:
        renew = "; its credentials are not accepted: renew them" if error.status == 401 else ""
        seen.trouble = scrub.known(f"{str(error).rstrip('.')}{renew}")
    return seen


async def identity_of(client: ClusterClient) -> str:
    """As whom the API server knows this identity. Raises ClusterError."""
    try:
        status = await client.review("SelfSubjectReview")
    except ClusterRefused as error:
        if error.status != 404:
            raise
        return _NO_REVIEW
    return text(status, "userInfo", "username")


async def _namespace(client: ClusterClient, rule: NamespaceRule) -> NamespaceEntry:
    async def lacking(rights: Sequence[Right]) -> tuple[str, ...]:
        given = await asyncio.gather(*(_may(client, right, rule.name) for right in rights))
        return tuple(str(right) for right, may in zip(rights, given, strict=True) if not may)

    names = [workload.name for workload in rule.workloads]
    patches = await asyncio.gather(*(_may(client, WRITE, rule.name, name) for name in names))
    beyond = await asyncio.gather(*(_may(client, right, rule.name) for right in BEYOND))
    return NamespaceEntry(
        namespace=rule.name,
        unreadable=await lacking(READS),
        unreadable_to_execute=await lacking(READS_TO_EXECUTE),
        writable=tuple(name for name, may in zip(names, patches, strict=True) if may),
        unwritable=tuple(name for name, may in zip(names, patches, strict=True) if not may),
        beyond=tuple(str(right) for right, may in zip(BEYOND, beyond, strict=True) if may),
    )


async def _may(client: ClusterClient, right: Right, namespace: str, name: str = "") -> bool:
    """Raises `ClusterUnavailable` for an answer that is neither yes nor no."""
    status = await client.review("SelfSubjectAccessReview", right.about(namespace, name))
    allowed = status.get("allowed")
    if not isinstance(allowed, bool):
        raise ClusterUnavailable(f"the API server does not say whether this identity may {right} in {namespace}")
    return allowed


def _fit(namespaces: Iterable[NamespaceEntry]) -> Fit:
    found = tuple(namespaces)
    reads = not any(n.unreadable for n in found)
    executes = not any(n.unreadable_to_execute or n.unwritable for n in found)
    if reads and executes:
        return "both"
    if executes:
        return "executor"
    return "investigator" if reads else "neither"


def cluster_problems(found: ClusterEntry | None) -> Iterator[str]:
    """A cluster that nobody named and that cannot be reached is no problem of Backstop's."""
    if found is None or not found.named:
        return
    if found.trouble:
        yield found.trouble.rstrip(".")
    if found.fit == "neither":
        lacking = "; ".join(f"in {n.namespace} it may not {', '.join(n.unreadable)}" for n in found.namespaces if n.unreadable)
        yield f"{found.identity} can neither investigate nor write: {lacking}. Use another identity, or grant it these"


def cluster_notes(found: ClusterEntry | None) -> Iterator[str]:
    """What is as it should be and still good to know."""
    if found is None:
        return
    if found.trouble and not found.named:
        yield f"{found.kubeconfig} was not named and is left alone: {found.trouble.rstrip('.')}"
    for namespace in found.namespaces:
        if namespace.beyond:
            rights = ", ".join(namespace.beyond)
            yield f"in {namespace.namespace} {found.identity} may {rights} of any name: Backstop never needs that"
    if found.fit == "both":
        yield f"{found.identity} could both read everything and write; give investigator and executor identities of their own"
    elif found.fit == "investigator" and any(n.writable for n in found.namespaces):
        yield f"{found.identity} may write, which an investigator need not"
