"""Is there anything to look at, and may we? Asked with plain reads, before anything is started; every no is one sentence."""

from __future__ import annotations

import asyncio
import difflib
from collections.abc import Iterable
from typing import Final

from backstop.cluster.client import ClusterClient
from backstop.cluster.objects import Json, name, sequence
from backstop.cluster.reads import AUTOSCALERS, BUDGETS, KINDS
from backstop.errors import ClusterError, NotFoundError, UsageError
from backstop.records import WorkloadRef

NEEDED: Final = (KINDS["ReplicaSet"], KINDS["Pod"], AUTOSCALERS, BUDGETS)
"""What has to be listed, besides Deployments, for a target to be observed at all."""

NOTHING: Final = "nothing was written"


async def look_ahead(client: ClusterClient, target: WorkloadRef) -> None:
    """Raises UsageError if the target is not there, or cannot be observed with this identity."""
    found = await deployments(client, target.namespace)
    if target.name not in (names := [name(one) for one in found]):
        if not names:
            await require_namespace(client, target.namespace)
        raise NotFoundError(
            f"there is no deployment {target.name} in namespace {target.namespace}",
            unchanged=NOTHING,
            todo=nearest(target.name, names),
        )
    refused = await asyncio.gather(*(_refusal(client, path.format(target.namespace)) for path in NEEDED))
    if lacking := [path for path, no in zip(NEEDED, refused, strict=True) if no]:
        raise _not_allowed([_right(path) for path in lacking], target.namespace)


async def deployments(client: ClusterClient, namespace: str) -> list[Json]:
    """The Deployments of a namespace. Raises UsageError for whatever keeps them from being read."""
    try:
        return sequence(await client.get(KINDS["Deployment"].format(namespace)), "items")
    except ClusterError as error:
        if error.status == 403:
            raise _not_allowed([_right(KINDS["Deployment"])], namespace) from error
        raise _unreadable(error) from error


def nearest(wanted: str, known: Iterable[str]) -> str:
    """What to do about a name that is not there."""
    names = sorted(known)
    if near := difflib.get_close_matches(wanted, names, n=1, cutoff=0.5):
        return f"the nearest is {near[0]}"
    return f"it has: {', '.join(names[:20])}" if names else "it has none at all"


async def require_namespace(client: ClusterClient, namespace: str) -> None:
    """Raises NotFoundError for a namespace that is not there. One that may not be looked at is taken to be there."""
    try:
        await client.get(f"/api/v1/namespaces/{namespace}")
    except ClusterError as error:
        if error.status != 404:
            return
        known = await _namespaces(client)
        raise NotFoundError(f"there is no namespace {namespace}", unchanged=NOTHING, todo=nearest(namespace, known)) from error


async def _namespaces(client: ClusterClient) -> list[str]:
    try:
        return [name(one) for one in sequence(await client.get("/api/v1/namespaces"), "items")]
    except ClusterError:
        return []


async def _refusal(client: ClusterClient, path: str) -> bool:
    """Whether this identity may not list what is there. Any other failure is told by the read that needs it."""
    try:
        await client.get(path, {"limit": 1})
    except ClusterError as error:
        return error.status == 403
    return False


def _right(path: str) -> str:
    """`list deployments.apps` of `/apis/apps/v1/namespaces/{}/deployments`."""
    parts = path.strip("/").split("/")
    return f"list {parts[-1]}{'.' + parts[1] if parts[0] == 'apis' else ''}"


def _not_allowed(rights: list[str], namespace: str) -> UsageError:
    return UsageError(
        f"this identity may not {', '.join(rights)} in namespace {namespace}",
        unchanged=NOTHING,
        todo="'backstop policy compile' prints the investigator's role, which grants it; or name another --kubeconfig or --context",
    )


def _unreadable(error: ClusterError) -> UsageError:
    if error.status == 401:
        todo = "renew them, or name another --kubeconfig or --context"
        return UsageError("the API server does not accept these credentials", unchanged=NOTHING, todo=todo)
    todo = error.todo or "try again, or name another --kubeconfig or --context"
    return UsageError(error.what, unchanged=NOTHING, todo=todo)
