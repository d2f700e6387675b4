"""By default `backstop triage` only looks: the investigator's identity alone, the whole pipeline, and nothing written anywhere."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from backstop.policy import DEFAULT
from backstop.sandbox.faults import Call
from tests.cli.processes import typed
from tests.cli.triaging import Desk, Json, asked_by, broken_shop, policy_file
from tests.embedded import Embedded

CHECKOUT = "/apis/apps/v1/namespaces/shop/deployments/checkout"


@pytest.fixture(scope="module")
def shop() -> Iterator[Embedded]:
    with broken_shop() as cluster:
        yield cluster


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


@pytest.fixture
def checkout(shop: Embedded) -> tuple[str | Path, ...]:
    return "-n", "shop", "deployment/checkout", "--kubeconfig", shop.kubeconfigs["investigator"]


def test_the_bad_release_is_found_without_a_key_and_shown_as_a_diff(desk: Desk, checkout: tuple[str | Path, ...]) -> None:
    said = desk.report(*checkout)
    assert said["outcome"] == "escalated"
    assert said["diagnosis"]["fault_class"] == "bad_release"
    assert said["diagnosis"]["by"] == "rules"
    proposed = said["proposed"]
    assert proposed["action"] == "rollback deployment/checkout to_revision=1"
    assert "-      image: demo/web:1.2-errors\n+      image: demo/web:1.0" in proposed["diff"]
    assert any("3 pods" in sentence for sentence in proposed["blast_radius"])
    assert "kubectl -n shop rollout undo deployment/checkout --to-revision=2" in proposed["undo"][-1]
    assert "kubectl -n shop rollout undo deployment/checkout --to-revision=1" in said["next_steps"][0]


def test_what_was_not_rehearsed_is_unknown_and_everything_else_is_said(desk: Desk, checkout: tuple[str | Path, ...]) -> None:
    said = desk.report(*checkout)
    quality, action = said["verdicts"]
    assert (quality["stage"], quality["said"]) == ("quality_gate", "passed")
    assert (action["stage"], action["said"]) == ("action_gate", "unknown")
    checks = {check["rule"]: check["said"] for check in action["checks"]}
    assert checks.pop("A-DRY-RUN") == "unknown"
    assert set(checks.values()) == {"passed"}
    assert len(checks) > 20


def test_nothing_is_asked_of_the_cluster_but_reads(desk: Desk, shop: Embedded, checkout: tuple[str | Path, ...]) -> None:
    before = len(shop.audit_log.read_text().splitlines())
    desk.report(*checkout)
    lines = asked_by(shop, "investigator", before)
    assert {line["verb"] for line in lines} <= {"get", "list"}
    assert len(lines) > 10
    assert asked_by(shop, "executor", before) == []


def test_looking_on_spends_no_budget_and_leaves_no_file_but_state_and_record(desk: Desk, checkout: tuple[str | Path, ...]) -> None:
    first, *_, last = [desk.report(*checkout) for _ in range(4)]
    assert first["proposed"]["action"] == last["proposed"]["action"]
    shown = typed("breaker", "show", "--json", "--state", str(desk.directory / "state"), environment=desk.environment)
    overview: Json = json.loads(shown.stdout)
    assert (overview["elsewhere"]["open"], overview["anomalies"]) == (False, [])
    assert list((desk.directory / "tmp").iterdir()) == []


def test_the_record_is_where_it_says(desk: Desk, checkout: tuple[str | Path, ...]) -> None:
    record = desk.directory / "kept"
    said = desk.report(*checkout, "--record", record)
    assert said["record"] == str(record)
    assert "closed" in (record / "events.jsonl").read_text().splitlines()[-1]
    assert "holds the record of another run" in desk.refused(*checkout, "--record", record)
    somewhere = desk.directory / "somewhere"
    somewhere.mkdir()
    (somewhere / "notes.txt").write_text("mine")
    assert "is not empty" in desk.refused(*checkout, "--record", somewhere)
    assert [path.name for path in somewhere.iterdir()] == ["notes.txt"]


def test_the_page_is_plain_and_fits_eighty_columns(desk: Desk, checkout: tuple[str | Path, ...]) -> None:
    said = desk.run(*checkout, code=3).stdout
    assert "\x1b" not in said
    wide = [line for line in said.splitlines() if len(line) > 80]
    assert [line for line in wide if "kubectl" not in line and "record" not in line] == []
    for word in ("ESCALATED", "Nothing was written to the cluster.", "bad_release", "A-SCOPE", "?  A-DRY-RUN", "demo/web:1.0"):
        assert word in said


def test_what_is_well_needs_nobody(desk: Desk, shop: Embedded) -> None:
    arguments = ("-n", "shop", "deploy/storefront", "--kubeconfig", shop.kubeconfigs["investigator"])
    said = desk.report(*arguments, code=0)
    assert (said["outcome"], said["proposed"], said["writes"]) == ("no_fault", None, [])


def test_a_policy_that_does_not_list_it_still_shows_everything_and_the_missing_line(
    desk: Desk, checkout: tuple[str | Path, ...]
) -> None:
    workloads = DEFAULT.model_dump(mode="json")["namespaces"][0]["workloads"]
    said = desk.report(*checkout, "--policy", policy_file(desk.directory, workloads=workloads[1:]))
    assert {c["rule"]: c["said"] for c in said["verdicts"][-1]["checks"]}["A-SCOPE"] == "failed"
    assert "demo/web:1.0" in said["proposed"]["diff"]
    line = '[[namespaces.workloads]] with name = "checkout", verbs = ["rollback"], images = ["demo/web"]'
    assert line in said["proposed"]["missing"]
    said = desk.report(*checkout, "--policy", policy_file(desk.directory, name="elsewhere"))
    assert "'backstop policy init -n shop' drafts one" in said["proposed"]["missing"]


def test_a_secret_of_the_pod_template_is_in_no_diff_and_in_no_record(desk: Desk) -> None:
    secret = "c0rrect-Horse-9-battery"
    env = [{"op": "add", "path": "/spec/template/spec/containers/0/env/-", "value": {"name": "API_PASSWORD", "value": secret}}]
    release = [{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "demo/web:1.2-errors"}]
    with broken_shop(*(Call("PATCH", CHECKOUT, patch, "application/json-patch+json") for patch in (env, release))) as cluster:
        reader = ("--kubeconfig", cluster.kubeconfigs["investigator"], "--record", desk.directory / "kept")
        ended = desk.run("-n", "shop", "deployment/checkout", *reader, "--json", code=3)
    said = json.loads(ended.stdout)
    assert "API_PASSWORD" in said["proposed"]["diff"], "it is where the image is"
    kept = (desk.directory / "kept" / "events.jsonl").read_text()
    assert [secret in text for text in (ended.stdout, ended.stderr, kept)] == [False, False, False]
