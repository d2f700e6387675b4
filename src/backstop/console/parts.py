"""What a console shows, handed to it by whoever serves it. What is None is not there, and its page says so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from backstop.clock import Clock
from backstop.console.cluster import Grounds, Reader
from backstop.console.leaving import Leaving
from backstop.console.sessions import Sessions
from backstop.engine.port import Incidents
from backstop.executor.process import Identity
from backstop.models.budget import SpendStore
from backstop.policy import Mode, Policy
from backstop.service.access import Access
from backstop.settings import Settings

RUNS: Final = Path(".backstop") / "runs"
"""Where drills are kept, below the directory that a command was started in: `scenarios.drill.default_record`."""


@dataclass(frozen=True)
class Parts:
    """Of one console. `mode`: how far the service goes at most, whatever the policy says; `runs` holds one directory per drill;
    `drills`: whether a click may play one here; `spend`: where the workers count the day's money (`KeptSpend` over the database's
    document); `cluster`: the cluster as the investigator sees it; `identities`: by name, whose rights are shown; `grounds`: a
    cluster that may be broken, by `breaks`."""

    incidents: Incidents
    access: Access
    policy: Policy
    clock: Clock
    sessions: Sessions
    settings: Settings
    mode: Mode = "auto"
    receipts: Path | None = None
    runs: Path = RUNS
    drills: bool = False
    spend: SpendStore | None = None
    cluster: Reader | None = None
    identities: Mapping[str, Identity] = field(default_factory=dict)
    grounds: Grounds | None = None
    breaks: Mapping[str, str] = field(default_factory=dict)
    leaving: Leaving = field(default_factory=Leaving)
