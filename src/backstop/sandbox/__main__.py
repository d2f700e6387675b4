"""`python -m backstop.sandbox --state DIR --seed N`: one embedded cluster as a process.

Prints one JSON line on standard output as soon as the API answers (see `cluster.Access`), and runs until SIGTERM, SIGINT or,
with `--until-stdin-closes`, until standard input ends, which it does however the process at its other end dies.
Exits 2 with one sentence if it cannot start.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
import threading
from pathlib import Path

from backstop.sandbox.cluster import EmbeddedCluster


def main() -> int:
    """Runs it. Answers the exit code."""
    parser = argparse.ArgumentParser(prog="python -m backstop.sandbox", description="One embedded Kubernetes cluster.")
    parser.add_argument("--state", type=Path, required=True, help="directory for its files; made if it does not exist")
    parser.add_argument("--seed", type=int, default=7, help="names of pods, uids and audit ids follow from it")
    parser.add_argument("--port", type=int, default=0, help="of the API server; 0 takes one that is free")
    parser.add_argument("--empty", action="store_true", help="without the demo fleet")
    parser.add_argument("--until-stdin-closes", action="store_true", help="end when standard input does")
    asked = parser.parse_args()
    try:
        asked.state.mkdir(parents=True, exist_ok=True)
        asyncio.run(_run(asked))
    except OSError as error:
        what = f"port {asked.port} on 127.0.0.1" if asked.port and error.filename is None else str(error.filename or asked.state)
        sys.stderr.write(f"the cluster cannot start: {what}: {error.strerror or error}\n")
        return 2
    return 0


async def _run(asked: argparse.Namespace) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)
    if asked.until_stdin_closes:
        threading.Thread(target=_read_to_end, args=(loop, stop), daemon=True).start()
    cluster = EmbeddedCluster(asked.state, seed=asked.seed)
    try:
        access = await cluster.start(port=asked.port, with_fleet=not asked.empty)
        sys.stdout.write(json.dumps(access.as_json()) + "\n")
        sys.stdout.flush()
        stopped, failed = asyncio.ensure_future(stop.wait()), asyncio.ensure_future(cluster.failed())
        await asyncio.wait((stopped, failed), return_when=asyncio.FIRST_COMPLETED)
        if failed.done():
            failed.result()
        failed.cancel()
        stopped.cancel()
    finally:
        await cluster.stop()


def _read_to_end(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    """In a thread, because standard input may be anything, not only a pipe."""
    while os.read(0, 4096):
        pass
    loop.call_soon_threadsafe(stop.set)


if __name__ == "__main__":
    sys.exit(main())
