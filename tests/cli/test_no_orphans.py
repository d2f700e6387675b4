"""However a drill is ended, none of its processes is left."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.processes import BACKSTOP, gone_within, running_under


@pytest.fixture
def scratch() -> Iterator[Path]:
    """A temporary directory with a short name: that of a socket must be."""
    with tempfile.TemporaryDirectory(prefix="backstop-test-") as directory:
        yield Path(directory)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 130), (signal.SIGHUP, 130), (signal.SIGKILL, -9)]
)
def test_a_drill_that_is_cut_off_leaves_no_process(scratch: Path, number: signal.Signals, code: int) -> None:
    process = drill_under_way(scratch)
    assert process.stdout is not None
    assert process.stderr is not None
    assert len(running_under(scratch)) >= 3
    process.send_signal(number)
    complaint = process.stderr.read()
    assert process.wait(timeout=30) == code
    assert gone_within(scratch / "backstop-", 20) == []
    assert "Traceback" not in complaint
    process.stdout.close()
    process.stderr.close()


def test_an_impatient_second_interrupt_does_not_cut_the_cleaning_short(scratch: Path) -> None:
    process = drill_under_way(scratch)
    for _ in range(3):
        process.send_signal(signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.05)
    said, complaint = process.communicate()
    assert (process.returncode, complaint.count("\n")) == (130, 1), (said, complaint)
    assert running_under(scratch / "backstop-") == []
    assert not list(scratch.glob("backstop-*/*"))


def test_a_reader_that_leaves_ends_the_drill(scratch: Path) -> None:
    """`backstop drill | head -1`"""
    process = drill_under_way(scratch)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    complaint = process.stderr.read()
    process.stderr.close()
    assert (process.wait(timeout=30), complaint.count("\n")) == (130, 1), complaint
    assert running_under(scratch / "backstop-") == []


def drill_under_way(scratch: Path) -> subprocess.Popen[str]:
    """A drill in which the break is in and the agent is on its way up."""
    process = subprocess.Popen(
        [BACKSTOP, "drill", "--agent", "backstop", "--record", str(scratch / "record")],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "TMPDIR": str(scratch)},
    )  # fmt: skip
    assert process.stdout is not None
    told = []
    for line in process.stdout:
        told.append(line)
        if "[injected]" in line:
            break
    assert "[injected]" in told[-1], told
    return process
