"""Reads a policy from a TOML file. A policy that is not wholly understood is no policy."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

from pydantic import ValidationError

from backstop.errors import ConfigError
from backstop.policy.default import DEFAULT
from backstop.policy.schema import Policy


def load_policy(source: str | Path) -> Policy:
    """The policy of a TOML file, or the demo fleet's for `default`. Raises ConfigError that names the file and the place in it."""
    if str(source) == "default":
        return DEFAULT
    path = Path(source)
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise _unusable(path, error.strerror or type(error).__name__) from error
    except UnicodeDecodeError as error:
        raise _unusable(path, "it is not UTF-8 text") from error
    except tomllib.TOMLDecodeError as error:
        raise _unusable(path, f"it is not TOML: {error}") from error
    return parse_policy(document, path)


def parse_policy(document: dict[str, object], path: Path) -> Policy:
    """`path` is only named in the error."""
    if not document:
        raise _unusable(path, "it is empty, and an empty policy allows nothing")
    try:
        return Policy.model_validate_json(json.dumps(document, allow_nan=False))  # JSON, as strict records take no list for a tuple
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the document"
        raise _unusable(path, f"at {place}: {first['msg'].removeprefix('Value error, ')}") from error
    except (TypeError, ValueError) as error:
        raise _unusable(path, f"it holds a value that no policy can have: {error}") from error


def _unusable(path: Path, why: str) -> ConfigError:
    return ConfigError(
        f"the policy {path} cannot be used: {why}",
        unchanged="nothing was started",
        todo="correct it, or use --policy default to see a whole one at work",
    )
