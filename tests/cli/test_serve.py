"""`backstop serve`: an alert becomes an incident that outlives the process, and what it is told it does once."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.processes import BACKSTOP, gone_within, running_under, typed
from tests.cli.serving import identities, serving
from tests.cli.triaging import Desk, asked_by, broken_shop
from tests.embedded import Embedded


@pytest.fixture
def shop() -> Iterator[Embedded]:
    with broken_shop() as cluster:
        yield cluster


def test_a_question_to_a_person_survives_kill_9_and_its_answer_is_carried_out_once(shop: Embedded, tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    with serving(desk, "--mode", "approve", *identities(shop)) as first:
        incident = first.alert()
        asks = first.until(incident, lambda found: found["state"] == "awaiting_approval")["asks"]
        first.kill()
        assert gone_within(tmp_path, 15) == []  # its executor ended with it
    with serving(desk, "--mode", "approve", *identities(shop)) as second:
        assert second.until(incident, lambda found: found["state"] == "awaiting_approval")["asks"] == asks
        second.post(f"/incidents/{incident}/approve", {"by": "ada", "why": "it is the release", "decision": asks["decision"]})
        ended = second.until(incident, lambda found: found["state"] == "closed")
        assert (ended["outcome"], ended["writes"]) == ("resolved", 1)
        assert second.receipt(incident)["signatures"]
    told = (tmp_path / "complaints").read_text()
    assert told.count(f"backstop incidents show {incident}") == 1  # when it asked, and not when it was answered
    patches = [line for line in asked_by(shop, "executor") if line["verb"] == "patch" and "dryRun" not in line["requestURI"]]
    assert len(patches) == 1
    receipt = tmp_path / "state" / "receipts" / f"{incident}.json"
    assert typed("receipt", "show", str(receipt)).returncode == 0
    replayed = typed("replay", incident, "--state", str(tmp_path / "state"), "--json")  # out of the engine's database
    assert json.loads(replayed.stdout)["self_check"]["result"] == "held", replayed
    assert gone_within(tmp_path, 15) == []


def test_by_default_it_only_looks_and_has_no_executor(shop: Embedded, tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    with serving(desk, "--kubeconfig", shop.kubeconfigs["investigator"]) as service:
        incident = service.alert()
        ended = service.until(incident, lambda found: found["state"] == "closed")
    assert (ended["outcome"], ended["writes"]) == ("escalated", 0)
    assert not (tmp_path / "state" / "executor").exists()
    assert asked_by(shop, "executor") == []


def test_further_workers_work_too_and_one_that_is_killed_is_started_anew(shop: Embedded, tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    with serving(desk, "--workers", "2", "--kubeconfig", shop.kubeconfigs["investigator"]) as service:
        (worker,) = workers(tmp_path)
        subprocess.run(["kill", "-9", worker], check=True)
        incident = service.alert()
        assert service.until(incident, lambda found: found["state"] == "closed")["outcome"] == "escalated"
    assert "worker 2 ended (signal 9) and is started anew" in (tmp_path / "complaints").read_text()
    assert gone_within(tmp_path, 15) == []


def workers(scratch: Path) -> list[str]:
    """The process ids of the workers that a service of this test has started."""
    return [line.split()[0] for line in running_under(scratch) if "-m backstop.worker --config" in line]


def test_a_second_service_on_one_state_directory_is_refused(shop: Embedded, tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    with serving(desk, "--kubeconfig", shop.kubeconfigs["investigator"]):
        ended = subprocess.run(
            [BACKSTOP, "serve", "--port", "0", "--state", str(tmp_path / "state"), "--mode", "auto", *identities(shop)],
            capture_output=True, text=True, check=False, timeout=60, env=desk.environment,
        )  # fmt: skip
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "runs on the state directory" in ended.stderr
    assert asked_by(shop, "executor") == []


@pytest.mark.parametrize(
    ("arguments", "environment", "said"),
    [
        (["--host", "0.0.0.0"], {}, "there is no token"),
        (["--mode", "auto"], {}, "auto mode needs the identity that writes"),
        (["--executor-kubeconfig", "x"], {}, "observe mode writes nothing"),
        (["--mode", "approve", "--executor-kubeconfig", "x"], {}, "give --executor-kubeconfig a file"),
        (["--policy", "none.toml"], {}, "none.toml"),
        ([], {"BACKSTOP_DATABASE_URL": "mysql://h/d"}, "mysql is no database that Backstop knows"),
        ([], {"BACKSTOP_STATE_KEY": "abc"}, "the state key"),
        ([], {"BACKSTOP_TOKEN": "short"}, "is no secret"),
        (["--kubeconfig", "missing"], {}, "missing"),
    ],
)
def test_what_cannot_be_is_one_sentence(arguments: list[str], environment: dict[str, str], said: str, tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    ended = subprocess.run(
        [BACKSTOP, "serve", "--port", "0", "--state", str(tmp_path / "state"), *arguments],
        capture_output=True, text=True, check=False, timeout=60, env={**desk.environment, **environment}, cwd=tmp_path,
    )  # fmt: skip
    (sentence,) = ended.stderr.splitlines()
    assert (ended.returncode, ended.stdout) == (2, ""), ended
    assert said in sentence


def test_a_worker_elsewhere_needs_the_services_database_and_key(tmp_path: Path) -> None:
    ended = typed("worker", environment=Desk(tmp_path).environment)
    assert ended.returncode == 2
    assert "BACKSTOP_DATABASE_URL and BACKSTOP_STATE_KEY" in ended.stderr
