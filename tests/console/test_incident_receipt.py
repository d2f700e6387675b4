"""An incident's receipt: checked in the page step by step, and given as files that are checked without the server."""

from __future__ import annotations

from pathlib import Path

from backstop.receipts import load_public, verify
from tests.console.seeded import Seeded, Seeds, seeded
from tests.pipeline.shop import right


async def signed(seeds: Seeds) -> None:
    await seeds.sign(await seeds.ended(await seeds.alert(seeds.shop("am-1", right), "am-1")))


async def unsigned(seeds: Seeds) -> None:
    await seeds.ended(await seeds.alert(seeds.shop("am-1", right), "am-1"))


async def verified(console: Seeded) -> str:
    """The page after its button was pressed."""
    answer = await console.submit("/incidents/am-1/verify", {})
    assert (answer.status, answer.headers["Location"]) == (303, "/incidents/am-1?verify#receipt")
    page = (await console.get("/incidents/am-1?verify")).text
    return page[page.index('id="receipt"') : page.index('id="record"')]


async def test_one_that_holds_is_shown_check_by_check(tmp_path: Path) -> None:
    async with seeded(tmp_path, signed) as console:
        shown = await verified(console)
        assert "It holds." in shown
        assert (shown.count("passed: "), shown.count("failed: ")) == (4, 0)
        assert "A server proves nothing to somebody who does not trust it" in shown
        assert "backstop receipt verify am-1.json --key receipt.pub --events events.jsonl" in shown


async def test_nothing_is_claimed_before_it_is_checked(tmp_path: Path) -> None:
    async with seeded(tmp_path, signed) as console:
        page = (await console.get("/incidents/am-1")).text
        assert "It holds." not in page
        assert "Verify here" in page


async def test_one_that_was_altered_says_which_check_failed(tmp_path: Path) -> None:
    async with seeded(tmp_path, signed) as console:
        file = console.seeds.receipts / "am-1.json"
        text = file.read_text()
        place = text.index('"payload":"') + 40
        file.write_text(text[:place] + ("A" if text[place] != "A" else "B") + text[place + 1 :])
        shown = await verified(console)
        assert "It does not hold." in shown
        assert "failed: its signature holds under a key of this installation" in shown
        assert shown.count("skipped: ") == 2


async def test_one_of_another_incident_does_not_hold(tmp_path: Path) -> None:
    async def two(seeds: Seeds) -> None:
        await signed(seeds)
        await seeds.sign(await seeds.ended(await seeds.alert(seeds.shop("am-2", right), "am-2")))

    async with seeded(tmp_path, two) as console:
        (console.seeds.receipts / "am-1.json").write_bytes((console.seeds.receipts / "am-2.json").read_bytes())
        shown = await verified(console)
        assert "failed: it was issued for exactly this record" in shown


async def test_one_under_a_key_that_is_not_the_installation_s_does_not_hold(tmp_path: Path) -> None:
    async with seeded(tmp_path, signed) as console:
        (console.seeds.receipts / "receipt.pub").unlink()
        shown = await verified(console)
        assert "which is none of this installation" in shown
        assert "It does not hold." in shown


async def test_none_is_said_and_gives_no_file(tmp_path: Path) -> None:
    async with seeded(tmp_path, unsigned) as console:
        assert "failed: there is a receipt" in await verified(console)
        assert (await console.get("/incidents/am-1/receipt.json")).status == 404
        assert (await console.get("/receipt.pub")).status == 404


async def test_the_files_hold_without_the_server(tmp_path: Path) -> None:
    async with seeded(tmp_path, signed) as console:
        receipt = await console.get("/incidents/am-1/receipt.json")
        record = await console.get("/incidents/am-1/events.jsonl")
        keys = await console.get("/receipt.pub")
        assert receipt.headers["Content-Disposition"] == 'attachment; filename="am-1.json"'
        (tmp_path / "receipt.pub").write_text(keys.text)
        held = verify(receipt.text.encode(), record.text.encode(), load_public(tmp_path / "receipt.pub"))
        assert held.predicate["run"]["incident"] == "am-1"


async def test_one_event_is_given_whole(tmp_path: Path) -> None:
    async with seeded(tmp_path, unsigned) as console:
        answer = await console.get("/incidents/am-1/events/3")
        assert answer.status == 200
        assert answer.headers["Content-Type"].startswith("text/plain")
        assert '"evidence_gathered"' in answer.text
        for seq in ("0", "4000", "9" * 40):
            assert (await console.get(f"/incidents/am-1/events/{seq}")).status == 404
