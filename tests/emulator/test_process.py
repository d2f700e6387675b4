"""The emulator is a process of its own that leaves nothing behind."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

COMMAND = [sys.executable, "-m", "backstop.emulator"]


@pytest.mark.parametrize("how", ["sigterm", "sigint", "stdin"])
def test_it_says_where_it_is_and_ends_when_told(how: str, tmp_path: Path) -> None:
    script = tmp_path / "script.json"
    script.write_text('{"seed": 7, "models": {"m": ["competent"]}}')
    with subprocess.Popen(
        [*COMMAND, "--script", str(script), "--until-stdin-closes"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        url = json.loads(process.stdout.readline())["url"]
        with urllib.request.urlopen(f"{url}/models", timeout=10) as reply:
            assert json.load(reply)["data"][0]["id"] == "m"
        if how == "stdin":
            process.stdin.close()
        else:
            process.send_signal(signal.SIGTERM if how == "sigterm" else signal.SIGINT)
        assert process.wait(timeout=10) == 0


@pytest.mark.parametrize(("options", "label"), [([], "emulated"), (["--unlabelled"], None)])
def test_it_labels_its_replies_unless_it_plays_a_live_vendor(options: list[str], label: str | None) -> None:
    with subprocess.Popen([*COMMAND, *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = json.loads(process.stdout.readline())["url"]
        body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "hello"}]}).encode()
        with urllib.request.urlopen(f"{url}/chat/completions", data=body, timeout=10) as reply:
            assert reply.headers["x-backstop-source"] == label
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) == 0


def test_a_bad_script_or_port_is_one_sentence_and_exit_2(tmp_path: Path) -> None:
    script = tmp_path / "script.json"
    script.write_text('{"models": {"m": ["dance"]}}')
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        for arguments in (["--script", str(script)], ["--script", str(tmp_path / "none.json")], ["--port", port]):
            ended = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=30, check=False)
            assert ended.returncode == 2
            assert ended.stdout == ""
            assert len(ended.stderr.strip().splitlines()) == 1
