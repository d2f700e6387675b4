"""What `backstop policy compile` prints for the demo fleet, as a file with which an embedded cluster starts.

Identities, roles, admission policies and the kill switch: the API server itself refuses what the policy does not list, whoever
holds the token.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from backstop.policy import Policy
from backstop.policy.compile import compile_policy
from backstop.sandbox.images import IMAGES

KNOWN_IMAGES: Final = dict.fromkeys(("checkout", "catalog"), tuple(image for image in IMAGES if image.startswith("demo/web:")))
"""Of the demo fleet: what its owners have released, good or bad, since an undo puts back what ran. In a real cluster whoever
releases keeps this list."""


def write_manifests(path: Path, policy: Policy) -> Path:
    """For `python -m backstop.sandbox --manifests`."""
    path.write_text(json.dumps(compile_policy(policy, known_images=KNOWN_IMAGES)), encoding="utf-8")
    return path
