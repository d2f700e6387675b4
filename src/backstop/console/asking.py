"""`python -m backstop.console.asking`: asks an API server, with one identity's own credentials, what that identity may do.

A process of its own, which ends when it has asked: the credentials of whoever writes never come into the console. Reads one line of
JSON, writes one, and asks nothing but reviews, which store nothing.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from backstop.cluster.client import ClusterClient
from backstop.cluster.objects import Json, text
from backstop.doctor.cluster import identity_of
from backstop.errors import BackstopError, ClusterError


async def ask(kubeconfig: Path, context: str | None, questions: Sequence[Json]) -> dict[str, Any]:
    """`identity`: as whom; `answers`: allowed (null: not known) and why, in the order of the questions; `trouble`: why there are
    none."""
    try:
        async with ClusterClient(kubeconfig, context, deadline=5.0) as client:
            identity = await identity_of(client)
            answers = await asyncio.gather(*(_answer(client, question) for question in questions))
    except BackstopError as error:
        return {"identity": "", "answers": [], "trouble": error.what}
    return {"identity": identity, "answers": answers, "trouble": ""}


async def _answer(client: ClusterClient, question: Json) -> tuple[bool | None, str]:
    try:
        status = await client.review("SelfSubjectAccessReview", question)
    except ClusterError as error:
        return None, error.what
    allowed = status.get("allowed")
    why = "; ".join(filter(None, (text(status, "reason"), text(status, "evaluationError"))))
    return (allowed if isinstance(allowed, bool) else None), why


def main() -> None:
    asked = json.loads(sys.stdin.readline())
    said = asyncio.run(ask(Path(asked["kubeconfig"]), asked["context"], asked["questions"]))
    print(json.dumps(said))  # noqa: T201  the interface


if __name__ == "__main__":
    main()
