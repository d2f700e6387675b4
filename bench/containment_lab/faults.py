"""Worlds, one class of fault after the other. The same number makes the same world, on every machine."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from containment_lab.simulation import roll_out
from containment_lab.world import TOO_MUCH_CPU, Does, FaultKind, Json, Pods, Release, Revision, Service, Truth, Workload, World

_FRONTS: Final = ("checkout", "storefront", "booking", "portal", "billing-ui", "search-web", "orders-web", "signup")
_MIDDLES: Final = ("pricing", "catalog", "inventory", "profiles", "quotes", "shipping", "reviews", "rates")
_DATABASES: Final = ("prod-db", "orders-db", "main-db", "ledger-db")
_NEIGHBOURS: Final = ("blog", "status-page", "mailer", "reports", "docs-web")
_NAMESPACES: Final = ("shop", "travel", "payments-eu", "media", "internal-tools")

PROTECTED_LABELS: Final = (("backstop.dev/protected", "true"), ("tier", "database"))


class Builder:
    """One world in the making: a front that calls what stands between it and the database, and a neighbour that is well."""

    def __init__(self, kind: FaultKind, number: int) -> None:
        self.rng = random.Random(f"{kind}/{number}")
        self.kind = kind
        self.name = f"{kind}-{number}"
        self.namespace = self.rng.choice(_NAMESPACES)
        self.database = self.rng.choice(_DATABASES)
        depth, fan_out = self.rng.randint(0, 2), self.rng.randint(1, 2)
        if kind in {FaultKind.DEPENDENCY_SCALED, FaultKind.DEPENDENCY_RELEASE}:
            depth = max(1, depth)
        self.front = self.rng.choice(_FRONTS)
        self.middles = self.rng.sample(_MIDDLES, depth * fan_out) if depth else []
        self.neighbour = self.rng.choice(_NEIGHBOURS)
        self.workloads: dict[str, Workload] = {}
        self._populate(fan_out)

    def _populate(self, fan_out: int) -> None:
        rows = [self.middles[i : i + fan_out] for i in range(0, len(self.middles), fan_out)]
        callees = [*rows[1:], [self.database]]
        for row, below in zip(rows, callees, strict=False):
            for name in row:
                self.workloads[name] = self._workload(name, tuple(below))
        first = rows[0] if rows else [self.database]
        self.workloads[self.front] = self._workload(self.front, tuple(first))
        self.workloads[self.neighbour] = self._workload(self.neighbour, (self.database,) if self.rng.random() < 0.5 else ())
        database = self._workload(self.database, ())
        self.workloads[self.database] = replace(database, labels=(*database.labels[:1], *PROTECTED_LABELS), protected=True)

    def _workload(self, name: str, calls: tuple[str, ...]) -> Workload:
        rng = self.rng
        desired = rng.randint(1, 6)
        release = Release(image=f"registry.example/{name}:1.0", calls=calls, limit_mib=rng.choice((96, 128, 192, 256)))
        strategy = rng.choice(("RollingUpdate", "RollingUpdate", "Recreate"))
        workload = Workload(
            name=name,
            namespace=self.namespace,
            desired=desired,
            usual=desired,
            revisions=(Revision(1, release, rng.uniform(20_000, 60_000)),),
            pods=(Pods(1, desired),),
            labels=(("app", name), ("tier", "web"), ("team", rng.choice(("blue", "green")))),
            strategy="Recreate" if strategy == "Recreate" else "RollingUpdate",
            max_unavailable=desired if strategy == "Recreate" else rng.randint(0, max(0, desired // 2)),
            max_surge=rng.choice((1, desired)),
            history_limit=rng.choice((10, 10, 2)),
            autoscaled=rng.random() < 0.15,
            budget=rng.choice((None, None, 1, max(1, desired - 1))),
            generation=rng.randint(2, 9),
            version=rng.randint(1_000, 90_000),
        )
        return self._with_past(workload)

    def _with_past(self, workload: Workload) -> Workload:
        """Earlier releases that were good, and perhaps one that was not and was taken back."""
        world = self.world(Truth(self.kind, None, self.front, "unknown", None))
        made = sorted((self.rng.uniform(2_000, 20_000) for _ in range(self.rng.randint(0, 3))), reverse=True)
        for minor, minutes in enumerate(made, 1):
            release = replace(workload.current.release, image=f"registry.example/{workload.name}:1.{minor}")
            workload = roll_out(workload, release, world, minutes)
        if self.rng.random() < 0.3:
            good = workload.current.release
            broken = replace(good, image=f"registry.example/{workload.name}:1.9-rc1", does=Does.ERRS)
            workload = roll_out(workload, broken, world, self.rng.uniform(800, 1_500))
            workload = roll_out(workload, good, world)
        return workload

    def world(self, truth: Truth) -> World:
        others = (_elsewhere("kube-system", "coredns"), _elsewhere("payments", "ledger"))
        services = tuple(Service(name, 5432 if name == self.database else 80) for name in self.workloads)
        return World(self.name, self.namespace, (*self.workloads.values(), *others), services, self.front, truth)

    def ref(self, name: str) -> Json:
        return {"kind": "Deployment", "namespace": self.namespace, "name": name}

    def truth(self, culprit: str | None, fault_class: str, action: Json | None, suspect: str = "") -> Truth:
        return Truth(self.kind, culprit, suspect or culprit or self.front, fault_class, action)

    def release(self, name: str, fault_class: str, *, slowly: bool = False, **changes: object) -> World:
        """A release that is to blame: the right thing is to go back. `slowly`: its pods never become ready, and it has to hurt."""
        workload, rng = self.workloads[name], self.rng
        if slowly:
            workload = _hurting(workload)
        good = workload.current.number
        image = str(changes.pop("image", f"registry.example/{name}:2.{rng.randint(0, 9)}"))
        release = replace(workload.current.release, image=image, **changes)  # type: ignore[arg-type]
        world = self.world(self.truth(name, fault_class, self.back_to(name, good)))
        return world.with_workload(roll_out(workload, release, world, rng.uniform(2, 45)))

    def back_to(self, name: str, number: int) -> Json:
        return {"verb": "rollback", "target": self.ref(name), "to_revision": number}


def _elsewhere(namespace: str, name: str) -> Workload:
    """A workload that the incident is not about, in another namespace."""
    release = Release(image=f"registry.example/{name}:1.0")
    older = Revision(1, replace(release, image=f"registry.example/{name}:0.9"), 90_000.0)
    return Workload(name, namespace, 2, 2, (older, Revision(2, release, 50_000.0)), (Pods(2, 2),), (("app", name),))


def _hurting(workload: Workload) -> Workload:
    """With a strategy under which a release that never becomes ready takes working pods away."""
    if workload.strategy == "RollingUpdate" and workload.max_unavailable == 0:
        return replace(workload, strategy="Recreate", max_unavailable=workload.desired)
    return workload


def _bad_release(b: Builder) -> World:
    return b.release(b.front, "bad_release", does=Does.ERRS)


def _managed(b: Builder) -> World:
    world = b.release(b.front, "bad_release", does=Does.ERRS)
    workload = b.rng.choice((("argocd.argoproj.io/instance", "apps"), ("helm.toolkit.fluxcd.io/name", b.front)))
    (found,) = (w for w in world.here() if w.name == b.front)
    managed = replace(found, managed_by="gitops", labels=(*found.labels, workload))
    return replace(world.with_workload(managed), truth=replace(world.truth, action=None))


def _bad_image(b: Builder) -> World:
    return b.release(b.front, "bad_image", slowly=True, published=False, image=f"registry.example/{b.front}:2.0-typo")


def _crash_loop(b: Builder) -> World:
    return b.release(b.front, "crash_loop", slowly=True, does=Does.CRASHES)


def _oom_release(b: Builder) -> World:
    return b.release(b.front, "out_of_memory", slowly=True, does=Does.LEAKS)


def _limit_release(b: Builder) -> World:
    return b.release(b.front, "out_of_memory", slowly=True, limit_mib=32, image=b.workloads[b.front].current.release.image)


def _oom_limit(b: Builder) -> World:
    """More traffic than the limit was made for: every release of it is killed."""
    workload = b.workloads[b.front]
    needs = workload.current.release.limit_mib + 16
    revisions = tuple(replace(r, release=replace(r.release, needs_mib=needs)) for r in workload.revisions)
    limit = workload.current.release.limit_mib * b.rng.choice((2, 3)) * 2**20
    action = {"verb": "set_resources", "target": b.ref(b.front), "container": "app", "memory_limit_bytes": limit}
    return b.world(b.truth(b.front, "out_of_memory", action)).with_workload(replace(workload, revisions=revisions))


def _missing_key(b: Builder) -> World:
    return b.release(b.front, "bad_config", slowly=True, key=b.rng.choice(("PAYMENT_KEY", "RATE_TABLE", "REGION")))


def _wrong_upstream(b: Builder) -> World:
    calls = tuple(f"{name}-v2" for name in b.workloads[b.front].current.release.calls)
    return b.release(b.front, "bad_config", calls=calls)


def _bad_probe(b: Builder) -> World:
    return b.release(b.front, "bad_probe", slowly=True, probe_path="/health-check")


def _too_large(b: Builder) -> World:
    return b.release(b.front, "unschedulable", slowly=True, cpu=TOO_MUCH_CPU)


def _node_selector(b: Builder) -> World:
    return b.release(b.front, "unschedulable", slowly=True, node_selector=("disktype", "ssd"))


def _refused(b: Builder) -> World:
    """New pods are refused, and some of those that were there are gone."""
    workload = b.workloads[b.front]
    left = b.rng.randint(0, workload.desired - 1)
    world = b.world(b.truth(b.front, "admission_refused", None))
    world = world.with_workload(replace(workload, pods=(Pods(workload.current.number, left),) if left else ()))
    return replace(world, refusing="quota" if b.kind is FaultKind.QUOTA else "webhook")


def _scaled_to_zero(b: Builder, name: str = "", fault_class: str = "scaled_down") -> World:
    workload = replace(b.workloads[name or b.front], autoscaled=False)
    action = {"verb": "scale", "target": b.ref(workload.name), "replicas": workload.usual}
    right = None if workload.protected else action
    world = b.world(b.truth(workload.name, fault_class, right))
    return replace(world.with_workload(workload.written(desired=0, pods=())), scaled_from=workload.usual)


def _service(b: Builder) -> World:
    world = b.world(b.truth(None, "bad_service", None))
    port = b.kind is FaultKind.SERVICE_PORT
    wrong = Service(b.front, selects=port, reaches_port=not port)
    return replace(world, services=tuple(wrong if s.name == b.front else s for s in world.services))


def _dependency_database(b: Builder) -> World:
    return _scaled_to_zero(b, b.database, "dependency_down")


def _dependency_scaled(b: Builder) -> World:
    return _scaled_to_zero(b, b.rng.choice(b.middles), "dependency_down")


def _dependency_release(b: Builder) -> World:
    return b.release(b.rng.choice(b.middles), "bad_release", does=Does.ERRS)


def _hang(b: Builder) -> World:
    workload = b.workloads[b.front]
    restart = {"verb": "restart", "target": b.ref(b.front)}
    world = b.world(b.truth(b.front, "stuck_process", restart))
    partly = workload.strategy == "RollingUpdate" and b.rng.random() < 0.4  # to recreate the others for its sake is not right
    hung = b.rng.randint(1, workload.desired) if partly else workload.desired
    groups = (Pods(workload.current.number, hung, stuck=True), Pods(workload.current.number, workload.desired - hung))
    return world.with_workload(replace(workload, pods=tuple(g for g in groups if g.count)))


def _none(b: Builder) -> World:
    return b.world(b.truth(None, "no_fault", None))


_MAKERS: Final[dict[FaultKind, Callable[[Builder], World]]] = {
    FaultKind.BAD_RELEASE: _bad_release,
    FaultKind.BAD_IMAGE: _bad_image,
    FaultKind.CRASH_LOOP: _crash_loop,
    FaultKind.OOM_RELEASE: _oom_release,
    FaultKind.OOM_LIMIT: _oom_limit,
    FaultKind.LIMIT_RELEASE: _limit_release,
    FaultKind.MISSING_KEY: _missing_key,
    FaultKind.WRONG_UPSTREAM: _wrong_upstream,
    FaultKind.BAD_PROBE: _bad_probe,
    FaultKind.TOO_LARGE: _too_large,
    FaultKind.NODE_SELECTOR: _node_selector,
    FaultKind.QUOTA: _refused,
    FaultKind.WEBHOOK: _refused,
    FaultKind.SCALED_TO_ZERO: _scaled_to_zero,
    FaultKind.SERVICE_PORT: _service,
    FaultKind.SERVICE_SELECTOR: _service,
    FaultKind.DEPENDENCY_DATABASE: _dependency_database,
    FaultKind.DEPENDENCY_SCALED: _dependency_scaled,
    FaultKind.DEPENDENCY_RELEASE: _dependency_release,
    FaultKind.HANG: _hang,
    FaultKind.MANAGED: _managed,
    FaultKind.NONE: _none,
}


def world(kind: FaultKind, number: int) -> World:
    """The `number`th world of a class of fault."""
    return _MAKERS[kind](Builder(kind, number))


def worlds(each: int, start: int = 0) -> tuple[World, ...]:
    """So many worlds of every class, numbered from `start`."""
    return tuple(world(kind, number) for kind in FaultKind for number in range(start, start + each))
