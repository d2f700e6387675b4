"""The policy that somebody names: a file's, or the demo fleet's."""

from __future__ import annotations

from pathlib import Path

from backstop.policy.default import DEFAULT, DEMO
from backstop.policy.document import parse_policy as parse_policy  # noqa: PLC0414  part of this module
from backstop.policy.document import read_policy
from backstop.policy.schema import Policy


def load_policy(source: str | Path) -> Policy:
    """The policy of a TOML file, or the demo fleet's for `default`. Raises ConfigError that names the file and the line in it."""
    return DEFAULT if str(source) == "default" else read_policy(Path(source))


def policy_file(source: str | Path) -> Path:
    """The file that `load_policy` reads for the same words."""
    return DEMO if str(source) == "default" else Path(source)
