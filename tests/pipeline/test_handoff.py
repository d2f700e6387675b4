"""What a person is handed at the end: everything that was seen, said and done, and commands for what is next."""

from __future__ import annotations

from pathlib import Path

import pytest

from backstop.pipeline.handoff import by_hand, hand_over
from backstop.pipeline.journal import Story
from backstop.records import Action, NoAction, Restart, Rollback, Scale, SetResources
from tests.pipeline.shop import CHECKOUT, Shop, hallucinated
from tests.rules.scenes import recorded


@pytest.mark.parametrize(
    ("action", "command"),
    [
        (
            Rollback(verb="rollback", target=CHECKOUT, to_revision=1),
            "kubectl -n shop rollout undo deployment/checkout --to-revision=1",
        ),
        (Restart(verb="restart", target=CHECKOUT), "kubectl -n shop rollout restart deployment/checkout"),
        (Scale(verb="scale", target=CHECKOUT, replicas=3), "kubectl -n shop scale deployment/checkout --replicas=3"),
        (
            SetResources(verb="set_resources", target=CHECKOUT, container="app", memory_limit_bytes=2**27),
            "kubectl -n shop set resources deployment/checkout -c app --limits=memory=134217728",
        ),
        (NoAction(verb="no_action"), ""),
    ],
)
def test_every_action_can_be_done_by_hand(action: Action, command: str) -> None:
    assert by_hand(action) == command


async def test_every_diagnosis_and_every_verdict_is_in_it(shop: Shop) -> None:
    shop.script(hallucinated, opinion=False)
    outcome = await shop.incident()
    assert outcome.handoff is not None
    assert len(outcome.handoff.diagnoses) == 2
    assert [verdict.stage for verdict in outcome.handoff.verdicts] == ["quality_gate", "judge", "action_gate"] * 2


async def test_an_action_that_no_gate_let_through_is_never_suggested(shop: Shop) -> None:
    shop.script(hallucinated, opinion=False)
    outcome = await shop.incident()
    assert outcome.handoff is not None
    assert not any("prod-db" in step or "scale" in step for step in outcome.handoff.next_steps)


@pytest.mark.parametrize("name", ["cut_off", "service_port", "quota", "dependency_down"])
def test_the_change_that_a_person_would_make_comes_first(tmp_path: Path, name: str) -> None:
    story = Story(Shop(tmp_path).alert(), evidence=recorded(f"fleet/{name}"))
    first, *others = hand_over(story, "because").next_steps
    assert first.startswith("By the record, ")
    assert "kubectl -n shop " in first
    assert not any(step.startswith("By the record") for step in others)


def test_no_change_is_told_beside_a_write_that_was_made_or_cleared(tmp_path: Path) -> None:
    story = Story(Shop(tmp_path).alert(), evidence=recorded("fleet/bad_release"))
    assert not any("By the record" in step for step in hand_over(story, "because").next_steps)


def test_there_are_always_commands_to_begin_with(tmp_path: Path) -> None:
    story = Story(Shop(tmp_path).alert())
    steps = hand_over(story, "because").next_steps
    assert "kubectl -n shop describe deployment/checkout" in steps
    assert "kubectl -n shop get events" in steps
    assert hand_over(story, "because").unchanged == "Nothing was written to the cluster."
