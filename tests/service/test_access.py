"""Who is heard: with a token whoever bears it; without one this machine only, and no web page on it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from backstop.errors import ConfigError
from backstop.service import Access
from backstop.service.access import Asker, is_loopback
from tests.service.served import BEARER, MONITORING, TOKEN, Served, firing, message, served

HOOK = "/api/v1/alerts/alertmanager"
EVERYTHING = ["/api/v1/incidents", "/api/v1/incidents/x/events", "/metrics", "/api/v1/openapi.json", "/nothing"]
WRONG = [
    "",
    "Bearer",
    "Bearer ",
    "Bearer wrong",
    f"Basic {TOKEN}",
    TOKEN,
    f"Bearer {TOKEN}x",
    f"Bearer {TOKEN[:-1]}",
    "Bearer \xe9",
]


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.mark.parametrize("path", EVERYTHING)
async def test_without_the_token_nothing_is_told(tmp_path: Path, path: str) -> None:
    async with served(tmp_path, Access(token=TOKEN)) as service:
        for headers in ({}, bearer(MONITORING)):
            answered = await service.get(path, headers=headers)
            assert (answered.status, answered.headers["WWW-Authenticate"]) == (401, "Bearer")
            assert set(answered.json) == {"error", "unchanged", "todo"}


@pytest.mark.parametrize("value", WRONG)
def test_a_wrong_token_is_none(value: str) -> None:
    access = Access(token=TOKEN)
    for path in (*EVERYTHING, HOOK):
        refusal = access.refusal(path, Asker("127.0.0.1", {"authorization": value, "host": "127.0.0.1"}))
        assert refusal is not None
        assert refusal.status == 401


async def test_probes_need_no_token(tmp_path: Path) -> None:
    async with served(tmp_path, Access(token=TOKEN)) as service:
        assert (await service.get("/healthz")).status == 200
        assert (await service.get("/readyz")).status == 200


async def test_monitoring_hands_alerts_in_reads_metrics_and_approves_nothing(tmp_path: Path) -> None:
    async with served(tmp_path, Access(token=TOKEN, monitoring_token=MONITORING)) as service:
        incident = (await service.alert(message(firing()))).json["alerts"][0]["incident"]
        assert (await service.get("/metrics", headers=BEARER)).status == 200
        assert (await service.get("/api/v1/incidents", headers=BEARER)).status == 401
        said = await service.post(f"/api/v1/incidents/{incident}/approve", {"by": "am", "why": "w"}, headers=BEARER)
        assert said.status == 401


@pytest.mark.parametrize("access", [Access(), Access(monitoring_token=MONITORING)])
async def test_alerts_need_a_token_on_loopback_too(tmp_path: Path, access: Access) -> None:
    async with served(tmp_path, access) as service:
        answered = await service.post(HOOK, message(firing()))
        assert answered.status in {401, 403}
        assert "BACKSTOP_MONITORING_TOKEN" in answered.json["todo"] or "Bearer" in answered.json["todo"]
        assert await service.there.incidents.recent() == ()


FOREIGN = ["http://evil.example", "null", "https://127.0.0.1", "http://127.0.0.1", "http://localhost:1", "file://", ""]


@pytest.mark.parametrize("origin", FOREIGN)
async def test_a_page_of_another_origin_is_not_heard(service: Served, origin: str) -> None:
    assert (await service.get("/api/v1/incidents", headers={"Origin": origin})).status == 403
    word = {"by": "page", "why": "w"}
    assert (await service.post("/api/v1/incidents/x/approve", word, headers={"Origin": origin})).status == 403


async def test_the_services_own_origin_is_heard(service: Served) -> None:
    assert (await service.get("/api/v1/incidents", headers={"Origin": service.url})).status == 200


REBOUND = ["evil.example", "evil.example:8033", "127.0.0.1.evil.example", "127.0.0.1@evil.example", "10.0.0.1", "[::2]", "a b", "["]


@pytest.mark.parametrize("host", REBOUND)
async def test_a_name_that_was_rebound_to_this_machine_is_not_heard(service: Served, host: str) -> None:
    refusal = Access().refusal("/metrics", Asker("127.0.0.1", {"host": host}))
    assert refusal is not None
    parts = urlsplit(service.url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    writer.write(f"GET /api/v1/incidents HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    status = (await reader.read()).split(b" ")[1]
    writer.close()
    await writer.wait_closed()
    assert status in {b"403", b"400"}


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:8033", "localhost:8033", "LOCALHOST", "[::1]:8033", "127.8.8.8"])
def test_this_machine_is_heard_by_its_own_names(host: str) -> None:
    assert Access().refusal("/api/v1/incidents", Asker("127.0.0.1", {"host": host})) is None


@pytest.mark.parametrize("client", ["10.0.0.7", None, "not-an-address"])
def test_another_machine_is_not_heard_without_a_token(client: str | None) -> None:
    assert Access().refusal("/api/v1/incidents", Asker(client, {"host": "127.0.0.1"})) is not None


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.7", "backstop.example", ""])
def test_an_address_that_others_reach_demands_a_token(host: str) -> None:
    assert not is_loopback(host)
    with pytest.raises(ConfigError, match="BACKSTOP_TOKEN"):
        Access(monitoring_token=MONITORING).allow_bind(host)
    Access(token=TOKEN).allow_bind(host)


@pytest.mark.parametrize(
    "token", ["", "short", "x" * 19, "twenty characters and", "geheimnis-mit-ümlaut-0", "a-token\n-with-a-newline"]
)
def test_what_can_be_guessed_or_not_be_sent_is_no_token(token: str) -> None:
    for name in ("token", "monitoring_token"):
        with pytest.raises(ConfigError, match="openssl rand"):
            Access(**{name: token})


def test_monitoring_is_not_given_the_token() -> None:
    with pytest.raises(ConfigError, match="must not approve"):
        Access(token=TOKEN, monitoring_token=TOKEN)
