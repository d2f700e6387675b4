"""Tests of a policy, as its authors write them: cases in a TOML file, each a write, what is there, and what the policy must say."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import AwareDatetime, Field, JsonValue, StringConstraints, TypeAdapter, ValidationError, model_validator

from backstop.errors import ConfigError, UsageError
from backstop.policy.decide import RULES, decide
from backstop.policy.document import read_text, read_toml
from backstop.policy.hypothetical import healthy
from backstop.policy.lines import line_of, lines_of
from backstop.policy.permission import effective_mode
from backstop.policy.quantities import quantity_bytes
from backstop.policy.schema import Mode, Policy
from backstop.policy.subject import Context, WriteAction
from backstop.records import PastWrite, Record, WorkloadRef

EXAMPLE: Final = Path(__file__).with_name("demo_cases.toml")
ACTION_ID: Final = "bs-case-1"
_ACTIONS: Final[TypeAdapter[WriteAction]] = TypeAdapter(Annotated[WriteAction, Field(discriminator="verb")])
_IDS: Final = frozenset(rule.id for rule in RULES)


class Earlier(Record):
    """A write that was made before, to the case's target unless it says otherwise."""

    seconds_ago: Annotated[float, Field(ge=0)]
    target: str | None = None
    action: str = "restart deployment/x"
    action_id: str = "bs-earlier-1"


class Case(Record):
    """One question and its answer."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    action: dict[str, JsonValue]  # as the records have it, with the target as NAMESPACE/deployment/NAME
    state: dict[str, JsonValue] | Literal["healthy", "unknown"] = "healthy"  # or what is other than healthy
    now: AwareDatetime = datetime.fromisoformat("2026-01-01T12:00:00+00:00")
    earlier: tuple[Earlier, ...] = ()
    expect: Literal["allow", "refuse"]
    rules: tuple[str, ...] = ()  # that refuse it: all of these, whatever others do
    mode: Mode | Literal["none"] | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Case:
        if (self.expect == "refuse") is not bool(self.rules):
            raise ValueError("a case that expects a refusal names the rules, and no other does")
        if unknown := set(self.rules) - _IDS:
            raise ValueError(f"there is no rule {min(unknown)}")
        return self


class _Cases(Record):
    case: Annotated[tuple[Case, ...], Field(min_length=1)]


def read_cases(path: Path) -> tuple[Case, ...]:
    """The cases of a file. Raises ConfigError that names the line."""
    text = read_text(path)
    document = read_toml(text, path)
    try:
        return _Cases.model_validate_json(json.dumps(document, default=_moment, allow_nan=False)).case
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        line = line_of(lines_of(text, document), first["loc"])
        place = ".".join(map(str, first["loc"])) or "the document"
        why = f"{f'line {line}, ' if line else ''}at {place}: {first['msg'].removeprefix('Value error, ')}"
    except (TypeError, ValueError) as error:
        why = str(error)
    raise ConfigError(f"the cases {path} cannot be used: {why}", unchanged="nothing was tested", todo="correct it")


def _moment(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{value} is no value that a case can have")


def run(case: Case, policy: Policy) -> str:
    """What went otherwise than expected, in one sentence; empty if nothing did. Raises UsageError for what cannot be asked."""
    action = parse_action(case.action)
    other = case.state if isinstance(case.state, dict) else {}
    state = None if case.state == "unknown" else healthy(action.target, policy, case.now, **other)
    recent = tuple(
        PastWrite(
            action_id=e.action_id,
            target=parse_target(e.target) if e.target else action.target,
            action=e.action,
            at=case.now - timedelta(seconds=e.seconds_ago),
        )
        for e in case.earlier
    )
    verdict = decide(action, state, policy, Context(now=case.now, action_id=ACTION_ID, recent=recent))
    failed = ", ".join(verdict.failed_rules)
    if verdict.passed and case.expect == "refuse":
        return "expected a refusal, and it passed"
    if not verdict.passed and case.expect == "allow":
        return f"expected it to be allowed, and {failed} refused it"
    if missing := [rule for rule in case.rules if rule not in verdict.failed_rules]:
        return f"expected {', '.join(missing)} to refuse it, and {failed} did"
    mode = effective_mode(action, policy, "auto") or "none"
    return f"expected mode {case.mode}, and it is {mode}" if case.mode not in {None, mode} else ""


def parse_target(text: str) -> WorkloadRef:
    """`NAMESPACE/deployment/NAME`. Raises ConfigError."""
    namespace, kind, name = parts if len(parts := text.split("/")) == 3 else ("", "", "")
    try:
        return WorkloadRef(kind="Deployment" if kind == "deployment" else kind, namespace=namespace, name=name)  # type: ignore[arg-type]
    except ValidationError as error:
        raise ConfigError(
            f"'{text}' is no target", todo="write NAMESPACE/deployment/NAME, such as shop/deployment/checkout"
        ) from error


def parse_action(said: dict[str, Any]) -> WriteAction:
    """An action with its target in short. Raises ConfigError for whatever is not exactly one write of the catalogue."""
    target = parse_target(str(said.get("target", "")))
    try:
        return _ACTIONS.validate_json(json.dumps({**said, "target": target.model_dump(mode="json")}))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"][1:])
        what = f"{place}: {first['msg']}" if place else first["msg"]
        if first["type"] == "union_tag_invalid":
            what = f"there is no verb {said.get('verb')!r}, only {first['ctx']['expected_tags']}"
        elif first["type"] == "missing":
            what = f"{said['verb']} needs {place}"
        raise ConfigError(f"that is no write of the catalogue: {what}", todo="see 'backstop policy explain --help'") from error


def said_action(verb: str, target: str, *, memory: str | None, container: str | None, **numbers: int | None) -> WriteAction:
    """An action as people say it, memory as `128Mi`; what was not said is left out, and then missed. Raises UsageError."""
    said: dict[str, Any] = {"verb": verb, "target": target, **{key: value for key, value in numbers.items() if value is not None}}
    if memory is not None:
        try:
            said["memory_limit_bytes"] = quantity_bytes(memory)
        except ValueError as error:
            raise UsageError(str(error), todo="write it as Kubernetes does, such as 128Mi") from error
    if memory is not None or container is not None:
        said["container"] = container or target.rpartition("/")[2]
    return parse_action(said)
