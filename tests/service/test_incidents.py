"""Incidents over HTTP: read, answered, cancelled; and every error is one sentence."""

from __future__ import annotations

import json
import re
from datetime import datetime
from pathlib import Path

import pytest
import yarl

from backstop.engine.port import IncidentSummary
from backstop.errors import EngineError
from backstop.events import Event
from backstop.service import Access
from tests.engine.incidents_contract import alert, asking, reached
from tests.service.served import TOKEN, Broken, Served, served

HOOK = "/api/v1/alerts/alertmanager"
WORD = {"by": "ada", "why": "the release is mine"}


async def test_incidents_are_listed_newest_first(service: Served) -> None:
    for number, name in enumerate(("checkout", "catalog")):
        await service.there.incidents.submit(alert(number, name))
    listed = (await service.get("/api/v1/incidents")).json["incidents"]
    assert [one["id"] for one in listed] == ["alert-1", "alert-0"]
    assert len((await service.get("/api/v1/incidents?limit=1")).json["incidents"]) == 1


async def test_incidents_are_listed_by_state(service: Served) -> None:
    asked = await asking(service.there)
    assert (await service.get("/api/v1/incidents?state=closed")).json["incidents"] == []
    (one,) = (await service.get("/api/v1/incidents?state=awaiting_approval")).json["incidents"]
    assert IncidentSummary.model_validate_json((await service.get(f"/api/v1/incidents/{one['id']}")).text) == asked


async def test_incidents_are_found_by_how_their_id_begins(service: Served) -> None:
    for number in (1, 2, 12):
        await service.there.incidents.submit(alert(number, "catalog"))
    page = (await service.get("/api/v1/incidents?prefix=alert-1")).json
    assert [one["id"] for one in page["incidents"]] == ["alert-12", "alert-1"]
    assert datetime.fromisoformat(page["now"]) == service.there.shop.clock.now()


async def test_events_are_the_record_itself(service: Served) -> None:
    asked = await asking(service.there)
    kept = await service.there.incidents.events(asked.id)
    told = (await service.get(f"/api/v1/incidents/{asked.id}/events")).json["events"]
    assert [one["hash"] for one in told] == [event.hash for event in kept]
    rest = (await service.get(f"/api/v1/incidents/{asked.id}/events?after={kept[1].seq}")).json["events"]
    assert [one["seq"] for one in rest] == [event.seq for event in kept[2:]]


async def test_what_is_told_can_be_verified_by_whoever_reads_it(service: Served) -> None:
    asked = await asking(service.there)
    told = (await service.get(f"/api/v1/incidents/{asked.id}/events")).json["events"]
    events = [Event.model_validate_json(json.dumps(one)) for one in told]
    assert all(event.hash == event.expected_hash() for event in events)


async def test_a_yes_over_http_makes_the_write(service: Served) -> None:
    asked = await asking(service.there)
    done = await service.post(f"/api/v1/incidents/{asked.id}/approve", WORD)
    assert (done.status, done.json["incident"]["asks"]) == (200, None)
    await reached(service.there.incidents, asked.id, "closed")
    assert service.there.writes() == 1


@pytest.mark.parametrize(("told", "state"), [("reject", "closed"), ("cancel", "cancelled")])
async def test_a_no_over_http_makes_none(service: Served, told: str, state: str) -> None:
    asked = await asking(service.there)
    assert (await service.post(f"/api/v1/incidents/{asked.id}/{told}", WORD)).status == 200
    await reached(service.there.incidents, asked.id, "closed", "cancelled")
    assert (await service.get(f"/api/v1/incidents/{asked.id}")).json["state"] == state
    assert service.there.writes() == 0


async def test_a_yes_to_another_write_is_none(service: Served) -> None:
    asked = await asking(service.there)
    refused = await service.post(f"/api/v1/incidents/{asked.id}/approve", {**WORD, "decision": "0" * 64})
    assert (refused.status, refused.json["unchanged"]) == (409, "nothing was answered")
    assert (await service.there.incidents.find(asked.id)).asks == asked.asks
    assert asked.asks is not None
    seen = asked.asks.decision[:12]
    assert (await service.post(f"/api/v1/incidents/{asked.id}/approve", {**WORD, "decision": seen})).status == 200


async def test_a_cancel_is_about_the_incident_whatever_it_asks(service: Served) -> None:
    asked = await asking(service.there)
    assert asked.asks is not None
    named = {**WORD, "decision": asked.asks.decision}
    assert (await service.post(f"/api/v1/incidents/{asked.id}/cancel", named)).status == 400
    assert (await service.there.incidents.find(asked.id)).state == "awaiting_approval"


async def test_where_nothing_is_asked_nothing_is_answered(service: Served) -> None:
    one = (await service.there.incidents.submit(alert(1, "catalog"))).incident
    await reached(service.there.incidents, one, "closed")
    refused = await service.post(f"/api/v1/incidents/{one}/approve", WORD)
    assert refused.status == 409
    assert set(refused.json) == {"error", "unchanged", "todo"}


WORDS = [
    {},
    {"by": "ada"},
    {"by": "", "why": "w"},
    {"by": " ", "why": "w"},
    {"by": "ada", "why": "w" * 201},
    {"by": "ada", "why": 5},
    {**WORD, "more": 1},
    {**WORD, "decision": "yes"},
    [],
    None,
    "ada",
]


@pytest.mark.parametrize("word", WORDS)
async def test_a_word_that_is_not_exactly_one_is_refused(service: Served, word: object) -> None:
    asked = await asking(service.there)
    refused = await service.post(f"/api/v1/incidents/{asked.id}/approve", word)
    assert (refused.status, set(refused.json)) == (400, {"error", "unchanged", "todo"})
    assert (await service.there.incidents.find(asked.id)).state == "awaiting_approval"


async def test_a_word_is_bounded_and_labelled(service: Served) -> None:
    path = "/api/v1/incidents/alert-1/approve"
    assert (await service.ask("POST", path, data=b"{}", headers={"Content-Type": "text/plain"})).status == 415
    assert (await service.post(path, {"by": "a" * 20_000, "why": "w"})).status == 413


PATHS = [
    ("GET", "/api/v1/incidents/none", 404),
    ("GET", "/api/v1/incidents/none/events", 404),
    ("GET", "/api/v1/incidents/none/receipt", 404),
    ("GET", "/api/v1/incidents/%00", 400),
    ("GET", "/api/v1/incidents/..%2f..%2fetc%2fpasswd/receipt", 404),
    ("GET", "/api/v1/incidents/...%5c/receipt", 400),
    ("GET", "/api/v1/incidents?limit=0", 400),
    ("GET", "/api/v1/incidents?limit=many", 400),
    ("GET", "/api/v1/incidents?state=lost", 400),
    ("GET", "/api/v1/incidents?prefix=%25", 400),
    ("GET", "/api/v1/incidents/x/events?after=-1", 400),
    ("GET", f"/api/v1/incidents/x/events?after={'9' * 400}", 400),
    ("GET", "/nothing", 404),
    ("GET", "/docs", 404),
    ("DELETE", "/api/v1/incidents", 405),
]


@pytest.mark.parametrize(("method", "path", "status"), PATHS)
async def test_every_error_is_one_sentence(service: Served, method: str, path: str, status: int) -> None:
    async with service.session.request(method, yarl.URL(f"{service.url}{path}", encoded=True)) as reply:
        said = await reply.json()
    assert (reply.status, set(said)) == (status, {"error", "unchanged", "todo"})
    assert "\n" not in said["error"]


async def test_a_receipt_is_given_once_there_is_one(service: Served, tmp_path: Path) -> None:
    one = (await service.there.incidents.submit(alert())).incident
    for path in (f"incidents/{one}/receipt", "receipt.pub"):
        assert "no receipt" in (await service.get(f"/api/v1/{path}")).json["error"]
    (tmp_path / "receipts").mkdir()
    (tmp_path / "receipts" / f"{one}.json").write_text('{"payload": "x"}')
    (tmp_path / "receipts" / "receipt.pub").write_text("PEM")
    assert (await service.get(f"/api/v1/incidents/{one}/receipt")).json == {"payload": "x"}
    assert (await service.get("/api/v1/receipt.pub")).text == "PEM"


async def test_the_document_of_the_api_names_every_path(service: Served) -> None:
    paths = (await service.get("/api/v1/openapi.json")).json["paths"]
    assert {"/api/v1/incidents/{incident}/approve", "/api/v1/alerts/alertmanager", "/healthz", "/metrics"} <= set(paths)
    assert "requestBody" in paths["/api/v1/incidents/{incident}/cancel"]["post"]


async def test_metrics_count_what_there_is(service: Served) -> None:
    await asking(service.there)
    ended = (await service.there.incidents.submit(alert(2, "catalog"))).incident
    await reached(service.there.incidents, ended, "closed")
    text = (await service.get("/metrics")).text
    assert 'backstop_incidents{state="awaiting_approval"} 1\n' in text
    assert "backstop_incidents_open 1\n" in text
    assert 'backstop_incident_outcomes{outcome="escalated"} 1\n' in text
    assert "# TYPE backstop_alerts_total counter\n" in text


async def test_a_database_that_is_gone_is_said_and_the_process_lives(tmp_path: Path) -> None:
    gone = Broken(EngineError("the database cannot be reached", todo="start it"))
    async with served(tmp_path, incidents=gone) as service:  # type: ignore[arg-type]
        assert (await service.get("/healthz")).status == 200
        for path in ("/readyz", "/metrics", "/api/v1/incidents"):
            answered = await service.get(path)
            assert (answered.status, answered.json["error"]) == (503, "the database cannot be reached")


async def test_a_bug_of_ours_is_one_sentence_and_one_line_of_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with served(tmp_path, incidents=Broken(KeyError("a\nb"))) as service:  # type: ignore[arg-type]
        answered = await service.get("/api/v1/incidents")
        assert (answered.status, answered.json["error"]) == (500, "Backstop itself failed")
        (line,) = caplog.messages
        assert "KeyError" in line
        assert "\n" not in line
        assert (await service.get("/healthz")).status == 200


async def test_it_is_ready_when_its_database_answers(service: Served) -> None:
    assert (await service.get("/readyz")).json == {"status": "ready"}


async def test_a_token_opens_everything(tmp_path: Path) -> None:
    async with served(tmp_path, Access(token=TOKEN)) as service:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        assert (await service.get("/api/v1/incidents", headers=headers)).status == 200
        assert (await service.get("/metrics", headers=headers)).status == 200


async def test_the_document_promises_nothing_that_is_never_answered(service: Served) -> None:
    document = (await service.get("/api/v1/openapi.json")).json
    operations = {(path, method): said for path, one in document["paths"].items() for method, said in one.items()}
    assert not [where for where, said in operations.items() if "422" in said["responses"]]
    text = json.dumps(document)
    assert "ValidationError" not in text
    for name in re.findall(r'"\$ref": "#/components/schemas/([^"]+)"', text):
        assert name in document["components"]["schemas"]
    assert "#/$defs" not in text


@pytest.mark.parametrize(("access", "needs"), [(Access(), {HOOK}), (Access(token=TOKEN), None)])
async def test_the_document_says_where_a_token_is_needed(tmp_path: Path, access: Access, needs: set[str] | None) -> None:
    async with served(tmp_path, access) as service:
        bearer = {"Authorization": f"Bearer {TOKEN}"} if access.token else {}
        paths = (await service.get("/api/v1/openapi.json", headers=bearer)).json["paths"]
    secured = {path for path, one in paths.items() if all(said["security"] for said in one.values())}
    assert secured == (needs or set(paths) - {"/healthz", "/readyz"})


async def test_what_is_no_method_here_is_told_which_are(service: Served) -> None:
    refused = await service.ask("DELETE", "/api/v1/incidents")
    assert (refused.status, refused.headers["Allow"]) == (405, "GET")
