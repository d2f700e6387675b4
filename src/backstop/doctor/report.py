"""What a check-up found, as data: the page that a person reads and `--json` are two readings of it. No secret is in it."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

Fit = Literal["investigator", "executor", "both", "neither"]


class Entry(BaseModel):
    """Base of every part."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ConfigurationEntry(Entry):
    """Where the settings come from."""

    file: str | None  # None: no configuration file applies
    variables: tuple[str, ...]  # BACKSTOP_* that are set: their names, never their values
    strange: dict[str, str | None]  # those of them that name no setting, and the nearest that does
    live: bool  # whether drills ask these models instead of the emulator


class ProbeEntry(Entry):
    """What came of one tiny request."""

    ok: bool
    outcome: str  # a word of `models.outcomes`
    source: Literal["injected", "emulated", "live"]  # who answered, by the label of the reply
    seconds: float
    input_tokens: int
    output_tokens: int
    cost_usd: float | None
    sentence: str  # what is wrong and what to do; empty if it answers
    said: str  # the provider's own words


class ModelEntry(Entry):
    """One model of the chain, or one judge."""

    model: str
    provider: str
    where: str  # URL or region; empty: the vendor's own
    asked_as: str  # by which name
    family: str
    usd_per_million_input: float | None  # None: unknown
    usd_per_million_output: float | None
    requests_per_minute: int | None  # our own limits; None: none
    tokens_per_minute: int | None
    deadline_seconds: float
    budget_day_usd: float | None
    can_be_asked: bool
    why_not: str
    judged_by: str | None  # of a proposer; None: nobody, and no proposal of it passes
    unjudged: str  # why nobody judges it
    probe: ProbeEntry | None


class ModelsEntry(Entry):
    """Who proposes, in the order in which they are asked, who judges, and what it may cost."""

    proposers: tuple[ModelEntry, ...]
    rules: bool  # behind them the rules propose, and a person approves
    judges: tuple[ModelEntry, ...]
    budget_incident_usd: float
    budget_day_usd: float
    max_calls_per_incident: int


class NamespaceEntry(Entry):
    """What the identity may do in one namespace of the policy."""

    namespace: str
    unreadable: tuple[str, ...]  # of what an investigation reads
    unreadable_to_execute: tuple[str, ...]  # of what a write needs to read
    writable: tuple[str, ...]  # workloads of the policy that it may patch
    unwritable: tuple[str, ...]
    beyond: tuple[str, ...]  # what it may do and no identity of Backstop needs


class ClusterEntry(Entry):
    """One cluster, seen with one identity."""

    kubeconfig: str
    named: bool  # by an option or KUBECONFIG; else it is the one that kubectl would take
    context: str | None  # None: the current one
    server: str
    version: str
    identity: str
    namespaces: tuple[NamespaceEntry, ...]
    fit: Fit | None  # None: not known
    trouble: str  # why it is not known; empty if it is


class PolicyEntry(Entry):
    """What may be written, by the policy."""

    source: str
    digest: str  # SHA-256 of its canonical JSON, hex
    workloads: dict[str, tuple[str, ...]]  # verbs by namespace/name


class Report(Entry):
    """The whole check-up. Whatever is wrong is a sentence of `problems`."""

    version: str
    configuration: ConfigurationEntry
    models: ModelsEntry
    cluster: ClusterEntry | None  # None: there is no kubeconfig
    policy: PolicyEntry
    notes: tuple[str, ...]
    problems: tuple[str, ...]
