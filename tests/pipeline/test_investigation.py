"""A diagnoser may look closer: read-only, a bounded number of times, and whatever goes wrong is an answer, never an accident."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstop.errors import ClusterUnavailable
from backstop.events import LookedUp
from backstop.memo import kept_in
from backstop.pipeline.investigation import TOOLS, Bounds, Investigation, Lookup
from backstop.records import Claim, Diagnosis, Evidence, FactKind, Inspection, ObjectRef, OutcomeKind, Quote
from backstop.redaction import Redactor
from tests.pipeline.shop import CHECKOUT, Shop, right

POD = ObjectRef(kind="Pod", namespace="shop", name="checkout-1")
LOGS = '{"pod": "checkout-1", "container": null, "previous": false}'


@dataclass
class Case:
    """An investigation of the shop's first look."""

    shop: Shop
    told: list[Lookup] = field(default_factory=list)

    def begin(self, evidence: Evidence, **bounds: Any) -> Investigation:
        limits = {"count": 5, "seconds": 30.0, "max_bytes": 10_000} | bounds
        return Investigation(
            self.shop.cluster, self.shop.clock, evidence, Bounds(**limits), redactor=None, on_lookup=self.told.append
        )

    def outcomes(self) -> list[str]:
        return [lookup.outcome for lookup in self.told]


@pytest.fixture
def case(shop: Shop) -> Case:
    shop.cluster.inspections["Logs"] = Inspection(about=POD, lines=("first", "second"), cut=False)
    shop.cluster.inspections["EventsAbout"] = Inspection(about=POD, lines=("Warning BackOff: x" * 50,), cut=False)
    return Case(shop)


@pytest.fixture
async def evidence(shop: Shop) -> Evidence:
    seen: list[Evidence] = []

    def watching(given: Evidence) -> Diagnosis:
        seen.append(given)
        return right(given)

    shop.script(watching)
    await shop.incident()
    return seen[0]


async def test_what_is_found_is_a_fact_behind_the_others(case: Case, evidence: Evidence) -> None:
    investigation = case.begin(evidence)
    told = json.loads(await investigation.look_up("logs", LOGS))
    fact = investigation.evidence.facts[-1]
    assert told["id"] == fact.id == f"E{len(evidence.facts) + 1}"
    assert (fact.kind, fact.about.name, fact.lines()) == (FactKind.LOOKUP, "checkout-1", ("first", "second"))
    assert investigation.evidence.facts[:-1] == evidence.facts


async def test_the_same_question_twice_gets_no_second_answer(case: Case, evidence: Evidence) -> None:
    investigation = case.begin(evidence)
    await investigation.look_up("logs", LOGS)
    again = await investigation.look_up("logs", LOGS.replace(" ", ""))  # however it is written
    assert "asked exactly this before" in again
    assert case.outcomes() == ["answered", "repeated"]


async def test_the_number_is_capped(case: Case, evidence: Evidence) -> None:
    investigation = case.begin(evidence, count=2)
    for number in range(3):
        assert investigation.exhausted == (number >= 2)
        await investigation.look_up("logs", LOGS.replace("checkout-1", f"checkout-{number}"))
    assert case.outcomes() == ["answered", "answered", "exhausted"]


async def test_a_question_that_is_refused_counts_too(case: Case, evidence: Evidence) -> None:
    investigation = case.begin(evidence, count=2)
    for _ in range(3):
        await investigation.look_up("logs", "nonsense")
    assert case.outcomes() == ["refused", "refused", "exhausted"]


async def test_the_bytes_are_capped_and_the_cut_is_said(case: Case, evidence: Evidence) -> None:
    investigation = case.begin(evidence, max_bytes=12)
    await investigation.look_up("logs", LOGS)
    fact = investigation.evidence.facts[-1]
    assert (fact.lines(), fact.data["cut"]) == (("second",), True)  # the last lines: the newest
    await investigation.look_up("events", '{"name": "checkout-1"}')
    assert sum(len(f.text.encode()) for f in investigation.evidence.facts[len(evidence.facts) :]) <= 12


async def test_the_time_is_capped(case: Case, evidence: Evidence) -> None:
    class Slow(type(case.shop.cluster)):  # type: ignore[misc]
        async def inspect(self, *query: Any) -> Inspection:
            self.clock.advance(20)
            found: Inspection = await super().inspect(*query)
            return found

    case.shop.cluster.__class__ = Slow
    investigation = case.begin(evidence, seconds=30.0)
    await investigation.look_up("logs", LOGS)
    await investigation.look_up("events", '{"name": "checkout-1"}')
    assert investigation.exhausted
    assert "nothing more is looked up" in await investigation.look_up("events", '{"name": "checkout-2"}')


async def test_a_cluster_that_fails_is_an_answer(case: Case, evidence: Evidence) -> None:
    investigation = case.begin(evidence)
    case.shop.cluster.read_error = ClusterUnavailable("the API server does not answer")
    assert await investigation.look_up("logs", LOGS) == "failed: the API server does not answer."
    assert not investigation.exhausted


async def test_revisions_are_compared(case: Case, evidence: Evidence) -> None:
    investigation = case.begin(evidence)
    arguments = '{"deployment": "checkout", "from_revision": 3, "to_revision": 2}'
    assert "demo/web:1.0 -> demo/web:1.2-errors" in json.loads(await investigation.look_up("diff_revisions", arguments))["text"]
    assert "has no revision 9" in await investigation.look_up("diff_revisions", arguments.replace("2}", "9}"))


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("delete", '{"name": "checkout"}'),
        ("logs", ""),
        ("logs", "[]"),
        ("logs", LOGS.replace("checkout-1", "../secrets")),
        ("logs", LOGS.replace("checkout-1", "*")),
        ("logs", LOGS[:-1] + ', "follow": true}'),
        ("describe", '{"kind": "Secret", "name": "prod-db-credentials"}'),
        ("describe", '{"kind": "Deployment", "name": "checkout", "namespace": "kube-system"}'),
        ("probe", '{"service": "checkout", "path": "http://elsewhere/"}'),
        ("probe", '{"service": "checkout", "path": "/?delete=all"}'),
        ("diff_revisions", '{"deployment": "checkout", "from_revision": -1, "to_revision": 2}'),
    ],
)
async def test_what_is_not_on_offer_is_refused_before_anything_is_read(
    case: Case, evidence: Evidence, tool: str, arguments: str
) -> None:
    case.shop.cluster.reads.clear()
    await case.begin(evidence).look_up(tool, arguments)
    assert case.outcomes() == ["refused"]
    assert case.shop.cluster.reads == []


@given(tool=st.sampled_from([*(tool.name for tool in TOOLS), "x"]), arguments=st.text() | st.just(LOGS))
async def test_whatever_a_model_writes_is_answered(tmp_path_factory: pytest.TempPathFactory, tool: str, arguments: str) -> None:
    shop = Shop(tmp_path_factory.mktemp("shop"))
    alert = shop.alert()
    evidence = Evidence(alert=alert, taken_at=shop.clock.now(), facts=(), edges=(), omissions=())
    told: list[Lookup] = []
    bounds = Bounds(count=3, seconds=5.0, max_bytes=100)
    answer = await Investigation(shop.cluster, shop.clock, evidence, bounds, None, told.append).look_up(tool, arguments)
    assert answer
    assert len(told) == 1


async def test_a_fact_that_was_looked_up_can_be_cited_and_is_judged_like_any_other(shop: Shop) -> None:
    shop.cluster.inspections["Logs"] = Inspection(about=CHECKOUT.ref(), lines=("KeyError: currency",), cut=False)

    def citing(line: str) -> Any:
        def answer(evidence: Evidence) -> Diagnosis:
            looked = evidence.facts[-1]
            claim = Claim(text="it lacks a currency", facts=(looked.id,), quotes=(Quote(fact=looked.id, line=line),))
            said = right(evidence)
            return said.model_copy(update={"claims": (*said.claims, claim)})

        return answer

    for line, ends in (("KeyError: currency", OutcomeKind.RESOLVED), ("KeyError", OutcomeKind.ESCALATED)):
        shop.script(citing(line))
        shop.models.lookups = (("logs", LOGS),)
        assert (await shop.incident()).kind is ends
        break_again(shop)
    assert len(shop.events(LookedUp)) >= 2


def break_again(shop: Shop) -> None:
    shop.cluster.release("checkout", "demo/web:1.2-errors")
    shop.clock.advance(7200)


PASSWORD = "Tr0ub4dor-and-3-staples"


@dataclass
class InMemory:
    """A `Memo`."""

    kept: dict[str, str] = field(default_factory=dict)

    async def put(self, key: str, answer: str) -> None:
        self.kept[key] = answer


async def test_a_step_that_is_taken_anew_is_given_what_was_looked_up_before(shop: Shop, evidence: Evidence) -> None:
    """The same facts, the time they took, and the secrets that came to be known by them; and what was never asked is asked."""
    memo, said, used = InMemory(), [], []
    for lines in (f"password={PASSWORD}",), ("something else by now",):
        shop.cluster.inspections["Logs"] = Inspection(about=POD, lines=lines, cut=False)
        shop.cluster.inspections["EventsAbout"] = Inspection(about=POD, lines=(f"refused: {PASSWORD}",), cut=False)
        bounds, redactor = Bounds(5, 30.0, 10_000), Redactor(b"the incident's")
        investigation = Investigation(shop.cluster, shop.clock, evidence, bounds, redactor, on_lookup=lambda _lookup: None)
        with kept_in(memo, "diagnose 3"):
            said.append([await investigation.look_up("logs", LOGS), await investigation.look_up("logs", LOGS)])
        used.append((investigation.used, dict(redactor.found)))
        after = await investigation.look_up("events", '{"name": "checkout-1"}')
        assert PASSWORD not in after
        assert "<redacted-" in after
    assert said[0] == said[1]
    assert "repeated" in said[0][1]
    assert used[0] == used[1]
    assert shop.cluster.reads.count("inspect") == 3
