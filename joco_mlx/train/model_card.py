"""The card of a finished run: what was trained on what, how, and what came of it.

Decides what a reader who finds the folder in a year should know. Every figure is one that the run measured.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from joco_mlx.artifacts import write_text
from joco_mlx.commit.neutral import neutralise
from joco_mlx.train.live_run import SAMPLES

CARD = "README.md"
_SETTINGS = (
    "steps", "batch_size", "grad_accumulation", "max_seq_length", "learning_rate", "rank", "alpha", "dropout",
    "target_modules", "layers", "prompt_variants", "type_weight", "seed",
)  # fmt: skip


def write_card(folder: Path, document: Mapping[str, Any], metrics: Path, picture: str) -> Path:
    """Write the card into `folder` and return it.

    Args:
        folder: Of the run.
        document: What its run.json says, `adapter` included.
        metrics: Its metrics.jsonl.
        picture: Name of the picture of the loss.

    Raises:
        MachineError: The disk is full.
    """
    base, data, config, adapter = (document[name] for name in ("base", "dataset", "config", "adapter"))
    lines = [json.loads(line) for line in metrics.read_text("utf-8").splitlines()]
    text = f"""# {folder.name}

LoRA adapters for {base["name"]} ({base["revision"] or "a local folder"}), trained by joco-mlx to write the message of a commit.

| | |
|---|---|
| base model | {base["name"]}, digest {base["digest"][:12]} |
| data | {data["records"]:,} records of {data["path"]}, digest {data["digest"][:12]} |
| validation loss | {_validation(adapter)} |
| last training losses | {_losses(lines)} |
| versions | {", ".join(f"{name} {number}" for name, number in document["versions"].items())} |

![loss]({picture})
{_samples(folder / SAMPLES)}
## Settings

| setting | value |
|---|---|
{chr(10).join(f"| {name} | {config[name]} |" for name in _SETTINGS)}

## Use

    joco-mlx suggest --model {folder}
    joco-mlx fuse {folder} --export-gguf
"""
    write_text(folder / CARD, text)
    return folder / CARD


def _samples(file: Path) -> str:
    """The messages of the last validation, beside what people wrote."""
    if not file.is_file():
        return ""
    lines = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    last = [line for line in lines if line["step"] == lines[-1]["step"]]
    rows = "\n".join(f"| {_cell(line['expected'])} | {_cell(line['message'])} |" for line in last)
    return f"\n## Messages after step {last[0]['step']}\n\n| a person | the model |\n|---|---|\n{rows}\n"


def _cell(message: str) -> str:
    """The first line of a message, as text in a table."""
    header = neutralise(message).split("\n", 1)[0]
    return re.sub(r"([\\`*_{}\[\]<>|~])", r"\\\1", header)


def _validation(adapter: Mapping[str, Any]) -> str:
    if adapter["val_loss"] is None:
        return f"not measured; the adapters are of step {adapter['step']}"
    return f"{adapter['val_loss']:.4f} nats per answer token at step {adapter['step']}, whose adapters these are"


def _losses(lines: list[dict[str, Any]]) -> str:
    return ", ".join(f"{line['loss']:.3f}" for line in lines if "loss" in line and line["step"] > lines[-1]["step"] - 5)
