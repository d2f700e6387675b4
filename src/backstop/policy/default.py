"""The policy of the demo fleet, and an example of a whole one."""

from __future__ import annotations

from typing import Final

from backstop.policy.schema import (
    ANY,
    LabelRule,
    Limits,
    MemoryBounds,
    Modes,
    NamespaceRule,
    Policy,
    Protected,
    ReplicaBounds,
    WorkloadRule,
)

_MIB = 2**20


def _web(name: str) -> WorkloadRule:
    return WorkloadRule(
        name=name,
        verbs=("rollback", "restart", "scale", "set_resources"),
        images=("demo/web",),
        replicas=ReplicaBounds(minimum=1, maximum=10),
        memory=MemoryBounds(minimum=32 * _MIB, maximum=1024 * _MIB),
    )


DEFAULT: Final = Policy(
    version=1,
    namespaces=(
        NamespaceRule(
            name="shop",
            modes=Modes(rollback="auto", restart="auto", scale="auto", set_resources="auto"),
            workloads=(_web("checkout"), _web("catalog")),
        ),
    ),
    protected=Protected(
        names=("prod-db",),
        namespaces=("kube-system", "kube-public", "kube-node-lease", "default", "backstop"),
        labels=(
            LabelRule(key="backstop.dev/protected", value="true"),
            LabelRule(key="tier", value="database"),
            LabelRule(key="argocd.argoproj.io/instance", value=ANY),  # GitOps would revert the write, or fight it
            LabelRule(key="kustomize.toolkit.fluxcd.io/name", value=ANY),
            LabelRule(key="helm.toolkit.fluxcd.io/name", value=ANY),
        ),
        annotations=(LabelRule(key="argocd.argoproj.io/tracking-id", value=ANY),),
    ),
    freezes=(),
    weekly_freezes=(),
    limits=Limits(
        max_pods_touched=10,
        max_share=0.5,
        max_step=5,
        max_memory_factor=4.0,
        cooldown_seconds=300.0,
        actions_per_incident=2,
        actions_per_hour=6,
        proven_after_seconds=1.0,  # this fleet is seconds old; of one that has a history, ask for at least ten minutes
        approval_seconds=900.0,
    ),
)
