"""The demo fleet: a small shop that really serves requests. Three web services, two of them in front of a protected database."""

from __future__ import annotations

from typing import Any, Final

from backstop.sandbox.resources import CONFIGMAPS, DEPLOYMENTS, NAMESPACES, SECRETS, SERVICES, Resource
from backstop.sandbox.traffic import FRONT

Object = dict[str, Any]
NAMESPACE: Final = "shop"
ACTED_ON: Final = ("checkout", "catalog")
"""The Deployments that the executor may patch."""
DATABASE: Final = "http://prod-db:5432"
PRICES: Final = {"CURRENCY": "EUR", "TAX_PERCENT": "19"}
PROTECTED: Final = {"backstop.dev/protected": "true", "tier": "database"}
QUICK: Final = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "100%", "maxUnavailable": 1}}
"""All new pods at once, so that a release is everywhere within about a second, a bad one as well as the one that heals it."""


def manifests() -> list[tuple[Resource, Object]]:
    """The whole fleet, in the order in which it has to be created."""
    return [
        (NAMESPACES, {"metadata": {"name": NAMESPACE}}),
        (SECRETS, _named("prod-db-credentials", "prod-db", type="Opaque", stringData={"password": "correct-horse-battery"})),
        (CONFIGMAPS, _named("checkout-config", "checkout", data=dict(PRICES))),
        *(
            (SERVICES, service)
            for service in (_service("prod-db", 5432), *(_service(n, 80) for n in ("checkout", "catalog", "storefront")))
        ),
        *(
            (DEPLOYMENTS, deployment)
            for deployment in (_database(), _checkout(), _web("catalog", _upstream()), _web("storefront", []))
        ),
    ]


def deployment(name: str) -> Object:
    """The manifest of one Deployment of the fleet. Raises KeyError."""
    return {obj["metadata"]["name"]: obj for resource, obj in manifests() if resource is DEPLOYMENTS}[name]


def _named(name: str, app: str, **rest: Any) -> Object:
    return {"metadata": {"name": name, "namespace": NAMESPACE, "labels": {"app": app}}, **rest}


def _service(name: str, port: int) -> Object:
    ports = [{"name": "http", "port": port, "targetPort": "http"}]
    service = _named(name, name, spec={"selector": {"app": name}, "ports": ports})
    service["metadata"]["labels"] |= PROTECTED if name == "prod-db" else {FRONT: "true"}
    return service


def _upstream() -> list[Object]:
    return [{"name": "UPSTREAM", "value": DATABASE}]


def _checkout() -> Object:
    keys = [{"name": key, "valueFrom": {"configMapKeyRef": {"name": "checkout-config", "key": key}}} for key in PRICES]
    checkout = _web("checkout", [*_upstream(), *keys], replicas=3)
    checkout["spec"]["strategy"] = QUICK
    return checkout


def _database() -> Object:
    secret = {"name": "DB_PASSWORD", "valueFrom": {"secretKeyRef": {"name": "prod-db-credentials", "key": "password"}}}
    database = _workload("prod-db", 2, _container("db", "demo/db:1.0", 5432, [secret]))
    database["metadata"]["labels"] |= PROTECTED
    database["spec"]["template"]["metadata"]["labels"] |= {"tier": PROTECTED["tier"]}
    return database


def _web(name: str, env: list[Object], *, replicas: int = 2) -> Object:
    return _workload(name, replicas, _container("web", "demo/web:1.0", 8080, env))


def _container(name: str, image: str, port: int, env: list[Object]) -> Object:
    return {
        "name": name,
        "image": image,
        "ports": [{"name": "http", "containerPort": port}],
        "env": env,
        "resources": {"requests": {"cpu": "50m", "memory": "32Mi"}, "limits": {"memory": "96Mi"}},
        "readinessProbe": {"httpGet": {"path": "/healthz", "port": "http"}, "periodSeconds": 1, "failureThreshold": 2},
    }


def _workload(name: str, replicas: int, container: Object) -> Object:
    labels = {"app": name}
    template = {"metadata": {"labels": dict(labels)}, "spec": {"terminationGracePeriodSeconds": 5, "containers": [container]}}
    spec = {"replicas": replicas, "progressDeadlineSeconds": 30, "selector": {"matchLabels": labels}, "template": template}
    return _named(name, name, spec=spec)
