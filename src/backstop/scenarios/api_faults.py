"""What the API fault proxies are told to do, by name: the rules that both lanes get when the alert goes out."""

from __future__ import annotations

from typing import Any, Final

REAL_WRITE = r"^/apis/apps/v1/namespaces/[^/]+/deployments/[^/?]+(/scale)?(\?(?!.*dryRun)|$)"
"""A change of a Deployment, as `/path?query`; a rehearsal is let through, so that it is the write that fails."""

COLLEAGUES_RELEASE: dict[str, Any] = {
    "method": "PATCH",
    "path": "/apis/apps/v1/namespaces/shop/deployments/checkout",
    "body": {"spec": {"template": {"spec": {"containers": [{"name": "web", "image": "demo/web:1.1"}]}}}},
    "content_type": "application/strategic-merge-patch+json",
}
"""A colleague's own repair, made while the agent was thinking: the next healthy release."""

API_FAULTS: dict[str, list[dict[str, Any]]] = {
    "none": [],
    "write-refused": [{"do": "refuse", "method": method, "path": REAL_WRITE} for method in ("PATCH", "PUT", "DELETE")],
    "reply-lost": [{"do": "lose_reply", "method": method, "path": REAL_WRITE, "times": 1} for method in ("PATCH", "PUT")],
    "write-held": [{"do": "hold_reply", "method": method, "path": REAL_WRITE, "times": 1} for method in ("PATCH", "PUT")],
    "overtaken": [{"do": "overtake", "method": "PATCH", "path": REAL_WRITE, "times": 1, "request": COLLEAGUES_RELEASE}],
}

API_SUMMARIES: Final[dict[str, str]] = {
    "none": "the Kubernetes API does as it is told",
    "write-refused": "the API refuses every change of a Deployment",
    "reply-lost": "the API carries the write out, and the reply is lost",
    "write-held": "the API carries the write out and never answers, and whoever sent it is killed meanwhile",
    "overtaken": "a colleague changes the same workload just before the agent's write arrives",
}
"""The same, each in one sentence."""
