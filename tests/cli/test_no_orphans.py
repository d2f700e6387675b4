"""However a drill is ended, none of its processes is left."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.cli.processes import BACKSTOP, gone_within, running_under


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 130), (signal.SIGKILL, -9)])
def test_a_drill_that_is_cut_off_leaves_no_process(tmp_path: Path, number: signal.Signals, code: int) -> None:
    process = subprocess.Popen(
        [BACKSTOP, "drill", "--agent", "backstop", "--record", str(tmp_path / "record")],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "TMPDIR": str(tmp_path)},
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stderr is not None
    told = []
    for line in process.stdout:
        told.append(line)
        if "[injected]" in line:  # the break is in, the agent is on its way up
            break
    assert "[injected]" in told[-1], told
    assert len(running_under(tmp_path)) >= 3
    process.send_signal(number)
    complaint = process.stderr.read()
    assert process.wait(timeout=30) == code
    assert gone_within(tmp_path / "backstop-", 20) == []
    assert "Traceback" not in complaint
    process.stdout.close()
    process.stderr.close()
