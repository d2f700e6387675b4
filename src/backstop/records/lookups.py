"""What a diagnoser may ask to see: read-only questions about one namespace, as strict as an action.

A name is a whole name, a path is one that the workload itself declares: nothing here can be made to reach anything else.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, JsonValue, StringConstraints

from backstop.records.base import DnsName, ObjectRef, Record

RevisionNumber = Annotated[int, Field(ge=1, le=1_000_000)]


class Describe(Record):
    """One object, whole: its spec and its status."""

    kind: Literal["Deployment", "ReplicaSet", "Pod", "Service", "ConfigMap"]
    name: DnsName


class Logs(Record):
    """The last lines of one container, or of its previous run. `container` null: the only one."""

    pod: DnsName
    container: DnsName | None
    previous: bool


class EventsAbout(Record):
    """The Kubernetes Events about one object."""

    name: DnsName


class DiffRevisions(Record):
    """What changed in the pod template of a Deployment between two of its revisions."""

    deployment: DnsName
    from_revision: RevisionNumber
    to_revision: RevisionNumber


class ProbeService(Record):
    """One GET through the API server's proxy. `path` is `/`, or one that a probe of the pods behind the Service names."""

    service: DnsName
    path: Annotated[str, StringConstraints(pattern=r"^/[\w./~-]*$", max_length=200)]


Query = Describe | Logs | EventsAbout | DiffRevisions | ProbeService


class Inspection(Record):
    """What was found: the object that it is about, and lines of text as they came, or one API object as it came."""

    about: ObjectRef
    lines: tuple[str, ...]
    cut: bool  # there was more
    document: dict[str, JsonValue] | None = None
