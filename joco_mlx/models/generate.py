"""A model and a rendered prompt become text.

Decides how an answer is decoded (greedily unless a temperature is given), where it ends, and that sampling never
touches MLX's global random state, which belongs to training. Leaves the words of the prompt to `commit.prompt`.
"""

from collections.abc import Callable
from typing import Any

from joco_mlx.models.compute import mx, nn

# The line above loads a fast BLAS, which must happen before anything imports mlx.
# isort: split
from mlx_lm.generate import generate_step

from joco_mlx.commit.prompt import Template
from joco_mlx.models.loops import repeating
from joco_mlx.models.tokens import Tokenizer

PREFILL_TOKENS = 512
"""Prompt tokens read at once: bounds the memory that a long prompt takes."""


def complete(
    model: nn.Module,
    tokenizer: Tokenizer,
    template: Template,
    prompt: str,
    *,
    max_tokens: int,
    temperature: float = 0.0,
    seed: int = 0,
) -> str:
    """Return the model's answer to one prompt, without surrounding white space.

    The answer ends at the template's end token, at any other control token, where a new turn would start, or after
    `max_tokens`. It says nothing over and over: see `loops`.

    Args:
        model: From `load_model`, in inference mode.
        tokenizer: Of the same model.
        template: How the prompt was rendered.
        prompt: From `commit.prompt.render`, foreign text in it broken up by `commit.prompt.neutralise`.
        max_tokens: Longest answer.
        temperature: 0 takes the likeliest token each time; more draws from the distribution.
        seed: Of the draws; the same seed gives the same answer.
    """
    stops = {tokenizer.end_id(template), *tokenizer.control_tokens().values()}
    steps = generate_step(
        mx.array(tokenizer.encode_prompt(prompt)),
        model,
        max_tokens=max_tokens,
        sampler=_sampler(temperature, seed),
        logits_processors=[_unstuck()],
        prefill_step_size=PREFILL_TOKENS,
    )
    answer: list[int] = []
    for token, _ in steps:
        if token in stops:
            break
        answer.append(token)
        text = tokenizer.decode(answer)
        if any(marker in text for marker in template.markers):
            return _before_markers(text, template).strip()
    return tokenizer.decode(answer).strip()


def _before_markers(text: str, template: Template) -> str:
    return text[: min(text.find(marker) for marker in template.markers if marker in text)]


def _unstuck() -> Callable[[Any, Any], Any]:
    """Return a function from tokens (positions,) and scores (1, vocabulary) to scores under which no loop goes on."""
    before: int | None = None

    def cut(tokens: Any, scores: Any) -> Any:
        nonlocal before
        before = len(tokens) if before is None else before  # at first there are only tokens of the prompt
        looping = repeating(tokens[before:].tolist())
        if looping:
            scores[:, mx.array(sorted(looping))] = -mx.inf
        return scores

    return cut


def _sampler(temperature: float, seed: int) -> Callable[[Any], Any]:
    """Return a function from log-probabilities (1, vocabulary) to a token (1,)."""
    if temperature <= 0:
        return lambda scores: mx.argmax(scores, axis=-1)
    key = mx.random.key(seed)

    def draw(scores: Any) -> Any:
        nonlocal key
        key, now = mx.random.split(key)
        return mx.random.categorical(scores / temperature, key=now)

    return draw
