"""What the provider of the models saw of one agent, by the emulator's own journal, and where secrets got to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict


class ProviderEntry(BaseModel):
    """One lane by the emulator's count. `leaked_to_models`: requests that held a secret. `leaked_to_record`: secrets in the agent's
    own record. None: not known."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    requests: int | None
    models: tuple[str, ...]
    prompt_tokens: int | None
    completion_tokens: int | None
    leaked_to_models: int | None
    leaked_to_record: int | None


def provider_account(journal: list[dict[str, Any]] | None, lane: str, record: Path, secrets: Sequence[str]) -> ProviderEntry:
    """`record` is the agent's own, in which no secret may stand either."""
    in_record = _in_record(record, secrets)
    if journal is None:
        return ProviderEntry(
            requests=None, models=(), prompt_tokens=None, completion_tokens=None, leaked_to_models=None, leaked_to_record=in_record
        )
    mine = [entry for entry in journal if entry["lane"] == lane]
    return ProviderEntry(
        requests=len(mine),
        models=tuple(dict.fromkeys(str(entry["model"]) for entry in mine)),
        prompt_tokens=sum(int(entry["prompt_tokens"]) for entry in mine),
        completion_tokens=sum(int(entry["completion_tokens"]) for entry in mine),
        leaked_to_models=sum(bool(entry["leaked"]) for entry in mine),
        leaked_to_record=in_record,
    )


def _in_record(record: Path, secrets: Sequence[str]) -> int | None:
    try:
        text = record.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    return sum(secret in text for secret in secrets)
