"""What every record is made of: frozen, strict, nothing extra; names and references of Kubernetes objects."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints

_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")
_ANSI: Final = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")

_CANONICAL: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def clean(raw: str) -> str:
    """`raw` without ANSI colours, with control characters and lone surrogates replaced, so that it can be kept, sent, hashed and
    shown on a terminal."""
    plain = _CONTROL.sub("\ufffd", _ANSI.sub("", raw))
    return plain.encode("utf-8", "replace").decode("utf-8")


Said = Annotated[str, AfterValidator(clean)]
"""Words of somebody else's: a model's, a vendor's."""

DnsName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$", max_length=253)]
"""A Kubernetes object name: RFC 1123 subdomain, lower case. Look-alikes, paths and wildcards do not parse."""

FactId = Annotated[str, StringConstraints(pattern=r"^E[1-9][0-9]{0,3}$")]


class Record(BaseModel):
    """Base of every record."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)

    def digest(self) -> str:
        """SHA-256 over the canonical JSON of the record, as hex."""
        return canonical_digest(self.model_dump(mode="json"))


def canonical_digest(value: Any) -> str:
    """SHA-256 of a JSON value with sorted keys and no spaces, as hex."""
    return hashlib.sha256(_CANONICAL.encode(value).encode()).hexdigest()


class ObjectRef(Record):
    """One object of the cluster. `uid` is known once it was observed."""

    kind: str
    namespace: str
    name: str
    uid: str | None = None

    @property
    def key(self) -> str:
        """`deployment/checkout`: how people and the drill's JSON name it."""
        return f"{self.kind.lower()}/{self.name}"

    def same(self, other: ObjectRef | WorkloadRef) -> bool:
        """Whether both name the same object, whatever is known of uids."""
        return self.name == other.name and self.kind == other.kind and self.namespace == other.namespace


class WorkloadRef(Record):
    """A workload as a model may name it: a kind of the catalogue, one namespace, one name."""

    kind: Literal["Deployment"]
    namespace: DnsName
    name: DnsName

    @property
    def key(self) -> str:
        return f"{self.kind.lower()}/{self.name}"

    def ref(self) -> ObjectRef:
        return ObjectRef(kind=self.kind, namespace=self.namespace, name=self.name)
