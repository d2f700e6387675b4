"""Every tunable of Backstop in one place, from `BACKSTOP_*` in the environment or handed in by name. Units are in the names.

What may be written where is not here: that is the policy's business. A value that cannot be used is a `ConfigError`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict, SettingsError

from backstop.errors import ConfigError

Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, le=100_000)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


def _names(value: object) -> object:
    """`a,b,c` and `["a", "b", "c"]` as they come from the environment and from JSON."""
    if isinstance(value, str):
        return tuple(name.strip() for name in value.split(",") if name.strip())
    return tuple(value) if isinstance(value, list) else value


Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_names)]


class Settings(BaseSettings):
    """Values given by name win over the environment, which wins over these defaults. In the environment a list is `a,b,c`."""

    model_config = SettingsConfigDict(env_prefix="BACKSTOP_", frozen=True, extra="forbid")

    # Models: an OpenAI-compatible endpoint, and who is asked there in which order.
    models_url: str | None = None
    models_api_key: SecretStr = SecretStr("none")
    model_chain: Annotated[Names, Field(min_length=1)] = ("claude-sonnet-4-5", "llama-3.3-70b", "nova-pro", "claude-haiku-4-5")
    judge_models: Names = ("nova-lite", "claude-haiku-4-5")
    model_families: dict[str, str] = {}  # for models the catalogue does not know: a judge must be of another family
    models_silent_source: Literal["injected", "emulated", "live"] = "live"  # the label of a hop that gave no reply to carry one

    diagnose_deadline_seconds: Seconds = 120.0  # all hops together
    hop_deadline_seconds: Seconds = 45.0
    hop_reserve_seconds: Seconds = 5.0  # kept back for each hop still to come
    connect_timeout_seconds: Seconds = 5.0
    hop_cooldown_seconds: Seconds = 20.0  # a hop that failed is passed over for so long, unless all are cooling
    hop_cooldown_max_seconds: Seconds = 120.0  # a longer Retry-After is not believed
    diagnosis_max_output_tokens: Count = 4096
    judge_deadline_seconds: Seconds = 60.0  # all claims and samples together
    judge_samples: Annotated[int, Field(ge=1, le=9)] = 3  # all must agree
    judge_concurrency: Count = 6
    judge_max_output_tokens: Count = 512

    # One incident.
    incident_deadline_seconds: Seconds = 600.0
    max_reroutes: Annotated[int, Field(ge=0, le=20)] = 3
    max_model_calls_per_incident: Count = 120

    # Evidence.
    evidence_log_lines: Count = 40
    evidence_max_facts: Count = 200
    evidence_max_bytes: Count = 96_000
    evidence_max_age_seconds: Seconds = 120.0

    # Measured verification: probes at an interval, good for a whole window, before the deadline.
    verify_window_seconds: Seconds = 5.0
    verify_deadline_seconds: Seconds = 90.0  # old pods may take half a minute to end, and only then is a rollout over
    verify_interval_seconds: Seconds = 0.25
    verify_probes: Count = 3  # of each service, at each interval
    verify_min_requests: Count = 20  # fewer within the window say nothing about an error rate
    verify_max_error_rate: Share = 0.01
    verify_worse_seconds: Seconds = 3.0  # something healthy before has to be unhealthy for so long before the write is taken back
    apply_deadline_seconds: Seconds = 30.0  # for the executor's answer to one write; afterwards its outcome counts as unknown

    # The anomaly budget: so many anomalies within a window, and Backstop stops acting.
    breaker_target_anomalies: Count = 2
    breaker_target_window_seconds: Annotated[float, Field(gt=0, le=2_592_000, allow_inf_nan=False)] = 86_400.0
    breaker_cause_anomalies: Count = 6
    breaker_global_anomalies: Count = 8
    breaker_window_seconds: Seconds = 3600.0  # of the budgets per cause and over everything


def load_settings(overrides: dict[str, Any] | None = None) -> Settings:
    """The settings as they apply now. Raises `ConfigError` with one sentence that names the first value that cannot be used."""
    try:
        return Settings(**(overrides or {}))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        name = ".".join(str(part) for part in first["loc"]) or "settings"
        raise ConfigError(
            f"the setting {name} cannot be used: {first['msg']}", todo=f"correct it or unset BACKSTOP_{name.upper()}"
        ) from error
    except SettingsError as error:
        raise ConfigError(f"a setting cannot be read: {error}", todo="correct the BACKSTOP_ variable it names") from error
