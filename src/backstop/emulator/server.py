"""The HTTP server: `POST /v1/chat/completions`, `GET /v1/models`, `GET /journal`.

A lane is whoever asks, by its bearer token. What a script injects is made once, for the lane that asks first, and the same bytes
are played to the others: agents that are compared get the same reply, not a similar one.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import asdict, dataclass
from typing import Final

from aiohttp import web

from backstop.emulator.scripts import Behaviour, Script
from backstop.emulator.wire_openai import Answer, Asked, BadRequest, error, read_request

SOURCE_HEADER: Final = "x-backstop-source"
MAX_REQUEST_BYTES: Final = 16 * 1024 * 1024


@dataclass(frozen=True)
class Entry:
    """One line of the journal."""

    n: int
    lane: str
    model: str
    role: str
    index: int
    do: str
    source: str
    status: int
    sha256: str | None
    prompt_tokens: int
    completion_tokens: int
    prompt_chars: int


class Emulator:
    """The provider's state: where each lane stands, what was injected, and the journal."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self._steps: Counter[tuple[str, str, str]] = Counter()
        self._injected: dict[tuple[str, str, int], Answer] = {}
        self.journal: list[Entry] = []

    def app(self) -> web.Application:
        """The routes."""
        app = web.Application(client_max_size=MAX_REQUEST_BYTES)
        app.add_routes(
            [
                web.post("/v1/chat/completions", self._complete),
                web.get("/v1/models", self._models),
                web.get("/journal", self._journal),
            ]
        )
        return app

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        try:
            asked = read_request(await request.read())
        except BadRequest as problem:
            return await _deliver(request, error(400, str(problem), kind="invalid_request_error"), "emulated")
        behaviour, answer = self._next(_lane(request), asked)
        return await _deliver(request, answer, behaviour.source)

    def _next(self, lane: str, asked: Asked) -> tuple[Behaviour, Answer]:
        """Takes the lane's next step. Nothing is awaited here, so two requests cannot take the same one."""
        index = self._steps[lane, asked.model, asked.role]
        self._steps[lane, asked.model, asked.role] += 1
        behaviour = self._script.step(asked.model, asked.role, index)
        played = self._injected.get((asked.model, asked.role, index))
        answer = played or behaviour.answer(asked)
        if behaviour.source == "injected":
            self._injected[asked.model, asked.role, index] = answer
        self.journal.append(
            Entry(
                n=len(self.journal) + 1,
                lane=lane,
                model=asked.model,
                role=asked.role,
                index=index,
                do=behaviour.do,
                source=behaviour.source,
                status=answer.status,
                sha256=answer.sha256,
                prompt_tokens=answer.prompt_tokens,
                completion_tokens=answer.completion_tokens,
                prompt_chars=len(asked.prompt),
            )
        )
        return behaviour, answer

    async def _models(self, _request: web.Request) -> web.Response:
        models = [{"id": model, "object": "model", "owned_by": "backstop-emulator"} for model in self._script.models]
        return web.json_response({"object": "list", "data": models})

    async def _journal(self, _request: web.Request) -> web.Response:
        return web.json_response({"requests": [asdict(entry) for entry in self.journal]})


def _lane(request: web.Request) -> str:
    token = request.headers.get("Authorization", "").removeprefix("Bearer ").strip()
    return token.removeprefix("lane-") or "default"


async def _deliver(request: web.Request, answer: Answer, source: str) -> web.StreamResponse:
    headers = {SOURCE_HEADER: source, "Content-Type": answer.content_type, **dict(answer.headers)}
    if answer.delivery == "whole":
        return web.Response(status=answer.status, body=answer.body, headers=headers)
    response = web.StreamResponse(status=answer.status, headers={**headers, "Content-Length": str(len(answer.body))})
    await response.prepare(request)
    if answer.delivery == "hang":
        await asyncio.Event().wait()  # until the client goes away, or the emulator ends
    elif answer.delivery == "drip":
        for at in range(len(answer.body)):
            await response.write(answer.body[at : at + 1])
            await asyncio.sleep(answer.seconds_per_byte)
    else:
        await response.write(answer.body[: len(answer.body) // 2])
        if request.transport is not None:
            request.transport.close()
    return response


async def serve(script: Script, port: int) -> tuple[web.AppRunner, str]:
    """Starts on loopback; returns the runner, which must be cleaned up, and the base URL. Raises OSError if the port is taken."""
    runner = web.AppRunner(Emulator(script).app(), access_log=None, handler_cancellation=True, shutdown_timeout=0.5)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", port)
        await site.start()
    except OSError:
        await runner.cleanup()
        raise
    host, bound = runner.addresses[0][:2]
    return runner, f"http://{host}:{bound}/v1"
