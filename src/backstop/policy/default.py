"""The policy of the demo fleet, and an example of a whole one: `demo.toml`."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from backstop.policy.document import read_policy
from backstop.policy.schema import Policy

DEMO: Final = Path(__file__).with_name("demo.toml")
DEFAULT: Final[Policy] = read_policy(DEMO)
