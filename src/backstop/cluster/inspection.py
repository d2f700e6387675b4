"""A closer look at one thing, for a diagnoser that asks: one object, one log, the events about a name, one request to a Service.

Bounded in bytes here and in time by the caller. Raises ClusterError for what cannot be had.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from backstop.cluster import objects
from backstop.cluster.client import ClusterClient
from backstop.cluster.objects import Json, mapping, name, sequence, text
from backstop.cluster.probing import Prober
from backstop.cluster.topology import backends
from backstop.errors import ClusterRefused
from backstop.records import Describe, EventsAbout, Inspection, Logs, ObjectRef, ProbeService

CORE, APPS = "/api/v1/namespaces/{}", "/apis/apps/v1/namespaces/{}"
PATHS: Final = {
    "Deployment": f"{APPS}/deployments",
    "ReplicaSet": f"{APPS}/replicasets",
    "Pod": f"{CORE}/pods",
    "Service": f"{CORE}/services",
    "ConfigMap": f"{CORE}/configmaps",
}
LOG_LINES: Final = 200
MAX_BYTES: Final = 32_768
MAX_LINES: Final = 400
_BOOKKEEPING: Final = frozenset({"managedFields", "ownerReferences", "uid", "resourceVersion", "selfLink"})


class Inspector:
    """Looks closer, within one cluster and with one identity."""

    def __init__(self, client: ClusterClient, prober: Prober) -> None:
        self._client = client
        self._prober = prober

    async def look(self, namespace: str, query: Describe | Logs | EventsAbout | ProbeService) -> Inspection:
        """Raises ClusterError."""
        match query:
            case Describe():
                return await self._describe(namespace, query)
            case Logs():
                return await self._logs(namespace, query)
            case EventsAbout():
                return await self._events(namespace, query)
            case ProbeService():
                return await self._probe(namespace, query)

    async def _describe(self, namespace: str, query: Describe) -> Inspection:
        obj = await self._client.get(f"{PATHS[query.kind].format(namespace)}/{query.name}")
        about = ObjectRef(kind=query.kind, namespace=namespace, name=query.name)
        return Inspection(about=about, lines=(), cut=False, document=_lean(obj))

    async def _logs(self, namespace: str, query: Logs) -> Inspection:
        params: dict[str, str | int] = {"tailLines": LOG_LINES, "limitBytes": MAX_BYTES}
        if query.container is not None:
            params["container"] = query.container
        if query.previous:
            params["previous"] = "true"
        path = f"{PATHS['Pod'].format(namespace)}/{query.pod}/log"
        body, cut = await self._client.log(path, params, limit=MAX_BYTES)
        about = ObjectRef(kind="Pod", namespace=namespace, name=query.pod)
        return _found(about, body.split("\n"), cut=cut or len(body.encode()) >= MAX_BYTES)

    async def _events(self, namespace: str, query: EventsAbout) -> Inspection:
        params: dict[str, str | int] = {"fieldSelector": f"involvedObject.name={query.name}", "limit": 100}
        found = sequence(await self._client.get(f"{CORE.format(namespace)}/events", params), "items")
        kinds = {text(event, "involvedObject", "kind") for event in found}
        about = ObjectRef(kind=kinds.pop() if len(kinds) == 1 else "Object", namespace=namespace, name=query.name)
        said = [f"{text(e, 'type')} {text(e, 'reason')}: {text(e, 'message').strip()}" for e in found]
        return _found(about, list(dict.fromkeys(said)))

    async def _probe(self, namespace: str, query: ProbeService) -> Inspection:
        """Raises ClusterRefused for a path that nobody declared: a request to any other might change something."""
        service = await self._client.get(f"{PATHS['Service'].format(namespace)}/{query.service}")
        if query.path != "/":
            deployments = sequence(await self._client.get(PATHS["Deployment"].format(namespace)), "items")
            behind = backends(service, deployments)
            declared = {path for d in deployments if name(d) in behind for path in _probe_paths(d)}
            if query.path not in declared:
                known = ", ".join(sorted({"/", *declared}))
                raise ClusterRefused(
                    f"{query.path} is no path that a probe of service {query.service} declares", todo=f"ask {known}"
                )
        answer = await self._prober.ask(namespace, service, query.path)
        status = f"HTTP {answer.status}" if answer.status else "no HTTP answer"
        about = ObjectRef(kind="Service", namespace=namespace, name=query.service)
        return _found(about, [f"GET {query.path} of service/{query.service} -> {status}: {answer.body}"])


def _probe_paths(deployment: Json) -> Iterable[str]:
    for container in sequence(mapping(deployment, "spec", "template"), "spec", "containers"):
        for probe in ("readinessProbe", "livenessProbe", "startupProbe"):
            if path := text(container, probe, "httpGet", "path"):
                yield path


def _lean(obj: Json) -> dict[str, Any]:
    """An object without the bookkeeping of the API server, and without what was applied last, which repeats it."""
    metadata = {k: v for k, v in mapping(obj, "metadata").items() if k not in _BOOKKEEPING}
    annotations = {k: v for k, v in mapping(metadata, "annotations").items() if not k.endswith("last-applied-configuration")}
    metadata = (
        {**metadata, "annotations": annotations} if annotations else {k: v for k, v in metadata.items() if k != "annotations"}
    )
    return {**obj, "metadata": metadata}


def _found(about: ObjectRef, lines: list[str], *, cut: bool = False) -> Inspection:
    """At most so many lines and bytes; of more, the last ones."""
    kept, size = list[str](), 0
    for line in reversed([objects.clean(line) for line in lines if line.strip()]):
        size += len(line.encode()) + 1
        if size > MAX_BYTES or len(kept) >= MAX_LINES:
            cut = True
            break
        kept.append(line)
    return Inspection(about=about, lines=tuple(reversed(kept)), cut=cut)
