"""The rubric, rule by rule: what gives points, what takes them, and where the limits are."""

import pytest

from joco_mlx.commit.message import TYPES
from joco_mlx.dataset import quality
from joco_mlx.dataset.candidate import Candidate
from joco_mlx.dataset.words import EMPTY_WORDS, IMPERATIVES, is_order, stem


def patch(*paths: str, added: str = "cache.invalidate(user_key)") -> str:
    return "".join(
        f"diff --git a/{path} b/{path}\nindex 1111111..2222222 100644\n--- a/{path}\n+++ b/{path}\n"
        f"@@ -1 +1,2 @@\n context\n+{added}\n"
        for path in paths
    )


def candidate(header: str, *paths: str, added: str = "cache.invalidate(user_key)") -> Candidate:
    return Candidate(header, patch(*(paths or ("src/cache.py",)), added=added))


def test_a_good_commit_has_all_points() -> None:
    found = quality.score(candidate("fix(cache): invalidate the key of a user"))
    assert found.total == 100
    assert [points for _, points in found.points if points < 0] == []
    assert [name for name, _ in found.points] == [name for name, _ in quality.RULES]


@pytest.mark.parametrize(
    ("header", "points"),
    [
        ("fix: add a cache", 10),
        ("feat(api)!: drop the cache", 10),
        ("fix: Add a cache", 5),
        ("fix: add a cache.", 5),
        ("server: add a cache", 5),
        ("Add a cache", 0),
        ("", 0),
    ],
)
def test_format(header: str, points: int) -> None:
    assert quality.format_points(candidate(header)) == points


@pytest.mark.parametrize(
    ("description", "points"),
    [
        ("add a cache", 25),
        ("embed the model", 25),
        ("process the queue", 25),
        ("added a cache", 0),
        ("adds a cache", 0),
        ("adding a cache", 0),
        ("new cache", 0),
        ("tests for the cache", 0),
        ("cromulate the cache", 4),
        ("do not cache", 25),
        ("reinvalidate the cache", 25),
        ("setup the cache", 25),
        ("css of the cache", 4),
        ("`42`", 0),
    ],
)
def test_mood(description: str, points: int) -> None:
    assert quality.mood_points(candidate(f"fix: {description}")) == points


@pytest.mark.parametrize(("count", "points"), [(1, 0), (2, 5), (3, 10), (12, 10), (13, 5), (16, 5), (17, 0)], ids=str)
def test_information(count: int, points: int) -> None:
    assert quality.information_points(candidate("fix: " + " ".join(["word"] * count))) == points


@pytest.mark.parametrize(
    ("description", "points"),
    [
        ("invalidate the cached keys", 30),
        ("invalidate keys when somebody leaves", 19),
        ("rotate colours of buttons", 0),
        ("add it", 0),
        ("handle user_key", 30),
    ],
)
def test_grounding(description: str, points: int) -> None:
    assert quality.grounding_points(candidate(f"fix: {description}")) == points


def test_a_short_word_must_begin_a_word_of_the_diff() -> None:
    assert quality.grounding_points(candidate("fix: open io", added="radio on")) == 0
    assert quality.grounding_points(candidate("fix: open io", added="io on")) == 30


@pytest.mark.parametrize(
    ("kind", "paths", "points"),
    [
        ("docs", ["README.md"], 25),
        ("docs", ["src/a.py"], 0),
        ("docs", ["a.md", "a.py"], 25),
        ("docs", ["a.md", "a.py", "b.py"], 0),
        ("test", ["src/lib.rs"], 12),
        ("test", ["tests/test_a.py"], 25),
        ("ci", [".github/workflows/ci.yml"], 25),
        ("build", ["package-lock.json"], 25),
        ("fix", ["src/a.py"], 25),
        ("feat", ["README.md"], 0),
        ("refactor", ["tests/test_a.py"], 25),
        ("chore", ["anything"], 25),
        ("revert", ["anything"], 25),
    ],
)
def test_type_against_files(kind: str, paths: list[str], points: int) -> None:
    assert quality.type_points(candidate(f"{kind}: change it", *paths)) == points


def test_type_needs_a_header_and_files() -> None:
    assert quality.type_points(candidate("Change it")) == 0
    assert quality.type_points(Candidate("fix: change it", "")) == 0


@pytest.mark.parametrize(
    ("header", "penalty"),
    [
        ("fix(cache): drop it", 0),
        ("fix: drop the colour", -25),
        ("fix: drop the `colour`", -25),
        ("fix: drop the `colour` from pages", 0),
        ("fix: drop the user key", -25),
        ("fix: drop the user key from cache", 0),
        ("feat: show colours in pages", 0),
        ("drop it", 0),
    ],
)
def test_placeless(header: str, penalty: int) -> None:
    assert quality.placeless_penalty(candidate(header)) == penalty


def test_files() -> None:
    assert quality.files_penalty(candidate("fix: a", *(f"src/{n}.py" for n in range(16)))) == -8
    assert quality.files_penalty(candidate("fix: a", *(f"src/{n}.py" for n in range(15)))) == 0


GENERIC = """
fix typo|fix typos|fix a typo in the readme|update readme|update README.md|update the docs|fix lint errors|clean up code
minor fixes|update dependencies|fix tests|fix|update|more changes|add some tests
"""
SPECIFIC = "update the cache key|fix the tests of the cache|remove readme parser|add tests for empty caches|fix typos2"


@pytest.mark.parametrize("description", GENERIC.replace("\n", "|").strip("|").split("|"))
def test_generic_messages_are_capped(description: str) -> None:
    made = candidate(f"docs: {description}", "README.md", added=description)
    assert quality.is_generic(made)
    assert quality.score(made).total <= quality.GENERIC_CAP


@pytest.mark.parametrize("description", SPECIFIC.split("|"))
def test_specific_messages_are_not(description: str) -> None:
    assert not quality.is_generic(candidate(f"docs: {description}"))


def test_the_total_is_never_below_zero_or_above_a_hundred() -> None:
    worst = Candidate("wip #1 and ABC-2 and stuff, more things", patch(*(f"{n}.py" for n in range(20)), added="x"))
    assert quality.score(worst).total == 0
    assert sum(points for _, points in quality.score(worst).points) < 0


def test_every_type_can_have_all_points() -> None:
    paths = ("src/a.py", "tests/test_a.py", "README.md", "pyproject.toml", ".github/workflows/ci.yml")
    for kind in TYPES:
        short = {"build": paths[3:4], "ci": paths[4:], "docs": paths[2:3], "test": paths[1:2], "chore": paths[2:3]}.get(
            kind, paths[:1]
        )
        assert quality.score(candidate(f"{kind}(cache): invalidate the user key", *short)).total == 100, kind


def test_stems_join_inflections() -> None:
    for family in ("cache caches cached caching", "parse parser parsed parsing", "stop stopped stopping"):
        assert len({stem(word) for word in family.split()}) == 1, family
    assert stem("is") == "is"


def test_word_lists_do_not_contradict_each_other() -> None:
    assert {word for word in EMPTY_WORDS & IMPERATIVES if is_order(word) is not True} == set()
    assert is_order("embed") is True
    assert is_order("embedded") is False
