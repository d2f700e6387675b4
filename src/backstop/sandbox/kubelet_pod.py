"""One pod on this node, from being assigned to being gone."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

from backstop.sandbox.controllers.recorder import Recorder
from backstop.sandbox.controllers.state import condition
from backstop.sandbox.kubelet_container import Container
from backstop.sandbox.registry import Registry
from backstop.sandbox.resources import PODS
from backstop.sandbox.runtime import Runtime
from backstop.sandbox.status import StatusError
from backstop.sandbox.store import Object, clone

HOST_IP = "10.0.0.10"


class PodWorker:
    """Runs a pod's containers and keeps its status true. `run` returns when the pod is gone."""

    def __init__(
        self,
        registry: Registry,
        recorder: Recorder,
        runtime: Runtime,
        pod: Object,
        ip: str,
        proxy: Callable[[str], Awaitable[str]],
    ) -> None:
        self.registry = registry
        self.recorder = recorder
        self.runtime = runtime
        self.pod = pod
        self.ip = ip
        self.config_changed = asyncio.Event()
        self._proxy = proxy
        self._leaving = asyncio.Event()
        self._grace = float(pod["spec"].get("terminationGracePeriodSeconds", 30))
        self._gone = False
        self._start_time = registry.timestamp()
        self.init = [Container(self, spec, once=True) for spec in pod["spec"].get("initContainers") or ()]
        self.containers = [Container(self, spec) for spec in pod["spec"]["containers"]]

    # Called by the kubelet

    def changed(self, pod: Object, *, gone: bool) -> None:
        """The pod's object has changed."""
        self._gone = self._gone or gone
        self.pod = clone(pod)
        meta = pod["metadata"]
        if gone or "deletionTimestamp" in meta:
            self._grace = 0.0 if gone else float(meta.get("deletionGracePeriodSeconds", self._grace))
            self._leaving.set()

    def retry_configuration(self) -> None:
        """A ConfigMap or Secret of the namespace has changed."""
        self.config_changed.set()
        self.config_changed.clear()

    def abandon(self) -> None:
        """Kills whatever runs, when this worker cannot go on."""
        for container in (*self.init, *self.containers):
            if container.process is not None:
                container.process.kill()

    def find(self, name: str) -> Container | None:
        return next((found for found in (*self.containers, *self.init) if found.name == name), None)

    def address(self, port: int) -> int | None:
        """The real port behind a port of this pod."""
        for container in self.containers:
            if container.process is not None and port in container.process.ports:
                return container.process.ports[port]
        return None

    # Called by containers

    async def given_env(self) -> dict[str, str]:
        meta = self.pod["metadata"]
        proxy = await self._proxy(meta["namespace"])
        return {"HOSTNAME": meta["name"], "HTTP_PROXY": proxy, "http_proxy": proxy}

    def publish(self) -> None:
        """Writes the status if it has changed."""
        meta = self.pod["metadata"]
        if self._gone:
            return

        def change(obj: Object) -> None:
            obj["status"] = self._status(obj)

        with contextlib.suppress(StatusError):  # deleted under our hands: `changed` is about to say so
            self.pod = self.registry.mutate(PODS, meta["namespace"], meta["name"], change, subresource="status")

    # The life of a pod

    async def run(self) -> None:
        life = asyncio.ensure_future(self._live())
        leaving = asyncio.ensure_future(self._leaving.wait())
        try:
            await asyncio.wait((life, leaving), return_when=asyncio.FIRST_COMPLETED)
            if life.done():
                life.result()
            await leaving
            await self._leave(life)
        finally:
            for task in (life, leaving):
                task.cancel()
            await asyncio.gather(life, leaving, return_exceptions=True)

    async def _live(self) -> None:
        self.publish()
        for container in self.init:
            how = await container.run()
            if how.code:
                return self.publish()
        await asyncio.gather(*(container.run() for container in self.containers))
        return self.publish()

    async def _leave(self, life: asyncio.Future[None]) -> None:
        running = [container for container in (*self.init, *self.containers) if container.process is not None]
        life_over = asyncio.gather(*(container.stop(self._grace) for container in running))
        for container in self.containers:
            if container.process is None:
                container.ready = False
        await life_over
        life.cancel()
        await asyncio.gather(life, return_exceptions=True)
        if self._gone:
            return
        meta = self.pod["metadata"]
        with contextlib.suppress(StatusError):
            preconditions = {"uid": meta["uid"]}
            self.registry.delete(PODS, meta["namespace"], meta["name"], grace_seconds=0, preconditions=preconditions)

    # Status

    def _status(self, pod: Object) -> Object:
        status = {
            "phase": self._phase(),
            "conditions": self._conditions(pod),
            "hostIP": HOST_IP,
            "podIP": self.ip,
            "podIPs": [{"ip": self.ip}],
            "startTime": self._start_time,
            "containerStatuses": [container.status() for container in self.containers],
            "qosClass": (pod.get("status") or {}).get("qosClass", "BestEffort"),
        }
        if self.init:
            status["initContainerStatuses"] = [container.status() for container in self.init]
        return status

    def _phase(self) -> str:
        policy = self.pod["spec"].get("restartPolicy", "Always")
        if not self._initialized():
            failed = any(c.state.get("terminated", {}).get("exitCode") for c in self.init)
            return "Failed" if failed and policy == "Never" else "Pending"
        states = [container.state for container in self.containers]
        if any("waiting" in c.state and not c.last_state for c in self.containers):
            return "Pending"
        if any("running" in state for state in states) or policy == "Always":
            return "Running"
        if all("terminated" in state for state in states):
            failed = any(state["terminated"]["exitCode"] for state in states)
            return "Succeeded" if not failed else "Failed" if policy == "Never" else "Running"
        return "Running"

    def _initialized(self) -> bool:
        return all("terminated" in c.state and c.state["terminated"]["exitCode"] == 0 for c in self.init)

    def _conditions(self, pod: Object) -> list[dict[str, Any]]:
        unready = [container.name for container in self.containers if not container.ready]
        over = self._phase() in {"Succeeded", "Failed"}
        if over:
            why = {"reason": "PodCompleted" if self._phase() == "Succeeded" else "PodFailed"}
        else:
            why = {"message": f"containers with unready status: [{' '.join(unready)}]", "reason": "ContainersNotReady"}
        incomplete = [c.name for c in self.init if c.state.get("terminated", {}).get("exitCode") != 0]
        uninitialized = {
            "message": f"containers with incomplete status: [{' '.join(incomplete)}]",
            "reason": "ContainersNotInitialized",
        }
        told = [
            ("PodReadyToStartContainers", True, {}),
            ("Initialized", self._initialized(), uninitialized),
            ("Ready", not unready, why),
            ("ContainersReady", not unready, why),
        ]
        found = [self._condition(pod, kind, holds, reason) for kind, holds, reason in told]
        scheduled = condition(pod, "PodScheduled")
        return [*found, scheduled] if scheduled is not None else found

    def _condition(self, pod: Object, kind: str, holds: bool, why: dict[str, str]) -> dict[str, Any]:  # noqa: FBT001
        value = "True" if holds else "False"
        before = condition(pod, kind)
        since = before["lastTransitionTime"] if before is not None and before["status"] == value else self.registry.timestamp()
        return {"type": kind, "status": value, "lastProbeTime": None, "lastTransitionTime": since} | ({} if holds else why)
