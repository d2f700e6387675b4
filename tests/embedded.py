"""An embedded cluster with the demo fleet, as a process of its own, for tests that want the real thing."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from backstop.cluster.client import ClusterClient

T = TypeVar("T")


@dataclass(frozen=True)
class Embedded:
    """A running cluster: a kubeconfig for each identity."""

    server: str
    kubeconfigs: dict[str, Path]
    audit_log: Path

    def door(self, identity: str) -> ClusterClient:
        return ClusterClient(self.kubeconfigs[identity], deadline=10)

    def audited(self, audit_id: str) -> list[dict[str, Any]]:
        """The audit log's lines of one request."""
        lines = (json.loads(line) for line in self.audit_log.read_text().splitlines())
        return [line for line in lines if line["auditID"] == audit_id]


@contextmanager
def embedded(seed: int = 7, manifests: Path | None = None) -> Iterator[Embedded]:
    """Runs one until the end of the block, with the objects of a file in it if one is named. Its files are removed with it."""
    with tempfile.TemporaryDirectory(prefix="bsc") as state:
        process = subprocess.Popen(
            [sys.executable, "-m", "backstop.sandbox", "--state", state, "--seed", str(seed)]
            + (["--manifests", str(manifests)] if manifests else []),
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        )
        try:
            assert process.stdout is not None
            said = json.loads(process.stdout.readline())
            yield Embedded(said["server"], {k: Path(v) for k, v in said["kubeconfigs"].items()}, Path(said["audit_log"]))
        finally:
            process.terminate()
            process.wait(timeout=20)
            if process.stdout is not None:
                process.stdout.close()


async def until(read: Callable[[], Awaitable[T]], good: Callable[[T], bool], seconds: float = 30) -> T:
    """What `read` gives once it is good. There is no event to wait for in a plain read, so it is asked again until the deadline."""
    async with asyncio.timeout(seconds):
        while not good(found := await read()):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        return found
