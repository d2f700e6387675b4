"""CEL expressions of admission: compiled once per text, and failing with the API server's words.

The CEL library (Google's own, over C++) is loaded when the first expression is compiled: a cluster without policies never needs it.
Its errors are values like any other, truthy strings, so nothing but `evaluate` may look at a result.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, Final

INPUTS: Final = ("object", "oldObject", "request", "namespaceObject")
"""What every expression may use; beside them `params` where a policy has a paramKind, and `variables`."""
NO_KEY: Final = re.compile(r'^NOT_FOUND: Key not found in map : "(.*)"$', re.DOTALL)
STATUS: Final = re.compile(r"^[A-Z_]+: ")
KEPT: Final = 1024


class ExpressionFailed(Exception):
    """An expression has no value here. `why` is the evaluator's reason, `missing` the key that was not there."""

    def __init__(self, text: str, why: str, missing: str = "") -> None:
        super().__init__(f"expression '{text}' resulted in error: {why}")
        self.why = why
        self.missing = missing


@dataclass(frozen=True, slots=True)
class Scope:
    """What may be named in an expression beside INPUTS."""

    params: bool = False
    variables: bool = False


class Inputs:
    """What expressions of one scope are evaluated over. It is converted for the library once, not for every expression."""

    def __init__(self, scope: Scope, values: Mapping[str, Any]) -> None:
        self.scope = scope
        self._values = dict(values)
        self._variables: dict[str, Any] = {}
        self._native: Any = None

    def define(self, variable: str, value: Any) -> None:
        """Gives a variable its value."""
        self._variables[variable] = value
        self._native = None

    @property
    def native(self) -> Any:
        """In the library's own form. Raises what it raises for a value that it cannot convert."""
        if self._native is None:
            known = {"variables": dict(self._variables)} if self.scope.variables else {}
            self._native = _environment(self.scope).Activation({**self._values, **known})
        return self._native


@dataclass(frozen=True)
class Program:
    """A compiled expression."""

    text: str
    returns: str
    """The type of its values: BOOL, STRING, ..., or DYN where that shows only when it runs."""
    _compiled: Any

    def evaluate(self, inputs: Inputs) -> Any:
        """The plain value. `inputs` are of the scope it was compiled for. Raises ExpressionFailed."""
        try:
            found = self._compiled.eval(inputs.native)
            if found.type().name() in _plain_types():
                return found.plain_value()
            said = str(found.value())
        except (RuntimeError, TypeError, ValueError, OverflowError) as error:  # an input or result that it cannot convert
            said = str(error).partition("\n")[0]
        if lacking := NO_KEY.match(said):
            raise ExpressionFailed(self.text, f"no such key: {lacking[1]}", lacking[1])
        raise ExpressionFailed(self.text, STATUS.sub("", said))


@lru_cache(maxsize=KEPT)
def compiled(text: str, scope: Scope) -> Program:
    """Compiles an expression. Raises ValueError with the compiler's complaint."""
    try:
        found = _environment(scope).compile(text)
    except RuntimeError as error:  # what the library raises for whatever it cannot compile
        raise ValueError(STATUS.sub("", str(error)).removesuffix(" [INVALID_ARGUMENT]")) from None
    return Program(text, found.return_type().name(), found)


@cache
def _environment(scope: Scope) -> Any:
    from cel_expr_python import cel
    from cel_expr_python.ext import ext_optional, ext_strings

    names = dict.fromkeys((*INPUTS, *(["params"] if scope.params else [])), cel.Type.DYN)
    if scope.variables:
        names["variables"] = cel.Type.Map(cel.Type.STRING, cel.Type.DYN)
    return cel.NewEnv(variables=names, extensions=[ext_strings.ExtStrings(), ext_optional.ExtOptional()])


@cache
def _plain_types() -> frozenset[str]:
    """Every type of a value that is one: neither an error nor unknown."""
    from cel_expr_python import cel

    kinds = (cel.Type.BOOL, cel.Type.BYTES, cel.Type.DOUBLE, cel.Type.DURATION, cel.Type.INT, cel.Type.NULL, cel.Type.STRING)
    return frozenset(kind.name() for kind in (*kinds, cel.Type.LIST, cel.Type.MAP, cel.Type.TIMESTAMP, cel.Type.UINT))
