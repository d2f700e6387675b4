"""A Kubernetes API of a few objects in memory, over a real socket: what the cluster door and the executor need, and nothing more.

It keeps the API server's promises that fencing rests on (resourceVersion, uid, generation, dryRun, 409, 422) and can be told to
break others: see `faults`.
"""

from __future__ import annotations

import asyncio
import copy
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonpatch
import yaml
from aiohttp import web

Json = dict[str, Any]
READER, WRITER = "reader-token", "writer-token"


def template(image: str, **env: str) -> Json:
    container: Json = {"name": "web", "image": image, "resources": {"limits": {"memory": "64Mi"}}}
    if env:
        container["env"] = [{"name": k, "value": v} for k, v in env.items()]
    return {"metadata": {"labels": {"app": "checkout"}}, "spec": {"containers": [container]}}


class StubApi:
    """One namespace, `shop`. The writer may patch only the deployment `checkout`."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Json]] = {
            kind: {}
            for kind in (
                "deployments",
                "replicasets",
                "pods",
                "services",
                "endpointslices",
                "events",
                "horizontalpodautoscalers",
                "poddisruptionbudgets",
                "resourcequotas",
            )
        }
        self.logs: dict[tuple[str, str, bool], bytes] = {}
        self.answers: dict[str, Callable[[], web.Response]] = {}
        self.requests: list[tuple[str, str, str]] = []  # method, path with query, audit id
        self.faults: list[str] = []  # for the next PATCHes, in order; see `_patched`
        self.refuse: set[str] = set()  # kinds that answer 403
        self.writable = {"checkout"}  # the deployments that the writer may patch
        self.rehearsed: list[Json] = []  # the pods that were asked for as dry-runs
        self.no_pods = ""  # why new pods are refused
        self.before_patch: Callable[[], None] | None = None
        self.after_patch: Callable[[], None] | None = None
        self.patching = asyncio.Event()  # a PATCH has arrived that will hang
        self._version = 100
        self.url = ""
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        app = web.Application()
        app.router.add_route("*", "/{rest:.*}", self._handle)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    def kubeconfig(self, directory: Path, token: str) -> Path:
        path = directory / f"{token}.kubeconfig"
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "stub",
            "clusters": [{"name": "stub", "cluster": {"server": self.url}}],
            "users": [{"name": "me", "user": {"token": token}}],
            "contexts": [{"name": "stub", "context": {"cluster": "stub", "user": "me"}}],
        }
        path.write_text(yaml.safe_dump(document))
        return path

    def put(self, kind: str, name: str, **fields: Any) -> Json:
        """Creates or replaces an object, as another client would."""
        self._version += 1
        metadata = {
            "name": name,
            "namespace": "shop",
            "uid": f"uid-{kind}-{name}",
            "resourceVersion": str(self._version),
            "creationTimestamp": "2026-01-01T00:00:00Z",
            **fields.pop("metadata", {}),
        }
        self.objects[kind][name] = {"metadata": metadata, **fields}
        return self.objects[kind][name]

    def touch(self, kind: str, name: str, *, spec: bool = False) -> None:
        """A new resourceVersion, as a status update gives; with `spec` a new generation too."""
        self._version += 1
        metadata = self.objects[kind][name]["metadata"]
        metadata["resourceVersion"] = str(self._version)
        if spec:
            metadata["generation"] += 1

    def deploy(self) -> None:
        """checkout at revision 2, which is broken, after revision 1, which was not."""
        good, bad = (
            template("demo/web:1.0", UPSTREAM="http://prod-db:5432"),
            template("demo/web:1.2-errors", UPSTREAM="http://prod-db:5432"),
        )
        self.put(
            "deployments",
            "checkout",
            metadata={"generation": 2, "labels": {"app": "checkout"}, "annotations": {"deployment.kubernetes.io/revision": "2"}},
            spec={
                "replicas": 3,
                "selector": {"matchLabels": {"app": "checkout"}},
                "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}},
                "template": bad,
                "progressDeadlineSeconds": 600,
                "aFieldOfALaterRelease": {"kept": True},
            },
            status={
                "observedGeneration": 2,
                "replicas": 3,
                "readyReplicas": 3,
                "availableReplicas": 3,
                "updatedReplicas": 3,
                "conditions": [{"type": "Available", "status": "True", "lastTransitionTime": "2026-01-01T01:00:05Z"}],
            },
        )
        for number, (suffix, tmpl, replicas) in enumerate([("aaa", good, 0), ("bbb", bad, 3)], 1):
            hashed = copy.deepcopy(tmpl)
            hashed["metadata"]["labels"]["pod-template-hash"] = suffix
            self.put(
                "replicasets",
                f"checkout-{suffix}",
                metadata={
                    "labels": {"app": "checkout", "pod-template-hash": suffix},
                    "annotations": {"deployment.kubernetes.io/revision": str(number)},
                    "ownerReferences": [_owner("Deployment", "checkout", "uid-deployments-checkout")],
                    "creationTimestamp": f"2026-01-01T0{number}:00:00Z",
                },
                spec={"replicas": replicas, "template": hashed},
                status={"replicas": replicas, "readyReplicas": replicas},
            )
        for ordinal in range(3):
            self.pod(f"checkout-bbb-{ordinal}")
        self.put(
            "services", "checkout",
            metadata={"labels": {"backstop.dev/front": "true"}},
            spec={"selector": {"app": "checkout"}, "ports": [{"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP"}]},
        )  # fmt: skip

    def pod(self, name: str) -> Json:
        return self.put(
            "pods",
            name,
            metadata={
                "labels": {"app": "checkout", "pod-template-hash": "bbb"},
                "ownerReferences": [_owner("ReplicaSet", "checkout-bbb", "uid-replicasets-checkout-bbb")],
            },
            spec={"containers": [{"name": "web", "image": "demo/web:1.2-errors"}]},
            status={
                "phase": "Running",
                "conditions": [{"type": "Ready", "status": "True"}],
                "containerStatuses": [
                    {"name": "web", "image": "demo/web:1.2-errors", "ready": True, "restartCount": 0, "state": {"running": {}}}
                ],
            },
        )

    @property
    def checkout(self) -> Json:
        return self.objects["deployments"]["checkout"]

    def patches(self) -> list[tuple[str, str, str]]:
        return [request for request in self.requests if request[0] == "PATCH"]

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        audit = request.headers.get("Audit-ID") or f"audit-{len(self.requests) + 1}"
        self.requests.append((request.method, request.path_qs, audit))
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        parts = request.path.strip("/").split("/")
        if token not in {READER, WRITER}:
            return _status(401, "Unauthorized", "Unauthorized", audit)
        if "proxy" in parts:
            return self._proxied(parts[5].split(":")[0], audit)
        at = parts.index("namespaces") + 2
        kind, name = parts[at], parts[at + 1] if len(parts) > at + 1 else ""
        patches = request.method == "PATCH" and kind == "deployments" and name in self.writable
        rehearses = request.method == "POST" and kind == "pods"
        allowed = request.method == "GET" or (token == WRITER and (patches or rehearses))
        if not allowed or kind in self.refuse:
            return _status(403, "Forbidden", f'{kind} "{name}" is forbidden', audit)
        if request.method == "PATCH":
            return await self._patched(request, name, audit)
        if request.method == "POST":
            return self._rehearsed(request, await request.json(), audit)
        return self._read(request, kind, name, audit)

    def _rehearsed(self, request: web.Request, pod: Json, audit: str) -> web.Response:
        if request.query.get("dryRun") != "All":
            return _status(403, "Forbidden", "pods are only rehearsed", audit)
        self.rehearsed.append(pod)
        if self.no_pods:
            return _status(403, "Forbidden", self.no_pods, audit)
        return _json(201, pod, audit)

    def _read(self, request: web.Request, kind: str, name: str, audit: str) -> web.Response:
        if request.path.endswith("/log"):
            return self._logged(request, name, audit)
        if not name:
            return self._listed(request, kind, audit)
        if name not in self.objects[kind]:
            return _status(404, "NotFound", f'{kind} "{name}" not found', audit)
        return _json(200, self.objects[kind][name], audit)

    def _listed(self, request: web.Request, kind: str, audit: str) -> web.Response:
        if kind not in self.objects:
            return web.Response(
                status=404, text="404 page not found"
            )  # as an API server answers for a group that it does not serve
        names = sorted(self.objects[kind])
        start, limit = int(request.query.get("continue", "0")), int(request.query.get("limit", "500"))
        metadata = {"continue": str(start + limit)} if start + limit < len(names) else {}
        items = [self.objects[kind][name] for name in names[start : start + limit]]
        return _json(200, {"apiVersion": "v1", "kind": "List", "metadata": metadata, "items": items}, audit)

    def _logged(self, request: web.Request, name: str, audit: str) -> web.Response:
        key = (name, request.query["container"], request.query.get("previous") == "true")
        if key not in self.logs:
            return _status(404, "NotFound", f'pods "{name}" not found', audit)
        return web.Response(body=self.logs[key], headers={"Audit-Id": audit, "Content-Type": "text/plain"})

    def _proxied(self, service: str, audit: str) -> web.Response:
        answer = self.answers.get(service)
        return answer() if answer else _status(503, "ServiceUnavailable", f'no endpoints available for service "{service}"', audit)

    async def _patched(self, request: web.Request, name: str, audit: str) -> web.StreamResponse:
        fault = self.faults.pop(0) if self.faults else ""
        if fault == "commit_and_hang":
            self._commit(name, json.loads(await request.read()), dry_run=False, audit=audit)
        if fault.endswith("hang"):
            self.patching.set()
            await asyncio.Event().wait()
        if fault == "lose_request":
            return _cut(request)
        if fault == "overtaken":
            self.touch("deployments", name)
            return _status(500, "InternalError", "etcdserver: request timed out", audit)
        if fault.startswith("error:"):
            return _status(int(fault.removeprefix("error:")), "InternalError", "etcdserver: request timed out", audit)
        if self.before_patch is not None:
            self.before_patch()
        answer = self._commit(name, json.loads(await request.read()), dry_run="dryRun" in request.query, audit=audit)
        if self.after_patch is not None:
            self.after_patch()
        if fault.startswith("bare:"):  # somebody on the way, who does not speak for the API server
            return web.Response(status=int(fault.removeprefix("bare:")), text="upstream connect error or disconnect/reset")
        if fault.startswith("late:"):
            return _status(int(fault.removeprefix("late:")), "Timeout", "gateway timeout", audit)
        return _cut(request) if fault == "lose_reply" else answer

    def _commit(self, name: str, patch: list[Json], *, dry_run: bool, audit: str) -> web.Response:
        old = self.objects["deployments"][name]
        new = jsonpatch.apply_patch(copy.deepcopy(old), json.dumps(patch))
        if new["metadata"]["uid"] != old["metadata"]["uid"]:
            return _status(422, "Invalid", "metadata.uid: field is immutable", audit)
        if new["metadata"]["resourceVersion"] != old["metadata"]["resourceVersion"]:
            return _status(409, "Conflict", "the object has been modified", audit)
        if new["spec"] != old["spec"]:
            new["metadata"]["generation"] += 1
        if not dry_run:
            self._version += 1
            new["metadata"]["resourceVersion"] = str(self._version)
            self.objects["deployments"][name] = new
        return _json(200, new, audit)


def _owner(kind: str, name: str, uid: str) -> Json:
    return {"kind": kind, "name": name, "uid": uid, "controller": True}


def _json(status: int, body: Json, audit: str) -> web.Response:
    return web.json_response(body, status=status, headers={"Audit-Id": audit})


def _status(status: int, reason: str, message: str, audit: str) -> web.Response:
    body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "message": message, "code": status}
    return _json(status, body, audit)


def _cut(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


NOW = datetime(2026, 1, 1, 3, tzinfo=UTC)
