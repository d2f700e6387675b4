"""Probes: what the kubelet asks of a container, how often, and what follows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from backstop.sandbox.runtime import LOOPBACK
from backstop.sandbox.store import Object

Address = Callable[[int], int | None]
"""The real port behind a container's port, or None if nothing listens."""
EAGER_SECONDS = 1.0
EAGER_PAUSE = 0.1


@dataclass(frozen=True)
class Answer:
    """What one probe found. `why` is the kubelet's sentence if it failed."""

    ok: bool
    why: str = ""


@dataclass(frozen=True)
class Probe:
    """One probe of a container spec, with its defaults filled in."""

    kind: str  # Readiness, Liveness or Startup: as in the event
    spec: Object
    ports: Object  # named ports of the container
    ip: str

    def _seconds(self, name: str, default: int) -> float:
        return float(self.spec.get(name) or default)

    @property
    def period(self) -> float:
        return self._seconds("periodSeconds", 10)

    @property
    def delay(self) -> float:
        return self._seconds("initialDelaySeconds", 0)

    @property
    def timeout(self) -> float:
        return self._seconds("timeoutSeconds", 1)

    @property
    def failures(self) -> int:
        return int(self.spec.get("failureThreshold") or 3)

    @property
    def successes(self) -> int:
        return int(self.spec.get("successThreshold") or 1)

    def _port(self, value: Any) -> int:
        return int(self.ports.get(value, 0)) if isinstance(value, str) and not value.isdigit() else int(value)

    async def ask(self, address: Address) -> Answer:
        """Asks once."""
        if http := self.spec.get("httpGet"):
            return await self._ask_http(http, address)
        if tcp := self.spec.get("tcpSocket"):
            return await self._ask_tcp(self._port(tcp["port"]), address)
        kind = next((name for name in ("exec", "grpc") if self.spec.get(name)), "unknown")
        return Answer(ok=False, why=f"{kind} probes are not supported by this kubelet")

    async def _ask_tcp(self, port: int, address: Address) -> Answer:
        real = address(port)
        if real is None:
            return Answer(ok=False, why=f"dial tcp {self.ip}:{port}: connect: connection refused")
        try:
            async with asyncio.timeout(self.timeout):
                _, writer = await asyncio.open_connection(LOOPBACK, real)
            writer.close()
        except TimeoutError:
            return Answer(ok=False, why=f"dial tcp {self.ip}:{port}: i/o timeout")
        except OSError:
            return Answer(ok=False, why=f"dial tcp {self.ip}:{port}: connect: connection refused")
        return Answer(ok=True)

    async def _ask_http(self, http: Object, address: Address) -> Answer:
        port, path = self._port(http["port"]), "/" + str(http.get("path", "/")).lstrip("/")
        url = f"http://{self.ip}:{port}{path}"
        real = address(port)
        if real is None:
            return Answer(ok=False, why=f'Get "{url}": dial tcp {self.ip}:{port}: connect: connection refused')
        try:
            async with asyncio.timeout(self.timeout):
                status = await _get(real, path, http.get("httpHeaders") or ())
        except TimeoutError:
            why = f'Get "{url}": context deadline exceeded (Client.Timeout exceeded while awaiting headers)'
            return Answer(ok=False, why=why)
        except OSError:
            return Answer(ok=False, why=f'Get "{url}": dial tcp {self.ip}:{port}: connect: connection refused')
        if status is None:
            return Answer(ok=False, why=f'Get "{url}": EOF')
        return Answer(ok=200 <= status < 400, why=f"HTTP probe failed with statuscode: {status}")


async def _get(port: int, path: str, headers: Any) -> int | None:
    """The status of a GET, None if the connection ended without one."""
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    try:
        extra = "".join(f"{header['name']}: {header['value']}\r\n" for header in headers)
        writer.write(
            f"GET {path} HTTP/1.1\r\nHost: {LOOPBACK}\r\nUser-Agent: kube-probe/1.36\r\n{extra}Connection: close\r\n\r\n".encode()
        )
        line = await reader.readline()
    finally:
        writer.close()
    words = line.split(b" ", 2)
    return int(words[1]) if len(words) > 1 and words[1].isdigit() else None


async def watch(
    probe: Probe,
    address: Address,
    *,
    on_success: Callable[[], None],
    on_failure: Callable[[], None],
    on_miss: Callable[[str], None],
) -> None:
    """Asks for ever: `on_miss` for every failed answer, `on_success`/`on_failure` when a threshold is reached.

    A container that has only just started is asked again quickly, so that it is known as ready within moments: those answers
    are nobody's failure yet.
    """
    await asyncio.sleep(probe.delay)
    loop = asyncio.get_running_loop()
    eager_until = loop.time() + (EAGER_SECONDS if probe.kind != "Liveness" else 0.0)
    good = bad = 0
    while True:
        answer = await probe.ask(address)
        if not answer.ok and good == 0 and loop.time() < eager_until:
            await asyncio.sleep(EAGER_PAUSE)
            continue
        if answer.ok:
            good, bad = good + 1, 0
            if good >= probe.successes:
                on_success()
        else:
            good, bad = 0, bad + 1
            on_miss(answer.why)
            if bad >= probe.failures:
                on_failure()
        await asyncio.sleep(probe.period)
