"""OWNS what is believed about a change's type before and beside what the model says.

A small model knows more about the type than its likeliest first word shows: it is too fond of some types, and too sure.
Decides how that is corrected: its log-probabilities of the types are scaled by one temperature, and each type gets a
bias, one for all changes and one for those of which the path rules say the same. The numbers are fitted on held-out
records of the training data, with a penalty that keeps a bias near zero where there are few of them (vector scaling of
Guo et al. 2017, "On Calibration of Modern Neural Networks", with a diagonal that is one number).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from joco_mlx import artifacts
from joco_mlx.commit.grammar import TYPES
from joco_mlx.errors import InputError

PENALTY = 1.0
"""On half the square of a bias and of the temperature's distance from 1: as one more record that says nothing."""
_STEPS = 2_000
_CLOSE = 1e-6
_LONGEST = 0.1

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class TypePrior:
    """How log-probabilities of types are corrected."""

    scale: float
    """What they are multiplied by: below 1 when the model is too sure."""
    bias: Mapping[str, float]
    """Type -> what is added."""
    by_paths: Mapping[str, Mapping[str, float]]
    """What the path rules say -> type -> what is added too."""
    records: int = 0
    """How many it was fitted on."""

    def log_posterior(self, log_probabilities: Floats, paths: Sequence[str]) -> Floats:
        """Return corrected log-probabilities that sum to one, (changes, types).

        Args:
            log_probabilities: What the model says, (changes, types) in the order of `TYPES`.
            paths: What the path rules say of each change.
        """
        added = [
            [self.bias.get(kind, 0.0) + self.by_paths.get(rule, {}).get(kind, 0.0) for kind in TYPES] for rule in paths
        ]
        return _normalised(self.scale * log_probabilities + np.array(added).reshape(-1, len(TYPES)))

    def write(self, path: Path) -> None:
        """Write it as JSON."""
        artifacts.write_json(path, {"types": list(TYPES), **vars(self)})

    @classmethod
    def read(cls, path: Path) -> "TypePrior":
        """Read what `write` wrote.

        Raises:
            InputError: It is no such file.
        """
        try:
            found: dict[str, Any] = json.loads(path.read_text("utf-8"))
            return cls(float(found["scale"]), found["bias"], found["by_paths"], int(found["records"]))
        except (OSError, ValueError, KeyError, TypeError) as problem:
            raise InputError(
                f"{path} holds no prior of types: {problem}.", "Make one: joco-mlx bench calibrate --model RUN"
            ) from problem


def fit(log_probabilities: Floats, paths: Sequence[str], wanted: Sequence[str]) -> TypePrior:
    """Return the prior under which the wanted types are likeliest, less the penalty.

    The problem is concave, so that there is one answer. It is found by turns: a short Newton step of the scale, and a gradient
    step of the biases that is short enough to go up always.

    Args:
        log_probabilities: What the model says of each record, (records, types) in the order of `TYPES`.
        paths: What the path rules say of each record.
        wanted: The types that people chose, each one of `TYPES`.
    """
    right = np.array([[kind == one for kind in TYPES] for one in wanted], np.float64)
    rules = sorted(set(paths))
    which = np.array([[rule == one for rule in rules] for one in paths], np.float64)
    scale, bias, groups = 1.0, np.zeros(len(TYPES)), np.zeros((len(rules), len(TYPES)))
    shown = log_probabilities - log_probabilities.max(axis=1, keepdims=True)
    # Softmax curves by at most 1/2 a record, and bias and groups move at once.
    steps = 2 * (0.5 * len(wanted) + PENALTY), 2 * (0.5 * which.sum(axis=0)[:, None] + PENALTY)
    for _ in range(_STEPS):
        believed = np.exp(_normalised(scale * shown + bias + which @ groups))
        spread = (believed * shown**2).sum() - ((believed * shown).sum(axis=1) ** 2).sum()
        step = (((right - believed) * shown).sum() - PENALTY * (scale - 1)) / (spread + PENALTY)
        scale += float(np.clip(step, -_LONGEST, _LONGEST))
        missing = right - np.exp(_normalised(scale * shown + bias + which @ groups))
        pull = (missing.sum(axis=0) - PENALTY * bias) / steps[0], (which.T @ missing - PENALTY * groups) / steps[1]
        bias += pull[0]
        groups += pull[1]
        if max(abs(step), *(float(np.abs(one).max()) for one in pull)) < _CLOSE:
            break
    return TypePrior(
        float(scale), _named(bias), {rule: _named(row) for rule, row in zip(rules, groups, strict=True)}, len(wanted)
    )


def _normalised(scores: Floats) -> Floats:
    top = scores.max(axis=1, keepdims=True)
    found: Floats = scores - top - np.log(np.exp(scores - top).sum(axis=1, keepdims=True))
    return found


def _named(row: Floats) -> dict[str, float]:
    return {kind: round(float(value), 6) for kind, value in zip(TYPES, row, strict=True)}
