"""Whatever keeps `backstop triage` from looking is one sentence: what it is, that nothing was written, what to do."""

from __future__ import annotations

import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.cli.test_bad_input import kubeconfig
from tests.cli.triaging import Desk
from tests.embedded import Embedded, embedded


@pytest.fixture(scope="module")
def shop() -> Iterator[Embedded]:
    with embedded() as cluster:
        yield cluster


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


@pytest.fixture
def reader(shop: Embedded) -> tuple[str | Path, ...]:
    return "--kubeconfig", shop.kubeconfigs["investigator"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("-n", "shop", "deployment/chekout"), "the nearest is checkout"),
        (("-n", "shop", "deployment/zzz"), "it has: catalog, checkout, prod-db, storefront"),
        (("-n", "shopp", "deployment/checkout"), "there is no namespace shopp; nothing was written; the nearest is shop"),
        (("-n", "shop", "statefulset/db"), "only Deployments can be triaged so far"),
        (("-n", "shop", "checkout"), "write deployment/NAME"),
        (("-n", "shop", "deployment/Checkout"), "the name 'Checkout' is none that Kubernetes can have"),
        (("-n", "shop", "deployment/"), "the name '' is none"),
        (("-n", "../shop", "deployment/checkout"), "the namespace '../shop' is none"),
        (("-n", "shop", "deployment/checkout", "--context", "investigatr"), "did you mean investigator?"),
        (("-n", "shop", "deployment/checkout", "--since", "soon"), "'soon' is no time"),
        (("-n", "shop", "deployment/checkout", "--since", "2999-01-01"), "is still to come"),
        (("-n", "shop", "deployment/checkout", "--policy", "none.toml"), "the policy none.toml cannot be used"),
        (("-n", "shop", "deployment/checkout", "--mode", "approve"), "--executor-kubeconfig"),
        (("-n", "shop", "deployment/checkout", "--mode", "auto"), "--executor-kubeconfig"),
        (("-n", "shop", "deployment/checkout", "--executor-kubeconfig", "x"), "observe mode writes nothing"),
        (("-n", "shop", "deployment/checkout", "--rehearser-kubeconfig", "x"), "observe mode writes nothing"),
        (("-n", "shop", "deployment/checkout", "--record", "/dev/null/x"), "cannot be written"),
    ],
)
def test_what_is_not_there_is_one_sentence(
    desk: Desk, reader: tuple[str | Path, ...], arguments: tuple[str, ...], sentence: str
) -> None:
    assert sentence in desk.refused(*arguments, *reader)


def test_a_kubeconfig_that_is_missing(desk: Desk) -> None:
    assert "there is no kubeconfig at none" in desk.refused("-n", "shop", "deployment/checkout", "--kubeconfig", "none")


def test_a_server_that_is_not_there(desk: Desk) -> None:
    kubeconfig(desk.directory / "config", "https://127.0.0.1:1")
    said = desk.refused("-n", "shop", "deployment/checkout", "--kubeconfig", "config")
    assert "https://127.0.0.1:1 could not be reached" in said
    assert "check that the cluster runs" in said


def test_credentials_that_are_not_accepted(desk: Desk, shop: Embedded) -> None:
    document = yaml.safe_load(shop.kubeconfigs["investigator"].read_text())
    document["users"][0]["user"]["token"] = "not-the-token-0123456789"
    (desk.directory / "config").write_text(yaml.safe_dump(document))
    assert "does not accept these credentials" in desk.refused("-n", "shop", "deployment/checkout", "--kubeconfig", "config")


def test_a_right_that_is_missing_is_named_with_what_grants_it(desk: Desk, shop: Embedded) -> None:
    elsewhere = ("-n", "kube-system", "deployment/dns", "--kubeconfig", shop.kubeconfigs["executor"])
    said = desk.refused(*elsewhere)
    assert "may not list deployments.apps in namespace kube-system" in said
    assert "backstop policy compile" in said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_ctrl_c_says_that_nothing_was_written_and_leaves_nothing(desk: Desk, number: signal.Signals) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        kubeconfig(desk.directory / "config", f"http://127.0.0.1:{silent.getsockname()[1]}")
        process = subprocess.Popen(
            desk.command("-n", "shop", "deployment/checkout", "--kubeconfig", "config"),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=desk.environment, cwd=desk.directory,
        )  # fmt: skip
        with silent.accept()[0]:  # it was asked, and does not answer
            process.send_signal(number)
            said, complaint = process.communicate(timeout=30)
    assert (process.returncode, said) == (130, ""), complaint
    assert complaint == "backstop: interrupted; nothing was written to the cluster, and no process is left\n"
    assert list((desk.directory / "tmp").iterdir()) == []
