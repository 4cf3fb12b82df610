"""Several prompts at once: the same answers as one after the other, free and held to a grammar."""

from collections.abc import Callable
from pathlib import Path

import pytest

from joco_mlx.commit.message import is_valid
from joco_mlx.commit.prompt import render
from joco_mlx.models.batched import draft_each
from joco_mlx.models.drafts import Constraint, draft
from joco_mlx.models.folder import ModelFolder, open_folder
from joco_mlx.models.load import load_model
from joco_mlx.models.tokens import Tokenizer
from joco_mlx.suggest.grammar import Form

DIFFS = ["+ one line", "+ another, quite a lot longer than the others\n- and\n- more", "", "+ x = 1\n" * 30]


@pytest.fixture
def opened(tiny_model: Callable[..., Path]) -> tuple[object, Tokenizer, ModelFolder]:
    folder = open_folder(tiny_model("qwen2"))
    return load_model(folder), Tokenizer.from_folder(folder.path), folder


@pytest.mark.parametrize("grammar", [None, Form().grammar()], ids=["free", "constrained"])
def test_together_they_are_what_each_is_alone(
    opened: tuple[object, Tokenizer, ModelFolder], grammar: str | None
) -> None:
    model, tokenizer, folder = opened
    prompts = [render(folder.template, text) for text in DIFFS]
    held = Constraint(tokenizer, folder.template) if grammar else None
    together = draft_each(
        model, tokenizer, folder.template, prompts,
        rules=(held, [grammar] * len(prompts)) if held and grammar else None,
        temperature=0.0, max_tokens=12, seeds=[0] * len(prompts),
    )  # fmt: skip
    for prompt, made in zip(prompts, together, strict=True):
        rules = (held, grammar) if held and grammar else None
        alone = draft(model, tokenizer, folder.template, prompt, rules=rules, temperatures=[0.0], max_tokens=12)
        assert made.text == alone[0].text
        assert made.likelihood == pytest.approx(alone[0].likelihood, abs=1e-3)
        assert not grammar or is_valid(made.text)


def test_each_prompt_has_its_own_seed_and_its_own_grammar(opened: tuple[object, Tokenizer, ModelFolder]) -> None:
    model, tokenizer, folder = opened
    prompts = [render(folder.template, "+ the same")] * 3
    held = Constraint(tokenizer, folder.template)
    forms = [Form(types=(name,)).grammar() for name in ("fix", "docs", "docs")]

    def ask(seeds: list[int]) -> list[str]:
        made = draft_each(
            model, tokenizer, folder.template, prompts,
            rules=(held, forms), temperature=1.0, max_tokens=12, seeds=seeds,
        )  # fmt: skip
        return [one.text for one in made]

    first = ask([1, 2, 2])
    assert [text.partition("(")[0].partition(":")[0].rstrip("!") for text in first] == ["fix", "docs", "docs"]
    assert first[1] == first[2]
    assert ask([1, 2, 3])[:2] == first[:2]
    assert ask([1, 3, 2])[1] != first[1]
