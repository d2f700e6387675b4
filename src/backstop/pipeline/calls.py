"""Carries word of every model call from the chain, which is built once, to the incident that is being worked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from backstop.records import ModelCall

_listener: ContextVar[Callable[[ModelCall], None] | None] = ContextVar("backstop_model_calls", default=None)


class CallFeed:
    """Given to the chain as its `on_call`. Each incident hears of the calls that were made in its own context."""

    def __call__(self, call: ModelCall) -> None:
        listener = _listener.get()
        if listener is not None:
            listener(call)

    @contextmanager
    def heard_by(self, listener: Callable[[ModelCall], None]) -> Iterator[None]:
        token = _listener.set(listener)
        try:
            yield
        finally:
            _listener.reset(token)
