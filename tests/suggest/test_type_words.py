"""What the words of a diff say of its type: by hand, and as scikit-learn says it."""

import json
import math

import numpy as np
import pytest

from joco_mlx.suggest.type_words import NEVER, TypeWords, text_of

DIFF = "diff --git a/a.py b/a.py\n--- a/a.py\n+++ b/a.py\n@@ -1 +1 @@\n-{}\n+{}\n"
BY_HAND = TypeWords(("feat", "fix"), (0.5, 0.0), {"bug": (2.0, 0.0, 3.0), "new": (1.0, 1.0, 0.0)})


def test_scores_by_hand() -> None:
    """`bug` twice and `new` once: (1 + log 2) * 2 = 3.386 and 1, length 3.531; fix 3 * .959, feat 1 * .283 + .5."""
    bug, new = (1 + math.log(2)) * 2, 1.0
    length = math.hypot(bug, new)
    fix, feat = 3 * bug / length, new / length + 0.5
    found = BY_HAND.log_probabilities([DIFF.format("Bug bug", "new")], ["fix", "feat", "docs"])
    assert found[0, 0] - found[0, 1] == pytest.approx(fix - feat)
    assert np.exp(found[0, :2]).sum() == pytest.approx(1)
    assert found[0, 2] == NEVER
    assert BY_HAND.likeliest(DIFF.format("bug", "bug")) == "fix"


def test_a_diff_of_unknown_words_is_what_was_commonest() -> None:
    found = BY_HAND.log_probabilities(["", DIFF.format("zzz", "")], ["feat", "fix"])
    assert found[0] == pytest.approx(found[1])
    assert BY_HAND.likeliest("") == "feat"


def test_no_diff_has_no_row() -> None:
    assert BY_HAND.log_probabilities([], ["feat", "fix"]).shape == (0, 2)


def test_the_names_of_files_are_words_and_what_is_far_down_is_not_read() -> None:
    assert "a.py" in text_of(DIFF.format("x", "y")).splitlines()[1]
    assert "bug" not in text_of(DIFF.format("x" * 9_000, "bug"))


def test_a_document_keeps_it_and_another_is_refused() -> None:
    text = json.dumps(BY_HAND.document())
    assert TypeWords.of_document(json.loads(text)) == BY_HAND
    for broken in ({"types": []}, {"intercepts": [1.0]}, {"weights": {"bug": [1.0]}}):
        with pytest.raises(ValueError, match="another number"):
            TypeWords.of_document({**json.loads(text), **broken})
