"""The kubelet: the node, and a worker for every pod that was assigned to it."""

from __future__ import annotations

import asyncio
import hashlib
import os
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, TextIO

from backstop.clock import Clock
from backstop.sandbox.controllers.recorder import WARNING, Recorder
from backstop.sandbox.controllers.state import is_finished, is_leaving
from backstop.sandbox.kubelet_container import Container
from backstop.sandbox.kubelet_pod import HOST_IP, PodWorker
from backstop.sandbox.logs import LogQuery
from backstop.sandbox.registry import Registry
from backstop.sandbox.resources import CONFIGMAPS, LEASES, NODES, PODS, SECRETS, Resource
from backstop.sandbox.runtime import Runtime, RuntimeGone
from backstop.sandbox.status import StatusError, bad_request
from backstop.sandbox.store import Object, clone

NODE = "sandbox-node-0"
NODE_NAMESPACE = "kube-node-lease"
LEASE_SECONDS = 10.0
CAPACITY = {"cpu": "8", "memory": "16Gi", "pods": "110", "ephemeral-storage": "64Gi"}
CONDITIONS = (
    ("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
    ("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
    ("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
    ("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
)
Proxy = Callable[[str], Awaitable[str]]


class Kubelet:
    """Runs the pods of one node. Hand `watch` every change of the registry."""

    def __init__(self, registry: Registry, runtime: Runtime, clock: Clock, proxy: Proxy, errors: TextIO) -> None:
        self._registry = registry
        self._runtime = runtime
        self._clock = clock
        self._proxy = proxy
        self._errors = errors
        self._recorder = Recorder(registry, "kubelet", host=NODE)
        self._workers: dict[str, PodWorker] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._addresses: dict[str, str] = {}
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    # Pods

    def watch(self, change: str, resource: Resource, obj: Object, _old: Object | None) -> None:
        """Follows what happens to pods of this node and to what their environment refers to."""
        if resource in (CONFIGMAPS, SECRETS):
            for worker in self._workers.values():
                if worker.pod["metadata"]["namespace"] == obj["metadata"]["namespace"]:
                    worker.retry_configuration()
        elif resource is PODS and obj["spec"].get("nodeName") == NODE:
            self._follow(obj, gone=change == "DELETED")

    def _follow(self, pod: Object, *, gone: bool) -> None:
        uid = pod["metadata"]["uid"]
        worker = self._workers.get(uid)
        if worker is not None:
            worker.changed(pod, gone=gone)
        elif not gone and not is_finished(pod):
            worker = PodWorker(self._registry, self._recorder, self._runtime, clone(pod), self._new_address(pod), self._proxy)
            self._workers[uid] = worker
            task = self._tasks[uid] = asyncio.get_running_loop().create_task(worker.run(), name=f"pod/{pod['metadata']['name']}")
            task.add_done_callback(lambda done: self._ended(uid, done))
            if is_leaving(pod):
                worker.changed(pod, gone=False)

    def _ended(self, uid: str, task: asyncio.Task[None]) -> None:
        worker = self._workers.pop(uid)
        self._addresses.pop(worker.ip, None)
        self._tasks.pop(uid)
        if task.cancelled() or (error := task.exception()) is None:
            return
        worker.abandon()
        if isinstance(error, RuntimeGone) and not self.failed.done():
            self.failed.set_exception(error)
        else:  # a kubelet outlives one pod that it cannot handle
            print(f"kubelet, pod {uid}:", *traceback.format_exception(error), sep="\n", file=self._errors, flush=True)
            self._recorder.event(worker.pod, WARNING, "FailedSync", f"error determining status: {error}")

    def _new_address(self, pod: Object) -> str:
        """An address that follows from the pod's uid, which follows from the seed."""
        uid = pod["metadata"]["uid"]
        start = int.from_bytes(hashlib.sha256(uid.encode()).digest()[:2], "big")
        for step in range(1 << 16):
            high, low = divmod((start + step) % (1 << 16), 256)
            address = f"10.244.{high}.{low}"
            if 1 < low < 255 and address not in self._addresses:
                self._addresses[address] = uid
                return address
        raise RuntimeError("the pod network is full")

    def address(self, ip: str, port: int) -> int | None:
        """The real port on loopback behind an address of the pod network; None if nothing listens there."""
        worker = self._workers.get(self._addresses.get(ip, ""))
        return worker.address(port) if worker is not None else None

    # Logs

    async def read(self, pod: Object, query: Mapping[str, str]) -> AsyncIterator[bytes]:
        """Lines of a container's log, as the query asks. Raises 400 for a container that is not there or has not started."""
        asked = LogQuery.parse(query, self._clock.now())
        name = asked.container or self._only_container(pod)
        meta = pod["metadata"]
        every = [*pod["spec"]["containers"], *(pod["spec"].get("initContainers") or ())]
        if name not in {spec["name"] for spec in every}:
            raise StatusError(400, "BadRequest", f"container {name} is not valid for pod {meta['name']}")
        worker = self._workers.get(meta["uid"])
        container = worker.find(name) if worker is not None else None
        if container is None:
            return
        log = self._log(meta["name"], container, previous=asked.previous)
        async for lines in log.read(asked):
            yield lines

    @staticmethod
    def _only_container(pod: Object) -> str:
        names = [spec["name"] for spec in pod["spec"]["containers"]]
        if len(names) == 1:
            return str(names[0])
        why = f"a container name must be specified for pod {pod['metadata']['name']}, choose one of: [{' '.join(names)}]"
        raise bad_request(why)

    def _log(self, pod: str, container: Container, *, previous: bool) -> Any:
        if previous:
            found = container.log if container.process is None and "waiting" in container.state else container.previous_log
            if found is None or not container.last_state:
                raise bad_request(f'previous terminated container "{container.name}" in pod "{pod}" not found')
            return found
        if container.log is None:
            waiting = container.state.get("waiting", {}).get("reason", "ContainerCreating")
            said = {"ContainerCreating": "", "PodInitializing": ""}.get(waiting, "trying and failing to pull image")
            if "Image" in waiting:
                raise bad_request(f'container "{container.name}" in pod "{pod}" is waiting to start: {said}')
            raise bad_request(f'container "{container.name}" in pod "{pod}" is waiting to start: {waiting}')
        return container.log

    # The node

    def register(self) -> None:
        """Creates the node and its lease."""
        now = self._registry.timestamp()
        labels = {"kubernetes.io/hostname": NODE, "kubernetes.io/os": "linux", "kubernetes.io/arch": os.uname().machine}
        node = self._registry.create(
            NODES, "", {"metadata": {"name": NODE, "labels": labels}, "spec": {"podCIDR": "10.244.0.0/16"}}
        )
        status = {
            "capacity": CAPACITY,
            "allocatable": CAPACITY,
            "conditions": [
                {
                    "type": kind,
                    "status": value,
                    "lastHeartbeatTime": now,
                    "lastTransitionTime": now,
                    "reason": reason,
                    "message": message,
                }
                for kind, value, reason, message in CONDITIONS
            ],
            "addresses": [{"type": "InternalIP", "address": HOST_IP}, {"type": "Hostname", "address": NODE}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
            "nodeInfo": {
                "machineID": node["metadata"]["uid"].replace("-", ""),
                "systemUUID": node["metadata"]["uid"],
                "bootID": node["metadata"]["uid"],
                "kernelVersion": os.uname().release,
                "osImage": f"{os.uname().sysname} (embedded)",
                "containerRuntimeVersion": "containerd://process",
                "kubeletVersion": "v1.36.2",
                "kubeProxyVersion": "",
                "operatingSystem": "linux",
                "architecture": os.uname().machine,
            },
        }

        def change(obj: Object) -> None:
            obj["status"] = status

        self._registry.mutate(NODES, "", NODE, change, subresource="status")
        owner = {"apiVersion": "v1", "kind": "Node", "name": NODE, "uid": node["metadata"]["uid"]}
        spec = {"holderIdentity": NODE, "leaseDurationSeconds": 40, "renewTime": self._micro_time()}
        lease = {"metadata": {"name": NODE, "ownerReferences": [owner]}, "spec": spec}
        self._registry.create(LEASES, NODE_NAMESPACE, lease)

    def _micro_time(self) -> str:
        return self._clock.now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    async def renew(self) -> None:
        """Renews the lease until cancelled: the node's sign of life."""

        def change(obj: Object) -> None:
            obj["spec"]["renewTime"] = self._micro_time()

        while True:
            await asyncio.sleep(LEASE_SECONDS)
            self._registry.mutate(LEASES, NODE_NAMESPACE, NODE, change)

    async def stop(self) -> None:
        """Ends every worker at once; the runtime then ends their processes."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
