"""`backstop up` as a person runs it: a real process with no key and no cluster, and the shop that it brings with it."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.cli.processes import BACKSTOP, typed
from tests.cli.serving import Serving
from tests.cli.triaging import Desk, proven
from tests.embedded import Embedded, until

Json = dict[str, Any]


@dataclass(frozen=True)
class Up:
    """A running one: its process, its service, its cluster."""

    desk: Desk
    process: subprocess.Popen[str]
    page: str
    shop: Embedded

    @property
    def service(self) -> Serving:
        return Serving(self.process, self.page.removesuffix("/run") + "/api/v1")

    def broken(self, state: str = "awaiting_approval") -> Json:
        """The incident of a bad release, once it is so."""
        broken = typed("sandbox", "break", "bad-release", environment=self.desk.environment)
        assert broken.returncode == 0, broken

        async def found() -> list[Json]:
            incidents: list[Json] = self.service.get(f"/incidents?state={state}")["incidents"]
            return incidents

        return asyncio.run(until(found, bool, seconds=50))[0]

    def rate(self) -> float | None:
        """Of checkout: which share of the last two seconds' requests failed."""
        return asyncio.run(self._rate())

    async def _rate(self) -> float | None:
        async with self.shop.door("admin") as door:
            recent = (await door.get("/debug/traffic"))["services"]["shop/checkout"]["recent"]
        return float(recent["failures"] / recent["requests"]) if recent["requests"] else None

    def until_well(self) -> None:
        asyncio.run(until(self._rate, lambda rate: rate == 0.0))

    def uid(self) -> str:
        return asyncio.run(self._uid())

    async def _uid(self) -> str:
        async with self.shop.door("admin") as door:
            return str((await door.get("/apis/apps/v1/namespaces/shop/deployments/checkout"))["metadata"]["uid"])


@contextmanager
def upped(desk: Desk, *arguments: str, **environment: str) -> Iterator[Up]:
    """One whose shop is up and proven; it is asked to end at the end of the block, if it still runs."""
    with (desk.directory / "complaints").open("a") as log:
        process = subprocess.Popen(
            [BACKSTOP, "up", "--port", "0", "--state", str(desk.directory / "state"), *arguments],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True, cwd=desk.directory,
            env=desk.environment | environment, start_new_session=True,
        )  # fmt: skip
    assert process.stdout is not None
    try:
        page = process.stdout.readline().strip()
        assert page, complaints(desk)
        shop = _shop(desk, process.pid)
        asyncio.run(proven(shop))
        yield Up(desk, process, page, shop)
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait(20)
        process.stdout.close()


def complaints(desk: Desk) -> str:
    """What it said on standard error."""
    return (desk.directory / "complaints").read_text()


def _shop(desk: Desk, pid: int) -> Embedded:
    (kubeconfig,) = (desk.directory / "tmp").glob(f"backstop-*/{pid}-*/kubeconfig")
    others = {path.stem: path for path in kubeconfig.parent.glob("*.kubeconfig")}
    return Embedded("", {"admin": kubeconfig, **others}, kubeconfig.parent / "audit.jsonl")
