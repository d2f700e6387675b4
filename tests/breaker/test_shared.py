"""Several processes use one state directory: each sees at once what the others did, and none counts over another."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from backstop.breaker import Breaker, Budget, Window
from backstop.clock import ManualClock, SystemClock
from backstop.documents import ledger_file
from tests.breaker.conftest import BUDGET, CHECKOUT, opened, workload

COUNTS = """
import sys
from pathlib import Path
from backstop.documents import ledger_file
from backstop.breaker import Breaker, Budget, Cause
from backstop.clock import SystemClock
from backstop.records import WorkloadRef
breaker = Breaker(ledger_file(Path(sys.argv[1])), SystemClock(), Budget())
for _ in range(40):
    breaker.spend(WorkloadRef(kind="Deployment", namespace="shop", name=sys.argv[2]), Cause.TOOL_FAULT, incident="i", reason="r")
"""

TAKES = """
import sys
from pathlib import Path
from backstop.documents import ledger_file
from backstop.breaker import Breaker, Budget
from backstop.clock import SystemClock
from backstop.records import WorkloadRef
breaker = Breaker(ledger_file(Path(sys.argv[1])), SystemClock(), Budget())
print(breaker.take_probe(WorkloadRef(kind="Deployment", namespace="shop", name="checkout"), sys.argv[2]))
"""


def run(program: str, path: Path, names: list[str]) -> list[str]:
    """All at once."""
    started = [
        subprocess.Popen([sys.executable, "-c", program, str(path), name], stdout=subprocess.PIPE, text=True) for name in names
    ]
    return [child.communicate(timeout=60)[0].strip() for child in started]


def test_what_another_process_did_is_seen_at_once(breaker: Breaker, path: Path, clock: ManualClock) -> None:
    other = Breaker(ledger_file(path), clock, BUDGET)
    opened(breaker)
    assert other.state(CHECKOUT).open
    other.reset("ada")
    assert not breaker.state(CHECKOUT).open


def test_of_what_several_count_at_once_nothing_is_lost(path: Path) -> None:
    run(COUNTS, path, ["a", "b", "c"])
    known = Breaker(ledger_file(path), SystemClock(), Budget(per_target=Window(100, 86_400))).overview()
    assert {name: sum(a.target == workload(name) for a in known.anomalies) for name in ("a", "b", "c")} == {
        "a": 40,
        "b": 40,
        "c": 40,
    }


def test_of_several_that_take_the_one_probe_at_once_one_gets_it(path: Path) -> None:
    breaker = opened(Breaker(ledger_file(path), SystemClock(), Budget()))
    breaker.allow_probe("ada", "why", CHECKOUT, 600)
    assert sorted(run(TAKES, path, ["i1", "i2", "i3", "i4"])) == ["False", "False", "False", "True"]
