"""The fault proxy: clients cannot tell it from the API server, until a rule says otherwise."""

from __future__ import annotations

import asyncio
import base64
import datetime as dt
import ipaddress
import json
import ssl
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import ClientError, ClientSession, ClientTimeout, TCPConnector, web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from yarl import URL

from backstop.sandbox.fault_proxy import FaultProxy
from backstop.sandbox.fault_rules import parse_rules

DEPLOYMENT = "/apis/apps/v1/namespaces/shop/deployments/checkout"


def mint(folder: Path) -> tuple[Path, Path]:
    """A self-signed serving certificate for 127.0.0.1, its own CA."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kube-apiserver")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    cert_file, key_file = folder / "server.crt", folder / "server.key"
    cert_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    no_password = serialization.NoEncryption()
    key_file.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, no_password))
    return cert_file, key_file


def token_of(user: str) -> str:
    claims = base64.urlsafe_b64encode(json.dumps({"sub": user}).encode()).decode().rstrip("=")
    return f"Bearer e30.{claims}.c2ln"


class Upstream:
    """A stand-in API server that remembers what reached it."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str]] = []
        self.users: list[str | None] = []
        self.more = asyncio.Event()
        self.arrived = asyncio.Event()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.arrived.set()
        self.seen.append((request.method, request.raw_path))
        self.users.append(request.headers.get("Authorization"))
        if request.path == "/refused":
            return web.Response(status=403, text="no")
        if "watch" in request.query:
            response = web.StreamResponse(headers={"Content-Type": "application/json"})
            await response.prepare(request)
            await response.write(b'{"type":"ADDED"}\n')
            await self.more.wait()
            await response.write(b'{"type":"MODIFIED"}\n')
            return response
        if request.path == "/moved":
            return web.Response(status=307, headers={"Location": "/elsewhere"})
        answer = {"body": (await request.read()).decode(), "type": request.headers.get("Content-Type"), "path": request.raw_path}
        return web.json_response(answer, status=201 if request.method == "POST" else 200, headers={"Audit-Id": "a-1"})


class Lab:
    """The proxy as a process, the upstream behind it, and a client that trusts the CA it was given."""

    def __init__(self, upstream: Upstream, runner: web.AppRunner, process: asyncio.subprocess.Process, out: Path) -> None:
        self.upstream, self.runner, self.process = upstream, runner, process
        cluster = yaml.safe_load(out.read_text())["clusters"][0]["cluster"]
        self.server: str = cluster["server"]
        trust = ssl.create_default_context(cafile=cluster["certificate-authority"])
        self.client = ClientSession(self.server, connector=TCPConnector(ssl=trust), timeout=ClientTimeout(total=5))

    async def status(self, method: str, path: str, **options: Any) -> int:
        """Of one request, whose answer is released at once: an answer that is left lying about is a warning, and so an error."""
        async with self.client.request(method, path, **options) as answer:
            return answer.status

    async def obey(self, *rules: dict[str, Any]) -> dict[str, Any]:
        assert self.process.stdin
        self.process.stdin.write(json.dumps({"rules": list(rules)}).encode() + b"\n")
        return await self.line()

    async def line(self) -> dict[str, Any]:
        assert self.process.stdout
        answer: dict[str, Any] = json.loads(await asyncio.wait_for(self.process.stdout.readline(), 5))
        return answer


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    cert, key = mint(tmp_path)
    upstream = Upstream()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", upstream.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    identity = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    identity.load_cert_chain(cert, key)
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=identity).start()
    original, out = tmp_path / "in.yaml", tmp_path / "out.yaml"
    server = f"https://127.0.0.1:{runner.addresses[0][1]}"
    original.write_text(
        yaml.safe_dump({"clusters": [{"name": "c", "cluster": {"server": server, "certificate-authority": cert.name}}]})
    )
    admin = tmp_path / "admin.yaml"
    admin.write_text(yaml.safe_dump({"users": [{"name": "admin", "user": {"token": "admins-own"}}]}))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "backstop.sandbox.fault_proxy", "--kubeconfig", original, "--out", out, "--cert", cert, "--key", key,
        "--admin", admin,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout
    await asyncio.wait_for(process.stdout.readline(), 20)
    lab = Lab(upstream, runner, process, out)
    yield lab
    await lab.client.close()
    if process.returncode is None:
        process.terminate()
    assert await asyncio.wait_for(process.wait(), 5) == 0
    upstream.more.set()
    await runner.cleanup()


async def test_without_rules_everything_passes_as_it_is(lab: Lab) -> None:
    patch = {"Content-Type": "application/merge-patch+json"}
    exactly = URL(f"{lab.server}{DEPLOYMENT}?fieldManager=a%2Fb", encoded=True)
    async with lab.client.patch(exactly, data=b'{"spec":{}}', headers=patch) as answer:
        assert (answer.status, answer.headers["Audit-Id"]) == (200, "a-1")
        body = await answer.json()
    assert body == {"body": '{"spec":{}}', "type": "application/merge-patch+json", "path": f"{DEPLOYMENT}?fieldManager=a%2Fb"}
    async with lab.client.get("/moved", allow_redirects=False) as answer:
        assert (answer.status, answer.headers["Location"]) == (307, "/elsewhere")


async def test_a_watch_streams_as_it_happens(lab: Lab) -> None:
    async with lab.client.get("/api/v1/pods?watch=true") as answer:
        assert await answer.content.readline() == b'{"type":"ADDED"}\n'
        lab.upstream.more.set()
        assert await answer.content.readline() == b'{"type":"MODIFIED"}\n'


async def test_a_refused_request_never_reaches_the_cluster(lab: Lab) -> None:
    await lab.obey({"do": "refuse", "method": "PATCH", "path": r"/deployments/checkout(\?|$)"})
    with pytest.raises(ClientError):
        await lab.client.patch(DEPLOYMENT, data=b"{}")
    assert lab.upstream.seen == []
    assert (await lab.line())["fired"] == {"do": "refuse", "method": "PATCH", "path": DEPLOYMENT}
    assert await lab.status("get", DEPLOYMENT) == 200


async def test_a_lost_reply_is_lost_after_the_commit(lab: Lab) -> None:
    await lab.obey({"do": "lose_reply", "method": "PATCH", "times": 1})
    with pytest.raises(ClientError):
        await lab.client.patch(DEPLOYMENT, data=b"{}")
    assert lab.upstream.seen == [("PATCH", DEPLOYMENT)]
    assert await lab.status("patch", DEPLOYMENT, data=b"{}") == 200


@pytest.mark.parametrize("status", [500, 503, 504])
async def test_an_error_is_a_status_as_kubernetes_words_it(lab: Lab, status: int) -> None:
    await lab.obey({"do": "error", "status": status})
    async with lab.client.get(DEPLOYMENT) as answer:
        body = await answer.json()
    assert (answer.status, body["kind"], body["code"], body["status"]) == (status, "Status", status, "Failure")


async def test_a_throttled_request_says_when_to_come_back(lab: Lab) -> None:
    await lab.obey({"do": "throttle", "retry_after": 7})
    async with lab.client.get(DEPLOYMENT) as answer:
        body = await answer.json()
    assert (answer.status, answer.headers["Retry-After"], body["reason"]) == (429, "7", "TooManyRequests")


async def test_a_hang_answers_nothing_and_ends_with_the_client(lab: Lab) -> None:
    await lab.obey({"do": "hang"})
    with pytest.raises(TimeoutError):
        await lab.client.get(DEPLOYMENT, timeout=ClientTimeout(total=0.5))
    assert lab.upstream.seen == []


async def test_a_held_reply_is_of_a_request_that_was_carried_out(lab: Lab) -> None:
    await lab.obey({"do": "hold_reply", "times": 1})
    asking = asyncio.create_task(lab.client.patch(DEPLOYMENT, data=b"{}"))
    assert (await lab.line())["fired"]["do"] == "hold_reply"
    assert lab.upstream.seen == [("PATCH", DEPLOYMENT)]
    assert not asking.done()
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)


async def test_a_late_request_arrives_after_whoever_sent_it_is_gone(lab: Lab) -> None:
    await lab.obey({"do": "late", "times": 1})
    asking = asyncio.create_task(lab.client.patch(DEPLOYMENT, data=b"{}"))
    assert (await lab.line())["fired"]["do"] == "late"
    assert lab.upstream.seen == []
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    await asyncio.wait_for(lab.upstream.arrived.wait(), 5)
    assert lab.upstream.seen == [("PATCH", DEPLOYMENT)]


async def test_a_dropped_watch_is_cut_after_it_began_and_only_watches_are(lab: Lab) -> None:
    await lab.obey({"do": "drop_watch", "times": 1})
    assert await lab.status("get", "/api/v1/pods") == 200
    with pytest.raises(ClientError):
        async with lab.client.get("/api/v1/pods?watch=true") as answer:
            await answer.read()


async def test_a_rule_picks_its_user_its_turn_and_its_count(lab: Lab) -> None:
    await lab.obey({"do": "error", "user": "system:serviceaccount:backstop:executor", "skip": 1, "times": 2})
    mine = {"Authorization": token_of("system:serviceaccount:backstop:executor")}
    other = {"Authorization": token_of("system:serviceaccount:backstop:naive")}
    assert await lab.status("get", DEPLOYMENT, headers=other) == 200
    assert [await lab.status("get", DEPLOYMENT, headers=mine) for _ in range(4)] == [200, 503, 503, 200]


async def test_a_dry_run_can_be_told_from_the_write(lab: Lab) -> None:
    await lab.obey({"do": "error", "method": "PATCH", "path": r"^(?!.*dryRun)"})
    assert await lab.status("patch", f"{DEPLOYMENT}?dryRun=All", data=b"{}") == 200
    assert await lab.status("patch", DEPLOYMENT, data=b"{}") == 503


async def test_somebody_else_overtakes_one_write_and_the_write_itself_arrives_after_theirs(lab: Lab) -> None:
    theirs = {"method": "PATCH", "path": "/apis/theirs", "body": {"a": 1}, "content_type": "application/merge-patch+json"}
    await lab.obey({"do": "overtake", "method": "PATCH", "times": 1, "request": theirs})
    mine = {"Authorization": token_of("system:serviceaccount:backstop:executor")}
    async with lab.client.patch(DEPLOYMENT, data=b'{"b":2}', headers=mine) as answer:
        assert (answer.status, (await answer.json())["body"]) == (200, '{"b":2}')
    assert lab.upstream.seen == [("PATCH", "/apis/theirs"), ("PATCH", DEPLOYMENT)]
    assert lab.upstream.users == ["Bearer admins-own", mine["Authorization"]]
    assert (await lab.line())["fired"] == {"do": "overtake", "method": "PATCH", "path": DEPLOYMENT}
    assert await lab.status("patch", DEPLOYMENT, data=b"{}") == 200
    assert len(lab.upstream.seen) == 3


async def test_that_the_cluster_would_not_have_what_overtakes_is_said(lab: Lab) -> None:
    await lab.obey({"do": "overtake", "request": {"method": "POST", "path": "/refused"}})
    assert await lab.status("get", DEPLOYMENT) == 200
    assert (await lab.line())["error"] == "POST /refused: 403 no"
    assert "fired" in await lab.line()


@pytest.mark.parametrize(
    "rule",
    [
        {"do": "explode"},
        {"do": "error", "path": "("},
        {"do": "error", "when": "now"},
        {"do": "overtake"},
        {"do": "overtake", "request": {"path": "/x"}},
        {"do": "overtake", "request": {"method": "GET", "path": "/x", "token": "mine"}},
        {"do": "error", "request": {"method": "GET", "path": "/x"}},
    ],
)
async def test_a_rule_that_makes_no_sense_is_named_and_changes_nothing(lab: Lab, rule: dict[str, Any]) -> None:
    await lab.obey({"do": "error"})
    assert "error" in await lab.obey(rule)
    assert await lab.status("get", DEPLOYMENT) == 503


def test_without_an_administrators_token_nobody_overtakes() -> None:
    proxy = FaultProxy("https://127.0.0.1:1", ssl.create_default_context(), lambda _: None)
    (rule,) = parse_rules({"rules": [{"do": "overtake", "request": {"method": "GET", "path": "/x"}}]})
    with pytest.raises(ValueError, match="--admin"):
        proxy.obey([rule])


async def test_a_cluster_that_is_gone_is_a_cut_connection(lab: Lab) -> None:
    await lab.runner.cleanup()
    with pytest.raises(ClientError):
        await lab.client.get(DEPLOYMENT)


async def test_the_end_of_standard_input_ends_it(lab: Lab) -> None:
    assert lab.process.stdin
    lab.process.stdin.close()
    assert await asyncio.wait_for(lab.process.wait(), 5) == 0
