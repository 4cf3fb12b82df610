"""Several prompts are answered at once.

Decides how: every prompt is read by itself, because padding would cost as much as it saves, but what all of them begin
with is read once; then each step writes one token of every answer, which reads the weights once for all of them. On a
CPU device, where a step is as long as reading the weights takes, eight answers cost little more than two. Leaves what
is chosen in each row, grammar and all, to `drafts`.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from joco_mlx.commit.prompt import Template
from joco_mlx.models.compute import mx, nn

# The line above loads a fast BLAS, which must happen before anything imports mlx.
# isort: split
from mlx_lm.models.cache import make_prompt_cache

from joco_mlx.models.drafts import Constraint, Draft, Writer
from joco_mlx.models.generate import PREFILL_TOKENS
from joco_mlx.models.tokens import Tokenizer


def draft_each(
    model: nn.Module,
    tokenizer: Tokenizer,
    template: Template,
    prompts: Sequence[str],
    *,
    rules: tuple[Constraint, Sequence[str]] | None,
    temperature: float,
    max_tokens: int,
    seeds: Sequence[int],
) -> list[Draft]:
    """Return one draft for each prompt, in that order.

    The same prompts together give the same drafts. Other company may change the last bit of a score, and so, rarely, a
    word: matrix products round differently at other sizes.

    Args:
        model: From `load_model`, in inference mode.
        tokenizer: Of the same model.
        template: How the prompts were rendered.
        prompts: From `commit.prompt.render`.
        rules: The tokens that grammars are about, and a grammar for each prompt; None decodes freely.
        temperature: 0 takes the likeliest token each time; more draws from the distribution.
        max_tokens: Longest answer; see `drafts.draft`.
        seeds: Of the draws, one for each prompt.

    Raises:
        InputError: A grammar is none.
    """
    ids = [tokenizer.encode_prompt(prompt) for prompt in prompts]
    writers = []
    for number, seed in enumerate(seeds):
        matching = (rules[0], rules[0].matcher(rules[1][number])) if rules else None
        draw = np.random.default_rng(seed)
        writers.append(Writer(tokenizer, template, matching, temperature, max_tokens, draw))
    _write(model, _read_each(model, ids), writers, [row[-1] for row in ids])
    return [writer.draft() for writer in writers]


def _read_each(model: nn.Module, ids: Sequence[Sequence[int]]) -> list[Any]:
    """Return the model's memory of all prompts but for their last tokens, a row each."""
    shared = _beginning([row[:-1] for row in ids])
    first = make_prompt_cache(model)
    _read(model, first, shared)
    rows = []
    for row in ids:
        cache = [_copied(entry) for entry in first] if shared else make_prompt_cache(model)
        _read(model, cache, row[len(shared) : -1])
        rows.append(cache)
    return [type(layer).merge([row[number] for row in rows]) for number, layer in enumerate(first)]


def _beginning(rows: Sequence[Sequence[int]]) -> Sequence[int]:
    """Return what all of `rows` begin with."""
    ends = (place for place, column in enumerate(zip(*rows, strict=False)) if len(set(column)) > 1)
    return rows[0][: next(ends, min(map(len, rows)))]


def _copied(entry: Any) -> Any:
    """Return one layer's memory that can be written without writing `entry`; mlx-lm writes into its arrays."""
    return type(entry).from_state([part[...] if isinstance(part, mx.array) else part for part in entry.state])


def _read(model: nn.Module, cache: Sequence[Any], ids: Sequence[int]) -> None:
    for start in range(0, len(ids), PREFILL_TOKENS):
        model(mx.array(list(ids[start : start + PREFILL_TOKENS]))[None], cache=cache)
        mx.eval([entry.state for entry in cache])


def _write(model: nn.Module, cache: Sequence[Any], writers: Sequence[Writer], last: Sequence[int]) -> None:
    """Let every writer write to its end; `last` holds the token that each begins with."""
    rows, tokens = list(writers), list(last)
    while rows:
        scores = model(mx.array(tokens)[:, None], cache=cache)[:, -1].astype(mx.float32)
        whole = mx.logsumexp(scores, axis=-1)
        mx.eval(scores, whole)
        pairs = zip(rows, np.array(scores), np.array(whole), strict=True)
        taken = [writer.take(row, float(total)) for writer, row, total in pairs]
        going = [place for place, token in enumerate(taken) if token is not None]
        if len(going) < len(rows) and going:
            for entry in cache:
                entry.filter(mx.array(going))
        rows, tokens = [rows[place] for place in going], [token for token in taken if token is not None]
