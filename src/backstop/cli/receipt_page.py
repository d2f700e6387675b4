"""A receipt for people: a page for the terminal, and one self-contained HTML file. Everything in it may be hostile text."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import Any, Final

from backstop.cli.triage_page import plain
from backstop.errors import ReceiptError

NOT_CHECKED: Final = "What the receipt says. Whether it holds is for 'backstop receipt verify' to say."

Json = dict[str, Any]
Row = tuple[str, str]

_STYLE: Final = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse;width:100%}td{border-top:1px solid #ccc;padding:.3rem .6rem;vertical-align:top}"
    "td:first-child{white-space:nowrap;color:#555}td+td{overflow-wrap:anywhere}"
)


def page(statement: Json, key_id: str) -> str:
    """Raises ReceiptError for a statement that is none."""
    lines = [NOT_CHECKED, "", *(f"{label:<13}{text}".rstrip() for label, text in rows(statement, key_id))]
    return "".join(f"{plain(line)}\n" for line in lines)


def html_page(statement: Json, key_id: str) -> str:
    """Raises ReceiptError for a statement that is none."""
    cells = "\n".join(
        f"<tr><td>{escape(plain(label))}</td><td>{escape(plain(text))}</td></tr>" for label, text in rows(statement, key_id)
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>Backstop receipt</title>'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<style>{_STYLE}</style></head>\n<body><h1>Receipt</h1><p>{escape(NOT_CHECKED)}</p>\n<table>\n{cells}\n</table></body></html>\n"
    )


def rows(statement: Json, key_id: str) -> list[Row]:
    """Label and text, in the order in which a person asks."""
    try:
        return list(_rows(statement["predicate"], statement["subject"], key_id))
    except (LookupError, TypeError, AttributeError) as error:
        raise ReceiptError("it is signed, and does not say what a receipt says") from error


def _rows(predicate: Json, subject: list[Json], key_id: str) -> Iterator[Row]:
    run, executor = predicate["run"], predicate["executor"]
    yield "incident", str(run["incident"])
    alert = run["alert"] or {}
    yield "alert", f"{alert.get('name', 'not on record')}: {alert.get('summary', '')}"
    yield "outcome", f"{run['outcome']['kind']}: {run['outcome']['reason']}"
    yield "events", f"{run['events']['count']}, from {run['events']['first_at']} to {run['events']['last_at']}"
    for label, texts in (
        ("written", [_write(write) for write in run["writes"]]),
        ("unconfirmed", [str(one) for one in executor["unconfirmed"]]),
        ("refused", [f"{one['action']} ({', '.join(one['rules'])})" for one in run["refused"]]),
        ("approval", [f"{one['answer']} by {one['by']}: {one['why']}" for one in run["approvals"]]),
        ("model", [_model(call) for call in run["models"]]),
    ):
        yield from ((label if number == 0 else "", text) for number, text in enumerate(texts or ["none"]))
    yield "policy", str(executor["policy"])
    yield "admission", str(executor["admission_policy"])
    yield "prompts", f"{predicate['agent']['prompts']} (by the agent's own account)"
    yield "record", f"sha256 {subject[0]['digest']['sha256']}"
    yield "head", str(run["events"]["head"])
    yield "receipt", f"number {predicate['sequence']}, after {predicate['previous'] or 'none'}"
    yield "signed", f"{predicate['signed_at']} by key {key_id}, Backstop {predicate['version']}"


def _write(write: Json) -> str:
    rules = ", ".join(write["allowed_by"]) or "nothing"
    return f"{write['verb']} {write['target']}, audit id {write['audit_id'] or 'unknown'}, allowed by {rules}"


def _model(call: Json) -> str:
    cost = "unknown" if call["cost_usd"] is None else f"${call['cost_usd']}"
    return f"{call['model']} ({call['role']}, {call['source']}): {call['outcome']}, cost {cost}"
