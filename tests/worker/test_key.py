"""The key that seals what is kept: made once, and never in the place of one that was lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from backstop.errors import ConfigError
from backstop.worker.config import WorkerConfig
from backstop.worker.run import engine_config


def test_the_first_start_makes_a_key_and_the_next_one_finds_it(tmp_path: Path) -> None:
    first = engine_config(WorkerConfig(state=tmp_path)).key
    assert engine_config(WorkerConfig(state=tmp_path)).key.open(first.seal("kept")) == "kept"


def test_a_key_that_was_lost_is_not_replaced(tmp_path: Path) -> None:
    engine_config(WorkerConfig(state=tmp_path))
    (tmp_path / "incidents.db").touch()
    (tmp_path / "state.key").unlink()
    with pytest.raises(ConfigError, match="is gone"):
        engine_config(WorkerConfig(state=tmp_path))
    assert not (tmp_path / "state.key").exists()


def test_a_key_in_the_environment_needs_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BACKSTOP_STATE_KEY", "0" * 64)
    engine_config(WorkerConfig(state=tmp_path))
    assert list(tmp_path.iterdir()) == []
