"""A triage as a page for a person: plain, dense, 80 columns. Commands and diffs are never wrapped: they are there to be copied."""

from __future__ import annotations

import textwrap
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from backstop.records import ApprovalRequest, clean
from backstop.triage.report import CheckEntry, DiagnosisEntry, ModelEntry, ProposalEntry, Report, Said, VerdictEntry

WIDTH: Final = 80
LABEL: Final = 11
LONGEST_LIST: Final = 6
MARKS: Final[dict[Said, str]] = {"passed": "ok", "failed": "NO", "unknown": "?"}
GATES: Final = {"quality_gate": "quality", "judge": "judge", "action_gate": "action", "executor": "executor"}
"""Gates have every rule's word shown; of a measurement its end is enough."""


def page(report: Report) -> str:
    """The whole of it."""
    return "\n".join(plain(line) for line in _lines(report)) + "\n"


def question(request: ApprovalRequest, proposed: ProposalEntry | None) -> list[str]:
    """What a person is shown before an answer is asked for."""
    lines = ["", *field("approve?", request.action), *field("why", request.why), *field("incident", request.incident)]
    if proposed is not None:
        lines += _proposal(proposed)
    return [plain(line) for line in lines]


def plain(line: str) -> str:
    """A line that shows what it says: no control characters, and none that reorder or hide others."""
    return "".join("\ufffd" if unicodedata.category(one) == "Cf" else one for one in clean(line)).replace("\n", "\ufffd")


def _lines(report: Report) -> Iterator[str]:
    yield f"{report.target} at {report.cluster}"
    yield from field(report.outcome.value.upper(), report.reason)
    yield from field("", report.unchanged)
    yield ""
    yield from diagnosis_lines(report.diagnosis) if report.diagnosis is not None else field("diagnosis", "none")
    yield from listed("not seen", report.not_seen)
    yield ""
    yield from _verdicts(report)
    if report.proposed is not None:
        yield ""
        yield from field("written" if report.writes else "proposed", report.proposed.action)
        yield from _proposal(report.proposed)
    if report.approval is not None:
        yield from field("approval", report.approval)
    if report.next_steps:
        yield ""
        yield from unwrapped("next", report.next_steps)
    yield ""
    yield from field("models", _models(report))
    yield from unwrapped("record", [report.record])
    if report.receipt is None:
        yield from field("receipt", report.signed)
    else:
        yield from unwrapped("receipt", [f"backstop receipt verify {report.receipt}"])


def field(label: str, text: str) -> list[str]:
    """A label, and beside it a text that is wrapped under itself."""
    if len(label) >= LABEL:
        return [label, *field("", text)]
    head = f"{label:{LABEL}}"
    return textwrap.wrap(
        clean(text), WIDTH, initial_indent=head, subsequent_indent=" " * LABEL, break_long_words=False, break_on_hyphens=False
    ) or [head.rstrip()]


def unwrapped(label: str, lines: Iterable[str]) -> list[str]:
    return [f"{label if number == 0 else '':{LABEL}}{line}" for number, line in enumerate(lines)]


def listed(label: str, items: Sequence[str]) -> Iterator[str]:
    for number, item in enumerate(items[:LONGEST_LIST]):
        yield from field(label if number == 0 else "", item)
    if len(items) > LONGEST_LIST:
        yield from field("", f"and {len(items) - LONGEST_LIST} more, in the record")


def diagnosis_lines(said: DiagnosisEntry) -> Iterator[str]:
    blamed = f", which revision {said.blamed_revision} brought" if said.blamed_revision is not None else ""
    yield from field("diagnosis", f"{said.fault_class.value} of {said.suspect}{blamed}; by {said.by}")
    yield from field("", said.hypothesis)
    yield from field("", f"asks for: {said.action}")
    yield from listed("seen", said.quotes)


def _verdicts(report: Report) -> Iterator[str]:
    """Earlier proposals in a line each; the last one rule by rule."""
    last = _last(report.verdicts)
    for verdict in report.verdicts[: len(report.verdicts) - len(last)]:
        no = ", ".join(check.rule for check in verdict.checks if check.said != "passed")
        words = f"{MARKS[verdict.said]} {verdict.action}{f' ({no})' if no else ''}"
        yield from field(GATES.get(verdict.stage, verdict.stage), words)
    for verdict in last:
        counts = ", ".join(f"{n} {said}" for said in MARKS if (n := sum(c.said == said for c in verdict.checks)))
        yield from field(GATES.get(verdict.stage, verdict.stage), f"{verdict.said}: {counts or 'it said nothing'}")
        widest = max((len(check.rule) for check in verdict.checks), default=0)
        for check in verdict.checks:
            yield from _check(check, widest)


def _last(verdicts: Sequence[VerdictEntry]) -> Sequence[VerdictEntry]:
    """Those of the last proposal: from its quality gate on."""
    starts = [place for place, verdict in enumerate(verdicts) if verdict.stage == "quality_gate"]
    return verdicts[starts[-1] :] if starts else verdicts


def _check(check: CheckEntry, widest: int) -> list[str]:
    head = f"  {MARKS[check.said]:3}{check.rule:{widest}} "
    return textwrap.wrap(
        clean(check.reason), WIDTH, initial_indent=head, subsequent_indent=" " * 7, break_long_words=False, break_on_hyphens=False
    ) or [head.rstrip()]


def _proposal(proposed: ProposalEntry) -> Iterator[str]:
    if proposed.missing is not None:
        yield from field("policy", proposed.missing)
    yield from unwrapped("diff", proposed.diff.splitlines() or ["nothing would change"])
    yield from listed("reach", proposed.blast_radius)
    yield from listed("undo", proposed.undo[:1])
    yield from unwrapped("", proposed.undo[1:])
    yield from unwrapped("on", [proposed.on])
    yield from field("bound to", proposed.bound_to)


def _models(report: Report) -> str:
    asked = dict.fromkeys(_model(model) for model in report.models if model.role == "diagnose")
    judged = sum(model.role == "judge" for model in report.models)
    cost = "cost unknown" if report.cost_usd is None else f"${report.cost_usd:.4f}"
    samples = [f"judge: {judged} samples"] if judged else []
    return "; ".join([*(asked or ["none asked"]), *samples, cost, f"{report.seconds:.1f} s"])


def _model(model: ModelEntry) -> str:
    return f"{model.model} [{model.source}] {model.outcome}"
