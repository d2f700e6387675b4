"""Looking facts up by object and by kind finds what going through all of them would, in the same order, whatever the evidence."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backstop.grounds import Grounds
from backstop.records import Evidence, FactKind, WorkloadRef
from backstop.rules.reading import Pod, Scene, Seen
from backstop.rules.troubles import SIGNS, steady

from .scenes import CHECKOUT, STOREFRONT, recorded
from .test_any_evidence import mutated

WORKLOADS = st.sampled_from([CHECKOUT, STOREFRONT])
KINDS = st.lists(st.sampled_from(FactKind), max_size=3, unique=True)


@settings(max_examples=200, deadline=None)
@given(mutated(), WORKLOADS, KINDS)
def test_the_facts_of_a_workload_are_those_that_are_its_own(
    evidence: Evidence, workload: WorkloadRef, kinds: list[FactKind]
) -> None:
    grounds = Grounds(evidence)
    own = [fact for fact in evidence.facts if grounds.own(fact.about, workload)]
    assert list(grounds.facts_of(workload)) == own
    assert list(grounds.facts_of(workload, *kinds)) == [fact for fact in own if not kinds or fact.kind in kinds]
    reached = grounds.reached_from(workload)
    assert all(fact in reached for fact in own)
    assert list(grounds.reached_from(workload, *kinds)) == [fact for fact in reached if not kinds or fact.kind in kinds]
    assert list(grounds.about(workload, *kinds)) == [
        fact for fact in own if (not kinds or fact.kind in kinds) and fact.about.same(workload)
    ]


@settings(max_examples=100, deadline=None)
@given(mutated())
def test_the_names_of_the_evidence_are_those_of_its_workloads_and_services(evidence: Evidence) -> None:
    refs = [*(fact.about for fact in evidence.facts), *(ref for edge in evidence.edges for ref in (edge.source, edge.target))]
    assert Grounds(evidence).names == {ref.name for ref in refs if ref.kind in {"Deployment", "Service"}}


@settings(max_examples=100, deadline=None)
@given(mutated())
def test_an_event_is_told_of_what_it_is_about_by_its_reason(evidence: Evidence) -> None:
    for workload in Scene(evidence).workloads:
        for note in workload.notes:
            about = note.fact.about
            told = workload.told[(about.kind, about.namespace, about.name), note.data.reason]
            assert told == [n.fact for n in workload.notes if n.fact.about.same(about) and n.data.reason == note.data.reason]
        assert sum(map(len, workload.told.values())) == len(workload.notes)


@pytest.mark.parametrize("phase", ["Running", "Pending", "Failed", ""])
@pytest.mark.parametrize("text", ["", "PodScheduled=False Unschedulable: 0/3 nodes are available"])
def test_a_pod_that_is_steady_shows_no_sign(phase: str, text: str) -> None:
    workload = Scene(recorded("fleet/bad_release")).workloads[0]
    fact = workload.pods[0].fact.model_copy(update={"text": text})
    for ready, waiting, terminated in product(
        [True, False], [None, "", "ImagePullBackOff", "CrashLoopBackOff", "x"], [None, "", "OOMKilled", "Error"]
    ):
        data = Pod(phase=phase, ready=ready, waiting_reason=waiting, terminated_reason=terminated, terminating=False)
        pod = Seen(fact, data)
        assert not (steady(pod) and any(shown(pod, workload) for _, shown in SIGNS))
