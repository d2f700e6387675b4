"""The demo fleet: three web front ends and the database they need, as plain manifests."""

from __future__ import annotations

import base64
from typing import Any

Object = dict[str, Any]
NAMESPACE = "shop"
FRONTS = ("checkout", "catalog", "storefront")
WRITABLE = ("checkout", "catalog")
"""The Deployments that the executor may patch."""


def manifests() -> list[Object]:
    """Everything, in the order in which it is to be applied."""
    password = base64.b64encode(b"correct-horse-battery-staple").decode()
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        _object("v1", "Secret", "prod-db-credentials", type="Opaque", data={"password": password}),
        _object("v1", "ConfigMap", "checkout-config", data={"currency": "EUR", "log-level": "info"}),
        *_workload("prod-db", 2, _database(), labels={"tier": "database", "backstop.dev/protected": "true"}, port=5432),
        *_workload("checkout", 3, _web(upstream=True, config="checkout-config"), labels={"tier": "web"}, front=True),
        *_workload("catalog", 2, _web(upstream=True), labels={"tier": "web"}, front=True),
        *_workload("storefront", 2, _web(upstream=False), labels={"tier": "web"}, front=True),
    ]


def _object(api_version: str, kind: str, name: str, **rest: Any) -> Object:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name, "namespace": NAMESPACE}, **rest}


def _workload(
    name: str, replicas: int, container: Object, *, labels: dict[str, str], port: int = 80, front: bool = False
) -> list[Object]:
    """A Deployment and its Service."""
    labels = {"app": name, **labels}
    service = _object(
        "v1",
        "Service",
        name,
        spec={"selector": {"app": name}, "ports": [{"port": port, "protocol": "TCP", "targetPort": container["ports"][0]["name"]}]},
    )
    service["metadata"]["labels"] = labels | ({"backstop.dev/front": "true"} if front else {})
    deployment = _object(
        "apps/v1",
        "Deployment",
        name,
        spec={
            "replicas": replicas,
            "progressDeadlineSeconds": 60,
            "selector": {"matchLabels": {"app": name}},
            # all new pods at once, and the old ones only when those are ready: a release is out in a second or two, good or bad
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "100%", "maxUnavailable": 0}},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"terminationGracePeriodSeconds": 5, "containers": [container]},
            },
        },
    )
    deployment["metadata"]["labels"] = labels
    return [service, deployment]


def _container(name: str, image: str, port: Object, memory: str, env: list[Object]) -> Object:
    probe = {"httpGet": {"path": "/healthz", "port": port["name"]}, "periodSeconds": 1, "timeoutSeconds": 1, "failureThreshold": 2}
    return {
        "name": name,
        "image": image,
        "ports": [port],
        "env": env,
        "readinessProbe": probe,
        "resources": {"requests": {"cpu": "50m", "memory": "32Mi"}, "limits": {"memory": memory}},
    }


def _web(*, upstream: bool, config: str = "") -> Object:
    env: list[Object] = [{"name": "UPSTREAM", "value": "http://prod-db:5432"}] if upstream else []
    if config:
        env.append({"name": "CURRENCY", "valueFrom": {"configMapKeyRef": {"name": config, "key": "currency"}}})
    return _container("web", "demo/web:1.0", {"name": "http", "containerPort": 8080, "protocol": "TCP"}, "96Mi", env)


def _database() -> Object:
    secret = {"secretKeyRef": {"name": "prod-db-credentials", "key": "password"}}
    env: list[Object] = [{"name": "DB_PASSWORD", "valueFrom": secret}]
    return _container("db", "demo/db:1.0", {"name": "db", "containerPort": 5432, "protocol": "TCP"}, "96Mi", env)
