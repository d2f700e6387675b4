"""`backstop triage` as a person runs it: a real process with no key, on a real embedded cluster."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from backstop.clock import SystemClock
from backstop.cluster.client import ClusterClient
from backstop.cluster.objects import moment
from backstop.policy import DEFAULT
from backstop.sandbox.faults import FAULTS, Call, send
from tests.cli.processes import BACKSTOP
from tests.embedded import Embedded, embedded, until

Json = dict[str, Any]
PROBE = "/api/v1/namespaces/shop/services/checkout:80/proxy/"


@dataclass(frozen=True)
class Desk:
    """Where the person sits: a directory for state, records and temporary files, and no variable but those of a test."""

    directory: Path

    @property
    def environment(self) -> dict[str, str]:
        scratch = self.directory / "tmp"
        scratch.mkdir(exist_ok=True)
        named = {"HOME": str(self.directory), "TMPDIR": str(scratch), "LANG": "C.UTF-8", "COLUMNS": "80", "USER": "ada"}
        return {"PATH": os.environ["PATH"], **({"PYTHONPATH": p} if (p := os.environ.get("PYTHONPATH")) else {}), **named}

    def command(self, *arguments: str | Path) -> list[str]:
        return [BACKSTOP, "triage", *map(str, arguments), "--state", str(self.directory / "state")]

    def run(self, *arguments: str | Path, code: int) -> subprocess.CompletedProcess[str]:
        ended = subprocess.run(
            self.command(*arguments), capture_output=True, text=True, check=False, timeout=100, env=self.environment,
            cwd=self.directory, stdin=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        assert "Traceback" not in ended.stdout + ended.stderr
        assert ended.returncode == code, ended
        return ended

    def report(self, *arguments: str | Path, code: int = 3) -> Json:
        """What `--json` prints, which is all that it prints."""
        said: Json = json.loads(self.run(*arguments, "--json", code=code).stdout)
        return said

    def refused(self, *arguments: str | Path) -> str:
        """The one sentence of what cannot be."""
        ended = self.run(*arguments, code=2)
        (sentence,) = ended.stderr.splitlines()
        assert sentence.startswith("backstop: ")
        assert ended.stdout == ""
        return sentence


@contextmanager
def broken_shop(*calls: Call) -> Iterator[Embedded]:
    """A bad release of checkout is out (`calls`, or the fault of that name), and its Service answers 500."""
    with embedded() as cluster:
        asyncio.run(proven(cluster))
        asyncio.run(send(cluster.kubeconfigs["admin"], calls or FAULTS["bad-release"].calls))
        asyncio.run(_failing(cluster))
        yield cluster


async def proven(cluster: Embedded) -> None:
    """The first release has run for longer than the policy wants before it may be gone back to."""
    path, oldest = "/apis/apps/v1/namespaces/shop/replicasets", timedelta(seconds=DEFAULT.limits.proven_after_seconds + 1)
    async with cluster.door("admin") as door:
        born = max(moment(one, "metadata", "creationTimestamp") or SystemClock().now() for one in (await door.get(path))["items"])

        async def age() -> timedelta:
            return SystemClock().now() - born

        await until(age, lambda found: found > oldest)


async def _failing(cluster: Embedded) -> None:
    async with cluster.door("admin") as door:
        await until(lambda: _status(door), lambda status: status == 500)


async def _status(door: ClusterClient) -> int:
    return (await door.probe(PROBE, deadline=5)).status


def asked_by(cluster: Embedded, user: str, since: int = 0) -> list[Json]:
    """The audit log's lines of one identity of Backstop's, from line `since` on."""
    lines = (json.loads(line) for line in cluster.audit_log.read_text().splitlines()[since:])
    return [line for line in lines if line["user"]["username"] == f"system:serviceaccount:backstop:{user}"]


def policy_file(directory: Path, *, approval_seconds: float = 900.0, **namespace: Any) -> Path:
    """The demo fleet's policy with other fields in its only namespace."""
    document = DEFAULT.model_dump(mode="json")
    document["namespaces"][0] |= namespace
    document["limits"]["approval_seconds"] = approval_seconds
    path = directory / "policy.toml"
    path.write_text("".join(f"{key} = {_toml(value)}\n" for key, value in document.items()))
    return path


def _toml(value: object) -> str:
    """JSON but for null, which TOML leaves out, and for inline tables."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f'"{key}" = {_toml(one)}' for key, one in value.items() if one is not None) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value)
