"""Two clusters run side by side on one machine, and neither notices the other."""

from __future__ import annotations

import asyncio
from pathlib import Path

from backstop.sandbox.faults import FAULTS, send
from tests.sandbox.cluster_process import cluster_process, descendants, until


async def test_a_break_of_one_is_no_break_of_the_other(tmp_path: Path) -> None:
    async with cluster_process(tmp_path / "one") as one, cluster_process(tmp_path / "two") as two:
        await asyncio.gather(one.ready(), two.ready())
        assert one.access["server"] != two.access["server"]
        assert not descendants(one.process.pid) & descendants(two.process.pid)
        await send(one.kubeconfig, FAULTS["scaled-to-zero"].calls)
        await until(lambda: one.visit("checkout"), lambda answer: answer[0] == 503)
        assert (await two.visit("checkout"))[0] == 200
        assert (await two.traffic("checkout"))["failures"] == 0


async def test_a_token_of_one_opens_nothing_in_the_other(tmp_path: Path) -> None:
    async with cluster_process(tmp_path / "one") as one, cluster_process(tmp_path / "two") as two:
        for name, token in one.access["tokens"].items():
            status, body = await two.ask("GET", "/api/v1/namespaces/shop/pods", token=token)
            assert (status, body["reason"]) == (401, "Unauthorized"), name


async def test_one_ends_and_the_other_serves_on(tmp_path: Path) -> None:
    async with cluster_process(tmp_path / "two") as two:
        async with cluster_process(tmp_path / "one") as one:
            await asyncio.gather(one.ready(), two.ready())
        assert (await two.visit("checkout"))[0] == 200
