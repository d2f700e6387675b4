"""What was redacted when it was read passes the model boundary unchanged; what was overlooked does not pass."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstop.errors import ModelError
from backstop.models.boundary import redacted
from backstop.models.prompts import diagnosis_prompt, sealed
from backstop.records import Evidence
from backstop.redaction import Redactor
from tests.models.conftest import evidence_of

PASSWORD = "tr0ub4dor" + "-and-three-horses"
LINES = (
    f"ERROR cannot open postgres://shop:{PASSWORD}@prod-db:5432/shop: too many connections",
    f"password={PASSWORD}",
    f"DEBUG authorization: Bearer {PASSWORD} content-length: 31",
    f'DEBUG {{"PAYMENT_KEY": "{PASSWORD}", "currency": "EUR"}}',
)


@given(st.lists(st.sampled_from(LINES), min_size=1, max_size=6), st.binary(min_size=1))
def test_a_prompt_of_redacted_evidence_is_not_changed(lines: list[str], key: bytes) -> None:
    prompt = sealed("evidence", {"text": Redactor(key).redact("\n".join(lines))})
    assert redacted(prompt) == prompt


def test_every_recorded_evidence_passes_unchanged() -> None:
    for name in (
        "bad_image",
        "bad_release",
        "crash_loop",
        "dependency_down",
        "healthy",
        "missing_config",
        "out_of_memory",
        "stuck",
    ):
        prompt = diagnosis_prompt(evidence_of(name), ("a claim was refused",))
        assert redacted(prompt) == prompt


def test_what_was_overlooked_does_not_pass(evidence: Evidence) -> None:
    facts = (evidence.facts[0].model_copy(update={"text": "\n".join(LINES)}), *evidence.facts[1:])
    prompt = redacted(diagnosis_prompt(evidence.model_copy(update={"facts": facts})))
    assert PASSWORD not in prompt
    assert json.loads(prompt.split("\n")[2])["facts"][0]["id"] == evidence.facts[0].id  # and it is still JSON


async def test_no_model_is_asked_what_cannot_be_redacted(rig: Any, evidence: Evidence) -> None:
    built = await rig({})
    for hop in built.chain.hops:
        hop.boundary = _broken
    with pytest.raises(ModelError, match="first: withheld"):
        await built.chain.diagnose(evidence, attempt=0, rejected=())
    assert await built.hits() == []
    assert [outcome for _, outcome in built.outcomes()] == ["withheld"] * 3


def _broken(_text: str) -> str:
    raise ValueError("a bug of the redactor")
