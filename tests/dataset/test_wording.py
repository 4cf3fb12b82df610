"""Faults of a description that can be read without its diff, rule by rule."""

from collections.abc import Callable

import pytest

from joco_mlx.dataset import wording
from joco_mlx.dataset.candidate import Candidate

CASES: list[tuple[Callable[[Candidate], int], str, str]] = [
    (
        wording.reference_penalty,
        "close #12 in the cache|close JOCO-12|see https://example.com|pull docs/pull/283",
        "read UTF-8 and SHA-256|read number 12",
    ),
    (
        wording.vague_penalty,
        "improve the wording of pages|update the outdated notice|build override|fix baseUrl",
        "remove baseUrl|change the key of users to a hash|clarify which keys a page keeps",
    ),
    (
        wording.object_penalty,
        "add tests|fix lint warning in the build|fix the docs build|add the missing tests in the docs",
        "add tests for empty caches|add tests for `keep`|fix the cache of keys",
    ),
    (wording.filler_penalty, "fix some keys|add another key|use a better key|try to keep keys", "keep keys of users"),
    (
        wording.signs_penalty,
        "rename key -> value|keep keys / values|drop  keys|keep it. Drop it",
        "keep key/value pairs",
    ),
    (
        wording.ending_penalty,
        "keep keys of|keep keys,|keep keys (of users|keep `keys|more fixes",
        "keep keys (of users)",
    ),
    (
        wording.verbs_penalty,
        "fix cannot delete|add into sealed|fix for keys|move prevent state to hooks",
        "fix the deletion|add keys into stores",
    ),
    (wording.complaint_penalty, "fix the buffer being deleted|fix keys are lost", "fix keys when a user is gone"),
    (
        wording.statement_penalty,
        "keys should be kept|keep now|allow to keep keys|replace keys to values|change keys with values"
        "|check keys before load stores|add keys support|remove dependencies to keys|keep keys for specify users",
        "keep keys when nobody reads|allow keeping keys|replace keys with values|do not keep keys",
    ),
    (wording.repetition_penalty, "keep keep keys|fix test failure upload failure", "keep keys of keys"),
    (wording.spelling_penalty, "keep the begining|move task too pages", "skip keys that are too long"),
]


def penalty(rule: Callable[[Candidate], int], description: str) -> int:
    return rule(Candidate(f"fix: {description}", ""))


@pytest.mark.parametrize(
    ("rule", "description"),
    [(rule, said) for rule, bad, _ in CASES for said in bad.split("|")],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_a_fault_costs_more_than_a_good_commit_has_to_spare(rule: Callable[[Candidate], int], description: str) -> None:
    assert penalty(rule, description) == wording.FAULT


@pytest.mark.parametrize(
    ("rule", "description"),
    [(rule, said) for rule, _, good in CASES for said in good.split("|")],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_what_is_no_fault_costs_nothing(rule: Callable[[Candidate], int], description: str) -> None:
    assert penalty(rule, description) == 0


def test_unfinished_words_and_lists() -> None:
    assert penalty(wording.unfinished_penalty, "wip on the cache") == -10
    assert penalty(wording.unfinished_penalty, "swipe the cache") == 0
    assert penalty(wording.topics_penalty, "add a cache and drop a key") == wording.FAULT
    assert penalty(wording.topics_penalty, "keep keys and values") == -5
    assert penalty(wording.topics_penalty, "detect and report keys") == 0
