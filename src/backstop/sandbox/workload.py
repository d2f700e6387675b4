"""The programs that containers run, and the zygote that forks them.

Started once per cluster as `python -I -S workload.py FD`, so that a container costs a fork (milliseconds), not an interpreter
start. It imports nothing but the standard library, and little of that. Each container is a process of its own: own group, own
memory, own exit code. The kubelet talks JSON lines over the socket FD; file descriptors travel beside them.

    {"op": "spawn", "id", "program", "behaviour", "version", "lines", "env", "fds"}    fds: listening sockets, then the log
    {"op": "kill", "id", "signal"}
    {"started": id, "pid"}   {"exited": id, "code", "signal"}

When FD closes, which it does however the cluster dies, the zygote kills every container and leaves.
"""

from __future__ import annotations

import array
import contextlib
import json
import os
import select
import signal
import socket
import sys
import threading
import time
from typing import Any, NoReturn

Reply = tuple[int, str]
LOCK_PATH = "/lock"
LOCK_AFTER = 4.0
LOCK_SECONDS = 1.0
LOCK_RENEWAL = 0.2
DRAIN_SECONDS = 0.15
UPSTREAM_SECONDS = 2.0
LEAK_STEP = 4 << 20
LEAK_CEILING = 512 << 20
_REASONS = {200: "OK", 404: "Not Found", 500: "Internal Server Error", 502: "Bad Gateway", 503: "Service Unavailable"}


def say(line: str) -> None:
    """One line of the container's log."""
    os.write(1, (line + "\n").encode())


def die(line: str, code: int = 1) -> NoReturn:
    say(line)
    os._exit(code)


class Program:
    """What a container does: `start` once, then an answer for every request."""

    def __init__(self, order: dict[str, Any]) -> None:
        self.behaviour: str = order["behaviour"]
        self.version: str = order["version"]
        self.lines: list[str] = order["lines"]  # what it writes into its log beside what happens
        self.env: dict[str, str] = order["env"]
        self.started = time.monotonic()
        self.asked = 0

    def start(self) -> None:
        """Runs before the first request is accepted; may end the process."""

    def answer(self, path: str) -> Reply:
        raise NotImplementedError

    @property
    def age(self) -> float:
        return time.monotonic() - self.started


class Database(Program):
    """`demo/db`: answers queries as long as it has its password, and to everybody as long as nobody locks its table.

    A request for /lock takes the lock, renews it, and is answered: whoever asks there holds it, for LOCK_SECONDS after the last
    time. All others wait outside, which is a 503.
    """

    locked_until = 0.0

    def start(self) -> None:
        if not self.env.get("DB_PASSWORD"):
            die("FATAL DB_PASSWORD is not set")
        say(f"INFO db {self.version} ready to accept connections")

    def answer(self, path: str) -> Reply:
        if path == "/healthz":
            return 200, "ok"
        now = time.monotonic()
        if path == LOCK_PATH:
            if now >= self.locked_until:
                say("INFO table prices: ACCESS EXCLUSIVE lock granted, every other session waits")
            self.locked_until = now + LOCK_SECONDS
        elif now < self.locked_until:
            return 503, "canceling statement due to lock timeout: table prices is locked in ACCESS EXCLUSIVE mode"
        return 200, f"db {self.version}: 3 rows"


class Web(Program):
    """`demo/web`: a page that needs an upstream if UPSTREAM is set; the tag decides how it misbehaves."""

    def start(self) -> None:
        say(f"INFO web {self.version} starting")
        if self.behaviour == "crash":
            die(f"FATAL cannot read price table: unexpected end of input at line 1 (release {self.version})")
        if self.behaviour == "needs-key" and not self.env.get("PAYMENT_KEY"):
            die("FATAL missing configuration: PAYMENT_KEY is not set")
        if self.behaviour == "leak":
            threading.Thread(target=self._leak, daemon=True).start()
        if self.behaviour == "lock":
            threading.Thread(target=self._lock, daemon=True).start()
        say(f"INFO web {self.version} listening")

    def _leak(self) -> None:
        say(f"INFO price cache: loading every price, no limit (release {self.version})")
        kept: list[bytearray] = []
        while len(kept) * LEAK_STEP < LEAK_CEILING:
            block = bytearray(LEAK_STEP)
            block[::4096] = b"x" * len(block[::4096])  # touched, so that it is resident
            kept.append(block)
            time.sleep(0.05)

    def _lock(self) -> None:
        time.sleep(LOCK_AFTER)
        say(f"INFO price import: LOCK TABLE prices IN ACCESS EXCLUSIVE MODE (release {self.version})")
        while True:
            fetch(self.env.get("UPSTREAM", ""), self.env.get("HTTP_PROXY", ""), LOCK_PATH)
            time.sleep(LOCK_RENEWAL)

    def answer(self, path: str) -> Reply:
        if self.behaviour == "hang" and self.age > 2:
            time.sleep(30)
            raise OSError
        if path == "/healthz":
            starting = self.behaviour == "slow-start" and self.age < 8
            return (503, "starting: warming the price cache") if starting else (200, "ok")
        if path != "/":
            return 404, f"no page {path}"
        if self.lines:
            self.asked += 1
            say(self.lines[self.asked % len(self.lines)])
        if self.behaviour == "errors":
            say(f"ERROR GET {path} 500 KeyError: 'currency' in price_total (release {self.version})")
            return 500, "internal error"
        return self._page(path)

    def _page(self, path: str) -> Reply:
        upstream = self.env.get("UPSTREAM")
        if not upstream:
            return 200, f"web {self.version}: ok"
        locking = self.behaviour == "lock" and self.age > LOCK_AFTER
        status, said = fetch(upstream, self.env.get("HTTP_PROXY", ""), LOCK_PATH if locking else "/")
        if status == 200:
            return 200, f"web {self.version}: ok; {said}"
        why = f"upstream {upstream}: {status} {said}" if status else f"upstream {upstream}: {said}"
        say(f"ERROR GET {path} 502 {why}")
        return 502, why


PROGRAMS: dict[str, type[Program]] = {"web": Web, "db": Database}


def fetch(url: str, proxy: str, path: str = "/") -> Reply:
    """GET through the cluster's forward proxy: status and first line of the body; status 0 if there was no answer."""
    via = proxy or url
    host, _, port = via.removeprefix("http://").rstrip("/").partition(":")
    request = f"GET {url.rstrip('/')}{path} HTTP/1.1\r\nHost: {url.removeprefix('http://')}\r\nConnection: close\r\n\r\n"
    try:
        with socket.create_connection((host, int(port or 80)), timeout=UPSTREAM_SECONDS) as conn:
            conn.sendall(request.encode())
            data = b"".join(iter(lambda: conn.recv(65536), b""))
    except TimeoutError:
        return 0, "timed out"
    except OSError as error:
        return 0, (error.strerror or "connection failed").lower()
    head, _, body = data.partition(b"\r\n\r\n")
    words = head.split(b" ", 2)
    if len(words) < 2 or not words[1].isdigit():
        return 0, "connection closed without an answer"
    return int(words[1]), body.decode(errors="replace").split("\n", 1)[0]


class Listener:
    """Serves a program on the sockets that the kubelet opened for it, one thread per connection."""

    def __init__(self, program: Program, sockets: list[socket.socket]) -> None:
        self._program = program
        self._sockets = sockets
        self._busy = 0
        self._served = 0
        self._idle = threading.Condition()
        self._leaving = False

    def serve(self, lifeline: int) -> None:
        """Until SIGTERM, or until the zygote is gone. On SIGTERM requests that are under way are finished first."""
        wake, woken = os.pipe()
        os.set_blocking(woken, False)
        signal.set_wakeup_fd(woken)
        signal.signal(signal.SIGTERM, lambda *_: None)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        self._program.start()
        leave_at = float("inf")
        while (left := leave_at - time.monotonic()) > 0:
            watched: list[Any] = [*self._sockets, wake, lifeline]
            ready = select.select(watched, [], [], None if left == float("inf") else left)[0]
            if lifeline in ready:
                os._exit(1)
            if wake in ready:
                os.read(wake, 64)
                self._leaving = True
                leave_at = min(leave_at, time.monotonic() + DRAIN_SECONDS)
            for listening in self._sockets:
                if listening in ready:
                    self._accept(listening)
        with self._idle:
            self._idle.wait_for(lambda: self._busy == 0, timeout=30)
        say("INFO stopped")
        os._exit(0)

    def _accept(self, listening: socket.socket) -> None:
        try:
            conn, _ = listening.accept()
        except OSError:
            return
        threading.Thread(target=self._converse, args=(conn,), daemon=True).start()

    def _converse(self, conn: socket.socket) -> None:
        with contextlib.suppress(OSError), conn:
            pending = b""
            while not self._leaving or pending:
                while b"\r\n\r\n" not in pending:
                    chunk = conn.recv(65536)
                    if not chunk:
                        return
                    pending += chunk
                head, _, pending = pending.partition(b"\r\n\r\n")
                pending = self._skip_body(conn, head, pending)
                if not self._reply(conn, head):
                    return

    @staticmethod
    def _skip_body(conn: socket.socket, head: bytes, pending: bytes) -> bytes:
        length = 0
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                length = int(line[15:])
        while len(pending) < length:
            chunk = conn.recv(65536)
            if not chunk:
                return b""
            pending += chunk
        return pending[length:]

    def _reply(self, conn: socket.socket, head: bytes) -> bool:
        """Answers one request; False if the connection ends with it."""
        path = head.split(b" ", 2)[1].decode(errors="replace").split("?", 1)[0]
        with self._idle:
            self._busy += 1
        try:
            status, body = self._program.answer(path)
            keep = b"connection: close" not in head.lower() and not self._leaving
            conn.sendall(
                f"HTTP/1.1 {status} {_REASONS[status]}\r\nContent-Type: text/plain\r\nContent-Length: {len(body) + 1}\r\n"
                f"Connection: {'keep-alive' if keep else 'close'}\r\n\r\n{body}\n".encode()
            )
        finally:
            with self._idle:
                self._busy -= 1
                self._idle.notify_all()
        if path != "/healthz":
            self._count()
        return keep

    def _count(self) -> None:
        with self._idle:
            self._served += 1
            if self._served % 500 == 0:
                say(f"INFO {self._served} requests served")


def die_with_parent() -> None:
    """Linux: the kernel kills this process when its parent ends. Elsewhere the lifeline pipe does."""
    if not sys.platform.startswith("linux"):
        return
    import ctypes

    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


class Zygote:
    """Forks containers for one kubelet and reports how they end. Single-threaded: it forks."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._buffer = b""
        self._fds: list[int] = []
        self._ids: dict[int, int] = {}  # pid -> container id
        self._lifeline, self._lifeline_end = os.pipe()
        self._wake, self._woken = os.pipe()

    def run(self) -> NoReturn:
        os.set_blocking(self._woken, False)
        signal.set_wakeup_fd(self._woken)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is the cluster's to handle
        while True:
            watched: list[Any] = [self._control, self._wake]
            ready = select.select(watched, [], [])[0]
            if self._wake in ready:
                os.read(self._wake, 256)
                self._reap()
            if self._control in ready and not self._receive():
                self._end()

    def _end(self) -> NoReturn:
        for pid in self._ids:
            with contextlib.suppress(OSError):
                os.killpg(pid, signal.SIGKILL)
        os._exit(0)

    def _receive(self) -> bool:
        fds = array.array("i")
        try:
            data, ancillary, _, _ = self._control.recvmsg(1 << 16, socket.CMSG_LEN(16 * fds.itemsize))
        except ConnectionError:
            return False
        for level, kind, payload in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                fds.frombytes(payload[: len(payload) - len(payload) % fds.itemsize])
        self._fds.extend(fds)
        if not data:
            return False
        self._buffer += data
        while b"\n" in self._buffer:
            line, _, self._buffer = self._buffer.partition(b"\n")
            self._obey(json.loads(line))
        return True

    def _obey(self, order: dict[str, Any]) -> None:
        if order["op"] == "spawn":
            fds, self._fds = self._fds[: order["fds"]], self._fds[order["fds"] :]
            self._spawn(order, fds)
            for fd in fds:
                os.close(fd)
        else:
            for pid, container in list(self._ids.items()):
                if container == order["id"]:
                    with contextlib.suppress(OSError):
                        os.killpg(pid, order["signal"])

    def _spawn(self, order: dict[str, Any], fds: list[int]) -> None:
        pid = os.fork()
        if pid == 0:
            self._become(order, fds)
        with contextlib.suppress(OSError):
            os.setpgid(pid, pid)
        self._ids[pid] = order["id"]
        self._say({"started": order["id"], "pid": pid})

    def _become(self, order: dict[str, Any], fds: list[int]) -> NoReturn:
        """In the child: leaves everything of the zygote behind and runs the program."""
        code = 1
        try:
            os.setpgid(0, 0)
            die_with_parent()
            signal.set_wakeup_fd(-1)
            os.dup2(fds[-1], 1)
            os.dup2(fds[-1], 2)
            for fd in (fds[-1], self._control.fileno(), self._lifeline_end, self._wake, self._woken):
                os.close(fd)
            sockets = [socket.socket(fileno=fd) for fd in fds[:-1]]
            Listener(PROGRAMS[order["program"]](order), sockets).serve(self._lifeline)
        except BaseException as error:  # noqa: BLE001  the boundary of a process: nothing may return into the zygote's loop
            say(f"FATAL {type(error).__name__}: {error}")
        finally:
            os._exit(code)

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            container = self._ids.pop(pid)
            with contextlib.suppress(OSError):
                os.killpg(pid, signal.SIGKILL)  # whatever it left behind in its group
            killed = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
            self._say({"exited": container, "code": 128 + killed if killed else os.WEXITSTATUS(status), "signal": killed})

    def _say(self, message: dict[str, Any]) -> None:
        with contextlib.suppress(OSError):
            self._control.sendall(json.dumps(message).encode() + b"\n")


if __name__ == "__main__":
    die_with_parent()
    Zygote(socket.socket(fileno=int(sys.argv[1]))).run()
