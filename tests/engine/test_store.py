"""What the engine's own tables promise: a turn is one of so many, and a record has one writer."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

from backstop.clock import ManualClock
from backstop.engine.database import REMEDIATIONS, connect, prepare
from backstop.engine.port import Counts
from backstop.engine.record import KeptLog, inside
from backstop.engine.sealing import SealedJson, StateKey
from backstop.engine.store import Row, Store, Superseded
from backstop.errors import EngineError
from backstop.events import GENESIS, AlertReceived, ApprovalAsked, DefenseFired, Event
from backstop.records import ApprovalRequest
from tests.engine.incidents_contract import BEGAN, alert


def nothing(_connection: object) -> None:
    pass


@pytest.fixture
def store(tmp_path: Path) -> Store:
    database = connect(f"sqlite:///{tmp_path}/incidents.db")
    prepare(database, StateKey.of_file(tmp_path / "state.key"))
    return Store(database, ManualClock())


def test_so_many_write_at_a_time(store: Store) -> None:
    assert [store.take_turn(name, 2) for name in ("a", "b", "c", "a")] == [True, True, False, True]
    store.end_turn("b")
    assert store.take_turn("c", 2)


def test_one_that_the_engine_cannot_go_on_with_gives_its_turn_back(store: Store) -> None:
    assert store.take_turn("a", 1)
    store.failed("a", "the database is of tomorrow")
    assert store.take_turn("b", 1)


def test_an_answer_to_what_was_asked_before_takes_nothing(store: Store) -> None:
    """Whoever looked at the earlier question finds it answered by nobody, and the new one open."""
    store.receive(alert(), nothing)
    store.claim("alert-1", "run")
    earlier, later = question("a"), question("b")
    for seq, request in enumerate((earlier, later), 1):
        event = Event(seq=seq, at=store.clock.now(), incident="alert-1", body=ApprovalAsked(request=request), prev=GENESIS, hash="")
        store.add("alert-1", [Row(0, False, event)], "run")
    delivered: list[sa.Connection] = []
    assert not store.answered("alert-1", earlier, delivered.append)
    assert (store.find("alert-1").asks, delivered) == (later, [])
    assert [store.answered("alert-1", later, delivered.append) for _ in range(2)] == [True, False]
    assert len(delivered) == 1


def test_an_answer_that_cannot_be_delivered_leaves_the_question_open(store: Store) -> None:
    store.receive(alert(), nothing)
    store.claim("alert-1", "run")
    asked = question("a")
    event = Event(seq=1, at=store.clock.now(), incident="alert-1", body=ApprovalAsked(request=asked), prev=GENESIS, hash="")
    store.add("alert-1", [Row(0, False, event)], "run")

    def fail(_connection: sa.Connection) -> None:
        raise EngineError("the disk is full")

    with pytest.raises(EngineError):
        store.answered("alert-1", asked, fail)
    assert store.find("alert-1").asks == asked


def question(digit: str) -> ApprovalRequest:
    return ApprovalRequest(
        incident="alert-1", decision=digit * 64, action="restart deployment/checkout", target=alert().target, before={}, after={},
        why="it fails", evidence_digest="e", expires_at=BEGAN,
    )  # fmt: skip


def test_counts_are_of_all_there_are(store: Store) -> None:
    for number in range(1, 1003):
        store.receive(alert(number), nothing)
    store.failed("alert-1", "lost")
    assert store.counts() == Counts(states={"queued": 1001, "failed": 1}, outcomes={})


def test_a_run_that_was_taken_over_adds_nothing(store: Store) -> None:
    first = alert()
    assert store.receive(first, nothing)
    body = AlertReceived(alert=first)
    event = Event(seq=1, at=store.clock.now(), incident=first.id, body=body, prev=GENESIS, hash="0" * 64)
    store.claim(first.id, "earlier")
    store.claim(first.id, "later")
    with pytest.raises(Superseded):
        store.add(first.id, [Row(0, False, event)], "earlier")
    assert store.rows(first.id) == ()
    store.add(first.id, [Row(0, False, event)], "later")
    assert len(store.rows(first.id)) == 1


async def test_what_a_step_that_died_said_stays_and_what_it_says_anew_follows(store: Store) -> None:
    """And what was said between steps is not said again."""
    first = alert()
    store.receive(first, nothing)
    for run, number in (("earlier", 2), ("later", 3)):
        log = KeptLog(first.id, store, store.clock, owner=run)
        await log.load()
        log.append(first.id, AlertReceived(alert=first))
        with inside():
            log.append(first.id, DefenseFired(defense="fallback", reason=run))
        await log.flush()
        assert len(store.rows(first.id)) == number
    said = [row.event.body.reason for row in store.rows(first.id) if isinstance(row.event.body, DefenseFired)]
    assert said == ["earlier", "later"]


def test_a_key_is_made_once_and_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "state.key"
    sealed = StateKey.of_file(path).seal("a secret")
    assert StateKey.of_file(path).open(sealed) == "a secret"
    assert path.stat().st_mode & 0o077 == 0
    assert [file.name for file in tmp_path.iterdir()] == ["state.key"]


def test_a_write_that_fails_lets_the_next_thread_write(tmp_path: Path) -> None:
    """On SQLite the threads of a process write one after the other."""
    engine = connect(f"sqlite:///{tmp_path}/x.db")
    prepare(engine, StateKey(bytes(32)))
    with pytest.raises(sa.exc.IntegrityError), engine.begin() as connection:
        connection.execute(REMEDIATIONS.insert().values(incident="i-1", since=None))
    with ThreadPoolExecutor(8) as threads:
        rows = [{"incident": f"i-{n}", "since": "now"} for n in range(100)]
        list(threads.map(lambda row: _insert(engine, row), rows, timeout=5.0))
    with engine.connect() as connection:
        assert len(connection.execute(REMEDIATIONS.select()).all()) == 100


def _insert(engine: sa.Engine, row: dict[str, str]) -> None:
    with engine.begin() as connection:
        connection.execute(REMEDIATIONS.insert().values(row))


def test_a_database_that_fails_is_never_what_a_step_gave(tmp_path: Path) -> None:
    kept = SealedJson(StateKey.of_file(tmp_path / "state.key"))
    with pytest.raises(OperationalError):
        kept.serialize(OperationalError("INSERT", {}, Exception("it is gone")))
    assert kept.deserialize(kept.serialize(ValueError("no"))) == {"error": "ValueError", "what": "no"}
