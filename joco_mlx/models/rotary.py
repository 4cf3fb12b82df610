"""Where a config.json keeps its rotary settings, and what mlx-lm is told of them.

transformers 5 writes one table, `rope_parameters`, in place of `rope_theta` and `rope_scaling`. mlx-lm's llama, qwen2
and most others read only the older two and would take their default base without a word. Source of the order of
precedence: `convert_rope_params_to_dict` in transformers' modeling_rope_utils.py.
"""

from collections.abc import Mapping
from typing import Any

from joco_mlx.errors import InputError

TABLE = "rope_parameters"
KINDS = (
    "default", "linear", "dynamic", "llama3", "yarn", "deepseek_yarn", "telechat3-yarn", "longrope", "proportional",
    "mrope",
)  # fmt: skip
"""What `initialize_rope` in mlx-lm's models/rope_utils.py computes."""


def older_settings(config: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return what stands in `rope_parameters` under the names that mlx-lm reads, to be laid over `config`.

    Empty where there is no such table, and where it holds one for each type of layer: see `has_table_per_layer_type`.

    Args:
        config: The content of a config.json.
        where: How errors name it.

    Raises:
        InputError: It asks for a scaling that mlx-lm does not compute.
    """
    table = config.get(TABLE)
    if not isinstance(table, Mapping) or not table or has_table_per_layer_type(config):
        return {}
    scaling = config.get("rope_scaling") or table
    kind = scaling.get("type") or scaling.get("rope_type", "default")  # in mlx-lm's order
    if kind not in KINDS:
        raise InputError(
            f"{where} scales rotary positions by {kind!r}, which mlx-lm does not compute.",
            f"Use a model with one of: {', '.join(KINDS)}; joco-mlx models lists tested ones.",
        )
    settings: dict[str, Any] = {"rope_scaling": None if kind == "default" else {**scaling, "type": kind}}
    for name in ("rope_theta", "partial_rotary_factor"):
        if table.get(name) is not None:
            settings[name] = table[name]
    return settings


def has_table_per_layer_type(config: Mapping[str, Any]) -> bool:
    """Whether `rope_parameters` holds a table for each type of layer, which the older names cannot say."""
    table = config.get(TABLE)
    return isinstance(table, Mapping) and any(isinstance(value, Mapping) for value in table.values())
