"""A base model in Unsloth's form, with its adapters: the guide's first option, on today's names.

Decides only how the model is made; TRL's trainer, which Unsloth patches at import, then trains it on the same rows.
Unsloth's own masking by markers is not used, because a diff may contain the markers, nor is its GGUF export, which
quantises a second time. Importing this module raises where there is no card. The names are those of Unsloth 2026.10.
"""

from typing import Any

import unsloth

# Unsloth patches transformers, PEFT and TRL, and must come before them.
# isort: split
import torch

from joco_mlx.config import TrainConfig
from joco_mlx.errors import UsageError
from joco_mlx.models.folder import ModelFolder
from joco_mlx.train.backends.torch_model import NF4, TorchModel, card_precision, lora_settings, require_float32


def load(folder: ModelFolder, config: TrainConfig) -> TorchModel:
    """Load a base model by Unsloth and put fresh adapters on it.

    Raises:
        UsageError: The settings and Unsloth do not go together.
    """
    _check(folder, config)
    torch.manual_seed(config.seed)
    quantised = config.quantize_base != "none"
    model, _tokenizer = unsloth.FastLanguageModel.from_pretrained(**base_settings(folder, config))
    model = unsloth.FastLanguageModel.get_peft_model(model, **adapter_settings(config, model.config.num_hidden_layers))
    require_float32(model)
    return TorchModel(model, NF4 if quantised else None, card_precision())


def _check(folder: ModelFolder, config: TrainConfig) -> None:
    if config.adapter == "dora":
        raise UsageError("--adapter is dora, which Unsloth does not speed up.", "Use --backend trl for it.")
    if folder.quantization is not None:
        raise UsageError(
            f"{folder.name} is quantised by MLX, which Unsloth cannot read.",
            "Give the unquantised --model, or use --backend trl.",
        )


def base_settings(folder: ModelFolder, config: TrainConfig) -> dict[str, Any]:
    """Return the arguments of `FastLanguageModel.from_pretrained`."""
    return {
        "model_name": str(folder.path),
        "max_seq_length": config.max_seq_length,
        "dtype": None,
        "load_in_4bit": config.quantize_base != "none",
        "trust_remote_code": False,
    }


def adapter_settings(config: TrainConfig, layers: int) -> dict[str, Any]:
    """Return the arguments of `FastLanguageModel.get_peft_model` for a model of so many layers."""
    own = lora_settings(config, layers)
    names = ("r", "lora_alpha", "lora_dropout", "target_modules", "layers_to_transform", "use_rslora", "bias")
    return {
        **{name: own[name] for name in names},
        "use_gradient_checkpointing": "unsloth",
        "random_state": config.seed,
        "max_seq_length": config.max_seq_length,
    }
