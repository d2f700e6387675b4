"""The command line as a user types it, and the processes it leaves behind."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

BACKSTOP = str(Path(sys.executable).with_name("backstop"))


def typed(*arguments: str, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Runs one command to its end."""
    return subprocess.run([BACKSTOP, *arguments], capture_output=True, text=True, check=False, timeout=60, env=environment)


def running_under(scratch: Path) -> list[str]:
    """Every process whose command line names something in a directory."""
    listed = subprocess.run(["ps", "-ewwo", "pid=,args="], capture_output=True, text=True, check=True).stdout
    return [line for line in listed.splitlines() if str(scratch) in line and " ps " not in line]


def gone_within(scratch: Path, seconds: float) -> list[str]:
    """What still runs there when the time is up; there is no event for the end of somebody else's grandchildren."""
    deadline = time.monotonic() + seconds
    while (left := running_under(scratch)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return left
