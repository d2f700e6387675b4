"""The fault matrix as a table for the terminal and as a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from contenders import Task
from contenders.faults import Row

Mark = Literal["ok", "garbage", "waiting", "failed"]

_MARKS: Final[dict[Mark, str]] = {"ok": "✓", "garbage": "accepted garbage", "waiting": "✗ still waiting", "failed": "✗"}


@dataclass(frozen=True)
class Cell:
    """How one contender fared in one row: how it ended, how often each model was asked by the journal's count, how long it took."""

    mark: Mark
    first: int
    second: int
    seconds: float

    def __str__(self) -> str:
        return f"{_MARKS[self.mark]} {self.first}+{self.second}, {self.seconds:.2f} s"

    def wrong(self, row: Row, limit: float) -> str:
        """What is wrong with it as Backstop's, in words; empty if nothing. Of ten questions the first may meet the dead hop."""
        if self.mark != "ok":
            return f"the healthy model's answer was not reached ({self})"
        if self.first > row.tries or self.second > row.times:
            return f"asked more often than {row.tries}+{row.times} ({self})"
        return f"took longer than {limit:.1f} s ({self})" if self.seconds > limit else ""


Table = dict[str, dict[str, Cell]]
"""Rows by title, and cells by column."""


@dataclass(frozen=True)
class Tables:
    """All that was measured. `unguarded`: the replies again, without the code of ours that knows a diagnosis."""

    openai: Table
    contenders: Sequence[str]
    unguarded: Table
    others: Table

    def texts(self) -> dict[str, str]:
        """Each table, and a count of the green cells, in Markdown."""
        unguarded = list(next(iter(self.unguarded.values()), {}))
        return {
            "openai": _markdown(self.openai, self.contenders),
            "reached": _reached(self.openai, self.contenders),
            "unguarded": _markdown(self.unguarded, unguarded),
            "unguarded_reached": _reached(self.unguarded, unguarded),
            "others": _markdown(self.others, ("anthropic", "bedrock")),
        }

    def __str__(self) -> str:
        texts = self.texts()
        if not self.unguarded:
            del texts["unguarded"], texts["unguarded_reached"]
        return "\n\n".join(texts.values())


def _markdown(table: Table, columns: Sequence[str]) -> str:
    """Padded, so that it reads well as text too."""
    lines = [["first model", *columns]]
    lines += [[title, *(str(cells.get(column, "n/a")) for column in columns)] for title, cells in table.items()]
    widths = [max(len(line[n]) for line in lines) for n in range(len(columns) + 1)]
    padded = [f"| {' | '.join(text.ljust(width) for text, width in zip(line, widths, strict=True))} |" for line in lines]
    rule = f"|{'|'.join('-' * (width + 2) for width in widths)}|"
    return "\n".join([padded[0], rule, *padded[1:]])


def _reached(table: Table, columns: Sequence[str]) -> str:
    counts = (f"{column} {sum(cells[column].mark == 'ok' for cells in table.values())}" for column in columns)
    return f"The healthy model's answer was reached in so many of {len(table)} rows: {', '.join(counts)}."


_PAGE: Final = """\
# Fault matrix

What becomes of a diagnosis when the first model fails in a known way and the second one is well. Written by
`bench/fault_matrix.py` on {day}; run it again with

    .venv/bin/python bench/fault_matrix.py

It takes about four minutes, makes `.venv-litellm` the first time, and exits with 1 if Backstop is not green in every row.
Versions: {versions}.

## How to read it

A cell is what one contender made of one fault. `✓`: it came back with exactly one valid diagnosis from the healthy model.
`accepted garbage`: it took something else for the answer, which is a reply of the faulty model that is empty, cut off, not of the
schema, or not to be trusted because the model was stopped. `✗`: it raised. `✗ still waiting`: it was cut off {cut_off:.1f} s
after it was asked. `2+1` are the requests that the first and the second model really got, by the emulator's own journal; a row
counts only if the journal has the fault. Then the seconds.

All ask over real sockets, one after the other, each freshly built for each row, with the same prompts and the same tool. A hop
has {hop:g} s and the whole question {total:g} s. What can be imported and built beforehand is in nobody's time. The machine is
small and shared: tenths of a second say nothing.

## What each was given

**The raw SDK** asks one model with the SDK's defaults (two retries) and the total deadline as its timeout. It has nowhere else to
go, and shows what a caller without a fallback sees.

**pydantic-ai's FallbackModel** has retries off, `request_timeout` and `first_event_timeout`, and falls back on every exception, on
refusals, on cut-offs, and on what a response handler rejects that we wrote for it and that knows our schema. Its documentation says
that response handlers do not see streams.

**LiteLLM Router** has `num_retries=0` (its retries come before the fallback), fallbacks for errors, context windows and content
policies, `timeout` and `stream_timeout`, cooldown after the first failure, continuation in mid-stream, and a guardrail that we
wrote for it and that checks the same schema.

**Backstop** has its defaults, with `stream = true` in the rows of streams, and without the rules that answer when no model does.

So handler and guardrail are as strict as Backstop is: where those two are green in the rows about replies, they are so with code
that Backstop does not ask anybody to write; the second table has the same rows without it. Where Backstop asks a model twice, the
fault is one that may pass by itself (a 5xx, a broken connection), and the wait in between is in the seconds. In the row of the dead
hop, ten questions are asked one after the other: it should cost the first one, not all.

## OpenAI's wire

{openai}

{reached}

### Without the code that was written for them

The rows about replies again: FallbackModel without the response handler, LiteLLM Router without the guardrail, all else the same.

{unguarded}

{unguarded_reached}

## Backstop on the other wires

The same faults as Anthropic's Messages and Bedrock's Converse have them. `n/a`: the wire has no such thing. Streams are measured
on OpenAI's wire; of Bedrock, Backstop asks for none.

{others}

{verdict}

## What this does not show

The faults are our emulator's, not a provider's; each lasts as long as its row; the second model is always well. It says nothing
about quality, price or load, and nothing about the many things that LiteLLM does and Backstop does not. What a call costs in CPU
is measured by `bench/models.py`.
"""


def page(day: str, versions: Mapping[str, str], task: Task, tables: Tables, wrong: Sequence[str]) -> str:
    """The whole page. `wrong` is what was wrong with Backstop's cells, in words."""
    verdict = "Backstop is green in every row, in time, and asked no model more often than it says."
    if wrong:
        verdict = "Backstop was not as it should be:\n\n" + "\n".join(f"- {words}" for words in wrong)
    return _PAGE.format(
        day=day,
        versions=", ".join(f"{name} {version}" for name, version in versions.items()),
        cut_off=task.cut_off_seconds,
        hop=task.hop_seconds,
        total=task.total_seconds,
        verdict=verdict,
        **tables.texts(),
    )
