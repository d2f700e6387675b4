"""The container runtime: starts, signals and reaps the processes that containers are, through one warm zygote.

The zygote (`workload.py`) is a child of this process and dies with it, and so do all containers, however this process ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backstop.clock import Clock
from backstop.sandbox.images import Image
from backstop.sandbox.logs import ContainerLog

PROGRAM = Path(__file__).with_name("workload.py")
LOOPBACK = "127.0.0.1"
HAS_PROC = Path("/proc/self/statm").exists()
DRAIN_SECONDS = 1.0
LEAVE_SECONDS = 5.0


class RuntimeGone(Exception):
    """No container can be started any more."""


@dataclass(frozen=True, slots=True)
class Exit:
    """How a container ended: `code` is 128 + the signal if one killed it."""

    code: int
    signal: int


class Process:
    """One running container. `exited` is set after everything it wrote has been read."""

    def __init__(self, runtime: Runtime, number: int, ports: dict[int, int], log: ContainerLog) -> None:
        self._runtime = runtime
        self.number = number
        self.ports = ports
        self.log = log
        self.how: Exit | None = None
        self.started: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.exited: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()

    def finish(self) -> None:
        """Sets `exited` if the process has ended."""
        if self.how is not None and not self.exited.done():
            self.exited.set_result(self.how)

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Sends a signal to the container's whole process group; nothing happens if it has ended."""
        if not self.exited.done():
            self._runtime.send({"op": "kill", "id": self.number, "signal": int(number)})


class Runtime:
    """Call `start` before a loop runs if you like: the zygote warms up while the rest is imported."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._count = 0
        self._running: dict[int, Process] = {}
        self._outputs: dict[int, Process] = {}
        self._stopping = False
        self._launch()

    def _launch(self) -> None:
        self._buffer = b""
        self._proven = False  # has started a container since it was launched
        self._control, far = socket.socketpair()
        with far:
            self._zygote = subprocess.Popen(  # its stdout must not be ours: ours is read by whoever started the cluster
                [sys.executable, "-I", "-S", str(PROGRAM), str(far.fileno())],
                pass_fds=[far.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                start_new_session=True,
            )
        self._control.settimeout(0)

    def start(self) -> None:
        """Listens to the zygote from now on."""
        asyncio.get_running_loop().add_reader(self._control.fileno(), self._receive)

    async def stop(self) -> None:
        """Kills every container and waits until the zygote has left."""
        self._stopping = True
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._control.fileno())
        self._control.close()
        try:
            await asyncio.to_thread(self._zygote.wait, LEAVE_SECONDS)
        except subprocess.TimeoutExpired:  # it was stopped, or worse: its containers die with it
            self._zygote.kill()
            await asyncio.to_thread(self._zygote.wait)
        for fd in self._outputs:
            loop.remove_reader(fd)
            os.close(fd)
        self._outputs.clear()

    async def run(self, image: Image, env: Mapping[str, str]) -> Process:
        """Starts a container and answers when its process exists. Its port is open before its first instruction.

        Raises RuntimeGone if there is no way to start containers any more.
        """
        if self._zygote.returncode is not None:
            raise RuntimeGone("the process that starts containers does not stay alive")
        self._count += 1
        listening = socket.create_server((LOOPBACK, 0), backlog=128)
        output, write_end = os.pipe()
        try:
            ports = {image.port: int(listening.getsockname()[1])}
            process = self._running[self._count] = Process(self, self._count, ports, ContainerLog(self._clock))
            os.set_blocking(output, False)
            self._outputs[output] = process
            asyncio.get_running_loop().add_reader(output, self._read_output, output, process)
            order = {
                "op": "spawn",
                "id": process.number,
                "program": image.program,
                "behaviour": image.behaviour,
                "version": image.version,
                "lines": image.lines,
                "env": dict(env),
                "fds": 2,
            }
            self.send(order, [listening.fileno(), write_end])
        finally:
            listening.close()
            os.close(write_end)
        try:
            await asyncio.shield(process.started)
        except asyncio.CancelledError:  # nobody will ask for it any more
            process.kill()
            raise
        return process

    def send(self, order: dict[str, Any], fds: list[int] | None = None) -> None:
        """Tells the zygote. Does nothing once it is gone."""
        data = json.dumps(order).encode() + b"\n"
        with contextlib.suppress(OSError):
            self._control.settimeout(None)
            if fds:
                sent = socket.send_fds(self._control, [data], fds)
                data = data[sent:]
            self._control.sendall(data)
            self._control.settimeout(0)

    def _read_output(self, fd: int, process: Process) -> None:
        try:
            data = os.read(fd, 1 << 16)
        except BlockingIOError:
            return
        if data:
            process.log.feed(data)
            return
        asyncio.get_running_loop().remove_reader(fd)
        os.close(fd)
        del self._outputs[fd]
        process.log.end()
        process.finish()

    def _receive(self) -> None:
        try:
            data = self._control.recv(1 << 16)
        except BlockingIOError:
            return
        if not data:
            self._zygote_gone()
            return
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        for line in lines:
            said = json.loads(line)
            if "started" in said:
                self._proven = True
                started = self._running[said["started"]].started
                if not started.done():  # whoever waited for it may have given up meanwhile
                    started.set_result(said["pid"])
            else:
                process = self._running.pop(said["exited"])
                self._finish(process, Exit(said["code"], said["signal"]))

    def _zygote_gone(self) -> None:
        """Somebody killed the zygote, and its containers went with it: another one takes its place."""
        asyncio.get_running_loop().remove_reader(self._control.fileno())
        self._control.close()
        self._zygote.kill()
        self._zygote.wait()
        if self._proven and not self._stopping:
            self._launch()
            self.start()
        gone, self._running = self._running, {}
        for process in gone.values():
            self._finish(process, Exit(137, signal.SIGKILL))

    def _finish(self, process: Process, how: Exit) -> None:
        """Sets `exited` when the rest of the log has been read, or a second later if something else holds the pipe."""
        if not process.started.done():
            process.started.set_result(0)
        process.how = how
        if process.log.ended:
            process.finish()
        else:
            asyncio.get_running_loop().call_later(DRAIN_SECONDS, process.finish)


async def measure(pid: int) -> int:
    """`resident_bytes`, in a thread where it takes a process to find out."""
    return resident_bytes(pid) if HAS_PROC else await asyncio.to_thread(resident_bytes, pid)


def resident_bytes(pid: int) -> int:
    """Memory of a process that is in RAM, measured; 0 if it is gone."""
    if not HAS_PROC:
        return _resident_by_ps(pid)
    try:
        pages = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]
    except (FileNotFoundError, ProcessLookupError, IndexError):
        return 0
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def _resident_by_ps(pid: int) -> int:
    done = subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return int(done.stdout.strip() or 0) * 1024
