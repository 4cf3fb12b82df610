"""An audit finds every planted leak, and none in a clean dataset; what cannot be measured is said."""

import dataclasses
import hashlib
import json
import random
from pathlib import Path
from typing import Any

import pytest
from dataset_records import record, write

from joco_mlx.commit.record import Record
from joco_mlx.dataset.audit import AuditReport, audit
from joco_mlx.errors import InputError, UsageError, VerificationError

WORDS = [f"word{number}" for number in range(400)]
ADA, BOB, EVE = "a" * 16, "b" * 16, "e" * 16


def made(number: int, *, path: str = "", patch: str = "", **metadata: Any) -> Record:
    """A record like no other, on a day of its own."""
    dice = random.Random(number)
    words = [dice.choice(WORDS) for _ in range(80)]
    file = path or f"src/{words[0]}_{number}.py"
    lines = "".join(f"+{' '.join(words[at : at + 5])}\n" for at in range(0, 80, 5))
    diff = patch or (
        f"diff --git a/{file} b/{file}\nindex 1111111..2222222 100644\n--- a/{file}\n+++ b/{file}\n@@ -1 +1,17 @@\n a\n{lines}"
    )
    about = {"author": ADA, "authored_at": f"2024-{1 + number % 12:02}-01T00:00:00+00:00", **metadata}
    about.setdefault("commit_hash", hashlib.sha1(str(number).encode()).hexdigest())
    message = about.pop("message", f"fix: {words[1]} {words[7]} {words[13]} {words[19]}")
    return dataclasses.replace(record(number, message, **about), input=diff)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


def audited(
    folder: Path, train: list[Record], validation: list[Record], test: list[Record], **options: Any
) -> AuditReport:
    for name, records in (("train", train), ("validation", validation), ("test", test)):
        write(folder / f"{name}.jsonl", *records)
    return audit(folder, **options)


def clean() -> tuple[list[Record], list[Record], list[Record]]:
    return (
        [made(number) for number in range(20)],
        [made(number, author=BOB) for number in range(20, 24)],
        [made(number, author=EVE) for number in range(24, 28)],
    )


def test_a_clean_dataset(folder: Path) -> None:
    report = audited(folder, *clean())
    report.check()
    assert report.leaks == ()
    shown = report.to_json()
    assert shown["records"] == {"train": 20, "validation": 4, "test": 4}
    assert shown["clean"] is True
    for name in (
        "answers_in_diff_share",
        "near_duplicates_across_splits",
        "author_file_leakage_share",
        "exact_duplicates_across_splits",
        "same_commits_across_splits",
    ):
        assert shown[name] == 0, name
    assert json.loads(json.dumps(shown)) == shown


def test_near_duplicates_across_any_two_splits(folder: Path) -> None:
    train, validation, test = clean()
    near_train = made(30, patch=train[3].input + "+one more line\n")
    near_validation = made(31, patch=validation[2].input + "+one more line\n")
    report = audited(folder, train, validation, [*test, near_train, near_validation])
    assert report.near_duplicates_across_splits == 2
    with pytest.raises(VerificationError, match="records near one of another split: 2"):
        report.check()


def test_near_duplicates_inside_a_split_do_no_harm(folder: Path) -> None:
    train, validation, test = clean()
    again = made(30, patch=train[3].input + "+one more line\n")
    assert audited(folder, [*train, again], validation, test).leaks == ()


def test_equal_messages_and_equal_diffs_are_exact_duplicates(folder: Path) -> None:
    train, validation, test = clean()
    message = made(30, message=train[0].output)
    diff = made(31, patch=train[1].input.replace("1111111", "3333333"))
    report = audited(folder, train, [*validation, message], [*test, diff])
    assert report.exact_duplicates_across_splits == 2
    assert "records that repeat a diff or message of another split: 2" in report.leaks


def test_one_commit_on_both_sides(folder: Path) -> None:
    train, validation, test = clean()
    again = made(30, commit_hash=train[5].metadata.commit_hash[:12], author=BOB)
    report = audited(folder, train, [*validation, again], test)
    assert report.leaks == ("commits in two splits: 1",)


def test_answers_in_their_diffs(folder: Path) -> None:
    train, validation, test = clean()
    leaking = made(40)
    words = leaking.output.removeprefix("fix: ")
    leaking = dataclasses.replace(leaking, input=f"{leaking.input}+- {words}\n")
    report = audited(folder, [*train, leaking], validation, test)
    assert report.answers_in_diff_share == 1 / 29
    with pytest.raises(VerificationError, match=r"3\.4% of the answers stand in their diffs"):
        report.check()


@pytest.mark.parametrize(
    ("author", "path", "day", "share"),
    [
        (ADA, "src/store.py", "2024-01-08", 0.2),
        (ADA, "src/store.py", "2023-12-25", 0.2),
        (ADA, "src/store.py", "2024-01-09", 0),
        (ADA, "src/other.py", "2024-01-02", 0),
        (BOB, "src/store.py", "2024-01-02", 0),
    ],
)
def test_the_same_author_in_the_same_file_within_a_week(
    author: str, path: str, day: str, share: float, folder: Path
) -> None:
    train, validation, test = clean()
    work = made(30, path="src/store.py", author=ADA, authored_at="2024-01-01T00:00:00+00:00")
    after = made(31, path=path, author=author, authored_at=f"{day}T00:00:00+00:00")
    report = audited(folder, [*train, work], [*validation, after], test)
    assert report.author_file_leakage_share == share
    assert bool(report.leaks) is bool(share)


def test_one_repository_reports_its_authors_and_is_not_refused(folder: Path) -> None:
    train, validation, test = clean()
    work = made(30, path="src/store.py", authored_at="2024-01-01T00:00:00+00:00")
    after = made(31, path="src/store.py", authored_at="2024-01-02T00:00:00+00:00")
    report = audited(folder, [*train, work], [*validation, after], test, profile="single-repository")
    assert report.author_file_leakage_share == 0.2
    report.check()
    (folder / "manifest.json").write_text('{"config": {"profile": "single-repository"}}')
    assert audit(folder).leaks == ()
    (folder / "manifest.json").write_text("{")
    assert audit(folder).leaks


def foreign(item: Record) -> dict[str, Any]:
    return {"prompt": item.input, "completion": item.output}


def test_what_somebody_elses_dataset_does_not_say_is_not_measured(folder: Path) -> None:
    train, validation, _ = clean()
    for name, records in (("train", train), ("valid", [*validation, made(30, patch=train[0].input + "+more\n")])):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(foreign(item)) + "\n" for item in records))
    report = audit(folder)
    assert report.records == {"train": 20, "validation": 5, "test": 0}
    assert report.near_duplicates_across_splits == 1
    assert report.author_file_leakage_share is None
    assert report.bots is None
    assert [text.partition(":")[0] for text in report.not_measurable] == [
        "same_commits_across_splits",
        "author_file_leakage_share",
        "bots",
    ]


def case(item: Record, author: str = "Ada <ada@example.com>", **fields: str) -> dict[str, Any]:
    about = {"id": item.metadata.id, "repository": "tool", "commitHash": item.metadata.commit_hash}
    return {**about, "diff": item.input, "expectedMessage": item.output, "metadata": {"author": author}, **fields}


def test_benchmark_cases_in_training(folder: Path, tmp_path: Path) -> None:
    train, validation, test = clean()
    cases = [
        case(train[0]),
        case(made(50), commitHash=train[1].metadata.commit_hash),
        case(made(51), diff=train[2].input + "+more\n"),
        case(made(52)),
    ]
    path = tmp_path / "cases.jsonl"
    path.write_text("".join(json.dumps(item) + "\n" for item in cases))
    report = audited(folder, train, validation, test, against=path)
    assert report.to_json()["contamination"] == {
        "cases": 4,
        "same_commit": 2,
        "same_text": 1,
        "near": 2,
        "contaminated": 3,
    }
    with pytest.raises(VerificationError, match="3 of 4 benchmark cases are in training"):
        report.check()


def test_bots_are_counted_where_authors_are_named(folder: Path) -> None:
    train, *_ = clean()
    lines = [case(train[0]), case(train[1], "dependabot[bot] <x@example.com>")]
    (folder / "train.jsonl").write_text("".join(json.dumps(item) + "\n" for item in lines))
    assert audit(folder).bots == 1


def test_a_misspelt_profile_is_not_taken_for_one_that_must_not_leak(folder: Path) -> None:
    with pytest.raises(UsageError, match="--profile is 'single', which is not known") as caught:
        audited(folder, *clean(), profile="single")
    assert "single-repository" in caught.value.hint


def test_a_folder_without_training_records(folder: Path) -> None:
    with pytest.raises(InputError, match="no training records"):
        audit(folder)
    write(folder / "train.jsonl")
    with pytest.raises(InputError, match="no training records"):
        audit(folder)
