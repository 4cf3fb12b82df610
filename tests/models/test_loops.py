"""No answer goes round and round, whichever way it is decoded."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from joco_mlx.commit.message import is_valid
from joco_mlx.commit.prompt import render
from joco_mlx.models import drafts, generate
from joco_mlx.models.drafts import Constraint, draft
from joco_mlx.models.folder import ModelFolder, open_folder
from joco_mlx.models.load import load_model
from joco_mlx.models.loops import LONGEST_REPEAT, repeating
from joco_mlx.models.tokens import Tokenizer
from joco_mlx.suggest.grammar import Form


def has_repeat(ids: list[int]) -> bool:
    runs = [tuple(ids[start : start + LONGEST_REPEAT]) for start in range(len(ids) - LONGEST_REPEAT + 1)]
    return len(set(runs)) < len(runs)


@given(st.lists(st.integers(0, 2), max_size=30), st.integers(0, 2))
def test_just_those_tokens_that_close_a_loop_are_named(answer: list[int], token: int) -> None:
    if not has_repeat(answer):
        assert has_repeat([*answer, token]) == (token in repeating(answer))


@pytest.mark.parametrize("answer", [[], [1], [1, 1, 1, 1], [1, 2, 3, 1, 2, 3]])
def test_short_repeats_are_fine(answer: list[int]) -> None:
    assert repeating(answer) == frozenset()


def test_the_fifth_token_of_a_run_is_stopped() -> None:
    assert repeating([7, 7, 7, 7, 7]) == {7}
    assert repeating([1, 2, 3, 4, 5, 9, 1, 2, 3, 4]) == {5}


Opened = tuple[object, Tokenizer, ModelFolder]


@pytest.fixture(scope="module")
def opened(tiny_model: Callable[..., Path]) -> Opened:
    folder = open_folder(tiny_model("qwen2", dtype="float32"))
    return load_model(folder), Tokenizer.from_folder(folder.path), folder


def free(opened: Opened) -> list[list[int]]:
    """What both ways to decode say, as ids."""
    model, tokenizer, folder = opened
    prompt = render(folder.template, "+ a line")
    one = generate.complete(model, tokenizer, folder.template, prompt, max_tokens=90)
    two = draft(model, tokenizer, folder.template, prompt, rules=None, temperatures=[0.0], max_tokens=90)[0].text
    return [tokenizer.encode(text) for text in (one, two)]


def test_a_random_model_goes_round_and_is_stopped(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not any(map(has_repeat, free(opened)))
    for module in (generate, drafts):
        monkeypatch.setattr(module, "repeating", lambda _: frozenset())
    assert all(map(has_repeat, free(opened)))


def test_a_grammar_still_gets_its_header(opened: Opened) -> None:
    model, tokenizer, folder = opened
    rules = (Constraint(tokenizer, folder.template), Form().grammar())
    prompt = render(folder.template, "+ a line")
    made = draft(model, tokenizer, folder.template, prompt, rules=rules, temperatures=[0.0], max_tokens=60)
    assert is_valid(made[0].text)
