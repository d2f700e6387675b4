"""One PATCH, sent once, and the truth about whether it landed.

The resourceVersion in it is the fence: the API server takes the PATCH only while the object is exactly as it was read. So once the
object has moved on without carrying the action's id, that PATCH can never land, however late it arrives.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from backstop.clock import Clock
from backstop.cluster.client import ClusterClient
from backstop.cluster.objects import ACTION_ID, Json, mapping, strings, text
from backstop.cluster.writes import fenced, object_path
from backstop.errors import ClusterConflict, ClusterError, ClusterRefused, ClusterUnavailable, ReplyLost
from backstop.records import TargetState, WorkloadRef

_AUDIT_NAMES: Final = uuid.UUID("6a0f9f0e-41c5-5c7e-9a3d-0d7f6c1f7b52")
_ANSWERED_NO: Final = {429, 503}
"""Too many requests, or nobody there to serve it, in the API server's own words. Any other 5xx may hide a commit."""


@dataclass(frozen=True)
class Patch:
    """What is to be sent, and the observation that it is bound to."""

    target: WorkloadRef
    action_id: str
    uid: str
    resource_version: str
    operations: tuple[Json, ...]

    @property
    def audit_id(self) -> str:
        """The id that the API server is asked to audit it under: the same for the same write, also after a restart."""
        return audit_id(self.action_id, self.resource_version)


@dataclass(frozen=True)
class Landed:
    """A write that is in the cluster: the object as it was answered, or found."""

    resource_version: str
    spec: Json
    audit_id: str
    found: bool = False  # by reading the object, not by an answer


def audit_id(action_id: str, resource_version: str, occasion: str = "write") -> str:
    """A name for one request in the API server's audit log, known before it is sent."""
    return str(uuid.uuid5(_AUDIT_NAMES, f"{occasion}/{action_id}/{resource_version}"))


def bind(target: WorkloadRef, action_id: str, state: TargetState, operations: Sequence[Json]) -> Patch:
    """A patch that can only land on the object as `state` observed it."""
    whole = fenced(
        operations, uid=state.uid, resource_version=state.resource_version, annotations=state.annotations, action_id=action_id
    )
    return Patch(target, action_id, state.uid, state.resource_version, tuple(whole))


def carries(deployment: Json, action_id: str) -> bool:
    """Whether the object says that this action was the last of ours to write to it."""
    return strings(deployment, "metadata", "annotations").get(ACTION_ID) == action_id


class Fence:
    """Sends patches with the executor's identity. `settle` is how many seconds an unanswered one is looked for."""

    def __init__(self, client: ClusterClient, clock: Clock, *, settle: float = 3.0, interval: float = 0.2) -> None:
        self._client = client
        self._clock = clock
        self._settle = settle
        self._interval = interval

    async def rehearse(self, patch: Patch) -> None:
        """Exactly that PATCH as a server-side dry-run. Raises ClusterError."""
        name = audit_id(patch.action_id, patch.resource_version, "rehearsal")
        await self._client.patch(object_path(patch.target), list(patch.operations), audit_id=name, dry_run=True)

    async def send(self, patch: Patch) -> Landed:
        """Raises ClusterConflict, ClusterRefused or ClusterUnavailable when it is known not to have landed, ReplyLost when that
        is not known."""
        try:
            answered, name = await self._client.patch(object_path(patch.target), list(patch.operations), audit_id=patch.audit_id)
        except ClusterError as error:
            return await self._truth(patch, error)
        return Landed(text(answered, "metadata", "resourceVersion"), mapping(answered, "spec"), name)

    async def _truth(self, patch: Patch, error: ClusterError) -> Landed:
        deadline = self._clock.monotonic() + self._settle
        while True:
            found = await self._look(patch)
            if found is not None and carries(found, patch.action_id):
                name = error.audit_id or patch.audit_id
                return Landed(text(found, "metadata", "resourceVersion"), mapping(found, "spec"), name, found=True)
            if _is_no(error):
                raise _told(patch, error, found)
            if found is not None and _moved_on(found, patch):
                raise ClusterUnavailable(
                    f"the write did not land: {error.what}",
                    status=error.status,
                    reason=error.reason,
                    audit_id=error.audit_id or patch.audit_id,
                    unchanged=f"{patch.target.key} has moved on without it, so it no longer can",
                )
            if self._clock.monotonic() >= deadline:
                raise ReplyLost(
                    f"it is not known whether the write landed: {error.what}",
                    status=error.status,
                    reason=error.reason,
                    audit_id=error.audit_id or patch.audit_id,
                    todo=f"look at {patch.target.key} for the annotation {ACTION_ID}: {patch.action_id}",
                ) from error
            await self._clock.sleep(self._interval)

    async def _look(self, patch: Patch) -> Json | None:
        try:
            return await self._client.get(object_path(patch.target))
        except ClusterError:
            return None  # still not known: the caller goes on looking until its deadline


def _is_no(error: ClusterError) -> bool:
    """Whether the error itself says that nothing was written."""
    if isinstance(error, ClusterConflict | ClusterRefused):
        return True
    if not isinstance(error, ClusterUnavailable):
        return False
    not_sent = error.status == 0
    return not_sent or (error.status in _ANSWERED_NO and bool(error.reason))  # a gateway's 503 may follow upon a commit


def _moved_on(found: Json, patch: Patch) -> bool:
    return (text(found, "metadata", "uid"), text(found, "metadata", "resourceVersion")) != (patch.uid, patch.resource_version)


def _told(patch: Patch, error: ClusterError, found: Json | None) -> ClusterError:
    """The API server says 422 to a changed uid; it is a conflict all the same."""
    if error.status == 422 and found is not None and text(found, "metadata", "uid") != patch.uid:
        return ClusterConflict(
            f"{patch.target.key} was replaced by another of its name", status=409, reason="Conflict", audit_id=error.audit_id
        )
    error.unchanged = error.unchanged or "nothing was written"
    return error
