"""The embedded cluster: everything wired together, from an empty store to an API that answers and pods that run.

cluster = EmbeddedCluster(Path("/tmp/x"), seed=7)
access = await cluster.start()
...
await cluster.stop()          # no process, no port left
"""

from __future__ import annotations

import asyncio
import ssl
import sys
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, TextIO

from backstop.clock import Clock, SystemClock
from backstop.sandbox import bootstrap, certs, escalation, fleet, resources
from backstop.sandbox.access import Authenticator
from backstop.sandbox.audit import AuditLog
from backstop.sandbox.callers import component, controller
from backstop.sandbox.controllers.budgets import DisruptionBudgets, QuotaStatus
from backstop.sandbox.controllers.deployment import DeploymentController
from backstop.sandbox.controllers.endpoints import EndpointSliceController
from backstop.sandbox.controllers.recorder import Recorder
from backstop.sandbox.controllers.replicaset import ReplicaSetController
from backstop.sandbox.controllers.scheduler import Scheduler
from backstop.sandbox.controllers.work import WorkQueue
from backstop.sandbox.discovery import Documents
from backstop.sandbox.gc import GarbageCollector
from backstop.sandbox.http_ports import Ports
from backstop.sandbox.kubelet import Kubelet
from backstop.sandbox.lifecycle import NamespaceLifecycle, PodGarbageCollector
from backstop.sandbox.rbac import Authorizer
from backstop.sandbox.registry import Registry
from backstop.sandbox.resources import Resource
from backstop.sandbox.reviews import Reviews
from backstop.sandbox.router import ServiceRouter
from backstop.sandbox.runtime import Runtime
from backstop.sandbox.server import ApiServer
from backstop.sandbox.store import Object, Store
from backstop.sandbox.tables import Tables
from backstop.sandbox.tokens import Signer
from backstop.sandbox.traffic import Traffic


@dataclass(frozen=True)
class Access:
    """How to reach a cluster. Paths are absolute; kubeconfigs and tokens by identity."""

    server: str
    ca: str
    kubeconfigs: dict[str, str]
    tokens: dict[str, str]
    audit_log: str

    def json(self) -> dict[str, Any]:
        return asdict(self)


class EmbeddedCluster:
    """One cluster in this event loop; its pods are child processes. All its files are under `state`."""

    def __init__(
        self,
        state: Path,
        *,
        seed: int | str,
        empty: bool = False,
        manifests: Iterable[Object] = (),
        clock: Clock | None = None,
        runtime: Runtime | None = None,
        errors: TextIO | None = None,
    ) -> None:
        """`manifests` are installed beside the fleet before the API answers. `errors` is where control
        loops and kubelet report an object that they stumble over: standard error by default."""
        self.state = state.absolute()
        self.clock = clock or SystemClock()
        self.registry = Registry(Store(seed), self.clock)
        self._seed = seed
        self._empty = empty
        self._manifests = tuple(manifests)
        self._errors = errors or sys.stderr
        self._runtime = runtime or Runtime(self.clock)
        self._tasks: list[asyncio.Task[None]] = []
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Set to the error if a part of the cluster dies of a bug."""

    async def start(self, *, port: int = 0) -> Access:
        """Answers when the API does. The fleet is applied by then, its pods are on their way. Raises OSError for a busy
        port, ConfigError for a manifest that cannot be installed."""
        self.state.mkdir(parents=True, exist_ok=True)
        certificates = certs.make(self.state, self.clock.now())
        ca_pem = certificates.ca.read_bytes()
        self._runtime.start()
        self._router = ServiceRouter(self.registry, self._address)
        self._kubelet = Kubelet(self.registry, self._runtime, self.clock, self._router.proxy_url, self._errors)
        GarbageCollector(self.registry)
        PodGarbageCollector(self.registry)
        QuotaStatus(self.registry)
        DisruptionBudgets(self.registry)
        NamespaceLifecycle(self.registry, ca_pem.decode())
        self._control()
        authenticator = Authenticator(Signer(self.clock.now), partial(self.registry.store.get, resources.SERVICEACCOUNTS))
        authorizer = Authorizer(self.registry)
        self._traffic = Traffic(self.registry)
        ports = Ports(
            authenticator=authenticator,
            authorizer=authorizer,
            reviews=Reviews(authenticator, authorizer, self.registry, self.clock.now),
            tables=Tables(self.clock.now),
            documents=Documents(),
            logs=self._kubelet,
            router=self._router,
            traffic=self._traffic,
            write_check=partial(escalation.check, authorizer),
        )
        bootstrap.install(self.registry)
        self._kubelet.register()
        self._apply_fleet()
        bootstrap.install_manifests(self.registry, self._manifests)
        audit = self.state / "audit.jsonl"
        self._server = ApiServer(self.registry, ports, AuditLog(audit, self.clock, self._seed))
        url = await self._server.start(certificates, port=port)
        tls = ssl.create_default_context(cafile=certificates.ca)
        self._traffic.start(url, bootstrap.account_token(self.registry, authenticator, bootstrap.TRAFFIC), tls)
        return self._write_access(url, certificates.ca, ca_pem, bootstrap.tokens(self.registry, authenticator), audit)

    def _address(self, ip: str, port: int) -> int | None:
        return self._kubelet.address(ip, port)

    def _apply_fleet(self) -> None:
        if self._empty:
            return
        for manifest in fleet.manifests():
            resource = resources.by_kind(manifest["apiVersion"], manifest["kind"])
            assert resource is not None  # noqa: S101  our own manifests
            self.registry.create(resource, manifest["metadata"].get("namespace", ""), manifest)
        bootstrap.grant_executor(self.registry, fleet.NAMESPACE, fleet.WRITABLE)
        bootstrap.grant_rehearser(self.registry, fleet.NAMESPACE)

    def _write_access(self, url: str, ca: Path, ca_pem: bytes, tokens: dict[str, str], audit: Path) -> Access:
        kubeconfigs: dict[str, str] = {}
        for name, token in tokens.items():
            path = self.state / ("kubeconfig" if name == "admin" else f"{name}.kubeconfig")
            namespace = "default" if self._empty else fleet.NAMESPACE
            bootstrap.write_kubeconfig(path, server=url, ca_pem=ca_pem, user=name, token=token, namespace=namespace)
            kubeconfigs[name] = str(path)
        return Access(url, str(ca), kubeconfigs, tokens, str(audit))

    def _control(self) -> None:
        """Starts the control loops, and tells them of every change."""
        registry = self.registry
        acting = [registry.acting(controller(f"{name}-controller")) for name in ("deployment", "replicaset", "endpointslice")]
        deployments = DeploymentController(acting[0], Recorder(registry, "deployment-controller"))
        replicasets = ReplicaSetController(acting[1], Recorder(registry, "replicaset-controller"))
        slices = EndpointSliceController(acting[2])
        scheduler = Scheduler(registry.acting(component("system:kube-scheduler")), Recorder(registry, "default-scheduler"))
        loops = [
            (WorkQueue(name, loop.reconcile, self._errors), loop.watch)
            for name, loop in (
                ("deployment", deployments),
                ("replicaset", replicasets),
                ("endpointslice", slices),
                ("scheduler", scheduler),
            )
        ]

        def tell(change: str, resource: Resource, obj: Object, old: Object | None) -> None:
            for queue, watch in loops:
                watch(queue, resource, obj, old)
            self._kubelet.watch(change, resource, obj, old)

        registry.subscribe(tell)
        for queue, _ in loops:
            self._run(queue.run, f"{queue.name}-controller")
        self._run(self._kubelet.renew, "node-lease")
        self._kubelet.failed.add_done_callback(self._part_failed)

    def _run(self, part: Callable[[], Coroutine[Any, Any, None]], name: str) -> None:
        task = asyncio.get_running_loop().create_task(part(), name=name)
        task.add_done_callback(self._part_failed)
        self._tasks.append(task)

    def _part_failed(self, done: asyncio.Future[None]) -> None:
        if not done.cancelled() and (error := done.exception()) and not self.failed.done():
            self.failed.set_exception(error)

    async def stop(self) -> None:
        """Ends the traffic, the API, the control loops and every pod, in this order."""
        await self._traffic.stop()
        await self._server.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._kubelet.stop()
        await self._router.stop()
        await self._runtime.stop()
        for future in (self.failed, self._kubelet.failed):
            future.cancel()
