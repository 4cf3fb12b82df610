"""Rotary settings as transformers 5 writes them."""

from typing import Any

import pytest

from joco_mlx.models.rotary import older_settings

LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}


@pytest.mark.parametrize(
    ("config", "settings"),
    [
        ({"rope_theta": 1e4}, {}),
        ({"rope_theta": 1e4, "rope_parameters": None}, {}),
        (
            {"rope_theta": 1e4, "rope_parameters": {"rope_theta": 5e5, "rope_type": "default"}},
            {"rope_theta": 5e5, "rope_scaling": None},
        ),
        (
            {"rope_scaling": {"type": "linear", "factor": 2}, "rope_parameters": {"rope_theta": 5e5, **LLAMA3}},
            {"rope_theta": 5e5, "rope_scaling": {"type": "linear", "factor": 2}},
        ),
        (
            {"rope_parameters": {"rope_theta": 5e5, "partial_rotary_factor": 0.25}},
            {"rope_theta": 5e5, "rope_scaling": None, "partial_rotary_factor": 0.25},
        ),
    ],
    ids=["none", "null", "the table's base wins", "an older scaling wins", "part of a head"],
)
def test_precedence_is_that_of_transformers(config: dict[str, Any], settings: dict[str, Any]) -> None:
    assert older_settings(config, "config.json") == settings
