"""A model and a prompt become several drafts of one answer, each with how likely the model finds it.

Decides how decoding is held to a grammar: before each token llguidance says which ones may follow, as a bit mask that
NumPy applies, and the rest cannot be drawn. Its kernels for MLX need Metal; a mask in NumPy costs well under a
millisecond and is the same everywhere. The prompt is read once for all drafts.
"""

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
from llguidance import LLMatcher, LLTokenizer
from numpy.typing import NDArray

from joco_mlx.commit.prompt import Template
from joco_mlx.errors import InputError
from joco_mlx.models.compute import mx, nn

# The line above loads a fast BLAS, which must happen before anything imports mlx.
# isort: split
from mlx_lm.models.cache import BatchKVCache, KVCache, make_prompt_cache, trim_prompt_cache

from joco_mlx.models.generate import PREFILL_TOKENS
from joco_mlx.models.loops import repeating
from joco_mlx.models.tokens import TOKENIZER_FILE, Tokenizer

_Scores = NDArray[np.float32]


@dataclass(frozen=True)
class Draft:
    """One answer."""

    text: str
    likelihood: float | None
    """Mean log-probability of a token, as the model gives it without any grammar; None when nobody knows."""
    was_cut: bool = False
    """Whether it ended because the grammar or the limit left it nothing else."""


class Constraint:
    """Grammars over the tokens of one model. Reading a large vocabulary takes a good part of a second: keep it."""

    def __init__(self, tokenizer: Tokenizer, template: Template) -> None:
        self._tokens = LLTokenizer(str(tokenizer.folder / TOKENIZER_FILE), eos_token=tokenizer.end_id(template))

    def matcher(self, grammar: str) -> LLMatcher:
        """Return a fresh reader of `grammar`.

        Raises:
            InputError: The grammar is none.
        """
        made = LLMatcher(self._tokens, grammar, log_level=0)
        if made.is_error():
            raise InputError(f"The form of the message is no grammar: {made.get_error()}.", "Check --type and --scope.")
        return made

    def allowed(self, matcher: LLMatcher) -> NDArray[np.bool_]:
        """Return which tokens may follow, (vocabulary of the tokenizer,)."""
        bits = np.frombuffer(matcher.compute_bitmask(), np.uint8)
        return np.unpackbits(bits, count=self._tokens.vocab_size, bitorder="little").view(np.bool_)


def draft(
    model: nn.Module,
    tokenizer: Tokenizer,
    template: Template,
    prompt: str,
    *,
    rules: tuple[Constraint, str] | None,
    temperatures: Sequence[float],
    max_tokens: int,
    seed: int = 0,
    memory: "Memory | None" = None,
    watch: Callable[[str], None] | None = None,
) -> list[Draft]:
    """Return one draft for each temperature, in that order.

    Args:
        model: From `load_model`, in inference mode.
        tokenizer: Of the same model.
        template: How the prompt was rendered.
        prompt: From `commit.prompt.render`.
        rules: A grammar in llguidance's Lark, and the tokens that it is about; None decodes freely.
        temperatures: 0 takes the likeliest token each time; more draws from the distribution.
        max_tokens: Longest answer. A grammar is always brought to an end that it accepts, if that takes more.
        seed: Of the draws.
        memory: What is known of an earlier prompt, and will be of this one.
        watch: Told the text so far after each token; what it raises ends everything.

    Raises:
        InputError: The grammar is none.
    """
    ids = tokenizer.encode_prompt(prompt)
    memory = memory or Memory()
    cache = memory.take(model, ids[:-1])
    draw = np.random.default_rng(seed)
    takes_back = can_take_back(cache)
    made = []
    for temperature in temperatures:
        own = cache if takes_back else deepcopy(cache)
        step = _stepper(model, own)
        matching = (rules[0], rules[0].matcher(rules[1])) if rules else None
        writer = Writer(tokenizer, template, matching, temperature, max_tokens, draw)
        scores, whole = step(ids[-1])
        steps = 1
        while (token := writer.take(scores, whole)) is not None:
            if watch is not None:
                watch(writer.draft().text)
            scores, whole = step(token)
            steps += 1
        if takes_back:
            trim_prompt_cache(own, steps)
        made.append(writer.draft())
    memory.keep(ids[:-1], cache)
    return made


def can_take_back(cache: Sequence[Any]) -> bool:
    """Whether what is written into a cache can be taken back, however much it is.

    A sliding window forgets what it moves past, and a state has taken it in: those are copied before they are written.
    """
    return all(isinstance(entry, KVCache | BatchKVCache) for entry in cache)


class Memory:
    """What a model knows of the last prompt, so that what the next one begins with is not read again."""

    def __init__(self) -> None:
        self._ids: list[int] = []
        self._cache: list[Any] = []

    def take(self, model: nn.Module, ids: Sequence[int]) -> list[Any]:
        """Return the cache of a prompt; nothing is kept until `keep`, because a failure would leave it half-read."""
        known, cache = self._ids, self._cache
        self._ids, self._cache = [], []
        same = (at for at, pair in enumerate(zip(known, ids, strict=False)) if pair[0] != pair[1])
        shared = next(same, min(len(known), len(ids)))
        if not cache or (shared < len(known) and not can_take_back(cache)):
            shared, cache = 0, list(make_prompt_cache(model))
        trim_prompt_cache(cache, len(known) - shared)
        _read(model, ids[shared:], cache)
        return cache

    def keep(self, ids: Sequence[int], cache: list[Any]) -> None:
        """Remember a prompt and its cache."""
        self._ids, self._cache = list(ids), cache


class Writer:
    """One draft while it is written, token by token."""

    def __init__(
        self,
        tokenizer: Tokenizer,
        template: Template,
        rules: tuple[Constraint, LLMatcher] | None,
        temperature: float,
        max_tokens: int,
        draw: np.random.Generator,
    ) -> None:
        self.tokenizer, self.template, self.rules = tokenizer, template, rules
        self.temperature, self.max_tokens, self.draw = temperature, max_tokens, draw
        self.stops = {tokenizer.end_id(template), *tokenizer.control_tokens().values()}
        self.ids: list[int] = []
        self.total = 0.0
        self.counted = 0
        self.was_cut = False

    def take(self, scores: _Scores, whole: float) -> int | None:
        """Choose the next token from `scores` (vocabulary,), whose log-sum-exp is `whole`; None ends the draft."""
        if self._is_over():
            return None
        token = self._chosen(scores)
        self.total += float(scores[token]) - whole
        self.counted += 1
        if token in self.stops:
            return None
        self.ids.append(token)
        if self.rules is None:
            text = self.tokenizer.decode(self.ids)
            return None if any(marker in text for marker in self.template.markers) else token
        self.rules[1].consume_token(token)
        return token

    def draft(self) -> Draft:
        """Return what is written."""
        text = self.tokenizer.decode(self.ids)
        for marker in self.template.markers:
            text = text.partition(marker)[0]
        return Draft(text.strip(), self.total / max(1, self.counted), self.was_cut)

    def _is_over(self) -> bool:
        if self.rules is None:
            self.was_cut = len(self.ids) >= self.max_tokens
            return self.was_cut
        matcher = self.rules[1]
        self.was_cut = matcher.is_stopped() or (len(self.ids) >= self.max_tokens and matcher.is_accepting())
        return self.was_cut

    def _chosen(self, scores: _Scores) -> int:
        allowed = self._allowed()
        values = scores if allowed is None else np.where(allowed, scores[: len(allowed)], -np.inf)
        values = _without(values, repeating(self.ids))
        if self.temperature <= 0:
            return int(values.argmax())
        weights = np.exp((values - values.max()) / np.float32(self.temperature), dtype=np.float64)
        return int(self.draw.choice(len(weights), p=weights / weights.sum()))

    def _allowed(self) -> NDArray[np.bool_] | None:
        """Return which tokens the grammar lets follow; None when all may."""
        if self.rules is None:
            return None
        allowed = self.rules[0].allowed(self.rules[1])
        self.was_cut = bool(np.count_nonzero(allowed) == 1) and int(allowed.argmax()) in self.stops
        return allowed


def _without(values: _Scores, tokens: frozenset[int]) -> _Scores:
    """Return scores under which `tokens` are not taken, unless nothing else may be."""
    if not tokens:
        return values
    left = values.copy()
    left[list(tokens)] = -np.inf
    return left if np.isfinite(left).any() else values


def _read(model: nn.Module, ids: Sequence[int], cache: list[Any]) -> None:
    """Let a model read `ids` after what is in the cache."""
    for start in range(0, len(ids), PREFILL_TOKENS):
        model(mx.array(list(ids[start : start + PREFILL_TOKENS]))[None], cache=cache)
        mx.eval([entry.state for entry in cache])


def _stepper(model: nn.Module, cache: list[Any]) -> Callable[[int], tuple[_Scores, float]]:
    """Return a function from a token to the scores (vocabulary,) of what follows it, and their log-sum-exp."""

    def step(token: int) -> tuple[_Scores, float]:
        scores = model(mx.array([[token]]), cache=cache)[0, -1].astype(mx.float32)
        whole = mx.logsumexp(scores)
        mx.eval(scores, whole)
        return np.array(scores), float(whole)

    return step
