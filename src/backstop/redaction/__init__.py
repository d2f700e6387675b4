"""Takes secrets and personal data out of evidence before a model, a log, an event or a receipt sees it.

Redaction comes before truncation: what was cut is harder to tell. Nothing here guesses by entropy, which would take the digests,
uids and hashes that a diagnosis needs. `Redactor` is the entrance, `holds_placeholder` what a gate asks of a proposed action.
"""

from __future__ import annotations

from backstop.redaction.hits import holds_placeholder
from backstop.redaction.redactor import Learnt, Redactor

__all__ = ["Learnt", "Redactor", "holds_placeholder"]
