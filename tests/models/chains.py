"""Chains that a test sets up itself: on a clock of its own, over each vendor's wire, or over a server that says what it likes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web

from backstop.clock import Clock, SystemClock
from backstop.emulator.scripts import parse_script
from backstop.emulator.server import serve
from backstop.models import Stores, build_models
from backstop.models.budget import MemorySpend
from backstop.ports import Proposal
from backstop.records import Evidence, ModelCall
from backstop.settings import load_settings
from tests.models.conftest import PRICED, Rig, evidence_of, priced

WIRES: Final = ("openai", "anthropic", "bedrock")
KEY: Final = "lane-backstop"


@asynccontextmanager
async def a_chain(
    replies: dict[str, list[Any]],
    judges: dict[str, list[Any]] | None = None,
    *,
    clock: Clock | None = None,
    on_call: Callable[[ModelCall], None] | None = None,
    spend: Any = None,
    telltale: str | None = None,
    warm: bool = True,
    **settings: Any,
) -> AsyncIterator[Rig]:
    """An emulator with that script, and a chain `first`, `second`, `third` without retries that asks it. Providers named in
    `settings` by EMULATOR as their URL are asked there too. The journal has under `leaked` which requests held the `telltale`."""
    async with AsyncExitStack() as stack:
        script = {"models": replies, "judges": judges or {}, "forbidden": [telltale] if telltale else []}
        runner, url = await serve(parse_script(script), 0)
        stack.push_async_callback(runner.cleanup)
        calls = list[ModelCall]()
        defaults = {
            "models_url": url,
            "models_api_key": KEY,
            "model_chain": ("first", "second", "third"),
            "judge_models": (),
            "models": PRICED,
            "rules_hop": False,
            "models_silent_source": "injected",
            "hop_retries": 0,
            "hop_retry_seconds": 0.02,
            "hop_deadline_seconds": 10,
        }
        chain = build_models(
            load_settings(defaults | _pointed(settings, url)),
            clock or SystemClock(),
            on_call or calls.append,
            Stores(spend=spend or MemorySpend()),
        )
        stack.push_async_callback(chain.aclose)
        if warm:
            chain.warm()
        yield Rig(url, chain, calls)


def _pointed(settings: dict[str, Any], url: str) -> dict[str, Any]:
    """The settings, with the providers that are to be asked at the emulator pointed there."""
    providers = {
        name: provider | {"url": base_of(url, provider["kind"])} if provider.get("url") == EMULATOR else provider
        for name, provider in settings.get("providers", {}).items()
    }
    return settings | {"providers": providers}


EMULATOR: Final = "http://emulator"


def base_of(url: str, kind: str) -> str:
    """What a provider of that kind has to be told for a server whose OpenAI wire is at `url`."""
    return url if kind == "openai" else url.removesuffix("/v1")


def on_wire(kind: str, name: str = "m", **more: Any) -> dict[str, Any]:
    """Settings of a chain that asks one model at the emulator, over one vendor's wire."""
    provider = {"kind": kind, "url": EMULATOR, "region": "us-east-1", "source": "injected"}
    provider |= {} if kind == "bedrock" else {"api_key": KEY}
    return {"providers": {"p": provider}, "model_chain": (f"p:{name}",), "models": {f"p:{name}": priced("a", 2.0)}, **more}


@dataclass(frozen=True)
class Heard:
    """A request as a server saw it."""

    path: str
    headers: dict[str, str]
    body: bytes


@asynccontextmanager
async def a_server(*replies: Callable[[], web.Response]) -> AsyncIterator[tuple[str, list[Heard]]]:
    """A server that gives these replies one after the other, the last one for ever, whatever it is asked. Its address without a
    path, and what it was asked."""
    heard = list[Heard]()

    async def answer(request: web.Request) -> web.Response:
        heard.append(Heard(request.path, {k.lower(): v for k, v in request.headers.items()}, await request.read()))
        return replies[min(len(heard), len(replies)) - 1]()

    app = web.Application(client_max_size=1 << 26)
    app.add_routes([web.route("*", "/{path:.*}", answer)])
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}", heard
    finally:
        await runner.cleanup()


def incident(name: str, scene: str = "bad_release") -> Evidence:
    """The evidence of an incident of that name."""
    evidence = evidence_of(scene)
    return evidence.model_copy(update={"alert": evidence.alert.model_copy(update={"id": name})})


async def diagnosed(built: Rig, evidence: Evidence, *, attempt: int = 0, investigation: Any = None) -> Proposal:
    """One diagnosis, with nothing rejected before that is worth telling, behind whoever proposed last for the same alert."""
    told, behind = ("no",) * attempt, built.proposers.get(evidence.alert.id)
    proposal = await built.chain.diagnose(evidence, attempt=attempt, rejected=told, behind=behind, investigation=investigation)
    built.proposers[evidence.alert.id] = proposal.model
    return proposal


async def until(built: Rig, **said: Any) -> None:
    """Comes back as soon as the emulator's journal has an entry that says that."""
    while True:
        for entry in await built.journal():
            if said.items() <= entry.items():
                return
