"""A record read again: what an incident was at any moment, what another policy would have decided, and the whole as a folder.

Nothing here asks a cluster or a model, and nothing here can write to either. `fold` and `whatif` are pure.
"""

from backstop.replay.export import export
from backstop.replay.fold import Spend, State, fold

__all__ = ["Spend", "State", "export", "fold"]
