"""The policy that is in force, its rules, and a question about a write that nobody has asked for."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from backstop.console.pages import page
from backstop.console.recorded import NEWEST, Told
from backstop.console.views import policy as view
from backstop.errors import UsageError
from backstop.pipeline.rulebook import RULEBOOK


async def policy(request: Request) -> Response:
    """One page: the document, the rules with what they said so far, and the answer to the question in the address."""
    parts = request.app.state.parts
    held, query = parts.policy, request.query_params
    answer, wrong = None, ""
    if query.get("verb") or query.get("target"):
        try:
            answer = view.answer(query, held, parts.clock.now(), parts.mode)
        except UsageError as error:
            wrong = f"{error.what}; {error.todo}" if error.todo else error.what
    recorded: tuple[Told, ...] | None = await request.app.state.recorded.known()
    return await page(
        request,
        "policy",
        policy=held,
        digest=held.digest(),
        document=view.yaml_of(held),
        limits=view.LIMITS,
        mebibytes=view.mebibytes,
        workloads=tuple(view.workloads(held)),
        said={name: query.get(name, "") for name in view.FIELDS},
        answer=answer,
        wrong=wrong,
        book=RULEBOOK,
        recorded=recorded,
        newest=NEWEST,
        tallies=view.tallies(recorded or ()),
    )


ROUTES = [Route("/policy", policy)]
