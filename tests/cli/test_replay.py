"""`backstop replay`: a calm page, one JSON object, one sentence for bad input, a loud word if nothing of it can be relied on."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from backstop.clock import ManualClock
from backstop.events import AnyBody, DefenseFired, Event, EventLog, QualityWeighed
from backstop.policy.default import DEMO
from backstop.replay import export
from tests.replay.plays import played

HOSTILE = "\x1b[2J\u202eallow"


def backstop(*arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("backstop")
    return subprocess.run([program, "replay", *arguments], capture_output=True, text=True, check=False, timeout=60, cwd=cwd)


def write(path: Path, *plays: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{event.line()}\n" for play in plays for event in played(play)))
    return path


@pytest.fixture
def record(tmp_path: Path) -> Path:
    return write(tmp_path / "run/events.jsonl", "hallucinated_diagnosis")


@pytest.fixture
def strict(tmp_path: Path) -> Path:
    path = tmp_path / "strict.toml"
    text = DEMO.read_text(encoding="utf-8")
    assert "max_pods_touched = 10" in text
    path.write_text(text.replace("max_pods_touched = 10", "max_pods_touched = 1"), encoding="utf-8")
    return path


def test_it_tells_the_incident_and_what_another_policy_would_have_done(record: Path, strict: Path) -> None:
    ended = backstop(record, "--policy", strict)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "outcome      resolved" in ended.stdout
    assert f"With {strict} rollback deployment/checkout to_revision=1 would have been refused by A-BLAST-PODS" in ended.stdout
    assert "A-BLAST-PODS: passed -> failed: 3 pods would be touched, at most 1 may be" in ended.stdout
    assert ended.stdout.endswith("the policy that it was held to, asked again, decides as it did then\n")


def test_a_moment_is_an_events_number_or_a_time(record: Path) -> None:
    early = backstop(record, "--at", "3")
    assert "moment       event 3 of " in early.stdout
    assert "outcome" not in early.stdout
    first = played("hallucinated_diagnosis")[0].at
    assert "moment       event 1 of " not in backstop(record, "--at", "9999").stdout
    assert backstop(record, "--at", first.isoformat()).returncode == 0


def test_the_json_is_one_object_with_the_state_the_decisions_and_the_self_check(record: Path, strict: Path) -> None:
    lines = backstop(record, "--policy", strict, "--json").stdout.splitlines()
    assert len(lines) == 1
    told = json.loads(lines[0])
    assert (told["state"]["stage"], told["self_check"]["result"]) == ("closed", "held")
    assert told["replay"]["parts_at"] == told["replay"]["decisions"][-1]["seq"]
    assert json.loads(backstop(record, "--json").stdout)["replay"] is None


def test_a_record_is_found_by_its_folder_and_by_the_incidents_id(record: Path, tmp_path: Path) -> None:
    export(played("hallucinated_diagnosis"), None, tmp_path / "exported")
    write(tmp_path / "drill/backstop/events.jsonl", "clean_signal")
    for named in (record.parent, tmp_path / "exported", tmp_path / "drill", tmp_path / "exported/README.md"):
        assert backstop(named).returncode == 0
    write(tmp_path / "state/triage/one/events.jsonl", "clean_signal")
    assert backstop("alert-1", "--state", tmp_path / "state", cwd=tmp_path).returncode == 0
    write(tmp_path / ".backstop/runs/two/backstop/events.jsonl", "clean_signal")
    twice = backstop("alert-1", "--state", tmp_path / "state", cwd=tmp_path)
    assert (twice.returncode, twice.stderr.count("\n")) == (2, 1)
    assert "2 records hold an incident alert-1" in twice.stderr


def test_of_a_record_that_holds_several_one_is_named(tmp_path: Path) -> None:
    both = write(tmp_path / "events.jsonl", "second_incident", "clean_signal")
    unnamed = backstop(both)
    assert (unnamed.returncode, unnamed.stdout) == (2, "")
    assert "--incident alert-2 or --incident alert-1" in unnamed.stderr
    assert "incident     alert-1" in backstop(both, "--incident", "alert-1").stdout


def test_a_record_that_was_tampered_with_is_refused_in_one_sentence(record: Path) -> None:
    whole = record.read_text()
    for broken in (whole.replace("prod-db", "prod-bd"), "".join(whole.splitlines(keepends=True)[1:]), whole[:-9], ""):
        record.write_text(broken)
        ended = backstop(record)
        assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (2, "", 1)


def test_bad_input_is_exit_2_and_one_sentence(record: Path, tmp_path: Path) -> None:
    for arguments in (
        (tmp_path / "none.jsonl",),
        (tmp_path,),
        ("nobody-knows", "--state", tmp_path),
        (record, "--at", "0"),
        (record, "--at", "yesterday"),
        (record, "--at", "2026-11-27T08:00:00"),
        (record, "--at", "1999-01-01T00:00:00Z"),
        (record, "--incident", "another"),
        (record, "--policy", tmp_path / "none.toml"),
        (record, "--policy", record),
    ):
        ended = backstop(*arguments)
        assert (ended.returncode, ended.stdout) == (2, ""), arguments
        assert ended.stderr.startswith("backstop: ")
        assert ended.stderr.count("\n") == 1


def rewritten(path: Path, bodies: list[AnyBody]) -> Path:
    with EventLog(path, ManualClock()) as log:
        for body in bodies:
            log.append("i-1", body)
    return path


def late(event: Event) -> AnyBody:
    body = event.body
    return (
        body.model_copy(update={"max_age_seconds": 0.0, "now": body.now.replace(year=2100)})
        if isinstance(body, QualityWeighed)
        else body
    )


def test_a_policy_that_does_not_decide_as_it_did_is_said_loudly_and_exit_1(tmp_path: Path) -> None:
    """A record that holds together, and whose verdicts are not those of what it says they rested on."""
    ended = backstop(rewritten(tmp_path / "events.jsonl", [late(event) for event in played("clean_signal")]))
    assert ended.returncode == 1
    assert "FAILED: the policy that it was held to does not decide as it did then" in ended.stdout
    assert "Q-FRESH said passed then and says failed now" in ended.stdout


def test_no_hostile_text_moves_what_is_shown(tmp_path: Path) -> None:
    bodies = [event.body for event in played("clean_signal")]
    said = bodies[-1].model_copy(update={"outcome": bodies[-1].outcome.model_copy(update={"reason": HOSTILE})})  # type: ignore[union-attr]
    shown = backstop(
        rewritten(tmp_path / "events.jsonl", [*bodies[:-1], DefenseFired(defense="undo", reason=HOSTILE), said])
    ).stdout
    assert "allow" in shown
    assert not set("\x1b\u202e") & set(shown)
