"""A key that stands where none belongs is refused without being repeated."""

from __future__ import annotations

from typing import Any

import pytest

from backstop.errors import ConfigError
from backstop.models.providers import checked_url
from backstop.settings import load_settings

KEY = "sk-" + "live-0123456789abcdef"


@pytest.mark.parametrize("name", [KEY, KEY.lower().replace("-", "_"), "A" * 65, ""])
def test_a_key_in_place_of_a_variable_s_name(name: str) -> None:
    provider: dict[str, Any] = {"kind": "openai", "url": "http://house/v1", "api_key_env": name}
    with pytest.raises(ConfigError, match="api_key_env") as refused:
        load_settings({"providers": {"house": provider}})
    assert not name or name not in str(refused.value)


@pytest.mark.parametrize("url", [f"htp://user:{KEY}@house/v1", f"ftp://house/v1?key={KEY}"])
def test_a_key_in_a_url_that_cannot_be(url: str) -> None:
    with pytest.raises(ConfigError) as refused:
        checked_url(url, "providers.house.url")
    assert KEY not in str(refused.value)
