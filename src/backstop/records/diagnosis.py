"""What a model may say: a diagnosis, and one action of a closed union. Absolute targets only, no free text, no wildcards."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from backstop.records.base import DnsName, FactId, Record, Said, WorkloadRef


class FaultClass(StrEnum):
    """What kind of fault a diagnosis names. The action must fit it (rule Q-ACTION-FITS)."""

    BAD_RELEASE = "bad_release"  # a new revision serves errors
    BAD_IMAGE = "bad_image"  # a new revision cannot be pulled
    CRASH_LOOP = "crash_loop"  # a new revision crashes
    BAD_CONFIG = "bad_config"  # an env value, ConfigMap or Secret reference is wrong or missing
    BAD_PROBE = "bad_probe"  # a new revision serves, and its probe fails all the same
    OUT_OF_MEMORY = "out_of_memory"
    UNSCHEDULABLE = "unschedulable"
    SCALED_DOWN = "scaled_down"
    STUCK_PROCESS = "stuck_process"  # unhealthy without any change: a restart may help
    DEPENDENCY_DOWN = "dependency_down"
    BAD_SERVICE = "bad_service"  # a Service selects nothing, or aims at a port where nobody listens: a person changes it
    ADMISSION_REFUSED = "admission_refused"  # a quota, a webhook or a policy refuses new pods: a person changes it
    NO_FAULT = "no_fault"
    UNKNOWN = "unknown"


class Rollback(Record):
    """Return a Deployment to an earlier revision."""

    verb: Literal["rollback"]
    target: WorkloadRef
    to_revision: Annotated[int, Field(ge=1, le=1_000_000)]


class Restart(Record):
    """Replace a Deployment's pods, one rollout, same template."""

    verb: Literal["restart"]
    target: WorkloadRef


class Scale(Record):
    """Set a Deployment's replicas to an absolute number. Zero parses, so that the gate can be seen to refuse it."""

    verb: Literal["scale"]
    target: WorkloadRef
    replicas: Annotated[int, Field(ge=0, le=1_000_000)]


class SetResources(Record):
    """Set one container's memory limit, in bytes."""

    verb: Literal["set_resources"]
    target: WorkloadRef
    container: DnsName
    memory_limit_bytes: Annotated[int, Field(ge=1, le=2**50)]


class NoAction(Record):
    """Nothing in the catalogue is right; a person decides."""

    verb: Literal["no_action"]


Action = Annotated[Rollback | Restart | Scale | SetResources | NoAction, Field(discriminator="verb")]


def action_key(action: Rollback | Restart | Scale | SetResources | NoAction) -> str:
    """`rollback deployment/checkout to_revision=1`: the action in one line, for people and for the drill's JSON."""
    if isinstance(action, NoAction):
        return "no_action"
    rest = {k: v for k, v in action.model_dump(mode="json").items() if k not in {"verb", "target"}}
    return " ".join([action.verb, action.target.key, *(f"{k}={v}" for k, v in rest.items())])


class Quote(Record):
    """One whole line of one fact, verbatim."""

    fact: FactId
    line: Annotated[Said, StringConstraints(min_length=1, max_length=2000)]


class Claim(Record):
    """One checkable sentence, the facts it rests on, and lines quoted from them."""

    text: Annotated[Said, StringConstraints(min_length=1, max_length=600)]
    facts: Annotated[tuple[FactId, ...], Field(min_length=1, max_length=20)]
    quotes: Annotated[tuple[Quote, ...], Field(max_length=20)]


class BlamedChange(Record):
    """The rollout that a diagnosis blames, by the fact that shows it. Its time is taken from the fact, not from the model."""

    fact: FactId
    revision: Annotated[int, Field(ge=1, le=1_000_000)]


class Diagnosis(Record):
    """What a model must hand in. Everything is required: an absent field is a refused reply, not a default."""

    hypothesis: Annotated[Said, StringConstraints(min_length=1, max_length=1200)]
    fault_class: FaultClass
    suspect: WorkloadRef
    change: BlamedChange | None
    claims: Annotated[tuple[Claim, ...], Field(min_length=1, max_length=8)]
    action: Action
    confidence: Annotated[float, Field(ge=0, le=1)]


class ModelCall(Record):
    """One attempt at one hop, also when it failed."""

    model: str
    role: Literal["diagnose", "judge", "probe"]
    source: Literal["injected", "emulated", "live", "rules"]  # rules: no model said it, the rules hop did
    outcome: str  # a word of the table in `models.outcomes`
    seconds: float
    input_tokens: int
    output_tokens: int
    cost_usd: float | None  # None: unknown, which is never zero
    cost_is_estimate: bool  # what the call was charged because nobody said what it cost: its worst case
    reply_sha256: str | None
    detail: Said
