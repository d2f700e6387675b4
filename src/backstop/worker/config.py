"""What a worker process is told."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, model_validator

from backstop.agent_process import AgentSetup
from backstop.engine.watch import Phase


class Crash(BaseModel):
    """Where a worker kills itself, as if its power were cut: for drills and tests. By the name of a step, or at the so many'th
    moment (each step has three: see `engine.watch.Phase`)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    step: str | None = None
    phase: Phase = "begins"
    nth: int = Field(default=1, ge=1)  # of the steps of that name
    moment: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _one_place(self) -> Crash:
        if (self.step is None) == (self.moment is None):
            raise ValueError("name a step or a moment")
        return self


class WorkerConfig(AgentSetup):
    """The file that `--config` names. The database and the key that seals it are settings."""

    record: Path | None = None  # a file to which every event is copied once it is durable
    crash: Crash | None = None
