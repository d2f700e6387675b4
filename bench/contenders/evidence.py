"""Evidence to ask about: as it was recorded, as little of it as will do, and as much as a real incident brings."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Final

from backstop.models.prompts import diagnosis_prompt
from backstop.records import Evidence, Fact, FactKind

_RECORDED: Final = Path(__file__).parents[2] / "tests" / "emulator" / "evidence" / "bad_release.json"
_ENOUGH: Final = frozenset({"E1", "E3", "E4", "E6", "E11"})
_LINE: Final = "INFO request id={0:08x} GET /cart/{1} status=200 bytes={2} upstream=10.42.0.{3}:8080 took={4}ms agent=probe/1.{3}"


def recorded() -> Evidence:
    """A bad release of checkout."""
    return Evidence.model_validate_json(_RECORDED.read_text())


def small() -> Evidence:
    """The same with the facts that the diagnosis needs, and no others."""
    evidence = recorded()
    return evidence.model_copy(update={"facts": tuple(fact for fact in evidence.facts if fact.id in _ENOUGH), "edges": ()})


def realistic(chars: int) -> Evidence:
    """The same with logs of so many lines that the prompt has about `chars` characters."""
    evidence, lines = recorded(), 0
    while len(diagnosis_prompt(evidence)) < chars:
        lines += 1
        facts = tuple(_chattier(fact, lines) if fact.kind is FactKind.LOG else fact for fact in recorded().facts)
        evidence = evidence.model_copy(update={"facts": facts})
    return evidence


def _chattier(fact: Fact, lines: int) -> Fact:
    """A log with more lines of the usual, each with its time."""
    assert fact.time is not None
    seed = int.from_bytes(fact.id.encode())
    more = [_LINE.format(seed * 7919 + n, n * 31 % 977, 400 + n * 57 % 900, n % 250 + 1, n * 13 % 90) for n in range(lines)]
    times = [(fact.time - timedelta(seconds=lines - n)).isoformat() for n in range(lines)]
    kept = fact.data["times"]
    assert isinstance(kept, list)
    data = fact.data | {"lines": len(fact.lines()) + lines, "times": [*times, *kept]}
    return fact.model_copy(update={"text": "\n".join([*more, fact.text]), "data": data})
