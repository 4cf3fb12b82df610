"""Caps: who goes, who stays, and what a share is a share of."""

from collections import Counter

from dataset_records import record

from joco_mlx.commit.record import Record
from joco_mlx.config import BuildConfig
from joco_mlx.dataset.balance import balance, caps, quotas, type_of


def some(count: int, kind: str, start: int = 0, **about: object) -> list[Record]:
    return [record(start + number, f"{kind}: keep value {start + number}", **about) for number in range(count)]


def test_what_is_within_its_share_stays() -> None:
    records = [record(number, author=f"{number:016x}", repository=f"r{number % 5}") for number in range(40)]
    made = balance(records, BuildConfig(maximum_type_share=1.0))
    assert (made.kept, made.dropped) == (tuple(records), Counter())


def test_each_cap_takes_the_lowest_scores() -> None:
    records = [
        record(number, f"{'fix' if number % 2 else 'feat'}: keep value {number}", author=f"{number % 25:016x}")
        for number in range(50)
    ]
    config = BuildConfig(maximum_repository_share=0.5, maximum_author_share=0.1, maximum_type_share=1.0)
    loud = some(50, "docs", 100, repository="loud", quality_score=80, author="f" * 16)
    loud[7] = record(999, "docs: keep the best", repository="loud", quality_score=99, author="f" * 16)
    made = balance([*records, *loud], config)
    assert made.dropped == {"author-cap": 40}
    kept = [item for item in made.kept if item.metadata.repository == "loud"]
    assert len(kept) == 10
    assert loud[7] in kept
    assert [item for item in made.kept if item.metadata.repository == "tool"] == records


def test_one_kind_alone_is_not_cut() -> None:
    records = some(30, "fix")
    assert balance(records, BuildConfig()).kept == tuple(records)


def test_too_few_kinds_share_evenly() -> None:
    assert caps({"a": 90, "b": 10}, 0.1) == {"a": 50, "b": 10}
    assert caps({}, 0.1) == {}


def test_named_shares_are_shares_of_the_outcome() -> None:
    assert quotas({"fix": 70, "feat": 30}, {"fix": 0.5}) == {"fix": 30, "feat": 30}
    assert quotas({"fix": 70, "feat": 30}, {}) == {"fix": 70, "feat": 30}
    records = [*some(60, "fix"), *some(20, "feat", 100), *some(20, "docs", 200)]
    records = [
        record(n, item.output, author=f"{n:016x}", repository=f"r{n % 10}", type=item.metadata.type)
        for n, item in enumerate(records)
    ]
    made = balance(records, BuildConfig(maximum_type_share=1.0, type_shares=("fix=0.5", "feat=0.2")))
    counts = Counter(map(type_of, made.kept))
    assert counts["fix"] <= 0.5 * len(made.kept) + 1
    assert counts["feat"] <= 0.2 * len(made.kept) + 1
    assert counts["docs"] == 20


def test_the_outcome_does_not_depend_on_the_order() -> None:
    records = some(40, "fix", quality_score=80) + some(3, "feat", 100)
    there = balance(records, BuildConfig())
    back = balance(records[::-1], BuildConfig())
    assert there.kept == back.kept[::-1]
