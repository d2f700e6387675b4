"""The policy of a simulated namespace: as permissive as a policy can be. Every workload but the database may be written to, with
every verb, and nobody is asked. What a stricter policy forbids would never get to the other rules.
"""

from __future__ import annotations

from functools import lru_cache

from backstop.policy import DEFAULT, Policy
from backstop.policy.schema import MemoryBounds, Modes, NamespaceRule, ReplicaBounds, WorkloadRule
from containment_lab.world import World

_MIB = 2**20


@lru_cache(maxsize=512)
def policy_of(world: World) -> Policy:
    """The policy that is in force in this world."""
    here = NamespaceRule(
        name=world.namespace,
        modes=Modes(rollback="auto", restart="auto", scale="auto", set_resources="auto"),
        workloads=tuple(_rule(w.name) for w in world.here() if not w.protected),
    )
    databases = tuple(w.name for w in world.here() if w.protected and w.name.endswith("-db"))
    limits = DEFAULT.limits.model_copy(update={"max_step": 6, "proven_after_seconds": 600.0})
    protected = DEFAULT.protected.model_copy(update={"names": databases})
    return DEFAULT.model_copy(update={"namespaces": (here,), "protected": protected, "limits": limits})


def _rule(name: str) -> WorkloadRule:
    return WorkloadRule(
        name=name,
        verbs=("rollback", "restart", "scale", "set_resources"),
        images=(f"registry.example/{name}",),
        replicas=ReplicaBounds(minimum=1, maximum=10),
        memory=MemoryBounds(minimum=16 * _MIB, maximum=1024 * _MIB),
    )
