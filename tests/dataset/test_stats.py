"""The numbers of a dataset, and the card that tells them."""

import json
from pathlib import Path

import pytest
from dataset_records import record, write

from joco_mlx.config import CurateConfig
from joco_mlx.dataset.card import card
from joco_mlx.dataset.split import Splits
from joco_mlx.dataset.stats import Lengths, Stats, describe, stats
from joco_mlx.errors import InputError


@pytest.fixture
def made() -> Stats:
    train = (
        record(1, "feat(api): add a door"),
        record(2, "feat(ui): add a window"),
        record(3, "fix: open the door", repository="other"),
    )
    return describe(Splits(train, (record(4, "docs(ui): show the window"),), ()))


def test_counts_have_the_most_frequent_first(made: Stats) -> None:
    assert (made.train, made.validation, made.test, made.records) == (3, 1, 0, 4)
    assert list(made.types.items()) == [("feat", 2), ("docs", 1), ("fix", 1)]
    assert list(made.scopes.items()) == [("ui", 2), ("(none)", 1), ("api", 1)]
    assert list(made.repositories.items()) == [("tool", 3), ("other", 1)]
    assert made.output_chars == Lengths(18, 21.5, 25)


def test_the_guides_five_rows(made: Stats) -> None:
    assert made.guide_rows() == [
        ("Training examples", "3"),
        ("Validation examples", "1"),
        ("Source repositories", "tool, other"),
        ("Average diff length", f"~{len(record(1).input)} chars"),
        ("Average output length", "~22 chars"),
    ]
    many = describe(Splits(tuple(record(n, repository=f"r{n}") for n in range(1_200)), (), ()))
    assert many.guide_rows()[0][1] == "1,200"
    assert many.guide_rows()[2][1] == "1,200"


def test_everything_is_json(made: Stats) -> None:
    told = json.loads(json.dumps(made.to_json()))
    assert told["training_examples"] == 3
    assert told["source_repositories"] == 2
    assert told["output_chars"] == {"minimum": 18, "mean": 21.5, "maximum": 25}
    assert told["average_output_chars"] == 21.5
    assert sum(told["types"].values()) == sum(told["scopes"].values()) == sum(told["repositories"].values()) == 4


def test_an_empty_dataset_has_numbers_too() -> None:
    assert describe(Splits((), (), ())).diff_chars == Lengths(0, 0.0, 0)


def test_stats_of_a_folder(tmp_path: Path) -> None:
    write(tmp_path / "train.jsonl", record(1), record(2, "Not conventional"))
    assert stats(tmp_path).types == {"(none)": 1, "fix": 1}
    with pytest.raises(InputError, match=r"absent is no dataset: it has no train\.jsonl"):
        stats(tmp_path / "absent")


def test_the_card_names_limits_files_and_sources(made: Stats) -> None:
    text = card(made, CurateConfig(minimum_score=80, maximum_diff_chars=4_000))
    front, body = text.removeprefix("---\n").split("\n---\n", 1)
    assert "path: train.jsonl" in front
    assert "path: validation.jsonl" in front
    assert "test.jsonl" not in front
    assert "n<1K" in front
    assert "4 commits from 2 repositories" in body
    assert "50 to 4,000 characters" in body
    assert "at least 80 of 100" in body
    assert "| Training examples | 3 |" in body
    assert "| other | 1 |" in body


def test_rare_scopes_are_summed_up() -> None:
    records = tuple(record(n, f"fix(s{n:02}): open the door") for n in range(30))
    text = card(describe(Splits(records, (), ())), CurateConfig())
    assert "| s11 | 1 |\n| 18 others | 18 |" in text


def test_a_pipe_in_a_name_does_not_break_a_table() -> None:
    text = card(describe(Splits((record(1, "fix(a|b): open the door"),), (), ())), CurateConfig())
    assert "| a\\|b | 1 |" in text
