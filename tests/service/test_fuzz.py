"""The API does what its own document says, whatever it is sent; and whoever may not speak changes nothing."""

from __future__ import annotations

import asyncio
import re
import zlib
from collections.abc import Coroutine, Iterator
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import Any, Final, TypeVar

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis import Case

from backstop.errors import EngineError
from backstop.policy import DEFAULT
from backstop.service import Access, build_app
from backstop.service.answers import Problem
from backstop.service.app import _ID
from tests.engine.incidents_contract import alert, asking, reached
from tests.service.served import LOCAL, TOKEN, Broken, Served, served

API: Final = schemathesis.openapi.from_dict(build_app(Broken(EngineError("none")), Access(token=TOKEN), DEFAULT).openapi())  # type: ignore[arg-type]
API.config.generation.with_security_parameters = False  # each test says who asks
NOT_OPEN: Final = API.exclude(path=["/healthz", "/readyz"])
EXAMPLES: Final = settings(max_examples=40, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))
FEW: Final = settings(EXAMPLES, max_examples=3)
SECONDS: Final = 60.0

T = TypeVar("T")


@dataclass
class Beside:
    """A service in a thread of its own, for a client that waits. `session` bears what it may say."""

    loop: asyncio.AbstractEventLoop
    service: Served
    session: requests.Session = field(default_factory=requests.Session)

    def run(self, what: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(what, self.loop).result(SECONDS)

    async def state(self) -> Any:
        """Everything that is kept of incidents."""
        incidents = self.service.there.incidents
        return [(one, await incidents.events(one.id)) for one in await incidents.recent(limit=1000)]


@contextmanager
def beside(there: AbstractAsyncContextManager[Served]) -> Iterator[Beside]:
    loop, stop = asyncio.new_event_loop(), asyncio.Event()
    ready: Future[Served] = Future()

    async def hold() -> None:
        async with there as service:
            ready.set_result(service)
            await stop.wait()

    thread = Thread(target=loop.run_forever)
    thread.start()
    holding = asyncio.run_coroutine_threadsafe(hold(), loop)
    try:
        found = Beside(loop, ready.result(SECONDS))
        with found.session:
            yield found
    finally:
        loop.call_soon_threadsafe(stop.set)
        holding.result(SECONDS)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@pytest.fixture
def known(tmp_path: Path) -> Iterator[Beside]:
    """A service that knows the client, with an incident that asks, and one that has ended and has its receipt."""
    with beside(served(tmp_path, Access(token=TOKEN))) as service:
        service.session.headers["Authorization"] = f"Bearer {TOKEN}"
        service.run(_worked(service.service, tmp_path / "receipts"))
        yield service


async def _worked(service: Served, receipts: Path) -> None:
    await asking(service.there, 1)
    one = (await service.there.incidents.submit(alert(2, "catalog"))).incident
    await reached(service.there.incidents, one, "closed")
    await asyncio.to_thread(_receipt, receipts, one)


def _receipt(receipts: Path, incident: str) -> None:
    receipts.mkdir()
    (receipts / f"{incident}.json").write_text('{"payload": "x"}')
    (receipts / "receipt.pub").write_text("PEM")


@API.hook
def map_path_parameters(context: Any, path_parameters: Any) -> Any:
    """Ids that exist are never found by chance: of those that are drawn, most become one."""
    drawn = path_parameters.get("incident") if path_parameters else None
    if not isinstance(drawn, str) or not re.fullmatch(_ID, drawn):
        return path_parameters
    return {**path_parameters, "incident": ("alert-1", "alert-1", "alert-2", drawn)[zlib.crc32(drawn.encode()) % 4]}


@API.parametrize()
@EXAMPLES
def test_every_answer_is_one_that_is_documented(case: Case[Any], known: Beside) -> None:
    case.call_and_validate(base_url=known.service.url, session=known.session)


@pytest.fixture(scope="module")
def with_token(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Beside]:
    """A service that answers to a token, and an incident that asks."""
    with beside(served(tmp_path_factory.mktemp("shut"), Access(token=TOKEN))) as service:
        service.run(asking(service.service.there))
        yield service


@pytest.fixture(scope="module")
def on_loopback(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Beside]:
    """A service that answers to this machine, and an incident that asks."""
    with beside(served(tmp_path_factory.mktemp("local"), LOCAL)) as service:
        service.run(asking(service.service.there))
        yield service


def refused(case: Case[Any], service: Beside, headers: dict[str, str]) -> None:
    """This is answered with a documented refusal, and everything is as it was."""
    before = service.run(service.state())
    case.headers.pop("Authorization", None)
    if "incident" in case.path_parameters:
        case.path_parameters["incident"] = "alert-1"  # which asks
    answered = case.call(base_url=service.service.url, session=service.session, headers=headers)
    assert answered.status_code in {401, 403}
    Problem.model_validate_json(answered.content)
    assert service.run(service.state()) == before
    assert service.service.there.writes() == 0


@NOT_OPEN.parametrize()
@FEW
def test_without_the_token_everything_is_refused_and_nothing_changed(case: Case[Any], with_token: Beside) -> None:
    refused(case, with_token, {})


@NOT_OPEN.parametrize()
@FEW
def test_with_a_wrong_token_everything_is_refused_and_nothing_changed(case: Case[Any], with_token: Beside) -> None:
    refused(case, with_token, {"Authorization": f"Bearer {TOKEN}x"})


@NOT_OPEN.parametrize()
@FEW
def test_to_a_page_of_another_origin_everything_is_refused_and_nothing_changed(case: Case[Any], on_loopback: Beside) -> None:
    refused(case, on_loopback, {"Origin": "http://evil.example"})
