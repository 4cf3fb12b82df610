"""A record becomes token ids: what the model reads, and what it is asked to answer.

Decides what is cut when a record is too long: the diff, never the answer. Serves every backend alike and loads no array
library. Leaves the words of the prompt to `commit.prompt`, and padding to `train.batches`.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from joco_mlx.commit.prompt import Template, diff_budget, render, user_text
from joco_mlx.commit.record import Record
from joco_mlx.commit.variants import FULL, Variant
from joco_mlx.config import ANSWER_TOKENS
from joco_mlx.errors import InputError
from joco_mlx.models.tokens import Tokenizer

LEAST_DIFF_TOKENS = 32
"""A record whose diff would be cut to less teaches nothing about diffs."""


@dataclass(frozen=True)
class Example:
    """One record as token ids."""

    name: str
    """The record, as an error would call it."""
    prompt: tuple[int, ...]
    """Everything up to where the answer starts."""
    answer: tuple[int, ...]
    """The message, then the token that ends a turn: what is trained on."""
    cut: bool
    """Whether the diff had to be shortened."""
    type_tokens: int = 0
    """How many tokens of the answer, from its first, spell the commit's type."""

    @property
    def ids(self) -> tuple[int, ...]:
        """Prompt and answer."""
        return self.prompt + self.answer


@dataclass(frozen=True)
class Encoder:
    """Turns records into examples for one model and one sequence length."""

    tokenizer: Tokenizer
    template: Template
    max_seq_length: int
    variant_of: Callable[[str], Variant] = lambda _: FULL
    """A record's id -> how its diff is presented. Only training uses another than the full form."""

    def encode(self, record: Record) -> Example:
        """Return `record` as token ids, at most `max_seq_length` of them.

        The diff gets what the template and 128 answer tokens leave. A longer answer takes its room from the diff.

        Raises:
            InputError: Too little room for the diff would be left beside the answer.
        """
        answer = self._answer(record)
        budget = self._budget - max(0, len(answer) - ANSWER_TOKENS)
        if budget < LEAST_DIFF_TOKENS:
            needed = self.max_seq_length + LEAST_DIFF_TOKENS - budget
            raise InputError(
                f"The message of record {record.metadata.id} has {len(answer)} tokens,"
                f" which leaves no room for its diff in {self.max_seq_length}.",
                f"Remove the record, or give --max-seq-length at least {needed}.",
            )
        text, cut = self._shown(record, budget)
        prompt = self.tokenizer.encode_prompt(render(self.template, text))
        type_tokens = len(self.tokenizer.encode(record.metadata.type))
        return Example(record.metadata.id, tuple(prompt), tuple(answer), cut, type_tokens)

    def fits(self, record: Record) -> bool:
        """Whether `encode` would accept `record`."""
        return self._budget - max(0, len(self._answer(record)) - ANSWER_TOKENS) >= LEAST_DIFF_TOKENS

    @cached_property
    def _budget(self) -> int:
        return diff_budget(self.template, self.max_seq_length, self.tokenizer.count)

    def _shown(self, record: Record, budget: int) -> tuple[str, bool]:
        """Return what `user_text` shows of a record's diff, and whether it had to leave something out.

        The whole text is tokenised once; only what does not fit goes through the search for what does.
        """
        variant = self.variant_of(record.metadata.id)
        whole = user_text(record.input, sys.maxsize, len, variant)
        if self.tokenizer.count(whole) <= budget:
            return whole, False
        return user_text(record.input, budget, self.tokenizer.count, variant), True

    def _answer(self, record: Record) -> list[int]:
        return [*self.tokenizer.encode(record.output), self.tokenizer.end_id(self.template)]
