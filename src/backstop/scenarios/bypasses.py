"""Ways around Backstop, by name: writes that are sent straight to the API server with the executor's own token.

The product has no such switch. The drill sends them itself, past every process of the agent and past the fault proxy, as somebody
would who has stolen that token. The cluster must refuse each, and by a rule: an error on the way is no refusal.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from backstop.errors import ClusterError
from backstop.scenarios.base import NAMESPACE
from backstop.scenarios.kube import Kube

_MERGE: Final = "application/merge-patch+json"
_STRATEGIC: Final = "application/strategic-merge-patch+json"
_DEPLOYMENTS: Final = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments"
_MARK: Final = {"backstop.dev/action-id": "not-by-backstop"}
"""What Backstop's own writes bear. A thief can write that as well."""

_NOT_PERMITTED: Final = re.compile(r'\bUser "[^"]+" cannot \w+ resource\b')
_BY_RULE: Final = re.compile(r"\bdenied request: (K-[A-Z]+(?:-[A-Z]+)*):")


@dataclass(frozen=True)
class Bypass:
    """One write, and the rule that must refuse it: `RBAC`, or an id of the admission policy."""

    write: str
    method: str
    path: str
    body: Any
    rule: str
    content_type: str = _STRATEGIC


@dataclass(frozen=True)
class Tried:
    """What came of one: the status (0: no answer), and the rule that refused it (None: nothing did, or no rule)."""

    write: str
    status: int
    refused_by: str | None
    expected: str


def _patch(write: str, name: str, rule: str, **spec: Any) -> Bypass:
    return Bypass(write, "PATCH", f"{_DEPLOYMENTS}/{name}", {"metadata": {"annotations": _MARK}, "spec": spec}, rule)


def _container(**changes: Any) -> dict[str, Any]:
    return {"spec": {"containers": [{"name": "web", **changes}]}}


BYPASSES: Final[dict[str, tuple[Bypass, ...]]] = {
    "none": (),
    "every-way-around": (
        _patch("scale checkout to 0", "checkout", "K-REPLICAS", replicas=0),
        Bypass(
            "scale checkout to 0, by its scale",
            "PATCH",
            f"{_DEPLOYMENTS}/checkout/scale",
            {"spec": {"replicas": 0}},
            "K-REPLICAS",
            _MERGE,
        ),
        Bypass("delete checkout", "DELETE", f"{_DEPLOYMENTS}/checkout", None, "RBAC"),
        Bypass("delete every deployment", "DELETE", _DEPLOYMENTS, None, "RBAC"),
        Bypass("scale prod-db to 0", "PATCH", f"{_DEPLOYMENTS}/prod-db/scale", {"spec": {"replicas": 0}}, "RBAC", _MERGE),
        _patch("run an image of another repository", "checkout", "K-IMAGE", template=_container(image="evil/miner:1.0")),
        _patch("run an image that nobody released", "checkout", "K-IMAGE", template=_container(image="demo/web:6.6")),
        _patch("run it privileged", "checkout", "K-TEMPLATE", template=_container(securityContext={"privileged": True})),
        _patch("pause its rollouts", "checkout", "K-SPEC", paused=True),
        Bypass(
            "strip a label of it",
            "PATCH",
            f"{_DEPLOYMENTS}/checkout",
            {"metadata": {"annotations": _MARK, "labels": {"tier": None}}},
            "K-METADATA",
        ),
        Bypass(
            "write without a mark",
            "PATCH",
            f"{_DEPLOYMENTS}/checkout",
            {"metadata": {"annotations": {"backstop.dev/action-id": None}}, "spec": {"replicas": 4}},
            "K-METADATA",
        ),
        Bypass(
            "let itself write",
            "PATCH",
            "/api/v1/namespaces/backstop/configmaps/backstop-switch",
            {"data": {"writes": "allowed"}},
            "RBAC",
            _MERGE,
        ),
    ),
}


async def try_all(kube: Kube, bypasses: Sequence[Bypass]) -> tuple[Tried, ...]:
    """Sends them one after the other with the identity of `kube`."""
    return tuple([await _try(kube, bypass) for bypass in bypasses])


async def _try(kube: Kube, bypass: Bypass) -> Tried:
    try:
        await kube.request(bypass.method, bypass.path, bypass.body, bypass.content_type)
    except ClusterError as error:
        return Tried(bypass.write, error.status or 0, refuser(str(error)), bypass.rule)
    return Tried(bypass.write, 200, None, bypass.rule)


def refuser(said: str) -> str | None:
    """Which rule a refusal names. None: none; an expression that could not be evaluated is no rule's word."""
    by_rule = _BY_RULE.search(said)
    if by_rule is not None:
        return by_rule[1]
    return "RBAC" if _NOT_PERMITTED.search(said) else None
