"""What is learned from the words of diffs, with scikit-learn: two baselines, and the words of a prior of types.

Decides which model learns: logistic regression on TF-IDF names the type, the nearest training record by cosine lends its
whole message. The first one is what a tuned model must beat to be worth its disk. Which words count is `type_words`'s.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

from joco_mlx.bench.baselines import Baseline, written
from joco_mlx.commit.diff import parse_diff
from joco_mlx.commit.message import parse
from joco_mlx.commit.record import Record
from joco_mlx.errors import MachineError
from joco_mlx.suggest.type_words import WORD, TypeWords, text_of

MAXIMUM_WORDS = 50_000
FEW_RECORDS = 50
"""From so many on a word must stand in two diffs."""
_INVERSE_PENALTY = 1.0
"""Of 1 and 10 the better for repositories that were left out: .609 against .565 of 800 validation records of 37
repositories, five folds by repository, 16,550 training records.
"""


def by_words(train: Sequence[Record]) -> Baseline:
    """Return TF-IDF and logistic regression, learned on records that all have a conventional message."""
    words = type_words(train)
    return lambda record: written(words.likeliest(record.input), parse_diff(record.input))


def type_words(train: Sequence[Record]) -> TypeWords:
    """Return which word speaks for which type, learned on records that all have a conventional message.

    Raises:
        MachineError: scikit-learn is not installed.
    """
    types = [message.type for record in train if (message := parse(record.output))]
    if len(set(types)) == 1:
        return TypeWords((types[0],), (0.0,), {})
    vectors, matrix = _vectors(train)
    model = _sklearn("linear_model").LogisticRegression(C=_INVERSE_PENALTY, max_iter=1_000)
    model.fit(matrix, types)
    weights, intercepts = model.coef_, model.intercept_
    if len(weights) == 1:  # of two types scikit-learn keeps the second's, against the first
        weights, intercepts = ([0 * weights[0], weights[0]], [0.0, intercepts[0]])
    rows = zip(vectors.get_feature_names_out(), vectors.idf_, *weights, strict=True)
    return TypeWords(
        tuple(map(str, model.classes_)),
        tuple(map(float, intercepts)),
        {str(row[0]): tuple(map(float, row[1:])) for row in rows},
    )


def by_neighbour(train: Sequence[Record]) -> Baseline:
    """Return the message of the nearest training record, header only."""
    vectors, matrix = _vectors(train)

    def answer(record: Record) -> str:
        alike = matrix @ vectors.transform([text_of(record.input)]).T
        message = parse(train[int(alike.toarray().argmax())].output)
        return message.header if message else ""

    return answer


def _vectors(train: Sequence[Record]) -> tuple[Any, Any]:
    """Return the fitted vectoriser and the records as rows of length 1."""
    vectors = _sklearn("feature_extraction.text").TfidfVectorizer(
        token_pattern=WORD,
        sublinear_tf=True,
        min_df=1 if len(train) < FEW_RECORDS else 2,
        max_features=MAXIMUM_WORDS,
    )
    return vectors, vectors.fit_transform(text_of(record.input) for record in train)


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
