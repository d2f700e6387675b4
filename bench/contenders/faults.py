"""The rows of the fault matrix: what the first model does, and how often Backstop may ask it about one incident."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from contenders import Wire

HEALTHY: Final = "healthy"
"""The second model: it has no script, and is competent."""


@dataclass(frozen=True)
class Row:
    """One fault of the first model. `tries` is what the table of `backstop.models.outcomes` allows: once, and once more after what
    may pass by itself. `times` is how many questions are asked one after the other."""

    title: str
    do: str
    options: dict[str, Any] = field(default_factory=dict)
    tries: int = 1
    times: int = 1
    stream: bool = False
    lacking: tuple[Wire, ...] = ()  # the wires that have no such thing

    @property
    def model(self) -> str:
        """The first model's name. No two rows share one, and so nobody remembers it."""
        return self.title.lower().replace(" ", "-").replace(",", "")

    @property
    def script(self) -> list[dict[str, Any]]:
        """What it does, again and again."""
        return [{"do": self.do, **self.options}]


_ERRORS: Final = (
    Row("429, Retry-After 3 s", "http_429", {"retry_after": 3}),
    Row("429, Retry-After 30 s", "http_429", {"retry_after": 30}),
    Row("429, Retry-After 300 s", "http_429", {"retry_after": 300}),
    Row("quota used up", "quota"),
    Row("401", "http_401"),
    Row("403", "http_403"),
    Row("404", "http_404"),
    Row("408", "http_408"),
    Row("500", "http_500", tries=2),
    Row("502 with an HTML page", "html_502", tries=2),
    Row("503", "http_503", tries=2),
    Row("529, overloaded", "http_529", tries=2, lacking=("bedrock",)),
    Row("context length exceeded", "context_length"),
    Row("302 to a sign-in page", "redirect"),
)

_CONNECTIONS: Final = (
    Row("hang before headers", "hang_connect"),
    Row("hang after headers", "hang"),
    Row("body dripped, a byte per 0.25 s", "drip"),
    Row("reset before a byte", "reset", tries=2),
    Row("reset after headers", "reset_after_headers", tries=2),
    Row("body cut in the middle", "truncate", tries=2),
    Row("Content-Length too long", "length_too_long", tries=2),
    Row("Content-Length too short", "length_too_short"),
)

REPLIES: Final = (
    Row("200, body is broken JSON", "broken_json"),
    Row("200, empty body", "empty_body"),
    Row("200, HTML page", "html"),
    Row("no choices", "no_choices"),
    Row("empty text", "empty"),
    Row("stopped at the length limit", "length"),
    Row("tool arguments cut off", "cut_content"),
    Row("tool arguments not of the schema", "schema_invalid"),
    Row("refusal", "refusal"),
    Row("content filter", "content_filter"),
    Row("two tool calls that differ", "two_calls"),
    Row("a tool that nobody offered", "unknown_tool"),
)

_DEAD: Final = (Row("dead hop (500), 10 questions", "http_500", tries=2, times=10),)

_STREAMS: Final = (
    Row("stream: hang before the first event", "stream_hang", stream=True),
    Row("stream: stall after the first token", "stream_stall", stream=True),
    Row("stream: cut after two deltas", "stream_cut", stream=True, tries=2),
    Row("stream: ends without a finish reason", "stream_without_end", stream=True),
    Row("stream: malformed event", "stream_garbled", stream=True),
    Row("stream: error event in the middle", "stream_error", stream=True, tries=2),
    Row("stream: dripped, an event per second", "stream_drip", stream=True),
)

ROWS: Final = (*_ERRORS, *_CONNECTIONS, *REPLIES, *_DEAD, *_STREAMS)
