"""Our figures beside those of the command lines that others compute them with, on the same texts."""

import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from joco_mlx.bench.cases import as_cases
from joco_mlx.bench.metrics import metrics
from joco_mlx.bench.results import Result
from joco_mlx.bench.scores import judge
from joco_mlx.bench.text import chrf, rouge_l
from joco_mlx.commit.record import INSTRUCTION, Metadata, Record

PAIRS = (
    ("add the parser for unified diffs", "add a parser of unified diffs"),
    ("close the connection when the server answers 404", "close connections after a 404"),
    ("update README", "describe how a dataset is made from git history"),
    ("drop support for python 3.10", "drop support for python 3.10"),
    ("use `read_text` in place of open()", "read files with `read_text`"),
    ("handle naïve dates", "handle naive dates in the log"),
    ("x", "make it work"),
)
HEADERS = ("feat: {}", "fix(core): {}", "docs: {}", "chore!: {}", "refactor: {}", "fix: {}", "{}")
ABOUT = Metadata(id="x", repository="r", commit_hash="0" * 40, author="0" * 16, type="", scope=None, quality_score=0)


def python_m(*words: str, folder: Path) -> str:
    done = subprocess.run([sys.executable, "-m", *words], capture_output=True, text=True, cwd=folder, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_chrf_is_the_sacrebleu_commands(tmp_path: Path) -> None:
    for name, column in (("answers.txt", 0), ("references.txt", 1)):
        (tmp_path / name).write_text("".join(f"{pair[column]}\n" for pair in PAIRS), "utf-8")
    for number, (answer, reference) in enumerate(PAIRS[:1]):
        (tmp_path / f"a{number}").write_text(answer + "\n")
        (tmp_path / f"r{number}").write_text(reference + "\n")
        told = python_m("sacrebleu", f"r{number}", "-i", f"a{number}", "-m", "chrf", "-b", "-w", "6", folder=tmp_path)
        assert chrf(answer, reference) == pytest.approx(float(told) / 100, abs=1e-7)
    lines = python_m(
        "sacrebleu", "references.txt", "-i", "answers.txt", "-m", "chrf", "--sentence-level", "-w", "6", folder=tmp_path
    ).splitlines()
    theirs = [float(line.partition(" = ")[2]) / 100 for line in lines]
    assert theirs == pytest.approx([chrf(*pair) for pair in PAIRS], abs=1e-7)


def test_rouge_l_is_the_rouge_commands(tmp_path: Path) -> None:
    for name, column in (("answers.txt", 0), ("references.txt", 1)):
        (tmp_path / name).write_text("".join(f"{pair[column]}\n" for pair in PAIRS), "utf-8")
    python_m(
        "rouge_score.rouge", "--target_filepattern=references.txt", "--prediction_filepattern=answers.txt",
        "--output_filename=out.csv", "--rouge_types=rougeL", "--aggregate=false", folder=tmp_path,
    )  # fmt: skip
    with (tmp_path / "out.csv").open() as file:
        theirs = [float(row["rougeL-F"]) for row in csv.DictReader(file)]
    assert theirs == pytest.approx([rouge_l(*pair) for pair in PAIRS], abs=1e-5)


def test_a_run_says_what_scikit_learn_says_of_the_types() -> None:
    """Accuracy, macro-F1 over the types of people, and the confusion."""
    from sklearn.metrics import accuracy_score, confusion_matrix, f1_score

    wanted = [HEADERS[number % 6].format("do it") for number in range(90)]
    dice = np.random.default_rng(5)
    given = [HEADERS[(number + int(dice.integers(0, 3))) % 7].format("do that") for number in range(90)]
    cases = as_cases(Record(INSTRUCTION, f"+{n}", message, ABOUT) for n, message in enumerate(wanted))
    results = [Result.of(case, a, None, judge(a, case.record.output, "")) for case, a in zip(cases, given, strict=True)]
    types = [[result.reference_type for result in results], [result.scores.type or "(none)" for result in results]]
    found = metrics(results, seed=0)
    known = sorted(set(types[0]))  # type: ignore[type-var]
    assert found["type_accuracy"]["value"] == pytest.approx(accuracy_score(*types), abs=1e-6)
    assert found["macro_f1"]["value"] == pytest.approx(f1_score(*types, labels=known, average="macro"), abs=1e-6)
    labels = sorted({*types[0], *types[1]})  # type: ignore[type-var]
    table = confusion_matrix(*types, labels=labels)
    assert {(a, b): n for a, row in found["confusion"].items() for b, n in row.items()} == {
        (labels[i], labels[j]): int(table[i, j]) for i, j in np.argwhere(table)
    }
