"""What the HTTP layer asks of others: who somebody is, what they may do, how a table looks, where a pod's log is.

`cluster.py` hands the implementations in; tests may hand in simpler ones.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from aiohttp import web

from backstop.sandbox.resources import Resource
from backstop.sandbox.store import Object


@dataclass(frozen=True, slots=True)
class User:
    """Who sent a request, as authentication found."""

    name: str
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Attributes:
    """What is asked: a resource request, or a path (`resource` is "" then)."""

    verb: str
    group: str = ""
    version: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether it is allowed. `reason` is what the audit log keeps, for example which binding allowed it."""

    allowed: bool
    reason: str = ""


class Authenticator(Protocol):
    """Bearer tokens to users."""

    def authenticate(self, headers: Mapping[str, str]) -> User | None:
        """The user; `system:anonymous` without credentials; None for credentials that do not hold (401)."""
        ...


class Authorizer(Protocol):
    """RBAC."""

    def authorize(self, user: User, asked: Attributes) -> Decision: ...


class Reviews(Protocol):
    """The kinds that are answered and forgotten, and tokens of ServiceAccounts."""

    def review(self, resource: Resource, namespace: str, obj: Object, user: User) -> Object:
        """Answers a SelfSubjectAccessReview and its kin. Raises StatusError."""
        ...

    def issue_token(self, namespace: str, name: str, obj: Object) -> Object:
        """Answers a TokenRequest for a ServiceAccount. Raises StatusError."""
        ...


class Tables(Protocol):
    """Server-side printing."""

    def table(self, resource: Resource, objects: Sequence[Object], *, version: str, include: str, headers: bool) -> Object:
        """A meta.k8s.io/v1 Table of these objects. `include` is the query's includeObject: None, Metadata or Object.

        `version` is the list's resourceVersion; without `headers` the column definitions are left out (later rows of a watch).
        """
        ...


@dataclass(frozen=True, slots=True)
class Page:
    """A document that discovery or OpenAPI answers."""

    content_type: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


class Documents(Protocol):
    """Discovery and OpenAPI."""

    def document(self, path: str, accept: str) -> Page | None:
        """What `GET path` answers under /api, /apis and /openapi, or None if there is no such document."""
        ...


class Logs(Protocol):
    """The kubelet's side of `pods/log`."""

    def read(self, pod: Object, query: Mapping[str, str]) -> AsyncIterator[bytes]:
        """Lines of a container's log, as the query asks (container, previous, follow, tailLines, ...).

        Raises StatusError before the first line for a container that does not exist or has not started.
        """
        ...


class Router(Protocol):
    """The way to pods: `services/NAME/proxy` and `pods/NAME/proxy`."""

    async def proxy(self, resource: Resource, namespace: str, name: str, path: str, request: web.BaseRequest) -> web.StreamResponse:
        """Forwards `request` to an endpoint of `[scheme:]name[:port]` at `path` (with its query) and answers what it answered.

        Raises StatusError: 404 without such a service or pod, 503 without a ready endpoint.
        """
        ...


class WriteCheck(Protocol):
    """What authorisation has to say about the content of a write, such as a Role that gives away too much."""

    def __call__(self, user: User, resource: Resource, namespace: str, new: Object, old: Object | None) -> None:
        """Raises StatusError to refuse."""
        ...


class Traffic(Protocol):
    """The traffic client's counters, served at /debug/traffic."""

    def __call__(self) -> Mapping[str, Any]: ...


@dataclass(frozen=True, slots=True)
class Ports:
    """Everything the API server needs that is not its own."""

    authenticator: Authenticator
    authorizer: Authorizer
    reviews: Reviews
    tables: Tables
    documents: Documents
    logs: Logs
    router: Router
    traffic: Traffic
    write_check: WriteCheck
