"""Whatever becomes of the evidence, the answer is a valid diagnosis that cites what is there, and always the same one."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from backstop.records import (
    Alert,
    Diagnosis,
    Edge,
    Evidence,
    Fact,
    FactKind,
    FaultClass,
    NoAction,
    ObjectRef,
    Omission,
    Rollback,
    Scale,
)
from backstop.rules import diagnose, rank

from .scenes import CHECKOUT, RECORDED, edited, recorded

ORIGINALS = [recorded(name) for name in sorted(RECORDED)]

GARBAGE = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=12),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=4), st.integers(), max_size=2),
    st.sampled_from(
        ["OOMKilled", "CrashLoopBackOff", "ImagePullBackOff", "Pending", "2026-11-26T21:00:00", "9999-12-31T00:00:00Z"]
    ),
)
NAMES = st.sampled_from(["checkout", "prod-db", "catalog", "../x", "", "A B", "x" * 253, "checkout-758f9b5bdc"])
LINES = st.text(max_size=30) | st.sampled_from(["", "\n", "y" * 2001, "labels: tier=database", "Progressing=True x", "\u2028"])
TIMES = st.none() | st.datetimes(timezones=st.none() | st.timezones())


@st.composite
def mutated_fact(draw: st.DrawFn, fact: Fact) -> Fact:
    """One fact, with one thing about it changed to what it should not be."""
    keys = draw(st.lists(st.sampled_from(sorted(fact.data) or ["x"]), min_size=1, max_size=3))
    change: dict[str, Any] = draw(
        st.one_of(
            st.fixed_dictionaries(dict.fromkeys(keys, GARBAGE)).map(lambda odd: {"data": {**fact.data, **odd}}),
            st.just({"data": {key: value for key, value in fact.data.items() if key not in keys}}),
            st.tuples(LINES, LINES).map(lambda ends: {"text": f"{ends[0]}\n{fact.text}\n{ends[1]}"}),
            TIMES.map(lambda time: {"time": time}),
            NAMES.map(lambda name: {"about": fact.about.model_copy(update={"name": name})}),
            st.sampled_from(FactKind).map(lambda kind: {"kind": kind}),
            st.integers(1, 40).map(lambda number: {"id": f"E{number}"}),
        )
    )
    return fact.model_copy(update=change)


@st.composite
def mutated(draw: st.DrawFn) -> Evidence:
    """A recording with facts lost and changed, edges lost and invented, things cut, and times moved."""
    evidence = draw(st.sampled_from(ORIGINALS))
    some_facts = st.lists(st.integers(0, len(evidence.facts) - 1), max_size=4, unique=True)
    facts = dict(enumerate(evidence.facts))
    for place in draw(some_facts):
        facts[place] = draw(mutated_fact(facts[place]))
    for place in draw(some_facts):
        del facts[place]
    refs = st.sampled_from([*(fact.about for fact in evidence.facts), *(edge.source for edge in evidence.edges)])
    lost = draw(st.sets(st.integers(0, len(evidence.edges) - 1), max_size=3))
    edges = [edge for place, edge in enumerate(evidence.edges) if place not in lost]
    edges += draw(
        st.lists(st.builds(Edge, relation=st.sampled_from(["depends_on", "owned_by"]), source=refs, target=refs), max_size=2)
    )
    why = st.sampled_from(["truncated", "unreadable", "withheld"])
    cut = st.builds(Omission, what=st.just("pods"), why=why, about=refs, detail=st.just("some"))
    began = evidence.alert.started_at + draw(st.just(timedelta()) | st.timedeltas(timedelta(hours=-2), timedelta(hours=2)))
    service = draw(st.sampled_from([evidence.alert.service, None, "prod-db"]))
    return Evidence(
        alert=evidence.alert.model_copy(update={"started_at": began, "service": service}),
        taken_at=evidence.taken_at,
        facts=tuple(facts.values()),
        edges=tuple(edges),
        omissions=tuple(draw(st.lists(cut, max_size=2))),
    )


def check(diagnosis: Diagnosis, evidence: Evidence) -> None:
    """The diagnosis is valid as a model's would have to be, and everything that it cites is there."""
    assert Diagnosis.model_validate_json(diagnosis.model_dump_json()) == diagnosis
    ids = {fact.id for fact in evidence.facts}
    for claim in diagnosis.claims:
        assert set(claim.facts) <= ids
        for quote in claim.quotes:
            assert quote.fact in claim.facts
            fact = evidence.fact(quote.fact)
            assert fact is not None
            assert quote.line in fact.lines()
    if diagnosis.fault_class is FaultClass.UNKNOWN:
        assert isinstance(diagnosis.action, NoAction)
        assert diagnosis.change is None


def check_action(diagnosis: Diagnosis, evidence: Evidence) -> None:
    """A write is to the suspect, and to what the record knows."""
    match diagnosis.action:
        case Rollback() as rollback:
            assert diagnosis.change is not None
            numbers = [f.data.get("number") for f in evidence.about(rollback.target, FactKind.REVISION)]
            assert rollback.to_revision in numbers
            assert rollback.to_revision < diagnosis.change.revision
        case Scale() as scale:
            assert scale.replicas >= 1
    if not isinstance(diagnosis.action, NoAction):
        assert diagnosis.action.target == diagnosis.suspect


@settings(max_examples=200, deadline=None)
@given(mutated())
def test_the_answer_is_always_valid_and_cites_what_is_there(evidence: Evidence) -> None:
    diagnosis, suspicions = diagnose(evidence), rank(evidence)
    if evidence.facts:
        check(diagnosis, evidence)
    check_action(diagnosis, evidence)
    best = suspicions[0]
    assert diagnosis.fault_class == best.fault_class
    assert all(0 <= suspicion.score <= 1 and suspicion.reasons is not None for suspicion in suspicions)
    assert {fact for suspicion in suspicions for fact in suspicion.facts} <= {fact.id for fact in evidence.facts}
    assert not any(suspicion.certain for suspicion in suspicions[1:])


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(ORIGINALS), st.data())
def test_to_see_less_never_makes_certain_of_something_else(evidence: Evidence, data: st.DataObject) -> None:
    lost = data.draw(st.sets(st.integers(0, len(evidence.facts) - 1)))
    less = evidence.model_copy(update={"facts": tuple(f for place, f in enumerate(evidence.facts) if place not in lost)})
    best, before = rank(less)[0], rank(evidence)[0]
    assert not best.certain or (best.workload, best.fault_class) == (before.workload, before.fault_class)


@settings(max_examples=100, deadline=None)
@given(mutated(), st.randoms(use_true_random=False))
def test_the_order_of_facts_and_edges_is_of_no_consequence(evidence: Evidence, random: Any) -> None:
    facts, edges = list(evidence.facts), list(evidence.edges)
    random.shuffle(facts)
    random.shuffle(edges)
    owners = [(edge.source.kind, edge.source.name) for edge in edges if edge.relation == "owned_by"]
    if len(set(owners)) == len(owners):  # of two owners the evidence itself lets the last one count
        other = evidence.model_copy(update={"facts": tuple(facts), "edges": tuple(edges)})
        assert diagnose(other) == diagnose(evidence)
        assert rank(other) == rank(evidence)


@settings(max_examples=50, deadline=None)
@given(mutated())
def test_the_same_evidence_gets_the_same_answer_also_from_the_record(evidence: Evidence) -> None:
    assert diagnose(evidence) == diagnose(evidence)
    kept = Evidence.model_validate_json(evidence.model_dump_json())
    assert diagnose(kept) == diagnose(evidence)
    assert rank(kept) == rank(evidence)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.builds(
            Fact,
            id=st.integers(1, 9).map(lambda n: f"E{n}"),
            kind=st.sampled_from(list(FactKind)),
            about=st.builds(
                ObjectRef, kind=st.sampled_from(["Deployment", "Service", "Pod"]), namespace=st.just("shop"), name=NAMES
            ),
            time=TIMES,
            text=LINES,
            data=st.dictionaries(st.sampled_from(["desired", "ready", "ok", "current", "total", "number"]), GARBAGE, max_size=6),
        ),
        max_size=9,
    ),
    st.datetimes(timezones=st.none() | st.timezones()),
    st.datetimes(timezones=st.none() | st.timezones()),
)
def test_made_up_evidence_makes_nobody_certain_of_a_write(facts: list[Fact], began: Any, taken: Any) -> None:
    alert = Alert(id="a", name="x", target=CHECKOUT, service=None, summary="", started_at=began)
    evidence = Evidence(alert=alert, taken_at=taken, facts=tuple(facts), edges=(), omissions=())
    diagnosis = diagnose(evidence)
    if facts:
        check(diagnosis, evidence)
    assert isinstance(diagnosis.action, NoAction)
    assert not any(suspicion.certain for suspicion in rank(evidence))


def test_a_probe_that_is_not_about_a_service_is_still_put_into_words() -> None:
    evidence = edited(
        recorded("fleet/bad_release"),
        lambda fact: fact.model_copy(update={"about": CHECKOUT.ref()}) if fact.kind is FactKind.PROBE else fact,
    )
    diagnosis = diagnose(evidence)
    check(diagnosis, evidence)
    assert "Requests to deployment/checkout fail." in [claim.text for claim in diagnosis.claims]
