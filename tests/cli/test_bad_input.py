"""Whatever cannot be is one clear sentence with what to do, exit 2, no traceback, nothing half-done."""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path

import pytest

from tests.cli.processes import typed


def environment(tmp_path: Path, **more: str) -> dict[str, str]:
    """With a temporary directory of its own, so that no running cluster is found or swept."""
    return {**os.environ, "TMPDIR": str(tmp_path), **more}


def refused(tmp_path: Path, *arguments: str, **more: str) -> str:
    ended = typed(*arguments, environment=environment(tmp_path, **more))
    assert (ended.returncode, ended.stdout) == (2, ""), ended
    (sentence,) = ended.stderr.splitlines()
    assert sentence.startswith("backstop: ")
    return sentence


def kubeconfig(file: Path, server: str, authority: str = "") -> None:
    """One context, as admin."""
    file.write_text(
        f"""
        {{current-context: c, contexts: [{{name: c, context: {{cluster: c, user: u}}}}],
         clusters: [{{name: c, cluster: {{server: "{server}", {authority}}}}}], users: [{{name: u, user: {{token: t}}}}]}}
        """
    )


def test_an_unknown_scenario_suggests_the_nearest(tmp_path: Path) -> None:
    assert "the nearest is 'tool-failure'" in refused(tmp_path, "drill", "tool-failur")


def test_what_is_not_built_yet_says_so(tmp_path: Path) -> None:
    assert "is not built yet" in refused(tmp_path, "drill", "--context", "prod")


@pytest.mark.parametrize(("option", "more"), [(("--live",), {}), ((), {"BACKSTOP_LIVE": "true"})])
def test_live_without_a_model_is_not_played_with_emulated_ones(
    tmp_path: Path, option: tuple[str, ...], more: dict[str, str]
) -> None:
    nothing = {"AWS_REGION": "", "AWS_DEFAULT_REGION": "", "BACKSTOP_MODELS_URL": ""}
    assert "--live needs a model that can be asked" in refused(tmp_path, "drill", *option, **nothing, **more)


def test_all_and_a_name_contradict_each_other(tmp_path: Path) -> None:
    assert "--all" in refused(tmp_path, "drill", "clean-signal", "--all")


def test_a_record_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    said = refused(tmp_path, "drill", "--record", str(tmp_path / "file" / "record"))
    assert "cannot be written" in said
    assert "--record" in said


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert "--port" in refused(tmp_path, "sandbox", "up", "--port", str(taken.getsockname()[1]))
    assert not list(tmp_path.glob("backstop-*/*"))


def test_a_fault_that_is_not_there_suggests_the_nearest(tmp_path: Path) -> None:
    assert "the nearest is 'bad-release'" in refused(tmp_path, "sandbox", "break", "bad-relase")


def test_nothing_to_break(tmp_path: Path) -> None:
    said = refused(tmp_path, "sandbox", "break", "bad-release", KUBECONFIG="")
    assert "backstop sandbox up" in said


def test_a_kubeconfig_that_is_missing(tmp_path: Path) -> None:
    assert "cannot be read" in refused(tmp_path, "sandbox", "heal", "--kubeconfig", str(tmp_path / "none"))


@pytest.mark.parametrize("text", ["", "{[", "[]", "contexts: []", "a: b", "hello", "\x00"])
def test_a_kubeconfig_that_is_malformed(tmp_path: Path, text: str) -> None:
    (tmp_path / "config").write_text(text)
    said = refused(tmp_path, "sandbox", "heal", KUBECONFIG=str(tmp_path / "config"))
    assert "is malformed" in said
    assert "nothing was changed" in said
    assert not re.search(r"Error|object|attribute", said), "a word of Python, not of kubectl"


@pytest.mark.parametrize(
    ("authority", "said"),
    [("certificate-authority: /none.pem", "/none.pem is missing"), ("certificate-authority-data: AAAA", "is no certificate")],
)
def test_a_kubeconfig_whose_authority_is_none(tmp_path: Path, authority: str, said: str) -> None:
    kubeconfig(tmp_path / "config", "https://127.0.0.1:1", authority)
    assert said in refused(tmp_path, "sandbox", "heal", "--kubeconfig", str(tmp_path / "config"))


def test_a_cluster_that_cannot_be_reached(tmp_path: Path) -> None:
    kubeconfig(tmp_path / "config", "https://127.0.0.1:1")
    said = refused(tmp_path, "sandbox", "break", "bad-release", "--kubeconfig", str(tmp_path / "config"))
    assert "cannot be reached at https://127.0.0.1:1" in said
    assert "nothing was changed" in said


@pytest.mark.parametrize("server", ["", "/", "prod", "ftp://prod", "https://", "https://prod:port", "https://[prod"])
def test_a_server_that_is_no_address(tmp_path: Path, server: str) -> None:
    kubeconfig(tmp_path / "config", server)
    assert "is malformed" in refused(tmp_path, "sandbox", "heal", "--kubeconfig", str(tmp_path / "config"))


def test_a_temporary_directory_too_deep_for_sockets(tmp_path: Path) -> None:
    deep = tmp_path / ("deep" * 20)
    deep.mkdir()
    said = refused(deep, "drill", "--json", "--record", str(tmp_path / "record"))
    assert "TMPDIR" in said
    assert "nothing was started" in said


def test_a_setting_that_cannot_be_used_starts_nothing(tmp_path: Path) -> None:
    said = refused(tmp_path, "drill", BACKSTOP_VERIFY_WINDOW_SECONDS="soon")
    assert "BACKSTOP_VERIFY_WINDOW_SECONDS" in said
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "wrong", [("drill", "--agent", "nobody"), ("drill", "--seed", "x"), ("fly",), ("sandbox", "up", "--port", "99999")]
)
def test_what_the_parser_refuses_is_exit_2_too(tmp_path: Path, wrong: tuple[str, ...]) -> None:
    ended = typed(*wrong, environment=environment(tmp_path))
    assert ended.returncode == 2
    assert "Traceback" not in ended.stderr
