"""Does it rest on what the evidence holds? Facts that exist and say something, whole lines, about whom it speaks of."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from types import NoneType
from typing import Any, Final

from backstop.checks import Opinion, fails, holds
from backstop.pipeline.quality_gate.subject import Subject
from backstop.records import Claim, Fact, FactKind

_NAMED: Final = re.compile(r"\b(deployment|service|pod|replicaset)/([a-z0-9](?:[a-z0-9.-]*[a-z0-9])?)", re.IGNORECASE)
_WORD: Final = re.compile(r"(?<![\w./:@-])[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?(?![\w/:@-]|\.\w)")
"""A word that could be the name of an object, and is no part of a path, an image or an address."""

_NO_FLOAT: Final = frozenset({str, int, bool, NoneType})
"""The types of most of what data holds: nothing to look into."""


def facts_exist(subject: Subject) -> Opinion:
    cited = subject.cited()
    missing = [fact_id for fact_id in cited if subject.evidence.fact(fact_id) is None]
    if missing:
        return fails(f"it cites {', '.join(missing)}, which the evidence does not hold", *missing)
    if not cited:
        return fails("it cites nothing")
    return holds(f"all {len(cited)} facts that it cites exist", *cited)


def data_whole(subject: Subject) -> Opinion:
    """No rule may rest on a fact without data, or on a number that is none."""
    facts = {fact.id: fact for fact in (*subject.cited_facts(), *subject.own)}
    broken = [fact_id for fact_id, fact in facts.items() if not fact.data or not _finite(fact.data)]
    if broken:
        return fails("facts that it rests on, or about its suspect, hold no data or a number that is none", *broken[:5])
    return holds("the facts that it rests on hold whole data")


def _finite(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return all(_finite(item) for item in inside if type(item) not in _NO_FLOAT)


def quotes(subject: Subject) -> Opinion:
    count = 0
    for claim in subject.diagnosis.claims:
        for quote in claim.quotes:
            count += 1
            if quote.fact not in claim.facts:
                return fails(f"a claim quotes {quote.fact} without resting on it", quote.fact)
            if quote.line not in subject.fact(quote.fact).lines():
                return fails(f"what it quotes from {quote.fact} is not a whole line of it", quote.fact)
    if count == 0:
        return fails("it quotes nothing")
    return holds(f"all {count} quotes are whole lines of the facts they name")


def about(subject: Subject) -> Opinion:
    suspect, target = subject.diagnosis.suspect, subject.evidence.alert.target
    for fact in subject.cited_facts():
        if not subject.grounds.on_path(fact.about, suspect):
            return fails(f"{fact.id} is about {fact.about.key}, which is not between {target.key} and {suspect.key}", fact.id)
    return holds(f"every cited fact is about {suspect.key} or lies between it and {target.key}")


def named(subject: Subject) -> Opinion:
    """Every claim cites a fact about each object that it names: what is said of one must not rest on what was seen of another."""
    for claim in subject.diagnosis.claims:
        cited = [subject.fact(fact_id) for fact_id in claim.facts]
        for kind, name in _spoken_of(subject, claim):
            if not any(_speaks_of(subject, fact, kind, name) for fact in cited):
                return fails(f"a claim speaks of {kind}/{name} and cites nothing about it", *claim.facts)
    return holds("every claim cites facts about what it names")


def _spoken_of(subject: Subject, claim: Claim) -> Iterable[tuple[str, str]]:
    """What a claim names by kind and name, and the workloads and Services of the evidence that it names without a kind."""
    for kind, name in _NAMED.findall(claim.text):
        yield kind.lower(), name.lower()
    spoken = set(_WORD.findall(_NAMED.sub(" ", claim.text)))
    yield from (("", name) for name in sorted(subject.grounds.names & spoken))


def _speaks_of(subject: Subject, fact: Fact, kind: str, name: str) -> bool:
    """Whether a fact is about the object. One that is named without its kind need only stand in the fact."""
    about = fact.about
    if about.name == name and kind in {"", about.kind.lower()}:
        return True
    if fact.kind is FactKind.DEPENDENCY and name in (fact.data["source"], fact.data["service"], fact.data["target"]):
        return True
    if kind in {"", "deployment"} and name in subject.grounds.roots_of(about):
        return True
    if name not in fact.text.lower():
        return False
    by_name = rf"(?<![\w-]){re.escape(name)}(?![\w-])" if not kind else rf"\b{kind}[/ ]\"?{re.escape(name)}(?![\w-])"
    return re.search(by_name, fact.text, re.IGNORECASE) is not None
