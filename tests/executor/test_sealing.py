"""The executor signs no record that says otherwise than it knows of its own writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from backstop.clock import ManualClock
from backstop.cluster.snapshot import SnapshotStore
from backstop.errors import ExecutorError, ReceiptError
from backstop.events import AnyBody, Written
from backstop.executor.client import ExecutorClient
from backstop.executor.protocol import MAX_LINE
from backstop.executor.sealing import Sealer
from backstop.executor.writer import Writer
from backstop.policy import DEFAULT
from backstop.receipts import Issuer, load_public, verify
from backstop.records import Write
from tests.executor.process import executor
from tests.executor.repair import Plan
from tests.receipts.signing import ACTION, bodies, content, record
from tests.stub_api import WRITER, StubApi

PROMPTS = "0" * 64


@pytest.fixture
def sealer(tmp_path: Path, snapshots: SnapshotStore) -> Sealer:
    return Sealer(DEFAULT, snapshots, Issuer(tmp_path / "keys", tmp_path / "receipts", ManualClock()))


def told(tmp_path: Path, *writes: tuple[Write, bool]) -> list[str]:
    """A record with exactly these writes."""
    whole: list[AnyBody] = [body for body in bodies() if not isinstance(body, Written)]
    return record(tmp_path / "told.jsonl", [*whole[:-1], *(Written(write=w, undo=u) for w, u in writes), whole[-1]])


async def test_a_write_and_its_undo_are_signed_with_the_audit_ids_that_the_executor_knows(
    writer: Writer, sealer: Sealer, planned: Plan, tmp_path: Path
) -> None:
    write = await writer.apply(await planned(action_id=ACTION))
    undo = await writer.undo(ACTION)
    lines = told(tmp_path, (write, False), (undo, True))
    sealed = await sealer.seal(lines, PROMPTS)
    held = verify(sealed.receipt.encode(), content(lines), load_public(tmp_path / "keys"))
    known = {one["action_id"]: one["audit_id"] for one in held.predicate["executor"]["writes"]}
    assert known == {ACTION: write.audit_id, f"{ACTION}-undo": undo.audit_id}


async def test_a_record_that_omits_a_write_is_not_signed(writer: Writer, sealer: Sealer, planned: Plan, tmp_path: Path) -> None:
    await writer.apply(await planned(action_id=ACTION))
    with pytest.raises(ReceiptError, match="lacks the write"):
        await sealer.seal(told(tmp_path), PROMPTS)


async def test_a_record_that_omits_an_undo_is_not_signed(writer: Writer, sealer: Sealer, planned: Plan, tmp_path: Path) -> None:
    write = await writer.apply(await planned(action_id=ACTION))
    await writer.undo(ACTION)
    with pytest.raises(ReceiptError, match=f"lacks the write {ACTION}-undo"):
        await sealer.seal(told(tmp_path, (write, False)), PROMPTS)


async def test_a_record_that_invents_a_write_is_not_signed(sealer: Sealer, tmp_path: Path) -> None:
    with pytest.raises(ReceiptError, match="which the executor did not make"):
        await sealer.seal(record(tmp_path / "events.jsonl"), PROMPTS)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"audit_id": "another"}, "another audit id"),
        ({"audit_id": ""}, "another audit id"),
        ({"verb": "restart"}, "otherwise than it was made"),
    ],
)
async def test_a_record_that_tells_a_write_otherwise_is_not_signed(
    writer: Writer, sealer: Sealer, planned: Plan, tmp_path: Path, change: dict[str, str], said: str
) -> None:
    write = await writer.apply(await planned(action_id=ACTION))
    with pytest.raises(ReceiptError, match=said):
        await sealer.seal(told(tmp_path, (write.model_copy(update=change), False)), PROMPTS)


async def test_a_record_whose_chain_breaks_is_not_signed(sealer: Sealer, tmp_path: Path) -> None:
    lines = told(tmp_path)
    with pytest.raises(ReceiptError, match="event 3"):
        await sealer.seal([*lines[:2], *lines[3:]], PROMPTS)
    assert not (tmp_path / "receipts").exists()


async def test_over_the_socket_a_long_record_is_signed_and_a_refusal_says_why(api: StubApi, tmp_path: Path) -> None:
    whole = [body for body in bodies(filling=7000) if not isinstance(body, Written)]
    lines = record(tmp_path / "long.jsonl", whole)
    assert len(content(lines)) > MAX_LINE
    async with executor(api.kubeconfig(tmp_path, WRITER)) as running:
        client = ExecutorClient(running.socket, policy_digest=DEFAULT.digest())
        sealed = await client.seal(lines, prompts=PROMPTS)
        (tmp_path / "receipt.pub").write_text(sealed.keys)
        held = verify(sealed.receipt.encode(), content(lines), load_public(tmp_path / "receipt.pub"))
        assert held.predicate["run"]["events"]["count"] == len(lines)
        with pytest.raises(ExecutorError, match="is not closed"):
            await client.seal(lines[:-1], prompts=PROMPTS)
