"""Whatever is posted, each alert ends in exactly one place, only listed workloads become incidents, and no garbage is a 5xx."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backstop.policy import DEFAULT
from backstop.service.alertmanager import Message, sort_alerts, words
from tests.service.served import BEARER, firing, message, served

NOW = datetime(2026, 1, 2, tzinfo=UTC)

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
names = st.sampled_from(["shop", "checkout", "catalog", "checkout-5d4c8b7f9d-x2x4z", "prod-db", "a" * 300]) | text
labels = st.dictionaries(
    st.sampled_from(["namespace", "deployment", "workload", "workload_type", "pod", "service", "exported_pod", "alertname"]) | text,
    names,
    max_size=8,
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4),
    max_leaves=20,
)
moments = st.datetimes(timezones=st.timezones() | st.just(UTC)).map(lambda at: at.isoformat()) | text
alerts = st.builds(
    lambda labels, annotations, at, fingerprint, status: firing(
        labels=labels, annotations=annotations, startsAt=at, fingerprint=fingerprint, status=status
    ),
    labels,
    st.dictionaries(st.sampled_from(["summary", "description"]), text),
    moments,
    st.text("0123456789abcdef", min_size=1, max_size=16) | text,
    st.sampled_from(["firing", "firing", "resolved", "pending"]),
)


def sort(raw: list[Any]) -> tuple[dict[int, str], list[str]]:
    """Which places are answered how, and the ids that are submitted."""
    found = sort_alerts(Message.model_validate(message(*raw)), DEFAULT, NOW)
    places = {place: alert.id for alert, those in found.groups for place in those}
    assert places.keys().isdisjoint(found.others)
    for alert, _ in found.groups:
        assert DEFAULT.workload(alert.target) is not None
        assert alert.started_at <= NOW
        assert alert.summary.isprintable() or "\ufffd" in alert.summary or "\n" not in alert.summary
        assert len(alert.summary) <= 1300
    assert len({alert.target for alert, _ in found.groups}) == len(found.groups)
    assert all(other.reason for other in found.others.values())
    return {**places, **{place: other.result for place, other in found.others.items()}}, [alert.id for alert, _ in found.groups]


@settings(deadline=None)
@given(st.lists(alerts | json_values, max_size=8))
def test_each_alert_is_in_exactly_one_place(raw: list[Any]) -> None:
    answered, _ = sort(raw)
    assert sorted(answered) == list(range(len(raw)))


@settings(deadline=None)
@given(st.lists(alerts, max_size=6), st.randoms())
def test_the_order_of_alerts_names_no_other_incident(raw: list[Any], random: Any) -> None:
    _, ids = sort(raw)
    random.shuffle(raw)
    assert sorted(sort(raw)[1]) == sorted(ids)


@given(st.text(), st.integers(1, 300))
def test_words_fit_on_one_line(raw: str, length: int) -> None:
    said = words(raw, length)
    assert len(said) <= length
    assert len(said.splitlines()) <= 1
    assert "\x1b" not in said


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.binary(max_size=200) | json_values | st.just(b"[" * 5000) | st.just(b'{"version":"4","alerts":5}'), max_size=4))
async def test_no_garbage_is_a_failure_of_ours(tmp_path_factory: Any, bodies: list[Any]) -> None:
    directory: Path = tmp_path_factory.mktemp("garbage")
    headers = {**BEARER, "Content-Type": "application/json"}
    async with served(directory) as service:
        for body in bodies:
            sent = {"data": body} if isinstance(body, bytes) else {"json": body}
            for path in ("/api/v1/alerts/alertmanager", "/api/v1/incidents/none/approve"):
                assert 400 <= (await service.ask("POST", path, headers=headers, **sent)).status < 500
