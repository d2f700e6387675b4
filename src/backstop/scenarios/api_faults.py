"""What the API fault proxies are told to do, by name: the rules that both lanes get when the alert goes out."""

from __future__ import annotations

from typing import Any

REAL_WRITE = r"^/apis/apps/v1/namespaces/[^/]+/deployments/[^/?]+(/scale)?(\?(?!.*dryRun)|$)"
"""A change of a Deployment, as `/path?query`; a rehearsal is let through, so that it is the write that fails."""

API_FAULTS: dict[str, list[dict[str, Any]]] = {
    "none": [],
    "write-refused": [{"do": "refuse", "method": method, "path": REAL_WRITE} for method in ("PATCH", "PUT", "DELETE")],
    "reply-lost": [{"do": "lose_reply", "method": method, "path": REAL_WRITE, "times": 1} for method in ("PATCH", "PUT")],
}
