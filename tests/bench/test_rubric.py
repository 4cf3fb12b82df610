"""The original rubric, point by point; the first four are scores that the original harness is known to give."""

import pytest

from joco_mlx.bench.rubric import joco_score


@pytest.mark.parametrize(
    ("message", "score"),
    [
        pytest.param("this adds a cache for the parsed diffs", 40, id="plain prose"),
        pytest.param("feat!: remove the old configuration file", 40, id="breaking"),
        pytest.param("revert: remove the old configuration file", 40, id="revert"),
        pytest.param("fix(a/b): close the connection on a timeout", 40, id="slash in scope"),
        pytest.param("fix(http): close the connection on a timeout", 100, id="everything"),
        pytest.param("fix(http): close it", 85, id="short"),
        pytest.param(f"fix: {'a' * 56}", 85, id="61 characters"),
        pytest.param(f"fix: {'a' * 68}", 65, id="73 characters"),
        pytest.param("fix(http): Close the connection on a timeout", 90, id="capital"),
        pytest.param("fix(http): close the connection on a timeout.", 95, id="full stop"),
        pytest.param("fix: this commit closes the connection again", 80, id="meta text"),
        pytest.param("fix(http): close the connection on a timeout\n\nBody. It is long.", 100, id="first line only"),
        pytest.param(" \n", 0, id="empty"),
    ],
)
def test_score(message: str, score: int) -> None:
    assert joco_score(message) == score
