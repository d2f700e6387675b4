"""Who calls whom, as far as a namespace says so itself: service names in env values, and the selectors of Services. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from backstop.cluster.objects import Json, name, selects, sequence, strings, text

_HOST = re.compile(r"^(?:[a-z][a-z0-9+.-]*://)?(?:[^@/\s]*@)?([a-z0-9](?:[-a-z0-9.]*[a-z0-9])?)(?::[0-9]+)?(?:[/?#].*)?$")


@dataclass(frozen=True)
class Dependency:
    """Deployment `source` names Service `service` in the env variable `variable`, and that selects Deployment `target`, if any."""

    source: str
    service: str
    target: str | None
    variable: str


def dependencies(deployments: Sequence[Json], services: Sequence[Json]) -> tuple[Dependency, ...]:
    """Every dependency between the workloads of one namespace, sorted."""
    by_service = {name(service): backends(service, deployments) for service in services}
    found: set[tuple[str, str, str, str]] = set()
    for deployment in deployments:
        source, namespace = name(deployment), text(deployment, "metadata", "namespace")
        for variable, value in env_values(deployment):
            for service in services_named(value, by_service, namespace):
                targets = by_service[service]
                if source not in targets:
                    found |= {(source, service, target, variable) for target in targets or ("",)}
    return tuple(Dependency(source, service, target or None, variable) for source, service, target, variable in sorted(found))


def env_values(workload: Json) -> list[tuple[str, str]]:
    """The env variables of a Deployment's containers that have a value in the template (references are not followed)."""
    spec = ("spec", "template", "spec")
    containers = [*sequence(workload, *spec, "initContainers"), *sequence(workload, *spec, "containers")]
    pairs = [(text(env, "name"), text(env, "value")) for container in containers for env in sequence(container, "env")]
    return [(variable, value) for variable, value in pairs if value]


def services_named(value: str, known: Iterable[str], namespace: str) -> list[str]:
    """The Services of `namespace` that an env value names as a host: `prod-db:5432`, `http://prod-db.shop.svc/x`, or a list."""
    hosts = [match.group(1) for part in re.split(r"[,;\s]+", value) if (match := _HOST.match(part))]
    suffixes = ("", f".{namespace}", f".{namespace}.svc", f".{namespace}.svc.cluster.local")
    return [service for service in known if any(host == service + suffix for host in hosts for suffix in suffixes)]


def backends(service: Json, deployments: Sequence[Json]) -> list[str]:
    """The Deployments whose pods a Service selects."""
    selector = {"matchLabels": strings(service, "spec", "selector")}
    return [name(d) for d in deployments if selects(selector, strings(d, "spec", "template", "metadata", "labels"))]


def reach(start: str, found: Sequence[Dependency]) -> list[str]:
    """`start` and every Deployment that it depends on, directly or not, nearest first."""
    order = [start]
    for source in order:
        order += [d.target for d in found if d.source == source and d.target is not None and d.target not in order]
    return list(dict.fromkeys(order))
