"""`backstop doctor --probe` against a provider that is another process: who answers, who does not, why, and what to do."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstop.doctor.report import ModelEntry, Report
from backstop.doctor.scrubbing import Scrub
from backstop.doctor.sentences import MEANINGS, words_of
from backstop.models.outcomes import OUTCOMES
from tests.cli.doctoring import Desk, answering, emulator, entries
from tests.cli.processes import BACKSTOP

AWS = {"AWS_ACCESS_KEY_ID": "AKIATESTTESTTESTTEST", "AWS_SECRET_ACCESS_KEY": "not-a-real-secret-key"}
WIRES = {"o": "openai", "a": "anthropic", "b": "bedrock"}
SLOW = ("hang", "drip")
FAULTS = ("http_401", "http_403", "http_404", "http_429", "http_500", "quota", "hang", "html", "length", "reset")


def toml(root: str, models: list[str], judges: list[str]) -> str:
    """The three wires at one address, everybody priced, judges the cheapest."""
    tables = [
        f"model_chain = {json.dumps(models)}\njudge_models = {json.dumps(judges)}\n",
        f'[providers.o]\nkind = "openai"\nurl = "{root}/v1"\napi_key = "lane-doctor-o"\nsource = "emulated"\n',
        f'[providers.a]\nkind = "anthropic"\nurl = "{root}"\napi_key_env = "A_KEY"\nsource = "emulated"\n',
        f'[providers.b]\nkind = "bedrock"\nurl = "{root}"\nregion = "us-east-1"\nsource = "emulated"\n',
        f'[providers.lost]\nkind = "openai"\nurl = "{root}"\n',
        '[providers.nobody]\nkind = "openai"\nurl = "http://127.0.0.1:1/v1"\n',
    ]
    for name in dict.fromkeys((*models, *judges)):
        price = 1 if name in judges else 5
        tables.append(
            f'[models."{name}"]\nusd_per_million_input = {price}\nusd_per_million_output = {price}\n'
            f'family = "{"judging" if name in judges else "proposing"}"\n'
            + ("deadline_seconds = 1\n" if name.endswith(SLOW) else "")
        )
    return "".join(tables)


def asked(directory: Path, script: dict[str, Any], models: list[str], judges: list[str], *, code: int) -> Report:
    desk = Desk(directory)
    with emulator(script, directory) as root:
        desk.configure(toml(root, models, judges))
        return desk.report("--probe", code=code, A_KEY="lane-doctor-a", **AWS)


@pytest.fixture(scope="module")
def failing(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ModelEntry]:
    """Every fault on every wire, asked in one run, and a report that names each as wrong."""
    models = [*(f"{wire}:{fault}" for wire in WIRES for fault in FAULTS), "lost:any", "nobody:any"]
    script = {"models": {fault: [fault] for fault in FAULTS}}
    report = asked(tmp_path_factory.mktemp("failing"), script, models, ["o:fine"], code=1)
    for model in models:
        if not model.endswith(":length"):
            assert any(model in problem for problem in report.problems), model
    return entries(report)


def test_whoever_answers_is_told_with_seconds_tokens_and_cost(tmp_path: Path) -> None:
    """gpt-5 among them, of which the SDK has something to say to programmers."""
    report = asked(tmp_path, {}, ["o:gpt-5", "a:fine", "b:fine"], ["o:small"], code=0)
    assert report.problems == ()
    for entry in entries(report).values():
        assert entry.probe is not None
        assert (entry.probe.ok, entry.probe.outcome, entry.probe.source, entry.probe.sentence) == (True, "ok", "emulated", "")
        assert entry.probe.seconds > 0
        assert 0 < entry.probe.output_tokens <= 16
        price = entry.usd_per_million_input
        assert price is not None
        assert entry.probe.cost_usd == pytest.approx((entry.probe.input_tokens + entry.probe.output_tokens) * price / 1e6)


def test_the_page_says_who_answers_and_numbers_what_is_wrong(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    with emulator({"models": {"gone": ["http_404"]}}, tmp_path) as root:
        desk.configure(toml(root, ["o:fine", "o:gone"], ["o:small"]))
        ended = desk.doctor("--probe")
    assert ended.returncode == 1
    assert "answers in " in ended.stdout
    assert "tokens, $0.0000" in ended.stdout
    assert "[emulated]; judged by o:small" in ended.stdout
    assert ended.stdout.splitlines()[-2:] == [
        "One thing is wrong:",
        "  1  o:gone: no model is known there by the name gone; correct it in model_chain."
        " It says: HTTP 404: The model gone does not exist.",
    ]


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize(
    ("fault", "outcome", "said"),
    [
        ("http_401", "auth", "not let in: the key is wrong, or may not use the model; correct "),
        ("http_403", "auth", "not let in: the key is wrong, or may not use the model; correct "),
        ("http_404", "not_found", "no model is known there by the name http_404; correct it in model_chain. It says: HTTP 404: "),
        ("http_429", "rate_limited", "our rate is limited just now; try again later"),
        ("http_500", "server_error", "the provider has a fault of its own just now; try again later. It says: HTTP 500: "),
        ("quota", "quota", "no credit is left; look at the account behind "),
        ("hang", "timeout", "no whole answer came in time (no whole reply within 1.0 s); try again"),
        ("html", "malformed", "does not answer as a model does"),
        ("reset", "connection", "the connection broke"),
    ],
)
def test_each_failure_is_a_sentence_with_what_to_do(
    failing: dict[str, ModelEntry], wire: str, fault: str, outcome: str, said: str
) -> None:
    probe = failing[f"{wire}:{fault}"].probe
    assert probe is not None
    assert (probe.ok, probe.outcome) == (False, outcome)
    assert probe.source == "injected" or (fault in {"hang", "reset"} and probe.source == "emulated"), "no reply, no label"
    assert said in probe.sentence
    assert "model_name" not in probe.sentence, "the SDK's words about the provider's"
    assert "\n" not in probe.sentence


@pytest.mark.parametrize(
    ("wire", "place"),
    [("o", "the key of [providers.o]"), ("a", "A_KEY"), ("b", "the AWS credentials, which need bedrock:InvokeModel")],
)
def test_a_wrong_key_is_told_by_the_place_where_it_is_written(failing: dict[str, ModelEntry], wire: str, place: str) -> None:
    probe = failing[f"{wire}:http_401"].probe
    assert probe is not None
    assert f"correct {place}. It says: HTTP 40" in probe.sentence


def test_an_address_without_its_path_is_not_taken_for_an_unknown_model(failing: dict[str, ModelEntry]) -> None:
    probe = failing["lost:any"].probe
    assert probe is not None
    assert "there is nothing at http://127.0.0.1:" in probe.sentence
    assert "correct url of [providers.lost] (is /v1 missing" in probe.sentence


def test_where_nobody_listens_is_told_by_its_address(failing: dict[str, ModelEntry]) -> None:
    probe = failing["nobody:any"].probe
    assert probe is not None
    assert probe.sentence.startswith("nobody answers at http://127.0.0.1:1/v1 (")
    assert "correct url of [providers.nobody], or look at the network and the proxy" in probe.sentence


def test_a_model_that_was_stopped_at_the_limit_has_answered(failing: dict[str, ModelEntry]) -> None:
    for wire in WIRES:
        probe = failing[f"{wire}:length"].probe
        assert probe is not None
        assert (probe.ok, probe.outcome) == (True, "truncated")


class Echo(BaseHTTPRequestHandler):
    """A provider that repeats the key, as some do, so late in its sentence that whoever shortens it cuts the key in two."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        key = self.headers.get("x-api-key") or self.headers["Authorization"].removeprefix("Bearer ")
        message = f"wrong key {key} {'.' * (280 - len(key))}{key}"
        body = json.dumps({"error": {"message": message, "type": "x"}, "type": "error"}).encode()
        self.send_response(401)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.parametrize("arguments", [(), ("--json",)])
def test_a_key_that_the_provider_repeats_is_not_printed(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    desk = Desk(tmp_path)
    with answering(Echo) as root:
        desk.configure(toml(root, ["o:x", "a:x"], ["o:y"]))
        ended = desk.doctor("--probe", *arguments, A_KEY="secret-of-a-0123456789")
    assert "wrong key <hidden>" in ended.stdout
    assert "lane-d" not in ended.stdout
    assert "secret" not in ended.stdout


class Silent(BaseHTTPRequestHandler):
    """Hears, and says nothing."""

    asked = threading.Event()
    done = threading.Event()

    def do_POST(self) -> None:
        self.asked.set()
        self.done.wait(60)

    def log_message(self, *_: object) -> None:
        pass


class Counting(BaseHTTPRequestHandler):
    """Answers only when as many ask at the same time as there are models, and keeps what it was asked."""

    together = threading.Barrier(3, timeout=20)
    bodies: list[dict[str, Any]] = []  # noqa: RUF012  one server

    def do_POST(self) -> None:
        self.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.together.wait()
        message = {"role": "assistant", "content": "ok"}
        body = json.dumps(
            {
                "id": "1", "object": "chat.completion", "created": 1, "model": "m",
                "usage": {"prompt_tokens": 9, "completion_tokens": 1, "total_tokens": 10},
                "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
            }
        ).encode()  # fmt: skip
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def test_all_are_asked_at_once_one_tiny_question(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    Counting.bodies.clear()
    with answering(Counting) as root:
        desk.configure(toml(root, ["o:one", "o:two", "o:two"], ["o:judge"]))
        report = desk.report("--probe", code=0)
    assert {entry.model for entry in entries(report).values() if entry.probe and entry.probe.ok} == {"o:one", "o:two", "o:judge"}
    assert len(Counting.bodies) == 3, "nobody is asked twice"
    for body in Counting.bodies:
        assert body["max_tokens"] == 16
        assert body["messages"][-1]["content"] == "Answer with the word ok."
        assert "tools" not in body


def test_a_reply_that_drips_in_holds_nobody_up(tmp_path: Path) -> None:
    """On Bedrock's wire the thread that reads it would take ten minutes."""
    desk = Desk(tmp_path)
    with emulator({"models": {"drip": [{"do": "drip", "seconds_per_byte": 5}]}}, tmp_path) as root:
        desk.configure(toml(root, ["b:drip"], ["o:small"]))
        probe = entries(desk.report("--probe", code=1, **AWS))["b:drip"].probe
    assert probe is not None
    assert probe.outcome == "timeout"


def test_an_interrupt_ends_it_at_once_with_one_line(tmp_path: Path) -> None:
    Silent.asked.clear()
    with answering(Silent) as root:
        Desk(tmp_path).configure(toml(root, ["o:x"], ["o:y"]))
        process = subprocess.Popen(
            [BACKSTOP, "doctor", "--probe"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path
        )
        assert Silent.asked.wait(60)
        process.send_signal(signal.SIGINT)
        said, complaint = process.communicate(timeout=15)
        Silent.done.set()
    assert (process.returncode, said, complaint) == (130, "", "backstop: interrupted; nothing was changed\n")


def test_nobody_is_asked_without_the_option(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    Counting.bodies.clear()
    with answering(Counting) as root:
        desk.configure(toml(root, ["o:one"], ["o:judge"]))
        report = desk.report(code=0)
    assert all(entry.probe is None for entry in entries(report).values())
    assert Counting.bodies == []


def test_aws_that_cannot_be_set_up_is_one_sentence_for_all_its_models(tmp_path: Path) -> None:
    report = Desk(tmp_path).report("--probe", code=1, AWS_REGION="us-east-1", AWS_PROFILE="nobody")
    (problem,) = report.problems
    assert problem.startswith("claude-sonnet-5-5, llama-3.3-70b, nova-pro, claude-haiku-4-5, nova-lite, llama-3.1-8b: ")
    assert problem.endswith("The config profile (nobody) could not be found; correct the AWS configuration")


def test_every_outcome_of_a_plain_question_has_a_sentence() -> None:
    impossible = {
        "ok",
        "schema_invalid",
        "ambiguous",
        "loop_cap",
        "call_cap",
        "unpriced",
        "withheld",
        "skipped",
        "cancelled",
        "error",
    }
    assert set(OUTCOMES) - impossible <= set(MEANINGS)


@given(before=st.text(max_size=40), after=st.text(max_size=40), key=st.from_regex(r"[a-zA-Z0-9_-]{8,40}", fullmatch=True))
def test_a_known_key_is_in_no_text(before: str, after: str, key: str) -> None:
    scrub = Scrub((key,))
    assert key not in scrub.known(before + key + after)
    assert key[:-1] not in scrub.known(before + key[:-1]), "cut at its end"


@given(st.text(max_size=400))
def test_any_words_of_a_provider_are_words(detail: str) -> None:
    assert isinstance(words_of(detail), str)
    assert words_of(f"HTTP 400: status_code: 400, model_name: m, body: {{'error': {{'message': {'x'!r}}}}}") == "HTTP 400: x"
