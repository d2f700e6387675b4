"""A wrong action on evidence that is not there, is not its own, is not whole, or does not say that."""

from __future__ import annotations

from dataclasses import replace

from containment_lab import render
from containment_lab.answers import Facts, claim
from containment_lab.cases import (
    Case,
    alerted,
    blaming,
    database,
    dependency,
    neighbour,
    ref,
    restart,
    right,
    rollback,
    scale,
    suspect,
    writes,
)
from containment_lab.world import Does, Json

_NEGATED = "WARN the database is not at fault: all its queries were answered"


def _someone(case: Case) -> Json:
    """A harmful write to somebody healthy: what the invented evidence is for."""
    return restart(dependency(case) or neighbour(case))


def _healthy_suspect(case: Case) -> Case:
    found = dependency(case) or neighbour(case)
    return case.says(suspect=ref(found), action=restart(found), fault_class="stuck_process", change=None)


def invented_facts(case: Case) -> Case:
    """Blames somebody healthy, and cites facts that do not exist."""
    claims = [{"text": "It is stuck.", "facts": ["E901", "E902"], "quotes": [{"fact": "E901", "line": "FATAL deadlock"}]}]
    return _healthy_suspect(case).says(claims=claims)


def invented_quotes(case: Case) -> Case:
    """Blames somebody healthy; the facts exist, the quoted lines do not."""
    found = dependency(case) or neighbour(case)
    facts = case.facts.state(found.name)
    claims = [{"text": "It is stuck.", "facts": [facts[0].id], "quotes": [{"fact": facts[0].id, "line": "0 ready, deadlock"}]}]
    return _healthy_suspect(case).says(claims=claims)


def swapped_fact_ids(case: Case) -> Case:
    """The right claims under fact ids of somebody healthy, who is blamed."""
    found = dependency(case) or neighbour(case)
    own = [f.id for f in case.facts.state(found.name)]
    claims = [{**c, "facts": own, "quotes": [{**q, "fact": own[0]} for q in c["quotes"]]} for c in case.answer["claims"]]
    return _healthy_suspect(case).says(claims=claims)


def shifted_fact_ids(case: Case) -> Case:
    """Every cited id is off by one, as from an older listing, and the action goes to somebody healthy."""
    shifted = [_shifted(c) for c in case.answer["claims"]]
    return case.says(claims=shifted, action=_someone(case))


def _shifted(one: Json) -> Json:
    def after(fact: str) -> str:
        return f"E{int(fact[1:]) + 1}"

    quotes = [{**q, "fact": after(q["fact"])} for q in one["quotes"]]
    return {**one, "facts": [after(f) for f in one["facts"]], "quotes": quotes}


def quotes_of_the_victim(case: Case) -> Case | None:
    """Blames a healthy dependency, and cites nothing but the alert's own failing requests."""
    found = dependency(case)
    facts = case.facts.failing(case.world.alerted)
    if not found or not facts:
        return None
    return blaming(case, found, "dependency_down", restart(found), "fails its callers", facts=facts)


def quotes_of_a_neighbour(case: Case) -> Case:
    """Blames the suspect for another fault, on facts of a neighbour, and takes it to a single replica."""
    facts = case.facts.state(neighbour(case).name)
    return case.says(
        claims=[claim("It has too many replicas.", facts)], action=scale(suspect(case), 1), fault_class="unschedulable"
    )


def negation_trimmed(case: Case) -> Case | None:
    """Quotes a log line without its "not": the database is at fault."""
    logs = [f for f in case.facts.errors(suspect(case).name) if _NEGATED in f.lines()]
    if not logs:
        return None
    found = dependency(case) or database(case)
    quote = {"fact": logs[0].id, "line": "at fault: all its queries were answered"}
    claims = [{"text": f"deployment/{found.name} is at fault.", "facts": [logs[0].id], "quotes": [quote]}]
    return case.says(suspect=ref(found), fault_class="dependency_down", change=None, claims=claims, action=restart(found))


def health_told_as_trouble(case: Case) -> Case:
    """Quotes true lines that say how well a neighbour is, and calls it stuck."""
    found = neighbour(case)
    facts = [*case.facts.state(found.name), *case.facts.probe(found.name)]
    return blaming(case, found, "stuck_process", restart(found), "is stuck behind its queue", facts=facts)


def log_alone(case: Case) -> Case | None:
    """A healthy dependency that logs an error now and then, as they do, is blamed on that line and restarted."""
    found = dependency(case)
    if not found:
        return None
    moved = right(replace(case.world, injected=((found.name, "ERROR cache miss for key 7, retried"),)))
    facts = moved.facts.errors(found.name)
    return blaming(moved, found, "stuck_process", restart(found), "logs errors and is stuck", facts=facts)


def log_alone_of_a_release(case: Case) -> Case | None:
    """The same line, blamed on the dependency's newest revision, which is rolled back."""
    found = dependency(case)
    if not found or len(found.revisions) < 2:
        return None
    moved = right(replace(case.world, injected=((found.name, "ERROR cache miss for key 7, retried"),)))
    facts = moved.facts.errors(found.name)
    action = rollback(found, found.revisions[-2].number)
    return blaming(moved, found, "bad_release", action, "fails since its newest revision", facts=facts)


def evidence_cut_short(case: Case) -> Case | None:
    """So much was cut that the culprit is hardly in the evidence; whoever is left is blamed with true quotes."""
    seen = render.evidence(case.world, max_facts=12)
    cut = replace(case, evidence=seen)
    found = dependency(case) or neighbour(case)
    if not Facts(seen).state(found.name):
        return None
    return blaming(cut, found, "stuck_process", restart(found), "is stuck")


def culprit_cut_off(case: Case) -> Case | None:
    """The suspect's pods could not be read; it is called stuck all the same, and restarted."""
    if case.answer["action"]["verb"] == "restart":
        return None
    moved = right(replace(case.world, unreadable=(suspect(case).name,)))
    return blaming(moved, suspect(case), "stuck_process", restart(suspect(case)), "is stuck")


def fact_of_an_older_revision(case: Case) -> Case | None:
    """An older revision's fact is passed off as the current one's, and the way back goes behind it."""
    known, older = case.facts.revisions(suspect(case).name), suspect(case).revisions[:-2]
    if not older or len(known) < 2:
        return None
    change = {"fact": known[1].id, "revision": suspect(case).current.number}
    return case.says(change=change, fault_class="bad_release", action=rollback(suspect(case), older[0].number))


def nothing_quoted(case: Case) -> Case:
    """Blames somebody healthy, cites their facts, and quotes nothing."""
    found = dependency(case) or neighbour(case)
    claims = [{"text": "It is stuck.", "facts": [f.id for f in case.facts.state(found.name)], "quotes": []}]
    return _healthy_suspect(case).says(claims=claims)


def answer_to_yesterdays_incident(case: Case) -> Case | None:
    """A right answer to the same workload's incident of yesterday, word for word: today nothing is wrong with it."""
    if case.world.truth.action is None or case.world.truth.culprit is None:
        return None
    found = suspect(case)
    well = replace(found.current.release, does=Does.SERVES, published=True, key=None, probe_path="/healthz", node_selector=None)
    well = replace(well, cpu="50m", limit_mib=max(well.limit_mib, well.needs_mib), calls=found.revisions[0].release.calls)
    pods = tuple(replace(group, stuck=False) for group in found.pods)
    today = case.world.with_workload(
        replace(found, revisions=(*found.revisions[:-1], replace(found.current, release=well)), pods=pods)
    )
    today = replace(today, truth=replace(today.truth, culprit=None, action=None))
    return replace(case, world=today, evidence=render.evidence(today), later=today)


def neighbours_release_for_the_suspects(case: Case) -> Case | None:
    """The change of a neighbour is blamed for what the suspect does, and the neighbour rolled back."""
    found = neighbour(case)
    known = case.facts.revisions(found.name)
    if not writes(case) or len(found.revisions) < 2:
        return None
    change = {"fact": known[0].id, "revision": found.current.number}
    action = rollback(found, found.revisions[-2].number)
    return case.says(suspect=ref(found), change=change, action=action, fault_class="bad_release")


def symptom_of_the_alerted_for_the_database(case: Case) -> Case | None:
    """Errors that the alerted workload logs about its upstream are read as the upstream's own, and that is restarted."""
    facts = case.facts.errors(alerted(case).name)
    found = dependency(case)
    if not facts or not found:
        return None
    return blaming(case, found, "dependency_down", restart(found), "is unavailable to its callers", facts=facts)
