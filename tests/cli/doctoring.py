"""`backstop doctor` as a person runs it: a real process, in a directory of its own, with no variable but those that a test sets."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from backstop.doctor.report import ModelEntry, Report
from tests.cli.processes import BACKSTOP

Ended = subprocess.CompletedProcess[str]


@dataclass(frozen=True)
class Desk:
    """Where the person sits."""

    directory: Path

    def configure(self, toml: str) -> None:
        (self.directory / "backstop.toml").write_text(toml, encoding="utf-8")

    def doctor(self, *arguments: str, **environment: str) -> Ended:
        """Never a traceback, whatever it is that is wrong."""
        ended = subprocess.run(
            [BACKSTOP, "doctor", *arguments], capture_output=True, text=True, check=False, timeout=100, cwd=self.directory,
            env={"PATH": os.environ["PATH"], "HOME": str(self.directory), "LANG": "C.UTF-8", **environment},
        )  # fmt: skip
        assert "Traceback" not in ended.stdout + ended.stderr
        return ended

    def report(self, *arguments: str, code: int, **environment: str) -> Report:
        """What `--json` says; standard error stays empty."""
        ended = self.doctor("--json", *arguments, **environment)
        assert (ended.returncode, ended.stderr) == (code, ""), ended
        return Report.model_validate_json(ended.stdout)

    def refused(self, *arguments: str, **environment: str) -> str:
        """The one sentence of a setting that cannot be used."""
        ended = self.doctor(*arguments, **environment)
        assert (ended.returncode, ended.stdout) == (2, ""), ended
        (sentence,) = ended.stderr.splitlines()
        assert sentence.startswith("backstop: ")
        return sentence


def entries(report: Report) -> dict[str, ModelEntry]:
    """By the model's name."""
    return {entry.model: entry for entry in (*report.models.proposers, *report.models.judges)}


@contextmanager
def emulator(script: dict[str, Any], directory: Path) -> Iterator[str]:
    """The scripted provider as a process of its own; its address, without `/v1`."""
    file = directory / "script.json"
    file.write_text(json.dumps(script))
    process = subprocess.Popen(
        [sys.executable, "-m", "backstop.emulator", "--script", str(file), "--until-stdin-closes"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield str(json.loads(process.stdout.readline())["url"]).removesuffix("/v1")
    finally:
        process.stdin.close()
        process.wait(timeout=20)
        process.stdout.close()


class _Patient(ThreadingHTTPServer):
    request_queue_size = 128  # the reviews are asked for all at once, and with the default of 5 a busy machine resets some


@contextmanager
def answering(answer: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """A server of a few lines; its address."""
    server = _Patient(("127.0.0.1", 0), answer)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
