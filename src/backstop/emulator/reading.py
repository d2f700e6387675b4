"""Reads the evidence of a request the way an outsider would: as JSON, field by field, nothing taken for granted."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

Json = dict[str, Any]

_ERROR_LINE: Final = re.compile(r"\b(?:ERROR|FATAL|CRITICAL|PANIC)\b|\bpanic:|\bTraceback\b|\b[Ee]rror:|\bfatal\b|\b\w+Exception\b")
_POD_OF: Final = r"^{}-[a-z0-9]+(?:-[a-z0-9]+)?$"
LOGS: Final = ("log", "log_previous")


@dataclass(frozen=True)
class Name:
    """An object as the evidence names it."""

    kind: str
    namespace: str
    name: str

    @classmethod
    def of(cls, ref: Any) -> Name:
        ref = ref if isinstance(ref, dict) else {}
        return cls(str(ref.get("kind", "")), str(ref.get("namespace", "")), str(ref.get("name", "")))


@dataclass(frozen=True)
class Fact:
    """One fact, with its data as plain JSON."""

    id: str
    kind: str
    about: Name
    time: str
    text: str
    data: Json

    @classmethod
    def of(cls, raw: Json) -> Fact:
        data = raw.get("data")
        return cls(
            str(raw.get("id", "")),
            str(raw.get("kind", "")),
            Name.of(raw.get("about")),
            str(raw.get("time") or ""),
            str(raw.get("text", "")),
            data if isinstance(data, dict) else {},
        )

    def lines(self) -> list[str]:
        return [line for line in self.text.splitlines() if line.strip()]

    def error_lines(self) -> list[str]:
        """The lines of a log that report an error, each once."""
        return list(dict.fromkeys(line for line in self.lines() if _ERROR_LINE.search(line)))

    def changes(self) -> list[str]:
        """What a revision changed: the lines that say so."""
        said = self.data.get("changes")
        return [line for line in self.lines() if isinstance(said, list) and line in said]

    def number(self, key: str) -> int | None:
        value = self.data.get(key)
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    def word(self, key: str) -> str:
        value = self.data.get(key)
        return value if isinstance(value, str) else ""

    @property
    def failing_probe(self) -> bool:
        return self.kind == "probe" and self.data.get("ok") is False

    def belongs_to(self, workload: str) -> bool:
        """Whether it is about that Deployment, its pods or ReplicaSets (by their names), or the Service of the same name."""
        if self.about.name == workload:
            return True
        return self.about.kind in {"Pod", "ReplicaSet"} and bool(re.match(_POD_OF.format(re.escape(workload)), self.about.name))


@dataclass
class Workload:
    """One Deployment and what the evidence says of it."""

    name: Name
    facts: list[Fact] = field(default_factory=list)

    def kind(self, *kinds: str) -> list[Fact]:
        return [fact for fact in self.facts if fact.kind in kinds]

    @property
    def state(self) -> Fact | None:
        return next(iter(self.kind("workload")), None)

    @property
    def desired(self) -> int | None:
        return self.state.number("desired") if self.state else None

    @property
    def ready(self) -> int | None:
        return self.state.number("ready") if self.state else None

    def revisions(self) -> list[Fact]:
        """Oldest first."""
        return sorted((f for f in self.kind("revision") if f.number("number") is not None), key=lambda f: f.number("number") or 0)

    def current(self) -> Fact | None:
        revisions = self.revisions()
        marked = [fact for fact in revisions if fact.data.get("current") is True]
        return marked[-1] if marked else (revisions[-1] if revisions else None)

    def previous(self) -> Fact | None:
        """The newest revision before the current one."""
        current = self.current()
        if current is None:
            return None
        older = [fact for fact in self.revisions() if (fact.number("number") or 0) < (current.number("number") or 0)]
        return older[-1] if older else None

    def logs_with_errors(self) -> list[Fact]:
        return [fact for fact in self.kind(*LOGS) if fact.error_lines()]

    def failing_probes(self) -> list[Fact]:
        return [fact for fact in self.kind("probe") if fact.failing_probe]

    def pods(self, key: str, *reasons: str) -> list[Fact]:
        """Pods whose `key` (waiting_reason, terminated_reason, phase) is one of these."""
        return [fact for fact in self.staying_pods() if fact.word(key) in reasons]

    def staying_pods(self) -> list[Fact]:
        """Its pods, without those that are on their way out."""
        return [fact for fact in self.kind("pod") if fact.data.get("terminating") is not True]

    def unready_pods(self) -> list[Fact]:
        return [fact for fact in self.staying_pods() if fact.data.get("ready") is False]

    @property
    def short_of_replicas(self) -> bool:
        return self.desired is not None and self.ready is not None and self.ready < self.desired


class Scene:
    """The evidence of one request."""

    def __init__(self, evidence: Json) -> None:
        alert = evidence.get("alert") if isinstance(evidence.get("alert"), dict) else {}
        self.alert: Json = alert or {}
        self.target_name = Name.of(self.alert.get("target"))
        self.facts = [Fact.of(raw) for raw in evidence.get("facts", []) if isinstance(raw, dict)]
        self._owners: dict[Name, Name] = {}
        self._calls: dict[Name, list[Name]] = {}
        for edge in evidence.get("edges", []):
            self._add_edge(edge if isinstance(edge, dict) else {})
        self.workloads: dict[Name, Workload] = {}
        for fact in self.facts:
            home = self._home(fact.about)
            if home is not None:
                self.workloads.setdefault(home, Workload(home)).facts.append(fact)

    def _add_edge(self, edge: Json) -> None:
        source, target = Name.of(edge.get("source")), Name.of(edge.get("target"))
        if edge.get("relation") == "owned_by":
            self._owners[source] = target
        elif edge.get("relation") == "depends_on":
            self._calls.setdefault(source, []).append(target)

    def _home(self, name: Name) -> Name | None:
        """The Deployment that an object belongs to: by owners, by the Service's selector edge, else by its name."""
        for _ in range(8):
            if name.kind == "Deployment" or name not in self._owners:
                break
            name = self._owners[name]
        if name.kind == "Deployment":
            return name
        behind = [target for target in self._calls.get(name, []) if target.kind == "Deployment"] if name.kind == "Service" else []
        if behind:
            return behind[0]
        named = [fact.about for fact in self.facts if fact.about.kind == "Deployment" and fact.about.namespace == name.namespace]
        fits = (other for other in named if name.name == other.name or re.match(_POD_OF.format(re.escape(other.name)), name.name))
        return next(fits, None)

    @property
    def target(self) -> Workload:
        """The workload that the alert names, even if nothing is known of it."""
        return self.workloads.get(self.target_name) or Workload(self.target_name)

    def dependencies(self, workload: Workload) -> list[Workload]:
        """What a workload calls, directly or not, nearest first, itself excluded."""
        found: list[Workload] = []
        seen, todo = {workload.name}, self._called_by(workload.name)
        while todo:
            name = todo.pop(0)
            if name in seen:
                continue
            seen.add(name)
            if name.kind == "Deployment":
                found.append(self.workloads.get(name) or Workload(name))
            todo += self._called_by(name)
        return found

    def _called_by(self, name: Name) -> list[Name]:
        said = self._calls.get(name, [])
        return said or [self._from_fact(fact) for fact in self.facts if fact.kind == "dependency" and fact.about == name]

    def _from_fact(self, fact: Fact) -> Name:
        target = fact.word("target") or fact.word("service")
        return Name("Deployment", fact.about.namespace, target.rsplit("/", 1)[-1])


def ids(facts: Iterable[Fact], limit: int = 6) -> list[str]:
    """The ids of facts, each once, at most `limit`."""
    return list(dict.fromkeys(fact.id for fact in facts))[:limit]
