"""A folder that Axolotl trains from: its YAML, our rows already tokenised, and what adopting the adapter needs.

Decides the settings: the guide's second option (QLoRA with sample packing, 8-bit AdamW) with the run's own numbers.
Axolotl is never imported, because it pins every dependency exactly. Its `type: alpaca` puts a sentence of its own before
every prompt, and cuts where we do not, so it gets token ids and labels, which it takes with an empty `type:`. The names
are those of Axolotl 0.21 (docs/dataset-formats/tokenized.qmd, src/axolotl/utils/schemas/config.py).
"""

import dataclasses
import json
import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from joco_mlx.adapters.adopt import PREPARED
from joco_mlx.artifacts import whole_folder, write_json, write_text
from joco_mlx.config import TrainConfig
from joco_mlx.errors import UsageError
from joco_mlx.models.runs import DatasetRecord
from joco_mlx.progress import Progress, Silent
from joco_mlx.train.backends.schedule import require_plain_loss, row_of
from joco_mlx.train.backends.torch_run import unquantised
from joco_mlx.train.examples import Example
from joco_mlx.train.mlx_lora.step import MAXIMUM_GRADIENT_NORM
from joco_mlx.train.plan import Prepared, prepare

CONFIG = "axolotl.yaml"
OUTPUTS = "outputs"
GUIDE_EPOCHS = 3.0
"""What the guide trains for. Steps mean nothing here: a step holds as many records as can be packed."""
_NF4 = {"quant_method": "nf4"}


@dataclass(frozen=True)
class Written:
    """What `train --backend axolotl --write-only` wrote."""

    folder: Path
    records: int
    validation_records: int

    @property
    def launch(self) -> str:
        """The commands that train in it and take what comes out, on a machine with a card."""
        return (
            f"cd {self.folder} && axolotl preprocess {CONFIG} && axolotl train {CONFIG}"
            f" && joco-mlx adapters adopt {OUTPUTS}"
        )


def write(config: TrainConfig, folder: Path, *, progress: Progress | None = None) -> Written:
    """Write everything that Axolotl needs into `folder`, which is made here.

    Raises:
        InputError: The model, the dataset or a record cannot be used.
        UsageError: Axolotl cannot train this model.
        ConflictError: The folder exists.
        MachineError: The disk is full, or a model must be fetched and there is no network.
    """
    require_plain_loss(config, "Axolotl")
    prepared = prepare(config, progress or Silent())
    base = _base(prepared, config)
    with whole_folder(folder) as made:
        _write_rows(made / "train.jsonl", prepared.examples)
        if prepared.validation:
            _write_rows(made / "validation.jsonl", prepared.validation)
        heading = "# Written by joco-mlx for Axolotl 0.21. Run it in this folder: axolotl train axolotl.yaml\n"
        text = yaml.safe_dump(settings(prepared, base), sort_keys=False)
        write_text(made / CONFIG, heading + text)
        write_json(made / PREPARED, _preparation(prepared, base))
    return Written(folder, len(prepared.examples), len(prepared.validation))


def settings(prepared: Prepared, base: str) -> dict[str, Any]:
    """Return what `axolotl.yaml` says.

    Args:
        prepared: The run, as MLX would train it.
        base: Hub name or folder of the unquantised base model.
    """
    config = prepared.config
    packed = {
        "sequence_len": config.max_seq_length,
        "sample_packing": True,
        "eval_sample_packing": False,
        "pad_to_sequence_len": True,
        # Packed records see each other under any other attention.
        "attn_implementation": "flash_attention_2",
    }
    return {
        "base_model": base,
        "load_in_4bit": config.quantize_base != "none",
        "adapter": "lora" if config.quantize_base == "none" else "qlora",
        **_adapter(prepared),
        **_data(prepared),
        **packed,
        "output_dir": f"./{OUTPUTS}",
        "micro_batch_size": config.batch_size,
        "gradient_accumulation_steps": config.grad_accumulation,
        "num_epochs": config.epochs or GUIDE_EPOCHS,
        "optimizer": "adamw_bnb_8bit",
        "lr_scheduler": "linear",
        "learning_rate": config.learning_rate,
        "warmup_steps": config.warmup_steps,
        "weight_decay": 0.0,
        "max_grad_norm": MAXIMUM_GRADIENT_NORM,
        "bf16": "auto",
        "gradient_checkpointing": True,
        "logging_steps": config.log_every,
        "save_steps": config.save_every,
        "seed": config.seed,
    }


def _adapter(prepared: Prepared) -> dict[str, Any]:
    config, layers = prepared.config, prepared.model.shape.layers
    chosen = (
        {}
        if config.layers in (-1, layers)
        else {"peft_layers_to_transform": list(range(layers - config.layers, layers))}
    )
    return {
        "lora_r": config.rank,
        "lora_alpha": _whole(config),
        "lora_dropout": config.dropout,
        "lora_target_modules": list(config.target_modules),
        "peft_use_rslora": config.adapter == "rslora",
        "peft_use_dora": config.adapter == "dora",
        **chosen,
    }


def _whole(config: TrainConfig) -> int:
    """Axolotl takes whole numbers for alpha only."""
    if not math.isclose(config.alpha, round(config.alpha)):
        raise UsageError(f"--alpha is {config.alpha}, but Axolotl takes whole numbers.", "Give --alpha a whole number.")
    return round(config.alpha)


def _data(prepared: Prepared) -> dict[str, Any]:
    """An empty type is how Axolotl is told that rows are tokenised."""
    found: dict[str, Any] = {
        "datasets": [{"path": "train.jsonl", "ds_type": "json", "type": None}],
        "dataset_prepared_path": "prepared",
    }
    if prepared.validation:
        found["test_datasets"] = [{"path": "validation.jsonl", "ds_type": "json", "split": "train", "type": None}]
        found["eval_steps"] = prepared.config.eval_every
    return found


def _base(prepared: Prepared, config: TrainConfig) -> str:
    """Return the base model as Axolotl finds it: the original of what only MLX reads."""
    name = unquantised(config.model)
    if name != config.model:
        return name
    if prepared.model.quantization is not None:
        raise UsageError(
            f"{prepared.model.name} is quantised by MLX, which Axolotl cannot read.", "Give the unquantised --model."
        )
    return name if prepared.model.revision else str(prepared.model.path.resolve())


def _write_rows(path: Path, examples: Iterable[Example]) -> None:
    rows = (row_of(example) for example in examples)
    lines = (json.dumps({**row, "attention_mask": [1] * len(row["labels"])}) for row in rows)
    write_text(path, "".join(f"{line}\n" for line in lines))


def _preparation(prepared: Prepared, base: str) -> dict[str, Any]:
    """What `adapters adopt` makes a run of, when there is an adapter."""
    data = prepared.data
    config = replace(prepared.config, model=base, backend="axolotl", out=None)
    return {
        "config": dataclasses.asdict(config),
        "dataset": DatasetRecord(str(data.artifact.folder.resolve()), data.artifact.digest, len(data.train)).to_json(),
        "quantization": None if config.quantize_base == "none" else _NF4,
    }
