"""The bounded investigation of one incident: what a diagnoser asks to see, looked up read-only and handed back as facts.

Each look-up is caught on its own, and what went wrong is what the model is told. The same question twice is refused, and so is
everything behind the caps of number, time and bytes. What is found is redacted, gets fact ids behind those of the evidence, and is
quoted and checked like every other fact; it is never a symptom by itself.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

import yaml
from pydantic import JsonValue, TypeAdapter, ValidationError

from backstop.clock import Clock
from backstop.errors import ClusterError
from backstop.memo import place_of
from backstop.pipeline.describe import template_changes
from backstop.pipeline.redact import FAILURES
from backstop.ports import ClusterPort, Tooling
from backstop.records import (
    Describe,
    DiffRevisions,
    EventsAbout,
    Evidence,
    Fact,
    FactKind,
    Inspection,
    Logs,
    ProbeService,
    Query,
    Record,
    TargetState,
    WorkloadRef,
    clean,
)
from backstop.redaction import Learnt, Redactor

_LINE: Final = 2000  # what a quote may hold
_TOOLS: Final[dict[str, tuple[type[Query], str]]] = {
    "describe": (Describe, "One object of the incident's namespace, with its spec and status."),
    "logs": (Logs, "The last 200 lines of one container, or of its previous run."),
    "events": (EventsAbout, "The Kubernetes Events about one object, by its name."),
    "diff_revisions": (DiffRevisions, "What changed in a Deployment's pod template from one revision to another."),
    "probe": (ProbeService, "One GET to a Service: path / or one that its pods' probes declare."),
}

TOOLS: Final = tuple(
    Tooling(name=name, description=says, parameters=TypeAdapter(query).json_schema()) for name, (query, says) in _TOOLS.items()
)


@dataclass(frozen=True)
class Bounds:
    """How far an investigation may go, per incident. `repeats`: whether the same question is answered again."""

    count: int
    seconds: float
    max_bytes: int
    repeats: bool = False


class Lookup(Record):
    """One look-up, for the record: what was asked, what came of it, and the fact if there is one."""

    tool: str
    arguments: str
    outcome: str  # answered, repeated, refused (no such tool or arguments), failed (the cluster said no), exhausted, withheld
    detail: str
    fact: Fact | None


class Found(Record):
    """A look-up as it is kept: with how long it took, and the secrets that came to be known by it, as JSON."""

    lookup: Lookup
    seconds: float
    learnt: str


@dataclass
class Used:
    """How much of its bounds an incident has used, over all its looks and re-routes."""

    count: int = 0
    seconds: float = 0.0
    size: int = 0
    asked: set[str] = field(default_factory=set)


class _NoAnswer(Exception):
    """A look-up that comes to nothing, and why."""

    def __init__(self, outcome: str, detail: str) -> None:
        super().__init__(detail)
        self.outcome = outcome
        self.detail = detail


@dataclass
class Investigation:
    """The `InvestigationPort` of one incident. Whatever is found passes the redactor; `on_lookup` is told of every look-up."""

    cluster: ClusterPort
    clock: Clock
    start: Evidence
    bounds: Bounds
    redactor: Redactor | None
    on_lookup: Callable[[Lookup], None]
    used: Used = field(default_factory=Used)
    tools: tuple[Tooling, ...] = TOOLS
    found: list[Found] = field(default_factory=list)  # so far, in order
    _facts: list[Fact] = field(default_factory=list)

    @property
    def evidence(self) -> Evidence:
        return self.start.model_copy(update={"facts": (*self.start.facts, *self._facts)})

    @property
    def exhausted(self) -> bool:
        bounds = self.bounds
        return self.used.count >= bounds.count or self.used.seconds >= bounds.seconds or self.used.size >= bounds.max_bytes

    def recall(self, found: Found) -> None:
        """Takes in what an earlier run of the same incident looked up, secrets and all."""
        if self.redactor:
            self.redactor.recall(Learnt(*one) for one in json.loads(found.learnt))
        with suppress(_NoAnswer):
            self._query(found.lookup.tool, found.lookup.arguments)
        self._add(found)

    async def look_up(self, tool: str, arguments: str) -> str:
        asked = clean(tool)[:100], clean(arguments)[:_LINE]
        place = place_of("lookup", self.start.alert.id, *asked)
        if place.kept is not None:
            found = Found.model_validate_json(place.kept)
            self.recall(found)
        else:
            found = await self._find_out(*asked)
            await place.keep(found.model_dump_json())
            self._add(found)
        lookup = found.lookup
        if lookup.fact is None:
            return f"{lookup.outcome}: {lookup.detail}"
        return json.dumps(lookup.fact.model_dump(mode="json"), ensure_ascii=False)

    async def _find_out(self, tool: str, arguments: str) -> Found:
        started, known = self.clock.monotonic(), len(self.redactor.learnt()) if self.redactor else 0
        lookup = await self._look_up(tool, arguments)
        learnt = json.dumps(self.redactor.learnt(known) if self.redactor else ())  # in ASCII: it may hold half a character
        return Found(lookup=lookup, seconds=self.clock.monotonic() - started, learnt=learnt)

    async def _look_up(self, tool: str, arguments: str) -> Lookup:
        try:
            fact = await self._answer(tool, self._query(tool, arguments))
        except _NoAnswer as none:
            return Lookup(tool=tool, arguments=arguments, outcome=none.outcome, detail=none.detail, fact=None)
        return Lookup(tool=tool, arguments=arguments, outcome="answered", detail="", fact=fact)

    def _add(self, found: Found) -> None:
        self.found.append(found)
        self.used.seconds += found.seconds
        if (fact := found.lookup.fact) is not None:
            self._facts.append(fact)
            self.used.size += len(fact.text.encode())
        self.on_lookup(found.lookup)

    def _query(self, tool: str, arguments: str) -> Query:
        """What is asked, if it may be. Raises _NoAnswer."""
        if self.exhausted:
            raise _NoAnswer("exhausted", "nothing more is looked up in this incident; hand in the diagnosis")
        self.used.count += 1
        if tool not in _TOOLS:
            raise _NoAnswer("refused", f"there is no tool {tool}; there are {', '.join(_TOOLS)}")
        try:
            query: Query = TypeAdapter(_TOOLS[tool][0]).validate_json(arguments or "{}")
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            raise _NoAnswer("refused", f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}") from error
        key = f"{tool} {query.model_dump_json()}"
        if key in self.used.asked and not self.bounds.repeats:
            raise _NoAnswer("repeated", "you asked exactly this before in this incident")
        self.used.asked.add(key)
        return query

    async def _answer(self, tool: str, query: Query) -> Fact:
        """Raises _NoAnswer."""
        try:
            async with asyncio.timeout(max(0.0, self.bounds.seconds - self.used.seconds)):
                found = await self._find(query)
            return self._fact(tool, found)
        except TimeoutError as error:
            what = f"it took longer than the {self.bounds.seconds:g} s that look-ups may take together"
            raise _NoAnswer("failed", what) from error
        except ClusterError as error:
            raise _NoAnswer("failed", str(error)) from error
        except FAILURES as error:
            raise _NoAnswer("withheld", f"what was found could not be redacted ({type(error).__name__})") from error

    async def _find(self, query: Query) -> Inspection:
        namespace = self.start.alert.target.namespace
        if not isinstance(query, DiffRevisions):
            return await self.cluster.inspect(namespace, query)
        target = WorkloadRef(kind="Deployment", namespace=namespace, name=query.deployment)
        state = await self.cluster.observe(target)
        return Inspection(about=target.ref(), lines=self._difference(state, query), cut=False)

    def _difference(self, state: TargetState, query: DiffRevisions) -> tuple[str, ...]:
        """Raises ClusterError for a revision that is not there, and whatever the redactor raises."""
        templates = {revision.number: self._redacted(dict(revision.template)) for revision in state.revisions}
        absent = [number for number in (query.from_revision, query.to_revision) if number not in templates]
        if absent:
            known = ", ".join(str(number) for number in templates)
            raise ClusterError(f"{state.ref.key} has no revision {absent[0]}; it has {known}", status=404)
        before, after = (templates[number] for number in (query.from_revision, query.to_revision))
        changes = template_changes(before, after) if isinstance(before, dict) and isinstance(after, dict) else ()
        return changes or ("the pod template is the same in both",)

    def _redacted(self, document: JsonValue) -> JsonValue:
        return self.redactor.redact_json(document) if self.redactor else document

    def _fact(self, tool: str, found: Inspection) -> Fact:
        """The last lines that fit into what is left. Redacted before it is cut. Raises what the redactor raises."""
        text = "\n".join(found.lines)
        if found.document is not None:  # redacted as an object: what a key says of its value is lost in a printed one
            text = _printed(self._redacted(found.document))
        lines = [clean(line)[:_LINE] for line in (self.redactor.redact(text) if self.redactor else text).split("\n")]
        kept, size, left = list[str](), 0, self.bounds.max_bytes - self.used.size
        for line in reversed(lines):
            size += len(line.encode()) + 1
            if size > left:
                break
            kept.append(line)
        return Fact(
            id=f"E{len(self.start.facts) + len(self._facts) + 1}",
            kind=FactKind.LOOKUP,
            about=found.about,
            time=self.clock.now(),
            text="\n".join(reversed(kept)),
            data={"tool": tool, "cut": found.cut or len(kept) < len(lines)},
        )


class _Dumper(yaml.SafeDumper):
    """Prints a text of several lines as a block, so that a line of it is a line of the fact."""


_Dumper.add_representer(
    str, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)
)


def _printed(document: JsonValue) -> str:
    return yaml.dump(document, Dumper=_Dumper, sort_keys=True, allow_unicode=True, width=2000)
