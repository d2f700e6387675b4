"""The HTTP server: the three wires, `GET /v1/models`, and `GET /journal`, with `?totals=1` also sums per lane and model.

A lane is whoever asks, by its key. What a script injects is made once, for the lane that asks first, and the same bytes are played
to the others: agents that are compared get the same reply, not a similar one.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import Counter
from typing import Final

from aiohttp import web

from backstop.emulator import journal
from backstop.emulator.asked import Asked, BadRequest, Role, tokens
from backstop.emulator.behaviours import Source
from backstop.emulator.delivery import Move, Plan, Step, Wait, Write, whole
from backstop.emulator.faults import sign_in_page
from backstop.emulator.forbidden import leaked
from backstop.emulator.journal import Entry
from backstop.emulator.replies import Problem, Said
from backstop.emulator.scripts import Script
from backstop.emulator.wire import Wire, lay_out, lay_out_error
from backstop.emulator.wire_anthropic import ANTHROPIC
from backstop.emulator.wire_bedrock import BEDROCK
from backstop.emulator.wire_openai import OPENAI

SOURCE_HEADER: Final = "x-backstop-source"
MAX_REQUEST_BYTES: Final = 16 * 1024 * 1024
_LINGER_FOR_NOTHING: Final = struct.pack("ii", 1, 0)

Played = tuple[Plan, Source, str | None]
"""A reply, where it comes from, and the digest of what it says."""


class Emulator:
    """The provider's state: where each lane stands, what was injected, and the journal."""

    def __init__(self, script: Script, *, labelled: bool = True) -> None:
        self._script = script
        self._labelled = labelled
        self._steps: Counter[tuple[str, str, Role]] = Counter()
        self._injected: dict[tuple[object, ...], Played] = {}
        self.journal: list[Entry] = []

    def app(self) -> web.Application:
        """The routes."""
        app = web.Application(client_max_size=MAX_REQUEST_BYTES)
        app.add_routes(
            [
                web.post("/v1/chat/completions", self._ask_openai),
                web.post("/v1/messages", self._ask_anthropic),
                web.post("/model/{model}/converse", self._ask_bedrock),
                web.post("/model/{model}/converse-stream", self._ask_bedrock),
                web.get("/v1/models", self._models),
                web.get("/journal", self._journal),
                web.route("*", "/sign-in", self._sign_in),
            ]
        )
        return app

    async def _ask_openai(self, request: web.Request) -> web.StreamResponse:
        return await self._ask(OPENAI, request)

    async def _ask_anthropic(self, request: web.Request) -> web.StreamResponse:
        return await self._ask(ANTHROPIC, request)

    async def _ask_bedrock(self, request: web.Request) -> web.StreamResponse:
        return await self._ask(BEDROCK, request)

    async def _ask(self, wire: Wire, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        try:
            asked = wire.read(body, request.rel_url.raw_path)
        except BadRequest as problem:
            entry, played = self._refuse(wire, _lane(request), str(problem))
        else:
            entry, played = self._next(wire, _lane(request), asked)
        entry.leaked = leaked(body, self._script.forbidden)
        headers = {wire.request_id_header: f"req-{entry.n}"} | ({SOURCE_HEADER: entry.source} if self._labelled else {})
        return await _deliver(request, played, entry, headers)

    def _refuse(self, wire: Wire, lane: str, why: str) -> tuple[Entry, Played]:
        plan = whole(lay_out_error(wire, Problem("bad_request", why), ""))
        entry = Entry(
            n=self._number(),
            lane=lane,
            wire=wire.name,
            stream=False,
            model="",
            role="chat",
            index=0,
            do="bad_request",
            source="emulated",
            status=plan.status,
        )
        self.journal.append(entry)
        return entry, (plan, "emulated", None)

    def _next(self, wire: Wire, lane: str, asked: Asked) -> tuple[Entry, Played]:
        """Takes the lane's next step. Nothing is awaited here, so two requests cannot take the same one."""
        index = self._steps[lane, asked.model, asked.role]
        self._steps[lane, asked.model, asked.role] += 1
        step = self._script.step(asked.model, asked.role, index)
        key = (asked.model, asked.role, index, wire.name, asked.stream, asked.usage_wanted)
        played = self._injected.get(key)
        if played is None:
            answer = step.answer(asked)
            sha256 = answer.result.sha256 if isinstance(answer.result, Said) else None
            played = answer.deliver(lay_out(wire, asked, answer.result)), answer.source or step.source, sha256
            if played[1] == "injected":
                self._injected[key] = played
        plan, source, _ = played
        entry = Entry(
            n=self._number(),
            lane=lane,
            wire=wire.name,
            stream=asked.stream,
            model=asked.model,
            role=asked.role,
            index=index,
            do=step.do,
            source=source,
            status=plan.status,
            prompt_tokens=tokens(asked.prompt),
            prompt_chars=len(asked.prompt),
        )
        self.journal.append(entry)
        return entry, played

    def _number(self) -> int:
        return len(self.journal) + 1

    async def _models(self, _request: web.Request) -> web.Response:
        owner = "backstop-emulator" if self._labelled else "system"
        models = [{"id": model, "object": "model", "owned_by": owner} for model in self._script.models]
        return web.json_response({"object": "list", "data": models})

    async def _journal(self, request: web.Request) -> web.Response:
        return web.json_response(journal.as_json(self.journal, totals=request.query.get("totals") == "1"))

    async def _sign_in(self, _request: web.Request) -> web.Response:
        page = sign_in_page()
        return web.Response(status=page.status, body=page.body, headers={"Content-Type": page.content_type})


def _lane(request: web.Request) -> str:
    """By an API key, a bearer token, or the access key id of a signature."""
    authorization = request.headers.get("Authorization", "")
    if authorization.startswith("AWS4-HMAC-SHA256 "):
        key = authorization.partition("Credential=")[2].partition("/")[0]
    else:
        key = request.headers.get("x-api-key") or authorization.removeprefix("Bearer ").strip()
    return key.removeprefix("lane-") or "default"


async def _deliver(request: web.Request, played: Played, entry: Entry, headers: dict[str, str]) -> web.StreamResponse:
    plan, _, sha256 = played
    response = web.StreamResponse(status=plan.status, headers={**headers, **dict(plan.headers)})
    if plan.length is None:
        response.enable_chunked_encoding()
    else:
        response.headers["Content-Length"] = str(plan.length)
    try:
        for step in plan.steps:
            if isinstance(step, Write):
                entry.sha256 = sha256
            await _take(step, request, response, entry)
        if entry.ended == "under_way":
            entry.ended = "sent"
    finally:
        if entry.ended in {"under_way", "waiting"}:
            entry.ended = "client_left"
    return response


async def _take(step: Step, request: web.Request, response: web.StreamResponse, entry: Entry) -> None:
    transport = request.transport
    if transport is None:
        raise ConnectionResetError("the client has left")
    match step:
        case Move.HEAD:
            await response.prepare(request)
        case Move.HANG:
            entry.ended = "waiting"
            await asyncio.Event().wait()  # until the client goes away, or the emulator ends
        case Move.CLOSE:
            entry.ended = "closed"
            transport.close()
        case Move.RESET:
            entry.ended = "reset"
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_FOR_NOTHING)
            transport.abort()
        case Wait():
            entry.ended = "waiting"
            await asyncio.sleep(step.seconds)
            entry.ended = "under_way"
        case Write(surplus=True):  # aiohttp would hold back what is behind the announced end
            transport.write(step.data)
        case Write():
            entry.completion_tokens += step.tokens
            entry.sent_bytes += len(step.data)
            await response.write(step.data)


async def serve(script: Script, port: int, *, labelled: bool = True) -> tuple[web.AppRunner, str]:
    """Starts on loopback; returns the runner, which must be cleaned up, and the base URL. Raises OSError if the port is taken."""
    app = Emulator(script, labelled=labelled).app()
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.5)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", port)
        await site.start()
    except OSError:
        await runner.cleanup()
        raise
    host, bound = runner.addresses[0][:2]
    return runner, f"http://{host}:{bound}/v1"
