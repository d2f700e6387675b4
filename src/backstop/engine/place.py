"""Where an installation keeps its state: in the database of its workers, or where none ever worked, in files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from backstop.documents import Documents, files_of
from backstop.settings import Settings

DATABASE: Final = "incidents.db"


def database_of(settings: Settings, state: Path) -> str:
    """Its URL, which may hold a password."""
    return settings.database_url.get_secret_value() if settings.database_url else f"sqlite:///{state.absolute() / DATABASE}"


@contextmanager
def documents_of(settings: Settings, state: Path) -> Iterator[Documents]:
    """What the workers count in, for who is none of them. Raises ConfigError for a URL that names no database."""
    files = files_of(state)
    if settings.database_url is None and not (state / DATABASE).exists():
        yield files
        return
    from backstop.engine.shared import documents_in, in_use

    with documents_in(database_of(settings, state), state) as shared:
        yield shared if in_use(shared) else files
