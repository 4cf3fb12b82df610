"""A small model that takes the likeliest word each time can get stuck: `current_current_current_` and so on.

Decides which next tokens would be that: those that end a run of tokens which the answer already holds. A commit message
never says the same five tokens in a row twice; what the diff says often may stand in the answer all the same, because
only the answer is looked at. (The idea is the n-gram blocking of Paulus et al. 2017, section 2.5, "A Deep Reinforced
Model for Abstractive Summarization".)
"""

from collections.abc import Sequence

LONGEST_REPEAT = 5
"""Tokens in a row that an answer may not say twice."""


def repeating(answer: Sequence[int]) -> frozenset[int]:
    """Return the tokens that would make the end of `answer` a run of LONGEST_REPEAT tokens that is already in it."""
    held = LONGEST_REPEAT - 1
    tail = tuple(answer[-held:])
    starts = range(len(answer) - held)
    return frozenset(answer[start + held] for start in starts if tuple(answer[start : start + held]) == tail)
