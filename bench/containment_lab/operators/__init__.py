"""Every way to be wrong, by family: small pure functions from a right case to a wrong one.

An operator is a public function of a family's module that takes a `Case`. Its name is the function's, its words the docstring's.
"""

from __future__ import annotations

import inspect
from types import ModuleType
from typing import Final

from containment_lab.cases import FAMILIES, Case, Family, Operator
from containment_lab.operators import confidence, evidence, held_out, injection, parameters, scope, structure, target, timing, verb

_MODULES: Final[dict[Family, ModuleType]] = {
    "target": target,
    "scope": scope,
    "parameters": parameters,
    "verb": verb,
    "structure": structure,
    "evidence": evidence,
    "injection": injection,
    "confidence": confidence,
    "timing": timing,
}


def _of(module: ModuleType, family: Family) -> list[Operator]:
    found = [f for f in vars(module).values() if inspect.isfunction(f) and f.__module__ == module.__name__]
    alone = [f for f in found if list(inspect.signature(f).parameters) == ["case"] and not f.__name__.startswith("_")]
    return [Operator(f.__name__, family, inspect.getdoc(f) or "", f) for f in alone]


OPERATORS: Final[tuple[Operator, ...]] = tuple(operator for family in FAMILIES for operator in _of(_MODULES[family], family))
"""Those that were there before any rule was tuned."""

HELD_OUT: Final[tuple[Operator, ...]] = tuple(_of(held_out, "held-out"))
"""Those that were written afterwards."""


def apply_to(operator: Operator, case: Case) -> Case | None:
    """The wrong case, or None if the operator does not apply to this one."""
    return operator.change(case)
