"""The dataset's settings refuse what can select or leave nothing."""

import pytest

from joco_mlx.config import CurateConfig, ExtractConfig
from joco_mlx.errors import UsageError


@pytest.mark.parametrize(
    ("config", "fields", "named"),
    [
        (ExtractConfig, {"max_commits": 0}, "--max-commits is 0"),
        (ExtractConfig, {"name": " "}, "--name is"),
        (CurateConfig, {"validation_share": 1.0}, "--validation-share is 1.0"),
        (CurateConfig, {"test_share": -0.1}, "--test-share is -0.1"),
        (
            CurateConfig,
            {"validation_share": 0.5, "test_share": 0.5},
            r"--validation-share is 0.5, but must be below 0.5",
        ),
        (CurateConfig, {"minimum_score": 101}, "--minimum-score is 101"),
        (CurateConfig, {"minimum_diff_chars": 9_000}, "--minimum-diff-chars is 9000, but must be 0 to 8000"),
    ],
)
def test_a_wrong_value_is_named(
    config: type[ExtractConfig | CurateConfig], fields: dict[str, object], named: str
) -> None:
    with pytest.raises(UsageError, match=named):
        config(**fields)


def test_the_limits_are_the_guides() -> None:
    made = CurateConfig()
    assert (made.minimum_diff_chars, made.maximum_diff_chars, made.minimum_score) == (50, 8_000, 70)
