"""Every tunable of Backstop in one place. Units are in the names.

A value handed in by name wins over `BACKSTOP_NAME` in the environment, that over `name` in the configuration file
(`backstop.toml` here, or the file that `BACKSTOP_CONFIG` names), that over the defaults below. Vendors' keys stay where their own
tools look for them (`ANTHROPIC_API_KEY`, `OPENAI_API_KEY`, AWS credentials), or in the variable that a provider's table names.

What may be written where is not here: that is the policy's business. A value that cannot be used is a `ConfigError`.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError

from backstop.errors import ConfigError

Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, le=100_000)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
VariableName = Annotated[str, Field(pattern=r"^[A-Z_][A-Z0-9_]{0,63}$")]
"""Of the environment, in capitals: a key that somebody wrote here by mistake would be shown as the name of a variable."""
Usd = Annotated[float, Field(ge=0, le=1_000_000, allow_inf_nan=False)]

CONFIG_FILE: Final = "backstop.toml"


def _names(value: object) -> object:
    """`a,b,c` and `["a", "b", "c"]` as they come from the environment and from JSON."""
    if isinstance(value, str):
        return tuple(name.strip() for name in value.split(",") if name.strip())
    return tuple(value) if isinstance(value, list) else value


Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_names)]


class _Table(BaseModel):
    """A table of the configuration file."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ProviderSettings(_Table):
    """`[providers.NAME]`: where models of `NAME:model` are asked, and with whose key."""

    kind: Literal["openai", "anthropic", "bedrock"]  # whose wire it speaks
    url: str | None = None  # None: the vendor's own
    api_key_env: VariableName | None = None  # the variable that holds the key; none for a server that wants no key
    api_key: SecretStr | None = None  # or the key itself, where no variable can be
    region: str | None = None  # of Bedrock; AWS_REGION without it
    instance_role: bool = False  # Bedrock: take the credentials of the machine, which costs a request to its metadata service
    source: Literal["injected", "emulated", "live"] = "live"  # live is live; of the emulator its labels are believed, silent or not


class ModelSettings(_Table):
    """`[models."NAME"]`: what is to be known of a model, by its name in the chain, beyond what the catalogue knows."""

    family: str | None = None  # a judge must be of another one
    usd_per_million_input: Usd | None = None  # both, or the price table's; 0 for a model that costs nothing
    usd_per_million_output: Usd | None = None
    requests_per_minute: Annotated[int, Field(ge=0, le=1_000_000)] | None = None  # ours, ahead of the provider's; 0 closes it
    tokens_per_minute: Annotated[int, Field(ge=0, le=1_000_000_000)] | None = None
    deadline_seconds: Seconds | None = None  # hop_deadline_seconds without it
    budget_day_usd: Usd | None = None

    @model_validator(mode="after")
    def _both_prices_or_none(self) -> Self:
        if (self.usd_per_million_input is None) != (self.usd_per_million_output is None):
            raise ValueError("give both prices, of input and of output, or neither")
        return self


class Settings(BaseSettings):
    """In the environment a list is `a,b,c` and a table is JSON."""

    model_config = SettingsConfigDict(env_prefix="BACKSTOP_", frozen=True, extra="forbid", protected_namespaces=())

    # Models, in the order in which they are asked: `provider:model`, or a name of the catalogue, which is asked at `models_url`
    # (any endpoint that speaks OpenAI chat completions) if that is set, and at Bedrock if not.
    model_chain: Names = ("claude-sonnet-5-5", "llama-3.3-70b", "nova-pro", "claude-haiku-4-5")
    judge_models: Names = ("nova-lite", "llama-3.1-8b")
    rules_hop: bool = True  # behind the last model, the rules propose; a person approves
    models_url: str | None = None
    models_api_key: SecretStr = SecretStr("none")
    models_silent_source: Literal["injected", "emulated", "live"] = "live"  # what it is; see providers
    providers: dict[str, ProviderSettings] = {}
    models: dict[str, ModelSettings] = {}
    live: bool = False  # BACKSTOP_LIVE: a drill asks these models instead of the emulator

    diagnose_deadline_seconds: Seconds = 120.0  # all hops together
    hop_deadline_seconds: Seconds = 45.0
    hop_reserve_seconds: Seconds = 5.0  # kept back for each hop still to come
    hop_retries: Annotated[int, Field(ge=0, le=5)] = 1  # of the same hop, after what may pass by itself
    hop_retry_seconds: Seconds = 0.25  # before a retry, doubled each time, jittered
    retry_after_max_seconds: Seconds = 2.0  # a longer Retry-After fails over instead
    connect_timeout_seconds: Seconds = 5.0
    hop_cooldown_seconds: Seconds = 20.0  # a hop that failed is passed over for so long, doubled each time, unless all are cooling
    hop_cooldown_max_seconds: Seconds = 120.0  # nor is a longer Retry-After believed
    stream: bool = False  # ask for a stream, buffered until whole: a model that never begins is left sooner
    first_token_seconds: Seconds = 15.0  # of a stream

    # Money. A call is made only if its worst case fits into all three; the day is UTC's.
    budget_incident_usd: Usd = 2.0
    budget_day_usd: Usd = 50.0
    diagnosis_max_output_tokens: Count = 4096
    judge_deadline_seconds: Seconds = 60.0  # all claims and samples together
    judge_samples: Annotated[int, Field(ge=1, le=9)] = 3  # all must agree
    judge_concurrency: Count = 6
    judge_max_output_tokens: Count = 512

    telemetry_content: bool = False  # whether spans carry what was asked and said (redacted)

    # One incident.
    incident_deadline_seconds: Seconds = 600.0
    max_reroutes: Annotated[int, Field(ge=0, le=20)] = 3
    max_model_calls_per_incident: Count = 120
    max_turns_per_hop: Count = 10  # questions to one hop within one diagnosis, look-ups answered in between

    # What a diagnoser may look up for itself, per incident, read-only.
    max_lookups_per_incident: Annotated[int, Field(ge=0, le=100)] = 12
    lookups_deadline_seconds: Seconds = 30.0  # all together
    lookups_max_bytes: Count = 48_000  # of answers, all together

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
    settle_seconds: Seconds = 20.0  # for a rollout of somebody else's to end, before the cluster is looked at again
    apply_deadline_seconds: Seconds = 30.0  # for the executor's answer to one write; afterwards its outcome counts as unknown

    state_dir: Annotated[Path, AfterValidator(Path.expanduser), Field(validate_default=True)] = Path("~/.local/state/backstop")

    # The service and its workers: `backstop serve`.
    database_url: SecretStr | None = None  # sqlite:////FILE or postgresql://…; None: a SQLite file in the state directory
    state_key: SecretStr | None = None  # 64 hexadecimal digits that seal what is kept; None: a file in the state directory
    token: SecretStr | None = None  # opens the whole API
    monitoring_token: SecretStr | None = None  # hands alerts in, reads metrics, and no more
    max_remediations: Count = 4  # incidents that may rehearse, write or measure at a time, over all workers

    # The anomaly budget: so many anomalies within a window, and Backstop stops acting.
    breaker_target_anomalies: Count = 2
    breaker_target_window_seconds: Annotated[float, Field(gt=0, le=2_592_000, allow_inf_nan=False)] = 86_400.0
    breaker_cause_anomalies: Count = 6
    breaker_global_anomalies: Count = 8
    breaker_window_seconds: Seconds = 3600.0  # of the budgets per cause and over everything

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003  the signature is pydantic's
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, _ConfigFile(settings_cls)


class _ConfigFile(PydanticBaseSettingsSource):
    """The configuration file, if there is one."""

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        return read_config_file()


def config_file() -> Path | None:
    """The configuration file that applies, None if there is none. Raises `ConfigError` for one that is named and not there."""
    named = os.environ.get("BACKSTOP_CONFIG")
    path = Path(named or CONFIG_FILE)
    if path.is_file():
        return path
    if named:
        raise ConfigError(f"BACKSTOP_CONFIG names {named}, which is not a file", todo="correct or unset it")
    return None


def read_config_file() -> dict[str, Any]:
    """What the configuration file says, empty without one. Raises `ConfigError` with the line that is no TOML."""
    path = config_file()
    if path is None:
        return {}
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}", todo="correct it") from error


def load_settings(overrides: dict[str, Any] | None = None) -> Settings:
    """The settings as they apply now. Raises `ConfigError` with one sentence that names the first value that cannot be used."""
    try:
        return Settings(**(overrides or {}))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        name = ".".join(str(part) for part in first["loc"]) or "settings"
        if first["type"] == "extra_forbidden" and len(first["loc"]) == 1:
            near = difflib.get_close_matches(name, Settings.model_fields, n=1, cutoff=0.6)
            todo = f"the nearest is {near[0]}" if near else "leave it out, or see docs/models.md"
            raise ConfigError(f"there is no setting {name}", todo=todo) from error
        where = (
            f"correct {name} in {config_file() or CONFIG_FILE}, or BACKSTOP_{str(first['loc'][0]).upper() if first['loc'] else ''}"
        )
        raise ConfigError(f"the setting {name} cannot be used: {first['msg']}", todo=where) from error
    except SettingsError as error:
        raise ConfigError(f"a setting cannot be read: {error}", todo="correct the BACKSTOP_ variable it names") from error
