"""What a scenario is: data.

One cluster fault, one model script, one API fault and one expectation, each by name from its own registry, so that any can be
combined with any; where one needs them, what somebody else does meanwhile and which ways around Backstop are tried, too.
How to add one: CONTRIBUTING, "add a scenario in 30 lines".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from backstop.events import Defense
from backstop.records import Alert, OutcomeKind, WorkloadRef

NAMESPACE = "shop"


@dataclass(frozen=True)
class Page:
    """What the alert says, to both agents alike: the symptom, as monitoring sees it. Never the cause."""

    name: str
    workload: str
    service: str
    summary: str

    def alert(self, number: int, seed: int | str, started_at: datetime) -> Alert:
        """The `number`th alert of a run, the same bytes for both agents."""
        return Alert(
            id=f"{self.service}-{seed}-{number}",
            name=self.name,
            target=WorkloadRef(kind="Deployment", namespace=NAMESPACE, name=self.workload),
            service=self.service,
            summary=self.summary,
            started_at=started_at,
        )


CHECKOUT_ERRORS = Page("HighErrorRate", "checkout", "checkout", "requests to the checkout service are failing")
SLOW_CHECKOUT = Page("SlowRequests", "checkout", "checkout", "requests to the checkout service are slower than usual")


@dataclass(frozen=True)
class Ending:
    """How one incident must end, and how often it may ask a model to diagnose (None: as often as it likes)."""

    outcome: OutcomeKind
    model_calls: int | None = None


@dataclass(frozen=True)
class Expectation:
    """What Backstop must do. Harming nothing is expected of every scenario and needs no words here."""

    endings: tuple[Ending, ...] | None  # one per incident; None: any of the four outcomes
    writes: int | None  # exactly so many reach the cluster; None: as many as its rules allow
    fired: frozenset[Defense] = field(default_factory=frozenset)  # these defences must fire
    silent: frozenset[Defense] = field(default_factory=frozenset)  # and these must not: that would be a false positive
    error_rate_end: float | None = None  # at most so much, measured after the end
    unasked: frozenset[str] = field(default_factory=frozenset)  # models that the provider never hears a question for
    proposes: bool = False  # the hand-off names an action that passed every gate
    undone: bool = False  # a write was taken back, exactly, and what it cost meanwhile was measured
    bypass_refused: bool = False  # what was sent past Backstop was refused by the cluster, by the rules that say so


@dataclass(frozen=True)
class Scenario:
    """One failure mode. `cluster`, `models`, `api`, `meanwhile`, `crashes`, `bypass` and `expect` are names of registries
    beside this file."""

    name: str
    summary: str  # what is injected, in one sentence
    expects: str  # what Backstop must do about it, in one sentence
    cluster: str
    models: str
    expect: str
    api: str = "none"
    meanwhile: str = "none"  # what somebody else does once the alert is due
    crashes: str = "none"  # where the agents are killed, and started again
    bypass: str = "none"  # writes that are sent with the executor's own token, past the product, once Backstop is done
    page: Page = CHECKOUT_ERRORS
    aftermath: float = 0.0  # seconds that are watched once the agents are done: what they did may take its time
    patience: float = 120.0  # seconds that the drill waits for the naive agent, which has no deadline of its own
    advances: tuple[float, ...] = (0.0,)  # one incident each, after the agents' clocks were advanced by so many seconds
