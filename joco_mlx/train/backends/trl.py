"""TRL's trainer on our rows: same token ids, same labels, same order, same steps as with MLX.

Decides what is switched off in `SFTTrainer`: it would tokenise, cut, shuffle, pack and schedule on its own. Its loss is
divided by the tokens of all forward passes of a step, as ours is. Leaves the model to `torch_model` or `unsloth`, and
what is done between two steps to whoever watches. The names are those of TRL 1.16 and transformers 5.23.
"""

import math
import resource
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from datasets import Dataset
from torch.utils.data import DataLoader
from transformers import AutoTokenizer, PrinterCallback, TrainerCallback
from trl import SFTConfig, SFTTrainer

from joco_mlx.config import TrainConfig
from joco_mlx.train.backends.schedule import StepOrder, rate_share, row_of
from joco_mlx.train.backends.torch_model import TorchModel, require_float32
from joco_mlx.train.examples import Example
from joco_mlx.train.mlx_lora.step import MAXIMUM_GRADIENT_NORM


@dataclass(frozen=True)
class Taken:
    """What one optimizer step did."""

    step: int
    """Counted from 1."""
    loss: float
    """Mean cross-entropy per trained token, in nats, before the update."""
    gradient_norm: float
    """Before clipping."""
    learning_rate: float


@dataclass(frozen=True)
class Decision:
    """What happens after a step."""

    save: bool = False
    stop: bool = False


class Watcher(Protocol):
    """Who is told of every step."""

    def taken(self, step: Taken) -> Decision:
        """Take note of a step, and say whether to write a checkpoint or to stop."""

    def saved(self, checkpoint: Path) -> None:
        """Take note of a checkpoint of the present state, in transformers' own layout."""


class _Told(TrainerCallback):  # type: ignore[misc]
    def __init__(self, watcher: Watcher) -> None:
        self.watcher = watcher

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_more: Any) -> Any:
        """Hand a step on; the last report of a run has no loss."""
        if "loss" in logs:
            decision = self.watcher.taken(
                Taken(state.global_step, logs["loss"], logs["grad_norm"], logs["learning_rate"])
            )
            control.should_save = decision.save
            control.should_training_stop = control.should_training_stop or decision.stop
        return control

    def on_save(self, args: Any, state: Any, control: Any, **_more: Any) -> None:
        """Hand a checkpoint on."""
        self.watcher.saved(Path(args.output_dir) / f"checkpoint-{state.global_step}")


class OrderedTrainer(SFTTrainer):  # type: ignore[misc]
    """TRL's trainer with the batches of a run in their order."""

    def __init__(self, *, batches: StepOrder, **given: Any) -> None:
        self.batches = batches
        super().__init__(**given)

    def get_train_dataloader(self) -> Any:
        """Return the batches of the whole run, as one epoch."""
        loader = DataLoader(self.train_dataset, batch_sampler=self.batches, collate_fn=self.data_collator)
        return self.accelerator.prepare(loader)

    def create_model_card(self, *_given: Any, **_named: Any) -> None:
        """Write none: the run has its own."""


def make_trainer(
    made: TorchModel,
    folder: Path,
    config: TrainConfig,
    examples: Sequence[Example],
    batches: StepOrder,
    checkpoints: Path,
) -> OrderedTrainer:
    """Return a trainer for a whole run.

    Args:
        made: The model with adapters.
        folder: Of the base model, for its tokenizer, which pads.
        config: Of the run.
        examples: What is trained on.
        batches: Which of them each forward pass reads.
        checkpoints: Where checkpoints go.
    """
    parameters = [parameter for parameter in made.model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=config.learning_rate, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: rate_share(min(step, config.steps - 1), config.warmup_steps, config.steps)
    )
    trainer = OrderedTrainer(
        batches=batches,
        model=made.model,
        args=SFTConfig(**settings(config, checkpoints, made)),
        train_dataset=dataset_of(examples),
        processing_class=AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False),
        optimizers=(optimizer, schedule),
    )
    trainer.remove_callback(PrinterCallback)
    require_float32(trainer.model)
    return trainer


def dataset_of(examples: Sequence[Example]) -> Any:
    """Return the examples as rows that are tokenised and labelled, for TRL and Unsloth alike."""
    rows = [row_of(example) for example in examples]
    return Dataset.from_dict({name: [row[name] for row in rows] for name in ("input_ids", "labels")})


def settings(config: TrainConfig, checkpoints: Path, made: TorchModel) -> dict[str, Any]:
    """Return the arguments of `trl.SFTConfig`."""
    on_card = made.device == "cuda"
    return {
        "output_dir": str(checkpoints),
        "max_steps": config.steps,
        "per_device_train_batch_size": config.batch_size,
        "gradient_accumulation_steps": config.grad_accumulation,
        "learning_rate": config.learning_rate,
        "max_grad_norm": MAXIMUM_GRADIENT_NORM,
        "seed": config.seed,
        "bf16": made.precision == "bfloat16",
        "fp16": made.precision == "float16",
        "use_cpu": not on_card,
        "gradient_checkpointing": on_card,
        "dataset_kwargs": {"skip_prepare_dataset": True},
        "max_length": None,
        "packing": False,
        "remove_unused_columns": False,
        "dataloader_pin_memory": on_card,
        "logging_steps": 1,
        "logging_nan_inf_filter": False,
        "save_strategy": "no",
        "eval_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "log_level": "error",
    }


def take_steps(trainer: OrderedTrainer, watcher: Watcher, checkpoint: Path | None) -> None:
    """Train until all steps are taken or the watcher stops it; from `checkpoint` on when there is one."""
    trainer.add_callback(_Told(watcher))
    trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))


def validation_loss(trainer: OrderedTrainer, examples: Sequence[Example]) -> float:
    """Return the mean cross-entropy per answer token over `examples`, without dropout and without drawing numbers."""
    model = trainer.model
    model.eval()
    total, tokens = 0.0, 0
    with torch.no_grad(), trainer.compute_loss_context_manager():
        for example in examples:
            ids = torch.tensor([example.ids], device=model.device)
            rows = model(input_ids=ids, logits_to_keep=len(example.answer) + 1, use_cache=False).logits[0, :-1]
            targets = torch.tensor(example.answer, device=model.device)
            total += float(torch.nn.functional.cross_entropy(rows.float(), targets, reduction="sum"))
            tokens += len(example.answer)
    model.train()
    return total / tokens if tokens else math.nan


def peak_bytes(device: str) -> int:
    """Return the most memory that was held: torch's on the card, the whole process's on a CPU."""
    if device == "cuda":
        return int(torch.cuda.max_memory_allocated())
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
