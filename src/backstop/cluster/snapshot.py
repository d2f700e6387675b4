"""What a workload was before a write, on disk before the write is made. Only its owner may read it, and it is never sent."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

from pydantic import Field, JsonValue, ValidationError

from backstop.durable import replace_file
from backstop.errors import RecordError
from backstop.records import Action, Record


class Snapshot(Record):
    """One write that is about to be made, or was.

    `spec_written` is the spec that it should leave, and once it was answered the one that it left. `undone_from` is the
    resourceVersion that its undo was bound to, None while there was none. The audit ids are what a receipt is held against."""

    action_id: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]{2,60}$")]
    action: Action
    uid: str
    taken_at: datetime
    allowed_by: tuple[str, ...]
    before: dict[str, JsonValue]
    after: dict[str, JsonValue]
    spec_before: dict[str, JsonValue]
    spec_written: dict[str, JsonValue]
    undone_from: str | None
    audit_id: str = ""  # of the write, once it is known to be made
    undo_audit_id: str = ""


class SnapshotStore:
    """The snapshots of one executor, one file each, in a directory that only its owner may enter."""

    def __init__(self, directory: Path) -> None:
        """Raises RecordError if the directory cannot be made or written."""
        self._directory = directory
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            directory.chmod(0o700)
        except OSError as error:
            raise RecordError(f"cannot keep snapshots in {directory}: {error.strerror}", unchanged="nothing was written") from error

    def keep(self, snapshot: Snapshot) -> None:
        """Writes it whole or not at all, and to disk before returning. Raises RecordError."""
        path = self._path(snapshot.action_id)
        try:
            replace_file(path, snapshot.model_dump_json())
        except OSError as error:
            raise RecordError(f"cannot keep the snapshot {path}: {error.strerror}", unchanged="nothing was written") from error

    def find(self, action_id: str) -> Snapshot | None:
        """The snapshot of an action; None if there is none. Raises RecordError if it cannot be read."""
        path = self._path(action_id)
        return self._load(path) if path.exists() else None

    def forget(self, action_id: str) -> None:
        """For a write that is known not to have been made. Raises RecordError."""
        try:
            self._path(action_id).unlink(missing_ok=True)
        except OSError as error:
            raise RecordError(f"cannot remove the snapshot of {action_id}: {error.strerror}") from error

    def all(self) -> tuple[Snapshot, ...]:
        """Every snapshot, oldest first. Raises RecordError if one cannot be read: what is not known must not count as nothing."""
        return tuple(sorted((self._load(path) for path in self._directory.glob("*.json")), key=lambda s: (s.taken_at, s.action_id)))

    def _path(self, action_id: str) -> Path:
        return self._directory / f"{action_id}.json"

    def _load(self, path: Path) -> Snapshot:
        try:
            return Snapshot.model_validate_json(path.read_bytes())
        except (OSError, ValidationError) as error:
            raise RecordError(f"cannot read the snapshot {path}") from error
