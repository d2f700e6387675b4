"""Workers of one database, in one process or in several, on SQLite and on Postgres: each sees at once what the others counted, none
counts over another, and a database that cannot be used is a refusal."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from backstop.breaker import Breaker, Cause
from backstop.clock import ManualClock, SystemClock
from backstop.documents import Away, Documents, files_of
from backstop.engine.database import DOCUMENTS, connect, prepare
from backstop.engine.sealing import StateKey
from backstop.engine.shared import documents_in, in_use
from backstop.errors import RecordError
from backstop.models.budget import Budget, BudgetSpent, Caps, KeptSpend
from backstop.pipeline.history import History
from backstop.records import PastWrite
from tests.breaker.conftest import BUDGET, CHECKOUT, opened, spend, workload
from tests.breaker.test_unknown_state import FAULTS

KEY = StateKey(bytes(32))
REVERSAL = Cause.REVERSAL
CONTENTS = sorted(
    FAULTS.keys() - {"not text", "gone", "a directory", "a link to itself", "no directory to be in", "the disk is full"}
)
"""Those that are about what is kept, and that both databases can hold."""

COUNTS = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from backstop.breaker import Breaker, Budget, Cause
from backstop.clock import SystemClock
from backstop.engine.shared import documents_in
from backstop.models.budget import Budget as Purses, Caps, KeptSpend
from backstop.pipeline.history import History
from backstop.records import PastWrite, WorkloadRef
url, state, name = sys.argv[1:]
on = WorkloadRef(kind="Deployment", namespace="shop", name=name)
with documents_in(url, Path(state)) as kept:
    breaker, history = Breaker(kept.breaker, SystemClock(), Budget()), History(kept.history)
    purses = Purses(Caps(100.0, 100.0), SystemClock(), KeptSpend(kept.spend))
    for number in range(15):
        breaker.spend(on, Cause.TOOL_FAULT, incident="i", reason="r")
        history.add(PastWrite(action_id=f"{name}-{number}", target=on, action="scale", at=datetime.now(UTC)))
        purses.reserve("i", "m", 0.25)
"""

TAKES = """
import sys
from pathlib import Path
from backstop.breaker import Breaker, Budget
from backstop.clock import SystemClock
from backstop.engine.shared import documents_in
from backstop.records import WorkloadRef
url, state, name = sys.argv[1:]
with documents_in(url, Path(state)) as kept:
    breaker = Breaker(kept.breaker, SystemClock(), Budget())
    print(breaker.take_probe(WorkloadRef(kind="Deployment", namespace="shop", name="checkout"), name))
"""


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Of a database that an engine has prepared."""
    sqlite = f"sqlite:///{tmp_path / 'incidents.db'}"
    url: str = sqlite if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    database = connect(url)
    prepare(database, KEY)
    database.dispose()
    return url


@pytest.fixture
def another(url: str, tmp_path: Path) -> Iterator[Callable[[], Documents]]:
    """The documents, as one worker more has them."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(documents_in(url, tmp_path / "state"))


def run(program: str, url: str, state: Path, names: list[str]) -> list[str]:
    """All at once."""
    started = [
        subprocess.Popen([sys.executable, "-c", program, url, str(state), name], stdout=subprocess.PIPE, text=True)
        for name in names
    ]
    ended = [child.communicate(timeout=100)[0].strip() for child in started]
    assert [child.returncode for child in started] == [0] * len(names)
    return ended


def execute(url: str, statement: sa.Executable) -> None:
    database = connect(url)
    with database.begin() as connection:
        connection.execute(statement)
    database.dispose()


def content_of(url: str, name: str = "breaker") -> str | None:
    database = connect(url)
    with database.connect() as connection:
        found: str | None = connection.scalar(sa.select(DOCUMENTS.c.content).where(DOCUMENTS.c.name == name))
    database.dispose()
    return found


def put(url: str, content: str, name: str = "breaker") -> None:
    execute(url, DOCUMENTS.update().where(DOCUMENTS.c.name == name).values(content=content))


def lose(url: str) -> None:
    """As when the database is away."""
    execute(url, sa.text("ALTER TABLE backstop_documents RENAME TO elsewhere"))


def find(url: str) -> None:
    execute(url, sa.text("ALTER TABLE elsewhere RENAME TO backstop_documents"))


def a_write(number: int = 1, incident: str = "i") -> PastWrite:
    return PastWrite(action_id=f"bs-{incident}-{number}", target=CHECKOUT, action="scale", at=ManualClock().now())


def test_what_another_worker_did_is_seen_at_once(another: Callable[[], Documents]) -> None:
    clock = ManualClock()
    one, other = (Breaker(another().breaker, clock, BUDGET) for _ in range(2))
    opened(one)
    assert other.state(CHECKOUT).open
    other.allow_probe("ada", "why", CHECKOUT, 60)
    assert one.take_probe(CHECKOUT, "i1")
    assert not other.take_probe(CHECKOUT, "i2")
    other.reset("ada")
    assert not one.state(CHECKOUT).open
    histories = [History(another().history) for _ in range(2)]
    for number, history in enumerate(histories):
        history.add(a_write(number))
    assert histories[0].recent() == histories[1].recent() == (a_write(0), a_write(1))
    purses = [Budget(Caps(9.0, 1.0), clock, KeptSpend(another().spend)) for _ in range(2)]
    held = purses[0].reserve("a", "m", 0.75)
    with pytest.raises(BudgetSpent, match="the day"):
        purses[1].reserve("b", "m", 0.5)
    purses[0].settle(held, 0.25)
    purses[1].reserve("b", "m", 0.75)
    assert purses[0].today().total == 1.0


def test_of_what_several_processes_count_at_once_nothing_is_lost(
    url: str, tmp_path: Path, another: Callable[[], Documents]
) -> None:
    names = ["a", "b", "c"]
    run(COUNTS, url, tmp_path / "state", names)
    kept = another()
    known = Breaker(kept.breaker, SystemClock(), BUDGET).overview()
    assert {name: sum(a.target == workload(name) for a in known.anomalies) for name in names} == dict.fromkeys(names, 15)
    assert len({write.action_id for write in History(kept.history).recent() or ()}) == 45
    assert Budget(Caps(9.0, 9.0), SystemClock(), KeptSpend(kept.spend)).today().total == 45 * 0.25


def test_of_what_several_threads_count_at_once_nothing_is_lost(another: Callable[[], Documents]) -> None:
    kept, clock = another(), ManualClock()
    breaker, history, purses = Breaker(kept.breaker, clock, BUDGET), History(kept.history), KeptSpend(kept.spend)
    budget = Budget(Caps(99.0, 99.0), clock, purses)

    def count(name: str) -> None:
        for number in range(10):
            spend(breaker, workload(name))
            history.add(a_write(number, name))
            budget.reserve(name, "m", 0.25)

    threads = [threading.Thread(target=count, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(breaker.overview().anomalies) == len(history.recent() or ()) == 40
    assert (budget.today().total, budget.spent("a")) == (10.0, 2.5)


def test_of_several_that_take_the_one_probe_at_once_one_gets_it(url: str, tmp_path: Path, another: Callable[[], Documents]) -> None:
    breaker = opened(Breaker(another().breaker, SystemClock(), BUDGET))
    breaker.allow_probe("ada", "why", CHECKOUT, 600)
    assert sorted(run(TAKES, url, tmp_path / "state", ["i1", "i2", "i3"])) == ["False", "False", "True"]


@pytest.mark.parametrize("fault", CONTENTS)
def test_a_ledger_that_cannot_be_read_refuses_until_all_is_reset(
    url: str, tmp_path: Path, another: Callable[[], Documents], fault: str
) -> None:
    clock = ManualClock()
    breaker = opened(Breaker(another().breaker, clock, BUDGET))
    breaker.allow_probe("ada", "why", CHECKOUT, 600)
    file = tmp_path / "content"
    file.write_text(content_of(url) or "")
    with FAULTS[fault](file):
        put(url, file.read_text())
    for one in (breaker, Breaker(another().breaker, clock, BUDGET)):
        for state in (
            one.state(CHECKOUT),
            one.succeeded(CHECKOUT, "i"),
            one.spend(CHECKOUT, Cause.REVERSAL, incident="i", reason=""),
        ):
            assert (state.open, state.scope, state.half_open) == (True, "state", False)
        assert not one.take_probe(CHECKOUT, "i")
        with pytest.raises(RecordError, match="nothing was reset"):
            one.reset("ada", CHECKOUT)
        assert one.overview().elsewhere.scope == "state"
    assert content_of(url) == file.read_text(), "it is left for whoever finds out why"
    clock.advance(1)
    Breaker(another().breaker, clock, BUDGET).reset("ada")
    assert content_of(url, "breaker.aside") == file.read_text()
    assert not breaker.state(CHECKOUT).open


@pytest.mark.parametrize("sign", ["breaker.aside", "history", "spend"])
def test_a_ledger_that_is_gone_was_lost_where_another_row_says_that_it_was_there(
    url: str, another: Callable[[], Documents], sign: str
) -> None:
    breaker = Breaker(another().breaker, ManualClock(), BUDGET)
    execute(url, DOCUMENTS.insert().values(name=sign, content="{}"))
    assert f"is gone, although {sign} says that there was one" in breaker.state(CHECKOUT).reason
    breaker.reset("ada")
    assert not breaker.state(CHECKOUT).open


def test_while_the_database_is_away_everything_refuses(url: str, another: Callable[[], Documents]) -> None:
    kept, clock = another(), ManualClock()
    breaker, history, budget = (
        Breaker(kept.breaker, clock, BUDGET), History(kept.history), Budget(Caps(9.0, 9.0), clock, KeptSpend(kept.spend)),
    )  # fmt: skip
    spend(breaker, workload("catalog"))
    history.add(a_write())
    held = budget.reserve("a", "m", 0.5)
    lose(url)
    for state in (breaker.state(CHECKOUT), breaker.succeeded(CHECKOUT, "i"), breaker.overview().elsewhere):
        assert (state.open, state.scope) == (True, "state")
        assert "in the database " in state.reason
    assert not breaker.take_probe(CHECKOUT, "i")
    assert history.recent() is None
    with pytest.raises(RecordError, match="the history of writes cannot be kept"):
        history.add(a_write(2))
    with pytest.raises(RecordError):
        history.remove("bs-i-1", clock.now())
    with pytest.raises(BudgetSpent, match="cannot be kept"):
        budget.reserve("a", "m", 0.25)
    with pytest.raises(BudgetSpent, match="counts as everything"):
        budget.today()
    assert budget.settle(held, 0.0) == 0.5
    find(url)
    assert not breaker.state(CHECKOUT).open, "nothing happened meanwhile"
    assert history.recent() == (a_write(),)
    assert (budget.today().total, budget.spent("a")) == (0.5, 0.5)


def test_who_could_not_count_an_anomaly_meanwhile_refuses_until_all_is_reset(url: str, another: Callable[[], Documents]) -> None:
    clock = ManualClock()
    breaker = Breaker(another().breaker, clock, BUDGET)
    breaker.state(CHECKOUT)
    lose(url)
    assert spend(breaker)
    find(url)
    assert breaker.state(CHECKOUT).scope == "state"
    clock.advance(1)
    Breaker(another().breaker, clock, BUDGET).reset("ada")
    assert not breaker.state(CHECKOUT).open


def test_a_row_that_somebody_holds_is_not_waited_for_forever(postgres_url: str, tmp_path: Path) -> None:
    """A process that was frozen while it held one loses it, and finds out."""
    database = connect(postgres_url)
    prepare(database, KEY)
    database.dispose()
    with documents_in(postgres_url, tmp_path) as kept, documents_in(postgres_url, tmp_path) as others:
        breaker = Breaker(others.breaker, ManualClock(), BUDGET)

        def frozen() -> None:
            with kept.breaker.alone() as held:
                assert not breaker.state(CHECKOUT).open
                held.write("never kept")

        with pytest.raises(Away):
            frozen()
        assert not breaker.state(CHECKOUT).open


def test_what_the_files_of_the_state_directory_held_counts_until_the_database_does(
    url: str, tmp_path: Path, another: Callable[[], Documents]
) -> None:
    clock, files = ManualClock(), files_of(tmp_path / "state")
    opened(Breaker(files.breaker, clock, BUDGET))
    History(files.history).add(a_write(1))
    Budget(Caps(9.0, 9.0), clock, KeptSpend(files.spend)).reserve("a", "m", 0.5)
    kept = another()
    assert not in_use(kept)
    breaker, history = Breaker(kept.breaker, clock, BUDGET), History(kept.history)
    assert breaker.overview().elsewhere.scope is None
    assert breaker.state(CHECKOUT).open
    assert in_use(kept)
    history.add(a_write(2))
    assert history.recent() == (a_write(1), a_write(2))
    assert Budget(Caps(9.0, 9.0), clock, KeptSpend(kept.spend)).today().total == 0.5
    breaker.reset("ada")
    assert Breaker(files.breaker, clock, BUDGET).state(CHECKOUT).open, "which nobody asks any more"
    assert not Breaker(another().breaker, clock, BUDGET).state(CHECKOUT).open


def test_a_database_without_the_table_is_not_in_use_and_one_that_is_away_may_be(tmp_path: Path) -> None:
    with documents_in(f"sqlite:///{tmp_path / 'new.db'}", tmp_path) as new:
        assert not in_use(new)
    (tmp_path / "broken.db").write_bytes(b"no database" * 1000)
    with documents_in(f"sqlite:///{tmp_path / 'broken.db'}", tmp_path) as broken:
        assert in_use(broken)
        state = Breaker(broken.breaker, ManualClock(), BUDGET).state(CHECKOUT)
        assert (state.open, state.scope) == (True, "state")


def test_writes_of_the_day_before_are_forgotten(another: Callable[[], Documents]) -> None:
    history, late = History(another().history), a_write(2)
    history.add(a_write(1))
    history.add(late.model_copy(update={"at": late.at + timedelta(days=1)}))
    assert [write.action_id for write in history.recent() or ()] == ["bs-i-2"]
