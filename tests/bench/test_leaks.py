"""Five of fifty cases are put into the training data in each form; exactly these are found."""

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from bench_records import record

from joco_mlx import artifacts
from joco_mlx.bench.cases import as_cases
from joco_mlx.bench.leaks import find_leaks
from joco_mlx.bench.run import training_records
from joco_mlx.bench.subject import Subject
from joco_mlx.commit.record import Record
from joco_mlx.errors import InputError

CASES = as_cases(record(number) for number in range(50))
LEAKED = (3, 11, 20, 38, 47)


def renamed(patch: str) -> str:
    return re.sub(r"(src|docs|tests)/\w+\.(py|md)", r"packages/core/lib/moved.\2", patch)


def reformatted(patch: str) -> str:
    """Other indentation, line breaks, quotes and blanks in the added lines."""
    head, _, body = patch.partition("@@ -")
    lines = body.partition("\n")[2].replace("+", "").replace("(", "(\n").replace(")", '"\n)').split("\n")
    return f"{head}@@ -0,0 +1,{len(lines)} @@\n" + "".join(f"+        {line}\n" for line in lines)


def other(original: Record, patch: str, number: int) -> Record:
    """The same diff in another form, with another message and hash."""
    stranger = record(1_000 + number)
    return dataclasses.replace(stranger, input=patch)


FORMS: dict[str, Callable[[Record, int], Record]] = {
    "exact": lambda r, n: other(r, r.input, n),
    "renamed paths": lambda r, n: other(r, renamed(r.input), n),
    "reformatted": lambda r, n: other(r, reformatted(r.input), n),
    "renamed and reformatted": lambda r, n: other(r, reformatted(renamed(r.input)), n),
    "a line changed": lambda r, n: other(r, r.input.replace("+", "+one_more ", 3), n),
    "same commit": lambda r, n: record(2_000 + n, commit_hash=r.metadata.commit_hash[:12], author=r.metadata.author),
    "same message": lambda r, n: record(3_000 + n, r.output),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_planted_case_is_found_and_no_other(form: str) -> None:
    train = [record(number) for number in range(100, 180)]
    train += [FORMS[form](CASES[number].record, number) for number in LEAKED]
    found = find_leaks(train, CASES)
    assert set(found.ways) == {CASES[number].key for number in LEAKED}
    with pytest.raises(InputError, match="5 of 50 cases stand in the training data data"):
        found.refuse("data")


def test_a_clean_set_is_clean() -> None:
    found = find_leaks([record(number) for number in range(100, 180)], CASES)
    assert found.ways == {}
    found.refuse("data")


def test_short_changes_are_not_alike_by_chance() -> None:
    patch = "diff --git a/{0} b/{0}\n--- a/{0}\n+++ b/{0}\n@@ -1 +1 @@\n-version = 1.2.3\n+version = 1.2.4\n"
    paths = ("packages/core/engine/build/project.toml", "services/mail/queue/worker/release.cfg")
    one, two = (dataclasses.replace(record(n), input=patch.format(path)) for n, path in enumerate(paths))
    assert find_leaks([one], as_cases([two])).ways == {}


@pytest.fixture
def known(make_dataset: Callable[..., Path]) -> Subject:
    """Something that was trained on a dataset whose digest was written down."""
    folder = make_dataset([record(number) for number in range(5)])
    digest = artifacts.sha256(folder / "manifest.json")
    return Subject("mine", {}, "", folder, digest, lambda: pytest.fail("asked"))


def test_the_dataset_of_a_run_is_read(known: Subject) -> None:
    assert [one.metadata.id for one in training_records(known)] == [f"tool-{number}" for number in range(5)]


def cut(folder: Path) -> None:
    split = folder / "train.jsonl"
    split.write_bytes(b"".join(split.read_bytes().splitlines(keepends=True)[3:]))


def sealed_again(folder: Path) -> None:
    cut(folder)
    artifacts.seal(folder, "dataset", config={}, parents={}, files=list(folder.glob("*.jsonl")))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (cut, r"train\.jsonl was changed after it was finished"),
        (lambda folder: (folder / "manifest.json").unlink(), r"has no manifest\.json"),
        (sealed_again, "is not the one that mine was trained on any more"),
    ],
    ids=["records cut off", "no manifest", "another dataset"],
)
def test_records_that_were_changed_since_hide_no_leak(
    known: Subject, change: Callable[[Path], None], told: str
) -> None:
    assert known.train is not None
    change(known.train)
    with pytest.raises(InputError, match=told):
        training_records(known)
    named = dataclasses.replace(known, train_digest=None)  # as with --train: whoever names it answers for it
    assert training_records(named)
