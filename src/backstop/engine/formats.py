"""What DBOS may read of its rows: what is sealed with the state key, and a time.

Each row names the format that it is in, and DBOS reads two of its own whatever serializer it was given: pickles, which run any code
when they are opened, and JSON in the clear. Who can write to the database would so need no key. DBOS has no setting for it (3.4:
`_serialization.deserialize_value`).
"""

from __future__ import annotations

from typing import Final

from dbos import Serializer, _serialization

from backstop.errors import EngineError


class Unsealable(EngineError):
    """What was kept was sealed with another key, was changed since, or was put there by somebody else."""


_PICKLE: Final = _serialization.DBOSDefaultSerializer.name()


class _NoPickles(Serializer):
    def name(self) -> str:
        return _PICKLE

    def serialize(self, data: object) -> str:  # noqa: ARG002  the interface
        raise _unsealed()

    def deserialize(self, serialized_data: str) -> object:  # noqa: ARG002
        raise _unsealed()


class _OnlyTimes(_serialization.DBOSPortableJSONSerializer):
    """DBOS keeps in it when a wait ends, and nothing else of ours. Who changes that changes how long is waited."""

    def deserialize(self, text: str | None) -> float | None:
        found = super().deserialize(text)
        if found is not None and type(found) not in {int, float}:
            raise _unsealed()
        return found if found is None else float(found)


def _unsealed() -> Unsealable:
    return Unsealable(
        "what the engine kept is not sealed: somebody else put it there",
        unchanged="it was left as it is, and not read",
        todo="see who can write to the database",
    )


def read_only_what_is_sealed() -> None:
    """For this process, before DBOS reads anything in it."""
    _serialization.DBOSDefaultSerializer = _NoPickles()
    _serialization.DBOSPortableJSON = _OnlyTimes()
