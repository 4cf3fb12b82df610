"""The picture of a run is a PNG of what metrics.jsonl says."""

import json

import pytest

from joco_mlx.train.plot import plot_loss, running_mean


@pytest.mark.parametrize(
    "lines",
    [
        [{"step": 1, "loss": 3.0}, {"step": 2, "loss": 2.0}, {"step": 2, "val_loss": 2.5}],
        [{"step": 1, "loss": 3.0}],
        [],
    ],
    ids=["both", "no validation", "stopped at once"],
)
def test_a_picture_is_drawn(tmp_path, lines):
    metrics = tmp_path / "metrics.jsonl"
    metrics.write_text("".join(json.dumps(line) + "\n" for line in lines))
    plot_loss(metrics, tmp_path / "loss.png")
    content = (tmp_path / "loss.png").read_bytes()
    assert content.startswith(b"\x89PNG\r\n")
    assert (int.from_bytes(content[16:20]), int.from_bytes(content[20:24])) == (960, 540)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["loss.png", "metrics.jsonl"]


@pytest.mark.parametrize(
    ("window", "means"), [(1, [1.0, 2.0, 6.0, 4.0]), (2, [1.0, 1.5, 4.0, 5.0]), (9, [1.0, 1.5, 3.0, 3.25])]
)
def test_a_mean_over_the_last_values(window, means):
    assert running_mean([1.0, 2.0, 6.0, 4.0], window) == pytest.approx(means)
    assert running_mean([], window) == []
