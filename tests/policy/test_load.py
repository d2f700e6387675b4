"""A policy that is not wholly understood is no policy, and the error says where."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from backstop.errors import ConfigError
from backstop.policy import DEFAULT, load_policy
from backstop.policy.load import parse_policy

WHOLE = """
version = 1
freezes = []
weekly_freezes = []

[[namespaces]]
name = "shop"
modes = { rollback = "auto", scale = "approve" }
[[namespaces.workloads]]
name = "checkout"
verbs = ["rollback", "scale"]
images = ["demo/web"]
replicas = { minimum = 1, maximum = 4 }

[protected]
names = ["prod-db"]
namespaces = ["kube-system"]
labels = [{ key = "tier", value = "database" }]
annotations = []

[limits]
max_pods_touched = 10
max_share = 0.5
max_step = 5
max_memory_factor = 4.0
cooldown_seconds = 300.0
actions_per_incident = 2
actions_per_hour = 6
proven_after_seconds = 600.0
approval_seconds = 900.0
"""


def write(directory: Path, text: str) -> Path:
    path = directory / "policy.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_whole_policy_is_read(tmp_path: Path) -> None:
    policy = load_policy(write(tmp_path, WHOLE))
    assert policy.namespaces[0].workloads[0].verbs == ("rollback", "scale")


def test_default_is_the_demo_fleets() -> None:
    assert load_policy("default") is DEFAULT


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ('name = "shop"', 'name = "Shop"', "namespaces.0.name"),
        ('name = "checkout"', 'name = "*"', "namespaces.0.workloads.0.name"),
        ('verbs = ["rollback", "scale"]', "verbs = []", "namespaces.0.workloads.0.verbs"),
        ('"rollback", "scale"', '"rollback", "delete"', "namespaces.0.workloads.0.verbs"),
        ('"rollback", "scale"', '"scale", "scale"', "scale is listed twice"),
        ("minimum = 1", "minimum = 0", "namespaces.0.workloads.0.replicas.minimum"),
        ("minimum = 1", "minimum = 9", "above maximum"),
        ("replicas = { minimum = 1, maximum = 4 }", "", "without bounds"),
        ("max_share = 0.5", "max_share = 1.0", "limits.max_share"),
        ("max_share = 0.5", "max_share = nan", "no policy can have"),
        ("max_share = 0.5", 'max_share = "0.5"', "limits.max_share"),
        ("max_step = 5", "", "limits.max_step"),
        ("version = 1", "version = 2", "version"),
        ("version = 1", "version = 1\nallow_everything = true", "allow_everything"),
        ('names = ["prod-db"]', 'names = ["checkout"]', "both allowed and protected"),
        ('namespaces = ["kube-system"]', 'namespaces = ["shop"]', "both allowed and protected"),
        ("[limits]", "[limits", "not TOML"),
        ("version = 1", "version = 1979-05-27", "no policy can have"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, old: str, new: str, place: str) -> None:
    assert old in WHOLE
    with pytest.raises(ConfigError, match=r"policy\.toml") as caught:
        load_policy(write(tmp_path, WHOLE.replace(old, new, 1)))
    assert place in str(caught.value)


def test_an_empty_policy_allows_nothing_and_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="empty"):
        load_policy(write(tmp_path, "# nothing\n"))


def test_a_file_that_is_missing_or_not_text_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        load_policy(tmp_path / "absent.toml")
    (tmp_path / "policy.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="UTF-8"):
        load_policy(tmp_path / "policy.toml")


def keys(value: Any, place: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    if isinstance(value, dict):
        return [p for key, item in value.items() for p in ((*place, key), *keys(item, (*place, key)))]
    return [p for i, item in enumerate(value) for p in keys(item, (*place, i))] if isinstance(value, list) else []


def test_no_line_of_a_policy_may_be_left_out() -> None:
    whole = json.loads(DEFAULT.model_dump_json())
    for place in keys(whole):
        document = json.loads(json.dumps(whole))
        inner = document
        for step in place[:-1]:
            inner = inner[step]
        del inner[place[-1]]
        with pytest.raises(ConfigError):
            parse_policy(document, Path("policy.toml"))
