"""A model folder becomes a module to compute with.

Decides the number type: on a GPU the weights stay as stored; on a CPU device they become float32, in memory only,
because MLX multiplies 4-bit and 16-bit matrices there 10 to 100 times slower. Leaves building the architecture to
mlx-lm, which never runs code from a model folder here.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from joco_mlx.models.compute import device_kind, mx, nn

# The line above loads a fast BLAS, which must happen before anything imports mlx.
# isort: split
import mlx_lm.tuner.utils as mlx_lm_adapters
import mlx_lm.utils as mlx_lm_models
from mlx_lm.tuner.dora import DoRALinear
from mlx_lm.tuner.lora import LoRALinear

from joco_mlx.errors import InputError
from joco_mlx.models.folder import ModelFolder
from joco_mlx.models.rotary import TABLE, has_table_per_layer_type, older_settings
from joco_mlx.models.weights_check import check_whole

ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_WEIGHTS = "adapters.safetensors"


def load_model(folder: ModelFolder, *, adapter: Path | None = None) -> nn.Module:
    """Load a model, with an adapter on top when one is given, in inference mode.

    Args:
        folder: From `hub.locate` or `folder.open_folder`.
        adapter: Folder with `adapters.safetensors` and `adapter_config.json` (mlx-lm's layout).

    Raises:
        InputError: The weights do not fit their config.json, it asks for what mlx-lm does not compute, or the adapter
            belongs to another base.
    """
    config = str(folder.path / "config.json")
    rotary = older_settings(folder.config, config)
    try:
        model, _ = mlx_lm_models.load_model(folder.path, lazy=True, trust_remote_code=False, model_config=rotary)
    except (ValueError, RuntimeError, KeyError, TypeError) as problem:
        raise InputError(
            f"{folder.path} could not be loaded: {_first_line(problem)}.", "Download or make the model again."
        ) from problem
    if has_table_per_layer_type(folder.config) and not hasattr(getattr(model, "args", None), TABLE):
        raise InputError(
            f"{config} has {TABLE} for each type of layer, which mlx-lm's {folder.shape.architecture} does not read.",
            "Use another model; joco-mlx models lists tested ones.",
        )
    if device_kind() == "cpu":
        widen(model)
    mx.eval(model.parameters())
    if adapter is not None:
        attach(model, adapter, folder)
    model.eval()
    return model


def widen(model: nn.Module) -> None:
    """Turn every quantised layer into a float32 one and every other floating parameter into float32, in place."""
    for name, layer in model.named_modules():
        if isinstance(layer, nn.QuantizedLinear | nn.QuantizedEmbedding):
            dense = _widened(layer)
            mx.eval(dense.parameters())
            _replace(model, name, dense)
    model.set_dtype(mx.float32)


def merge_exact(model: nn.Module) -> None:
    """Put LoRA layers whose base is float32 into its weights, in place: a sixth less time for each token on a CPU.

    Layers on quantised or 16-bit weights stay apart, because merging would round what training added.
    """
    for name, layer in model.named_modules():
        if isinstance(layer, LoRALinear | DoRALinear) and layer.linear.weight.dtype == mx.float32:
            merged = layer.fuse()
            mx.eval(merged.parameters())
            _replace(model, name, merged)


def attach(model: nn.Module, adapter: Path, folder: ModelFolder) -> None:
    """Add an adapter's LoRA layers to a loaded model, in place.

    Raises:
        InputError: A file is missing or cut short, or the adapter was trained for another base.
    """
    check_base(read_adapter_config(adapter), adapter, folder)
    check_whole(adapter / ADAPTER_WEIGHTS, "Copy it again, or train again: joco-mlx train")
    try:
        mlx_lm_adapters.load_adapters(model, str(adapter))
    except (ValueError, KeyError, TypeError, AttributeError, RuntimeError) as problem:
        raise _misfit(adapter, folder, _first_line(problem, skip_heading=True)) from problem
    expected = sum(_adapter_tensors(layer) for layer in model.modules())
    found = len(mx.load(str(adapter / ADAPTER_WEIGHTS)))
    if found != expected:
        raise _misfit(adapter, folder, f"it holds {found} tensors where its configuration promises {expected}")
    mx.eval(model.parameters())


def read_adapter_config(adapter: Path) -> dict[str, Any]:
    """Return `adapter_config.json` of an adapter folder.

    Raises:
        InputError: The folder is no adapter.
    """
    for name in (ADAPTER_CONFIG, ADAPTER_WEIGHTS):
        if not (adapter / name).is_file():
            raise InputError(f"{adapter} has no {name}, so it is no adapter.", "Train one: joco-mlx train")
    try:
        content = json.loads((adapter / ADAPTER_CONFIG).read_text("utf-8"))
    except (OSError, ValueError) as problem:
        raise InputError(f"{adapter / ADAPTER_CONFIG} is damaged: {problem}.", "Train again: joco-mlx train") from (
            problem
        )
    if not isinstance(content, dict):
        raise InputError(f"{adapter / ADAPTER_CONFIG} is no JSON object.", "Train again: joco-mlx train")
    return content


def check_base(adapter_config: Mapping[str, Any], adapter: Path, folder: ModelFolder) -> None:
    """Refuse an adapter whose record says that it was trained on another base.

    Our trainer records `base: {name, digest}`; the digest decides, so that a moved or renamed folder still fits.
    mlx-lm records the base's name as `model`. An adapter without either is judged by its shapes alone.

    Raises:
        InputError: The record names another base.
    """
    base = adapter_config.get("base")
    if isinstance(base, Mapping) and base.get("digest"):
        if base["digest"] != folder.digest:
            raise _other_base(adapter, str(base.get("name")), folder)
        return
    name = adapter_config.get("model")
    known = {folder.name, str(folder.path), folder.base.repository if folder.base else None}
    if isinstance(name, str) and name not in known and Path(name).name != folder.path.name:
        raise _other_base(adapter, name, folder)


def _widened(layer: nn.Module) -> nn.Module:
    weight = mx.dequantize(
        layer.weight,
        layer.scales.astype(mx.float32),
        layer.biases.astype(mx.float32),
        group_size=layer.group_size,
        bits=layer.bits,
    )
    rows, columns = weight.shape
    if isinstance(layer, nn.QuantizedEmbedding):
        dense: nn.Module = nn.Embedding(rows, columns)
    else:
        dense = nn.Linear(columns, rows, bias="bias" in layer)
        if "bias" in layer:
            dense.bias = layer.bias
    dense.weight = weight
    dense.freeze()
    return dense


def _replace(model: nn.Module, name: str, layer: nn.Module) -> None:
    """Put `layer` where `name` (`model.layers.0.mlp.up_proj`) is."""
    *parents, last = name.split(".")
    place: Any = model
    for part in parents:
        place = place[int(part)] if part.isdigit() else place[part]
    place[last] = layer


def _adapter_tensors(layer: nn.Module) -> int:
    if isinstance(layer, DoRALinear):
        return 3
    return 2 if isinstance(layer, LoRALinear) else 0


def _other_base(adapter: Path, trained_on: str, folder: ModelFolder) -> InputError:
    return InputError(
        f"The adapter {adapter} was trained on {trained_on}, not on {folder.name}.",
        f"Use it with its own base, or train one for {folder.name}: joco-mlx train --model {folder.name}",
    )


def _misfit(adapter: Path, folder: ModelFolder, reason: str) -> InputError:
    return InputError(
        f"The adapter {adapter} does not fit {folder.name}: {reason}.",
        f"Use it with the base it was trained on, or train one: joco-mlx train --model {folder.name}",
    )


def _first_line(problem: Exception, *, skip_heading: bool = False) -> str:
    lines = [line.strip() for line in str(problem).strip().splitlines() if line.strip()]
    if not lines:
        return type(problem).__name__
    return lines[1 if skip_heading and len(lines) > 1 else 0].rstrip(".:")
