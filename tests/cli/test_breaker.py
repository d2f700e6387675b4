"""`backstop breaker` as a person types it: the state in words, and the two things that only a person may do about it."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from backstop.breaker import Breaker, Budget, Cause
from backstop.clock import SystemClock
from backstop.documents import ledger_file
from backstop.engine.database import connect, prepare
from backstop.engine.sealing import StateKey
from backstop.engine.shared import documents_in
from backstop.records import WorkloadRef
from tests.cli.processes import typed

CHECKOUT = WorkloadRef(kind="Deployment", namespace="shop", name="checkout")
TARGET = "shop/deployment/checkout"
Typed = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def state(tmp_path: Path) -> Path:
    directory = tmp_path / "state"
    directory.mkdir()
    return directory


@pytest.fixture
def breaker(state: Path) -> Breaker:
    """As the service has it; open for checkout."""
    breaker = Breaker(ledger_file(state / "breaker.json"), SystemClock(), Budget())
    for number in (1, 2):
        breaker.spend(CHECKOUT, Cause.REJECTED_DIAGNOSIS, incident=f"i{number}", reason="it is\nnot grounded")
    return breaker


@pytest.fixture
def run(state: Path, tmp_path: Path) -> Typed:
    """`backstop breaker …` with its state named by the environment."""

    def typing(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "HOME": str(tmp_path), "BACKSTOP_STATE_DIR": str(state), **more}
        return typed("breaker", *arguments, environment={name: value for name, value in environment.items() if value})

    return typing


def said(ended: subprocess.CompletedProcess[str]) -> str:
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout


def refused(ended: subprocess.CompletedProcess[str], code: int = 2) -> str:
    assert (ended.returncode, ended.stdout) == (code, ""), ended
    (sentence,) = ended.stderr.splitlines()
    assert sentence.startswith("backstop: ")
    return sentence


def test_a_state_of_which_nothing_is_known_is_closed(run: Typed, state: Path) -> None:
    kept = state / "breaker.json"
    assert said(run("show")) == f"closed     every workload: the anomaly budget is not spent\nkept       in {kept}\n"


def test_it_says_what_is_open_why_until_when_and_what_to_do(run: Typed, breaker: Breaker) -> None:
    lines = said(run("show")).splitlines()
    assert lines[0].startswith(
        f"open       {TARGET}: 2 anomalies on {TARGET} within 24 h, and 2 spend the budget; by itself it closes at "
    )
    assert lines[0].endswith("(backstop breaker reset)")
    assert lines[1] == "closed     any other workload: the anomaly budget is not spent"
    assert lines[2].startswith("counted    ")
    assert lines[2].endswith(f" rejected_diagnosis on {TARGET} in i1: it is not grounded")
    assert len(lines) == 5


def test_a_probe_is_allowed_used_and_seen(run: Typed, breaker: Breaker) -> None:
    allowed = said(run("probe", "--by", "ada", "--why", "I watch it", "--target", TARGET, "--for", "90"))
    assert allowed.startswith(f"ada allows one action on {TARGET} until ")
    assert f"half-open  {TARGET}: " in said(run("show"))
    assert breaker.take_probe(CHECKOUT, "i3")
    assert "(I watch it), used by i3\n" in said(run("show"))
    breaker.succeeded(CHECKOUT, "i3")
    shown = said(run("show"))
    assert "used by i3, ended: it went well\n" in shown
    assert f" by ada: {TARGET} (the probe in incident i3 went well: I watch it)" in shown
    assert " in i3 ended well\n" in shown


@pytest.mark.parametrize(("target", "words"), [((), "everything"), (("--target", TARGET), TARGET)])
def test_a_reset_is_seen_by_the_running_service(run: Typed, breaker: Breaker, target: tuple[str, ...], words: str) -> None:
    assert breaker.state(CHECKOUT).open
    done = said(run("reset", "--by", "ada", "--why", "it was us", *target))
    assert done.splitlines()[0] == f"reset by ada: {words} is counted from now on"
    assert not breaker.state(CHECKOUT).open
    assert f" by ada: {words} (it was us)\n" in said(run("show"))


def test_state_that_cannot_be_read_is_open_and_mended_by_a_reset_of_everything(run: Typed, state: Path) -> None:
    (state / "breaker.json").write_text("{")
    assert said(run("show")).startswith("open       every workload: the anomaly budget is unknown: its state ")
    assert "nothing was reset; find out why, then reset everything" in refused(
        run("reset", "--by", "ada", "--why", "w", "--target", TARGET), 1
    )
    assert "no probe was allowed" in refused(run("probe", "--by", "ada", "--why", "w", "--target", TARGET), 1)
    said(run("reset", "--by", "ada", "--why", "a disk died"))
    assert said(run("show")).startswith("closed     every workload")


@pytest.mark.parametrize("named", ["by its directory", "by its address"])
def test_where_workers_count_in_a_database_it_is_theirs(
    run: Typed, breaker: Breaker, state: Path, tmp_path: Path, named: str
) -> None:
    place = (state if named == "by its directory" else tmp_path) / "incidents.db"
    url = f"sqlite:///{place}"
    given = {} if named == "by its directory" else {"BACKSTOP_DATABASE_URL": url}
    database = connect(url)
    prepare(database, StateKey(bytes(32)))
    database.dispose()
    assert said(run("show", **given)).endswith(f"kept       in {state / 'breaker.json'}\n"), "nobody has worked yet"
    with documents_in(url, state) as kept:
        theirs = Breaker(kept.breaker, SystemClock(), Budget())
        assert theirs.state(CHECKOUT).open
        done = said(run("reset", "--by", "ada", "--why", "it was us", **given))
        assert done.endswith(f"\nkept       in breaker in the database {place}\n")
        assert not theirs.state(CHECKOUT).open
        assert breaker.state(CHECKOUT).open
        assert json.loads(said(run("show", "--json", **given)))["kept_in"] == f"breaker in the database {place}"


def test_a_database_that_cannot_be_read_is_not_passed_over(run: Typed, state: Path) -> None:
    (state / "incidents.db").write_bytes(b"damaged" * 1000)
    assert said(run("show")).startswith(
        "open       every workload: the anomaly budget is unknown: its state breaker in the database "
    )


def test_json_is_one_object_and_nothing_else(run: Typed, breaker: Breaker) -> None:
    shown = json.loads(said(run("show", "--json")))
    assert (shown["elsewhere"]["open"], shown["targets"][TARGET]["open"], shown["targets"][TARGET]["scope"]) == (
        False,
        True,
        "target",
    )
    assert [anomaly["incident"] for anomaly in shown["anomalies"]] == ["i1", "i2"]
    assert (shown["writes"], shown["probes"], shown["resets"]) == ([], [], [])


def test_showing_changes_nothing(run: Typed, breaker: Breaker, state: Path) -> None:
    before = {file.name: file.read_bytes() for file in state.iterdir()}
    said(run("show"))
    assert {file.name: file.read_bytes() for file in state.iterdir()} == before


def test_the_budget_is_that_of_the_settings(run: Typed, breaker: Breaker) -> None:
    assert said(run("show", BACKSTOP_BREAKER_TARGET_ANOMALIES="3")).startswith(f"closed     {TARGET}")


def test_the_directory_that_is_named_wins(run: Typed, breaker: Breaker, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    assert said(run("show", "--state", str(tmp_path / "other"))).startswith("closed     every workload")


def test_without_any_it_is_the_one_in_the_home_directory(run: Typed, breaker: Breaker, tmp_path: Path, state: Path) -> None:
    (tmp_path / ".local" / "state").mkdir(parents=True)
    state.rename(tmp_path / ".local" / "state" / "backstop")
    assert TARGET in said(run("show", BACKSTOP_STATE_DIR=""))


@pytest.mark.parametrize(
    "command", [("show",), ("reset", "--by", "a", "--why", "w"), ("probe", "--by", "a", "--why", "w", "--target", TARGET)]
)
def test_a_directory_that_is_not_there_is_not_taken_for_all_being_well(
    run: Typed, tmp_path: Path, command: tuple[str, ...]
) -> None:
    sentence = refused(run(*command, "--state", str(tmp_path / "typo")))
    assert "there is no state directory" in sentence
    assert "nothing was changed" in sentence
    assert not (tmp_path / "typo").exists()


@pytest.mark.parametrize(
    "target",
    [
        "",
        "checkout",
        "shop/checkout",
        "shop/pod/checkout",
        "shop/deployment/",
        "shop/deployment/*",
        "a/b/c/d",
        "shop/deployment/Checkout",
    ],
)
@pytest.mark.parametrize("command", ["reset", "probe"])
def test_a_target_that_is_none(run: Typed, breaker: Breaker, command: str, target: str) -> None:
    sentence = refused(run(command, "--by", "a", "--why", "w", "--target", target))
    assert f"'{target}' is no target; nothing was changed; write NAMESPACE/deployment/NAME" in sentence
    assert breaker.state(CHECKOUT).open


@pytest.mark.parametrize("who", [("--by", " ", "--why", "w"), ("--by", "ada", "--why", " ")])
@pytest.mark.parametrize(
    ("command", "unchanged"), [(("reset",), "nothing was reset"), (("probe", "--target", TARGET), "no probe was allowed")]
)
def test_nobody_and_no_reason_are_refused(
    run: Typed, breaker: Breaker, who: tuple[str, ...], command: tuple[str, ...], unchanged: str
) -> None:
    assert unchanged in refused(run(*command, *who))
    assert breaker.state(CHECKOUT).open


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf", "86401"])
def test_a_probe_is_for_a_time_that_is_one(run: Typed, breaker: Breaker, seconds: str) -> None:
    assert "at most 86400 seconds" in refused(run("probe", "--by", "a", "--why", "w", "--target", TARGET, "--for", seconds))
    assert not breaker.state(CHECKOUT).half_open


def test_a_probe_of_what_is_closed_is_refused(run: Typed) -> None:
    assert "there is nothing to probe; no probe was allowed" in refused(run("probe", "--by", "a", "--why", "w", "--target", TARGET))


@pytest.mark.parametrize("command", [("reset",), ("probe", "--target", TARGET)])
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_somebody_elses_state_is_not_taken_over(run: Typed, breaker: Breaker, state: Path, command: tuple[str, ...]) -> None:
    """The file would be root's alone, and the service blind."""
    os.chown(state, 4321, -1)
    assert "belongs to the user with the number 4321" in refused(run(*command, "--by", "a", "--why", "w"))
    assert said(run("show"))
