"""What is broken on the grounds is alerted about once, from what its users get, and is over when it is healed."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from backstop.clock import SystemClock
from backstop.errors import NotFoundError
from backstop.records import Alert
from backstop.scenarios.grounds import BREAKS, grounds
from backstop.scenarios.process import ChildGone
from tests.embedded import until


async def test_a_break_is_one_alert_and_healing_ends_it(tmp_path: Path) -> None:
    alerts: list[Alert] = []
    lost: list[ChildGone] = []

    async def submit(alert: Alert) -> None:
        alerts.append(alert)

    async with grounds(7, "7.2", tmp_path, SystemClock(), emulated=False, lost=lost.append) as shop:
        assert (shop.models_url, shop.settings) == (None, {})  # asked as configured
        watching = asyncio.create_task(shop.monitor.run(submit))
        with pytest.raises(NotFoundError, match=r"there is no fault 'flood'.*nothing was broken"):
            await shop.break_("flood")
        broken = await shop.break_("dependency-down")
        assert (broken.fault, broken.summary) == ("dependency-down", BREAKS["dependency-down"])

        async def failing() -> frozenset[str]:
            return shop.monitor.failing

        await until(failing, lambda names: names == {"checkout", "catalog"})
        await shop.heal()
        assert shop.broken is None
        await until(failing, lambda names: not names)
        assert shop.monitor.latest is not None
        assert shop.monitor.latest.rates["checkout"] == 0.0
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    assert sorted(alert.id for alert in alerts) == ["catalog-7.2-1", "checkout-7.2-1"]
    assert lost == []  # they were ended, not lost
