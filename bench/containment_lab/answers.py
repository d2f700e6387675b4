"""The right answer to a world, as a competent model hands it in: what is true, with true fact ids and whole-line quotes.

Written from the ground truth and the evidence alone: it asks neither Backstop's rules nor the emulator.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from backstop.records import Evidence, Fact, FactKind, FaultClass
from containment_lab.world import FaultKind, Json, Workload, World

_OLDER_WORDS: Final = {"bad_probe": "bad_release", "bad_service": "unknown", "admission_refused": "unknown"}
"""What a class was called before there was a word for it."""


def fault_word(word: str) -> str:
    """The class as the records name it."""
    return word if word in list(FaultClass) else _OLDER_WORDS[word]


@dataclass(frozen=True)
class Facts:
    """The evidence by workload."""

    evidence: Evidence

    @cached_property
    def _owners(self) -> dict[str, str]:
        return {e.source.key: e.target.key for e in self.evidence.edges if e.relation == "owned_by"}

    def of(self, workload: str, *kinds: FactKind) -> list[Fact]:
        return [f for f in self.evidence.facts if f.kind in kinds and self._belongs(f, workload)]

    def _belongs(self, fact: Fact, workload: str) -> bool:
        owners = self._owners
        key = fact.about.key
        for _ in range(3):
            key = owners.get(key, key)
        return key == f"deployment/{workload}" or (fact.about.kind == "Service" and fact.about.name == workload)

    def state(self, workload: str) -> list[Fact]:
        return self.of(workload, FactKind.WORKLOAD)

    def revisions(self, workload: str) -> list[Fact]:
        """The current one first."""
        return sorted(self.of(workload, FactKind.REVISION), key=lambda f: -_number(f))

    def unwell(self, workload: str) -> list[Fact]:
        return [f for f in self.of(workload, FactKind.POD) if f.data["ready"] is False or f.data["terminated_reason"]]

    def probe(self, workload: str) -> list[Fact]:
        return self.of(workload, FactKind.PROBE)

    def failing(self, workload: str) -> list[Fact]:
        return [f for f in self.probe(workload) if f.data["ok"] is False]

    def errors(self, workload: str) -> list[Fact]:
        return [f for f in self.of(workload, FactKind.LOG, FactKind.LOG_PREVIOUS) if f.data["errors"]]

    def events(self, workload: str) -> list[Fact]:
        return self.of(workload, FactKind.EVENT)


def _number(fact: Fact) -> int:
    number = fact.data["number"]
    return number if isinstance(number, int) else 0


def claim(text: str, facts: Iterable[Fact], telling: Callable[[str], bool] = lambda _line: True) -> Json:
    """One claim that rests on these facts (at most six) and quotes the first telling line of up to three of them."""
    resting = list(facts)[:6]
    quotes = [
        {"fact": fact.id, "line": line}
        for fact in resting[:3]
        if (line := next((x for x in fact.lines() if x and telling(x)), None))
    ]
    return {"text": text, "facts": [fact.id for fact in resting], "quotes": quotes}


def right_answer(world: World, evidence: Evidence) -> Json:
    """What a competent model hands in."""
    facts, truth = Facts(evidence), world.truth
    workload = world.workload(truth.suspect)
    assert workload is not None
    action = truth.action or {"verb": "no_action"}
    claims = [c for c in (*_own_claims(facts, world, workload), *_victims_claim(facts, world)) if c["facts"]]
    change = None
    if action["verb"] == "rollback" or (truth.kind is FaultKind.MANAGED):
        current = facts.revisions(truth.suspect)[0]
        claims.insert(0, _change_claim(facts, workload))
        change = {"fact": current.id, "revision": workload.current.number}
    return {
        "hypothesis": _HYPOTHESES[truth.kind].format(truth.suspect),
        "fault_class": fault_word(truth.fault_class),
        "suspect": {"kind": "Deployment", "namespace": world.namespace, "name": truth.suspect},
        "change": change,
        "claims": claims[:8],
        "action": action,
        "confidence": 0.9,
    }


def _change_claim(facts: Facts, workload: Workload) -> Json:
    current, *older = facts.revisions(workload.name)
    before, after = older[0].data["images"], current.data["images"]
    what = "the pod template"
    if isinstance(before, list) and isinstance(after, list) and before != after:
        what = f"the image from {before[0]} to {after[0]}"
    text = f"Revision {workload.current.number} of deployment/{workload.name} runs now and changed {what}."
    return claim(text, [current, older[0]], lambda line: "->" in line or "added" in line or line.startswith("revision"))


def _own_claims(facts: Facts, world: World, workload: Workload) -> list[Json]:
    """What is to be seen at the suspect itself."""
    kind, name = world.truth.kind, workload.name
    of_pods, telling = _POD_CLAIMS.get(kind, ("", ""))
    found = [claim(of_pods.format(name), facts.unwell(name), lambda line: telling in line)] if of_pods else []
    if kind in {FaultKind.QUOTA, FaultKind.WEBHOOK}:
        found += [claim(f"New pods of deployment/{name} are refused.", facts.events(name))]
        found += [claim(f"deployment/{name} is short of ready replicas.", facts.state(name))]
    if workload.desired == 0:
        found += [claim(f"deployment/{name} is scaled to zero.", [*facts.state(name), *facts.events(name)])]
    if kind is FaultKind.NONE:
        found += [claim(f"deployment/{name} has all its replicas ready.", facts.state(name))]
        found += [claim(f"Requests to service {name} succeed.", facts.probe(name))]
    if kind in {FaultKind.SERVICE_PORT, FaultKind.SERVICE_SELECTOR}:
        found += [claim(f"Service {name} aims at a port that nobody listens on, or selects nothing.", _service(facts, name))]
        found += [claim(f"deployment/{name} has all its replicas ready.", facts.state(name))]
    if facts.errors(name) and kind is not FaultKind.NONE:
        found += [claim(f"Containers of deployment/{name} log errors.", facts.errors(name), lambda x: "ERROR" in x or "FATAL" in x)]
    return found


def _service(facts: Facts, name: str) -> list[Fact]:
    return [f for f in facts.evidence.facts if f.kind is FactKind.SERVICE and f.about.name == name]


def _victims_claim(facts: Facts, world: World) -> list[Json]:
    """What the alert is about: requests that fail."""
    failing = [
        f for f in facts.evidence.facts if f.kind is FactKind.PROBE and f.about.name == world.alerted and f.data["ok"] is False
    ]
    own = facts.failing(world.truth.suspect) if world.truth.suspect != world.alerted else []
    found = [claim(f"Requests to service {world.truth.suspect} fail.", own)] if own else []
    return [*found, claim(f"Requests to service {world.alerted} fail.", failing)] if failing else found


_POD_CLAIMS: Final = {
    FaultKind.BAD_IMAGE: ("Pods of deployment/{} cannot pull their image.", "waiting"),
    FaultKind.CRASH_LOOP: ("Containers of deployment/{} crash and are started again.", "terminated"),
    FaultKind.OOM_RELEASE: ("A container of deployment/{} was OOMKilled at its memory limit.", "OOMKilled"),
    FaultKind.OOM_LIMIT: ("A container of deployment/{} was OOMKilled at its memory limit.", "OOMKilled"),
    FaultKind.LIMIT_RELEASE: ("A container of deployment/{} was OOMKilled at its memory limit.", "OOMKilled"),
    FaultKind.MISSING_KEY: ("Containers of deployment/{} cannot be created because configuration is missing.", "waiting"),
    FaultKind.BAD_PROBE: ("Pods of deployment/{} run and are unavailable: they never become ready.", "not ready"),
    FaultKind.TOO_LARGE: ("Pods of deployment/{} cannot be scheduled.", "PodScheduled"),
    FaultKind.NODE_SELECTOR: ("Pods of deployment/{} cannot be scheduled.", "PodScheduled"),
    FaultKind.HANG: ("Pods of deployment/{} are stuck: they run and are not ready.", "not ready"),
}

_HYPOTHESES: Final = {
    FaultKind.BAD_RELEASE: "The newest release of {} answers with errors of its own.",
    FaultKind.MANAGED: "The newest release of {} answers with errors; its GitOps source has to be put back, by a person.",
    FaultKind.BAD_IMAGE: "The newest release of {} names an image that does not exist.",
    FaultKind.CRASH_LOOP: "The newest release of {} exits at start.",
    FaultKind.OOM_RELEASE: "The newest release of {} grows until it is killed at its memory limit.",
    FaultKind.OOM_LIMIT: "{} needs more memory than its limit allows, and nothing was released.",
    FaultKind.LIMIT_RELEASE: "The newest release of {} set a memory limit that is too small.",
    FaultKind.MISSING_KEY: "The newest release of {} wants a key that its ConfigMap does not have.",
    FaultKind.WRONG_UPSTREAM: "The newest release of {} calls a host that does not exist.",
    FaultKind.BAD_PROBE: "The newest release of {} is asked for its health on a path that it does not have.",
    FaultKind.TOO_LARGE: "The newest release of {} asks for more CPU than any node has.",
    FaultKind.NODE_SELECTOR: "The newest release of {} asks for a node label that no node has.",
    FaultKind.QUOTA: "The namespace's quota refuses new pods of {}.",
    FaultKind.WEBHOOK: "A webhook that does not answer refuses new pods of {}.",
    FaultKind.SCALED_TO_ZERO: "{} was scaled to zero.",
    FaultKind.SERVICE_PORT: "The Service of {} aims at a port that nobody listens on.",
    FaultKind.SERVICE_SELECTOR: "The Service of {} selects nothing.",
    FaultKind.DEPENDENCY_DATABASE: "{} is scaled to zero, and those who call it fail.",
    FaultKind.DEPENDENCY_SCALED: "{} is scaled to zero, and those who call it fail.",
    FaultKind.DEPENDENCY_RELEASE: "The newest release of {} answers with errors, and those who call it fail.",
    FaultKind.HANG: "{} is stuck without any change; a restart frees it.",
    FaultKind.NONE: "Nothing is wrong with {} now.",
}
