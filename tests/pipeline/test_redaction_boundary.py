"""No secret that stands in the evidence reaches a model, an event or a hand-off; what cannot be redacted is withheld."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import JsonValue

from backstop.errors import InvariantError
from backstop.events import Closed, DefenseFired, EventLog, EvidenceGathered, LookedUp
from backstop.pipeline.incident import Incident
from backstop.pipeline.redact import redact_alert, redact_look
from backstop.ports import ContainerLog, Look, Probe
from backstop.records import Alert, Diagnosis, Evidence, Inspection, ObjectRef, OutcomeKind, Rollback
from backstop.redaction import Redactor
from tests.pipeline.shop import CHECKOUT, Shop, no_fault, right

PASSWORD = "tr0ub4dor" + "-and-three-horses"
TOKEN = "sk_" + "live_" + "51Hq7yKJ2eZvb8XcTn3WmAfLd"
LINES = (f"ERROR cannot open postgres://shop:{PASSWORD}@prod-db:5432/shop", f"DEBUG again with {PASSWORD}", f"payment_key={TOKEN}")
POD = ObjectRef(kind="Pod", namespace="shop", name="checkout-1")


def words(value: Any) -> str:
    return str(value.model_dump_json()) if hasattr(value, "model_dump_json") else str(value)


def watched(shop: Shop) -> list[Evidence]:
    """What the model is shown, question by question. It answers rightly."""
    seen: list[Evidence] = []

    def watching(evidence: Evidence) -> Diagnosis:
        seen.append(evidence)
        return right(evidence)

    shop.script(watching)
    return seen


async def test_no_secret_of_a_log_gets_past_the_boundary(shop: Shop) -> None:
    shop.cluster.log_lines["checkout"] = LINES
    seen = watched(shop)
    outcome = await shop.incident()
    assert outcome.kind is OutcomeKind.RESOLVED
    for where in (words(seen[0]), shop.record.read_text(), words(outcome)):
        assert PASSWORD not in where
        assert TOKEN not in where
    assert "<redacted-" in words(seen[0])
    assert "redaction" in shop.defenses()


async def test_a_value_that_gives_itself_away_once_goes_everywhere(shop: Shop) -> None:
    shop.cluster.log_lines["checkout"] = LINES
    await shop.incident()
    (gathered,) = shop.events(EvidenceGathered)
    lines = [line for fact in gathered.evidence.facts for line in fact.lines() if "again with" in line]
    assert lines
    assert all(line.startswith("DEBUG again with <redacted-") for line in lines)


async def test_what_was_taken_out_is_counted_and_never_named(shop: Shop) -> None:
    shop.cluster.log_lines["checkout"] = LINES
    await shop.incident()
    (reason,) = [fired.reason for fired in shop.events(DefenseFired) if fired.defense == "redaction"]
    assert any(letter.isdigit() for letter in reason)
    assert PASSWORD not in reason


async def test_nothing_fires_where_there_is_nothing_to_take_out(shop: Shop) -> None:
    await shop.incident()
    assert "redaction" not in shop.defenses()


async def test_what_is_looked_up_passes_the_same_boundary(shop: Shop) -> None:
    shop.cluster.inspections["Logs"] = Inspection(about=POD, lines=LINES, cut=False)
    shop.models.lookups = (("logs", '{"pod": "checkout-1", "container": null, "previous": false}'),)
    await shop.incident()
    (looked,) = shop.events(LookedUp)
    assert looked.fact is not None
    assert "<redacted-" in looked.fact.text
    assert PASSWORD not in shop.models.answers_seen[0]
    assert PASSWORD not in shop.record.read_text()


async def test_what_a_model_says_passes_the_event_boundary(shop: Shop) -> None:
    """A model may repeat what it learned elsewhere, or make one up."""

    def leaking(evidence: Evidence) -> Diagnosis:
        return right(evidence).model_copy(update={"hypothesis": f"it fails with password={PASSWORD}"})

    shop.script(leaking)
    outcome = await shop.incident()
    assert PASSWORD not in shop.record.read_text()
    assert PASSWORD not in words(outcome)


class Broken(Redactor):
    """Fails on what holds a certain word, as a bug would."""

    def __init__(self, word: str) -> None:
        super().__init__(b"k" * 32)
        self.word = word

    def redact(self, text: str) -> str:
        if self.word in text:
            raise InvariantError("a bug of the redactor")
        return super().redact(text)

    def redact_json(self, value: JsonValue) -> JsonValue:
        if self.word in str(value):
            raise InvariantError("a bug of the redactor")
        return super().redact_json(value)


def look(*lines: str) -> Look:
    log = ContainerLog(pod=POD, container="app", previous=False, lines=lines)
    probe = Probe(service="checkout", path="/", status=500, body="boom")
    pod: dict[str, JsonValue] = {
        "kind": "Pod",
        "metadata": {"name": "checkout-1", "namespace": "shop"},
        "status": {"phase": "Running"},
    }
    return Look(namespace="shop", objects=(pod,), logs=(log,), probes=(probe,), omissions=())


@pytest.mark.parametrize(
    ("word", "about", "stays"),
    [
        ("secret line", "log of container app", "boom"),
        ("boom", "probe of service checkout", "secret line"),
        ("phase", "an object", "boom"),
    ],
)
def test_what_cannot_be_redacted_is_withheld_and_said_to_be(word: str, about: str, stays: str) -> None:
    made = redact_look(look("a secret line", "another"), Broken(word))
    kept = words(made.model_copy(update={"omissions": ()}))
    assert word not in kept
    assert stays in kept
    assert {(omission.what, omission.why) for omission in made.omissions} == {(about, "unreadable")}
    assert "withheld" in made.omissions[0].detail


async def test_the_gates_do_not_decide_on_evidence_with_a_hole_in_it(shop: Shop) -> None:
    shop.cluster.log_lines["checkout"] = ("cannot be redacted",)
    outcome = await shop.incident(redactor=lambda: Broken("cannot be redacted"))
    assert outcome.kind is OutcomeKind.ESCALATED
    assert shop.untouched()
    failed = {rule for stage, rule, passed, _ in shop.decisions() if not passed and stage == "quality_gate"}
    assert "Q-NOT-TRUNCATED" in failed


async def test_an_event_that_cannot_be_redacted_stops_what_it_would_have_been_the_record_of(shop: Shop) -> None:
    outcome = await shop.incident(redactor=lambda: Broken("revision 2 of checkout serves errors"))
    assert outcome.kind is OutcomeKind.ESCALATED
    assert "could not be redacted" in outcome.reason
    assert shop.untouched()


def test_an_alert_that_cannot_be_redacted_says_nothing(tmp_path: Path) -> None:
    alert: Alert = Shop(tmp_path).alert()
    assert redact_alert(alert, Broken("requests")).summary == "what the alert says could not be redacted"
    told = alert.model_copy(update={"summary": f"login with password={PASSWORD} fails"})
    assert PASSWORD not in redact_alert(told, Redactor(b"k")).summary


@pytest.mark.parametrize("name", ["redacted-pw-6e99cf4f"])
async def test_a_placeholder_in_an_action_refuses_it(shop: Shop, name: str) -> None:
    target = CHECKOUT.model_copy(update={"name": name})

    def writes_to_a_placeholder(evidence: Evidence) -> Diagnosis:
        action = Rollback(verb="rollback", target=target, to_revision=1)
        return right(evidence).model_copy(update={"suspect": target, "action": action})

    shop.script(writes_to_a_placeholder)
    outcome = await shop.incident()
    assert outcome.kind is OutcomeKind.ESCALATED
    assert "Q-NO-PLACEHOLDER" in {rule for _, rule, passed, _ in shop.decisions() if not passed}
    assert shop.untouched()


@pytest.mark.parametrize(
    "password",
    [
        "checkout",
        "checkout123",
        "checkout-Prod-2024",
        "prod-db",
        "Deployment",
        "ReplicaSet9Zq!",
        "deployment.kubernetes.io/revision9",
        "rollback1",
    ],
)
async def test_a_password_that_is_called_like_an_object_does_not_blind_the_diagnosis(shop: Shop, password: str) -> None:
    shop.cluster.log_lines["catalog"] = (f"DEBUG password={password}", "DEBUG user=checkout")
    outcome = await shop.incident()
    assert outcome.kind is OutcomeKind.RESOLVED, outcome.reason
    assert f"password={password}" not in shop.record.read_text()


async def test_what_a_model_says_cannot_erase_the_ending(shop: Shop) -> None:
    def said(evidence: Evidence) -> Diagnosis:
        return right(evidence).model_copy(update={"hypothesis": "it logs password=checkout9 and password=escalated1"})

    shop.script(said, opinion=False)
    outcome = await shop.incident()
    assert outcome.kind is OutcomeKind.ESCALATED
    assert outcome.handoff is not None
    assert shop.events(Closed)


@pytest.mark.parametrize("char", ["\u2028", "\u2029", "\x85", "\x1b[2J", "\x07", "\x0c"])
async def test_a_model_s_words_cannot_break_the_record_or_the_screen(shop: Shop, char: str) -> None:
    def said(evidence: Evidence) -> Diagnosis:
        told = right(evidence).model_dump(mode="json") | {"hypothesis": f"it{char}fails"}
        return Diagnosis.model_validate_json(json.dumps(told))

    shop.script(said)
    assert (await shop.incident()).kind is OutcomeKind.RESOLVED
    assert shop.bodies()
    assert char not in shop.record.read_text()
    assert (await shop.incident()).kind is not None  # and the record can be added to


async def test_a_known_secret_goes_from_the_alert_too(shop: Shop) -> None:
    shop.cluster.log_lines["checkout"] = LINES
    seen = watched(shop)
    alert = shop.alert().model_copy(update={"summary": f"login with {PASSWORD} fails"})
    with EventLog(shop.record, shop.clock) as log:
        await Incident(shop.tools(log), alert).run()
    assert PASSWORD not in words(seen[0])


def test_a_value_that_an_object_gives_away_goes_from_the_logs() -> None:
    pod: dict[str, JsonValue] = {
        "kind": "Pod", "metadata": {"name": "checkout-1", "namespace": "shop"},
        "spec": {"containers": [{"name": "app", "env": [{"name": "DB_PASSWORD", "value": PASSWORD}]}]},
    }  # fmt: skip
    seen = look(f"trying {PASSWORD}").model_copy(update={"objects": (pod,)})
    made = redact_look(seen, Redactor(b"k"))
    assert PASSWORD not in words(made)
    assert made.logs[0].lines[0].startswith("trying <redacted-")


CONFIG: dict[str, JsonValue] = {
    "kind": "ConfigMap",
    "metadata": {"name": "checkout-config"},
    "data": {
        "app.yaml": f"db:\n  password: |\n    {PASSWORD}\n  user: shop\n",
        "DB_PASSWORD": f"{PASSWORD}\nsecond",
        "log-level": "info",
    },
}


async def test_an_object_is_redacted_as_one_before_it_is_printed(shop: Shop) -> None:
    about = ObjectRef(kind="ConfigMap", namespace="shop", name="checkout-config")
    shop.cluster.inspections["Describe"] = Inspection(about=about, lines=(), cut=False, document=CONFIG)
    shop.models.lookups = (("describe", '{"kind": "ConfigMap", "name": "checkout-config"}'),)
    await shop.incident()
    (told,) = shop.models.answers_seen
    assert PASSWORD not in told
    assert "log-level: info" in told


async def test_revisions_are_redacted_before_they_are_compared(shop: Shop) -> None:
    spec = shop.cluster.deployment("checkout")["spec"]
    container = spec["template"]["spec"]["containers"][0]
    args = {"args": ["--db-password", PASSWORD], "env": [*container["env"], {"name": "DB_PWD", "value": "abc12x-q9z88"}]}
    template = {**spec["template"], "spec": {"containers": [container | args]}}
    shop.cluster.change("checkout", {**spec, "template": template})
    shop.script(no_fault)
    shop.models.lookups = (("diff_revisions", '{"deployment": "checkout", "from_revision": 2, "to_revision": 3}'),)
    await shop.incident()
    told = shop.models.answers_seen[0]
    assert "args" in told
    assert PASSWORD not in told
    assert "abc12x" not in told
