"""A TOML document as a policy. A policy that is not wholly understood is no policy, and the error says where."""

from __future__ import annotations

import json
import tomllib
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from backstop.errors import ConfigError
from backstop.policy.lines import Place, line_of, lines_of
from backstop.policy.schema import Contradiction, Policy


def read_policy(path: Path) -> Policy:
    """The policy of a file. Raises ConfigError that names the file and the line."""
    return read_with_lines(path)[0]


def read_with_lines(path: Path) -> tuple[Policy, dict[Place, int]]:
    """The policy of a file, and the line on which each part of it stands. Raises ConfigError."""
    text = read_text(path)
    document = read_toml(text, path)
    return parse_policy(document, path, text), lines_of(text, document)


def read_toml(text: str, path: Path) -> dict[str, Any]:
    """Raises ConfigError."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise unusable(path, f"it is not TOML: {error}") from error


def read_text(path: Path) -> str:
    """Raises ConfigError."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise unusable(path, error.strerror or type(error).__name__) from error
    except UnicodeDecodeError as error:
        raise unusable(path, "it is not UTF-8 text") from error


def parse_policy(document: dict[str, Any], path: Path, text: str = "") -> Policy:
    """`path` is only named in the error; with the `text` that the document was read from, so is the line."""
    if not document:
        raise unusable(path, "it is empty, and an empty policy allows nothing")
    try:
        plain = json.dumps(document, allow_nan=False, default=_moment)  # JSON, as strict records take no list for a tuple
        return Policy.model_validate_json(plain)
    except ValidationError as error:
        place, why = _first(error)
        line = line_of(lines_of(text, document), place) if text else None
        named = ".".join(str(part) for part in place) or "the document"
        raise unusable(path, f"{f'line {line}, ' if line else ''}at {named}: {why}") from error
    except (TypeError, ValueError) as error:
        raise unusable(path, f"it holds a value that no policy can have: {error}") from error


def _first(error: ValidationError) -> tuple[Place, str]:
    first = error.errors(include_url=False)[0]
    inner = first.get("ctx", {}).get("error")
    place = (*first["loc"], *(inner.place if isinstance(inner, Contradiction) else ()))
    return place, first["msg"].removeprefix("Value error, ")


def _moment(value: object) -> str:
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.isoformat()
    raise TypeError(f"{value} is no moment with an offset from UTC" if isinstance(value, datetime) else f"{value} is no such value")


def unusable(path: Path, why: str) -> ConfigError:
    return ConfigError(
        f"the policy {path} cannot be used: {why}",
        unchanged="nothing was started",
        todo="correct it, or use --policy default to see a whole one at work",
    )
