"""LiteLLM Router in a process and an environment of its own: JSON lines in, JSON lines out. Run by `litellm_router`.

    in   {"do": "open", "url", "key", "hops", "stream", "hop_seconds", "cut_off_seconds", "cools", "guarded", "request"}
         {"do": "ask", "of": number}
    out  {"versions": {...}}     once, when it is ready
         {"opened": number}      of a fresh Router
         {"heard": {"model", "calls", "text"}, "cpu_ms"}    or {"failed": words, "cpu_ms"} or {"waiting": true, "cpu_ms"}

The Router has what its documentation offers: retries off (they come before the fallback); fallbacks for errors, for context windows
and for content policies; timeouts for the call and for the first chunk; cooldown after the first failure; if
it is guarded, a guardrail that knows our schema and rejects what is no diagnosis. No guardrail sees a stream.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
import time
from importlib.metadata import version
from typing import Any

os.environ |= {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "CRITICAL"}  # nothing is fetched, nothing is printed

import jsonschema  # type: ignore[import-untyped]
import litellm  # type: ignore[import-not-found]
from litellm.integrations.custom_guardrail import CustomGuardrail  # type: ignore[import-not-found]

COOLDOWN_SECONDS = 20.0
SETTLE_SECONDS = 0.002


def settle() -> None:
    """What was built so far is nobody's time, and its garbage neither: no collection goes through it again."""
    gc.collect()
    gc.freeze()


class OnlyDiagnoses(CustomGuardrail):  # type: ignore[misc]
    """Lets exactly one call of the tool pass, with arguments that fit its schema, from a model that had not been cut off."""

    def __init__(self, function: dict[str, Any]) -> None:
        super().__init__(guardrail_name="only-diagnoses", event_hook="post_call", default_on=True)
        self._name = function["name"]
        self._schema = jsonschema.Draft202012Validator(function["parameters"])

    async def async_post_call_success_deployment_hook(self, request_data: Any, response: Any, call_type: Any) -> Any:  # noqa: ARG002
        (choice,) = response.choices
        calls = choice.message.tool_calls or []
        if len(calls) != 1 or calls[0].function.name != self._name or choice.finish_reason != "tool_calls":
            raise ValueError("not a diagnosis")
        self._schema.validate(json.loads(calls[0].function.arguments))
        return response


class Routed:
    """One Router with one question."""

    def __init__(self, order: dict[str, Any]) -> None:
        first, *others = order["hops"]
        fallbacks = [{first: others}]
        deadlines = {"timeout": order["hop_seconds"], "stream_timeout": order["hop_seconds"]}
        where = {"api_base": order["url"], "api_key": order["key"], "max_retries": 0}
        self._router = litellm.Router(
            model_list=[
                {"model_name": hop, "litellm_params": {"model": f"openai/{hop}", **where, **deadlines}} for hop in order["hops"]
            ],
            num_retries=0,
            fallbacks=fallbacks,
            context_window_fallbacks=fallbacks,
            content_policy_fallbacks=fallbacks,
            allowed_fails=0,
            cooldown_time=COOLDOWN_SECONDS,
            disable_cooldowns=not order["cools"],
            enable_mid_stream_fallback_continuation=True,
            **deadlines,
        )
        self._first = first
        self._request = order["request"]
        self._stream = order["stream"]
        self._cut_off_seconds = order["cut_off_seconds"]
        litellm.callbacks = [OnlyDiagnoses(order["request"]["tools"][0]["function"])] if order["guarded"] else []

    async def ask(self) -> dict[str, Any]:
        cpu = time.process_time()
        try:
            async with asyncio.timeout(self._cut_off_seconds):
                result: dict[str, Any] = {"heard": _heard(await self._answer())}
        except TimeoutError:
            result = {"waiting": True}
        except Exception as error:  # noqa: BLE001  this is the boundary of the process: whatever it is, it is the result
            result = {"failed": f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"[:300]}
        await asyncio.sleep(SETTLE_SECONDS)  # what it does afterwards is its work too
        return result | {"cpu_ms": (time.process_time() - cpu) * 1000}

    async def _answer(self) -> Any:
        if not self._stream:
            return await self._router.acompletion(model=self._first, **self._request)
        stream = await self._router.acompletion(model=self._first, stream=True, **self._request)
        return litellm.stream_chunk_builder([chunk async for chunk in stream])


def _heard(reply: Any) -> dict[str, Any]:
    message = reply.choices[0].message
    calls = [(call.function.name, call.function.arguments) for call in message.tool_calls or ()]
    return {"model": reply.model, "calls": calls, "text": message.content or ""}


async def main() -> None:
    said, sys.stdout = sys.stdout, sys.stderr  # what anybody else prints is no line of ours
    litellm.suppress_debug_info = True

    def say(message: dict[str, Any]) -> None:
        print(json.dumps(message), file=said, flush=True)

    say({"versions": {"litellm": version("litellm"), "openai": version("openai")}})
    routers: list[Routed] = []
    while line := await asyncio.to_thread(sys.stdin.readline):
        order = json.loads(line)
        if order["do"] == "open":
            routers.append(Routed(order))
            settle()
            say({"opened": len(routers) - 1})
        else:
            say(await routers[order["of"]].ask())


if __name__ == "__main__":
    asyncio.run(main())
