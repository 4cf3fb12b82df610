"""How near a GGUF is to the model that was trained, in what the two would write next.

Decides the figures: the Kullback-Leibler divergence of llama.cpp's next-token distribution from the trained model's, and
how often both have the same first choice, at every place where the model answers. Takes both models as functions, so
that neither MLX nor llama.cpp is known here.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from joco_mlx.gguf.rounding import Floats

Logits = Callable[[Sequence[int], int], Floats]
"""Token ids and a place -> float32 [tokens - place, vocabulary]: the logits after each token from that place on."""


@dataclass(frozen=True)
class Passage:
    """A prompt and its answer."""

    ids: Sequence[int]
    first: int
    """Place of the last token of the prompt: from there on, what follows is asked for."""


@dataclass(frozen=True)
class Nearness:
    """Figures of single passages, all float64 [passages]."""

    divergence: NDArray[np.float64]
    """Mean KL(trained || file) of a passage's answer places, in nats."""
    agreement: NDArray[np.float64]
    """Share of them at which both have the same first choice."""


def nearness(trained: Logits, file: Logits, passages: Iterable[Passage]) -> Nearness:
    """Compare two models on the answers of passages, one passage at a time."""
    found = [_compare(trained(item.ids, item.first), file(item.ids, item.first)) for item in passages]
    divergence, agreement = np.array(found, np.float64).reshape(-1, 2).T
    return Nearness(divergence, agreement)


def _compare(wanted: Floats, found: Floats) -> tuple[float, float]:
    """Mean divergence and share of equal first choices; a GGUF may have fewer padding tokens than MLX rows."""
    known = min(wanted.shape[1], found.shape[1])
    a, b = log_probabilities(wanted[:, :known]), log_probabilities(found[:, :known])
    divergence = (np.exp(a) * (a - b)).sum(axis=1)
    return float(divergence.mean()), float((a.argmax(axis=1) == b.argmax(axis=1)).mean())


def log_probabilities(logits: Floats) -> NDArray[np.float64]:
    """Return the logarithms of softmax, over the last axis."""
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    normalised: NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return normalised
