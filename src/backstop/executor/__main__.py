"""`python -m backstop.executor`: runs until SIGTERM, SIGINT, or the end of standard input if that is a pipe.

Prints one JSON line when it listens. What cannot be used ends it with one sentence and exit code 2.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import stat
import sys
from contextlib import AsyncExitStack
from pathlib import Path

from backstop.clock import SystemClock
from backstop.cluster.client import ClusterClient
from backstop.cluster.snapshot import SnapshotStore
from backstop.errors import BackstopError
from backstop.executor.rehearsal import PodRehearsal
from backstop.executor.sealing import Sealer
from backstop.executor.server import Server
from backstop.executor.writer import Writer
from backstop.policy import load_policy
from backstop.receipts import Issuer, load_signing_keys

_CONNECTIONS = 2  # what one reading of the target uses at a time


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="backstop.executor", description=__doc__)
    parser.add_argument("--kubeconfig", type=Path, required=True, help="the executor's own: the only write identity")
    parser.add_argument("--context", default=None)
    parser.add_argument("--rehearser-kubeconfig", type=Path, default=None, help="whose pods are dry-runs")
    parser.add_argument("--rehearser-context", default=None)
    parser.add_argument("--mode", choices=("observe", "approve", "auto"), default="auto", help="how far it goes, at most")
    parser.add_argument("--policy", required=True, help="a policy file, or `default`")
    parser.add_argument("--socket", type=Path, required=True)
    parser.add_argument("--state", type=Path, required=True, help="directory for the before-snapshots, signing keys and receipts")
    parser.add_argument("--receipt-key", type=Path, default=None, help="directory of the signing keys; default in --state")
    parser.add_argument("--deadline", type=float, default=5.0, help="seconds for one call to the API server")
    return parser.parse_args()


async def run(arguments: argparse.Namespace) -> None:
    """Raises BackstopError if it cannot start."""
    policy, snapshots = load_policy(arguments.policy), SnapshotStore(arguments.state)
    stop, listening = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(
            ClusterClient(arguments.kubeconfig, arguments.context, deadline=arguments.deadline)
        )
        await client.warm(_CONNECTIONS)
        pods = PodRehearsal(await _rehearser(arguments, stack))
        writer = Writer(client, policy, snapshots, SystemClock(), pods=pods, ceiling=arguments.mode)
        server = Server(writer, arguments.socket, Sealer(policy, snapshots, _issuer(arguments)))
        beside = [
            asyncio.create_task(_stop_with_parent(stop)),
            asyncio.create_task(_announce(listening, arguments.socket.absolute())),
        ]
        try:
            await server.serve(stop, listening)
        finally:
            for task in beside:
                task.cancel()


def _issuer(arguments: argparse.Namespace) -> Issuer:
    keys: Path = arguments.receipt_key or arguments.state / "keys"
    load_signing_keys(keys)  # makes the first, and says now what cannot be used
    return Issuer(keys, arguments.state / "receipts", SystemClock())


async def _rehearser(arguments: argparse.Namespace, stack: AsyncExitStack) -> ClusterClient | None:
    if arguments.rehearser_kubeconfig is None:
        return None
    client = ClusterClient(arguments.rehearser_kubeconfig, arguments.rehearser_context, deadline=arguments.deadline)
    return await stack.enter_async_context(client)


async def _announce(listening: asyncio.Event, socket: Path) -> None:
    await listening.wait()
    print(json.dumps({"socket": str(socket), "pid": os.getpid()}), flush=True)  # noqa: T201  the interface


async def _stop_with_parent(stop: asyncio.Event) -> None:
    """A parent that hands over a pipe as standard input ends this process by closing it, also by dying."""
    mode = os.fstat(sys.stdin.fileno()).st_mode if sys.stdin else 0
    if not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)):
        return
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while await reader.read(4096):
        pass
    stop.set()


def main() -> int:
    try:
        asyncio.run(run(_arguments()))
    except BackstopError as error:
        print(f"backstop executor: {error}", file=sys.stderr)  # noqa: T201  the interface
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
