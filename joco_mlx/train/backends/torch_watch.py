"""What is done between two steps of TRL's trainer: metrics, validation, checkpoints, adapters in their place.

Decides when there is a line of metrics, a validation and a checkpoint, as `mlx_lora.loop` does for MLX, and which of
transformers' checkpoints stay: the newest two and the best. Ours is the last file in one, so that a checkpoint without
it is not whole. Imports torch.
"""

import dataclasses
import json
import math
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from joco_mlx.adapters.convert import convert
from joco_mlx.adapters.training_base import TrainingBase
from joco_mlx.artifacts import write_json
from joco_mlx.errors import InputError
from joco_mlx.models.runs import ADAPTERS
from joco_mlx.progress import Task
from joco_mlx.train.backends.schedule import StepOrder
from joco_mlx.train.backends.torch_model import TorchModel
from joco_mlx.train.backends.trl import Decision, OrderedTrainer, Taken, peak_bytes, validation_loss
from joco_mlx.train.examples import Example
from joco_mlx.train.live_run import LiveRun
from joco_mlx.train.mlx_lora.checkpoint import Best, Reached
from joco_mlx.train.mlx_lora.loop import require_finite_validation
from joco_mlx.train.plan import Prepared

POSITION = "joco-mlx-position.json"
KEPT = 2
"""Newest checkpoints that stay on disk; the best stays as well."""


@dataclass
class Watch:
    """What is done between two steps; see `trl.Watcher`."""

    prepared: Prepared
    made: TorchModel
    trainer: OrderedTrainer
    order: StepOrder
    run: LiveRun
    shown: Task
    stopped: Callable[[], bool]
    reached: Reached
    _began: float = field(default_factory=time.perf_counter)

    def taken(self, step: Taken) -> Decision:
        """Write down a step, validate where it is due, and say what comes next."""
        config, now = self.prepared.config, time.perf_counter()
        records = self._records(step.step - 1)
        self._require_finite(step, records)
        self.reached = replace(
            self.reached,
            step=step.step,
            batch=step.step * config.grad_accumulation,
            read_tokens=self.reached.read_tokens + sum(len(record.ids) - 1 for record in records),
            seconds=self.reached.seconds + now - self._began,
        )
        peak = peak_bytes(self.made.device)
        if self._due(config.log_every):
            self.run.write(self._line(step, records, peak))
        figures = {"loss": step.loss, "tokens_per_second": self._speed(), "memory_gb": peak / 1e9}
        self.shown.advance(1, **figures, **self._validated())
        best = self.reached.best is not None and self.reached.best.step == step.step
        stop = self.stopped() or self._is_stale()
        save = best or stop or self._due(config.save_every)
        self._began = time.perf_counter()
        return Decision(save=save, stop=stop)

    def saved(self, checkpoint: Path) -> None:
        """Make a checkpoint of transformers whole, keep few, and put its adapters where they are used."""
        self.run.sync()
        write_json(checkpoint / POSITION, dataclasses.asdict(self.reached))
        put_adapters(checkpoint, self.run.folder, self.prepared, self.made)
        drop_old(checkpoint.parent, self.reached.best)
        self._began = time.perf_counter()

    def _records(self, step: int) -> list[Example]:
        indices = self.order.of_step(step, self.prepared.config.grad_accumulation)
        return [self.prepared.examples[index] for index in indices]

    def _require_finite(self, step: Taken, records: Sequence[Example]) -> None:
        for what, value in (("loss", step.loss), ("gradient", step.gradient_norm)):
            if not math.isfinite(value):
                names = ", ".join(record.name for record in records)
                raise InputError(
                    f"The {what} became {value} in step {step.step}, at one of the records {names}.",
                    f"Look at that text, or lower --learning-rate (it is {self.prepared.config.learning_rate:g}).",
                )

    def _due(self, every: int) -> bool:
        return self.reached.step % every == 0 or self.reached.step == self.prepared.config.steps

    def _is_stale(self) -> bool:
        patience = self.prepared.config.patience
        return patience is not None and self.reached.validations_since_best >= patience

    def _speed(self) -> float:
        return self.reached.read_tokens / max(self.reached.seconds, 1e-9)

    def _line(self, step: Taken, records: Sequence[Example], peak: int) -> dict[str, Any]:
        return {
            "step": step.step,
            "epoch": round(self.reached.batch / self.order.order.per_epoch, 4),
            "loss": step.loss,
            "tokens": sum(len(record.answer) for record in records),
            "learning_rate": step.learning_rate,
            "gradient_norm": step.gradient_norm,
            "tokens_per_second": round(self._speed(), 1),
            "seconds": round(self.reached.seconds, 3),
            "peak_bytes": peak,
        }

    def _validated(self) -> dict[str, float]:
        examples = self.prepared.validation
        if not (examples and self._due(self.prepared.config.eval_every)):
            return {}
        loss = validation_loss(self.trainer, examples)
        require_finite_validation(loss, self.reached.step, self.prepared.config.learning_rate)
        self.run.write({"step": self.reached.step, "val_loss": loss, "val_records": len(examples)})
        best = self.reached.best
        if best is None or loss < best.val_loss:
            self.reached = replace(self.reached, best=Best(self.reached.step, loss), validations_since_best=0)
        else:
            since = self.reached.validations_since_best + 1
            self.reached = replace(self.reached, validations_since_best=since)
        return {"val_loss": loss}


def put_adapters(checkpoint: Path, folder: Path, prepared: Prepared, made: TorchModel) -> list[Path]:
    """Put the adapters of a checkpoint into the run's folder, in mlx-lm's layout, and return the files."""
    base = TrainingBase.of(prepared.model, made.quantization)
    convert(checkpoint, folder / ADAPTERS, base=base, force=True)
    return sorted((folder / ADAPTERS).iterdir())


def checkpoint_at(folder: Path, step: int) -> Path:
    """Return where transformers puts the checkpoint after `step` steps."""
    return folder / f"checkpoint-{step}"


def newest_whole(folder: Path) -> tuple[Path | None, Reached]:
    """Return the newest whole checkpoint in `folder` and how far it had come; newer ones are removed."""
    for checkpoint in reversed(_checkpoints(folder)):
        try:
            content = json.loads((checkpoint / POSITION).read_text("utf-8"))
            best = content.pop("best")
            return checkpoint, Reached(**content, best=Best(**best) if best else None)
        except (OSError, ValueError, KeyError, TypeError):  # the process died while it was written
            shutil.rmtree(checkpoint)
    return None, Reached()


def drop_old(folder: Path, best: Best | None) -> None:
    """Keep the newest checkpoints and the best."""
    kept = {*_checkpoints(folder)[-KEPT:], *([] if best is None else [checkpoint_at(folder, best.step)])}
    for old in _checkpoints(folder):
        if old not in kept:
            shutil.rmtree(old)


def _checkpoints(folder: Path) -> list[Path]:
    """Oldest first."""
    found = [path for path in folder.glob("checkpoint-*") if path.name.removeprefix("checkpoint-").isdigit()]
    return sorted(found, key=lambda path: int(path.name.removeprefix("checkpoint-")))
