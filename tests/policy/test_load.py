"""A policy that is not wholly understood is no policy, and the error says where."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from backstop.errors import ConfigError
from backstop.policy import DEFAULT, load_policy
from backstop.policy.load import parse_policy
from backstop.policy.schema import MemoryBounds, ReplicaBounds, Repository

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


REPOSITORY: TypeAdapter[str] = TypeAdapter(Repository)


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
        ('name = "shop"', 'name = "Shop"', "line 7, at namespaces.0.name"),
        ('name = "checkout"', 'name = "*"', "line 10, at namespaces.0.workloads.0.name"),
        ('name = "checkout"', 'name = "ch\u0435ckout"', "line 10, at namespaces.0.workloads.0.name"),
        ('name = "checkout"', 'name = "../checkout"', "line 10, at namespaces.0.workloads.0.name"),
        ('verbs = ["rollback", "scale"]', "verbs = []", "line 11, at namespaces.0.workloads.0.verbs"),
        ('"rollback", "scale"', '"rollback", "delete"', "line 11, at namespaces.0.workloads.0.verbs.1"),
        ('"rollback", "scale"', '"scale",\n"scale"', "line 12, at namespaces.0.workloads.0.verbs.1: verb scale is listed twice"),
        ('["demo/web"]', '["demo/web:1.0"]', "line 12, at namespaces.0.workloads.0.images.0: a repository is named without a tag"),
        ('["demo/web"]', '["docker.io/demo/web"]', "without docker.io/"),
        ("minimum = 1", "minimum = 0", "line 13, at namespaces.0.workloads.0.replicas.minimum"),
        ("minimum = 1", "minimum = 1.0", "line 13, at namespaces.0.workloads.0.replicas.minimum"),
        ("minimum = 1", "minimum = 9", "line 13, at namespaces.0.workloads.0.replicas.minimum: minimum 9 is above maximum 4"),
        (
            "replicas = { minimum = 1, maximum = 4 }",
            "",
            "line 11, at namespaces.0.workloads.0.verbs: scale is allowed without bounds",
        ),
        (
            'scale = "approve" }',
            'restart = "approve" }',
            "line 11, at namespaces.0.workloads.0.verbs: workload checkout lists scale",
        ),
        ('"auto"', '"never"', "line 8, at namespaces.0.modes.rollback"),
        ("max_share = 0.5", "max_share = 1.0", "line 23, at limits.max_share"),
        ("max_share = 0.5", "max_share = nan", "no policy can have"),
        ("max_share = 0.5", "max_share = inf", "no policy can have"),
        ("max_share = 0.5", 'max_share = "0.5"', "line 23, at limits.max_share"),
        ("max_share = 0.5", "max_share = -0.5", "line 23, at limits.max_share"),
        ("max_step = 5", "max_step = 99999999999999999999", "line 24, at limits.max_step"),
        ("max_step = 5", "max_step = true", "line 24, at limits.max_step"),
        ("max_step = 5", "", "line 21, at limits.max_step: Field required"),
        ("version = 1", "version = 2", "line 2, at version"),
        ("version = 1", "version = 1\nallow_everything = true", "line 3, at allow_everything"),
        (
            'names = ["prod-db"]',
            'names = ["checkout"]',
            "line 10, at namespaces.0.workloads.0.name: workload shop/checkout is both",
        ),
        ('namespaces = ["kube-system"]', 'namespaces = ["shop"]', "line 7, at namespaces.0.name: namespace shop is both"),
        ("[limits]", "[limits", "not TOML"),
        ("version = 1", "version = 1\nversion = 1", "not TOML"),
        ("version = 1", "version = 1979-05-27", "no policy can have"),
        ("freezes = []", 'freezes = [{ name = "x", start = 2026-01-02T00:00:00, end = 2026-01-03T00:00:00Z }]', "no offset|offset"),
        ("freezes = []", 'freezes = [{ name = "x", start = "2026-01-02T00:00:00", end = "2026-01-03T00:00:00Z" }]', "line 3"),
        ("freezes = []", 'freezes = [{ name = "x", start = 20260102, end = 20260103 }]', "line 3, at freezes.0.start"),
        (
            "freezes = []",
            'freezes = [\n{ name = "x", start = 2026-01-02T00:00:00Z, end = 2026-01-01T00:00:00Z }]',
            "line 4, at freezes.0.end: the freeze x ends before it begins",
        ),
        (
            "weekly_freezes = []",
            'weekly_freezes = [{ name = "x", days = ["fri", "fri"], start = "18:00", end = "06:00" }]',
            "line 4, at weekly_freezes.0.days.1: day fri is listed twice",
        ),
        ("weekly_freezes = []", 'weekly_freezes = [{ name = "x", days = ["fri"], start = "24:00", end = "06:00" }]', "line 4"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(tmp_path: Path, old: str, new: str, place: str) -> None:
    assert old in WHOLE
    with pytest.raises(ConfigError, match=r"policy\.toml") as caught:
        load_policy(write(tmp_path, WHOLE.replace(old, new, 1)))
    assert re.search(place if "|" in place else re.escape(place), str(caught.value)), str(caught.value)


def test_memory_may_be_written_as_kubernetes_does(tmp_path: Path) -> None:
    (shop,) = DEFAULT.namespaces
    assert shop.workloads[0].memory == MemoryBounds(minimum=32 * 2**20, maximum=2**30)
    assert MemoryBounds.model_validate({"minimum": "32Mi", "maximum": "1Gi"}) == shop.workloads[0].memory
    for odd in ("64 Mi", "x", "1e9", "-1Mi", "0Mi", "\u0666\u0664Mi", ""):
        with pytest.raises(ValidationError):
            MemoryBounds.model_validate({"minimum": odd, "maximum": 2**30})


def test_bounds_may_leave_one_number() -> None:
    assert ReplicaBounds(minimum=3, maximum=3).maximum == 3
    with pytest.raises(ValidationError, match="minimum 4 is above maximum 3"):
        ReplicaBounds(minimum=4, maximum=3)


@pytest.mark.parametrize(
    "good", ["web", "demo/web", "registry.example:5000/team/app", "a/b/c", "my-org/my__app", "docker.io.example/x"]
)
def test_a_repository_is_named_as_deployments_name_it(good: str) -> None:
    assert REPOSITORY.validate_python(good) == good


@pytest.mark.parametrize(
    ("odd", "why"),
    [
        ("demo/web:1.0", "without a tag"),
        ("web:latest", "without a tag"),
        ("registry.example:5000/team/app:1", "without a tag"),
        ("docker.io/demo/web", "without docker.io/ and library/"),
        ("library/web", "without docker.io/ and library/"),
        ("demo/web@sha256:00", "pattern"),
        ("Demo/web", "pattern"),
        ("*", "pattern"),
        ("demo/", "pattern"),
        ("", "pattern"),
    ],
)
def test_what_is_no_repository_is_refused(odd: str, why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        REPOSITORY.validate_python(odd)


def test_a_freeze_is_a_moment_of_toml_and_two_ways_to_write_it_are_one_policy(tmp_path: Path) -> None:
    texts = [
        WHOLE.replace("freezes = []", f'freezes = [{{ name = "x", start = {start}, end = {end} }}]', 1)
        for start, end in (
            ("2026-01-02T00:00:00Z", "2026-01-03T00:00:00Z"),
            ("2026-01-02T02:00:00+02:00", '"2026-01-03T00:00:00+00:00"'),
        )
    ]
    one, other = (load_policy(write(tmp_path, text)) for text in texts)
    assert one.freezes[0].start == datetime(2026, 1, 2, tzinfo=UTC)
    assert one.digest() == other.digest()
    assert one.freezes[0].start.utcoffset() == timedelta(0)
    assert one.digest() != load_policy(write(tmp_path, WHOLE)).digest()


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
