"""A whole embedded cluster as a process of its own, and a small client to look at it from outside."""

from __future__ import annotations

import json
import ssl
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import aiohttp

from backstop.sandbox.resources import EVENTS, PODS, Resource, by_kind

Object = dict[str, Any]
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"


class Running:
    """One cluster process. `said` is the line that it printed when its API answered."""

    def __init__(self, process: subprocess.Popen[str], said: Object) -> None:
        self.process = process
        self.said = said

    @property
    def kubeconfig(self) -> Path:
        return Path(self.said["kubeconfigs"]["admin"])

    @asynccontextmanager
    async def client(self, identity: str = "admin") -> AsyncIterator[Client]:
        """A client with one identity's token."""
        trust = ssl.create_default_context(cafile=self.said["ca"])
        headers = {"Authorization": f"Bearer {self.said['tokens'][identity]}"}
        timeout = aiohttp.ClientTimeout(total=60)
        async with aiohttp.ClientSession(
            self.said["server"], connector=aiohttp.TCPConnector(ssl=trust), headers=headers, timeout=timeout
        ) as session:
            yield Client(session)


class Client:
    """Requests that must succeed, and waiting for what a watch brings."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self.session = session

    async def request(self, method: str, path: str, body: Any = None, content_type: str = "application/json") -> Any:
        data = None if body is None else json.dumps(body).encode()
        async with self.session.request(method, path, data=data, headers={"Content-Type": content_type}) as answer:
            said = await answer.json(content_type=None)
        assert answer.status < 400, said
        return said

    async def get(self, path: str) -> Any:
        return await self.request("GET", path)

    async def items(self, resource: Resource, namespace: str, query: str = "") -> list[Object]:
        found: list[Object] = (await self.get(resource.path(namespace) + query))["items"]
        return found

    async def create(self, namespace: str, *objects: Object) -> None:
        for obj in objects:
            resource = by_kind(obj["apiVersion"], obj["kind"])
            assert resource is not None
            await self.request("POST", resource.path(namespace), obj)

    async def text(self, path: str) -> tuple[int, str]:
        async with self.session.get(path) as answer:
            return answer.status, await answer.text()

    async def states(self, resource: Resource, namespace: str, query: str = "") -> AsyncIterator[dict[str, Object]]:
        """The objects of a namespace by name: as they are, then after every change."""
        path, sep = resource.path(namespace) + query, "&" if query else "?"
        listed = await self.get(path)
        known: dict[str, Object] = {obj["metadata"]["name"]: obj for obj in listed["items"]}
        yield known
        version = listed["metadata"]["resourceVersion"]
        async with self.session.get(f"{path}{sep}watch=true&resourceVersion={version}") as answer:
            async for line in answer.content:
                event = json.loads(line)
                name = event["object"]["metadata"]["name"]
                if event["type"] == "DELETED":
                    known.pop(name, None)
                else:
                    known[name] = event["object"]
                yield known

    async def until(
        self, resource: Resource, namespace: str, good: Callable[[dict[str, Object]], bool], *, query: str = ""
    ) -> dict[str, Object]:
        """Waits until `good(objects by name)`. The test's own timeout is the deadline."""
        async for known in self.states(resource, namespace, query):
            if good(known):
                return known
        raise AssertionError(f"the watch ended: {known}")

    async def pod(self, namespace: str, good: Callable[[Object], bool], name: str = "") -> Object:
        """The first pod of the namespace that is `good`, as soon as there is one."""

        def found(pods: dict[str, Object]) -> list[Object]:
            return [pod for pod in pods.values() if (not name or pod["metadata"]["name"] == name) and good(pod)]

        return found(await self.until(PODS, namespace, lambda pods: bool(found(pods))))[0]

    async def event(self, namespace: str, reason: str, good: Callable[[str], bool] = lambda _: True) -> Object:
        """The first event with this reason whose message is `good`, as soon as there is one."""

        def found(events: dict[str, Object]) -> list[Object]:
            return [event for event in events.values() if event["reason"] == reason and good(event["message"])]

        return found(await self.until(EVENTS, namespace, lambda events: bool(found(events))))[0]


@contextmanager
def running(seed: int | str = 7, *arguments: str, state: str = "") -> Iterator[Running]:
    """Starts a cluster process and ends it with the block. Its files are removed with it."""
    with tempfile.TemporaryDirectory(prefix="bsr") as directory:
        process = subprocess.Popen(
            [sys.executable, "-m", "backstop.sandbox", "--state", state or directory, "--seed", str(seed), *arguments],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        try:
            yield Running(process, json.loads(process.stdout.readline()))
        finally:
            process.terminate()
            process.wait(timeout=20)
            process.stdout.close()


def pod(name: str, image: str = "demo/web:1.0", **container: Any) -> Object:
    """A pod of one container named `app` that leaves quickly when asked to."""
    spec = {"terminationGracePeriodSeconds": 2, "containers": [{"name": "app", "image": image, **container}]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": name}}, "spec": spec}


def deployment(name: str, replicas: int, image: str = "demo/web:1.0", **spec: Any) -> Object:
    """A Deployment of such pods."""
    template = {"metadata": {"labels": {"app": name}}, "spec": pod(name, image)["spec"]}
    whole = {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": template, **spec}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": whole}


def service(name: str, port: int = 80, target: int = 8080) -> Object:
    spec = {"selector": {"app": name}, "ports": [{"port": port, "targetPort": target}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


def state(found: Object) -> Object:
    """What a pod's only container is doing: {"running": ...}, {"waiting": ...} or {"terminated": ...}."""
    statuses = (found.get("status") or {}).get("containerStatuses") or [{"state": {}}]
    return dict(statuses[0]["state"])


def waits_for(reason: str) -> Callable[[Object], bool]:
    return lambda found: bool(state(found).get("waiting", {}).get("reason") == reason)


def is_ready(found: Object) -> bool:
    conditions = (found.get("status") or {}).get("conditions") or ()
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
