"""Where alerts come in: kept before they are answered, so that whoever sends them repeats what was not kept."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable
from typing import Final

from fastapi import APIRouter, Request, Response
from pydantic import ValidationError

from backstop.clock import Clock
from backstop.engine.port import Incidents
from backstop.pipeline.redact import redact_alert
from backstop.policy import Policy
from backstop.records import Alert
from backstop.redaction import Redactor
from backstop.service.alertmanager import MAX_ALERTS, AlertAnswer, Message, Received, sort_alerts
from backstop.service.answers import Problem, Refused, answer, body_of, problem, tell
from backstop.service.document import body
from backstop.service.metrics import Counts

MESSAGE_BYTES: Final = 2**20

SUBMIT_SECONDS: Final = 20.0
"""For the database to keep all incidents of one message; then Alertmanager is told to come again."""


def alert_routes(incidents: Incidents, policy: Policy, clock: Clock, counts: Counts) -> APIRouter:
    """`POST /alerts/alertmanager`."""
    routes = APIRouter(tags=["alerts"])

    @routes.post(
        "/alerts/alertmanager",
        response_model=Received,
        responses={code: {"model": Problem} for code in (413, 415)},
        openapi_extra=body(Message),
    )
    async def alertmanager(request: Request) -> Response:
        """Alertmanager's webhook, version 4. 200: every incident that it makes is kept. 5xx: send it again."""
        message = await _message(request)
        received = await _keep(message, incidents, policy, clock, counts.alert)
        _tell(received)
        return answer(received)

    return routes


async def _message(request: Request) -> Message:
    """Raises Refused. What is refused here Alertmanager does not send again, and so it is told in the log."""
    try:
        message = Message.model_validate_json(await body_of(request, MESSAGE_BYTES))
    except ValidationError as error:
        todo = "point a webhook_config of Alertmanager 0.16 or later here"
        refusal = Refused(problem(400, "this is no message of Alertmanager's webhook, version 4", todo=todo))
        tell("alerts_refused", status=400)
        raise refusal from error
    except Refused as refusal:
        tell("alerts_refused", status=refusal.response.status_code)
        raise
    if len(message.alerts) > MAX_ALERTS:
        tell("alerts_refused", status=413, alerts=len(message.alerts))
        todo = f"set max_alerts: {MAX_ALERTS} in the webhook_config"
        raise Refused(problem(413, f"it has {len(message.alerts)} alerts, and {MAX_ALERTS} are taken at once", todo=todo))
    return message


async def _keep(message: Message, incidents: Incidents, policy: Policy, clock: Clock, count: Callable[[str], None]) -> Received:
    """Raises EngineError or TimeoutError, with some of it kept: what is sent again is the same incident again."""
    found = sort_alerts(message, policy, clock.now())
    answers = dict(found.others)
    async with asyncio.timeout(SUBMIT_SECONDS):
        for alert, places in found.groups:
            submitted = await incidents.submit(redact_alert(alert, Redactor(secrets.token_bytes(32))))
            for place in places:
                answers[place] = _taken(message, place, alert, submitted.incident, new=submitted.new)
    for one in answers.values():
        count(one.result)
    return Received(alerts=tuple(answers[place] for place in range(len(message.alerts))), truncated=message.truncatedAlerts)


def _taken(message: Message, place: int, alert: Alert, incident: str, *, new: bool) -> AlertAnswer:
    raw = message.alerts[place]
    fingerprint = str(raw["fingerprint"]) if isinstance(raw, dict) else ""
    where = f"{alert.target.namespace}/{alert.target.key}"
    reason = f"it is worked on as an incident of {where}" if new else f"it has its incident of {where} already"
    return AlertAnswer(fingerprint=fingerprint, result="incident", incident=incident, new=new, reason=reason)


def _tell(received: Received) -> None:
    for one in received.alerts:
        if one.result == "ignored":
            tell("alert_ignored", fingerprint=one.fingerprint, reason=one.reason)
        elif one.new and one.incident is not None:
            tell("alert_taken", logging.INFO, fingerprint=one.fingerprint, incident=one.incident)
    if received.truncated:
        tell("alerts_truncated", truncated=received.truncated)
