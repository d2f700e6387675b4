"""What an API fault proxy can do to a request, and which requests it does it to. Data only; `fault_proxy` carries it out."""

from __future__ import annotations

import base64
import binascii
import json
import re
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

Do = Literal["refuse", "error", "throttle", "hang", "drop_watch", "lose_reply", "hold_reply", "late", "overtake"]
"""What happens to the request.

refuse: the connection is cut before the cluster hears of it. error: a 5xx Status. throttle: 429 with Retry-After. hang: no answer.
drop_watch: the stream is cut after its first bytes. lose_reply: the cluster carries it out, then the connection is cut.
hold_reply: the cluster carries it out, and no answer ever comes. late: the cluster hears of it only once whoever asked has gone.
overtake: somebody else's `request` is made first, and then this one passes.
"""

FIELDS = {"method", "path", "user", "do", "status", "retry_after", "times", "skip", "request"}


@dataclass(frozen=True)
class Foreign:
    """A request that somebody else makes, an administrator by their token; `body` is JSON."""

    method: str
    path: str
    body: Any = None
    content_type: str = "application/json"


@dataclass
class Rule:
    """One fault: the requests that match get it, `times` of them (None: all), after the first `skip` matching ones got through.

    `path` is a regular expression searched in `/path?query`; `user` is the name that the API server would authenticate.
    """

    do: Do
    method: str | None = None
    path: re.Pattern[str] = field(default_factory=lambda: re.compile(""))
    user: str | None = None
    status: int = 503
    retry_after: int = 1
    times: int | None = None
    skip: int = 0
    request: Foreign | None = None

    def takes(self, method: str, path: str, user: str | None) -> bool:
        """Whether this request gets the fault; counts it."""
        if self.times == 0 or (self.method and self.method != method) or (self.user and self.user != user):
            return False
        if not self.path.search(path):
            return False
        if self.skip:
            self.skip -= 1
            return False
        if self.times is not None:
            self.times -= 1
        return True


def parse_rules(message: Any) -> list[Rule]:
    """The rules of one `{"rules": [...]}` message. Raises ValueError with a sentence that names what is wrong."""
    if not isinstance(message, dict) or not isinstance(message.get("rules"), list):
        raise ValueError('expected {"rules": [...]}')  # noqa: TRY004  one class of error for whatever is wrong with the text
    return [_parse_rule(rule) for rule in message["rules"]]


def _parse_rule(rule: Any) -> Rule:
    if not isinstance(rule, dict) or rule.get("do") not in get_args(Do):
        raise ValueError(f"a rule needs 'do', one of {', '.join(get_args(Do))}: {rule!r}")
    unknown = sorted(set(rule) - FIELDS)
    if unknown:
        raise ValueError(f"a rule has no field {', '.join(unknown)}; it has {', '.join(sorted(FIELDS))}")
    try:
        path = re.compile(rule.get("path") or "")
    except re.error as error:
        raise ValueError(f"the path {rule['path']!r} is not a regular expression: {error}") from error
    method = rule.get("method")
    return Rule(
        do=rule["do"],
        method=method.upper() if method else None,
        path=path,
        user=rule.get("user"),
        status=int(rule.get("status") or 503),
        retry_after=int(rule.get("retry_after") or 1),
        times=rule.get("times"),
        skip=int(rule.get("skip") or 0),
        request=_foreign(rule),
    )


def _foreign(rule: dict[str, Any]) -> Foreign | None:
    """What overtakes: named where that is what the rule does, and nowhere else."""
    said = rule.get("request")
    if (rule["do"] == "overtake") != (said is not None):
        raise ValueError(f"overtake, and nothing else, needs a 'request': {rule!r}")
    if said is None:
        return None
    wanted = {"method", "path", "body", "content_type"}
    if not isinstance(said, dict) or not {"method", "path"} <= said.keys() <= wanted:
        raise ValueError(f"a request is an object of {', '.join(sorted(wanted))}, of which method and path are needed: {said!r}")
    return Foreign(**said)


def user_of(authorization: str | None) -> str | None:
    """The user a bearer token claims to be (the `sub` of a JWT, unverified: the API server decides who it is), else None."""
    scheme, _, token = (authorization or "").partition(" ")
    parts = token.split(".")
    if scheme.lower() != "bearer" or len(parts) != 3:
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (binascii.Error, ValueError):
        return None
    subject = claims.get("sub") if isinstance(claims, dict) else None
    return subject if isinstance(subject, str) else None
