"""Who sees the console, and whose forms it takes. What is refused changes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from backstop.console.door import HEADERS
from backstop.service import Access
from tests.console.shown import shown

TOKEN = "token-of-the-service-0001"


async def test_a_page_may_run_nothing_inline_and_load_nothing_from_elsewhere(tmp_path: Path) -> None:
    async with shown(tmp_path) as console:
        for path in ("/", "/login", "/nowhere"):
            answer = await console.get(path)
            for name, value in HEADERS.items():
                assert answer.headers[name] == value
            assert "<script>" not in answer.text
            assert " style=" not in answer.text
            assert " onclick=" not in answer.text


async def test_what_a_page_fetches_is_there_and_kept_for_good(tmp_path: Path) -> None:
    async with shown(tmp_path) as console:
        page = (await console.get("/")).text
        named = [part.split('"')[0] for part in page.split('="') if part.startswith("/static/")]
        assert len(named) >= 3
        for path in named:
            answer = await console.get(path)
            assert answer.status == 200
            assert "immutable" in answer.headers["Cache-Control"]
            assert "Set-Cookie" not in answer.headers


async def test_a_page_of_another_version_of_a_file_is_not_found(tmp_path: Path) -> None:
    async with shown(tmp_path) as console:
        assert (await console.get("/static/000000000000/console.css")).status == 404


async def test_the_api_stays_the_service_s(tmp_path: Path) -> None:
    async with shown(tmp_path) as console:
        assert (await console.get("/healthz")).json == {"status": "alive"}
        assert (await console.get("/api/v1/nothing")).json["error"] == "there is nothing here"


class TestWithoutAToken:
    async def test_a_name_of_this_machine_that_somebody_else_chose_is_refused(self, tmp_path: Path) -> None:
        async with shown(tmp_path) as console:
            assert (await console.get("/", headers={"Host": "evil.example"})).status == 403

    async def test_a_form_without_its_proof_is_refused(self, tmp_path: Path) -> None:
        async with shown(tmp_path) as console:
            await console.get("/")
            answer = await console.send("/login", {"name": "Ada"})
            assert answer.status == 403
            assert "another session" in answer.text

    async def test_a_form_of_before_a_restart_is_refused(self, tmp_path: Path) -> None:
        async with shown(tmp_path / "first") as first:
            stale = await first.csrf()
        async with shown(tmp_path / "second") as second:
            await second.get("/")
            assert (await second.send("/login", {"csrf": stale, "name": "Ada"})).status == 403

    @pytest.mark.parametrize("headers", [{"Origin": "http://evil.example"}, {"Origin": "null"}])
    async def test_a_form_of_another_origin_is_refused(self, tmp_path: Path, headers: dict[str, str]) -> None:
        async with shown(tmp_path) as console:
            answer = await console.submit("/login", {"name": "Ada"}, headers=headers)
            assert answer.status == 403

    async def test_who_one_is_is_remembered_until_one_signs_out(self, tmp_path: Path) -> None:
        async with shown(tmp_path) as console:
            assert (await console.submit("/login", {"name": "Ada"})).status == 303
            assert "Ada" in (await console.get("/")).text
            await console.submit("/logout", {})
            assert "Ada" not in (await console.get("/")).text


class TestWithAToken:
    async def test_nothing_is_shown_before_somebody_signs_in(self, tmp_path: Path) -> None:
        async with shown(tmp_path, Access(TOKEN)) as console:
            answer = await console.get("/incidents?state=closed")
            assert (answer.status, answer.headers["Location"]) == (303, "/login?next=/incidents%3Fstate%3Dclosed")
            assert (await console.ask("GET", "/stream/incidents")).status == 401
            assert (await console.ask("POST", "/run")).status == 401

    async def test_the_token_opens_and_another_does_not(self, tmp_path: Path) -> None:
        async with shown(tmp_path, Access(TOKEN)) as console:
            wrong = await console.submit("/login", {"name": "Ada", "token": "another-token-of-20-letters"})
            assert wrong.status == 403
            assert (await console.get("/")).status == 303
            right = await console.submit("/login", {"name": "Ada", "token": TOKEN, "next": "//evil.example/"})
            assert (right.status, right.headers["Location"]) == (303, "/")
            assert (await console.get("/")).status == 200

    async def test_a_name_alone_is_not_trusted(self, tmp_path: Path) -> None:
        async with shown(tmp_path, Access(TOKEN)) as console:
            _, cookie = console.parts.sessions.issue("Ada")
            port = console.url.rpartition(":")[2]
            assert (await console.get("/", headers={"Cookie": f"backstop_session_{port}={cookie}"})).status == 303

    async def test_signing_out_ends_the_session_itself_not_only_the_cookie(self, tmp_path: Path) -> None:
        async with shown(tmp_path, Access(TOKEN)) as console:
            await console.submit("/login", {"name": "Ada", "token": TOKEN})
            kept = {"Cookie": "; ".join(f"{cookie.key}={cookie.value}" for cookie in console.visitor.cookie_jar)}
            assert (await console.get("/", headers=kept)).status == 200
            await console.submit("/logout", {})
            assert (await console.get("/", headers=kept)).status == 303
