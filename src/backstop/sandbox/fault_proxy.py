"""A TLS reverse proxy in front of an API server that fails on demand: `python -m backstop.sandbox.fault_proxy`.

Started by a drill, one per lane. Clients get a kubeconfig that names the proxy and the cluster's own CA, so they cannot tell. Rules
come as JSON lines on standard input (`fault_rules`) and replace the ones before; each line is answered by one on standard output,
and so is every fault that fires. The end of standard input ends the process. Streams (watches, logs, proxied services) pass through
as they come; upgraded connections (exec, port-forward) do not.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import json
import signal
import ssl
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from aiohttp import ClientError, ClientSession, ClientTimeout, TCPConnector, web
from yarl import URL

from backstop.sandbox.fault_rules import Foreign, Rule, parse_rules, user_of

HOP_BY_HOP = {
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
}
AUTOMATIC = ("Accept", "Accept-Encoding", "User-Agent", "Content-Type")
REASONS = {500: "InternalError", 503: "ServiceUnavailable", 504: "Timeout", 429: "TooManyRequests"}
MESSAGES = {
    500: "Internal error occurred: etcdserver: request timed out",
    503: "the server is currently unable to handle the request",
    504: "Timeout: request did not complete within the allotted timeout",
    429: "too many requests, please try again later",
}

LATE_SECONDS = 0.5
"""So long a late request travels on after whoever sent it is gone."""

Tell = Callable[[dict[str, Any]], None]


class FaultProxy:
    """One upstream, the rules in force, and a word to `tell` whenever one of them fires."""

    def __init__(self, upstream: str, trust: ssl.SSLContext, tell: Tell, admin_token: str | None = None) -> None:
        self._upstream = upstream.rstrip("/")
        self._trust = trust
        self._tell = tell
        self._admin_token = admin_token
        self._rules: list[Rule] = []
        self._under_way = set[asyncio.Task[None]]()
        self._session: ClientSession
        self._runner: web.AppRunner

    def obey(self, rules: list[Rule]) -> None:
        """Replaces the rules; an empty list lets everything through. Raises ValueError for a rule that cannot be carried out."""
        if self._admin_token is None and any(rule.request is not None for rule in rules):
            raise ValueError("to overtake somebody the proxy needs an administrator's kubeconfig (--admin)")
        self._rules = rules

    async def start(self, identity: ssl.SSLContext, port: int = 0) -> int:
        """Listens on 127.0.0.1 and returns the port. Raises OSError if it is taken."""
        self._session = ClientSession(
            connector=TCPConnector(ssl=self._trust, limit=0), auto_decompress=False, timeout=ClientTimeout(total=None)
        )
        app = web.Application(client_max_size=64 * 2**20)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.2)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", port, ssl_context=identity)
        await site.start()
        taken: int = self._runner.addresses[0][1]
        return taken

    async def stop(self) -> None:
        await self._runner.cleanup()
        for task in self._under_way:
            task.cancel()
        await self._session.close()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        rule = self._matching(request)
        if rule is None:
            return await self._forward(request)
        if rule.request is not None:
            await self._overtake(rule.request)
        if rule.do == "hold_reply":
            await self._carry_out(request)
        self._tell({"fired": {"do": rule.do, "method": request.method, "path": request.raw_path}})
        match rule.do:
            case "refuse":
                return _cut(request)
            case "error":
                return _status(rule.status)
            case "throttle":
                return _status(429, retry_after=rule.retry_after)
            case "hang" | "hold_reply":
                await _until_gone()
            case "late":
                return await self._late(request)
        return await self._forward(request, lose=rule.do == "lose_reply", drop=rule.do == "drop_watch")

    async def _late(self, request: web.Request) -> web.StreamResponse:
        """What was on its way when whoever asked was killed: it arrives all the same, and nobody hears the answer."""
        await request.read()  # while there is somebody to read from
        try:
            await _until_gone()
        finally:
            task = asyncio.create_task(self._carry_out(request, after=LATE_SECONDS))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)
        return _cut(request)

    async def _carry_out(self, request: web.Request, after: float = 0.0) -> None:
        """The cluster is asked; what it says goes nowhere."""
        body = await request.read()
        await asyncio.sleep(after)
        with contextlib.suppress(ClientError, ConnectionError):
            async with self._session.request(
                request.method, URL(self._upstream + request.raw_path, encoded=True), headers=_headers(request), data=body,
                skip_auto_headers=AUTOMATIC,
            ) as answer:  # fmt: skip
                await answer.read()

    def _matching(self, request: web.Request) -> Rule | None:
        user = user_of(request.headers.get("Authorization"))
        watching = request.query.get("watch") in {"true", "1"}
        candidates = (rule for rule in self._rules if rule.do != "drop_watch" or watching)
        return next((rule for rule in candidates if rule.takes(request.method, request.raw_path, user)), None)

    async def _overtake(self, foreign: Foreign) -> None:
        """Makes somebody else's request, and says so on standard output if the cluster would not have it."""
        headers = {"Authorization": f"Bearer {self._admin_token}", "Content-Type": foreign.content_type}
        url = URL(self._upstream + foreign.path, encoded=True)
        async with self._session.request(foreign.method, url, headers=headers, data=json.dumps(foreign.body).encode()) as answer:
            said = await answer.text()
        if answer.status >= 400:
            self._tell({"error": f"{foreign.method} {foreign.path}: {answer.status} {said[:300]}"})

    async def _forward(self, request: web.Request, *, lose: bool = False, drop: bool = False) -> web.StreamResponse:
        headers = _headers(request)
        body = await request.read() if request.body_exists else None
        try:
            async with self._session.request(
                request.method, URL(self._upstream + request.raw_path, encoded=True), headers=headers, data=body,
                allow_redirects=False, skip_auto_headers=AUTOMATIC,
            ) as answer:  # fmt: skip
                if lose:
                    await answer.read()
                    return _cut(request)
                response = web.StreamResponse(status=answer.status, reason=answer.reason)
                response.headers.extend((k, v) for k, v in answer.headers.items() if k.lower() not in HOP_BY_HOP)
                await response.prepare(request)
                async for chunk in answer.content.iter_any():
                    await response.write(chunk)
                    if drop:
                        return _cut(request)
                await response.write_eof()
                return response
        except (ClientError, ConnectionError):
            return _cut(request)  # the cluster is gone or cut us off: so it is for the client


async def _until_gone() -> None:
    """Until the client goes away, which cancels its handler."""
    await asyncio.Event().wait()


def _headers(request: web.Request) -> list[tuple[str, str]]:
    return [(k, v) for k, v in request.headers.items() if k.lower() not in HOP_BY_HOP | {"host", "content-length"}]


def _cut(request: web.Request) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()  # never reaches anybody: the connection is gone


def _status(code: int, *, retry_after: int | None = None) -> web.Response:
    body: dict[str, Any] = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": MESSAGES.get(code, "an error on the server has prevented the request from succeeding"),
        "reason": REASONS.get(code, "InternalError"),
        "code": code,
    }
    headers = {"Cache-Control": "no-cache, private"}
    if retry_after is not None:
        body["details"] = {"retryAfterSeconds": retry_after}
        headers["Retry-After"] = str(retry_after)
    return web.json_response(body, status=code, headers=headers)


def read_cluster(kubeconfig: Path) -> tuple[str, str]:
    """The server and the CA (PEM) of a kubeconfig's first cluster."""
    cluster = yaml.safe_load(kubeconfig.read_text(encoding="utf-8"))["clusters"][0]["cluster"]
    if "certificate-authority-data" in cluster:
        return cluster["server"], base64.b64decode(cluster["certificate-authority-data"]).decode()
    return cluster["server"], (kubeconfig.parent / cluster["certificate-authority"]).read_text(encoding="utf-8")


def read_token(kubeconfig: Path) -> str:
    """The bearer token of a kubeconfig's first user."""
    token: str = yaml.safe_load(kubeconfig.read_text(encoding="utf-8"))["users"][0]["user"]["token"]
    return token


def write_kubeconfig(original: Path, out: Path, server: str) -> None:
    """The same kubeconfig, pointing at the proxy."""
    config = yaml.safe_load(original.read_text(encoding="utf-8"))
    for entry in config["clusters"]:
        entry["cluster"]["server"] = server
        if "certificate-authority" in entry["cluster"]:
            entry["cluster"]["certificate-authority"] = str((original.parent / entry["cluster"]["certificate-authority"]).resolve())
    out.touch(mode=0o600)
    out.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")


def _say(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def _obey_line(proxy: FaultProxy, line: str) -> None:
    try:
        rules = parse_rules(json.loads(line))
        proxy.obey(rules)
    except ValueError as error:
        _say({"error": str(error)})
        return
    _say({"rules": len(rules)})


def _follow_stdin(loop: asyncio.AbstractEventLoop, proxy: FaultProxy, ended: asyncio.Event) -> None:
    """In a thread of its own: a read of standard input can be interrupted by nothing but its end."""
    for line in sys.stdin:
        if line.strip():
            loop.call_soon_threadsafe(_obey_line, proxy, line)
    if not loop.is_closed():
        loop.call_soon_threadsafe(ended.set)


async def serve(arguments: argparse.Namespace) -> None:
    """Runs until SIGTERM, SIGINT or the end of standard input."""
    originals: list[Path] = arguments.kubeconfig
    server, authority = read_cluster(originals[0])
    identity = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    identity.load_cert_chain(arguments.cert, arguments.key)
    admin = read_token(arguments.admin) if arguments.admin else None
    proxy = FaultProxy(server, ssl.create_default_context(cadata=authority), _say, admin)
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    port = await proxy.start(identity, arguments.port)
    try:
        for original, out in zip(originals, arguments.out, strict=True):
            write_kubeconfig(original, out, f"https://127.0.0.1:{port}")
        _say({"server": f"https://127.0.0.1:{port}"})
        threading.Thread(target=_follow_stdin, args=(loop, proxy, ended), daemon=True).start()
        await ended.wait()
    finally:
        await proxy.stop()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m backstop.sandbox.fault_proxy", description=__doc__)
    parser.add_argument(
        "--kubeconfig", type=Path, action="append", required=True, help="of the cluster; may be given several times"
    )
    parser.add_argument("--out", type=Path, action="append", required=True, help="the same through the proxy; one per --kubeconfig")
    parser.add_argument("--cert", type=Path, required=True, help="the cluster's serving certificate (PEM)")
    parser.add_argument("--key", type=Path, required=True, help="its key (PEM)")
    parser.add_argument("--admin", type=Path, default=None, help="kubeconfig of whoever overtakes; only that rule needs it")
    parser.add_argument("--port", type=int, default=0)
    asyncio.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
