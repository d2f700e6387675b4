"""What the story says of a model that was never asked: that it was not, and why."""

from __future__ import annotations

from backstop.events import ModelCalled
from backstop.records import ModelCall
from backstop.scenarios.story import BackstopTeller


def call(outcome: str, detail: str) -> ModelCall:
    return ModelCall(
        model="m", role="diagnose", source="live", outcome=outcome, seconds=0.0, input_tokens=0, output_tokens=0, cost_usd=0.0,
        cost_is_estimate=False, reply_sha256=None, detail=detail,
    )  # fmt: skip


def test_a_model_without_a_key_is_told_as_not_asked_and_why() -> None:
    line = BackstopTeller().tell(ModelCalled(call=call("skipped", "no ANTHROPIC_API_KEY")))
    assert line is not None
    assert (line.text, line.source) == ("did not ask m: no ANTHROPIC_API_KEY", "")


def test_a_model_that_failed_is_told_as_asked() -> None:
    line = BackstopTeller().tell(ModelCalled(call=call("timeout", "")))
    assert line is not None
    assert line.text == "asked m: timeout"
