"""OpenTelemetry spans of model calls, by the GenAI semantic conventions. Without an SDK they cost next to nothing and go nowhere.

chat {model}     gen_ai.operation.name, gen_ai.provider.name, gen_ai.request.model, gen_ai.request.max_tokens,
                 gen_ai.usage.input_tokens, gen_ai.usage.output_tokens, error.type (our outcome word),
                 backstop.role, backstop.source
content          gen_ai.input.messages, gen_ai.output.messages: only if asked for, since evidence is somebody's, and redacted

What was not asked has no span. A reply that came and is no diagnosis is a call that went well: the record has the word for it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode, TracerProvider

from backstop.errors import ConfigError
from backstop.models.asking import Attempt, Question, Reply
from backstop.models.hop import UNREDACTED, Boundary, Hop

_PROVIDERS: Final = {"bedrock": "aws.bedrock"}
"""Where the conventions' name of a provider is not ours."""


_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")


def export_spans() -> Callable[[], None]:
    """Sends the spans of this process to where OpenTelemetry's own variables say, if they say so; returns what ends that. Raises
    `ConfigError` if the SDK for it is not installed."""
    if not any(os.environ.get(variable) for variable in _ENDPOINTS):
        return lambda: None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider as SdkProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise ConfigError(
            f"an OTLP endpoint is set and OpenTelemetry's SDK is not installed ({error})",
            todo="install backstop[otel], or unset OTEL_EXPORTER_OTLP_ENDPOINT",
        ) from error
    provider = SdkProvider(resource=Resource.create({"service.name": os.environ.get("OTEL_SERVICE_NAME", "backstop")}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    return provider.shutdown


@dataclass(frozen=True)
class Spans:
    """Makes the spans of one process. `provider` is the global one unless somebody hands in another."""

    content: bool = False
    provider: TracerProvider | None = None

    @contextmanager
    def chat(self, hop: Hop, question: Question, attempt: Attempt) -> Iterator[Callable[[Reply], None]]:
        """A span around one call. What it yields is told of the reply. The attempt is read when the call has ended."""
        spec = hop.spec
        tracer = trace.get_tracer("backstop.models", tracer_provider=self.provider)
        with tracer.start_as_current_span(
            f"chat {spec.wire}", kind=SpanKind.CLIENT, record_exception=False, set_status_on_exception=False
        ) as span:
            span.set_attribute("gen_ai.operation.name", "chat")
            span.set_attribute("gen_ai.provider.name", _PROVIDERS.get(spec.provider, spec.provider))
            span.set_attribute("gen_ai.request.model", spec.wire)
            span.set_attribute("gen_ai.request.max_tokens", question.max_output_tokens)
            span.set_attribute("backstop.role", question.role)

            def told(reply: Reply) -> None:
                if self.content and span.is_recording():
                    span.set_attributes(_content(question, reply, hop.boundary))

            try:
                yield told
            finally:
                span.set_attribute("backstop.source", attempt.source)
                if attempt.input_tokens or attempt.output_tokens:
                    span.set_attribute("gen_ai.usage.input_tokens", attempt.input_tokens)
                    span.set_attribute("gen_ai.usage.output_tokens", attempt.output_tokens)
                if attempt.outcome != "ok":
                    span.set_attribute("error.type", attempt.outcome)
                    span.set_status(StatusCode.ERROR, attempt.outcome)


def _content(question: Question, reply: Reply, boundary: Boundary) -> dict[str, str]:
    """What was asked, as the model saw it, and what was said. What cannot be redacted is left out."""
    try:
        return {
            "gen_ai.input.messages": _messages(("system", question.system), ("user", boundary(question.user))),
            "gen_ai.output.messages": _messages(*(("assistant", boundary(text)) for text in reply.contents)),
        }
    except UNREDACTED:
        return {}


def _messages(*said: tuple[str, str]) -> str:
    return json.dumps([{"role": role, "parts": [{"type": "text", "content": text}]} for role, text in said], ensure_ascii=False)
