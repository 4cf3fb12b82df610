"""The limits of control groups, wherever in the hierarchy they stand."""

import math
from pathlib import Path

import pytest

from joco_mlx.models.control_group import memory_limit_bytes

UNLIMITED = "9223372036854771712"
"""What version 1 says where there is no limit: the largest number of whole pages."""


@pytest.mark.parametrize(
    ("groups", "files", "expected"),
    [
        ("0::/user/run-1.scope\n", {"user/run-1.scope/memory.max": "3000"}, 3000),
        ("0::/jobs/7/step\n", {"jobs/7/step/memory.max": "max", "jobs/7/memory.max": "5000"}, 5000),
        ("0::/jobs/7/step\n", {"jobs/7/step/memory.max": "4000", "jobs/memory.max": "5000"}, 4000),
        ("0::/\n", {"memory.max": "6000"}, 6000),
        ("0::/elsewhere/on/the/host\n", {"memory.max": "7000"}, 7000),
        ("0::/../../beside\n", {"memory.max": "8000"}, 8000),
        ("0::/a\n", {"a/memory.max": "max"}, math.inf),
        ("0::/a\n", {"b/memory.max": "1000"}, math.inf),
        (
            "9:cpu:/a\n3:cpuset,memory:/jobs/7\n0::/\n",
            {"memory/jobs/7/memory.limit_in_bytes": UNLIMITED, "memory/jobs/memory.limit_in_bytes": "9000"},
            9000,
        ),
        ("3:memory:/docker/1f\n", {"memory/memory.limit_in_bytes": "2000"}, 2000),
        ("9:cpu:/a\n", {"memory/a/memory.limit_in_bytes": "1000"}, math.inf),
    ],
    ids=[
        "systemd-run", "above it", "the smaller of two", "container", "container with the host's path", "outside",
        "no limit", "somebody else's", "v1", "v1 in a container", "other controllers",
    ],
)  # fmt: skip
def test_the_limit_is_the_smallest_on_the_way_up(
    tmp_path: Path, groups: str, files: dict[str, str], expected: float
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text + "\n")
    (tmp_path / "groups").write_text(groups)
    assert memory_limit_bytes(tmp_path / "groups", tmp_path) == expected


def test_without_control_groups_there_is_no_limit(tmp_path: Path) -> None:
    assert memory_limit_bytes(tmp_path / "none", tmp_path) == math.inf
