"""Several prompts at once: the same answers as one after the other, free and held to a grammar."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from joco_mlx.commit.message import is_valid
from joco_mlx.commit.prompt import render
from joco_mlx.models.batched import Reading
from joco_mlx.models.drafts import Constraint, Memory, draft
from joco_mlx.models.folder import ModelFolder, open_folder
from joco_mlx.models.load import load_model
from joco_mlx.models.tokens import Tokenizer
from joco_mlx.suggest.grammar import Form

DIFFS = ["+ one line", "+ another, quite a lot longer than the others\n- and\n- more", "", "+ x = 1\n" * 30]


WINDOWS = {"layer_types": ["full_attention", "sliding_attention"], "sliding_window": 8}


@pytest.fixture(params=["qwen2", "sliding"])
def opened(
    tiny_model: Callable[..., Path], tmp_path: Path, request: pytest.FixtureRequest
) -> tuple[object, Tokenizer, ModelFolder]:
    """A model that remembers everything, and one whose second layer forgets what its window has moved past."""
    path = tiny_model("qwen2")
    if request.param == "sliding":
        path = shutil.copytree(tiny_model("llama"), tmp_path / "sliding")
        config = json.loads((path / "config.json").read_text())
        (path / "config.json").write_text(json.dumps({**config, **WINDOWS}))
    folder = open_folder(path)
    return load_model(folder), Tokenizer.from_folder(folder.path), folder


@pytest.mark.parametrize("grammar", [None, Form().grammar()], ids=["free", "constrained"])
def test_together_they_are_what_each_is_alone(
    opened: tuple[object, Tokenizer, ModelFolder], grammar: str | None
) -> None:
    model, tokenizer, folder = opened
    prompts = [render(folder.template, text) for text in DIFFS]
    held = Constraint(tokenizer, folder.template) if grammar else None
    together = Reading(model, tokenizer, folder.template, prompts).drafts(
        range(len(prompts)),
        rules=(held, [grammar] * len(prompts)) if held and grammar else None,
        temperature=0.0, max_tokens=12, seeds=[0] * len(prompts),
    )  # fmt: skip
    for prompt, made in zip(prompts, together, strict=True):
        rules = (held, grammar) if held and grammar else None
        alone = draft(model, tokenizer, folder.template, prompt, rules=rules, temperatures=[0.0], max_tokens=12)
        assert made.text == alone[0].text
        assert made.likelihood == pytest.approx(alone[0].likelihood, abs=1e-3)
        assert not grammar or is_valid(made.text)


def test_several_drafts_begin_where_the_prompt_ended(opened: tuple[object, Tokenizer, ModelFolder]) -> None:
    model, tokenizer, folder = opened
    prompt, memory = render(folder.template, DIFFS[1]), Memory()
    for _ in range(2):  # the second time the prompt is remembered
        made = draft(
            model, tokenizer, folder.template, prompt, rules=None, temperatures=[0.0] * 3, max_tokens=12, memory=memory
        )
        assert made[0] == made[1] == made[2]


def test_each_prompt_has_its_own_seed_and_its_own_grammar(opened: tuple[object, Tokenizer, ModelFolder]) -> None:
    model, tokenizer, folder = opened
    prompts = [render(folder.template, "+ the same")] * 3
    held = Constraint(tokenizer, folder.template)
    forms = [Form(types=(name,)).grammar() for name in ("fix", "docs", "docs")]

    reading = Reading(model, tokenizer, folder.template, prompts)

    def ask(seeds: list[int]) -> list[str]:
        made = reading.drafts(
            range(3), rules=(held, forms), temperature=1.0, max_tokens=12, seeds=seeds,
        )  # fmt: skip
        return [one.text for one in made]

    first = ask([1, 2, 2])
    assert [text.partition("(")[0].partition(":")[0].rstrip("!") for text in first] == ["fix", "docs", "docs"]
    assert first[1] == first[2]
    assert ask([1, 2, 3])[:2] == first[:2]
    assert ask([1, 3, 2])[1] != first[1]


def test_one_prompt_may_be_answered_more_than_once(opened: tuple[object, Tokenizer, ModelFolder]) -> None:
    model, tokenizer, folder = opened
    reading = Reading(model, tokenizer, folder.template, [render(folder.template, text) for text in DIFFS[:2]])

    def ask(rows: list[int]) -> list[str]:
        made = reading.drafts(rows, rules=None, temperature=0.0, max_tokens=6, seeds=[0] * len(rows))
        return [one.text for one in made]

    first, second = ask([0, 1])
    assert first != second
    assert ask([1, 0, 1]) == [second, first, second]
    assert ask([0, 1]) == [first, second]


def test_beginnings_are_as_likely_as_one_whole_pass_says(opened: tuple[object, Tokenizer, ModelFolder]) -> None:
    """Judged by the scores of one pass over prompt and beginning, without any memory."""
    from joco_mlx.models.compute import mx

    model, tokenizer, folder = opened
    prompts = [render(folder.template, text) for text in DIFFS[:2]]
    beginnings = ["refactor", "revert", "fix", "feat", "docs"]
    found = Reading(model, tokenizer, folder.template, prompts).log_probabilities(beginnings)
    for row, prompt in enumerate(prompts):
        for place, text in enumerate(beginnings):
            start, end = tokenizer.encode_prompt(prompt), tokenizer.encode(text)
            scores = model(mx.array([*start, *end])[None])[0]  # type: ignore[operator]
            steps = [scores[len(start) - 1 + at] for at in range(len(end))]
            parts = [step[token] - mx.logsumexp(step) for step, token in zip(steps, end, strict=True)]
            assert found[row, place] == pytest.approx(sum(float(part) for part in parts), abs=1e-3)
