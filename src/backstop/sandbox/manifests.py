"""Files of Kubernetes objects: YAML or JSON, one object or several, as lists or as documents."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from backstop.errors import ConfigError

Object = dict[str, Any]


def read_manifests(path: Path) -> list[Object]:
    """The objects of a file, in its order. Raises ConfigError."""
    try:
        return [obj for document in yaml.safe_load_all(path.read_text(encoding="utf-8")) for obj in _objects(document)]
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
    except (yaml.YAMLError, TypeError, ValueError) as error:
        raise ConfigError(f"{path} is no list of Kubernetes objects: {error}") from error


def _objects(document: Any) -> Iterator[Object]:
    """What a document has in it. Raises TypeError."""
    if document is None:
        return
    if isinstance(document, list):
        for each in document:
            yield from _objects(each)
    elif not isinstance(document, dict):
        raise TypeError(f"{document!r} is no object")
    elif document.get("kind") == "List":
        yield from _objects(document.get("items"))
    else:
        yield document
