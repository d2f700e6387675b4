"""What is a secret is decided before anything is cut, quoted, kept or sent: a raw look goes in, a redacted one comes out.

Names, kinds, uids, label keys and images stay: a diagnosis needs them. What cannot be redacted is withheld, and said to be
unreadable, so that the gates refuse to decide on evidence that has a hole in it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, TypeVar, cast, get_args

from pydantic import JsonValue

from backstop.cluster import objects
from backstop.errors import BackstopError
from backstop.events import AnyBody, Defense
from backstop.ports import ContainerLog, Look, Probe
from backstop.records import Alert, FactKind, FaultClass, ObjectRef, Omission, OutcomeKind
from backstop.redaction import Redactor

T = TypeVar("T")
Object = dict[str, JsonValue]

_OWN: Final = """
    Deployment ReplicaSet Pod Service Namespace EndpointSlice ConfigMap Event HorizontalPodAutoscaler PodDisruptionBudget
    ResourceQuota Object depends_on owned_by truncated unreadable
    withheld rollback restart scale set_resources no_action verify executor injected emulated live rules before after_write
    after_undo answered repeated refused failed exhausted diagnose observe approve auto RollingUpdate Recreate
"""
_WORDS: Final = frozenset(
    (*FactKind, *FaultClass, *OutcomeKind, *get_args(Defense), *_OWN.split(),
     *(body.model_fields["type"].default for body in get_args(AnyBody)))
)  # fmt: skip
"""Words of our own records."""

FAILURES: Final = (BackstopError, ValueError, TypeError, LookupError, ArithmeticError, RuntimeError)
"""What a redactor that fails may die of. Whatever it is, what it was given is withheld."""


def redact_look(look: Look, redactor: Redactor) -> Look:
    """The look without secrets. Everything is read once before anything is replaced: a value that gives itself away in one place
    goes everywhere."""
    boundary = _Boundary(redactor, list(look.omissions))
    here = ObjectRef(kind="Namespace", namespace=look.namespace, name=look.namespace)
    redactor.spare(_names(look))
    boundary.learn(look)
    found = [boundary.guard(objects.ref(obj), "an object", boundary.object, obj) for obj in look.objects]
    logs = [boundary.guard(log.pod, f"log of container {log.container}", boundary.log, log) for log in look.logs]
    probes = [boundary.guard(here, f"probe of service {probe.service}", boundary.probe, probe) for probe in look.probes]
    return Look(
        namespace=look.namespace,
        objects=tuple(obj for obj in found if obj is not None),
        logs=tuple(log for log in logs if log is not None),
        probes=tuple(probe for probe in probes if probe is not None),
        omissions=tuple(dict.fromkeys(boundary.omissions)),
    )


def _names(look: Look) -> frozenset[str]:
    """What objects are called, and what they are: a password that is one of these words, or begins like one, must not take the
    words out of the evidence."""
    found = set(_WORDS)
    for obj in look.objects:
        metadata = objects.mapping(obj, "metadata")
        found |= {objects.kind(obj), look.namespace, *(value for value in metadata.values() if isinstance(value, str))}
        for owner in objects.owners(obj):
            found |= {owner.kind, owner.name}
        for pairs in ("labels", "annotations"):
            found |= set(objects.mapping(metadata, pairs))
        found |= (
            set(objects.strings(metadata, "labels").values())
            | set(objects.images(obj))
            | set(objects.images(objects.mapping(obj, "spec", "template")))
        )
        found |= {
            objects.name({"metadata": c}) for c in objects.sequence(objects.mapping(obj, "spec", "template"), "spec", "containers")
        }
    return frozenset(found - {""})


def redact_alert(alert: Alert, redactor: Redactor) -> Alert:
    """The alert without secrets in what it says; withheld whole if it cannot be redacted."""
    try:
        return alert.model_copy(update={"name": redactor.redact(alert.name), "summary": redactor.redact(alert.summary)})
    except FAILURES:
        return alert.model_copy(update={"name": "withheld", "summary": "what the alert says could not be redacted"})


@dataclass
class _Boundary:
    """One look on its way through the redactor, and what was withheld on the way."""

    redactor: Redactor
    omissions: list[Omission] = field(default_factory=list)

    def guard(self, about: ObjectRef, what: str, redacted: Callable[[T], T | None], raw: T) -> T | None:
        """None: withheld, and said so."""
        try:
            return redacted(raw)
        except FAILURES as error:
            detail = f"it could not be redacted ({type(error).__name__}), and so it was withheld"
            self.omissions.append(Omission(what=what, why="unreadable", about=about, detail=detail))
            return None

    def learn(self, look: Look) -> None:
        """Reads everything once, for the values that are to go from everything. What fails here fails again where it counts."""
        for log in look.logs:
            with suppress(*FAILURES):
                self.redactor.learn("\n".join(log.lines))
        for probe in look.probes:
            with suppress(*FAILURES):
                self.redactor.learn(probe.body)
        for obj in look.objects:
            with suppress(*FAILURES):
                self.redactor.learn_json(obj)

    def object(self, obj: Object) -> Object:
        return cast("Object", self.redactor.redact_json(obj))

    def log(self, log: ContainerLog) -> ContainerLog:
        """Lines are redacted together: a key may span several."""
        text = self.redactor.redact("\n".join(log.lines))
        return log.model_copy(update={"lines": tuple(text.split("\n")) if text else ()})

    def probe(self, probe: Probe) -> Probe:
        return probe.model_copy(update={"body": self.redactor.redact(probe.body)})
