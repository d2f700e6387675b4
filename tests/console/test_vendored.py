"""What others wrote and pages load is byte for byte what they published, licensed, and shipped."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import zipfile
from importlib.resources import files
from pathlib import Path
from typing import Final

import pytest
from pydantic import BaseModel, ConfigDict, TypeAdapter

ROOT: Final = Path(__file__).resolve().parents[2]
VENDOR: Final = files("backstop") / "console" / "static" / "vendor"


class Vendored(BaseModel):
    """One file: which package of which version it is from, under which path there, and what it is."""

    model_config = ConfigDict(extra="forbid", strict=True)

    package: str
    version: str
    path: str
    sha256: str
    licence: str


MANIFEST: Final = TypeAdapter(dict[str, Vendored]).validate_json((VENDOR / "MANIFEST.json").read_bytes())


def test_the_manifest_names_exactly_what_is_there() -> None:
    assert {one.name for one in VENDOR.iterdir()} - {"MANIFEST.json"} == set(MANIFEST)
    assert {"preact.mjs", "htm.mjs", "uplot.iife.min.js"} <= set(MANIFEST)


@pytest.mark.parametrize("name", MANIFEST)
def test_a_vendored_file_is_what_was_published(name: str) -> None:
    assert hashlib.sha256((VENDOR / name).read_bytes()).hexdigest() == MANIFEST[name].sha256


@pytest.mark.parametrize("name", MANIFEST)
def test_a_vendored_file_lies_beside_its_licence(name: str) -> None:
    said = (VENDOR / f"LICENSE.{MANIFEST[name].package}").read_text(encoding="utf-8")
    opens = {
        "MIT": "Permission is hereby granted, free of charge",
        "Apache-2.0": "Apache License\n                           Version 2.0",
    }
    assert opens[MANIFEST[name].licence] in said


def test_files_of_one_package_are_of_one_version() -> None:
    versions = {(one.package, one.version, one.licence) for one in MANIFEST.values()}
    assert len(versions) == len({package for package, _, _ in versions})


def test_the_wheel_carries_every_vendored_file(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)], cwd=ROOT, check=True, capture_output=True
    )
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as packed:
        carried = {name: packed.read(name) for name in packed.namelist() if "/vendor/" in name}
    assert {Path(name).name: hashlib.sha256(said).hexdigest() for name, said in carried.items() if not name.endswith(".json")} == {
        name: one.sha256 for name, one in MANIFEST.items()
    }
    manifest = next(said for name, said in carried.items() if name == "backstop/console/static/vendor/MANIFEST.json")
    assert json.loads(manifest).keys() == MANIFEST.keys()
