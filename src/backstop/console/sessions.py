"""Who looks at a page, and proof that a form came from one of ours.

A session is a signed cookie, good for one working day and for this process: after a restart everybody signs in again, and a form
of before is refused.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from backstop.clock import Clock

COOKIE: Final = "backstop_session"
LIFETIME: Final = timedelta(hours=12)
NAME_LENGTH: Final = 100


@dataclass(frozen=True)
class Session:
    """`name` is what approvals record; empty until somebody gave one. `trusted`: whoever it is bore the service's token."""

    id: str
    name: str
    trusted: bool
    since: datetime


@dataclass
class Sessions:
    """Issues and reads sessions. `key` is this process's own."""

    clock: Clock
    key: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)
    _ended: dict[str, datetime] = field(default_factory=dict)

    def issue(self, name: str = "", *, trusted: bool = False, id: str | None = None) -> tuple[Session, str]:  # noqa: A002
        """A session, and the cookie that bears it. `id` keeps an earlier one's forms good."""
        session = Session(id or secrets.token_urlsafe(18), name, trusted, self.clock.now())
        content = json.dumps([session.id, session.name, session.trusted, session.since.timestamp()]).encode()
        text = base64.urlsafe_b64encode(content).decode()
        return session, f"{text}.{self._mac('session', text)}"

    def read(self, cookie: str | None) -> Session | None:
        """The session that a cookie bears; None for one that we did not sign, that is too old, or that was ended."""
        text, _, mac = (cookie or "").rpartition(".")
        if not text or not hmac.compare_digest(mac.encode(), self._mac("session", text).encode()):
            return None
        try:
            known, name, trusted, since = json.loads(base64.urlsafe_b64decode(text))
            session = Session(known, name, trusted, datetime.fromtimestamp(since, tz=self.clock.now().tzinfo))
        except (ValueError, TypeError, binascii.Error):
            return None
        old = self.clock.now() - session.since > LIFETIME
        return None if old or session.id in self._ended else session

    def end(self, session: Session) -> None:
        """Its cookie is worth nothing from now on."""
        now = self.clock.now()
        self._ended = {known: at for known, at in self._ended.items() if now - at <= LIFETIME} | {session.id: now}

    def csrf(self, session: Session) -> str:
        """What each form of this session carries."""
        return self._mac("form", session.id)

    def is_from(self, session: Session, token: str) -> bool:
        """Whether a form came from a page of this session."""
        return hmac.compare_digest(token.encode("utf-8", "surrogateescape"), self.csrf(session).encode())

    def _mac(self, purpose: str, text: str) -> str:
        return hmac.new(self.key, f"{purpose}:{text}".encode("utf-8", "surrogateescape"), hashlib.sha256).hexdigest()
