"""ResourceQuota: what a namespace may hold, refused at creation and counted in the quota's status."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from backstop.sandbox import quantities
from backstop.sandbox.resources import PODS, RESOURCEQUOTAS, RESOURCES, Resource
from backstop.sandbox.status import forbidden
from backstop.sandbox.store import Object

if TYPE_CHECKING:
    from backstop.sandbox.registry import Registry

Amounts = dict[str, Fraction]
COUNTED = {resource.qualified: resource for resource in RESOURCES if resource.stored and resource.namespaced}
CORE_COUNTS = ("pods", "services", "secrets", "configmaps", "resourcequotas")
COMPUTE = ("cpu", "memory")
ENDED = frozenset(("Succeeded", "Failed"))


def weight(resource: Resource, obj: Object) -> Amounts:
    """What one object uses of every quota there could be."""
    if resource is PODS and (obj.get("status") or {}).get("phase") in ENDED:
        return {"count/pods": Fraction(1)}
    amounts = {f"count/{resource.qualified}": Fraction(1)}
    if resource.qualified in CORE_COUNTS:
        amounts[resource.qualified] = Fraction(1)
    if resource is PODS:
        for container in obj["spec"].get("containers") or ():
            for kind in ("requests", "limits"):
                for name, amount in ((container.get("resources") or {}).get(kind) or {}).items():
                    key = f"{kind}.{name}"
                    amounts[key] = amounts.get(key, Fraction(0)) + quantities.parse(amount)
        amounts |= {name: amounts[f"requests.{name}"] for name in COMPUTE if f"requests.{name}" in amounts}
    return amounts


def used(registry: Registry, namespace: str, names: list[str]) -> Amounts:
    """What the namespace uses now of the named quotas."""
    total = dict.fromkeys(names, Fraction(0))
    for resource in COUNTED.values():
        if f"count/{resource.qualified}" not in total and resource.qualified not in total and resource is not PODS:
            continue
        for obj in registry.store.every(resource, namespace):
            for name, amount in weight(resource, obj).items():
                if name in total:
                    total[name] += amount
    return total


def check(registry: Registry, resource: Resource, obj: Object) -> None:
    """Refuses an object that a quota of its namespace has no room for. Raises 403."""
    meta = obj["metadata"]
    for quota in registry.store.every(RESOURCEQUOTAS, meta["namespace"]):
        hard = {name: quantities.parse(limit) for name, limit in ((quota.get("spec") or {}).get("hard") or {}).items()}
        asked = {name: amount for name, amount in weight(resource, obj).items() if name in hard}
        if not asked:
            continue
        have = used(registry, meta["namespace"], list(asked))
        over = [name for name in sorted(asked) if have[name] + asked[name] > hard[name]]
        if over:
            parts = (("requested", asked), ("used", have), ("limited", hard))
            said = (f"{word}: " + ",".join(f"{name}={text(amounts[name])}" for name in over) for word, amounts in parts)
            raise forbidden(resource, meta["name"], f"exceeded quota: {quota['metadata']['name']}, {', '.join(said)}")


def text(amount: Fraction) -> str:
    """An amount as a quantity."""
    whole = str(amount.numerator) if amount.denominator == 1 else f"{int(amount * 1000)}m"
    return quantities.canonical(whole)
