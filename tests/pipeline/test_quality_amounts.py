"""Q-NUMBERS: what a claim says in numbers stands in the facts that it cites, as what it is said to be, in its unit."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backstop.emulator.diagnoser import diagnose as emulated
from backstop.pipeline.quality_gate import check_quality
from backstop.records import Claim, Diagnosis, Evidence, Fact, FactKind
from backstop.rules import diagnose
from tests.rules.scenes import RECORDED, altered, of, recorded


def facts(evidence: Evidence, *kinds: FactKind, name: str = "checkout") -> tuple[Fact, ...]:
    return tuple(f for f in evidence.facts if f.about.name.startswith(name) and f.kind in kinds)


def accepts(text: str, evidence: Evidence, *cited: Fact) -> bool:
    """Whether the gate has nothing against the numbers of one more claim."""
    said = diagnose(evidence)
    claim = Claim(text=text, facts=tuple(fact.id for fact in cited)[:20], quotes=())
    verdict = check_quality(
        Diagnosis(**{**dict(said), "claims": (*said.claims[:2], claim)}), evidence, now=evidence.taken_at, max_age_seconds=120
    )
    return "Q-NUMBERS" not in verdict.failed_rules


RELEASE, MEMORY, QUOTA, ZERO = (recorded(f"fleet/{name}") for name in ("bad_release", "memory_limit", "quota", "scaled_to_zero"))


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("Revision 2 of checkout replaced revision 1.", True),
        ("Revision 3 of checkout runs now.", False),
        ("Revisions 1 and 2 of checkout are known.", True),
        ("Revisions 1 and 4 of checkout are known.", False),
        ("checkout went from demo/web:1.0 to demo/web:1.2-errors.", True),
        ("checkout went from demo/web:1.0 to demo/web:1.3-errors.", False),
        ("checkout went to demo/web:1.2.", True),
        ("Release 1.2-errors of checkout is broken.", True),
        ("Release 1.2-verbose of checkout is broken.", False),
        ("All 3 replicas of checkout are ready.", True),
        ("3 of 3 pods of checkout are ready.", True),
        ("Three pods of checkout run.", True),
        ("2 replicas of checkout are ready.", False),
        ("0 of 3 pods of checkout are ready.", False),
        ("Five replicas of checkout are gone.", False),
        ("Every request to checkout is answered with HTTP 500.", True),
        ("Every request to checkout is answered with HTTP 502.", False),
        ("checkout answers 5xx.", True),
        ("checkout answers 4xx.", False),
        ("100% of the requests to checkout fail.", True),
        ("3 of 3 requests to checkout fail.", True),
        ("2 of 3 requests to checkout fail.", False),
        ("40 % of the requests to checkout fail.", False),
        ("1e9 requests to checkout fail.", False),
        ("10k requests to checkout fail.", False),
        ("checkout fails 10x as often.", False),
        ("\u00bd of the requests to checkout fail.", False),
        ("checkout has 3\u00b2 pods.", False),
        ("Revision \u2168 of checkout runs.", False),
        ("checkout has a memory limit of 96Mi.", True),
        ("checkout has a memory limit of 96 MiB.", True),
        ("checkout has a memory limit of 100663296 bytes.", True),
        ("checkout has a memory limit of 96MB.", False),
        ("checkout has a memory limit of 64Mi.", False),
        ("checkout listens on port 8080.", True),
        ("checkout listens on port 8081.", False),
        ("checkout fails.", True),
    ],
)
def test_what_a_release_shows(text: str, right: bool) -> None:
    kinds = (FactKind.WORKLOAD, FactKind.REVISION, FactKind.POD, FactKind.PROBE)
    assert accepts(text, RELEASE, *facts(RELEASE, *kinds)) is right


def test_a_number_of_another_fact_does_not_count() -> None:
    text = "Revision 2 of checkout runs now."
    assert accepts(text, RELEASE, *facts(RELEASE, FactKind.REVISION))
    assert not accepts(text, RELEASE, *facts(RELEASE, FactKind.PROBE))


def test_a_count_of_another_workload_does_not_count() -> None:
    cited = [f for f in RELEASE.facts if f.kind is FactKind.WORKLOAD and f.about.name in {"checkout", "prod-db"}]
    assert accepts("prod-db has 2 replicas.", RELEASE, *cited)
    assert not accepts("prod-db has 3 replicas.", RELEASE, *cited)


@pytest.mark.parametrize(("code", "right"), [(137, True), (1, False), (139, False)])
def test_exit_codes(code: int, right: bool) -> None:
    assert accepts(f"A container of checkout ended with exit code {code}.", MEMORY, *facts(MEMORY, FactKind.POD)) is right


@pytest.mark.parametrize(
    ("text", "right"), [("from 3 to 0 replicas", True), ("from 5 to 0 replicas", False), ("from 3 to 1 replicas", False)]
)
def test_what_an_event_tells(text: str, right: bool) -> None:
    cited = facts(ZERO, FactKind.EVENT)[:5]
    assert accepts(f"checkout was scaled down {text}.", ZERO, *cited) is right


@pytest.mark.parametrize(("text", "right"), [("4 pods", True), ("6 of 4 pods", True), ("40 pods", False)])
def test_what_a_quota_allows(text: str, right: bool) -> None:
    assert accepts(f"The quota team-budget sees {text}.", QUOTA, *(f for f in QUOTA.facts if f.kind is FactKind.QUOTA)) is right


def test_times_are_those_on_record() -> None:
    (change,) = [fact for fact in facts(RELEASE, FactKind.REVISION) if fact.data["current"]]
    assert change.time is not None
    seconds = (RELEASE.alert.started_at - change.time).total_seconds()
    assert accepts(f"checkout was released {seconds:.0f} seconds before.", RELEASE, change)
    assert accepts(f"checkout was released at {change.time:%H:%M:%S}.", RELEASE, change)
    assert not accepts(f"checkout was released {seconds + 3600:.0f} seconds before.", RELEASE, change)
    assert not accepts("checkout was released 3 hours before.", RELEASE, change)
    assert not accepts(f"checkout was released at {(change.time.hour + 5) % 24:02}:{change.time:%M:%S}.", RELEASE, change)


@pytest.mark.parametrize("name", sorted(RECORDED))
def test_no_competent_claim_is_refused(name: str) -> None:
    evidence = recorded(name)
    competent = Diagnosis.model_validate_json(json.dumps(emulated(json.loads(evidence.model_dump_json()))))
    for said in (diagnose(evidence), competent):
        verdict = check_quality(said, evidence, now=evidence.taken_at, max_age_seconds=120)
        assert not {"Q-NUMBERS", "Q-NAMED"} & set(verdict.failed_rules)


@given(
    st.integers(0, 10**6),
    st.sampled_from(["{} replicas of checkout", "revision {} of checkout", "exit code {} of checkout", "{}%", "{}Mi"]),
)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_number_that_stands_nowhere_never_passes(number: int, said: str) -> None:
    cited = facts(RELEASE, FactKind.PROBE, FactKind.REVISION, FactKind.WORKLOAD)
    if not any(str(number) in fact.text or str(number) in json.dumps(fact.data) for fact in cited):
        assert not accepts(said.format(number), RELEASE, *cited) or number in {0, 100}, "0 and 100 % follow from what is stated"


@given(st.text(max_size=200))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_words_are_judged_without_an_error(text: str) -> None:
    claim = Claim.model_construct(text=text or "x", facts=(RELEASE.facts[0].id,), quotes=())
    said = Diagnosis.model_construct(**{**dict(diagnose(RELEASE)), "claims": (claim,)})
    checks = check_quality(said, RELEASE, now=RELEASE.taken_at, max_age_seconds=120).checks
    assert not any("could not be evaluated" in check.reason for check in checks if check.rule in {"Q-NUMBERS", "Q-NAMED"})


def test_a_counter_that_is_none_shows_nothing() -> None:
    odd = altered(RELEASE, of(FactKind.WORKLOAD, "checkout"), desired=None, ready=None, available=None, updated=None, total=None)
    assert not accepts("3 replicas of checkout are ready.", odd, *facts(odd, FactKind.PROBE))
