"""Four similarities by hand, and against sacrebleu and rouge-score."""

import math
import random

import pytest

from joco_mlx.bench.text import b_norm, chrf, edit_similarity, rouge_l

WORDS = ("add", "fix", "the", "parser", "for", "Unified", "diffs", "http_client", "cache,", "404", "naïve", "—", "(x)")


def pairs() -> list[tuple[str, str]]:
    dice = random.Random(7)
    texts = [" ".join(dice.choices(WORDS, k=dice.randrange(12))) for _ in range(120)]
    return [*zip(texts[::2], texts[1::2], strict=True), ("", ""), ("", "add"), ("add", ""), ("add", "add")]


@pytest.mark.parametrize(
    ("answer", "reference", "similarity"),
    [("kitten", "sitting", 1 - 3 / 7), ("", "", 1), ("abc", "", 0), ("abc", "abc", 1), ("ab", "ba", 0)],
)
def test_edit_similarity_by_hand(answer: str, reference: str, similarity: float) -> None:
    assert edit_similarity(answer, reference) == pytest.approx(similarity)
    assert edit_similarity(reference, answer) == pytest.approx(similarity)


def test_rouge_l_by_hand() -> None:
    # Common: "add parser"; precision 2/3, recall 2/4.
    assert rouge_l("add a parser", "Add the diff parser") == pytest.approx(2 * (2 / 3) * (2 / 4) / (2 / 3 + 2 / 4))


def test_b_norm_by_hand() -> None:
    # Words 2 of 3, pairs (1 + 1) of (2 + 1), threes (0 + 1) of (1 + 1), fours (0 + 1) of (0 + 1); lengths 3 and 4.
    expected = (2 / 3 * 2 / 3 * 1 / 2) ** (1 / 4) * math.exp(1 - 5 / 4)
    assert b_norm("Add parser now", "add parser for diffs") == pytest.approx(expected)
    assert b_norm("entirely different", "add parser") == 0
    assert b_norm("add parser for diffs", "add parser for diffs") == pytest.approx(1)


def test_chrf_is_sacrebleus() -> None:
    from sacrebleu import sentence_chrf

    for answer, reference in pairs():
        assert chrf(answer, reference) == pytest.approx(sentence_chrf(answer, [reference]).score / 100)


def test_rouge_l_agrees_with_rouge_score() -> None:
    from rouge_score.rouge_scorer import RougeScorer

    judge = RougeScorer(["rougeL"])
    for answer, reference in pairs():
        assert rouge_l(answer, reference) == pytest.approx(judge.score(reference, answer)["rougeL"].fmeasure)


def test_b_norm_agrees_with_sacrebleu_where_lengths_are_equal() -> None:
    """Smoothing is sacrebleu's add-k; the brevity penalty is not, but is 1 for both when lengths are equal."""
    from sacrebleu import sentence_bleu

    compared = 0
    for answer, reference in pairs():
        length = min(len(answer.split()), len(reference.split()))
        ours, theirs = (" ".join(w for w in t.split()[:length] if w.isalnum()) for t in (answer, reference))
        if len(ours.split()) != len(theirs.split()) or not set(ours.split()) & set(theirs.split()):
            continue
        judged = sentence_bleu(ours, [theirs], "add-k", 1, tokenize="none", lowercase=True, use_effective_order=False)
        assert b_norm(ours, theirs) == pytest.approx(judged.score / 100)
        compared += 1
    assert compared > 3


def test_a_runaway_answer_is_cut() -> None:
    assert edit_similarity("a" * 100_000, "a" * 512) == 1
