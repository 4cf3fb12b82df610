"""Trains SmolLM2 by MLX and by TRL from one adapter file and compares the losses; `scripts/prove linux` runs it.

Runs in the proof's own environment, which has torch. Both trainers begin with the same adapters, read the same rows in
the same order and compute in float32 on the same weights: what differs is only who computes. Prints JSON.
"""

import argparse
import itertools
import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import peft
from safetensors.torch import load_file

from joco_mlx.adapters.convert import TENSORS, convert
from joco_mlx.artifacts import seal
from joco_mlx.commit.record import read_records, write_records
from joco_mlx.config import TrainConfig
from joco_mlx.progress import Silent
from joco_mlx.train.backends import dispatch, torch_model
from joco_mlx.train.data import find_dataset
from joco_mlx.train.mlx_lora.lora import save_adapters
from joco_mlx.train.plan import prepare
from joco_mlx.train.run import adapted_model

STEPS = 20
RECORDS = 60


def main() -> int:
    """Train twice, and print the losses of both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--model", default="smollm2-135m")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        config = TrainConfig(
            model=given.model, data=some_of_the_shipped(folder / "data"), steps=given.steps, grad_accumulation=1,
            max_seq_length=320, learning_rate=1e-3, warmup_steps=5, rank=16, alpha=32.0, save_every=given.steps,
            quantize_base="none",
        )  # fmt: skip
        begin_with(first_adapters(config, folder))
        runs = {}
        for backend in ("mlx", "trl"):
            made = dispatch.train(replace(config, backend=backend, out=folder / backend))
            runs[backend] = [line for line in lines(made.folder) if "loss" in line]
    losses = {name: [line["loss"] for line in found] for name, found in runs.items()}
    seconds = {name: found[-1]["seconds"] for name, found in runs.items()}
    print(json.dumps({"losses": losses, "seconds": seconds}))
    return 0


def some_of_the_shipped(folder: Path) -> Path:
    """Write a dataset of the first records that ship, without a validation split, which would take as long again."""
    folder.mkdir()
    records = list(itertools.islice(read_records(find_dataset(None) / "train.jsonl"), RECORDS))
    files = []
    for split, held in (("train", records), ("validation", []), ("test", [])):
        files.append(folder / f"{split}.jsonl")
        with files[-1].open("wb") as file:
            write_records(file, held)
    seal(folder, "dataset", config={}, parents={}, files=files)
    return folder


def first_adapters(config: TrainConfig, folder: Path) -> Path:
    """Write the adapters that MLX's trainer begins with, in PEFT's layout, and return the folder."""
    model, description = adapted_model(prepare(config, Silent()))
    save_adapters(model, description, folder / "first")
    return convert(folder / "first", folder / "first-peft").folder


def begin_with(adapter: Path) -> None:
    """Let every model of torch begin with the adapters of a file instead of its own."""
    fresh = torch_model.adapted

    def adapted(model: Any, config: TrainConfig) -> Any:
        made = fresh(model, config)
        result = peft.set_peft_model_state_dict(made, load_file(adapter / TENSORS["peft"]))
        if result.unexpected_keys:
            sys.exit(f"PEFT's model has no place for these adapters of MLX's: {', '.join(result.unexpected_keys)}")
        return made

    torch_model.adapted = adapted


def lines(run: Path) -> list[dict[str, Any]]:
    """Return metrics.jsonl."""
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text("utf-8").splitlines()]


if __name__ == "__main__":
    sys.exit(main())
