"""Every kubeconfig that cannot be used is one clear sentence, before anything is sent."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from backstop.cluster.client import ClusterClient
from backstop.cluster.kubeconfig import load
from backstop.errors import ConfigError


def document(**changes: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1", "insecure-skip-tls-verify": True}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
        "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
        **changes,
    }


def cluster(**fields: str) -> dict[str, Any]:
    return {"name": "c", "cluster": {"server": "https://h", **fields}}


def written(tmp_path: Path, content: Any) -> Path:
    path = tmp_path / "kubeconfig"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return path


async def test_a_whole_one_opens(tmp_path: Path) -> None:
    async with ClusterClient(written(tmp_path, document())) as door:
        assert door.server == "https://127.0.0.1:1"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "lists no clusters"),
        ("just words", "lists no clusters"),
        ("a: [b", "is not YAML"),
        ("- 1\n- 2\n", "lists no clusters"),
        (document(clusters=[]), "lists no clusters"),
        (document(clusters="c"), "cannot be used"),
        (document(clusters=[{"name": "c"}]), "cannot be used: it lacks 'cluster'"),
        (document(clusters=[{"name": "other", "cluster": {}}]), "cannot be used: it lacks 'c'"),
        (document(clusters=[{"name": "c", "cluster": {"server": 7}}]), "cannot be used"),
        (document(clusters=[{"name": "c", "cluster": {"server": "not a url"}}]), "no address"),
        (document(clusters=[{"name": "c", "cluster": {"server": "https://h:port"}}]), "no address"),
        (document(clusters=[cluster(**{"certificate-authority": "/nowhere/ca"})]), "cannot be used"),
        (document(clusters=[cluster(**{"certificate-authority-data": "%%%"})]), "cannot be used"),
        (document(clusters=[cluster(**{"certificate-authority-data": "AAAA"})]), "is not PEM"),
        (document(clusters=[{"name": "c", "cluster": {"server": "http://example.org"}}]), "credentials over plain HTTP"),
        (document(contexts=[{"name": "here", "context": {"cluster": "c", "user": "nobody"}}]), "it lacks 'nobody'"),
        (document(contexts=[1]), "has no context here"),
        (document(**{"current-context": None}), "has no current context"),
        (document(users=[{"name": "u", "user": {"auth-provider": {"name": "gcp"}}}]), "auth-provider not supported"),
        (document(users=[{"name": "u", "user": {"client-certificate": "/no/c", "client-key": "/no/k"}}]), "cannot be used"),
    ],
)  # fmt: skip
def test_one_that_is_not_whole_is_a_sentence(tmp_path: Path, content: Any, sentence: str) -> None:
    path = written(tmp_path, content)
    with pytest.raises(ConfigError) as refused:
        ClusterClient(path)
    assert sentence in str(refused.value)
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_missing_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no kubeconfig"):
        ClusterClient(tmp_path / "nothing")


def test_a_directory(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        ClusterClient(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_one_that_may_not_be_read(tmp_path: Path) -> None:
    path = written(tmp_path, document())
    path.chmod(0)
    with pytest.raises(ConfigError, match="cannot be read"):
        ClusterClient(path)


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "kubeconfig"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="is not YAML"):
        ClusterClient(path)


def test_an_unknown_context_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"did you mean here\?"):
        ClusterClient(written(tmp_path, document()), "heer")


async def test_an_exec_plugin_that_is_not_there(tmp_path: Path) -> None:
    plugin = {"apiVersion": "client.authentication.k8s.io/v1", "command": "/nowhere/plugin", "interactiveMode": "Never"}
    async with ClusterClient(written(tmp_path, document(users=[{"name": "u", "user": {"exec": plugin}}]))) as door:
        with pytest.raises(ConfigError, match="no credentials for"):
            await door.get("/api")


def pod(directory: Path, token: str) -> Path:
    """What a pod finds of its service account."""
    for name, content in (("token", token), ("namespace", "shop"), ("ca.crt", "")):
        (directory / name).write_text(content)
    return directory


def in_a_pod(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")


def test_a_pod_reads_with_its_service_account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    in_a_pod(monkeypatch, tmp_path)
    config, _ = load(None, None, pod(tmp_path, "t0ken"))
    assert config.cluster.server == "https://10.0.0.1:443"
    assert config.user is not None
    assert (config.user.token, config.user.token_file) == ("t0ken", str(tmp_path / "token"))


def test_a_kubeconfig_that_somebody_names_wins_over_the_pods(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    in_a_pod(monkeypatch, tmp_path)
    account, named = pod(tmp_path, "t0ken"), written(tmp_path, document())
    assert load(named, None, account)[0].cluster.server == "https://127.0.0.1:1"
    monkeypatch.setenv("KUBECONFIG", str(named))
    assert load(None, None, account)[0].cluster.server == "https://127.0.0.1:1"


def test_a_pod_without_a_service_account_is_told_what_to_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    in_a_pod(monkeypatch, tmp_path)
    with pytest.raises(ConfigError, match="--kubeconfig"):
        load(None, None, tmp_path / "none")
