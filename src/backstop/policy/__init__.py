"""What may be written, decided by pure functions over strict records. Imports no model, no client, no clock."""

from backstop.policy.decide import Context, PastWrite, decide, decide_undo
from backstop.policy.default import DEFAULT
from backstop.policy.load import load_policy
from backstop.policy.permission import Permission, check_mode, effective_mode
from backstop.policy.schema import Mode, Policy

__all__ = [
    "DEFAULT",
    "Context",
    "Mode",
    "PastWrite",
    "Permission",
    "Policy",
    "check_mode",
    "decide",
    "decide_undo",
    "effective_mode",
    "load_policy",
]
