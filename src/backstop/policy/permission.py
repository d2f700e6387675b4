"""When Backstop may write by itself, when it asks, and when it only shows: modes, approvals, freezes."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import Final

from backstop.checks import Opinion, evaluate, fails, holds
from backstop.checks import Rule as CheckRule
from backstop.policy.schema import Mode, Policy, WeeklyFreeze
from backstop.policy.subject import Proposed, WriteAction
from backstop.records import Approval, Check, Intent, NoAction, Record

_ORDER: Final[tuple[Mode, ...]] = ("observe", "approve", "auto")
_DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_SKEW: Final = timedelta(seconds=2)


class Permission(Record):
    """How far this run may go at most, whatever the policy allows, and what a person has said, if anything."""

    ceiling: Mode
    approval: Approval | None


def effective_mode(action: WriteAction, policy: Policy, ceiling: Mode) -> Mode | None:
    """The stricter of what the policy says of this verb in this namespace and of `ceiling`. None: never."""
    namespace = policy.namespace(action.target.namespace)
    mode = namespace.mode(action.verb) if namespace is not None else None
    return None if mode is None else min(mode, ceiling, key=_ORDER.index)


def check_mode(intent: Intent, policy: Policy, permission: Permission, now: datetime) -> Check:
    """A-MODE: whether this write may be made without asking, or was approved just so."""

    def judge(_: None) -> Opinion:
        if isinstance(intent.action, NoAction):
            return fails("there is nothing to write")
        mode = effective_mode(intent.action, policy, permission.ceiling)
        if mode == "auto":
            return holds(f"{intent.action.verb} may be written without asking in {intent.action.target.namespace}")
        if mode == "approve":
            return _approved(intent, policy, permission.approval, now)
        if mode == "observe":
            return fails("it is only observed: the write is shown, and not made")
        return fails(f"the policy has no mode for {intent.action.verb} in {intent.action.target.namespace}")

    return evaluate((CheckRule("A-MODE", judge),), None)[0]


def _approved(intent: Intent, policy: Policy, approval: Approval | None, now: datetime) -> Opinion:
    if approval is None:
        return fails("it wants the approval of a person, and nobody has given it")
    if approval.answer != "approved":
        return fails(f"{approval.by} said no: {approval.why}")
    if approval.decision != intent.decision_hash():
        return fails(f"what {approval.by} approved is not exactly this write")
    longest = timedelta(seconds=policy.limits.approval_seconds) + _SKEW
    if not (approval.at - _SKEW <= now < approval.expires_at and approval.expires_at - approval.at <= longest):
        return fails(f"the approval of {approval.by} is not, or no longer, valid")
    return holds(f"{approval.by} approved it: {approval.why}")


def not_frozen(proposed: Proposed) -> Opinion:
    now, policy = proposed.context.now.astimezone(UTC), proposed.policy
    for freeze in policy.freezes:
        if freeze.start <= now < freeze.end:
            return fails(f"nothing is written during {freeze.name}, until {freeze.end:%Y-%m-%d %H:%M} UTC")
    for weekly in policy.weekly_freezes:
        if _within(weekly, now):
            return fails(f"nothing is written during {weekly.name}, until {weekly.end} UTC")
    return holds("no freeze is on")


def _within(weekly: WeeklyFreeze, now: datetime) -> bool:
    start, end = time.fromisoformat(weekly.start), time.fromisoformat(weekly.end)
    length = timedelta(hours=end.hour - start.hour, minutes=end.minute - start.minute)
    length += timedelta(days=1) if length <= timedelta(0) else timedelta(0)
    for back in (0, 1):
        begins = datetime.combine(now.date() - timedelta(days=back), start, tzinfo=UTC)
        if _DAYS[begins.weekday()] in weekly.days and begins <= now < begins + length:
            return True
    return False
