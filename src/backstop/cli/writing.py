"""What the commands that may write have in common: how far they go, and with whose credentials."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Final

from backstop.errors import UsageError

if TYPE_CHECKING:
    from backstop.executor.process import Identity, WriteAccess

UNCHANGED: Final = "nothing was started, and nothing was written"

Named = tuple[Path | None, str | None]
"""A kubeconfig and its context, as they were given."""


class Modes(StrEnum):
    """How far a run goes, at most."""

    OBSERVE = "observe"
    APPROVE = "approve"
    AUTO = "auto"


def write_access(mode: Modes, executor: Named, rehearser: Named) -> WriteAccess | None:
    """Raises UsageError for a mode without the identity that it needs, and for an identity that it must not have."""
    from backstop.executor.process import WriteAccess

    writes, rehearses = _identity(*executor), _identity(*rehearser)
    if mode is Modes.OBSERVE:
        if writes is not None or rehearses is not None:
            todo = "leave --executor-kubeconfig and --rehearser-kubeconfig out, or say --mode approve"
            raise UsageError("observe mode writes nothing and wants no write identity", unchanged=UNCHANGED, todo=todo)
        return None
    if writes is None:
        raise UsageError(
            f"{mode.value} mode needs the identity that writes, and this one only reads",
            unchanged=UNCHANGED,
            todo="name it with --executor-kubeconfig; 'backstop policy compile' prints its role",
        )
    for option, named in (("--executor-kubeconfig", writes), ("--rehearser-kubeconfig", rehearses)):
        if named is not None and not named.kubeconfig.is_file():
            todo = f"give {option} a file that kubectl accepts"
            raise UsageError(f"there is no kubeconfig at {named.kubeconfig}", unchanged=UNCHANGED, todo=todo)
    return WriteAccess(writes, rehearses)


def _identity(kubeconfig: Path | None, context: str | None) -> Identity | None:
    from backstop.executor.process import Identity

    return Identity(kubeconfig, context) if kubeconfig is not None else None
