"""The emulated judge: one claim, the facts it cites, yes or no. It reads simply and says no to what it does not understand.

A claim must say something that it knows how to look up (`_READINGS`), everything that it says must be shown by a cited fact about
the very workload that it names, and every quote must be a whole line of the fact it names.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from backstop.emulator.reading import LOGS, Fact, Json

_WORKLOAD: Final = re.compile(r"\bdeployment[/ ]([a-z0-9][a-z0-9.-]*[a-z0-9])", re.IGNORECASE)
_SERVICE: Final = re.compile(r"\bservice[/ ]([a-z0-9][a-z0-9-]*[a-z0-9])", re.IGNORECASE)
_IMAGE: Final = re.compile(r"\b[\w./-]+/[\w.-]+:[\w][\w.-]*\b")
_REVISION: Final = re.compile(r"\brevision (\d+)", re.IGNORECASE)
_REFUSER: Final = re.compile(r"\b(?:quota|webhook|policy) ([a-z0-9][a-z0-9.-]*[a-z0-9])", re.IGNORECASE)
_PROBE: Final = re.compile(r"\b(readiness|liveness|startup) probe of .* fails with status (\d+)", re.IGNORECASE)
_PORT: Final = re.compile(r"\bleads to port (\S+?)[,.]?(?:\s|$)", re.IGNORECASE)
_READY: Final = re.compile(r"\b(\d+) of (\d+) replicas", re.IGNORECASE)
_CAUSE: Final = re.compile(r"\b(?:come|comes|came) from|\bcaused by|\bbecause of|\bdue to", re.IGNORECASE)
_NO_CAUSE: Final = frozenset(
    {
        "and",
        "brought",
        "dependency",
        "for",
        "from",
        "had",
        "has",
        "its",
        "one",
        "own",
        "revision",
        "since",
        "that",
        "the",
        "was",
        "which",
    }
)
"""Words of a cause that say nothing about what it is."""


@dataclass(frozen=True)
class Case:
    """A claim and the facts it cites."""

    text: str
    facts: list[Fact]

    def subjects(self) -> list[str]:
        """The workloads and services that the claim names; else every object of the facts whose name stands in its text."""
        named = [*_WORKLOAD.findall(self.text), *_SERVICE.findall(self.text)]
        if not named:
            named = [f.about.name for f in self.facts if f.about.name in re.findall(r"[a-z0-9][a-z0-9.-]*[a-z0-9]", self.text)]
        return list(dict.fromkeys(named))

    def about(self, subject: str, *kinds: str) -> list[Fact]:
        """Cited facts about one workload, its pods, or the Service of that name."""
        return [fact for fact in self.facts if fact.belongs_to(subject) and (not kinds or fact.kind in kinds)]

    def all_show(self, shown: Callable[[Fact], bool], *kinds: str) -> bool:
        """Whether for each subject some cited fact of these kinds shows it."""
        subjects = self.subjects()
        return bool(subjects) and all(any(shown(fact) for fact in self.about(subject, *kinds)) for subject in subjects)


def judge(claim: Json, facts: list[Any]) -> Json:
    """`{"supported": ..., "reason": ...}`: the arguments of the answering tool."""
    case = Case(str(claim.get("text", "")), [Fact.of(raw) for raw in facts if isinstance(raw, dict)])
    supported, reason = _judged(case, claim)
    return {"supported": supported, "reason": reason}


def _judged(case: Case, claim: Json) -> tuple[bool, str]:
    if not case.facts:
        return False, "No facts are cited."
    if not _quotes_are_lines(case, claim):
        return False, "A quote is not a whole line of the fact it names."
    understood, said = False, _IMAGE.sub("an image", case.text)  # a tag may hold any word
    for pattern, shown, says in _READINGS:
        if not pattern.search(said):
            continue
        understood = True
        if not shown(case):
            return False, f"No cited fact shows that {says} for everything the claim names."
    return (True, "The cited facts state it.") if understood else (False, "The cited facts do not speak to this.")


def _quotes_are_lines(case: Case, claim: Json) -> bool:
    texts = {fact.id: fact.text.splitlines() for fact in case.facts}
    quotes = claim.get("quotes")
    if not isinstance(quotes, list):
        return False
    return all(isinstance(q, dict) and q.get("line") in texts.get(str(q.get("fact")), []) for q in quotes)


def _trouble(fact: Fact) -> bool:
    """A symptom at the object itself, of any kind."""
    match fact.kind:
        case "workload":
            return _short(fact)
        case "pod":
            return _unready(fact)
        case "probe":
            return fact.failing_probe
        case "event":
            return fact.word("type") == "Warning"
    return fact.kind in LOGS and bool(fact.error_lines())


def _short(fact: Fact) -> bool:
    desired, ready = fact.number("desired"), fact.number("ready")
    return desired == 0 or (desired is not None and ready is not None and ready < desired)


def _unready(fact: Fact) -> bool:
    return fact.data.get("ready") is False or bool(fact.word("waiting_reason") or fact.word("terminated_reason"))


def _mentions(*words: str) -> Callable[[Fact], bool]:
    """Whether a pod's or event's reasons hold one of these words."""

    def shown(fact: Fact) -> bool:
        said = " ".join((fact.word("waiting_reason"), fact.word("terminated_reason"), fact.word("reason")))
        return any(word in said for word in words)

    return shown


def _crashed(fact: Fact) -> bool:
    ended = fact.number("exit_code") not in {None, 0} or bool(fact.number("restarts"))
    return _mentions("CrashLoopBackOff")(fact) or (fact.kind == "pod" and ended)


def _pending(fact: Fact) -> bool:
    return fact.word("phase") == "Pending" or fact.word("reason") == "FailedScheduling"


def _revision_runs(case: Case) -> bool:
    """Every revision that is named is a cited fact of the workload that is named, the first of them is the current one, and every
    image that is named is one of theirs."""
    numbers = [int(number) for number in _REVISION.findall(case.text)]
    cited = {fact.number("number"): fact for subject in case.subjects() for fact in case.about(subject, "revision")}
    if not numbers or any(number not in cited for number in numbers) or cited[numbers[0]].data.get("current") is not True:
        return False
    images = {image for fact in cited.values() for image in fact.data.get("images") or []}
    return all(image in images for image in _IMAGE.findall(case.text))


def _refused(case: Case) -> bool:
    """Some cited fact says that pods may not be created, and names whom the claim names."""
    said = " ".join(line for fact in case.facts for line in fact.lines() if "FailedCreate" in line)
    shown = case.all_show(lambda f: "FailedCreate" in f.text, "workload", "event")
    return shown and all(name in said for name in _REFUSER.findall(case.text))


def _probe_fails(case: Case) -> bool:
    """The kubelet says so of that probe, with that status."""
    wanted = [f"{kind} probe failed: http probe failed with statuscode: {status}" for kind, status in _PROBE.findall(case.text)]
    return bool(wanted) and all(case.all_show(_says(line), "event") for line in wanted)


def _says(words: str) -> Callable[[Fact], bool]:
    return lambda fact: words in fact.text.lower()


def _leads_astray(case: Case) -> bool:
    """The Service aims at that port, and every workload that is cited says what it listens on, which is something else."""
    aims = [str(port) for fact in case.facts if fact.kind == "service" for port in fact.data.get("target_ports") or []]
    offers = [_offered(fact) for fact in case.facts if fact.kind == "workload"]
    ports = _PORT.findall(case.text)
    return bool(ports and offers and all(offers)) and all(p in aims and not any(p in offer for offer in offers) for p in ports)


def _offered(workload: Fact) -> set[str]:
    return {str(port) for key in ("ports", "port_names") for port in workload.data.get(key) or ()}


def _ready_count(case: Case) -> bool:
    """So many of so many: both numbers are the workload's own."""
    counts = [(int(ready), int(desired)) for ready, desired in _READY.findall(case.text)]
    seen = [[(fact.number("ready"), fact.number("desired")) for fact in case.about(s, "workload")] for s in case.subjects()]
    return bool(counts) and bool(seen) and all(count in pairs for count in counts for pairs in seen)


def _to_blame(case: Case) -> bool:
    """Each workload that is named shows trouble of its own, and what is named as the cause stands in a cited fact."""
    told = " ".join(fact.text for fact in case.facts).lower()
    causes = [re.split(r"[,;:]|\.\s|\.$", case.text[found.end() :])[0] for found in _CAUSE.finditer(case.text)]
    named = [word for cause in causes for word in re.findall(r"[a-z]{3,}", _WORKLOAD.sub(" ", _SERVICE.sub(" ", cause)).lower())]
    return case.all_show(_trouble) and all(word in told for word in named if word not in _NO_CAUSE)


_READINGS: Final[tuple[tuple[re.Pattern[str], Callable[[Case], bool], str], ...]] = tuple(
    (re.compile(pattern, re.IGNORECASE), shown, says)
    for pattern, shown, says in (
        (r"\brevision \d+|\broll(?:ed )?out\b|\breleased?\b", _revision_runs, "that revision runs"),
        (r"\blog(?:s|ged)? .*\berrors?\b", lambda c: c.all_show(lambda f: bool(f.error_lines()), *LOGS), "it logs errors"),
        (r"\brequests? to .* fail", lambda c: c.all_show(lambda f: f.failing_probe, "probe"), "requests fail"),
        (r"\brequests? to .* succeed", lambda c: c.all_show(lambda f: f.data.get("ok") is True, "probe"), "requests succeed"),
        (
            r"\bcannot pull\b|\bimage .*cannot be pulled",
            lambda c: c.all_show(_mentions("ErrImagePull", "ImagePullBackOff", "InvalidImageName")),
            "an image cannot be pulled",
        ),
        (
            r"\bconfiguration is missing\b",
            lambda c: c.all_show(_mentions("CreateContainerConfigError", "CreateContainerError")),
            "configuration is missing",
        ),
        (r"\bOOMKilled\b|\bmemory limit\b", lambda c: c.all_show(_mentions("OOMKilled")), "it ran out of memory"),
        (r"\bcrash(?:es|ed|ing)?\b|\bexits?\b", lambda c: c.all_show(_crashed), "it crashes"),
        (r"\bcannot be scheduled\b|\bunschedulable\b", lambda c: c.all_show(_pending), "it cannot be scheduled"),
        (r"\bpods .*\brefused\b", _refused, "its pods are refused"),
        (r"\b(?:readiness|liveness|startup) probe\b", _probe_fails, "that probe fails"),
        (r"\bservice \S+ selects no", lambda c: c.all_show(lambda f: f.number("endpoints") == 0, "service"), "it selects nothing"),
        (r"\bleads to port \S", _leads_astray, "nobody listens there"),
        (r"\d of \d+ replicas\b", _ready_count, "so many replicas are ready"),
        (r"\bare not ready\b", lambda c: c.all_show(_unready, "pod"), "pods are not ready"),
        (r"\bscaled to zero\b", lambda c: c.all_show(lambda f: f.number("desired") == 0, "workload"), "it is scaled to zero"),
        (r"\bno ready replicas?\b", lambda c: c.all_show(lambda f: f.number("ready") == 0, "workload"), "no replica is ready"),
        (r"\bshort of ready replicas\b", lambda c: c.all_show(_short, "workload"), "it is short of replicas"),
        (
            r"\ball its replicas ready\b",
            lambda c: c.all_show(lambda f: f.number("ready") is not None and not _short(f), "workload"),
            "all replicas are ready",
        ),
        (
            r"\boverload|\bexhaust|\bsaturat|\bcorrupt|\bstuck\b|\bdeadlock|\bstopped answering\b|\bcome from\b|\bcaused? by\b"
            r"|\bbecause of\b|\bdue to\b|\bat fault\b|\broot cause\b|\bunhealthy\b|\bunavailable\b|\bis down\b|\bhangs?\b|\bleak"
            r"|\bexpired?\b|\block(?:s|ed)\b",
            _to_blame,
            "something is wrong with it",
        ),
    )
)
"""What a claim may say, and what must then be shown. The last one is blame: each workload it names must show trouble of its own,
and the cause that it names must stand in the facts."""
