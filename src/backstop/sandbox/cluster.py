"""One embedded cluster, put together: API server, control loops, kubelet, router, traffic.

cluster = EmbeddedCluster(directory, seed=7)
await cluster.start()        # answers from here on; the demo fleet is on its way
await cluster.failed()       # returns never, or raises what broke
await cluster.stop()         # every pod is gone, every port closed
"""

from __future__ import annotations

import asyncio
import functools
import sys
from collections.abc import Coroutine
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from backstop.clock import Clock, SystemClock
from backstop.sandbox import bootstrap, certs, escalation, fleet
from backstop.sandbox.access import Authenticator
from backstop.sandbox.audit import AuditLog
from backstop.sandbox.controllers.budgets import DisruptionBudgets, QuotaStatus
from backstop.sandbox.controllers.deployment import DeploymentController
from backstop.sandbox.controllers.endpoints import EndpointSliceController
from backstop.sandbox.controllers.recorder import Recorder
from backstop.sandbox.controllers.replicaset import ReplicaSetController
from backstop.sandbox.controllers.scheduler import NAME as SCHEDULER
from backstop.sandbox.controllers.scheduler import Scheduler
from backstop.sandbox.controllers.work import WorkQueue
from backstop.sandbox.discovery import Documents
from backstop.sandbox.gc import GarbageCollector
from backstop.sandbox.http_ports import Ports
from backstop.sandbox.kubelet import Kubelet
from backstop.sandbox.lifecycle import NamespaceLifecycle
from backstop.sandbox.rbac import Authorizer
from backstop.sandbox.registry import Registry
from backstop.sandbox.resources import NAMESPACES, SERVICEACCOUNTS, Resource
from backstop.sandbox.reviews import Reviews
from backstop.sandbox.router import ServiceRouter
from backstop.sandbox.runtime import Runtime
from backstop.sandbox.server import ApiServer
from backstop.sandbox.store import Object, Store
from backstop.sandbox.tables import Tables
from backstop.sandbox.tokens import Signer
from backstop.sandbox.traffic import Traffic


@dataclass(frozen=True, slots=True)
class Access:
    """How to reach a running cluster; every path is absolute. Printed as one JSON line by `python -m backstop.sandbox`."""

    server: str
    ca: str
    kubeconfigs: dict[str, str]
    tokens: dict[str, str]
    audit_log: str

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


class Controller(Protocol):
    """A control loop, as `WorkQueue` runs it."""

    def watch(self, queue: WorkQueue, resource: Resource, obj: Object, old: Object | None) -> None: ...

    def reconcile(self, namespace: str, name: str) -> float | None: ...


class EmbeddedCluster:
    """One cluster in this process; pods are child processes. Everything it writes is under `state`, which must exist."""

    def __init__(self, state: Path, *, seed: int, clock: Clock | None = None) -> None:
        self._state = state.resolve()
        self._seed = seed
        self._clock = clock or SystemClock()
        self._tasks: list[asyncio.Task[None]] = []
        self.registry = Registry(Store(seed), self._clock)

    async def start(self, *, port: int = 0, with_fleet: bool = True) -> Access:
        """Starts everything and answers when the API does. Raises OSError for a busy port or a directory that takes no files."""
        registry, clock = self.registry, self._clock
        self._runtime = Runtime(clock)  # first: the zygote warms up meanwhile
        self._runtime.start()
        certificates = certs.make(self._state, clock.now())
        NamespaceLifecycle(registry, certificates.ca.read_text(encoding="ascii"))
        GarbageCollector(registry)
        QuotaStatus(registry)
        DisruptionBudgets(registry)
        bootstrap.install(registry)
        self._router = ServiceRouter(registry, self._address)
        await self._router.start()
        self.kubelet = Kubelet(registry, self._runtime, clock, self._router.proxy_url)
        self._traffic = Traffic(registry)
        self._start_controllers()
        self.kubelet.register()
        if with_fleet:
            self._apply_fleet()
        return await self._serve(certificates, port)

    def _address(self, ip: str, port: int) -> int | None:
        return self.kubelet.address(ip, port)

    def _start_controllers(self) -> None:
        self.registry.subscribe(self.kubelet.watch)
        self._spawn("lease", self.kubelet.renew())

        def recorder(component: str) -> Recorder:
            return Recorder(self.registry, component)

        self._run("deployment", DeploymentController(self.registry, recorder("deployment-controller")))
        self._run("replicaset", ReplicaSetController(self.registry, recorder("replicaset-controller")))
        self._run("endpointslice", EndpointSliceController(self.registry))
        self._run("scheduler", Scheduler(self.registry, recorder(SCHEDULER)))

    def _run(self, name: str, controller: Controller) -> None:
        queue = WorkQueue(name, controller.reconcile, sys.stderr)
        self.registry.subscribe(lambda _change, resource, obj, old: controller.watch(queue, resource, obj, old))
        self._spawn(name, queue.run())

    def _spawn(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        self._tasks.append(asyncio.create_task(work, name=name))

    def _apply_fleet(self) -> None:
        bootstrap.grant_executor(self.registry, fleet.NAMESPACE, fleet.ACTED_ON)
        for resource, obj in fleet.manifests():
            if resource is not NAMESPACES:
                self.registry.create(resource, fleet.NAMESPACE, obj)

    async def _serve(self, certificates: certs.Certificates, port: int) -> Access:
        registry, clock = self.registry, self._clock
        authenticator = Authenticator(
            Signer(clock.now), lambda namespace, name: registry.store.get(SERVICEACCOUNTS, namespace, name)
        )
        audit = self._state / "audit.jsonl"
        self._server = ApiServer(registry, self._ports(authenticator), AuditLog(audit, clock, self._seed))
        url = await self._server.start(certificates, port=port)
        tokens = bootstrap.tokens(registry, authenticator)
        token = bootstrap.account_token(registry, authenticator, bootstrap.TRAFFIC)
        self._spawn("traffic", self._traffic.run(url, certificates.client_context(), token))
        return Access(url, str(certificates.ca), self._kubeconfigs(url, certificates, tokens), tokens, str(audit))

    def _ports(self, authenticator: Authenticator) -> Ports:
        authorizer = Authorizer(self.registry)
        return Ports(
            authenticator=authenticator,
            authorizer=authorizer,
            reviews=Reviews(authenticator, authorizer, self.registry, self._clock.now),
            tables=Tables(self._clock.now),
            documents=Documents(),
            logs=self.kubelet,
            router=self._router,
            traffic=self._traffic,
            write_check=functools.partial(escalation.check, authorizer),
        )

    def _kubeconfigs(self, url: str, certificates: certs.Certificates, tokens: dict[str, str]) -> dict[str, str]:
        """The administrator's is `kubeconfig`, an identity's is `NAME.kubeconfig`."""
        written = {}
        for name, token in tokens.items():
            path = self._state / ("kubeconfig" if name == "admin" else f"{name}.kubeconfig")
            bootstrap.write_kubeconfig(path, server=url, ca_pem=certificates.ca.read_bytes(), user=name, token=token)
            written[name] = str(path)
        return written

    async def failed(self) -> None:
        """Waits for something that must not end to end, and raises why."""
        ended, _ = await asyncio.wait((*self._tasks, self.kubelet.failed), return_when=asyncio.FIRST_COMPLETED)
        for task in ended:
            task.result()

    async def stop(self) -> None:
        """Ends traffic, server, loops, pods, in this order. Also after a start that failed half way."""
        for task in reversed(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if hasattr(self, "_server"):
            await self._server.stop()
        if hasattr(self, "kubelet"):
            await self.kubelet.stop()
        if hasattr(self, "_router"):
            await self._router.stop()
        if hasattr(self, "_runtime"):
            await self._runtime.stop()
