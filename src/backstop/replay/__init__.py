"""A record read again: what an incident was at any moment, what another policy would have decided, and the whole as a folder.

Nothing here asks a cluster or a model, and nothing here can write to either. `fold`, `whatif` and `compare` are pure functions of a
`Sequence[Event]`, wherever that was kept.
"""

from backstop.replay.compare import Replay, SelfCheck, recorded_policy, replay, self_check
from backstop.replay.export import export, require_chain
from backstop.replay.fold import Spend, State, fold

__all__ = ["Replay", "SelfCheck", "Spend", "State", "export", "fold", "recorded_policy", "replay", "require_chain", "self_check"]
