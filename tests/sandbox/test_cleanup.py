"""However a cluster ends, no process, no port and no file outside its directory is left behind."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.sandbox.cluster_process import ClusterProcess, alive, cluster_process, descendants, is_listening, until


async def gone(cluster: ClusterProcess, processes: set[int]) -> None:
    """Waits until everything has gone; TimeoutError names nothing, so what is left is asserted."""

    async def left() -> set[int]:
        return alive(processes)

    try:
        await until(left, lambda found: not found, 10)
    except TimeoutError:
        pytest.fail(f"left behind: {alive(processes)}")
    port = urlsplit(cluster.access["server"]).port
    assert port is not None
    assert not is_listening(port)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
async def test_a_signal_ends_every_process(tmp_path: Path, number: signal.Signals) -> None:
    cluster = await ClusterProcess.start(tmp_path)
    await cluster.ready()
    processes = descendants(cluster.process.pid)
    assert len(processes) == 10, "nine pods and the process that forks them"
    await cluster.close()
    cluster.process.send_signal(number)
    code = await asyncio.wait_for(cluster.process.wait(), 10)
    assert code == (0 if number != signal.SIGKILL else -signal.SIGKILL)
    await gone(cluster, processes)


async def test_it_ends_with_its_standard_input(tmp_path: Path) -> None:
    cluster = await ClusterProcess.start(tmp_path, "--until-stdin-closes")
    await cluster.ready()
    processes = descendants(cluster.process.pid)
    await cluster.close()
    assert cluster.process.stdin is not None
    cluster.process.stdin.close()
    assert await asyncio.wait_for(cluster.process.wait(), 10) == 0
    await gone(cluster, processes)


async def test_it_ends_promptly_with_requests_that_hang_and_watches_that_are_open(tmp_path: Path) -> None:
    cluster = await ClusterProcess.start(tmp_path)
    await cluster.ready()
    image = [{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "demo/web:1.2-hang"}]
    path = "/apis/apps/v1/namespaces/shop/deployments/storefront"
    await cluster.ask("PATCH", path, image, **{"Content-Type": "application/json-patch+json"})
    watch = asyncio.create_task(cluster.ask("GET", "/api/v1/pods?watch=true"))

    async def failures() -> int:
        return int((await cluster.traffic("storefront")).get("failures", 0))

    await until(failures, lambda count: count > 0)
    processes = descendants(cluster.process.pid)
    cluster.process.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(cluster.process.wait(), 6) == 0
    await asyncio.gather(watch, return_exceptions=True)
    await cluster.close()
    await gone(cluster, processes)


async def test_everything_it_writes_is_in_its_directory(tmp_path: Path) -> None:
    state = tmp_path / "state"
    async with cluster_process(state) as cluster:
        said = {cluster.access["ca"], cluster.access["audit_log"], *cluster.access["kubeconfigs"].values()}
    assert said <= {str(path) for path in written(state)}
    assert written(tmp_path) == {state}


def written(directory: Path) -> set[Path]:
    return set(directory.iterdir())


async def failed_start(*arguments: str) -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "backstop.sandbox", *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    said, complaint = await asyncio.wait_for(process.communicate(), 20)
    assert said == b""
    return process.returncode, complaint.decode()


async def test_a_busy_port_is_one_sentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, complaint = await failed_start("--state", str(tmp_path), "--port", str(port))
    assert code == 2
    assert len(complaint.splitlines()) == 1
    assert str(port) in complaint
    assert "in use" in complaint


async def test_a_directory_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    code, complaint = await failed_start("--state", str(file / "state"))
    assert code == 2
    assert len(complaint.splitlines()) == 1
    assert str(file) in complaint
