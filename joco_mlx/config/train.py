"""What `train` can be told."""

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from joco_mlx.config.agreed import ANSWER_TOKENS, DEFAULT_MODEL
from joco_mlx.config.options import option, require

SEVEN_PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")

AdapterKind = Literal["lora", "rslora", "dora"]
Backend = Literal["auto", "mlx", "trl", "unsloth", "axolotl"]
QuantizeBase = Literal["auto", "nf4", "none"]
Tracker = Literal["none", "tensorboard"]
_UNITS = {"GB": 10**9, "GIB": 2**30, "MB": 10**6, "MIB": 2**20}


@dataclass(frozen=True)
class TrainConfig:
    """How `train` makes an adapter. The defaults are the original guide's."""

    model: str = option(DEFAULT_MODEL, "Registry name, Hub name or folder of the base model.")
    data: Path | None = option(None, "Dataset folder; ./dataset when it is there, else the one that ships.")
    out: Path | None = option(None, "Run folder to make; runs/TIME-NAME when not given.")
    steps: int = option(100, "Optimizer steps.")
    epochs: float | None = option(None, "Passes over the data, in place of --steps.")
    batch_size: int = option(1, "Records in one forward pass.")
    grad_accumulation: int = option(4, "Forward passes per optimizer step, weighted by tokens.")
    max_seq_length: int = option(2_048, "Tokens of prompt and answer; the diff is cut to fit, never the answer.")
    learning_rate: float = option(2e-4, "Peak learning rate.")
    warmup_steps: int = option(5, "Steps of linear warm-up before the linear decay.")
    rank: int = option(16, "LoRA rank.")
    alpha: float = option(16.0, "LoRA alpha; the adapter is scaled by alpha / rank.")
    adapter: AdapterKind = option(
        "lora", "lora; rslora: scaled by alpha / sqrt(rank), for high ranks; dora: with a magnitude for each row."
    )
    dropout: float = option(0.0, "LoRA dropout.")
    target_modules: tuple[str, ...] = option(SEVEN_PROJECTIONS, "Linear layers that get an adapter.")
    layers: int = option(-1, "Adapt only this many layers, counted from the top; -1 adapts all.")
    save_every: int = option(25, "Steps between checkpoints.")
    log_every: int = option(1, "Steps between lines of metrics.jsonl.")
    eval_every: int = option(25, "Steps between validations.")
    patience: int | None = option(
        None, "Stop after this many validations in a row without a smaller loss; never when not given."
    )
    prompt_variants: float = option(
        0.2, "Share of the training records shown as other tools send a diff: raw, fenced, announced; 0 for none."
    )
    type_weight: float = option(
        1.0, "Weight of the commit type in the training loss, where every other token of an answer weighs 1."
    )
    trunk_cache: str = option(
        "4GB", "With --layers: disk for what the layers below the adapters give, kept between epochs; off for none."
    )
    samples: int = option(2, "Validation diffs whose messages are written and told at each validation; 0 for none.")
    tracker: Tracker = option("none", "Also write the figures for: none, or tensorboard (needs joco-mlx[tensorboard]).")
    seed: int = option(0, "Seed of the weights, the order, the dropout and the prompt variants.")
    backend: Backend = option(
        "auto", "What trains: mlx, trl, unsloth, axolotl (only with --write-only), or auto: the best that is able here."
    )
    quantize_base: QuantizeBase = option(
        "auto", "How trl and unsloth hold the base: nf4 (4 bits), none, or auto: nf4 on a card."
    )

    def __post_init__(self) -> None:
        """Refuse values that no training can use."""
        for name in ("steps", "batch_size", "grad_accumulation", "rank", "save_every", "log_every", "eval_every"):
            require(getattr(self, name) >= 1, name, getattr(self, name), "at least 1")
        require(self.patience is None or self.patience >= 1, "patience", self.patience, "at least 1")
        require(self.epochs is None or 0 < self.epochs < math.inf, "epochs", self.epochs, "a finite number above 0")
        require(self.max_seq_length >= 2 * ANSWER_TOKENS, "max_seq_length", self.max_seq_length, "at least 256")
        require(0 < self.learning_rate < 1, "learning_rate", self.learning_rate, "between 0 and 1")
        require(self.warmup_steps >= 0, "warmup_steps", self.warmup_steps, "0 or more")
        require(0 < self.alpha < math.inf, "alpha", self.alpha, "a finite number above 0")
        require(0 <= self.dropout < 1, "dropout", self.dropout, "at least 0 and below 1")
        require(self.layers == -1 or self.layers >= 1, "layers", self.layers, "-1 (all) or at least 1")
        require(bool(self.target_modules), "target_modules", "", "one or more names")
        require(0 < self.type_weight <= 100, "type_weight", self.type_weight, "more than 0, at most 100")
        require(self.samples >= 0, "samples", self.samples, "0 or more")
        require(0 <= self.prompt_variants <= 1, "prompt_variants", self.prompt_variants, "0 to 1")
        require(_bytes(self.trunk_cache) is not None, "trunk_cache", self.trunk_cache, "a size such as 4GB, or off")
        require(self.seed >= 0, "seed", self.seed, "0 or more")

    @property
    def trunk_cache_bytes(self) -> int:
        """Largest size of the trunk cache; 0 for none."""
        return _bytes(self.trunk_cache) or 0

    @property
    def scale(self) -> float:
        """What the low-rank product is multiplied by.

        alpha / rank (Hu et al. 2021, section 4.1), or alpha / sqrt(rank) (rsLoRA: Kalajdzievski 2023, section 3).
        """
        return self.alpha / (math.sqrt(self.rank) if self.adapter == "rslora" else self.rank)


def _bytes(size: str) -> int | None:
    """Return `4GB` as bytes, 0 for `off`, None for what is no size."""
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*(GB|GIB|MB|MIB|B|)", size.strip().upper())
    if found is None:
        return 0 if size.strip().lower() == "off" else None
    return int(float(found[1]) * _UNITS.get(found[2], 1))
