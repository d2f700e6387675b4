"""`backstop sandbox up` says one line, serves, can be broken and healed by name, and leaves nothing behind."""

from __future__ import annotations

import base64
import json
import os
import signal
import ssl
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cli.processes import BACKSTOP, gone_within, typed

Up = tuple["subprocess.Popen[str]", str, dict[str, str]]


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    environment = {**os.environ, "TMPDIR": str(tmp_path), "KUBECONFIG": ""}
    process = subprocess.Popen(
        [BACKSTOP, "sandbox", "up"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    yield process, line, environment
    if process.poll() is None:
        process.terminate()
    process.wait(timeout=20)
    process.stdout.close()


def ask(kubeconfig: Path, path: str) -> Any:
    config = yaml.safe_load(kubeconfig.read_text())
    cluster, token = config["clusters"][0]["cluster"], config["users"][0]["user"]["token"]
    trust = ssl.create_default_context(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())
    request = urllib.request.Request(cluster["server"] + path, headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request, context=trust, timeout=10) as answer:
        return json.load(answer)


def image(kubeconfig: Path) -> str:
    checkout = ask(kubeconfig, "/apis/apps/v1/namespaces/shop/deployments/checkout")
    name: str = checkout["spec"]["template"]["spec"]["containers"][0]["image"]
    return name


def test_one_line_to_paste_and_an_api_that_answers(up: Up) -> None:
    _, line, _ = up
    assert line.startswith("export KUBECONFIG=/")
    assert line.endswith("/kubeconfig\n")
    kubeconfig = Path(line.removeprefix("export KUBECONFIG=").strip())
    assert ask(kubeconfig, "/version")["gitVersion"].startswith("v1.")
    assert kubeconfig.stat().st_mode & 0o077 == 0


def test_break_and_heal_find_the_running_cluster(up: Up) -> None:
    _, line, environment = up
    kubeconfig = Path(line.removeprefix("export KUBECONFIG=").strip())
    broken = typed("sandbox", "break", "bad-release", environment=environment)
    assert (broken.returncode, image(kubeconfig)) == (0, "demo/web:1.2-errors"), broken
    healed = typed("sandbox", "heal", environment={**environment, "KUBECONFIG": str(kubeconfig)})
    assert (healed.returncode, image(kubeconfig)) == (0, "demo/web:1.0"), healed


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_and_leaves_nothing(up: Up, tmp_path: Path, number: signal.Signals) -> None:
    process, _, _ = up
    process.send_signal(number)
    assert process.wait(timeout=20) == 0
    assert gone_within(tmp_path, 5) == []
    assert list(tmp_path.glob("backstop-*/*")) == []


def test_what_a_killed_one_left_behind_is_swept_by_the_next(up: Up, tmp_path: Path) -> None:
    process, line, environment = up
    process.kill()
    process.wait(timeout=20)
    left = Path(line.removeprefix("export KUBECONFIG=").strip()).parent
    assert left.exists()
    nobody = typed("sandbox", "heal", environment=environment)
    assert (nobody.returncode, "no embedded cluster is running" in nobody.stderr) == (2, True)
    following = subprocess.Popen(
        [BACKSTOP, "sandbox", "up", "--empty"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    )
    assert following.stdout is not None
    following.stdout.readline()
    assert not left.exists()
    following.terminate()
    following.wait(timeout=20)
    following.stdout.close()
