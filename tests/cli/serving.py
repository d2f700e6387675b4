"""`backstop serve` as a person runs it: a real process on a real embedded cluster, spoken to over its socket."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.cli.processes import BACKSTOP
from tests.cli.triaging import Desk
from tests.embedded import Embedded

Json = dict[str, Any]
TOKEN = "a-token-that-nobody-guesses-0123"
PATIENCE_SECONDS = 60.0


@dataclass(frozen=True)
class Serving:
    """A running service."""

    process: subprocess.Popen[str]
    url: str

    def get(self, path: str) -> Json:
        return self._ask(urllib.request.Request(self.url + path))

    def post(self, path: str, body: Json) -> Json:
        data = json.dumps(body).encode()
        return self._ask(urllib.request.Request(self.url + path, data=data, headers={"Content-Type": "application/json"}))

    def _ask(self, request: urllib.request.Request) -> Json:
        request.add_header("Authorization", f"Bearer {TOKEN}")
        with urllib.request.urlopen(request, timeout=30) as answer:
            said: Json = json.loads(answer.read())
        return said

    def alert(self, fingerprint: str = "f1") -> str:
        """Alertmanager's word that checkout is failing. Gives the incident's id."""
        began = datetime.now(UTC).isoformat()
        labels = {"alertname": "HighErrorRate", "namespace": "shop", "deployment": "checkout", "service": "checkout"}
        alert = {
            "status": "firing", "labels": labels, "annotations": {"summary": "requests to the checkout service are failing"},
            "startsAt": began, "endsAt": "0001-01-01T00:00:00Z", "generatorURL": "", "fingerprint": fingerprint,
        }  # fmt: skip
        message = {
            "version": "4", "groupKey": "g", "status": "firing", "receiver": "backstop", "groupLabels": {}, "commonLabels": {},
            "commonAnnotations": {}, "externalURL": "", "alerts": [alert],
        }  # fmt: skip
        (kept,) = self.post("/alerts/alertmanager", message)["alerts"]
        return str(kept["incident"])

    def until(self, incident: str, wanted: Callable[[Json], bool]) -> Json:
        """The incident, once it is as wanted. There is no event for it over HTTP."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not wanted(found := self.get(f"/incidents/{incident}")):
            assert time.monotonic() < deadline, found
            time.sleep(0.1)
        return found

    def receipt(self, incident: str) -> Json:
        """Issued once the incident is closed, and shortly after it is."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                return self.get(f"/incidents/{incident}/receipt")
            except urllib.error.HTTPError as missing:
                if missing.code != 404 or time.monotonic() > deadline:
                    raise
            time.sleep(0.1)

    def kill(self) -> None:
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait(10)


def identities(cluster: Embedded) -> tuple[str, ...]:
    """The options that name whoever reads, writes and rehearses."""
    files = {"": "investigator", "executor-": "executor", "rehearser-": "rehearser"}
    return tuple(part for prefix, who in files.items() for part in (f"--{prefix}kubeconfig", str(cluster.kubeconfigs[who])))


@contextmanager
def serving(desk: Desk, *arguments: str | Path, **environment: str) -> Iterator[Serving]:
    """One that answers; it is asked to end at the end of the block, if it still runs."""
    complaints = desk.directory / "complaints"
    with complaints.open("a") as log:
        process = subprocess.Popen(
            [BACKSTOP, "serve", "--port", "0", "--state", str(desk.directory / "state"), *map(str, arguments)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True, cwd=desk.directory, start_new_session=True,
            env={**desk.environment, "BACKSTOP_TOKEN": TOKEN, **environment},
        )  # fmt: skip
    assert process.stdout is not None
    try:
        url = process.stdout.readline().strip()
        assert url, complaints.read_text()
        yield Serving(process, url)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        process.wait(20)
        process.stdout.close()
