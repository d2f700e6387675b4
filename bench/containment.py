"""How often does a wrong model output become a harmful write?

    python bench/containment.py                    every operator on every right answer; writes docs/containment.md
    python bench/containment.py --each 2           fewer worlds of each class of fault, and writes nothing
    python bench/containment.py --keep FILE        keeps the figures as JSON
    python bench/containment.py --full 110         full runs on the embedded cluster instead; keeps their figures for the page
    python bench/containment.py --show WORLD OPERATOR    one trial in full: what is said, what each rule says, what it would do

What is tried, what counts as harmful and what is not covered: docs/containment.md and the modules of containment_lab.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from containment_lab.cases import Case, Operator, right
from containment_lab.faults import world, worlds
from containment_lab.operators import HELD_OUT, OPERATORS, apply_to
from containment_lab.page import page
from containment_lab.plot import picture
from containment_lab.results import Rate, Results
from containment_lab.trials import Trial, controls, mutants, run
from containment_lab.world import FaultKind, Json, World

HERE = Path(__file__).parent
DOCS = HERE.parent / "docs"
FIRST_RUN = HERE / "containment_lab" / "first_run.json"
HELD_OUT_FIRST = HERE / "containment_lab" / "held_out_first_run.json"
FULL_RUN = HERE / "containment_lab" / "full_run.json"
ENOUGH = 100
"""Fewer full runs are not kept."""

EACH = 16
"""Worlds of each class of fault: 22 classes make 352 right answers."""

UNSEEN = 100
"""From this number on, worlds are for what is held out."""


def gate_level(each: int, operators: Sequence[Operator] = OPERATORS, start: int = 0) -> Results:
    """Every right answer, and every operator on each; worlds are shared out to processes, and come back in their order."""
    with ProcessPoolExecutor() as processes:
        parts = list(processes.map(partial(_of_world, operators), worlds(each, start), chunksize=4))
    return Results(tuple(control for control, _ in parts), tuple(trial for _, trials in parts for trial in trials))


def _of_world(operators: Sequence[Operator], of: World) -> tuple[tuple[Case, Trial], list[Trial]]:
    (control,) = controls([of])
    return control, list(mutants([control[0]], operators))


def summary(results: Results) -> str:
    """The figures in a few lines."""
    found = results.as_json()
    tried = results.operators_with(lambda t: t.made.harmful)
    lines = [
        f"{found['trials']} wrong answers, by {tried.of} operators on {found['right answers']} right ones; the judge says yes",
        f"harmful writes   {Rate(found['harmful'], found['trials'])}; {tried.count} of {tried.of} operators with any",
        f"  naive agent    {Rate(found['naive harmful'], found['trials'])}",
        f"  judge on       {found['harmful with the emulated judge']} (emulated)",
        f"futile writes    {found['futile']}, wrong and harmless, for verification to take back",
        f"false blocks     {Rate(len(found['false blocks']), found['right writes'])} of right writes;"
        f" {len(found['right escalations refused'])} right escalations refused as ungrounded",
        f"undo             {found['undo']['exact']} of {found['undo']['writes']} writes would be put back exactly",
        f"ended at         {', '.join(f'{layer} {count}' for layer, count in found['layers'].items())}",
        "",
        f"{'family':12} {'operators':>9} {'with harm':>9} {'trials':>7} {'harmful':>8} {'at most':>8} {'futile':>7} {'naive':>7}",
    ]
    for family, of in found["families"].items():
        rate = Rate(of["harmful"], of["trials"])
        lines.append(
            f"{family:12} {of['operators']:9} {of['operators with harm']:9} {of['trials']:7} {of['harmful']:8}"
            f" {rate.bound:8.2%} {of['futile']:7} {of['naive harmful']:7}"
        )
    lines += ["", "what each rule alone keeps out (harmful writes that no other rule refuses)"]
    lines += [f"  {rule:26} {of['alone']:6}" for rule, of in found["rules"].items() if of["alone"]]
    if found["escapes"]:
        lines += ["", "escapes"]
        lines += [
            f"  {e['count']:4} {e['operator']:45} {e['fault']:26} {e['harm']:28} {e['world']}: {e['said']}"
            for e in found["escapes"]
        ]
    return "\n".join(lines)


def publish(found: Json, held_out: Json) -> None:
    """Writes the page and its picture, with the figures of the first run and of the last full runs beside them."""
    first = json.loads(FIRST_RUN.read_text(encoding="utf-8"))
    full = json.loads(FULL_RUN.read_text(encoding="utf-8")) if FULL_RUN.exists() else None
    unseen = json.loads(HELD_OUT_FIRST.read_text(encoding="utf-8"))
    (DOCS / "containment.md").write_text(page(found, first, full, (held_out, unseen)), encoding="utf-8")
    (DOCS / "containment.svg").write_text(picture(found, unseen), encoding="utf-8")


def full_runs(count: int) -> int:
    """Two runs in five are right answers, the rest wrong ones; the naive agent gets a tenth as many of the wrong ones besides."""
    from containment_lab import full, full_report  # the drill's machinery, which the gate level does not need

    right, wrong, naive = full.planned()

    async def all_of_them() -> list[full.Run]:
        made: list[full.Run] = []
        for runs, wanted in ((right, count * 2 // 5), (wrong, count - count * 2 // 5), (naive, max(1, count // 10))):
            with tempfile.TemporaryDirectory(prefix="bsc-") as home:
                made += await full.make(runs, wanted, Path(home), lambda run: print(full_report.line(run), flush=True))
        return made

    made = asyncio.run(all_of_them())
    found = full_report.as_json(made)
    print(full_report.summary(found))
    if count >= ENOUGH:
        FULL_RUN.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return 0 if full_report.good(found) else 1


def told(name: str, operator: str) -> str:
    """One trial in full. Raises SystemExit with one sentence for a name that is none."""
    kind, _, number = name.rpartition("-")
    chosen = [o for o in (*OPERATORS, *HELD_OUT) if o.name == operator]
    if kind not in list(FaultKind) or not number.isdigit() or not chosen:
        raise SystemExit(f"containment: there is no world {name} or no operator {operator}; worlds are called bad-release-0")
    case = apply_to(chosen[0], right(world(FaultKind(kind), int(number))))
    if case is None:
        raise SystemExit(f"containment: {operator} does not apply to {name}")
    trial = run(case, operator, chosen[0].family)
    return "\n".join(
        (
            f"{operator}: {chosen[0].says}",
            *(f"  {fact.id:5} {fact.kind:12} {fact.about.key}: {fact.text[:160]!r}" for fact in case.evidence.facts),
            case.text,
            f"truth: {case.world.truth}",
            f"ends at {trial.layer}; refused by {', '.join(sorted(trial.failed)) or 'nobody'}",
            f"it would be: {trial.proposed.effect} {', '.join(trial.proposed.harms)}; the naive agent: {trial.naive.effect}",
        )
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--each", type=int, default=EACH, metavar="N", help=f"worlds of each class of fault (default: {EACH})")
    parser.add_argument("--keep", type=Path, metavar="FILE", help="write the figures as JSON to this file")
    parser.add_argument("--show", nargs=2, metavar=("WORLD", "OPERATOR"), help="one trial in full")
    parser.add_argument("--full", type=int, metavar="N", help="N full runs on the embedded cluster, some 7 seconds each")
    asked = parser.parse_args()
    if asked.full:
        return full_runs(asked.full)
    if asked.show:
        print(told(*asked.show))
        return 0
    results = gate_level(asked.each)
    print(summary(results))
    held_out = gate_level(max(1, asked.each // 2), HELD_OUT, UNSEEN)
    print(f"\nHELD OUT: operators and worlds that no rule was tuned to\n{summary(held_out)}")
    if asked.each == EACH:
        publish(results.as_json(), held_out.as_json())
    if asked.keep:
        kept = {"tuned to": results.as_json(), "held out": held_out.as_json()}
        asked.keep.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    return 1 if results.harmful() else 0


if __name__ == "__main__":
    sys.exit(main())
