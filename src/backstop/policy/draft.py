"""Drafts a policy for one namespace from what is in it. Pure: an inventory in, a commented TOML document out.

It is a start for a person to read, never a grant: the only mode in it that may lead to a write is `approve`. What keeps state, is
somebody else's to change or is nobody's is protected, with the reason beside it; what could not be read is said, and not guessed.
"""

from __future__ import annotations

import json
import re
import textwrap
import tomllib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, Literal

from backstop.errors import InvariantError, UsageError
from backstop.policy.default import DEFAULT
from backstop.policy.load import parse_policy
from backstop.policy.release import repository
from backstop.records import Record, clean

MIB: Final = 2**20
MOST_REPLICAS: Final = 10_000
MOST_MEMORY: Final = 2**49
"""Bytes. Twice that, and so many replicas, are the most that a policy can say."""
REFUSED: Final = frozenset({"kube-system", "kube-public", "kube-node-lease", "backstop"})
"""Namespaces that no policy should allow writes in."""

OWNERSHIP: Final = (
    "app", "app.kubernetes.io/name", "app.kubernetes.io/instance", "app.kubernetes.io/part-of", "k8s-app", "name", "component",
    "service", "team", "owner",
)  # fmt: skip
"""Labels that say what a workload is, or whose. One that carries none of them is nobody's, and nobody would be asked."""

GITOPS: Final = {
    "argocd.argoproj.io/instance": "Argo CD",
    "argocd.argoproj.io/tracking-id": "Argo CD",
    "kustomize.toolkit.fluxcd.io/name": "Flux",
    "helm.toolkit.fluxcd.io/name": "Flux",
    "objectset.rio.cattle.io/hash": "Fleet",
    "kapp.k14s.io/app": "kapp",
    "configsync.gke.io/declared-fields": "Config Sync",
    "config.k8s.io/owning-inventory": "Config Sync",
}
"""Whose label or annotation says that changes are made in Git."""
_MANAGERS: Final = {
    "argocd-controller": "Argo CD", "argocd-application-controller": "Argo CD", "kustomize-controller": "Flux",
    "helm-controller": "Flux", "fleetagent": "Fleet", "kapp-server": "kapp", "configsync": "Config Sync",
}  # fmt: skip
_DATABASES: Final = re.compile(
    r"postgres|postgis|timescale|mysql|mariadb|percona|mongo|redis|valkey|dragonfly|memcached|etcd|cassandra|scylla|kafka|redpanda"
    r"|zookeeper|rabbitmq|nats|pulsar|elasticsearch|opensearch|clickhouse|influxdb|prometheus|victoria-?metrics|neo4j|cockroach"
    r"|couchdb|couchbase|rethinkdb|mssql|oracle|db2|minio|vault|consul|qdrant|weaviate|milvus|(^|[-_/])(db|database)($|[-_])"
)
_DATABASE_LABELS: Final = ("tier", "component", "app.kubernetes.io/component", "role", "type")
_DATABASE_WORDS: Final = frozenset({"database", "db", "datastore", "storage", "cache", "queue", "broker"})
_DATABASE_PORTS: Final = {
    1433: "SQL Server", 1521: "Oracle", 2181: "ZooKeeper", 2379: "etcd", 3306: "MySQL", 4222: "NATS", 5432: "PostgreSQL",
    5672: "RabbitMQ", 6379: "Redis", 7687: "Neo4j", 8086: "InfluxDB", 9042: "Cassandra", 9092: "Kafka", 9200: "Elasticsearch",
    11211: "memcached", 26257: "CockroachDB", 27017: "MongoDB",
}  # fmt: skip
_LONGEST: Final = 255
_REPOSITORY: Final = re.compile(r"[a-z0-9]+([._/:-][a-z0-9]+)*")


class Container(Record):
    """A container of a pod template. `memory_limit` in bytes; None: it has none that can be read."""

    image: str
    memory_limit: int | None
    ports: tuple[int, ...]


class Workload(Record):
    """One workload as it is there. `owners` are `Kind/name`, `managers` those who set its fields, `claims` its volume claims."""

    kind: Literal["Deployment", "StatefulSet", "DaemonSet"]
    name: str
    labels: dict[str, str]
    annotations: dict[str, str]
    owners: tuple[str, ...]
    managers: tuple[str, ...]
    containers: tuple[Container, ...]
    claims: tuple[str, ...]
    replicas: int
    autoscalers: tuple[str, ...]


class Inventory(Record):
    """A namespace. `unread`: what could not be read, in words; `autoscalers_known`: whether HorizontalPodAutoscalers could be."""

    namespace: str
    workloads: tuple[Workload, ...]
    unread: tuple[str, ...]
    autoscalers_known: bool


def draft(inventory: Inventory) -> str:
    """The document, which `load_policy` takes. Raises UsageError if there is nothing that a policy could list."""
    if inventory.namespace in REFUSED:
        raise UsageError(f"no policy should allow writes in {inventory.namespace}", unchanged="no file was written")
    judged = [(workload, why_protected(workload)) for workload in sorted(inventory.workloads, key=lambda w: (w.name, w.kind))]
    protected = [(workload, why) for workload, why in judged if why]
    names = {workload.name for workload, _ in protected}  # a name protects whatever bears it
    listed = [workload for workload, why in judged if not why and workload.name not in names]
    if not listed:
        raise UsageError(f"namespace {inventory.namespace} has nothing that a policy could list{_because(protected)}",
                         unchanged="no file was written")  # fmt: skip
    text = "\n".join(_document(inventory, listed, protected)) + "\n"
    try:
        parse_policy(tomllib.loads(text), Path("the draft"))
    except (UsageError, tomllib.TOMLDecodeError) as error:
        raise InvariantError(f"the draft is no policy ({error})", unchanged="no file was written") from error
    return text


def why_protected(workload: Workload) -> str:
    """Why nothing may be written to it; empty if it may be listed."""
    return next((why for rule in _RULES if (why := rule(workload))), "")


def _kind(workload: Workload) -> str:
    return {"StatefulSet": "a StatefulSet: it keeps state", "DaemonSet": "a DaemonSet: it runs on every node"}.get(
        workload.kind, ""
    )


def _marked(workload: Workload) -> str:
    return "it is labelled backstop.dev/protected" if "backstop.dev/protected" in workload.labels else ""


def _owned(workload: Workload) -> str:
    return f"{workload.owners[0]} owns it and would revert the write" if workload.owners else ""


def _gitops(workload: Workload) -> str:
    for what, marks in (("label", workload.labels), ("annotation", workload.annotations)):
        for key, tool in GITOPS.items():
            if key in marks:
                return f"{tool} manages it ({what} {key}) and would revert the write; change it in Git"
    tool = next((tool for manager, tool in _MANAGERS.items() if manager in workload.managers), "")
    return f"{tool} manages it (it set its fields) and would revert the write; change it in Git" if tool else ""


def _autoscaled(workload: Workload) -> str:
    return f"the HorizontalPodAutoscaler {workload.autoscalers[0]} sets its replicas" if workload.autoscalers else ""


def _database(workload: Workload) -> str:
    for container in workload.containers:
        if _DATABASES.search(repository(container.image).rpartition("/")[2]):
            return f"a database or a queue, by its image {container.image}"
    for key in _DATABASE_LABELS:
        if workload.labels.get(key, "").lower() in _DATABASE_WORDS:
            return f"a database or a queue, by its label {key}={workload.labels[key]}"
    port = next((port for container in workload.containers for port in container.ports if port in _DATABASE_PORTS), None)
    return f"a database or a queue, by its port {port} ({_DATABASE_PORTS[port]})" if port is not None else ""


def _stateful(workload: Workload) -> str:
    return f"it keeps data on the volume claim {workload.claims[0]}" if workload.claims else ""


def _unowned(workload: Workload) -> str:
    if any(workload.labels.get(label) for label in OWNERSHIP):
        return ""
    return f"nobody says what it is or whose: it has none of the labels {', '.join(OWNERSHIP[:4])}, team, owner, …"


def _unnameable(workload: Workload) -> str:
    if not workload.containers:
        return "its containers could not be read"
    names = {c.image: repository(c.image) for c in workload.containers}
    strange = [image for image, name in names.items() if not _REPOSITORY.fullmatch(name) or len(name) > _LONGEST]
    return f"its image {strange[0]} has no name that a policy could list" if strange else ""


_RULES: Final[tuple[Callable[[Workload], str], ...]] = (
    _kind, _marked, _owned, _gitops, _autoscaled, _database, _stateful, _unowned, _unnameable,
)  # fmt: skip


def _because(protected: Sequence[tuple[Workload, str]]) -> str:
    if not protected:
        return ": there is no Deployment"
    workload, why = protected[0]
    return f"; {len(protected)} workloads are protected, the first, {workload.name}, because: {why}"


def _document(inventory: Inventory, listed: Sequence[Workload], protected: Sequence[tuple[Workload, str]]) -> Iterator[str]:
    largest = min(1000, max(1, *(workload.replicas for workload in listed)))  # as far as a policy may go
    yield from _note(f"A policy for namespace {inventory.namespace}, drafted by 'backstop policy init' from what runs there.")
    yield from _note("Read every line, then: backstop policy lint, and backstop triage --mode observe --policy with this file.")
    for what in inventory.unread:
        yield from _note(f"NOT READ: {what}. What depends on it is not known, and nothing here was guessed from it.")
    yield from ("", "version = 1", "")
    yield from _note("Times in which nothing is written, such as:")
    yield from _note('[{ name = "quarter end", start = 2026-12-28T00:00:00Z, end = 2027-01-04T00:00:00Z }]')
    yield "freezes = []"
    yield from _note('[{ name = "weekend", days = ["sat", "sun"], start = "00:00", end = "00:00" }]; UTC')
    yield from ("weekly_freezes = []", "", *_namespace(inventory, listed))
    yield from (*_protected(inventory, protected), "", *_limits(largest))


def _namespace(inventory: Inventory, listed: Sequence[Workload]) -> Iterator[str]:
    yield from ("[[namespaces]]", f"name = {_string(inventory.namespace)}", "")
    yield from _note("observe: shown, never written; approve: a person is asked; auto: written if every rule allows it.")
    yield from ("[namespaces.modes]", 'rollback = "approve"  # back to an earlier revision', 'restart = "observe"')
    yield from ('scale = "observe"', 'set_resources = "observe"  # a container\'s memory limit')
    for workload in listed:
        yield from ("", *_workload(workload, scale=inventory.autoscalers_known))


def _workload(workload: Workload, *, scale: bool) -> Iterator[str]:
    limits = [c.memory_limit for c in workload.containers if c.memory_limit is not None and MIB <= c.memory_limit <= MOST_MEMORY]
    verbs = ["rollback", "restart", *(["scale"] if scale else []), *(["set_resources"] if limits else [])]
    images = sorted({repository(container.image) for container in workload.containers})
    yield from ("[[namespaces.workloads]]", f"name = {_string(workload.name)}", f"verbs = [{_strings(verbs)}]")
    yield from _note("The repositories that it runs from now; a release from another is never gone back to.")
    yield f"images = [{_strings(images)}]"
    if scale:
        half, twice = workload.replicas - workload.replicas // 2, workload.replicas * 2
        low, high = min(MOST_REPLICAS, max(1, half)), min(MOST_REPLICAS, max(2, twice))
        zero = ", that is, it is scaled to zero" if workload.replicas == 0 else ""
        yield f"replicas = {{ minimum = {low}, maximum = {high} }}  # {workload.replicas} now{zero}"
    else:
        yield from _note("No scale: whether an autoscaler sets its replicas is not known.")
    if limits:
        now = " and ".join(_size(size) for size in sorted({*limits}))
        yield f"memory = {{ minimum = {_size(min(limits))}, maximum = {_size(max(limits) * 2)} }}  # {now} now"
    else:
        yield from _note("No set_resources: its containers have no memory limit to start from.")


def _protected(inventory: Inventory, protected: Sequence[tuple[Workload, str]]) -> Iterator[str]:
    yield from ("", "[protected]", "# By name, whatever else this policy says.", "names = [")
    for workload, why in protected:
        yield f"  {_string(workload.name)},  # {_plain(why)}"
    yield "]"
    namespaces = [name for name in DEFAULT.protected.namespaces if name != inventory.namespace]
    yield from (f"namespaces = [{_strings(namespaces)}]", '# By label or annotation; "*" is any value.')
    for what, rules in (("labels", DEFAULT.protected.labels), ("annotations", DEFAULT.protected.annotations)):
        pairs = [f"  {{ key = {_string(rule.key)}, value = {_string(rule.value)} }}," for rule in rules]
        yield from (f"{what} = [", *pairs, "]")


def _limits(largest: int) -> Iterator[str]:
    yield "[limits]"
    for line, why in (
        (f"max_pods_touched = {largest}", "by one write; the largest workload above has so many"),
        ("max_share = 0.5", "of a workload's working pods that one write may take away at once"),
        (f"max_step = {largest}", "replicas up or down in one write"),
        ("max_memory_factor = 2.0", "a memory limit after, over before"),
        ("cooldown_seconds = 600.0", "between two writes to one workload"),
        ("actions_per_incident = 1", ""),
        ("actions_per_hour = 4", "over all workloads"),
        ("proven_after_seconds = 600.0", "a release that ran for so long may be gone back to"),
        ("approval_seconds = 900.0", "an answer comes within so long, or is a no"),
    ):
        yield f"{line}  # {why}" if why else line


def _note(text: str) -> list[str]:
    return textwrap.wrap(_plain(text), 110, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False)


def _plain(text: str) -> str:
    """Words of the cluster's, fit for a comment: one line, and nothing that could end it."""
    return " ".join(clean(text).split())


def _size(size: int) -> str:
    """Bytes as a policy writes them: `"96Mi"` where that is exact."""
    return f'"{size // MIB}Mi"' if size % MIB == 0 else str(size)


def _string(text: str) -> str:
    return json.dumps(text)


def _strings(items: Iterable[str]) -> str:
    return ", ".join(map(_string, items))
