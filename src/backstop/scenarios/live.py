"""`drill --live`: the models of the settings instead of the emulator. What is injected is at most the first bad output.

Then the first hop is the emulator, which says its one line, and everybody behind it is live: re-diagnosis, judge and recovery.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from backstop.clock import SystemClock
from backstop.errors import UsageError
from backstop.models import build_models
from backstop.sandbox.faults import FAULTS
from backstop.scenarios.base import Scenario
from backstop.scenarios.model_scripts import MODEL_SCRIPTS, PRIMARY, ModelFault
from backstop.settings import ProviderSettings, Settings

INJECTED: Final = "injected"
"""The provider that the emulator is in a live drill."""


@dataclass(frozen=True)
class Live:
    """The live chain, as it was found to be usable before anything was started."""

    chain: tuple[str, ...]
    judges: tuple[str, ...]
    user: Settings

    def settings(self, lane: str, fault: ModelFault, emulator_url: str) -> dict[str, Any]:
        """How an agent is set up. The naive one asks one model only: the one that is told to fail it, or the first live one."""
        own: dict[str, Any] = {
            "models_url": self.user.models_url,
            "models_api_key": self.user.models_api_key.get_secret_value(),
            "model_chain": list(self.chain),
            "judge_models": list(self.judges),
        }
        if fault.live == "nothing":
            return own
        injected = {"kind": "openai", "url": emulator_url, "api_key": f"lane-{lane}", "source": INJECTED}
        providers = {name: _plain(provider) for name, provider in self.user.providers.items()}
        return own | {"providers": providers | {INJECTED: injected}, "model_chain": [f"{INJECTED}:{PRIMARY}", *self.chain]}


def _plain(provider: ProviderSettings) -> dict[str, Any]:
    key = provider.api_key
    return provider.model_dump(exclude={"api_key"}) | {"api_key": key.get_secret_value() if key else None}


def live_for(scenario: Scenario, settings: Settings) -> Live:
    """Raises UsageError if the scenario injects more than a first bad output or needs the emulator as its witness, or if no model
    of the settings can be asked."""
    if MODEL_SCRIPTS[scenario.models].live == "more":
        raise UsageError(
            f"{scenario.name} injects more than a first bad output, so it cannot be played live",
            unchanged="nothing was started",
            todo="leave --live out, or unset BACKSTOP_LIVE",
        )
    if FAULTS[scenario.cluster].secrets:
        raise UsageError(
            f"{scenario.name} is not played live: only the emulator can tell whether a secret reached a model",
            unchanged="nothing was started",
            todo="leave --live out, or unset BACKSTOP_LIVE",
        )
    chain = build_models(settings, SystemClock(), lambda _call: None)
    if not chain.hops:
        why = "; ".join(f"{skipped.model}: {skipped.why}" for skipped in chain.skipped)
        raise UsageError(
            f"--live needs a model that can be asked ({why})", unchanged="nothing was started", todo="see `backstop doctor`"
        )
    judges = tuple(hop.spec.id for hop in chain.asked_judge.hops)
    if not judges:
        raise UsageError(
            f"--live needs a judge, or every diagnosis is refused: none of {', '.join(settings.judge_models)} can be asked",
            unchanged="nothing was started",
            todo="set BACKSTOP_JUDGE_MODELS to a cheaper model of another family; see `backstop doctor`",
        )
    return Live(tuple(hop.spec.id for hop in chain.hops), judges, settings)
