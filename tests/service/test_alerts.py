"""Alertmanager's webhook: kept before it is answered, one incident per workload and firing, nothing silently dropped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from backstop.engine.port import Submitted
from backstop.errors import EngineError
from backstop.records import Alert
from backstop.service.alertmanager import MAX_ALERTS
from tests.service.served import BEARER, Broken, Served, firing, message, served

HOOK = "/api/v1/alerts/alertmanager"


async def submitted(service: Served) -> list[tuple[str, str]]:
    return [(one.target.name, one.summary) for one in await service.there.incidents.recent()]


async def test_a_firing_alert_is_an_incident_when_it_is_answered(service: Served) -> None:
    answered = await service.alert(message(firing()))
    (one,) = answered.json["alerts"]
    assert (answered.status, one["result"], one["new"], one["fingerprint"]) == (200, "incident", True, "c0ffee0000000001")
    kept = await service.there.incidents.find(one["incident"])
    assert (kept.target.namespace, kept.target.name, kept.alert) == ("shop", "checkout", "HighErrorRate")
    assert kept.summary == "requests to checkout fail"
    assert kept.started_at.isoformat() == "2026-01-01T01:00:00.123456+00:00"


async def test_a_repeat_is_the_same_incident(service: Served) -> None:
    first = (await service.alert(message(firing()))).json["alerts"][0]
    again = (await service.alert(message(firing(), groupKey="another"))).json["alerts"][0]
    assert (again["incident"], again["new"]) == (first["incident"], False)
    assert len(await submitted(service)) == 1


async def test_one_that_fires_again_later_is_another(service: Served) -> None:
    await service.alert(message(firing()))
    assert (await service.alert(message(firing(startsAt="2026-01-01T01:00:04Z")))).json["alerts"][0]["new"]
    assert len(await submitted(service)) == 2


async def test_alerts_of_one_workload_are_one_incident_named_after_the_first_to_fire(service: Served) -> None:
    later = firing(fingerprint="b", startsAt="2026-01-01T01:00:03Z", labels={**firing()["labels"], "alertname": "SlowCheckout"})
    answered = (await service.alert(message(later, firing(), firing("catalog", fingerprint="c")))).json["alerts"]
    assert answered[0]["incident"] == answered[1]["incident"] != answered[2]["incident"]
    assert sorted(await submitted(service)) == [
        ("catalog", "requests to catalog fail"),
        ("checkout", "requests to checkout fail (and 1 more: SlowCheckout)"),
    ]
    assert not (await service.alert(message(firing()))).json["alerts"][0]["new"], "the first one's own repeat is that incident"


async def test_what_is_resolved_needs_no_incident(service: Served) -> None:
    (one,) = (await service.alert(message(firing(status="resolved"), status="resolved"))).json["alerts"]
    assert (one["result"], one["incident"]) == ("resolved", None)
    assert await submitted(service) == []
    assert 'backstop_alerts_total{result="resolved"} 1\n' in (await service.get("/metrics")).text


IGNORED: dict[str, tuple[dict[str, Any], str]] = {
    "no namespace": ({"deployment": "checkout"}, "no label namespace"),
    "no workload": ({"namespace": "shop"}, "none of the labels"),
    "another namespace": ({"namespace": "bank", "deployment": "checkout"}, "lists no deployment/checkout in namespace bank"),
    "another workload": ({"namespace": "shop", "deployment": "prod-db"}, "lists no deployment/prod-db"),
    "no name": ({"namespace": "shop", "deployment": "../../etc"}, "no name that Kubernetes can have"),
    "a terminal's words": ({"namespace": "shop", "deployment": "a\x1b[2J\u202e"}, "no name that Kubernetes can have"),
    "a wildcard": ({"namespace": "*", "deployment": "checkout"}, "no name that Kubernetes can have"),
    "a look-alike": ({"namespace": "shop", "deployment": "сheckout"}, "no name that Kubernetes can have"),  # noqa: RUF001
    "a StatefulSet": ({"namespace": "shop", "workload": "checkout", "workload_type": "statefulset"}, "about a statefulset"),
    "a pod of a StatefulSet": ({"namespace": "shop", "pod": "checkout-0"}, "not called as a Deployment's pods are"),
    "a deployment that leads nowhere beside a pod that does": (
        {"namespace": "shop", "deployment": "prod-db", "pod": "checkout-5d4c8b7f9d-x2x4z"},
        "lists no deployment/prod-db",
    ),
}


@pytest.mark.parametrize(("labels", "reason"), IGNORED.values(), ids=IGNORED.keys())
async def test_what_names_no_listed_workload_is_ignored_with_a_reason_and_logged(
    service: Served, caplog: pytest.LogCaptureFixture, labels: dict[str, str], reason: str
) -> None:
    answered = await service.alert(message(firing(labels=labels)))
    (one,) = answered.json["alerts"]
    assert (answered.status, one["result"]) == (200, "ignored")
    assert reason in one["reason"]
    assert "\x1b" not in one["reason"]
    (line,) = caplog.messages
    assert json.loads(line)["event"] == "alert_ignored"
    assert line.isascii()
    assert line.isprintable()
    assert await submitted(service) == []


FOUND: dict[str, dict[str, str]] = {
    "deployment": {"namespace": "shop", "deployment": "checkout"},
    "workload": {"namespace": "shop", "workload": "checkout", "workload_type": "deployment"},
    "pod": {"namespace": "shop", "pod": "checkout-5d4c8b7f9d-x2x4z"},
    "service": {"namespace": "shop", "service": "checkout"},
    "the subject, not its exporter": {
        "namespace": "monitoring", "pod": "kube-state-metrics-0", "exported_namespace": "shop",
        "exported_pod": "checkout-5d4c8b7f9d-x2x4z",
    },
}  # fmt: skip


@pytest.mark.parametrize("labels", FOUND.values(), ids=FOUND.keys())
async def test_the_workload_is_read_from_labels(service: Served, labels: dict[str, str]) -> None:
    assert (await service.alert(message(firing(labels=labels)))).json["alerts"][0]["result"] == "incident"
    assert (await submitted(service))[0][0] == "checkout"


async def test_one_alert_that_cannot_be_read_does_not_take_the_others_with_it(service: Served) -> None:
    broken = [5, None, {}, firing(startsAt="soon"), firing(startsAt="0001-01-01T00:00:00+14:00"), firing(fingerprint="../x")]
    answered = await service.alert(message(*broken, firing()))
    assert answered.status == 200
    assert [one["result"] for one in answered.json["alerts"]] == ["ignored"] * 6 + ["incident"]


async def test_fields_of_a_later_alertmanager_are_no_trouble(service: Served) -> None:
    assert (await service.alert(message(firing(mutedBy=[], new={"a": 1}), notificationReason="repeat"))).status == 200


@pytest.mark.parametrize("said", [[], {}, None, {"version": "3", "alerts": []}, {"version": "4"}, {"version": "4", "alerts": 5}])
async def test_what_is_no_message_is_refused_and_logged(service: Served, caplog: pytest.LogCaptureFixture, said: object) -> None:
    answered = await service.alert(said)
    assert (answered.status, set(answered.json)) == (400, {"error", "unchanged", "todo"})
    assert any("alerts_refused" in line for line in caplog.messages)


async def test_messages_are_bounded(service: Served) -> None:
    assert (await service.alert(message(firing(annotations={"summary": "x" * 2**20})))).status == 413
    many = await service.alert(message(*[{}] * (MAX_ALERTS + 1)))
    assert (many.status, "max_alerts" in many.json["todo"]) == (413, True)
    assert await submitted(service) == []


async def test_words_are_kept_on_one_line_bounded_and_without_secrets(service: Served) -> None:
    summary = "down\x1b[31m\nnow password=hunter2-and-more " + "x" * 5000
    labels = {**firing()["labels"], "alertname": "A" * 5000}
    (one,) = (await service.alert(message(firing(annotations={"summary": summary}, labels=labels)))).json["alerts"]
    kept = await service.there.incidents.find(one["incident"])
    assert "hunter2" not in kept.summary
    assert kept.summary.startswith("down now ")
    assert len(kept.summary) < 1100
    assert len(kept.alert) <= 200


async def test_a_start_in_the_future_is_now(service: Served) -> None:
    (one,) = (await service.alert(message(firing(startsAt="2031-01-01T00:00:00Z")))).json["alerts"]
    assert (await service.there.incidents.find(one["incident"])).started_at == service.there.shop.clock.now()


async def test_what_alertmanager_cut_off_is_logged(service: Served, caplog: pytest.LogCaptureFixture) -> None:
    assert (await service.alert(message(firing(), truncatedAlerts=7))).json["truncated"] == 7
    assert any(json.loads(line).get("truncated") == 7 for line in caplog.messages)


class Full(Broken):
    """Incidents that cannot keep the second alert."""

    def __init__(self) -> None:
        super().__init__(EngineError("the disk is full"))
        self.kept: list[str] = []

    async def submit(self, alert: Alert) -> Submitted:
        if self.kept:
            raise self.error
        self.kept.append(alert.id)
        return Submitted(incident=alert.id, new=True)


async def test_what_could_not_be_kept_is_not_answered_well(tmp_path: Path) -> None:
    full = Full()
    async with served(tmp_path, incidents=full) as service:  # type: ignore[arg-type]
        answered = await service.alert(message(firing(), firing("catalog", fingerprint="c")))
        assert (answered.status, answered.json["error"]) == (503, "the disk is full")
        full.kept.clear()
        assert (await service.ask("POST", HOOK, json=message(firing()), headers=BEARER)).status == 200, "and repeated it is"


@pytest.mark.parametrize("truncated", [True, "7", -1, 1.5, 1e30])
async def test_what_was_cut_off_is_a_number_or_the_message_is_none(service: Served, truncated: object) -> None:
    assert (await service.alert(message(firing(), truncatedAlerts=truncated))).status == 400
    assert (await service.alert(message(firing(), truncatedAlerts=7.0))).json["truncated"] == 7
