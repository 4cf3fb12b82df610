"""Baselines by hand, and that the learned ones learn."""

import sys

import pytest
from bench_records import record

from joco_mlx.bench.baselines import NAMES, make, named
from joco_mlx.bench.learned import type_words
from joco_mlx.commit.message import is_valid, parse
from joco_mlx.commit.record import Record
from joco_mlx.errors import InputError, MachineError, UsageError
from joco_mlx.suggest.type_words import WORD, text_of

TRAIN = [record(number) for number in range(120)]
CASES = [record(number) for number in range(200, 240)]


def accuracy(name: str) -> float:
    answer = make(named(f"baseline:{name}"), TRAIN)  # type: ignore[arg-type]
    return sum(parse(answer(case)).type == case.metadata.type for case in CASES) / len(CASES)  # type: ignore[union-attr]


def patch(*files: tuple[str, str]) -> Record:
    """A record that changes files, given as (status, path)."""
    parts = []
    for status, path in files:
        mode = "new file mode 100644\n" if status == "A" else ""
        old = "/dev/null" if status == "A" else f"a/{path}"
        parts.append(f"diff --git a/{path} b/{path}\n{mode}--- {old}\n+++ b/{path}\n@@ -1 +1,2 @@\n a\n+b\n")
    made = record(0)
    return Record(made.instruction, "".join(parts), made.output, made.metadata)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([("M", "docs/guide.md")], "docs: update guide"),
        ([("M", "tests/test_a.py"), ("A", "tests/test_b.py")], "test: update test_a"),
        ([("M", ".github/workflows/ci.yml")], "ci: update ci"),
        ([("M", "package.json"), ("M", "package-lock.json")], "build: update package"),
        ([("A", "src/cache.py"), ("M", "docs/guide.md")], "feat: update cache"),
        ([("M", "src/cache.py"), ("A", "tests/test_cache.py")], "fix: update cache"),
        ([("M", "CHANGELOG.md")], "chore: update CHANGELOG"),
    ],
)
def test_paths_by_hand(files: list[tuple[str, str]], message: str) -> None:
    assert make("paths", ())(patch(*files)) == message


def test_a_diff_of_nothing_still_gets_a_message() -> None:
    assert make("paths", ())(patch()) == "chore: update files"


def test_majority_says_the_commonest_type() -> None:
    train = [record(0, "docs: a"), record(1, "fix: b"), record(2, "docs: c")]
    assert parse(make("majority", train)(record(5))).type == "docs"  # type: ignore[union-attr]


def test_style_is_the_repositorys_own() -> None:
    train = [
        record(1, "feat(core): add one", repository="a"),
        record(2, "feat(core): add two", repository="a"),
        record(3, "fix: correct three", repository="b"),
    ]
    answer = make("style", train)
    assert answer(record(9, repository="a")).startswith("feat(core): add ")
    assert answer(record(9, repository="b")).startswith("fix: correct ")
    assert answer(record(9, repository="elsewhere")).startswith("feat(core): add ")


def test_neighbour_lends_the_nearest_message() -> None:
    assert make("neighbour", TRAIN)(TRAIN[17]) == TRAIN[17].output


def test_words_beat_the_majority() -> None:
    assert accuracy("majority") < 0.5
    assert accuracy("tfidf") > 0.9


@pytest.mark.parametrize("kinds", [2, 3])
def test_words_are_as_scikit_learn_has_them(kinds: int) -> None:
    """Its own pipeline on the same texts, of two types (one row of weights) and of more."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    names = [*dict.fromkeys(parse(one.output).type for one in TRAIN)][:kinds]  # type: ignore[union-attr]
    train = [one for one in TRAIN if parse(one.output).type in names]  # type: ignore[union-attr]
    vectors = TfidfVectorizer(token_pattern=WORD, sublinear_tf=True, min_df=1 if len(train) < 50 else 2)
    pipeline = make_pipeline(vectors, LogisticRegression(C=1.0, max_iter=1_000))
    pipeline.fit([text_of(one.input) for one in train], [parse(one.output).type for one in train])  # type: ignore[union-attr]
    diffs = [one.input for one in CASES]
    wanted = pipeline.predict_log_proba(list(map(text_of, diffs)))
    assert type_words(train).log_probabilities(diffs, pipeline.classes_) == pytest.approx(wanted, abs=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_every_answer_is_valid_and_says_nothing_of_the_reference(name: str) -> None:
    answer = make(named(f"baseline:{name}"), TRAIN)  # type: ignore[arg-type]
    for case in CASES[:8]:
        hidden = Record(case.instruction, case.input, "chore: hidden", case.metadata)
        assert is_valid(answer(case))
        assert answer(hidden) == answer(case)


def test_one_type_is_no_reason_to_fail() -> None:
    assert make("tfidf", [record(0, "fix: a"), record(4, "fix: b")])(record(8)).startswith("fix: ")


def test_unknown_and_untaught_baselines_are_refused() -> None:
    assert named("runs/x") is None
    with pytest.raises(UsageError, match="no baseline 'tfdif'"):
        named("baseline:tfdif")
    with pytest.raises(InputError, match="majority has nothing to learn from"):
        make("majority", [record(1, "no type here")])


def test_without_scikit_learn_the_command_that_brings_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from joco_mlx.bench import learned

    learned._sklearn.cache_clear()
    monkeypatch.setitem(sys.modules, "sklearn.feature_extraction.text", None)
    with pytest.raises(MachineError) as told:
        make("tfidf", TRAIN)
    assert "joco-mlx[bench]" in told.value.hint
