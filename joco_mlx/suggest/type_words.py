"""OWNS what the words of a diff say of its type.

Decides which words those are: of the head that a model is shown too, and of the beginning of the diff. Which word speaks
for which type is learned elsewhere (`bench.learned`); here only numbers are multiplied, so that a suggestion needs no
scikit-learn. The weights are those of logistic regression on TF-IDF with sublinear term frequency and rows of length 1
(scikit-learn's `TfidfVectorizer` and `LogisticRegression`).
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from joco_mlx.commit.diff import parse_diff
from joco_mlx.commit.fit import head

MAXIMUM_CHARS = 8_000
"""What is read of a diff: the guide's longest."""
WORD = r"[A-Za-z][A-Za-z0-9]+"
NEVER = -20.0
"""Log-probability of a type that no training record had."""
_DIGITS = 4

Floats = NDArray[np.float64]


def text_of(diff: str) -> str:
    """Return what is read of a diff."""
    return f"{head(parse_diff(diff))}\n{diff[:MAXIMUM_CHARS]}"


@dataclass(frozen=True)
class TypeWords:
    """Which word speaks for which type."""

    types: tuple[str, ...]
    intercepts: tuple[float, ...]
    """Score of each type before any word."""
    weights: Mapping[str, tuple[float, ...]]
    """Word -> its inverse document frequency, then its score for each type."""

    def log_probabilities(self, diffs: Sequence[str], types: Sequence[str]) -> Floats:
        """Return how likely each of `types` is by the words of each diff, (diffs, types).

        Rows sum to one over the types that were learned.
        """
        scores = np.array([self._scores(diff) for diff in diffs]).reshape(-1, len(self.types))
        top = scores.max(axis=1, keepdims=True)
        found = scores - top - np.log(np.exp(scores - top).sum(axis=1, keepdims=True))
        column = {kind: place for place, kind in enumerate(self.types)}
        known = [found[:, column[kind]] if kind in column else np.full(len(scores), NEVER) for kind in types]
        return np.stack(known, axis=1)

    def likeliest(self, diff: str) -> str:
        """Return the type that the words of a diff speak for most."""
        return self.types[int(self._scores(diff).argmax())]

    def _scores(self, diff: str) -> Floats:
        counts = Counter(word for word in re.findall(WORD, text_of(diff).lower()) if word in self.weights)
        if not counts:
            return np.array(self.intercepts)
        rows = np.array([self.weights[word] for word in counts])
        tfidf = (1 + np.log(list(counts.values()))) * rows[:, 0]
        found: Floats = tfidf @ rows[:, 1:] / np.sqrt((tfidf**2).sum()) + self.intercepts
        return found

    def document(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "types": self.types,
            "intercepts": [round(value, _DIGITS) for value in self.intercepts],
            "weights": {word: [round(value, _DIGITS) for value in row] for word, row in self.weights.items()},
        }

    @classmethod
    def of_document(cls, found: Mapping[str, Any]) -> "TypeWords":
        """Return what `document` wrote.

        Raises:
            KeyError, TypeError, ValueError: It is something else.
        """
        types, intercepts = tuple(map(str, found["types"])), tuple(map(float, found["intercepts"]))
        weights = {str(word): tuple(map(float, row)) for word, row in dict(found["weights"]).items()}
        if not types or len(intercepts) != len(types) or any(len(row) != len(types) + 1 for row in weights.values()):
            raise ValueError("the words have another number of scores than there are types")
        return cls(types, intercepts, weights)
