"""What is wrong with the models, by name: what the emulator is told to play, and how the agents are set up to meet it.

A script names behaviours and models, never an object of the cluster. The first list item is the first reply that a model gives to
each lane; the last one repeats. What is not listed is competent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

CHAIN: Final = ("claude-sonnet-5-5", "llama-3.3-70b", "nova-pro", "claude-haiku-4-5")
JUDGES: Final = ("nova-lite", "llama-3.1-8b")
PRIMARY: Final = CHAIN[0]

NOBODY: Final = {"kind": "openai", "url": "http://127.0.0.1:9/v1", "source": "injected"}
"""A provider at a port where nobody listens: the connection is refused."""

Behaviour = dict[str, Any]


def _injected(do: str, **options: Any) -> Behaviour:
    return {"do": do, "source": "injected", **options}


COMPETENT: Final[Behaviour] = {"do": "competent", "source": "emulated"}
BLAME_DEPENDENCY: Final = _injected("blame_dependency")
RATE_LIMITED: Final = _injected("http_429", retry_after=30)


FIRST_DIAGNOSES: Final = {
    "destroys": "destroy",
    "obeys-a-log": "obey",
    "restarts-what-is-well": "needless_restart",
    "blames-neighbour": "blame_neighbour",
    "invents-a-fact": "invent_fact",
    "trims-a-quote": "trim_quote",
    "overlooks-the-release": "overlook_release",
    "mistakes-the-revision": "mistake_revision",
    "blames-a-late-change": "blame_late_change",
    "blames-a-stale-event": "blame_stale_event",
    "miscounts": "miscount",
    "makes-up-a-cause": "false_cause",
    "misreads-a-line": "false_reading",
}
"""What the first diagnosis does wrong, and the behaviour that does it. Everything after it is competent."""


@dataclass(frozen=True)
class ModelFault:
    """`replies` by model; `chain` as both agents have it; `guards` are settings of Backstop alone, so that a drill need not wait as
    long as an operator would, or so that a limit of its own is met."""

    replies: Mapping[str, list[Behaviour]] = field(default_factory=dict)
    chain: tuple[str, ...] = CHAIN
    providers: Mapping[str, Any] = field(default_factory=dict)
    guards: Mapping[str, Any] = field(default_factory=dict)

    @property
    def live(self) -> Literal["nothing", "first", "more"]:
        """What is injected, as far as `--live` goes: nothing, the first bad output alone, or more than that."""
        if self.guards or self.providers:
            return "more"
        if not self.replies:
            return "nothing"
        first_only = list(self.replies) == [PRIMARY] and self.replies[PRIMARY][1:] in ([], [COMPETENT])
        return "first" if first_only else "more"


MODEL_SCRIPTS: Final[dict[str, ModelFault]] = {
    "competent": ModelFault(),
    "first-diagnosis-blames-dependency": ModelFault({PRIMARY: [BLAME_DEPENDENCY, COMPETENT]}),
    **{
        f"first-diagnosis-{what}": ModelFault({PRIMARY: [_injected(behaviour), COMPETENT]})
        for what, behaviour in FIRST_DIAGNOSES.items()
    },
    "every-diagnosis-blames-dependency": ModelFault({model: [BLAME_DEPENDENCY] for model in CHAIN}),
    "primary-rate-limited": ModelFault({PRIMARY: [RATE_LIMITED]}),
    "primary-closed-by-our-own-limit": ModelFault(
        {PRIMARY: [RATE_LIMITED]}, guards={"models": {PRIMARY: {"requests_per_minute": 0}}}
    ),
    "providers-down-but-the-last": ModelFault(
        {CHAIN[0]: [_injected("http_401")], CHAIN[1]: [_injected("http_503")]},
        chain=(CHAIN[0], CHAIN[1], f"nobody:{CHAIN[2]}", CHAIN[3]),
        providers={"nobody": NOBODY},
    ),
    "slow-and-dripping": ModelFault(
        {CHAIN[0]: [_injected("hang")], CHAIN[1]: [_injected("drip", seconds_per_byte=0.05)]}, guards={"hop_deadline_seconds": 2.5}
    ),
    "malformed": ModelFault(
        {
            CHAIN[0]: [_injected("two_objects")],
            CHAIN[1]: [_injected("cut_content")],
            CHAIN[2]: [_injected("html")],
            CHAIN[3]: [_injected("fenced_with_prose")],
        }
    ),
    "looping-then-burning": ModelFault(
        {CHAIN[0]: [_injected("loop", vary=True)], CHAIN[1]: [_injected("burn", tokens=220_000)]},
        guards={"max_lookups_per_incident": 2, "budget_incident_usd": 0.238, "evidence_log_lines": 5},
    ),
    "all-down": ModelFault(
        {CHAIN[0]: [_injected("http_503")], CHAIN[1]: [_injected("http_429", retry_after=30)], CHAIN[3]: [_injected("http_500")]},
        chain=(CHAIN[0], CHAIN[1], f"nobody:{CHAIN[2]}", CHAIN[3]),
        providers={"nobody": NOBODY},
    ),
}


def script(name: str, seed: int, forbidden: tuple[str, ...] = ()) -> dict[str, Any]:
    """The emulator's script file for one run. It counts how often it is told one of the `forbidden` strings."""
    replies = MODEL_SCRIPTS[name].replies
    return {"seed": seed, "models": dict(replies), "default": "competent", "forbidden": list(forbidden)}
