"""The whole way, as a person goes it: an alert, a table, a story, the command that it prints, the record, a signed folder."""

from __future__ import annotations

import shlex
from pathlib import Path

from tests.cli.processes import typed
from tests.cli.serving import TOKEN, identities, serving
from tests.cli.test_receipt import backstop
from tests.cli.triaging import Desk, broken_shop


def test_an_incident_is_seen_approved_followed_and_handed_on(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    with broken_shop() as shop, serving(desk, "--mode", "approve", *identities(shop)) as service:
        incident = service.alert()
        service.until(incident, lambda found: found["state"] == "awaiting_approval")
        environment = {**desk.environment, "BACKSTOP_URL": service.url, "BACKSTOP_TOKEN": TOKEN}

        def asked(*arguments: str) -> str:
            ended = typed("incidents", *arguments, environment=environment)
            assert (ended.returncode, ended.stderr) == (0, ""), ended
            return ended.stdout

        short = asked("list").splitlines()[1].split()[0]
        assert len(short) < len(incident)
        story = asked("show", short)
        (command,) = [line.removeprefix("approve").strip() for line in story.splitlines() if line.startswith("approve ")]
        words = shlex.split(command.replace("…", "the release broke it"))
        assert words[:2] == ["backstop", "incidents"]
        assert "approved by ada: the release broke it" in asked(*words[2:], "--yes")
        record = asked("events", short, "--follow").splitlines()
        assert "RESOLVED" in record[-1]
        service.receipt(incident)
        assert ", the receipt: " in asked("export", short, "--to", str(tmp_path / "out"))
    assert backstop("verify", tmp_path / "out").stdout.startswith(f"holds: receipt 1, incident {incident}, resolved")
