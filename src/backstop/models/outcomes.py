"""How an attempt at a hop can end, in one word, and what follows from each.

    outcome word     meaning                                     cools  billed  again
    ok               one valid answer
    rate_limited     429                                         yes    no      if Retry-After is short
    server_error     5xx, overloaded                             yes    no      yes
    unreachable      no connection: nothing was sent             yes    no      yes
    connection       reset, cut                                  yes    maybe   yes
    timeout          408, or no whole reply in the hop's time    yes    maybe   no: it would cost the same again
    quota            402, exhausted credits                      yes    no      no
    auth             401, 403                                    yes    no      no
    not_found        404: model or URL                           yes    no      no
    context_length   the evidence is too long for this model     no     no      no
    rejected         another 4xx                                 no     no      no
    refused          the provider's filter or the model refused  no     yes     no
    malformed        not what the wire promises                  no     maybe   no
    truncated        stopped at the output limit, or cut off     no     yes     no
    empty            nothing was said                            no     yes     no
    schema_invalid   not a diagnosis                             no     yes     no
    ambiguous        not exactly one diagnosis                   no     yes     no
    loop_cap         wants to look up more than it may           no     yes     no
    call_cap         the incident's cap of calls: not asked      no     no      no
    throttled        our own rate limit: not asked               no     no      no
    over_budget      its worst case does not fit: not asked      no     no      no
    unpriced         what it costs is not known: not asked       no     no      no
    withheld         what it would see could not be redacted     no     no      no
    skipped          it has no key: not asked                    no     no      no
    cancelled        cut off from outside                        no     maybe   no
    error            a bug of ours                               no     maybe   no

A hop cools when the outcome says something about the hop, not about the question. `maybe` billed is charged its estimate, and so is
whatever comes in the middle of a reply.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from backstop.errors import ModelError
from backstop.records import clean


@dataclass(frozen=True)
class Outcome:
    """What follows from one word."""

    cools: bool = False
    billed: bool = True  # or may be
    again: bool = False  # worth the same hop again, soon
    waits: bool = False  # and worth waiting for, if the provider says for how long
    asked: bool = True  # whether anything went over the wire


OUTCOMES: Final = {
    "ok": Outcome(),
    "rate_limited": Outcome(cools=True, billed=False, waits=True),
    "server_error": Outcome(cools=True, billed=False, again=True, waits=True),
    "unreachable": Outcome(cools=True, billed=False, again=True, asked=False),
    "connection": Outcome(cools=True, again=True),
    "timeout": Outcome(cools=True),
    "quota": Outcome(cools=True, billed=False),
    "auth": Outcome(cools=True, billed=False),
    "not_found": Outcome(cools=True, billed=False),
    "context_length": Outcome(billed=False),
    "rejected": Outcome(billed=False),
    "refused": Outcome(),
    "malformed": Outcome(),
    "truncated": Outcome(),
    "empty": Outcome(),
    "schema_invalid": Outcome(),
    "ambiguous": Outcome(),
    "loop_cap": Outcome(),
    "call_cap": Outcome(billed=False, asked=False),
    "throttled": Outcome(billed=False, asked=False),
    "over_budget": Outcome(billed=False, asked=False),
    "unpriced": Outcome(billed=False, asked=False),
    "withheld": Outcome(billed=False, asked=False),
    "skipped": Outcome(billed=False, asked=False),
    "cancelled": Outcome(),
    "error": Outcome(),
}


class HopFailed(ModelError):
    """A hop gave no usable reply. `outcome` is a word of the table above, `retry_after` the provider's wish in seconds, `begun`
    whether a reply had begun before."""

    def __init__(self, outcome: str, detail: str, *, retry_after: float | None = None, begun: bool = False) -> None:
        super().__init__(f"{outcome}: {detail}")
        self.outcome = outcome
        self.detail = clean(" ".join(detail.split()))[:300]
        self.retry_after = retry_after
        self.begun = begun
        self.kept = False  # it is an earlier run's failure, which says nothing of now

    @property
    def consequences(self) -> Outcome:
        """What follows from it. A word that nobody knows cools the hop and is billed: the careful reading of both."""
        return OUTCOMES.get(self.outcome, Outcome(cools=True))
