"""Alertmanager's webhook, version 4: whose workload each alert is about, and which incidents that makes. Pure.

Labels and annotations are anybody's words. An alert becomes an incident only if it names a Deployment that the policy lists; what
it names is read from labels by fixed rules, and never guessed from annotations. The format is
that of `<webhook_config>` in Alertmanager's documentation.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    StringConstraints,
    TypeAdapter,
    ValidationError,
)

from backstop.policy import Policy
from backstop.records import Alert, DnsName, Record, WorkloadRef, clean

MAX_ALERTS: Final = 500
"""In one message. Alertmanager's `max_alerts` keeps below it."""

_NAME_LENGTH: Final = 200
_SUMMARY_LENGTH: Final = 1000
_OLDEST: Final = datetime(2000, 1, 1, tzinfo=UTC)
_POD: Final = re.compile(r"(?P<name>.+)-[bcdfghjklmnpqrstvwxz2456789]{1,10}-[bcdfghjklmnpqrstvwxz2456789]{5}")
"""A Deployment's pod: its name, its ReplicaSet's hash, five characters; the alphabet is Kubernetes' (`util/rand`)."""
_DNS_NAME: Final = TypeAdapter[str](DnsName)

Result = Literal["incident", "resolved", "ignored"]


class _Theirs(BaseModel):
    """A part of Alertmanager's message. What else it says, now or in a later version, is not needed."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class FiringAlert(_Theirs):
    """One alert, firing or not any more."""

    status: Literal["firing", "resolved"]
    labels: dict[str, str]
    annotations: dict[str, str] = {}
    startsAt: AwareDatetime  # noqa: N815  their name
    fingerprint: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{1,64}$")]


def _number(raw: object) -> object:
    """1.0 is an integer in JSON, and neither true nor "1" is one."""
    if isinstance(raw, bool | str):
        raise ValueError("a number is wanted")  # noqa: TRY004  pydantic hears no TypeError
    return raw


class Message(_Theirs):
    """What is posted. Alerts are read one by one: one that cannot be read must not take the others with it."""

    version: Literal["4"]
    alerts: tuple[JsonValue, ...]
    truncatedAlerts: Annotated[int, Field(ge=0, le=2**53), BeforeValidator(_number)] = 0  # noqa: N815  theirs; what `max_alerts` cut off


class AlertAnswer(Record):
    """What became of one alert. `new` false: it had its incident already."""

    fingerprint: str
    result: Result
    incident: str | None
    new: bool
    reason: str


class Received(Record):
    """The answer to a message, alert by alert in its order. `truncated`: how many more Alertmanager did not send."""

    alerts: tuple[AlertAnswer, ...]
    truncated: int


@dataclass(frozen=True)
class Sorted:
    """`groups`: the incidents to submit, each with the places of the alerts it stands for. `others`: the rest, by place."""

    groups: tuple[tuple[Alert, tuple[int, ...]], ...]
    others: dict[int, AlertAnswer]


class _Ignored(Exception):
    """This alert makes no incident, for that reason."""


def sort_alerts(message: Message, policy: Policy, now: datetime) -> Sorted:
    """Every alert in exactly one place. Firing alerts of one workload are one incident, named after the one that began first."""
    found: dict[WorkloadRef, list[tuple[int, FiringAlert]]] = {}
    others: dict[int, AlertAnswer] = {}
    for place, raw in enumerate(message.alerts):
        try:
            alert = _read(raw)
            if alert.status == "resolved":
                others[place] = _other(raw, "resolved", "it fires no more, and needs no incident")
            else:
                found.setdefault(_target(alert.labels, policy), []).append((place, alert))
        except _Ignored as reason:
            others[place] = _other(raw, "ignored", str(reason))
    groups = tuple((_incident(target, alerts, now), tuple(place for place, _ in alerts)) for target, alerts in found.items())
    return Sorted(groups, others)


def words(raw: str, length: int) -> str:
    """On one line, without what moves a terminal, and no longer than that."""
    plain = " ".join(clean(raw[: 4 * length]).split())
    return plain if len(plain) <= length else f"{plain[: length - 1]}…"


def _read(raw: JsonValue) -> FiringAlert:
    try:
        alert = FiringAlert.model_validate(raw)
        if alert.startsAt.astimezone(UTC) < _OLDEST:
            raise _Ignored("its startsAt is no time at which anything began")
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors(include_url=False, include_input=False)[0]["loc"])
        raise _Ignored(f"it is no alert of version 4: {words(where, 80) or 'it is no object'} cannot be used") from error
    except OverflowError as error:
        raise _Ignored("its startsAt is no time at which anything began") from error
    return alert


def _other(raw: JsonValue, result: Result, reason: str) -> AlertAnswer:
    said: Any = raw.get("fingerprint") if isinstance(raw, dict) else None
    fingerprint = words(said, 64) if isinstance(said, str) else ""
    return AlertAnswer(fingerprint=fingerprint, result=result, incident=None, new=False, reason=reason)


def _target(labels: dict[str, str], policy: Policy) -> WorkloadRef:
    """Raises _Ignored. docs/service.md has these rules for people."""
    namespace = _subject(labels, "namespace")
    if not namespace:
        raise _Ignored("it has no label namespace")
    name = _workload(labels)
    try:
        target = WorkloadRef(kind="Deployment", namespace=namespace, name=name)
    except ValidationError as error:
        raise _Ignored(f"{words(f'{namespace}/{name}', 120)} is no name that Kubernetes can have") from error
    if policy.workload(target) is None:
        raise _Ignored(f"the policy lists no {target.key} in namespace {target.namespace}")
    return target


def _workload(labels: dict[str, str]) -> str:
    """The Deployment's name: of the first of these labels that is there, and of no other if that one leads nowhere."""
    if name := labels.get("deployment"):
        return name
    if name := labels.get("workload"):
        kind = labels.get("workload_type") or "deployment"
        if kind.lower() != "deployment":
            raise _Ignored(f"it is about a {words(kind, 40)}, and only Deployments are worked on")
        return name
    if pod := _subject(labels, "pod"):
        found = _POD.fullmatch(pod)
        if found is None:
            raise _Ignored(f"pod {words(pod, 120)} is not called as a Deployment's pods are")
        return found["name"]
    if name := _subject(labels, "service"):
        return name
    raise _Ignored("it has none of the labels deployment, workload, pod and service")


def _subject(labels: dict[str, str], name: str) -> str:
    """What the alert is about. Where Prometheus' own target has a label of that name, the exporter's becomes `exported_…`."""
    return labels.get(f"exported_{name}") or labels.get(name) or ""


def _incident(target: WorkloadRef, alerts: list[tuple[int, FiringAlert]], now: datetime) -> Alert:
    first, *rest = sorted((alert for _, alert in alerts), key=lambda alert: (alert.startsAt, alert.fingerprint))
    name = _name(first)
    more = f"(and {len(rest)} more: {', '.join(dict.fromkeys(_name(one) for one in rest))})" if rest else ""
    said = next((first.annotations[key] for key in ("summary", "description", "message") if first.annotations.get(key)), "")
    summary = words(said, _SUMMARY_LENGTH) or f"{name} fires"
    began = first.startsAt.astimezone(UTC)
    return Alert(
        id=_identity(first.fingerprint, began, target),
        name=name,
        target=target,
        service=_service(first.labels),
        summary=f"{summary} {words(more, _NAME_LENGTH)}".rstrip(),
        started_at=min(began, now),  # their clock may be ahead of ours
    )


def _identity(fingerprint: str, began: datetime, target: WorkloadRef) -> str:
    """The same for every repeat of one firing; another once the alert was resolved and fires again."""
    known = json.dumps([fingerprint, began.isoformat(), target.namespace, target.name])
    return f"am-{hashlib.sha256(known.encode()).hexdigest()[:24]}"


def _name(alert: FiringAlert) -> str:
    return words(alert.labels.get("alertname", ""), _NAME_LENGTH) or "alert"


def _service(labels: dict[str, str]) -> str | None:
    try:
        return _DNS_NAME.validate_python(_subject(labels, "service"))
    except ValidationError:
        return None
