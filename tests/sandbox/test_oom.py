"""Memory is measured, and a container that has more than its limit is killed."""

from __future__ import annotations

import os
import subprocess
import sys

from backstop.sandbox.runtime import resident_bytes
from tests.sandbox.running import Client, is_ready, pod, waits_for

MIB = 1 << 20


async def test_a_leak_is_killed_at_its_limit(client: Client, space: str) -> None:
    await client.create(space, pod("web", "demo/web:1.2-leak", resources={"limits": {"memory": "48Mi"}}))
    found = await client.pod(space, waits_for("CrashLoopBackOff"))
    ended = found["status"]["containerStatuses"][0]["lastState"]["terminated"]
    assert (ended["reason"], ended["exitCode"]) == ("OOMKilled", 137)


async def test_a_healthy_container_stays_below_the_same_limit(client: Client, space: str) -> None:
    await client.create(space, pod("leak", "demo/web:1.2-leak", resources={"limits": {"memory": "48Mi"}}))
    await client.create(space, pod("web", "demo/web:1.0", resources={"limits": {"memory": "48Mi"}}))
    await client.pod(space, is_ready, "web")
    await client.pod(space, waits_for("CrashLoopBackOff"), "leak")
    found = await client.pod(space, is_ready, "web")
    assert found["status"]["containerStatuses"][0]["restartCount"] == 0


def test_resident_memory_is_what_a_process_really_has() -> None:
    program = "import sys; kept = b'x' * (64 << 20); print(flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()
        assert 64 * MIB <= resident_bytes(process.pid) <= 128 * MIB
        process.stdin.close()
    assert resident_bytes(process.pid) == 0
    assert resident_bytes(os.getpid()) > 0
