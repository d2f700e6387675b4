"""What each identity may be asked about, and the answers as a table: verb and resource by identity."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from backstop.cluster.objects import Json
from backstop.doctor.cluster import BEYOND, READS, READS_TO_EXECUTE, WRITE, Right
from backstop.policy import Policy

SCALE: Final = Right("patch", "deployments", "apps", "scale")
CREATE_PODS: Final = Right("create", "pods")

_NEEDS: Final[Mapping[str, frozenset[Right]]] = {
    "investigator": frozenset(READS),
    "executor": frozenset(READS_TO_EXECUTE),
    "rehearser": frozenset({CREATE_PODS}),
}
_NEEDS_BY_NAME: Final[Mapping[str, frozenset[Right]]] = {"executor": frozenset({WRITE})}
_MAY_BY_NAME: Final[Mapping[str, frozenset[Right]]] = {"executor": frozenset({WRITE, SCALE})}


@dataclass(frozen=True)
class Question:
    """One right in one namespace, on one object or (without a name) on all of its kind."""

    right: Right
    namespace: str
    name: str = ""

    def spec(self) -> Json:
        """As the API has it."""
        return self.right.about(self.namespace, self.name)

    @property
    def on(self) -> str:
        """`deployments/scale checkout`."""
        resource = f"{self.right.resource}{'/' + self.right.subresource if self.right.subresource else ''}"
        return f"{resource} {self.name or ('of any name' if self.writes else '')}".rstrip()

    @property
    def writes(self) -> bool:
        """Whether it changes something, or reads a Secret, which counts for as much."""
        return self.right.verb not in {"get", "list"} or self.right.resource == "secrets"


def questions_of(policy: Policy) -> Iterator[Question]:
    """Reads first, then writes to what the policy lists and protects, then what nobody needs."""
    for rule in policy.namespaces:
        for right in dict.fromkeys((*READS, *READS_TO_EXECUTE)):
            yield Question(right, rule.name)
        for name in (*(workload.name for workload in rule.workloads), *policy.protected.names):
            yield Question(WRITE, rule.name, name)
            yield Question(SCALE, rule.name, name)
        for right in (*BEYOND, CREATE_PODS):
            yield Question(right, rule.name)


@dataclass(frozen=True)
class Cell:
    """The answer for one identity, in a word; `reason` verbatim."""

    word: str
    mood: str
    mark: str
    reason: str


def cell_of(identity: str, question: Question, answer: tuple[bool | None, str] | None, policy: Policy) -> Cell:
    """Denied is the good answer where nobody needs the right."""
    allowed, reason = answer if answer is not None else (None, "")
    listed = policy.namespace(question.namespace)
    named = listed is not None and question.name in {workload.name for workload in listed.workloads}
    by_name = _NEEDS_BY_NAME.get(identity, frozenset()) if named else frozenset()
    needs = question.right in (by_name if question.name else _NEEDS.get(identity, frozenset()))
    may = needs or not question.writes or (named and question.right in _MAY_BY_NAME.get(identity, frozenset()))
    if allowed is None:
        return Cell("unknown", "warn", "?", reason)
    if allowed:
        return Cell("allowed", "good", "✓", reason) if may else Cell("allowed, needed by nobody", "bad", "▲", reason)
    return Cell("denied, and needed", "bad", "✕", reason) if needs else Cell("denied", "dim", "·", reason)
