"""Black-box requests to Services, through the API server's proxy: what a client of the service would get."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from urllib.parse import quote

from backstop.cluster.client import Answer, ClusterClient
from backstop.cluster.objects import Json, clean, count, name, sequence, text
from backstop.errors import ClusterUnavailable, ReplyLost

NOT_HTTP = ("malformed HTTP", "HTTP/0.9", "does not look like a TLS handshake")


@dataclass(frozen=True)
class Probed:
    """One request. `known` is False when it says nothing of the service: the API server was not reached, or refused to ask."""

    service: str
    path: str
    status: int  # 0: no HTTP answer
    body: str
    known: bool
    other_protocol: bool = False  # something answers, and it is not HTTP: a failed request, and no word on its health

    @property
    def ok(self) -> bool:
        """An HTTP answer below 500."""
        return self.known and 100 <= self.status < 500


class Prober:
    """Asks services, so many at a time, each request with its own deadline in seconds."""

    def __init__(self, client: ClusterClient, deadline: float, concurrency: int) -> None:
        self._client = client
        self._deadline = deadline
        self._gate = asyncio.Semaphore(concurrency)

    async def ask(self, namespace: str, service: Json, at: str = "/") -> Probed:
        """One GET. No answer within the deadline is an answer: the service failed. Raises nothing of the cluster's."""
        path, label = proxy_path(namespace, service), name(service)
        async with self._gate:
            try:
                answer = await self._client.probe(path + quote(at.removeprefix("/")), deadline=self._deadline)
            except ReplyLost:
                return Probed(label, at, 0, "it did not answer in time", known=True)
            except ClusterUnavailable as error:
                return Probed(label, at, 0, error.what, known=False)
        message = _status_message(answer)
        if message is not None and 400 <= answer.status < 500:
            return Probed(label, at, answer.status, message, known=False)  # the API server's own no, not the service's
        if message is not None and any(sign in message for sign in NOT_HTTP):
            return Probed(label, at, 0, message, known=True, other_protocol=True)
        return Probed(label, at, answer.status, message if message is not None else _first_line(answer.body), known=True)


def proxy_path(namespace: str, service: Json) -> str:
    """The service's first port behind the API server's proxy."""
    ports = sequence(service, "spec", "ports")
    port = ports[0] if ports else {}
    number = count(port, "port")
    secure = number == 443 or text(port, "name") == "https" or text(port, "appProtocol").lower() == "https"
    target = f"{'https:' if secure else ''}{quote(name(service), safe='')}{f':{number}' if number else ''}"
    return f"/api/v1/namespaces/{quote(namespace, safe='')}/services/{target}/proxy/"


def _status_message(answer: Answer) -> str | None:
    """The message of a Kubernetes Status; None if the answer is not one, and so the service's own."""
    try:
        status = json.loads(answer.body)
    except (ValueError, RecursionError):
        return None
    if isinstance(status, dict) and status.get("kind") == "Status" and status.get("apiVersion") == "v1":
        return text(status, "message").split("\n")[0][:300]
    return None


def _first_line(body: bytes) -> str:
    lines = [line.strip() for line in body.decode("utf-8", "replace").split("\n")]
    return clean(next((line for line in lines if line), ""))[:300]
