"""What is configured, which models would be asked and answer, and what the cluster's identity may do: looked at, never changed.

`examine` is the front door. Each module looks at one thing and gives data; what is wrong is folded out of the data into sentences.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from backstop.clock import Clock
from backstop.doctor.configuration import configuration_problems, look_at_configuration
from backstop.doctor.models import Candidate, candidates, look_at_models, model_notes, model_problems
from backstop.doctor.report import ClusterEntry, PolicyEntry, ProbeEntry, Report
from backstop.doctor.scrubbing import Scrub
from backstop.errors import ConfigError
from backstop.policy import Policy, load_policy
from backstop.settings import Settings

__all__ = ["Report", "examine"]


async def examine(
    settings: Settings, clock: Clock, *, kubeconfig: Path | None, context: str | None, policy: str, ask_models: bool
) -> Report:
    """Everything there is to know. Raises `ConfigError` for what cannot be used as it is configured; without a secret in it."""
    scrub = Scrub.of(settings)
    try:
        rules = load_policy(policy)
        proposers = candidates(settings.model_chain, settings)
        judges = candidates(settings.judge_models, settings)
        cluster = await _cluster(kubeconfig, context, rules, scrub)  # first: importing the SDKs would eat its deadlines
        probes = await _probes((*proposers, *judges), settings, clock, scrub) if ask_models else {}
    except ConfigError as error:
        raise ConfigError(scrub.known(error.what), unchanged=error.unchanged, todo=scrub.known(error.todo)) from error
    return _report(settings, look_at_policy(policy, rules), cluster, (proposers, judges), probes)


def _report(
    settings: Settings,
    policy: PolicyEntry,
    cluster: ClusterEntry | None,
    found: tuple[tuple[Candidate, ...], tuple[Candidate, ...]],
    probes: dict[str, ProbeEntry],
) -> Report:
    from backstop.doctor.cluster import cluster_notes, cluster_problems

    configuration, models = look_at_configuration(settings), look_at_models(*found, settings, probes)

    def problems() -> Iterator[str]:
        yield from configuration_problems(configuration, settings)
        yield from model_problems(models, settings)
        yield from cluster_problems(cluster)

    return Report(
        version=version("backstop"),
        configuration=configuration,
        models=models,
        cluster=cluster,
        policy=policy,
        notes=(*model_notes(models, settings), *cluster_notes(cluster)),
        problems=tuple(problems()),
    )


def look_at_policy(source: str, policy: Policy) -> PolicyEntry:
    """What it lets be written."""
    workloads = {f"{n.name}/{w.name}": tuple(map(str, w.verbs)) for n in policy.namespaces for w in n.workloads}
    return PolicyEntry(source=source, digest=policy.digest(), workloads=workloads)


async def _cluster(kubeconfig: Path | None, context: str | None, policy: Policy, scrub: Scrub) -> ClusterEntry | None:
    from backstop.doctor.cluster import chosen_kubeconfig, look_at_cluster

    chosen = chosen_kubeconfig(kubeconfig, context)
    if chosen is None:
        return None
    return await look_at_cluster(chosen[0], context, policy, scrub, named=chosen[1])


async def _probes(found: tuple[Candidate, ...], settings: Settings, clock: Clock, scrub: Scrub) -> dict[str, ProbeEntry]:
    from backstop.doctor.probing import probe

    return await probe(found, settings, clock, scrub)
