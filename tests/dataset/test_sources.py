"""The list of public repositories: enough of them, pinned, permissive, and each named once."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

LIST = Path(__file__).parents[2] / "dataset" / "sources.toml"
PERMISSIVE = {"MIT", "ISC", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause"}


@pytest.fixture(scope="module")
def sources() -> list[dict[str, Any]]:
    return tomllib.loads(LIST.read_text("utf-8"))["source"]


def test_there_are_enough_in_enough_languages(sources: list[dict[str, Any]]) -> None:
    assert len(sources) >= 20
    assert len({source["language"] for source in sources}) >= 8


def test_each_is_pinned_and_described(sources: list[dict[str, Any]]) -> None:
    for source in sources:
        assert set(source) == {"name", "url", "commit", "licence", "language", "commits", "megabytes"}, source
        assert re.fullmatch(r"[0-9a-f]{40}", source["commit"]), source
        assert re.fullmatch(r"https://github\.com/[\w.-]+/[\w.-]+", source["url"]), source
        assert source["commits"] > 0, source
        assert source["megabytes"] > 0, source


def test_each_is_there_once(sources: list[dict[str, Any]]) -> None:
    for field in ("name", "url", "commit"):
        assert len({source[field] for source in sources}) == len(sources), field


def test_each_licence_is_permissive(sources: list[dict[str, Any]]) -> None:
    for source in sources:
        assert PERMISSIVE.intersection(source["licence"].split(" OR ")), source
