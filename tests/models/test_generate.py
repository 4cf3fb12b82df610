"""Where an answer ends, and that sampling leaves the global random state alone."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from joco_mlx.commit.prompt import TEMPLATES, render
from joco_mlx.models import generate
from joco_mlx.models.compute import mx
from joco_mlx.models.drafts import Memory, draft
from joco_mlx.models.folder import ModelFolder, open_folder
from joco_mlx.models.load import load_model
from joco_mlx.models.tokens import Tokenizer

PROMPT = render(TEMPLATES["chatml"], "M src/main.py +2 -1 source\n+    return value + 1\n")


@pytest.fixture(scope="module")
def tiny(tiny_model: Callable[..., Path]) -> tuple[Any, Tokenizer, ModelFolder]:
    folder = open_folder(tiny_model("qwen2", dtype="float32"))
    return load_model(folder), Tokenizer.from_folder(folder.path), folder


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch, tiny: Any) -> Callable[[str], str]:
    """Let the model say a given text, and return what `complete` makes of it."""
    model, tokenizer, _ = tiny

    def say(text: str, template: str = "chatml") -> str:
        def steps(*arguments: Any, max_tokens: int, **options: Any) -> Iterator[tuple[int, None]]:
            for token in tokenizer.encode(text, control=True)[:max_tokens]:
                yield token, None

        monkeypatch.setattr(generate, "generate_step", steps)
        return generate.complete(model, tokenizer, TEMPLATES[template], PROMPT, max_tokens=40)

    return say


@pytest.mark.parametrize(
    ("said", "template", "expected"),
    [
        ("fix: a bug<|im_end|>\nmore", "chatml", "fix: a bug"),
        ("fix: a bug<|endoftext|>more", "chatml", "fix: a bug"),
        ("  fix: größe \n\n", "chatml", "fix: größe"),
        ("<|im_end|>", "chatml", ""),
        ("fix: a\n### Response:\nfix", "chatml", "fix: a\n### Response:\nfix"),
    ],
)
def test_an_answer_ends_where_its_turn_ends(
    scripted: Callable[..., str], said: str, template: str, expected: str
) -> None:
    assert scripted(said, template) == expected


@pytest.mark.parametrize("template", ["alpaca", "deepseek"])
def test_a_model_that_runs_on_is_cut_at_the_next_heading(
    scripted: Callable[..., str], template: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Tokenizer, "end_id", lambda self, template: 480)
    assert scripted("fix: a bug\n\n### Instruction:\nwrite another", template) == "fix: a bug"


def test_the_longest_answer_is_kept_to(tiny: Any) -> None:
    model, tokenizer, folder = tiny
    text = generate.complete(model, tokenizer, folder.template, PROMPT, max_tokens=3)
    assert len(tokenizer.encode(text)) <= 3


def test_greedy_answers_are_the_argmax_of_the_logits(tiny: Any) -> None:
    """Judge: the model itself without a cache, one token at a time."""
    model, tokenizer, folder = tiny
    ids = tokenizer.encode_prompt(PROMPT)
    answer: list[int] = []
    for _ in range(6):
        answer.append(int(mx.argmax(model(mx.array([ids + answer]))[0, -1]).item()))
    expected = tokenizer.decode(answer).strip()
    assert generate.complete(model, tokenizer, folder.template, PROMPT, max_tokens=6) == expected


def test_a_prompt_longer_than_one_prefill_gives_the_same_answer(tiny: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model, tokenizer, folder = tiny
    whole = generate.complete(model, tokenizer, folder.template, PROMPT, max_tokens=6)
    monkeypatch.setattr(generate, "PREFILL_TOKENS", 8)
    assert generate.complete(model, tokenizer, folder.template, PROMPT, max_tokens=6) == whole


def test_sampling_repeats_with_its_seed_and_leaves_the_global_state_alone(tiny: Any) -> None:
    model, tokenizer, folder = tiny
    mx.random.seed(5)
    before = mx.array(mx.random.state[0])

    def drawn(seed: int) -> str:
        return generate.complete(model, tokenizer, folder.template, PROMPT, max_tokens=12, temperature=1.5, seed=seed)

    assert drawn(1) == drawn(1) != drawn(2)
    assert mx.array_equal(mx.random.state[0], before)


def drafted(tiny: Any, prompt: str, **options: Any) -> list[str]:
    """Two drafts of an answer: the likeliest one, and one that was drawn."""
    model, tokenizer, folder = tiny
    heat = [0.0, 0.9]
    made = draft(
        model, tokenizer, folder.template, prompt, rules=None, temperatures=heat, max_tokens=8, seed=4, **options
    )
    return [one.text for one in made]


def test_what_is_remembered_of_a_prompt_changes_no_answer(tiny: Any) -> None:
    memory = Memory()
    prompts = [PROMPT, PROMPT, PROMPT.replace("assistant", "user"), PROMPT[: len(PROMPT) // 2], PROMPT]
    assert [drafted(tiny, one, memory=memory) for one in prompts] == [drafted(tiny, one) for one in prompts]


def test_only_what_is_new_is_read(tiny: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    monkeypatch.setattr("joco_mlx.models.drafts._read", lambda model, ids, cache: read.append(len(ids)))
    memory = Memory()
    for ids in ([1, 2, 3, 4], [1, 2, 9], [1, 2, 9]):
        cache = memory.take(tiny[0], ids)
        memory.keep(ids, cache)
    assert read == [4, 1, 0]


def test_a_watcher_hears_every_token_and_can_end_it(tiny: Any) -> None:
    heard: list[str] = []
    whole, _ = drafted(tiny, PROMPT, watch=heard.append)
    assert heard
    assert all(whole.startswith(text) for text in heard[:2])

    def stop(text: str) -> None:
        raise InterruptedError(text)

    memory = Memory()
    with pytest.raises(InterruptedError):
        drafted(tiny, PROMPT, watch=stop, memory=memory)
    assert drafted(tiny, PROMPT, memory=memory) == drafted(tiny, PROMPT)
