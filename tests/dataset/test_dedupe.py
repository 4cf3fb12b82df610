"""Near-duplicates: judged against comparing every pair, and against rules of thumb that a reader can check."""

import dataclasses
import itertools
import random
import tracemalloc
from typing import Any

import numpy as np
import pytest
from dataset_records import PATCH, record

from joco_mlx.commit.record import Record
from joco_mlx.dataset import dedupe
from joco_mlx.dataset.dedupe import (
    DIFF_BANDING,
    DIFF_JACCARD,
    MESSAGE_BANDING,
    MESSAGE_JACCARD,
    MINIMUM_SHINGLES,
    Banding,
    deduplicate,
    exact_earlier,
    near_earlier,
)
from joco_mlx.dataset.shingles import Shingles, diff_shingles, jaccard, message_shingles

WORDS = [f"word{number}" for number in range(400)]


def varied(seed: int) -> str:
    """A diff of 120 words, no two seeds alike."""
    dice = random.Random(seed)
    lines = "".join("+" + " ".join(dice.choice(WORDS) for _ in range(6)) + "\n" for _ in range(20))
    return PATCH.format(number=seed) + lines


def changed(patch: str, share: float, seed: int) -> str:
    """`patch` with a share of its words replaced."""
    dice = random.Random(seed)
    return " ".join(dice.choice(WORDS) if dice.random() < share else word for word in patch.split(" "))


def made(number: int, patch: str, output: str | None = None) -> Record:
    return dataclasses.replace(
        record(number, output or f"fix: {WORDS[number]} {WORDS[-number]} {number * 7919}"), input=patch
    )


def brute(sets: list[np.ndarray], threshold: float) -> set[int]:
    return {
        place
        for place, shingles in enumerate(sets)
        if shingles.size >= MINIMUM_SHINGLES
        and any(o.size >= MINIMUM_SHINGLES and jaccard(o, shingles) >= threshold for o in sets[:place])
    }


def test_every_pair_is_found_that_comparing_all_pairs_finds() -> None:
    dice = random.Random(1)
    texts = [varied(seed) for seed in range(60)]
    texts += [changed(dice.choice(texts), dice.uniform(0, 0.4), seed) for seed in range(240)]
    sets = [diff_shingles(text) for text in texts]
    wanted = brute(sets, DIFF_JACCARD)
    found = near_earlier(sets, DIFF_JACCARD, DIFF_BANDING)
    assert 60 < len(wanted) < 240
    assert set(found) == wanted
    assert all(jaccard(sets[place], sets[other]) >= DIFF_JACCARD and other < place for place, other in found.items())


@pytest.mark.parametrize(("banding", "threshold"), [(DIFF_BANDING, DIFF_JACCARD), (MESSAGE_BANDING, MESSAGE_JACCARD)])
def test_hardly_any_pair_at_the_threshold_is_missed(banding: Banding, threshold: float) -> None:
    assert banding.recall(threshold) > 0.999


def test_the_same_texts_give_the_same_answer() -> None:
    sets = [diff_shingles(changed(varied(seed % 7), 0.1, seed)) for seed in range(40)]
    assert near_earlier(sets, 0.5, DIFF_BANDING) == near_earlier(sets, 0.5, DIFF_BANDING)


def test_hashes_are_those_of_every_machine() -> None:
    assert diff_shingles("a b c d").tolist() == [1363390362, 1608770086]
    assert message_shingles("Abcd").tolist() == message_shingles("  abcd ").tolist()


def test_similarity_is_exact() -> None:
    first, second = diff_shingles("a b c d e"), diff_shingles("b c d e f")
    assert jaccard(first, second) == 2 / 4
    assert jaccard(diff_shingles(""), diff_shingles("")) == 0


def test_line_numbers_and_object_names_do_not_count() -> None:
    moved = PATCH.replace("@@ -1 +1,2 @@", "@@ -70 +71,2 @@").replace("1111111..2222222", "3333333..4444444")
    assert jaccard(diff_shingles(PATCH), diff_shingles(moved)) == 1


def test_short_texts_are_near_nothing() -> None:
    short = message_shingles("fix: typo")
    assert short.size < MINIMUM_SHINGLES
    assert near_earlier([short, short], 0.8, MESSAGE_BANDING) == {}


def test_only_pairs_of_different_groups_count_when_there_are_groups() -> None:
    sets = [diff_shingles(varied(1))] * 4
    assert near_earlier(sets, 0.5, DIFF_BANDING, [0, 0, 1, 1]) == {2: 0, 3: 0}
    assert exact_earlier(["a", "a", "a", "b"], [0, 0, 1, 1]) == {2: 0}
    assert exact_earlier(["a", "b", "a", "a"]) == {2: 0, 3: 0}


class Asked(list[int]):
    """Groups that count how often they are asked for one."""

    times = 0

    def __getitem__(self, place: Any) -> Any:
        self.times += 1
        return super().__getitem__(place)


def test_copies_within_a_group_are_not_compared_pair_by_pair() -> None:
    groups = Asked([0] * 300 + [1])
    assert near_earlier([diff_shingles(varied(1))] * 301, 0.5, DIFF_BANDING, groups) == {300: 0}
    assert groups.times == 301


@pytest.mark.parametrize("interleaved", [False, True])
def test_groups_are_compared_as_every_pair_of_them_would_be(interleaved: bool) -> None:
    dice = random.Random(2)
    texts = [varied(seed) for seed in range(20)]
    texts += [changed(dice.choice(texts), dice.uniform(0, 0.3), seed) for seed in range(80)]
    sets = [diff_shingles(text) for text in texts]
    groups = [place % 3 if interleaved else place // 34 for place in range(100)]
    pairs = itertools.combinations(range(100), 2)
    near = {two for one, two in pairs if groups[one] != groups[two] and jaccard(sets[one], sets[two]) >= DIFF_JACCARD}
    found = near_earlier(sets, DIFF_JACCARD, DIFF_BANDING, groups)
    assert 20 < len(near) < 80
    assert set(found) == near
    assert all(groups[place] != groups[other] and other < place for place, other in found.items())


def test_pairs_that_are_not_near_are_compared_once_and_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    dice = np.random.default_rng(3)
    shared = dice.integers(0, 2**32, 110, np.uint32)
    sets = [np.unique(np.concatenate([shared, dice.integers(0, 2**32, 70, np.uint32)])) for _ in range(240)]
    compared = 0

    def counted(one: Shingles, two: Shingles) -> float:
        nonlocal compared
        if not compared:
            tracemalloc.start()  # not before, for sketches are larger than what is looked for
        compared += 1
        return jaccard(one, two)

    monkeypatch.setattr(dedupe, "jaccard", counted)
    try:
        assert near_earlier(sets, DIFF_JACCARD, DIFF_BANDING) == {}
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    pairs = 240 * 239 // 2
    assert pairs * 0.9 < compared <= pairs
    assert peak_bytes < pairs * 20  # a set of the pairs takes more than a hundred for each


def test_the_earliest_stays_and_the_others_say_why_they_went() -> None:
    patch = varied(3)
    records = [
        made(1, patch),
        made(2, varied(4)),
        made(3, changed(patch, 0.05, 9)),
        made(4, varied(5), "fix(store): keep the value alive when its owner has gone"),
        made(5, varied(6), "fix(store): keep the value alive when its owner had gone"),
        made(6, varied(7), "fix(store): keep the value alive when its owner has gone"),
        made(7, patch.replace("1111111", "7777777")),
    ]
    done = deduplicate(records)
    assert list(done.kept) == [records[0], records[1], records[3]]
    assert [(item.reason, item.earlier) for item in done.dropped] == [
        ("near-diff", records[0]),
        ("near-message", records[3]),
        ("duplicate", records[3]),
        ("duplicate", records[0]),
    ]


def test_what_stays_has_no_near_pair() -> None:
    chain = [varied(1)]
    for seed in range(12):
        chain.append(changed(chain[-1], 0.12, seed))
    kept = deduplicate([made(number, patch) for number, patch in enumerate(chain, 1)]).kept
    sets = [diff_shingles(item.input) for item in kept]
    assert brute(sets, DIFF_JACCARD) == set()
    assert len(chain) > len(kept) > 0


def test_nothing_in_nothing_out() -> None:
    assert deduplicate([]).kept == ()
    assert near_earlier([], 0.5, DIFF_BANDING) == {}
