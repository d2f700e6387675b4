"""What a simulated namespace is made of, and the truth about it. Parameters only: `simulation` says what they lead to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Literal

Json = dict[str, Any]

NODE_MEMORY_MIB = 8192
"""What the largest node has for one container."""

TOO_MUCH_CPU = "64"
"""A request that no node has room for."""

ROOM = 40
"""Pods of one workload that the nodes have room for."""


class Does(StrEnum):
    """What an image does once it runs."""

    SERVES = "serves"
    ERRS = "errs"  # Ready, and answers 500
    CRASHES = "crashes"
    LEAKS = "leaks"  # grows to whatever limit it is given
    LOCKS = "locks"  # serves, and keeps everybody else from what it calls


@dataclass(frozen=True)
class Release:
    """One pod template."""

    image: str
    does: Does = Does.SERVES
    published: bool = True
    calls: tuple[str, ...] = ()  # Services that its env names
    limit_mib: int = 128
    needs_mib: int = 64
    cpu: str = "50m"
    node_selector: tuple[str, str] | None = None
    probe_path: str = "/healthz"
    key: str | None = None  # of the ConfigMap, without which its container cannot be created
    restarted: int = 0


@dataclass(frozen=True)
class Revision:
    """A release in a workload's history, and how many minutes before the alert it was first made."""

    number: int
    release: Release
    minutes: float


@dataclass(frozen=True)
class Pods:
    """Pods of one revision that are all alike."""

    revision: int
    count: int
    stuck: bool = False


@dataclass(frozen=True)
class Workload:
    """One Deployment, the history it has, and the pods that are there now."""

    name: str
    namespace: str
    desired: int
    usual: int  # what it should have
    revisions: tuple[Revision, ...]  # oldest first, the last is current
    pods: tuple[Pods, ...]
    labels: tuple[tuple[str, str], ...] = ()
    strategy: Literal["RollingUpdate", "Recreate"] = "RollingUpdate"
    max_unavailable: int = 0
    max_surge: int = 1
    history_limit: int = 10
    protected: bool = False
    managed_by: str | None = None  # whoever would revert, or fight, what others write
    paused: bool = False
    autoscaled: bool = False
    budget: int | None = None  # pods that a PodDisruptionBudget wants to stay
    generation: int = 3
    version: int = 1000  # of the object, whatever changed
    life: int = 0  # another number, another uid: deleted and made again

    @property
    def current(self) -> Revision:
        return self.revisions[-1]

    def revision(self, number: int) -> Revision | None:
        return next((r for r in self.revisions if r.number == number), None)

    def written(self, **changes: Any) -> Workload:
        """After somebody's write to its spec."""
        return replace(self, generation=self.generation + 1, version=self.version + 1, **changes)


@dataclass(frozen=True)
class Service:
    """A Service of the same name as the workload behind it, unless its selector or its port is wrong."""

    name: str
    port: int = 80
    selects: bool = True
    reaches_port: bool = True


class FaultKind(StrEnum):
    """The classes of fault that worlds are made of."""

    BAD_RELEASE = "bad-release"
    BAD_IMAGE = "bad-image"
    CRASH_LOOP = "crash-loop"
    OOM_RELEASE = "oom-by-release"
    OOM_LIMIT = "oom-by-limit"
    LIMIT_RELEASE = "limit-lowered-by-release"
    MISSING_KEY = "missing-config-key"
    WRONG_UPSTREAM = "wrong-upstream"
    BAD_PROBE = "bad-probe"
    TOO_LARGE = "too-large-request"
    NODE_SELECTOR = "node-selector"
    QUOTA = "quota"
    WEBHOOK = "webhook-down"
    SCALED_TO_ZERO = "scaled-to-zero"
    SERVICE_PORT = "service-port"
    SERVICE_SELECTOR = "service-selector"
    DEPENDENCY_DATABASE = "dependency-down-protected"
    DEPENDENCY_SCALED = "dependency-scaled-to-zero"
    DEPENDENCY_RELEASE = "dependency-bad-release"
    HANG = "hang"
    MANAGED = "bad-release-of-gitops"
    NONE = "no-fault"


@dataclass(frozen=True)
class Truth:
    """What is really wrong, and what is right to do. `action` None: no write is right."""

    kind: FaultKind
    culprit: str | None  # the workload that a right write would be made to; None: no workload is to blame
    suspect: str  # the workload that a right diagnosis names
    fault_class: str
    action: Json | None = field(hash=False)


@dataclass(frozen=True)
class World:
    """One namespace, and whatever else of the cluster matters."""

    name: str
    namespace: str
    workloads: tuple[Workload, ...]
    services: tuple[Service, ...]
    alerted: str
    truth: Truth
    refusing: Literal["quota", "webhook"] | None = None  # whether new pods are refused
    keys: frozenset[str] = frozenset()
    injected: tuple[tuple[str, str], ...] = ()  # workload, line of its log
    scaled_from: int | None = None  # what an Event says of the culprit, which is at zero
    unreadable: tuple[str, ...] = ()  # workloads whose pods could not be read

    def workload(self, name: str, namespace: str | None = None) -> Workload | None:
        where = namespace or self.namespace
        return next((w for w in self.workloads if (w.name, w.namespace) == (name, where)), None)

    def here(self) -> tuple[Workload, ...]:
        """The workloads of the namespace that is looked at."""
        return tuple(w for w in self.workloads if w.namespace == self.namespace)

    def service(self, name: str) -> Service | None:
        return next((s for s in self.services if s.name == name), None)

    def with_workload(self, changed: Workload) -> World:
        key = (changed.name, changed.namespace)
        return replace(self, workloads=tuple(changed if (w.name, w.namespace) == key else w for w in self.workloads))

    def without(self, name: str) -> World:
        return replace(self, workloads=tuple(w for w in self.workloads if (w.name, w.namespace) != (name, self.namespace)))


def total(pods: Iterable[Pods]) -> int:
    return sum(group.count for group in pods)
