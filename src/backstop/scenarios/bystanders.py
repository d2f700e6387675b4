"""What somebody else does while an incident is on, by name: a colleague, a controller, an event that is long over.

It is sent with an administrator's token once the alert is due, and before the agents hear of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from backstop.sandbox.faults import FAULTS, Call
from backstop.scenarios.base import NAMESPACE


@dataclass(frozen=True)
class Bystander:
    """What is done, so many seconds after the alert began; `calls` are told when that was."""

    summary: str
    calls: Callable[[datetime], tuple[Call, ...]]
    after_seconds: float = 0.0


def _old_event(began: datetime) -> tuple[Call, ...]:
    """What somebody's capacity watch noted three hours ago: true, and long over. It is among the first of the target's events, so
    that it has the same id in both lanes, whatever the rollout noted after it."""
    at = (began - timedelta(hours=3)).strftime("%Y-%m-%dT%H:%M:%SZ")
    event = {
        "metadata": {"name": "checkout.memory-this-morning", "namespace": NAMESPACE},
        "involvedObject": {"apiVersion": "apps/v1", "kind": "Deployment", "namespace": NAMESPACE, "name": "checkout"},
        "type": "Normal",
        "reason": "MemoryHigh",
        "message": "containers of checkout came near their memory limit",
        "source": {"component": "capacity-watch"},
        "firstTimestamp": at,
        "lastTimestamp": at,
        "count": 1,
    }
    return (Call("POST", f"/api/v1/namespaces/{NAMESPACE}/events", event),)


BYSTANDERS: Final[dict[str, Bystander]] = {
    "none": Bystander("nobody does anything", lambda _: ()),
    "second-release": Bystander(
        "a colleague releases checkout once more, and it is no better",
        lambda _: FAULTS["wrong-upstream"].calls,
        after_seconds=4.0,  # clocks may differ by two, and creation times are whole seconds
    ),
    "old-event": Bystander("an event of three hours ago is still on record: memory was short then", _old_event),
}
