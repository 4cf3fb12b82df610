"""A base model in torch, with PEFT's adapters on it.

Decides how the base is held: nf4 with double quantisation on a card (QLoRA: Dettmers et al. 2023), float32 on a CPU, and
dense wherever the base is quantised by MLX already, because then its codes are what the adapter should learn on. Adapter
weights are float32 everywhere, and begin as in the MLX trainer: a uniform within 1 / sqrt(in), b zero.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from peft import LoraConfig, get_peft_model, prepare_model_for_kbit_training
from transformers import AutoConfig, AutoModelForCausalLM, BitsAndBytesConfig

from joco_mlx.config import TrainConfig
from joco_mlx.errors import UsageError
from joco_mlx.merge import open_weights
from joco_mlx.models.folder import ModelFolder

Precision = Literal["float32", "bfloat16", "float16"]
NF4: Mapping[str, Any] = {"quant_method": "nf4"}
"""What an adapter and a run record of a base in nf4."""


@dataclass(frozen=True)
class TorchModel:
    """A model that is ready to train."""

    model: Any
    """PEFT's, on its device, in which only the adapters are trainable."""
    quantization: Mapping[str, Any] | None
    """How the base was quantised on loading; None when it was not."""
    precision: Precision
    """What activations are computed in."""

    @property
    def device(self) -> str:
        """`cuda` or `cpu`."""
        return str(self.model.device.type)


def load(folder: ModelFolder, config: TrainConfig) -> TorchModel:
    """Load a base model and put fresh adapters on it; seed torch first.

    Raises:
        UsageError: The settings and the model do not go together.
    """
    precision = card_precision()
    wanted = quantises(folder, config)
    base = _from_codes(folder) if folder.quantization else _from_weights(folder, precision, quantise=wanted)
    checkpointed = torch.cuda.is_available()
    if wanted:
        base = prepare_model_for_kbit_training(base, use_gradient_checkpointing=checkpointed)
    model = adapted(base, config)
    require_float32(model)
    return TorchModel(model, NF4 if wanted else None, precision)


def card_precision() -> Precision:
    """Return what to compute in: bfloat16 where the card has it, float16 on older ones, float32 on a CPU."""
    if not torch.cuda.is_available():
        return "float32"
    return "bfloat16" if torch.cuda.is_bf16_supported() else "float16"


def quantises(folder: ModelFolder, config: TrainConfig) -> bool:
    """Whether the base is put into nf4.

    Raises:
        UsageError: That is wanted for a base that MLX has quantised.
    """
    if config.quantize_base == "nf4" and folder.quantization is not None:
        raise UsageError(
            f"--quantize-base is nf4, but {folder.name} is quantised by MLX already.",
            "Leave it out, or give the unquantised --model.",
        )
    if config.quantize_base == "auto":
        return folder.quantization is None and torch.cuda.is_available()
    return config.quantize_base == "nf4"


def _from_weights(folder: ModelFolder, precision: Precision, *, quantise: bool) -> Any:
    dtype = getattr(torch, precision)
    quantization = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
    )
    return AutoModelForCausalLM.from_pretrained(
        folder.path,
        dtype=dtype,
        device_map={"": 0 if torch.cuda.is_available() else "cpu"},
        attn_implementation="sdpa",
        use_safetensors=True,
        trust_remote_code=False,
        local_files_only=True,
        **({"quantization_config": quantization} if quantise else {}),
    )


def _from_codes(folder: ModelFolder) -> Any:
    """Make the model that MLX's codes stand for; transformers cannot read them."""
    config = AutoConfig.from_pretrained(folder.path, local_files_only=True, trust_remote_code=False)
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    dtype = getattr(torch, card_precision())
    model = AutoModelForCausalLM.from_config(config, dtype=dtype, attn_implementation="sdpa")
    weights = open_weights(folder.path)
    state = {name: torch.from_numpy(weights.read(name)).to(dtype) for name in weights.names()}
    missing, unexpected = model.load_state_dict(state, strict=False)
    if unexpected or set(missing) - {"lm_head.weight"}:
        raise UsageError(
            f"transformers has other tensors for {folder.name}: {', '.join([*missing, *unexpected][:3])}.",
            "Give the unquantised --model.",
        )
    model.tie_weights()
    return model.to("cuda" if torch.cuda.is_available() else "cpu")


def adapted(model: Any, config: TrainConfig) -> Any:
    """Return `model` with fresh adapters.

    Raises:
        UsageError: It has fewer layers than are to be adapted, or none of the modules.
    """
    available = model.config.num_hidden_layers
    if config.layers > available:
        raise UsageError(
            f"--layers is {config.layers}, but the model has {available}.", f"Give --layers at most {available}."
        )
    try:
        return get_peft_model(model, LoraConfig(**lora_settings(config, available)))
    except ValueError as problem:
        raise UsageError(
            f"--target-modules cannot be {', '.join(config.target_modules)}: {problem}",
            "Use some of: q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj.",
        ) from problem


def lora_settings(config: TrainConfig, layers: int) -> dict[str, Any]:
    """Return the arguments of `peft.LoraConfig` for a model of so many layers."""
    chosen = None if config.layers in (-1, layers) else list(range(layers - config.layers, layers))
    return {
        "r": config.rank,
        "lora_alpha": config.alpha,
        "lora_dropout": config.dropout,
        "target_modules": list(config.target_modules),
        "layers_to_transform": chosen,
        "use_rslora": config.adapter == "rslora",
        "use_dora": config.adapter == "dora",
        "bias": "none",
        "task_type": "CAUSAL_LM",
    }


def require_float32(model: Any) -> None:
    """Hold what is trained in float32: small updates are lost in bfloat16, which TRL turns adapters on nf4 into."""
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
