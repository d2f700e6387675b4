"""What may go wrong with a reply: a provider's error, a page that is none of its replies, or a delivery that fails.

One function per fault. What is delivered badly is what the option `of` names. Faults of streams say what they do to a plain reply.
"""

from __future__ import annotations

import time
from email.utils import formatdate
from functools import partial
from typing import Final

from backstop.emulator import delivery
from backstop.emulator.asked import Asked
from backstop.emulator.behaviours import Answer, Play, content_of, say
from backstop.emulator.delivery import Deliver
from backstop.emulator.reading import Json
from backstop.emulator.replies import Page, Problem, Trouble

_PAGE: Final = "<!doctype html><html><head><title>{0}</title></head><body><h1>{1}</h1></body></html>"

FAULTS: Final[dict[str, Play]] = {}
"""All of them, by name."""


def _fault(play: Play) -> Play:
    FAULTS[play.__name__] = play
    return play


def sign_in_page() -> Page:
    """What a proxy shows to whoever is not signed in."""
    return Page(200, _PAGE.format("Sign in", "Sign in to continue").encode(), "text/html; charset=utf-8")


def _problem(trouble: Trouble, options: Json, *, retry_after: float | None = None) -> Answer:
    wish = options.get("retry_after", retry_after)
    return Answer(Problem(trouble, retry_after=None if wish is None else str(wish)))


def _delivered(asked: Asked, options: Json, deliver: Deliver) -> Answer:
    return Answer(say(asked, content_of(asked, options)), deliver)


@_fault
def http_429(_asked: Asked, options: Json) -> Answer:
    """Rate limited, with a `retry_after` of 3 seconds, or of as many as the option says; null: without the header."""
    return _problem("rate_limit", options, retry_after=3)


@_fault
def http_429_date(_asked: Asked, options: Json) -> Answer:
    """Rate limited; Retry-After is an HTTP date, `retry_after` (30) seconds from now."""
    date = formatdate(time.time() + float(options.get("retry_after", 30)), usegmt=True)
    return Answer(Problem("rate_limit", retry_after=date))


@_fault
def http_401(_asked: Asked, options: Json) -> Answer:
    """The key is wrong. Bedrock says so with a 403."""
    return _problem("auth", options)


@_fault
def http_402(_asked: Asked, options: Json) -> Answer:
    """Not paid. OpenAI itself has no 402, gateways on its wire do; Bedrock answers as for `quota`."""
    return _problem("payment", options)


@_fault
def http_403(_asked: Asked, options: Json) -> Answer:
    return _problem("permission", options)


@_fault
def http_404(_asked: Asked, options: Json) -> Answer:
    return _problem("not_found", options)


@_fault
def http_408(_asked: Asked, options: Json) -> Answer:
    return _problem("timeout", options)


@_fault
def http_500(_asked: Asked, options: Json) -> Answer:
    return _problem("server", options)


@_fault
def http_503(_asked: Asked, options: Json) -> Answer:
    """Not available; with `retry_after`, for that long."""
    return _problem("unavailable", options)


@_fault
def http_529(_asked: Asked, options: Json) -> Answer:
    """Overloaded; with `retry_after`, for that long. Bedrock says so with a 503."""
    return _problem("overloaded", options)


@_fault
def quota(_asked: Asked, options: Json) -> Answer:
    """The quota is used up: OpenAI's 429 `insufficient_quota`, Anthropic's 402, Bedrock's ServiceQuotaExceededException."""
    return _problem("quota", options)


@_fault
def context_length(_asked: Asked, options: Json) -> Answer:
    return _problem("context_length", options)


@_fault
def html(_asked: Asked, _options: Json) -> Answer:
    """A sign-in page with status 200."""
    return Answer(sign_in_page())


@_fault
def html_502(_asked: Asked, _options: Json) -> Answer:
    """A proxy's page: bad gateway."""
    return Answer(Page(502, _PAGE.format("502 Bad Gateway", "502 Bad Gateway").encode(), "text/html"))


@_fault
def empty_body(_asked: Asked, _options: Json) -> Answer:
    """Status 200, and Content-Length is 0."""
    return Answer(Page(200, b"", "application/json"))


@_fault
def redirect(_asked: Asked, options: Json) -> Answer:
    """302 to a sign-in page of this server, or `to` another URL, with another `status`: after a 307 clients send it all again."""
    location = str(options.get("to", "/sign-in"))
    return Answer(Page(int(options.get("status", 302)), b"", "text/html", (("Location", location),)))


@_fault
def reset(asked: Asked, options: Json) -> Answer:
    """The connection is reset before any byte."""
    return _delivered(asked, options, delivery.reset)


@_fault
def reset_after_headers(asked: Asked, options: Json) -> Answer:
    return _delivered(asked, options, delivery.reset_after_headers)


@_fault
def length_too_long(asked: Asked, options: Json) -> Answer:
    """Content-Length is larger than the body, and the connection ends with the body."""
    return _delivered(asked, options, delivery.announced_too_long)


@_fault
def length_too_short(asked: Asked, options: Json) -> Answer:
    """Content-Length is smaller than the body: clients stop reading in the middle of it."""
    return _delivered(asked, options, delivery.announced_too_short)


@_fault
def hang_connect(asked: Asked, options: Json) -> Answer:
    """The request is taken and nothing comes."""
    return _delivered(asked, options, delivery.hang_connect)


@_fault
def hang(asked: Asked, options: Json) -> Answer:
    """Headers come, the body never does."""
    return _delivered(asked, options, delivery.hang)


@_fault
def drip(asked: Asked, options: Json) -> Answer:
    """The body comes byte by byte, one per `seconds_per_byte` (0.25)."""
    return _delivered(asked, options, partial(delivery.drip, seconds=_per_byte(options)))


@_fault
def truncate(asked: Asked, options: Json) -> Answer:
    """The connection is cut in the middle of the body."""
    return _delivered(asked, options, delivery.cut)


@_fault
def broken_json(asked: Asked, options: Json) -> Answer:
    """A whole body that ends in the middle of its JSON."""
    return _delivered(asked, options, delivery.ended_early)


@_fault
def stream_hang(asked: Asked, options: Json) -> Answer:
    """A stream without a first event, which is the same as `hang`: a plain reply has headers and no body."""
    return _delivered(asked, options, delivery.hang)


@_fault
def stream_stall(asked: Asked, options: Json) -> Answer:
    """A stream hangs after its first token. A plain reply hangs in the middle of its body."""
    return _delivered(asked, options, delivery.stall)


@_fault
def stream_cut(asked: Asked, options: Json) -> Answer:
    """The connection is closed after two deltas. A plain reply: `truncate`."""
    return _delivered(asked, options, delivery.cut_stream)


@_fault
def stream_without_end(asked: Asked, options: Json) -> Answer:
    """A stream ends cleanly, with neither a finish reason nor a last event. A plain reply: `broken_json`."""
    return _delivered(asked, options, delivery.without_end)


@_fault
def stream_garbled(asked: Asked, options: Json) -> Answer:
    """The JSON of one event is broken. A plain reply: `broken_json`."""
    return _delivered(asked, options, delivery.garbled)


@_fault
def stream_error(asked: Asked, options: Json) -> Answer:
    """An error event in mid-stream. A plain reply: `http_500`."""
    if not asked.stream:
        return http_500(asked, options)
    return _delivered(asked, options, partial(delivery.broken_off, problem=Problem("server")))


@_fault
def stream_drip(asked: Asked, options: Json) -> Answer:
    """A stream waits `seconds_per_event` (1) after every event. A plain reply: `drip`."""
    seconds = float(options.get("seconds_per_event", 1.0))
    return _delivered(asked, options, partial(delivery.drip_events, seconds=seconds, seconds_per_byte=_per_byte(options)))


def _per_byte(options: Json) -> float:
    return float(options.get("seconds_per_byte", 0.25))
