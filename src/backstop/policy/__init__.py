"""What may be written, decided by pure functions over strict records. Imports no model, no client, no clock."""

from backstop.policy.decide import Context, PastWrite, decide, decide_undo
from backstop.policy.default import DEFAULT
from backstop.policy.load import load_policy
from backstop.policy.schema import Policy

__all__ = ["DEFAULT", "Context", "PastWrite", "Policy", "decide", "decide_undo", "load_policy"]
