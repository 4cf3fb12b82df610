"""The type is decided before the words: by what the model says of all types, corrected by a prior, then the rest.

Decides which types are tried and which answer is taken: the one whose type and words together are likeliest. Leaves the
correction to `type_prior`, and every header that comes out is of the form.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np

from joco_mlx.commit.grammar import TYPES
from joco_mlx.models.batched import Reading
from joco_mlx.models.drafts import Constraint, Draft
from joco_mlx.suggest.grammar import Form
from joco_mlx.suggest.type_prior import Floats, TypePrior


class Reader(Protocol):
    """What is needed of an engine."""

    def read(self, prompts: Sequence[str]) -> Reading:
        """Return several prompts, read."""

    def rules(self) -> Constraint:
        """Return what holds an answer to a grammar."""


def answers(
    engine: Reader,
    prompts: Sequence[str],
    diffs: Sequence[str],
    *,
    form: Form,
    prior: TypePrior,
    tried: int,
    temperature: float,
    max_tokens: int,
    seeds: Sequence[int],
) -> list[Draft]:
    """Return one answer to each prompt.

    Args:
        engine: Reads and writes.
        prompts: From `commit.prompt.render`.
        diffs: What each of them shows, whole.
        form: What headers are allowed, types among it.
        prior: Corrects what the model says of the types.
        tried: How many types, the likeliest first, get words; 1 takes the likeliest type without looking at words.
        temperature: Of the words; the types are not drawn.
        max_tokens: Longest answer.
        seeds: Of the draws, one for each prompt.
    """
    reading = engine.read(prompts)
    beliefs = prior.believed(reading.log_probabilities(TYPES), diffs)
    chosen = [likeliest(row, form.types, tried) for row in beliefs]
    rows = [number for number, kinds in enumerate(chosen) for _ in kinds]
    forms = [replace(form, types=(kind,)) for kinds in chosen for kind in kinds]
    drafts = reading.drafts(
        rows,
        rules=(engine.rules(), [one.grammar() for one in forms]),
        temperature=temperature,
        max_tokens=max_tokens,
        seeds=[seeds[row] for row in rows],
    )
    scores = [
        beliefs[row, TYPES.index(one.types[0])] + (draft.likelihood or 0.0)
        for row, one, draft in zip(rows, forms, drafts, strict=True)
    ]
    return [drafts[best(scores, rows, number)] for number in range(len(prompts))]


def likeliest(beliefs: Floats, allowed: Sequence[str], count: int) -> list[str]:
    """Return the `count` types that are believed most, of those that are allowed; of equals the first of `TYPES`."""
    order = np.argsort(-beliefs, kind="stable")
    return [TYPES[place] for place in order if TYPES[place] in allowed][:count]


def best(scores: Sequence[float], rows: Sequence[int], row: int) -> int:
    """Return the place of the highest score among those of `row`; of equals the first."""
    return max((place for place, one in enumerate(rows) if one == row), key=lambda place: scores[place])
