"""`python -m backstop.sandbox --state DIR --seed N`: one embedded cluster as a process of its own.

When the API answers it prints one JSON line: server, ca, kubeconfigs, tokens, audit_log. Then it runs until SIGTERM, SIGINT
or, with --until-stdin-closes, until the other end of its standard input is gone. Everything it writes is under DIR.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
from pathlib import Path

from backstop.clock import SystemClock
from backstop.errors import ConfigError
from backstop.sandbox.runtime import Runtime


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m backstop.sandbox", description="One embedded Kubernetes cluster.")
    parser.add_argument("--state", type=Path, required=True, help="directory for everything it writes")
    parser.add_argument("--seed", default="0", help="same seed, same names")
    parser.add_argument("--empty", action="store_true", help="without the demo fleet")
    parser.add_argument("--manifests", type=Path, help="YAML or JSON file of objects to install before the API answers")
    parser.add_argument("--port", type=int, default=0, help="of the API; 0: one that is free")
    parser.add_argument("--until-stdin-closes", action="store_true", help="leave when standard input ends")
    return parser.parse_args()


async def _run(asked: argparse.Namespace, runtime: Runtime) -> int:
    from backstop.sandbox.cluster import EmbeddedCluster
    from backstop.sandbox.manifests import read_manifests

    loop = asyncio.get_running_loop()
    leave = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, leave.set)
    if asked.until_stdin_closes:
        await _watch_stdin(leave)
    try:
        manifests = read_manifests(asked.manifests) if asked.manifests else []
        cluster = EmbeddedCluster(asked.state, seed=asked.seed, empty=asked.empty, manifests=manifests, runtime=runtime)
        access = await cluster.start(port=asked.port)
    except ConfigError as error:
        await runtime.stop()
        sys.stderr.write(f"cannot start the cluster: {error}\n")
        return 2
    except OSError as error:
        await runtime.stop()
        where = f"{error.filename}: " if error.filename else ""
        sys.stderr.write(f"cannot start the cluster: {where}{error.strerror or error}\n")
        return 2
    sys.stdout.write(json.dumps(access.json()) + "\n")
    sys.stdout.flush()
    leaving = loop.create_task(leave.wait())
    await asyncio.wait((leaving, cluster.failed), return_when=asyncio.FIRST_COMPLETED)
    bug = cluster.failed.exception() if cluster.failed.done() else None
    leaving.cancel()
    await cluster.stop()
    if bug is not None:
        raise bug
    return 0


async def _watch_stdin(leave: asyncio.Event) -> None:
    """Sets `leave` when standard input ends."""
    loop = asyncio.get_running_loop()

    def look() -> None:
        if not os.read(0, 1 << 12):
            loop.remove_reader(0)
            leave.set()

    try:
        loop.add_reader(0, look)
    except PermissionError:  # a file or /dev/null, which nobody holds open for us
        leave.set()


def main() -> int:
    asked = _arguments()
    runtime = Runtime(SystemClock())  # its zygote warms up while the rest is imported
    return asyncio.run(_run(asked, runtime))


if __name__ == "__main__":
    sys.exit(main())
