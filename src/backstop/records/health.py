"""What was measured. Unknown is never healthy."""

from __future__ import annotations

from datetime import datetime

from backstop.records.base import ObjectRef, Record, WorkloadRef


class ServiceHealth(Record):
    """Black-box requests to one Service through the API server's proxy. `requests == 0` means unknown, never healthy."""

    service: str
    requests: int
    failures: int

    @property
    def error_rate(self) -> float | None:
        return self.failures / self.requests if self.requests else None


class WorkloadHealth(Record):
    """A Deployment's own counters at one moment."""

    ref: ObjectRef
    desired: int
    ready: int
    available: int
    updated: int
    total: int  # all its pods, so that old ones still terminating are seen
    observed: bool  # status.observedGeneration has caught up with metadata.generation


class Health(Record):
    """One measurement of a namespace. What could not be read is in `unknown`, and unknown is never healthy."""

    at: datetime
    workloads: tuple[WorkloadHealth, ...]
    services: tuple[ServiceHealth, ...]
    unknown: tuple[str, ...]

    def workload(self, ref: ObjectRef | WorkloadRef) -> WorkloadHealth | None:
        return next((w for w in self.workloads if w.ref.same(ref)), None)

    def service(self, name: str) -> ServiceHealth | None:
        return next((s for s in self.services if s.service == name), None)
