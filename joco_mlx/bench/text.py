"""How near one description is to another: edit similarity, chrF, ROUGE-L and B-Norm, each from 0 to 1.

chrF is sacrebleu's. The others are a few lines each, because the packages that have them are no longer kept (rouge-score)
or were never packaged (B-Norm); the tests hold them to rouge-score and to sacrebleu.
"""

import math
import re
from collections import Counter
from collections.abc import Sequence
from functools import cache
from typing import Any

MAXIMUM_CHARS = 512
"""A longer answer is no description; beyond it nothing is compared, so that one runaway answer costs no minutes."""
BLEU_ORDER = 4

_ROUGE_WORD = re.compile(r"[a-z0-9]+")
_BLEU_WORD = re.compile(r"\w+|[^\s\w]")


def edit_similarity(answer: str, reference: str) -> float:
    """Return 1 less the Levenshtein distance over the length of the longer text; 1 for two empty texts."""
    first, second = answer[:MAXIMUM_CHARS], reference[:MAXIMUM_CHARS]
    longer = max(len(first), len(second))
    return 1 - _distance(first, second) / longer if longer else 1.0


def chrf(answer: str, reference: str) -> float:
    """Return sacrebleu's sentence chrF (order 6, beta 2; Popović 2015) over 100."""
    score: float = _chrf().sentence_score(answer[:MAXIMUM_CHARS], [reference[:MAXIMUM_CHARS]]).score
    return score / 100


def rouge_l(answer: str, reference: str) -> float:
    """Return the F1 of the longest common subsequence of words (Lin 2004), words as rouge-score cuts them."""
    first, second = (_ROUGE_WORD.findall(text[:MAXIMUM_CHARS].lower()) for text in (answer, reference))
    common = _longest_common(first, second)
    return 2 * common / (len(first) + len(second)) if common else 0.0


def b_norm(answer: str, reference: str) -> float:
    """Return B-Norm: sentence BLEU of lower-cased words and marks, one added to counts of two words and more.

    The brevity penalty has one added to both lengths too. Tao et al. 2021, "On the Evaluation of Commit Message
    Generation Models"; of the metrics that they compare it agrees best with people.
    """
    first, second = (_BLEU_WORD.findall(text[:MAXIMUM_CHARS].lower()) for text in (answer, reference))
    if not set(first) & set(second):
        return 0.0
    logarithm = 0.0
    for order in range(1, BLEU_ORDER + 1):
        ours, theirs = _runs(first, order), _runs(second, order)
        added = int(order > 1)
        logarithm += math.log(((ours & theirs).total() + added) / (ours.total() + added)) / BLEU_ORDER
    return math.exp(logarithm + min(0.0, 1 - (len(second) + 1) / (len(first) + 1)))


def _distance(first: str, second: str) -> int:
    """Return the Levenshtein distance, one row of the table at a time (Wagner and Fischer 1974)."""
    if len(first) < len(second):
        first, second = second, first
    row = list(range(len(second) + 1))
    for at, char in enumerate(first, 1):
        diagonal, row[0] = row[0], at
        for place, other in enumerate(second, 1):
            step = diagonal if char == other else 1 + min(diagonal, row[place], row[place - 1])
            diagonal, row[place] = row[place], step
    return row[-1]


def _longest_common(first: Sequence[str], second: Sequence[str]) -> int:
    row = [0] * (len(second) + 1)
    for word in first:
        diagonal = 0
        for place, other in enumerate(second, 1):
            step = diagonal + 1 if word == other else max(row[place], row[place - 1])
            diagonal, row[place] = row[place], step
    return row[-1]


def _runs(words: Sequence[str], length: int) -> Counter[tuple[str, ...]]:
    return Counter(tuple(words[at : at + length]) for at in range(len(words) - length + 1))


@cache
def _chrf() -> Any:
    from sacrebleu.metrics.chrf import CHRF  # noqa: PLC0415  (half a second that only a benchmark needs)

    return CHRF()
