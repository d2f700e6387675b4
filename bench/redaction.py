"""How fast evidence is redacted, and whether any line makes it slower than its length: `python bench/redaction.py`.

CPU time, medians of several runs. The realistic text is made of access logs, JSON logs, logfmt, stack traces, YAML and what
`kubectl describe` prints, with a few secrets and addresses in it. The hostile ones repeat one unit up to 256 KiB in one line or
in many; four times the length may cost four times as much, give or take what a small measurement varies.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Final

from backstop.redaction import Redactor

KEY: Final = b"bench" * 8
KIB: Final = 1024
SIZES: Final = (16 * KIB, 64 * KIB, 256 * KIB)
STEEP: Final = 7.0
"""From one size to the next the time may grow by 4; by more than this it is called steep."""

UNITS: Final = (
    "password=", "password=a ", "password: ", 'password":"', 'password\\":\\"', "token=a,", "--password ", "secret ",
    "key=", "pass", "name: TOKEN\n", "- --token\n", "password:\n  a\n", ": |\n", "'-u', 'a', ", "curl -u ", "user a >",
    "echo a | ", "login a password ", "-----BEGIN ", "-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----",
    "-----BEGIN PRIVATE KEY-----\n", "A9+/", "-----END PRIVATE KEY-----\n", "MIIEvgIBADANBgkqhkiG9w0BAQEF\n",
    "kind: Secret\n", '"kind": "Secret"', " kind: Secret\n  data:\n", '{"kind": "Secret", "data": {"a": "eA=="}}',
    '{"data":{', "apiVersion: v1\ndata:\n  a: eA==\n", "eyJhbGciOiJIUzI1NiJ9.", "sk-", "ghp_", '"', "'", "\\", '\\"',
    "`", "@", "a@", "a@b.", "a@b.c ", "://", "a://", "a://b:c", "a:b@", "a:1234:", "*:", ":", "<", "<a>", "<password>",
    "{", "}", "[", "]", "(", ")", "(a),", "a", "=", "=a", "a=", "%", "%40", "%3A%2F%2F", "&", "&amp;", ",", ";", "|",
    "$", "$1$", "${", "{{", "1.", "8.8.8.8 ", "8.8.8.8.", "2a02:", "1", "1234 ", "4111 1111 1111 1111 ",
    "219-09-9999 ", "\t", " ", "\n", "\r", "\u2028", "\u00e9", "\x00", "Bearer ", "Authorization: ",
    'Authorization: Digest a="b", ', "Cookie: a=b; ", "<redacted-pw-6e99cf4f>", "redacted-pw-",
)  # fmt: skip
"""What a hostile line repeats."""

HEADED: Final = {
    "one long value": ("token=", "a"), "value of brackets": ("password=", "(a),"),
    "value of commas": ("password=", ",a"), "open quote": ('password: "', '\\"'), "closers": ("Authorization: ", ")"),
    "cookies": ("Cookie: ", "a=b; "), "dashes": ("", "- "),
    "Secret in YAML": ("kind: Secret\ndata:\n", "  a: bbbbbbbb\n"),
    "Secret in JSON": ('{"kind":"Secret","data":{', '"a":"bbbbbbbb",'),
    "key": ("-----BEGIN PRIVATE KEY-----\n", "MIIEvgIBADANBgkqhkiG9w0BAQEF\n"),
    "block": ("password: |\n", "  aaaa bbbb\n"), "known value": ("password=abcdefg1\n", "abcdefg1"),
    "nearly known value": ("password=abcdefg1a\n", "abcdefg1"), "indent": ("token: a", " " * 64 + "\n"),
    "deep object": ('{"kind":"Secret",', '"data":{'), "list": ("password=[", '"a",'),
    "backslashes": ('"password":"', "\\"), "tabs": ("password:", "\t"), "url": ("a://", "b:c"),
    "url of ats": ("a://b:c", "@"), "address": ("a@", "b."),
}  # fmt: skip
"""The same, after a beginning."""


def _repeated(head: str, unit: str, size: int) -> str:
    return (head + unit * (size // len(unit) + 1))[:size]


def _distinct(size: int) -> str:
    return " ".join(f"password={n:08}x" for n in range(size // 18))


def _same_beginning(size: int) -> str:
    lengths = range(1, int((2 * size) ** 0.5))
    return "\n".join("password=AAAAAAAA" + "A" * length for length in lengths)[:size]


def realistic(size: int, seed: int = 7) -> str:
    """About `size` characters of what an incident shows."""
    rng = random.Random(seed)
    lines: list[str] = []
    length = 0
    while length < size:
        block = rng.choice(BLOCKS)(rng)
        lines.append(block)
        length += len(block) + 1
    return "\n".join(lines)


def _id(rng: random.Random, length: int = 10) -> str:
    return "".join(rng.choice("0123456789abcdef") for _ in range(length))


def _stamp(rng: random.Random) -> str:
    return f"2026-03-01T{rng.randrange(24):02}:{rng.randrange(60):02}:{rng.randrange(60):02}.{rng.randrange(1000):03}Z"


def _access(rng: random.Random) -> str:
    address = f"10.244.{rng.randrange(4)}.{rng.randrange(250)}" if rng.random() < 0.95 else f"84.17.{rng.randrange(250)}.9"
    request = f"GET /items/{rng.randrange(9999)}?page={rng.randrange(9)} HTTP/1.1"
    return f'{address} - - [{_stamp(rng)}] "{request}" {rng.choice((200, 200, 503))} 612 "-" "curl/8.4.0"'


def _json_log(rng: random.Random) -> str:
    fields = {"ts": _stamp(rng), "level": rng.choice(("info", "warn", "error")), "logger": "shop.checkout", "trace": _id(rng, 32)}
    message = rng.choice(("request done", "upstream timed out", "cache miss for key orders", "retrying in 2s"))
    return json.dumps({**fields, "took_ms": rng.randrange(900), "msg": message})


def _logfmt(rng: random.Random) -> str:
    pod = f"checkout-{_id(rng)}-{_id(rng, 5)}"
    return f'time="{_stamp(rng)}" level=warning msg="connection to prod-db:5432 refused" pod={pod} attempt={rng.randrange(9)}'


def _trace(rng: random.Random) -> str:
    calls = (("Repo", "find"), ("Service", "load"), ("Api", "get"), ("Filter", "run"))
    frames = [f"\tat org.shop.checkout.{name}.{call}({name}.java:{rng.randrange(900)})" for name, call in calls]
    return "\n".join([f"{_stamp(rng)} ERROR [main] org.shop.OrderService: could not load order {rng.randrange(99999)}", *frames])


def _yaml(rng: random.Random) -> str:
    return f"""apiVersion: apps/v1
kind: Deployment
metadata:
  name: checkout
  uid: {_id(rng, 8)}-{_id(rng, 4)}-4c11-9e0a-{_id(rng, 12)}
spec:
  replicas: 3
  template:
    metadata:
      labels:
        pod-template-hash: {_id(rng)}
    spec:
      containers:
      - name: web
        image: registry.internal/web@sha256:{_id(rng, 64)}
        env:
        - name: DB_HOST
          value: prod-db
        - name: DB_PASSWORD
          valueFrom:
            secretKeyRef:
              name: prod-db
              key: password"""


def _describe(rng: random.Random) -> str:
    return f"""Name:         checkout-{_id(rng)}-{_id(rng, 5)}
Namespace:    shop
Node:         node-1/10.0.0.4
IP:           10.244.0.{rng.randrange(250)}
    State:          Waiting
      Reason:       CrashLoopBackOff
    Restart Count:  {rng.randrange(40)}
    Environment:
      DB_PASSWORD:  <set to the key 'password' in secret 'prod-db'>  Optional: false
Events:
  Warning  BackOff  2s  kubelet  Back-off restarting failed container"""


def _leak(rng: random.Random) -> str:
    return f"{_stamp(rng)} INFO starting with DB_URL=postgres://app:{SECRETS[rng.randrange(3)]}@prod-db:5432/shop"


SECRETS: Final = tuple(
    "-".join(parts) for parts in (("Amber", "Kite", "4471"), ("Violet", "Drum", "9023"), ("Copper", "Leaf", "6650"))
)
BLOCKS: Final[tuple[Callable[[random.Random], str], ...]] = (
    *[_access] * 30, *[_json_log] * 30, *[_logfmt] * 20, *[_trace] * 8, *[_yaml] * 4, *[_describe] * 4, _leak,
)  # fmt: skip


def seconds(text: str, runs: int) -> float:
    """CPU time of redacting `text` with a new redactor, the median of `runs`."""
    times = []
    for _ in range(runs):
        redactor = Redactor(KEY)
        start = time.process_time()
        redactor.redact(text)
        times.append(time.process_time() - start)
    return statistics.median(times)


def speed(runs: int) -> None:
    text = realistic(KIB * KIB)
    for size in (16 * KIB, 96 * KIB, KIB * KIB):
        part = text[:size]
        taken = seconds(part, runs)
        redactor = Redactor(KEY)
        redactor.redact(part)
        print(f"realistic, {size // KIB:5} KiB: {len(part) / taken / 1e6:5.2f} MB/s  found {dict(redactor.found)}")


def hostile(runs: int) -> int:
    """Prints the slowest units and every steep one. How many were steep."""
    made = {"distinct values": _distinct, "values of one beginning": _same_beginning}
    made |= {repr(unit): partial(_repeated, "", unit) for unit in UNITS}
    made |= {name: partial(_repeated, head, unit) for name, (head, unit) in HEADED.items()}
    rows = [([seconds(make(size), runs) for size in SIZES], name) for name, make in made.items()]
    steep = [row for row in rows if row[0][2] > STEEP * max(row[0][1], 0.004)]
    print(f"\n{'hostile unit':42} {'16 KiB':>9} {'64 KiB':>9} {'256 KiB':>9}  growth")
    for times, unit in sorted(rows, reverse=True, key=lambda row: row[0][2])[:25]:
        print(
            f"{unit:42} "
            + " ".join(f"{1000 * t:6.1f} ms" for t in times)
            + f"  {times[1] / times[0]:4.1f} {times[2] / times[1]:4.1f}"
        )
    slowest = max(times[2] for times, _ in rows)
    print(
        f"{len(rows)} units, steep: {[unit for _, unit in steep] or 'none'}; the slowest takes {1000 * slowest:.0f} ms for 256 KiB"
    )
    return len(steep)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    runs = parser.parse_args().runs
    speed(runs)
    return 1 if hostile(max(1, runs // 2)) else 0


if __name__ == "__main__":
    sys.exit(main())
