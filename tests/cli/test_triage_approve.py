"""In `approve` mode a person at the terminal decides on one exact write: a yes makes it, anything else leaves the cluster alone."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from backstop.policy import DEFAULT
from backstop.sandbox.faults import Call, send
from tests.cli.processes import running_under
from tests.cli.terminals import Seat, seated
from tests.cli.triaging import Desk, Json, asked_by, broken_shop, policy_file
from tests.embedded import Embedded

QUESTION = "anything else is a no: "
WHY = "Why, for the record? "
CHECKOUT = "/apis/apps/v1/namespaces/shop/deployments/checkout"


@pytest.fixture(scope="module")
def shop() -> Iterator[Embedded]:
    """Nobody writes to it."""
    with broken_shop() as cluster:
        yield cluster


@pytest.fixture
def own_shop() -> Iterator[Embedded]:
    """One that a test may change."""
    with broken_shop() as cluster:
        yield cluster


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def arguments(shop: Embedded, *more: str | Path, mode: str = "approve") -> tuple[str | Path, ...]:
    named = ("--kubeconfig", shop.kubeconfigs["investigator"], "--executor-kubeconfig", shop.kubeconfigs["executor"])
    rehearser = ("--rehearser-kubeconfig", shop.kubeconfigs["rehearser"])
    return ("-n", "shop", "deployment/checkout", *named, *rehearser, "--mode", mode, "--json", *more)


@contextmanager
def asked(desk: Desk, shop: Embedded, *more: str | Path, mode: str = "approve") -> Iterator[Seat]:
    """A person to whom the question has just been put."""
    with seated(desk.command(*arguments(shop, *more, mode=mode)), desk.environment, desk.directory) as seat:
        seat.wait_for(QUESTION)
        yield seat


def report(seat: Seat, code: int) -> Json:
    ended, said, complaint = seat.ended()
    assert ended == code, (said, complaint)
    found: Json = json.loads(said)
    return found


def writes(shop: Embedded) -> list[Json]:
    """What was really written: no dry-run, no refusal."""
    lines = (line for line in asked_by(shop, "executor") if line["verb"] not in {"get", "list"})
    return [line for line in lines if "dryRun" not in line["requestURI"] and line["responseStatus"]["code"] < 300]


def test_a_yes_makes_exactly_the_write_that_was_shown_and_recovery_is_measured(desk: Desk, own_shop: Embedded) -> None:
    with asked(desk, own_shop) as seat:
        assert own_shop.server in seat.shown, "which cluster"
        for words in (
            "rollback deployment/checkout to_revision=1",
            "+      image: demo/web:1.0",
            "3 pods",
            "rollout undo",
            "generation",
        ):
            assert words in seat.shown
        seat.type("yes\n")
        seat.wait_for(WHY)
        seat.type("the release broke it\n")
        said = report(seat, code=0)
    assert (said["outcome"], said["approval"]) == ("resolved", "approved by ada: the release broke it")
    (write,) = said["writes"]
    assert [line["auditID"] for line in writes(own_shop)] == [write["audit_id"]]
    assert "image: demo/web:1.0" in said["proposed"]["diff"], "what is shown afterwards is what was decided on"


@pytest.mark.parametrize("typed", ["no\n", "\x04"])
def test_a_no_writes_nothing_and_hands_over(desk: Desk, shop: Embedded, typed: str) -> None:
    with asked(desk, shop) as seat:
        seat.type(typed)
        said = report(seat, code=3)
    assert (said["outcome"], said["writes"], writes(shop)) == ("escalated", [], [])
    assert any("rollout undo deployment/checkout --to-revision=1" in step for step in said["next_steps"])


def test_silence_is_a_no(desk: Desk, shop: Embedded) -> None:
    policy = policy_file(desk.directory, approval_seconds=10.0)
    with asked(desk, shop, "--policy", policy) as seat:
        seat.wait_for("no answer in time, which is a no")
        said = report(seat, code=3)
    assert (said["outcome"], said["approval"], writes(shop)) == ("escalated", "no answer, which is a no", [])


def test_a_yes_to_what_has_changed_meanwhile_is_void(desk: Desk, own_shop: Embedded) -> None:
    with asked(desk, own_shop) as seat:
        seat.type("yes\n")
        seat.wait_for(WHY)
        changed = Call("PATCH", CHECKOUT, {"spec": {"replicas": 4}}, "application/merge-patch+json")
        asyncio.run(send(own_shop.kubeconfigs["admin"], [changed]))
        seat.type("as it was shown\n")
        seat.wait_for("4 pods")  # another write, and so another question
        seat.wait_for(QUESTION)
        seat.type("no\n")
        said = report(seat, code=3)
    assert (said["writes"], writes(own_shop)) == ([], [])


def test_without_a_terminal_nothing_is_written(desk: Desk, shop: Embedded) -> None:
    said = json.loads(desk.run(*arguments(shop), code=3).stdout)
    assert (said["outcome"], said["writes"], writes(shop)) == ("escalated", [], [])


def test_ctrl_c_at_the_question_writes_nothing_and_leaves_no_process(desk: Desk, shop: Embedded) -> None:
    with asked(desk, shop) as seat:
        seat.type("\x03")
        code, said, complaint = seat.ended()
    assert (code, said) == (130, "")
    assert complaint.endswith("backstop: interrupted; nothing was written to the cluster, and no process is left\n")
    assert writes(shop) == []
    assert running_under(desk.directory / "tmp") == []
    assert list((desk.directory / "tmp").iterdir()) == []


def test_ctrl_c_after_the_write_is_asked_for_follows_it_to_its_end(desk: Desk, own_shop: Embedded) -> None:
    with asked(desk, own_shop) as seat:
        seat.type("yes\n")
        seat.wait_for(WHY)
        seat.type("the release broke it\n")
        assert seat.process.stderr is not None
        told = next(line for line in seat.process.stderr if "the write and its undo are on record" in line)
        assert told
        seat.process.send_signal(signal.SIGINT)
        said = report(seat, code=0)
    assert said["outcome"] == "resolved"


def test_auto_wants_a_policy_that_says_auto(desk: Desk, shop: Embedded) -> None:
    policy = policy_file(
        desk.directory, modes={"rollback": "approve", "restart": "approve", "scale": "observe", "set_resources": "observe"}
    )
    assert "lets no verb be written without asking" in desk.refused(*arguments(shop, "--policy", policy, mode="auto"))


def test_auto_still_asks_about_what_no_model_proposed(desk: Desk, shop: Embedded) -> None:
    assert DEFAULT.namespaces[0].modes.rollback == "auto"
    with asked(desk, shop, mode="auto") as seat:
        seat.type("no\n")
        assert report(seat, code=3)["writes"] == []


def test_an_executor_that_cannot_start_is_one_sentence(desk: Desk, shop: Embedded) -> None:
    words, nonsense = arguments(shop), desk.directory / "nonsense"
    nonsense.write_text("clusters: none")
    broken = tuple(nonsense if word == shop.kubeconfigs["executor"] else word for word in words)
    assert f"the executor does not start: the kubeconfig {nonsense}" in desk.refused(*broken)
