"""The type before the words: what is tried, what is taken, and that a real engine holds to it."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from joco_mlx.commit.grammar import TYPES
from joco_mlx.commit.message import is_valid, parse
from joco_mlx.commit.prompt import render
from joco_mlx.models.drafts import Draft
from joco_mlx.progress import Silent
from joco_mlx.suggest.engines import MlxEngine, choose
from joco_mlx.suggest.grammar import Form
from joco_mlx.suggest.type_first import answers, best, likeliest
from joco_mlx.suggest.type_prior import TypePrior

NOTHING = TypePrior(1.0, {}, {})
CODE = "diff --git a/a.py b/a.py\n--- a/a.py\n+++ b/a.py\n@@ -1 +1 @@\n-a\n+b\n"
"""A change that the path rules call a fix."""


class Read:
    """Prompts of which the model says what is given, and whose words are as likely as is given for each type."""

    def __init__(self, shares: Sequence[dict[str, float]], words: dict[str, float]) -> None:
        self.shares, self.words = shares, words
        self.asked: list[tuple[int, str]] = []

    def log_probabilities(self, beginnings: Sequence[str]) -> np.ndarray:
        return np.log([[row.get(kind, 1e-9) for kind in beginnings] for row in self.shares])

    def drafts(self, rows: Sequence[int], *, rules: tuple[object, Sequence[str]], **_: object) -> list[Draft]:
        kinds = [next(kind for kind in TYPES if f"/({kind})" in grammar) for grammar in rules[1]]
        self.asked = list(zip(rows, kinds, strict=True))
        return [Draft(f"{kind}: words", self.words.get(kind, -9.0)) for kind in kinds]


class Fake:
    def __init__(self, read: Read) -> None:
        self.given = read

    def read(self, prompts: Sequence[str]) -> Read:
        return self.given

    def rules(self) -> None:
        return None


def ask(read: Read, *, tried: int, prior: TypePrior = NOTHING, form: Form | None = None) -> list[str]:
    made = answers(
        Fake(read), [""] * len(read.shares), [CODE] * len(read.shares),  # type: ignore[arg-type]
        form=form or Form(), prior=prior, tried=tried, temperature=0.0, max_tokens=9, seeds=[0] * len(read.shares),
    )  # fmt: skip
    return [one.text for one in made]


def test_the_likeliest_type_is_written_and_only_that() -> None:
    read = Read([{"fix": 0.6, "feat": 0.4}, {"docs": 0.9, "fix": 0.1}], {})
    assert ask(read, tried=1) == ["fix: words", "docs: words"]
    assert read.asked == [(0, "fix"), (1, "docs")]


def test_type_and_words_together_decide() -> None:
    """First log 0.6 - 3 = -3.5 against log 0.4 - 1 = -1.9, then log 0.95 - 3 = -3.05 against log 0.05 - 1 = -4.0."""
    read = Read([{"fix": 0.6, "feat": 0.4}, {"fix": 0.95, "feat": 0.05}], {"fix": -3.0, "feat": -1.0})
    assert ask(read, tried=2) == ["feat: words", "fix: words"]
    assert read.asked == [(0, "fix"), (0, "feat"), (1, "fix"), (1, "feat")]


def test_a_prior_and_a_form_come_first() -> None:
    read = Read([{"fix": 0.6, "feat": 0.4}], {})
    assert ask(read, tried=1, prior=TypePrior(1.0, {"feat": 1.0}, {})) == ["feat: words"]
    assert ask(read, tried=1, prior=TypePrior(1.0, {}, {"fix": {"docs": 50.0}})) == ["docs: words"]
    assert ask(read, tried=3, form=Form(types=("perf",))) == ["perf: words"]


def test_equals_are_taken_in_order() -> None:
    assert likeliest(np.zeros(len(TYPES)), TYPES, 2) == list(TYPES[:2])
    assert best([1.0, 3.0, 3.0, 9.0], [0, 0, 0, 1], 0) == 1


@pytest.mark.parametrize("kind", ["ci", "refactor"])
def test_a_model_writes_on_from_the_type(tiny_model: Callable[..., Path], kind: str) -> None:
    engine = MlxEngine(choose(str(tiny_model("qwen2")), progress=Silent()), progress=Silent())
    prompts = [render(engine.template, text) for text in ("+ one", "+ two, and more")]
    made = answers(
        engine, prompts, [CODE, ""], form=Form(), prior=TypePrior(1.0, {kind: 99.0}, {}), tried=2,
        temperature=0.0, max_tokens=10, seeds=[0, 0],
    )  # fmt: skip
    assert [parse(one.text).type for one in made] == [kind, kind]  # type: ignore[union-attr]
    assert all(is_valid(one.text) for one in made)
