"""However `backstop up` is ended, nothing of it runs on, and what it left unfinished is not done to another cluster."""

from __future__ import annotations

import os
import signal
import urllib.error
from pathlib import Path

import pytest

from tests.cli.processes import gone_within, running_under
from tests.cli.test_up import written
from tests.cli.triaging import Desk
from tests.cli.upping import complaints, upped


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_all_of_it_and_leaves_nothing(number: signal.Signals, tmp_path: Path) -> None:
    with upped(Desk(tmp_path)) as up:
        for _ in range(2):  # an impatient second one does not cut the cleaning short
            up.process.send_signal(number)
        assert up.process.wait(timeout=20) == 0
    assert gone_within(tmp_path, 5) == []
    assert list((tmp_path / "tmp").glob("backstop-*/*")) == []
    assert "Traceback" not in complaints(up.desk)


def test_a_cluster_that_dies_ends_it_in_one_sentence(tmp_path: Path) -> None:
    with upped(Desk(tmp_path)) as up:
        (cluster,) = [line.split()[0] for line in running_under(tmp_path) if "-m backstop.sandbox --state" in line]
        os.kill(int(cluster), signal.SIGKILL)
        assert up.process.wait(timeout=20) == 1
    assert "the cluster ended" in complaints(up.desk).splitlines()[-1]
    assert gone_within(tmp_path, 5) == []


def test_what_an_earlier_run_left_is_ended_and_never_done_to_the_new_cluster(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    with upped(desk) as first:
        incident = first.broken()["id"]
        uid = first.uid()
        first.process.kill()
        first.process.wait(20)
        assert gone_within(tmp_path, 15) == []
    with upped(desk) as second:
        ended = second.service.until(incident, lambda found: found["outcome"] is not None)
        assert (ended["state"], ended["outcome"], ended["writes"]) == ("cancelled", "escalated", 0)
        assert "its cluster ended with an earlier run" in ended["reason"]
        assert second.uid() != uid
        with pytest.raises(urllib.error.HTTPError, match="409"):
            second.service.post(f"/incidents/{incident}/approve", {"by": "ada", "why": "late"})
        assert second.broken()["id"] == "checkout-7.2-1"
        assert written(second) == []
