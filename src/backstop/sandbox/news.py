"""Who is told of every commit, and in which order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from backstop.sandbox.store import Change

Listener = Callable[[Change], None]


class News:
    """Tells its subscribers of changes in commit order, even if one of them writes while it is told."""

    def __init__(self) -> None:
        self._subscribers: list[Listener] = []
        self._untold: deque[Change] = deque()
        self._telling = False

    @property
    def listeners(self) -> int:
        """How many subscriptions there are."""
        return len(self._subscribers)

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Answers the function that ends the subscription."""
        self._subscribers.append(listener)

        def end() -> None:
            if listener in self._subscribers:
                self._subscribers.remove(listener)

        return end

    def tell(self, change: Change) -> None:
        """Calls every subscriber, now or, if they are being told of an earlier change, right after that."""
        self._untold.append(change)
        if self._telling:
            return
        self._telling = True
        try:
            while self._untold:
                news = self._untold.popleft()
                for listener in tuple(self._subscribers):
                    listener(news)
        finally:
            self._telling = False
