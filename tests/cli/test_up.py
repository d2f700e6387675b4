"""`backstop up`: what is broken in its shop becomes an incident by itself, asks a person, and does what it is told."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.processes import BACKSTOP, typed
from tests.cli.triaging import Desk, asked_by
from tests.cli.upping import Up, complaints, upped


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with upped(Desk(tmp_path_factory.mktemp("up"))) as up:
        yield up


def test_it_says_where_it_is_on_standard_output_and_what_it_is_beside_it(running: Up) -> None:
    assert running.page.startswith("http://127.0.0.1:")
    assert running.page.endswith("/run")
    lines = complaints(running.desk).splitlines()
    assert len(lines) in {3, 4}  # one more where the shell does not find the command by its name
    assert "mode approve, emulated models" in lines[0]
    assert "backstop sandbox break bad-release" in lines[1]
    assert "Ctrl-C ends all of it" in lines[-1]


def test_an_incident_comes_by_itself_asks_and_an_approved_write_repairs_the_shop(running: Up) -> None:
    incident = running.broken()
    assert (incident["id"], incident["asks"]["action"]) == ("checkout-7-1", "rollback deployment/checkout to_revision=1")
    assert running.rate() == 1.0
    running.service.post(f"/incidents/{incident['id']}/approve", {"by": "ada", "why": "it is the release"})
    ended = running.service.until(incident["id"], lambda found: found["state"] == "closed")
    assert (ended["outcome"], ended["writes"]) == ("resolved", 1)
    running.until_well()
    said = json.dumps(running.service.get(f"/incidents/{incident['id']}/events"))
    assert '"source": "emulated"' in said
    assert '"source": "live"' not in said
    assert running.service.receipt(incident["id"])["signatures"]
    receipt = running.desk.directory / "state" / "receipts" / f"{incident['id']}.json"
    assert typed("receipt", "show", str(receipt)).returncode == 0
    assert running.service.get("/incidents")["incidents"][1:] == []  # one alert an episode


@pytest.mark.parametrize("same", ["port", "state"])
def test_a_second_one_on_the_same_port_or_state_is_refused_before_anything_starts(running: Up, same: str, tmp_path: Path) -> None:
    port = running.page.removesuffix("/run").rpartition(":")[2] if same == "port" else "0"
    state = running.desk.directory / "state" if same == "state" else tmp_path / "state"
    desk = Desk(tmp_path)
    ended = subprocess.run(
        [BACKSTOP, "up", "--port", port, "--state", str(state)],
        capture_output=True, text=True, check=False, timeout=60, env=desk.environment,
    )  # fmt: skip
    (sentence,) = ended.stderr.splitlines()
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ("cannot be listened on" if same == "port" else "runs on the state directory") in sentence
    assert "nothing was started" in sentence
    assert list((tmp_path / "tmp").iterdir()) == []  # where a cluster would have kept its files
    assert (running.desk.directory / "state" / "starts").read_text() == "1\n"


def test_what_is_rejected_is_not_written_and_goes_to_a_person(tmp_path: Path) -> None:
    with upped(Desk(tmp_path)) as up:
        incident = up.broken()
        up.service.post(f"/incidents/{incident['id']}/reject", {"by": "ada", "why": "let me look first"})
        ended = up.service.until(incident["id"], lambda found: found["state"] == "closed")
        assert (ended["outcome"], ended["writes"]) == ("escalated", 0)
        assert "let me look first" in ended["reason"]
        assert written(up) == []


def test_in_observe_mode_it_has_no_executor_and_uses_no_database_but_its_own(tmp_path: Path) -> None:
    elsewhere = {"BACKSTOP_DATABASE_URL": "postgresql://nobody@127.0.0.1:9/none", "BACKSTOP_STATE_KEY": "00" * 32}
    with upped(Desk(tmp_path), "--mode", "observe", **elsewhere) as up:
        ended = up.broken("closed")
        assert (ended["outcome"], ended["writes"]) == ("escalated", 0)
    assert not (tmp_path / "state" / "executor").exists()


@pytest.mark.parametrize(
    ("arguments", "environment", "said"),
    [
        (["--host", "0.0.0.0"], {}, "there is no token"),
        (["--port", "70000"], {}, "70000 is no port"),
        (["--state", "/dev/null/x"], {}, "cannot be written"),
        ([], {"BACKSTOP_TOKEN": "short"}, "is no secret"),
        ([], {"BACKSTOP_LIVE": "perhaps"}, "the setting live cannot be used"),
    ],
)
def test_what_cannot_be_is_one_sentence(arguments: list[str], environment: dict[str, str], said: str, tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    ended = subprocess.run(
        [BACKSTOP, "up", "--port", "0", *arguments],
        capture_output=True, text=True, check=False, timeout=60, env=desk.environment | environment, cwd=tmp_path,
    )  # fmt: skip
    (sentence,) = ended.stderr.splitlines()
    assert (ended.returncode, ended.stdout) == (2, ""), ended
    assert said in sentence


def written(up: Up) -> list[str]:
    """What the executor really wrote."""
    lines = asked_by(up.shop, "executor")
    return [json.dumps(line) for line in lines if line["verb"] in {"patch", "update"} and "dryRun" not in line["requestURI"]]
