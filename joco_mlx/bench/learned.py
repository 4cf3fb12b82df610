"""The two baselines that learn from the words of diffs, with scikit-learn.

Decides what a word of a diff is, and which model learns: logistic regression on TF-IDF names the type, the nearest
training record by cosine lends its whole message. The first one is what a tuned model must beat to be worth its disk.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

from joco_mlx.bench.baselines import Baseline, written
from joco_mlx.commit.diff import parse_diff
from joco_mlx.commit.fit import head
from joco_mlx.commit.message import parse
from joco_mlx.commit.record import Record
from joco_mlx.errors import MachineError

MAXIMUM_CHARS = 8_000
"""What is read of a diff: the guide's longest."""
MAXIMUM_WORDS = 50_000
FEW_RECORDS = 50
"""From so many on a word must stand in two diffs."""
_WORD = r"[A-Za-z][A-Za-z0-9]+"
_INVERSE_PENALTY = 10.0


def by_words(train: Sequence[Record]) -> Baseline:
    """Return TF-IDF and logistic regression, learned on records that all have a conventional message."""
    types = [message.type for record in train if (message := parse(record.output))]
    if len(set(types)) == 1:
        return lambda record: written(types[0], parse_diff(record.input))
    vectors, matrix = _vectors(train)
    model = _sklearn("linear_model").LogisticRegression(C=_INVERSE_PENALTY, max_iter=1_000)
    model.fit(matrix, types)
    return lambda record: written(str(model.predict(vectors.transform([_text(record)]))[0]), parse_diff(record.input))


def by_neighbour(train: Sequence[Record]) -> Baseline:
    """Return the message of the nearest training record, header only."""
    vectors, matrix = _vectors(train)

    def answer(record: Record) -> str:
        alike = matrix @ vectors.transform([_text(record)]).T
        message = parse(train[int(alike.toarray().argmax())].output)
        return message.header if message else ""

    return answer


def _vectors(train: Sequence[Record]) -> tuple[Any, Any]:
    """Return the fitted vectoriser and the records as rows of length 1."""
    vectors = _sklearn("feature_extraction.text").TfidfVectorizer(
        token_pattern=_WORD,
        sublinear_tf=True,
        min_df=1 if len(train) < FEW_RECORDS else 2,
        max_features=MAXIMUM_WORDS,
    )
    return vectors, vectors.fit_transform(map(_text, train))


def _text(record: Record) -> str:
    """Return the head that a model is shown too, and the beginning of the diff."""
    return f"{head(parse_diff(record.input))}\n{record.input[:MAXIMUM_CHARS]}"


@cache
def _sklearn(module: str) -> Any:
    """Import a module of scikit-learn.

    Raises:
        MachineError: It is not installed.
    """
    try:
        import sklearn.feature_extraction.text  # noqa: PLC0415  (113 MB with scipy, for two baselines)
        import sklearn.linear_model  # noqa: PLC0415  (the same)
    except ImportError:
        raise MachineError(
            "This baseline needs scikit-learn, which is not installed.", "Install it: pip install 'joco-mlx[bench]'"
        ) from None
    return sklearn.linear_model if module == "linear_model" else sklearn.feature_extraction.text
