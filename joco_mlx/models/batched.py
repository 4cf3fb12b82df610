"""Several prompts are answered at once.

Decides how: every prompt is read by itself, because padding would cost as much as it saves, but what all of them begin
with is read once; then each step writes one token of every answer, which reads the weights once for all of them. On a
CPU device, where a step is as long as reading the weights takes, eight answers cost little more than two. Leaves what
is chosen in each row, grammar and all, to `drafts`.
"""

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import numpy as np
from numpy.typing import NDArray

from joco_mlx.commit.prompt import Template
from joco_mlx.models.compute import mx, nn

# The line above loads a fast BLAS, which must happen before anything imports mlx.
# isort: split
from mlx_lm.models.cache import make_prompt_cache, trim_prompt_cache

from joco_mlx.models.drafts import Constraint, Draft, Writer, can_take_back
from joco_mlx.models.generate import PREFILL_TOKENS
from joco_mlx.models.tokens import Tokenizer

_Floats = NDArray[np.float32]


class Reading:
    """Prompts that a model has read, ready to be answered; in any way, and more than once."""

    def __init__(self, model: nn.Module, tokenizer: Tokenizer, template: Template, prompts: Sequence[str]) -> None:
        """Read `prompts`, which come from `commit.prompt.render`; the model comes from `load_model`."""
        ids = [tokenizer.encode_prompt(prompt) for prompt in prompts]
        self._model, self._tokenizer, self._template = model, tokenizer, template
        self._last = [row[-1] for row in ids]
        self._cache = _read_each(model, ids)

    def drafts(
        self,
        rows: Sequence[int],
        *,
        rules: tuple[Constraint, Sequence[str]] | None,
        temperature: float,
        max_tokens: int,
        seeds: Sequence[int],
    ) -> list[Draft]:
        """Return one draft for each entry of `rows`, which says which prompt it answers.

        The same rows together give the same drafts. Other company may change the last bit of a score, and so, rarely, a
        word: matrix products round differently at other sizes.

        Args:
            rows: Numbers of prompts; one may stand there more than once.
            rules: The tokens that grammars are about, and a grammar for each draft; None decodes freely.
            temperature: 0 takes the likeliest token each time; more draws from the distribution.
            max_tokens: Longest answer; see `drafts.draft`.
            seeds: Of the draws, one for each draft.

        Raises:
            InputError: A grammar is none.
        """
        writers = []
        for number, seed in enumerate(seeds):
            matching = (rules[0], rules[0].matcher(rules[1][number])) if rules else None
            draw = np.random.default_rng(seed)
            writers.append(Writer(self._tokenizer, self._template, matching, temperature, max_tokens, draw))
        cache = deepcopy(self._cache)
        if list(rows) != list(range(len(self._last))):
            for entry in cache:
                entry.filter(mx.array(list(rows)))
        _write(self._model, cache, writers, [self._last[row] for row in rows])
        return [writer.draft() for writer in writers]

    def log_probabilities(self, beginnings: Sequence[str]) -> NDArray[np.float64]:
        """Return how likely the model begins its answers with each of several texts, (prompts, beginnings).

        A token that several texts begin with is written once for all of them. No text may begin another one.
        """
        ids = [self._tokenizer.encode(text) for text in beginnings]
        found = np.zeros((len(self._last), len(ids)))
        cache = deepcopy(self._cache)
        self._add(found, cache, self._last, ids, list(range(len(ids))), 0)
        return found

    def _add(
        self,
        found: NDArray[np.float64],
        cache: Sequence[Any],
        tokens: Sequence[int],
        ids: Sequence[Sequence[int]],
        members: Sequence[int],
        depth: int,
    ) -> None:
        """Add to `found` what `members` of `ids` cost from `depth` on, when `tokens` are what is written next."""
        takes_back = can_take_back(cache)
        own = cache if takes_back else deepcopy(cache)
        scores, whole = _step(self._model, own, tokens)
        for token in sorted({ids[member][depth] for member in members}):
            same = [member for member in members if ids[member][depth] == token]
            found[:, same] += (scores[:, token] - whole)[:, None]
            if longer := [member for member in same if len(ids[member]) > depth + 1]:
                self._add(found, own, [token] * len(tokens), ids, longer, depth + 1)
        if takes_back:
            trim_prompt_cache(own, 1)


def _read_each(model: nn.Module, ids: Sequence[Sequence[int]]) -> list[Any]:
    """Return the model's memory of all prompts but for their last tokens, a row each."""
    shared = _beginning([row[:-1] for row in ids])
    first = make_prompt_cache(model)
    _read(model, first, shared)
    rows = []
    for row in ids:
        cache = deepcopy(first)
        _read(model, cache, row[len(shared) : -1])
        rows.append(cache)
    return [type(layer).merge([row[number] for row in rows]) for number, layer in enumerate(first)]


def _beginning(rows: Sequence[Sequence[int]]) -> Sequence[int]:
    """Return what all of `rows` begin with."""
    ends = (place for place, column in enumerate(zip(*rows, strict=False)) if len(set(column)) > 1)
    return rows[0][: next(ends, min(map(len, rows)))]


def _read(model: nn.Module, cache: Sequence[Any], ids: Sequence[int]) -> None:
    for start in range(0, len(ids), PREFILL_TOKENS):
        model(mx.array(list(ids[start : start + PREFILL_TOKENS]))[None], cache=cache)
        mx.eval([entry.state for entry in cache])


def _write(model: nn.Module, cache: Sequence[Any], writers: Sequence[Writer], last: Sequence[int]) -> None:
    """Let every writer write to its end; `last` holds the token that each begins with."""
    rows, tokens = list(writers), list(last)
    while rows:
        pairs = zip(rows, *_step(model, cache, tokens), strict=True)
        taken = [writer.take(row, float(total)) for writer, row, total in pairs]
        going = [place for place, token in enumerate(taken) if token is not None]
        if len(going) < len(rows) and going:
            for entry in cache:
                entry.filter(mx.array(going))
        rows, tokens = [rows[place] for place in going], [token for token in taken if token is not None]


def _step(model: nn.Module, cache: Sequence[Any], tokens: Sequence[int]) -> tuple[_Floats, _Floats]:
    """Write one token in each row; return the scores (rows, vocabulary) of what follows and their log-sum-exp (rows,)."""
    scores = model(mx.array(list(tokens))[:, None], cache=cache)[:, -1].astype(mx.float32)
    whole = mx.logsumexp(scores, axis=-1)
    mx.eval(scores, whole)
    return np.array(scores), np.array(whole)
