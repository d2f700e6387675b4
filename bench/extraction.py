"""How long extraction takes, in CPU time: typical replies, and hostile ones of growing length.

    .venv/bin/python bench/extraction.py

A typical reply is the emulator's diagnosis of a bad release, with enough claims for 2 kB. Aims: exact and fenced at most 200 µs;
hostile input at most 2 s; twice the hostile input about twice the time. What is longer than `MAX_CHARS` is refused unread.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from backstop.emulator.diagnoser import diagnose
from backstop.errors import ExtractionRefused
from backstop.models.extraction import MAX_CHARS, extract
from backstop.models.lenient import MAX_DEPTH
from backstop.records import Diagnosis

EVIDENCE: Final = Path(__file__).parents[1] / "tests" / "emulator" / "evidence" / "bad_release.json"
TOOL: Final = "submit_diagnosis"
ROUNDS: Final = 1000
HOSTILE_ROUNDS: Final = 5
KIB: Final = (32, 64, 128, 256)

HOSTILE: Final = {
    "open braces": "{",
    "open lists in an object": '{"a":[',
    "closing, opening": "}{",
    "empty objects": "{}",
    "small objects": '{"a":1}',
    "small lenient objects": "{a:'b',}",
    "braces that are prose": "{a b}",
    "prose braces, unclosed": "{ a ",
    "prose with spaces before no colon": "{ a" + " " * 90,
    "quoted braces": '{"',
    "single-quoted braces": "{'",
    "both quotes": "{\"'",
    "escapes": '{"\\',
    "keys": '{"a":',
    "bare keys": "{a:",
    "names": "{a",
    "unclosed comments": "{/*",
    "line comments": "{//",
    "hash comments": "{#",
    "slashes": "{/",
    "open reasoning": "<think>",
    "nearly open reasoning": "<think ",
    "closed reasoning": "<think></think>",
    "lone closing tags": "</think>",
    "fences": "```json\n",
    "fences with braces": "```json\n{",
    "fences around objects": "```json\n{}\n```\n",
    "long fences": "`",
    "fences and spaces": "```" + " " * 90 + "\n" * 90,
    "lists": "[{",
    "commas": "},",
    "backslashes": "\\",
    "line ends": "\n",
    "spaces": " ",
    "spaces in braces": "{" + " " * 100,
}
"""A unit that is repeated up to the length."""

LONG: Final = {
    "one long string": ('{"a":"', "x", '"}'),
    "one long single-quoted string": ("{'a':'", '"', "'}"),
    "raw newlines": ('{"a":"', "\n", '"}'),
    "one long list": ('{"a":[', "1,", "]}"),
    "one long list that is no list of claims": ('{"claims":[', "{},", "]}"),
    "one long comment": ("{/*", "*", "*/}"),
    "many comments": ("{", "/**/", "}"),
    "comments that nearly end": ("{", "/* * /", "}"),
    "one long number": ('{"a":', "1", "}"),
    "one long name": ("{", "a", ":1}"),
    "many keys": ("{", '"a":1,', "}"),
    "as deep as may be": ('{"a":' + "[" * (MAX_DEPTH - 2), "[],", "]" * (MAX_DEPTH - 2) + "}"),
    "many objects in a list": ('{"a":[', "{a:'b'},", "]}"),
}
"""What it starts with, what is repeated, what it ends with."""


def typical() -> dict[str, Any]:
    """A diagnosis of about 2 kB."""
    diagnosis: dict[str, Any] = diagnose(json.loads(EVIDENCE.read_text()))
    claims = diagnosis["claims"]
    while len(json.dumps(diagnosis, indent=2)) < 2000:
        diagnosis["claims"] = [*diagnosis["claims"], claims[0]]
    return diagnosis


def replies(diagnosis: dict[str, Any]) -> dict[str, str]:
    """The same diagnosis as models print it."""
    plain, pretty = json.dumps(diagnosis), json.dumps(diagnosis, indent=2)
    envelope = {"name": TOOL, "arguments": diagnosis}
    return {
        "exact": plain,
        "exact, indented": pretty,
        "fenced": f"Here is what I found:\n\n```json\n{pretty}\n```\n",
        "in prose": f"The diagnosis is {plain} as far as I can see.",
        "behind reasoning": f"<think>{'Perhaps the release. ' * 50}</think>\n{plain}",
        "Python's repr": repr(diagnosis),
        "trailing commas": pretty.replace("\n}", ",\n}"),
        "in an envelope": json.dumps(envelope),
        "in an envelope, as a string": json.dumps(envelope | {"arguments": plain}),
    }


def median_us(work: Callable[[], object], rounds: int) -> float:
    """Microseconds of CPU, half of the rounds being faster."""
    times = []
    for _ in range(rounds):
        started = time.process_time_ns()
        work()
        times.append(time.process_time_ns() - started)
    return statistics.median(times) / 1000


def verdict(text: str) -> str:
    try:
        return extract(text, Diagnosis, tool=TOOL).how
    except ExtractionRefused as refused:
        return refused.verdict


def hostile(name: str, chars: int) -> str:
    if name in HOSTILE:
        unit = HOSTILE[name]
        return (unit * (chars // len(unit) + 1))[:chars]
    first, unit, last = LONG[name]
    return first + unit * ((chars - len(first) - len(last)) // len(unit)) + last


def main() -> None:
    print(f"{'typical reply':<42}{'chars':>8}{'read as':>16}{'median':>12}")
    for name, text in replies(typical()).items():
        took = median_us(lambda text=text: verdict(text), ROUNDS)  # type: ignore[misc]
        print(f"{name:<42}{len(text):>8}{verdict(text):>16}{took:>9.0f} µs")
    print(f"\n{'hostile reply, ms at':<42}" + "".join(f"{kib:>5} KiB" for kib in KIB) + f"{'x2':>7}  verdict at {KIB[-1]} KiB")
    worst = 0.0
    for name in (*HOSTILE, *LONG):
        texts = [hostile(name, kib * 1024) for kib in KIB]
        times = [median_us(lambda text=text: verdict(text), HOSTILE_ROUNDS) / 1000 for text in texts]  # type: ignore[misc]
        growth = (times[-1] / times[0]) ** (1 / (len(KIB) - 1))  # of each doubling, on average
        worst = max(worst, *times)
        print(f"{name:<42}" + "".join(f"{took:>9.2f}" for took in times) + f"{growth:>7.2f}  {verdict(texts[-1])}")
    too_long = hostile("keys", MAX_CHARS + 1) * 4
    print(f"\nworst: {worst:.0f} ms. {len(too_long) // 1024} KiB: {median_us(lambda: verdict(too_long), ROUNDS):.0f} µs, too_long")


if __name__ == "__main__":
    main()
