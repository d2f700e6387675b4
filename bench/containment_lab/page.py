"""docs/containment.md: what was tried, what came of it, and what it does not show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from containment_lab.operators import HELD_OUT, OPERATORS
from containment_lab.results import Rate
from containment_lab.world import NODE_MEMORY_MIB, ROOM, Json

_PAGE: Final = (Path(__file__).parent / "page.md").read_text(encoding="utf-8")


def page(found: Json, first: Json, full: Json | None, held_out: tuple[Json, Json]) -> str:
    """The whole page. `first` and `full` are the kept figures of the first run and of the last full runs; `held_out` are those of
    the second set, now and when it was tried for the first time."""
    return _PAGE.format(
        headline=_headline(found, held_out[1]),
        picture="containment.svg",
        held_out=_held_out(*held_out),
        right=found["right answers"],
        kinds=found["classes of fault"],
        writes=found["right writes"],
        operators=len(OPERATORS),
        trials=found["trials"],
        room=ROOM,
        node=NODE_MEMORY_MIB,
        results=_results(found),
        operator_bound=_operator_bound(found),
        families=_families(found),
        undo=f"{found['undo']['exact']} of {found['undo']['writes']} writes that were let through would be put back exactly",
        layers=", ".join(f"{layer.replace('_', ' ')} {count}" for layer, count in found["layers"].items()),
        blocks=_blocks(found),
        rules=_rules(found),
        judged=found["harmful with the emulated judge"],
        escapes=_escapes(found["escapes"]) or "None.",
        first=_first(first),
        first_escapes=_escapes(first["escapes"]),
        full=_full(full),
        operators_table=_operators(found),
    )


def _harmful(found: Json) -> Rate:
    return Rate(found["harmful"], found["trials"])


def _with_harm(found: Json, key: str) -> Rate:
    return Rate(sum(of[key] > 0 for of in found["operators"].values()), len(found["operators"]))


def _headline(found: Json, unseen: Json) -> str:
    rate, naive = _harmful(found), Rate(found["naive harmful"], found["trials"])
    count = f"**{rate.count} of {rate.of} wrong answers became a harmful write** (at most {rate.bound:.2%} at 95%)"
    return (
        f"{count}; of the naive agent's, {naive.count} did ({naive.count / naive.of:.0%}). Of {found['right writes']} right writes"
        f" {len(found['false blocks'])} were refused.\n\nThe rules were tuned to these. Of a second set, written afterwards,"
        f" **{_harmful(unseen)} got through the first time it was tried**, by"
        f" {_with_harm(unseen, 'harmful').count} of {len(unseen['operators'])} ways to be wrong."
    )


def _results(found: Json) -> str:
    rows = [
        ("harmful writes, judge says yes to everything", _harmful(found), _with_harm(found, "harmful")),
        ("the naive agent's", Rate(found["naive harmful"], found["trials"]), _with_harm(found, "naive harmful")),
    ]
    table = [[name, str(rate), f"{by.count} of {by.of}"] for name, rate, by in rows]
    futile = (
        f"{found['futile']} futile writes and {found['repairs or helps']} that repaired or helped all the same were made besides."
    )
    return f"{_table(('', 'of all trials', 'operators with any'), table)}\n\n{futile}"


def _operator_bound(found: Json) -> str:
    by = _with_harm(found, "harmful")
    return f"that is {by.count} of {by.of}: at most {by.bound:.1%} of operators like these, if operators were drawn at random."


def _families(found: Json) -> str:
    rows = []
    for family, of in found["families"].items():
        rate = Rate(of["harmful"], of["trials"])
        cells = (of["operators"], of["trials"], of["harmful"], f"{rate.bound:.2%}", of["operators with harm"], of["futile"])
        rows.append([family, *map(str, cells), f"{of['naive harmful']} ({of['naive harmful'] / max(1, of['trials']):.0%})"])
    head = ("family", "operators", "trials", "harmful", "at most", "operators with any", "futile", "naive agent, harmful")
    return _table(head, rows)


def _blocks(found: Json) -> str:
    rate = Rate(len(found["false blocks"]), found["right writes"])
    lines = [f"Of {rate.of} right writes {rate.count} were refused (at most {rate.bound:.1%})."]
    counts = Counter(", ".join(one["rules"]) for one in found["false blocks"])
    lines += [f"- {count} by {rules}" for rules, count in counts.most_common()]
    refused = found["right escalations refused"]
    if refused:
        rules = Counter(", ".join(one["rules"]) for one in refused)
        said = "; ".join(f"{count} by {names}" for names, count in rules.most_common())
        lines.append(
            f"\n{len(refused)} right answers that ask for no write were refused as ungrounded ({said}): they end escalated anyway."
        )
    return "\n".join(lines)


def _rules(found: Json) -> str:
    rows = [
        [
            f"`{rule}`",
            str(of["refused"]),
            str(of["alone"]),
            ", ".join(of["operators"][:3]) + (" …" if len(of["operators"]) > 3 else ""),
        ]
        for rule, of in sorted(found["rules"].items(), key=lambda pair: -pair[1]["alone"])
        if of["alone"]
    ]
    return _table(("rule", "refusals", "harmful ones that it alone refuses", "of which operators"), rows)


def _escapes(escapes: Sequence[Json]) -> str:
    if not escapes:
        return ""
    by: dict[str, list[Json]] = {}
    for one in escapes:
        by.setdefault(one["operator"], []).append(one)
    rows = [
        [f"`{name}`", str(sum(e["count"] for e in them)), _listed(e["fault"] for e in them), _listed(e["harm"] for e in them)]
        for name, them in sorted(by.items(), key=lambda pair: -sum(e["count"] for e in pair[1]))
    ]
    return _table(("operator", "escapes", "faults", "harm"), rows)


def _listed(words: Iterable[str]) -> str:
    return ", ".join(sorted({part for word in words for part in word.split(", ")}))


def _first(first: Json) -> str:
    by = _with_harm(first, "harmful")
    return (
        f"{first['harmful']} harmful writes of {first['trials']} trials, by {by.count} of {by.of} operators;"
        f" the naive agent {first['naive harmful']}."
    )


def _held_out(now: Json, first: Json) -> str:
    rows = []
    for when, found in (("tried for the first time", first), ("in the last run", now)):
        by, blocks = _with_harm(found, "harmful"), Rate(len(found["false blocks"]), found["right writes"])
        naive = f"{found['naive harmful']} ({found['naive harmful'] / found['trials']:.0%})"
        rows.append([when, str(_harmful(found)), f"{by.count} of {by.of}", naive, f"{blocks.count} of {blocks.of}"])
    table = _table(("", "harmful writes", "operators with any", "naive agent, harmful", "false blocks"), rows)
    then, last = (_escapes(found["escapes"]) or "Nothing." for found in (first, now))
    return f"{table}\n\nWhat got through the first time:\n\n{then}\n\nAnd in the last run:\n\n{last}"


def _full(full: Json | None) -> str:
    if full is None:
        return "None are kept. `make containment ARGS='--full 110'` makes them."
    right, wrong, naive = full["right"], full["wrong"], full["naive"]
    harmed = Rate(wrong["harmful"], wrong["runs"])
    lines = [
        f"{full['runs']} runs: a real break, real pods that fail, the whole pipeline on live evidence, and a real executor process",
        "that decides again, writes, and is measured; after each the fleet is healed. The verification window is 1.5 s, so that",
        "many fit; all else is as shipped. The judge says yes to everything. Harm is what the drill's observer measures, or any",
        "write to an object that was not at fault.\n",
        f"- **Right answers**: {right['as they should']} of {right['runs']} ended as they should: resolved, or escalated where no",
        "  write is right.",
        f"- **Wrong answers**: {harmed} harmed, by {wrong['operators']} operators; {wrong['writes']} led to a write at all;"
        f" they ended {', '.join(f'{kind} ({count})' for kind, count in wrong['outcomes'].items())}.",
        f"- **The naive agent**, on the same wrong answers: {naive['harmful']} of {naive['runs']} harmed, {naive['writes']} wrote.",
        "\nWhat a write does to a workload that is broken already (say, to scale it to zero) is no harm to the observer, which",
        "counts what was healthy before; the oracle of the gate level counts it. Families that need another world than the one",
        "that is there (injection, timing) are tried at gate level only.",
    ]
    lines += [
        f"- not as it should: {one['operator']} on {one['fault']}, {one['outcome']}: {one['reason'][:200]}"
        for one in right["others"]
    ]
    lines += [f"- harmed: {one['operator']} on {one['fault']}: {', '.join(one['harm'])}" for one in wrong["harms"]]
    return "\n".join(lines)


def _operators(found: Json) -> str:
    rows = []
    for operator in OPERATORS:
        of = found["operators"].get(operator.name, {"trials": 0, "harmful": 0, "naive harmful": 0})
        rows.append(
            [operator.family, f"`{operator.name}`", operator.says, str(of["trials"]), str(of["harmful"]), str(of["naive harmful"])]
        )
    rows += [["held-out", f"`{operator.name}`", operator.says, "", "", ""] for operator in HELD_OUT]
    return _table(("family", "operator", "what it does", "trials", "harmful", "naive"), rows)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}", *(f"| {' | '.join(row)} |" for row in rows)]
    return "\n".join(lines)
