"""Every error that Backstop raises on purpose.

    BackstopError
    ├── UsageError              the caller asked for something that cannot be: exit 2
    │   ├── ConfigError         a setting, kubeconfig or policy that cannot be used
    │   └── NotFoundError       a namespace, workload or scenario that does not exist
    ├── ClusterError            the Kubernetes API refused, failed or could not be reached
    │   ├── ClusterRefused      it answered no: 401, 403, 404, 422
    │   ├── ClusterConflict     409: what was read is no longer what is there
    │   ├── ClusterUnavailable  429, 5xx, refused connection, timeout: nothing is known to have changed
    │   └── ReplyLost           the request may or may not have been carried out
    ├── ModelError              no hop of the chain gave a usable reply
    │   └── ExtractionRefused   a reply that does not say exactly one thing
    ├── ExecutorError           the executor refused or failed
    │   └── ExecutorGone        nobody listens at its socket, or whoever did ended in the middle of a call
    ├── IncidentCancelled       a person ended an incident before its next write
    ├── EngineError             the engine's database cannot be used, or holds what this version cannot go on with
    ├── RecordError             the event record cannot be written or does not hold together
    │   └── ReceiptError        a receipt that does not hold, or cannot be issued
    └── InvariantError          a bug of ours: reported as an escalation, never as a pass

Each says three things: what happened, what is left unchanged, what to do next.
"""

from __future__ import annotations


class BackstopError(Exception):
    """Base of every deliberate error. `str()` of it is the one sentence a person reads."""

    def __init__(self, what: str, *, unchanged: str = "", todo: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.unchanged = unchanged
        self.todo = todo

    def __str__(self) -> str:
        parts = [part.rstrip(".") for part in (self.what, self.unchanged, self.todo) if part]
        return "; ".join(parts) + "."


class UsageError(BackstopError):
    """The caller asked for something that cannot be. The command line exits 2."""


class ConfigError(UsageError):
    """A setting, kubeconfig, policy or script that cannot be used as it is."""


class NotFoundError(UsageError):
    """A namespace, workload or scenario that does not exist."""


class ClusterError(BackstopError):
    """The Kubernetes API refused, failed or could not be reached. `status` is the HTTP code, 0 without a reply."""

    def __init__(
        self, what: str, *, status: int = 0, reason: str = "", audit_id: str = "", unchanged: str = "", todo: str = ""
    ) -> None:
        super().__init__(what, unchanged=unchanged, todo=todo)
        self.status = status
        self.reason = reason
        self.audit_id = audit_id


class ClusterRefused(ClusterError):
    """The API answered no: 400, 401, 403, 404, 422."""


class ClusterConflict(ClusterError):
    """409: the uid or resourceVersion that was read is no longer what is there."""


class ClusterUnavailable(ClusterError):
    """429, 5xx, a refused connection, or a read that timed out. Nothing is known to have changed."""


class ReplyLost(ClusterError):
    """A write was sent and no whole reply came back: it may or may not have been carried out."""


class ModelError(BackstopError):
    """No hop of the chain gave a usable reply."""


class ExtractionRefused(ModelError):
    """A model's reply does not say exactly one thing. `verdict` is a word for it: truncated, rivals, no_object, …"""

    def __init__(self, what: str, *, verdict: str) -> None:
        super().__init__(what)
        self.verdict = verdict


class ExecutorError(BackstopError):
    """The executor refused, failed or is gone. Nothing is known to have been written unless its reply said so."""


class ExecutorGone(ExecutorError):
    """Nobody listens at the executor's socket, or whoever did ended in the middle of a call: another may take its place."""


class RecordError(BackstopError):
    """The event record cannot be written, or does not hold together when it is read."""


class IncidentCancelled(BackstopError):
    """A person ended the incident before its next write."""


class EngineError(BackstopError):
    """The engine's database cannot be used, or holds what this version cannot go on with."""


class ReceiptError(RecordError):
    """A receipt that does not hold, or that cannot be issued."""


class InvariantError(BackstopError):
    """A bug of ours, seen by ourselves. Ends as an escalation."""
