"""`python -m backstop.emulator [--script FILE.json] [--port 0] [--until-stdin-closes] [--unlabelled]`

Prints one JSON line `{"url": "http://127.0.0.1:PORT/v1"}` when it answers; Anthropic's and Bedrock's base is the
same without `/v1`. Runs until SIGTERM or SIGINT, or until whoever holds the
other end of its standard input is gone. Exit 2 and one sentence for a script or port that cannot be used.
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

from backstop.emulator.scripts import Script, read_script
from backstop.emulator.server import serve
from backstop.errors import ConfigError


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m backstop.emulator", description="The scripted model provider.")
    parser.add_argument("--script", type=Path, default=None, help="JSON script; without one every model is competent")
    parser.add_argument("--port", type=int, default=0, help="0: any free port")
    parser.add_argument("--until-stdin-closes", action="store_true", help="end when standard input ends")
    parser.add_argument("--unlabelled", action="store_true", help="label no reply: play a live vendor")
    options = parser.parse_args(arguments)
    try:
        asyncio.run(_run(read_script(options.script), options))
    except ConfigError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 2
    return 0


async def _run(script: Script, options: argparse.Namespace) -> None:
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    if options.until_stdin_closes:
        threading.Thread(target=_wait_for_end_of_stdin, args=(loop, ended), daemon=True).start()
    try:
        runner, url = await serve(script, options.port, labelled=not options.unlabelled)
    except (OSError, OverflowError) as error:
        raise ConfigError(f"cannot listen on port {options.port}: {error}", todo="choose another one, or 0 for any") from error
    try:
        print(json.dumps({"url": url}), flush=True)  # noqa: T201
        await ended.wait()
    finally:
        await runner.cleanup()


def _wait_for_end_of_stdin(loop: asyncio.AbstractEventLoop, ended: asyncio.Event) -> None:
    while os.read(sys.stdin.fileno(), 4096):  # unbuffered: a thread in `sys.stdin` would hold its lock when the process ends
        pass
    if not loop.is_closed():
        loop.call_soon_threadsafe(ended.set)


if __name__ == "__main__":
    sys.exit(main())
