"""OWNS what is believed about a change's type before and beside what the model says.

A small model knows more about the type than its likeliest first word shows: it is too fond of some types, and too sure.
Decides how that is corrected: its log-probabilities of the types are scaled by one temperature, and each type gets a
bias, one for all changes and one for those of which the path rules say the same. What the words of a diff say
(`type_words`) may be added with a scale of its own: a product of experts. The numbers are fitted on held-out records of
the training data, with a penalty that keeps a bias near zero where there are few of them (vector scaling of Guo et al.
2017, "On Calibration of Modern Neural Networks", with a diagonal that is one number).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from joco_mlx import artifacts
from joco_mlx.commit.diff import parse_diff
from joco_mlx.commit.grammar import TYPES
from joco_mlx.commit.path_rules import type_by_paths
from joco_mlx.errors import InputError
from joco_mlx.suggest.type_words import TypeWords

PENALTY = 1.0
"""On half the square of a bias and of a scale's distance from where it began: as one more record that says nothing."""
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
    words: TypeWords | None = None
    """What the words of diffs say; None when only the model is asked."""
    words_scale: float = 0.0
    """What their log-probabilities are multiplied by."""
    cases: tuple[str, ...] = ()
    """What the records that it was fitted on are called as cases of a benchmark: none of them may judge it."""
    words_from: str | None = None
    """The SHA-256 of the file that the words were learned from."""

    def believed(self, log_probabilities: Floats, diffs: Sequence[str]) -> Floats:
        """Return corrected log-probabilities that sum to one, (changes, types).

        Args:
            log_probabilities: What the model says, (changes, types) in the order of `TYPES`.
            diffs: The changes.
        """
        words = self.words.log_probabilities(diffs, TYPES) if self.words else None
        return self.log_posterior(log_probabilities, [*map(paths_of, diffs)], words)

    def log_posterior(self, log_probabilities: Floats, paths: Sequence[str], words: Floats | None = None) -> Floats:
        """Return the same where it is known what the path rules and the words, (changes, types), say of each change."""
        added = [
            [self.bias.get(kind, 0.0) + self.by_paths.get(rule, {}).get(kind, 0.0) for kind in TYPES] for rule in paths
        ]
        scores = self.scale * log_probabilities + np.array(added).reshape(-1, len(TYPES))
        return _normalised(scores if words is None else scores + self.words_scale * words)

    def write(self, path: Path) -> None:
        """Write it as JSON."""
        words = self.words.document() if self.words else None
        artifacts.write_json(path, {"types": list(TYPES), **vars(self), "words": words})

    @classmethod
    def read(cls, path: Path) -> "TypePrior":
        """Read what `write` wrote.

        Raises:
            InputError: It is no such file.
        """
        try:
            found: dict[str, Any] = json.loads(path.read_text("utf-8"))
            scales = float(found["scale"]), float(found.get("words_scale", 0.0))
            words = TypeWords.of_document(found["words"]) if found.get("words") else None
            origin = tuple(found.get("cases", ())), found.get("words_from")
            return cls(scales[0], found["bias"], found["by_paths"], int(found["records"]), words, scales[1], *origin)
        except (OSError, ValueError, KeyError, TypeError) as problem:
            raise InputError(
                f"{path} holds no prior of types: {problem}.", "Make one: joco-mlx bench calibrate --model RUN"
            ) from problem


def paths_of(diff: str) -> str:
    """Return what the path rules say of a diff."""
    return type_by_paths(parse_diff(diff))


def fit(
    log_probabilities: Floats,
    paths: Sequence[str],
    wanted: Sequence[str],
    words: Floats | None = None,
    *,
    biased: bool = True,
) -> TypePrior:
    """Return the prior under which the wanted types are likeliest, less the penalty; it holds no words yet.

    The problem is concave, so that there is one answer. It is found by turns: a short Newton step of each scale, and a
    gradient step of the biases that is short enough to go up always.

    Args:
        log_probabilities: What the model says of each record, (records, types) in the order of `TYPES`.
        paths: What the path rules say of each record.
        wanted: The types that people chose, each one of `TYPES`.
        words: What words say that were learned without the record, (records, types); None asks only the model.
        biased: Fit the biases too; else there are none, and only the scales are fitted.
    """
    right = np.array([[kind == one for kind in TYPES] for one in wanted], np.float64)
    rules = sorted(set(paths))
    which = np.array([[rule == one for rule in rules] for one in paths], np.float64)
    shown = [said - said.max(axis=1, keepdims=True) for said in (log_probabilities, words) if said is not None]
    begun = [1.0, 0.0][: len(shown)]
    scales, bias, groups = list(begun), np.zeros(len(TYPES)), np.zeros((len(rules), len(TYPES)))
    # Softmax curves by at most 1/2 a record, and bias and groups move at once.
    steps = 2 * (0.5 * len(wanted) + PENALTY), 2 * (0.5 * which.sum(axis=0)[:, None] + PENALTY)

    def believed() -> Floats:
        return np.exp(_normalised(sum(map(np.multiply, scales, shown), bias + which @ groups)))

    for _ in range(_STEPS):
        moved = []
        for place, said in enumerate(shown):
            shares = believed()
            spread = (shares * said**2).sum() - ((shares * said).sum(axis=1) ** 2).sum()
            missing = ((right - shares) * said).sum() - PENALTY * (scales[place] - begun[place])
            moved.append(missing / (spread + PENALTY))
            scales[place] += float(np.clip(moved[-1], -_LONGEST, _LONGEST))
        rest = right - believed()
        pull = (rest.sum(axis=0) - PENALTY * bias) / steps[0], (which.T @ rest - PENALTY * groups) / steps[1]
        if biased:
            bias += pull[0]
            groups += pull[1]
            moved += [float(np.abs(one).max()) for one in pull]
        if max(map(abs, moved)) < _CLOSE:
            break
    by_paths = {rule: _named(row) for rule, row in zip(rules, groups, strict=True)}
    return TypePrior(scales[0], _named(bias), by_paths, len(wanted), words_scale=sum(scales[1:]))


def _normalised(scores: Floats) -> Floats:
    top = scores.max(axis=1, keepdims=True)
    found: Floats = scores - top - np.log(np.exp(scores - top).sum(axis=1, keepdims=True))
    return found


def _named(row: Floats) -> dict[str, float]:
    return {kind: round(float(value), 6) for kind, value in zip(TYPES, row, strict=True)}
