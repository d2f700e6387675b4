"""Whatever a script may name can be played to any request, on any wire, and the same request hears the same bytes."""

from __future__ import annotations

import json
from functools import cache

import pytest

from backstop.emulator.asked import Asked
from backstop.emulator.behaviours import BEHAVIOURS
from backstop.emulator.faults import FAULTS
from backstop.emulator.scripts import parse_script
from backstop.emulator.wire import Wire, lay_out
from backstop.emulator.wire_anthropic import ANTHROPIC
from backstop.emulator.wire_bedrock import BEDROCK
from backstop.emulator.wire_openai import OPENAI

from .conftest import asking, evidence_of
from .raw import question

NAMES = sorted(BEHAVIOURS | FAULTS)
FACTS = evidence_of("bad_release")["facts"]
CLAIM = {"text": "Containers of deployment/checkout log errors.", "facts": [fact["id"] for fact in FACTS], "quotes": []}
REQUESTS = {
    "chat": "hello",
    "diagnose": asking("bad_release"),
    "judge": f"<claim>\n{json.dumps(CLAIM)}\n</claim>\n<facts>\n{json.dumps(FACTS)}\n</facts>",
}


@cache
def _asked(wire: Wire, role: str, stream: bool) -> Asked:
    path, body = question(wire.name, REQUESTS[role], stream=stream)
    return wire.read(json.dumps(body).encode(), path)


@pytest.mark.parametrize("wire", [OPENAI, ANTHROPIC, BEDROCK], ids=lambda wire: wire.name)
@pytest.mark.parametrize("name", NAMES)
def test_it_can_be_played(name: str, wire: Wire) -> None:
    behaviour = parse_script({"default": name}).default
    for role in REQUESTS:
        for stream in (False, True):
            asked = _asked(wire, role, stream)
            assert asked.role == role
            answer = behaviour.answer(asked)
            assert answer.deliver(lay_out(wire, asked, answer.result)).steps


@pytest.mark.parametrize("name", [name for name in NAMES if name != "http_429_date"])
def test_the_same_request_hears_the_same(name: str) -> None:
    behaviour = parse_script({"default": name}).default
    asked = _asked(ANTHROPIC, "diagnose", True)
    first, second = behaviour.answer(asked), behaviour.answer(asked)
    assert first.deliver(lay_out(ANTHROPIC, asked, first.result)) == second.deliver(lay_out(ANTHROPIC, asked, second.result))


@pytest.mark.parametrize("name", NAMES)
def test_everything_but_competence_is_injected_unless_the_script_says_otherwise(name: str) -> None:
    assert parse_script({"default": name}).default.source == ("emulated" if name in {"competent", "curious"} else "injected")
    assert parse_script({"default": {"do": name, "source": "emulated"}}).default.source == "emulated"
