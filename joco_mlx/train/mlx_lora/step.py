"""One step of training: the loss of a batch, its gradient, and the update.

Decides what is minimised, the mean cross-entropy over the answers' tokens of all batches of a step, so that accumulation
equals one big batch; and how: AdamW without decay, gradients clipped to norm 1, warm-up and linear decay to zero.
Compiled on a GPU; on a CPU device MLX's compiler costs more than it saves.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from joco_mlx.models.compute import device_kind, mx, nn, optimizers, trees
from joco_mlx.models.memory import Checkpointing
from joco_mlx.train.batches import Batch
from joco_mlx.train.distributed import ALONE, Team
from joco_mlx.train.mlx_lora.forward import answer_logits
from joco_mlx.train.mlx_lora.trunk import Trunk

MAXIMUM_GRADIENT_NORM = 1.0


def answer_loss(
    model: Any,
    ids: Any,
    rows: Any,
    targets: Any,
    weights: Any,
    trunk: Any = None,
    *,
    checkpointing: Checkpointing = "none",
) -> Any:
    """Return the sum of the cross-entropy over the answers' tokens, a float32 scalar.

    Args:
        model: A model of mlx-lm.
        ids: [batch, length], as `Batch.ids`.
        rows: [batch, answers], as `Batch.rows`.
        targets: [batch, answers], as `Batch.targets`.
        weights: [batch, answers], as `Batch.weights`.
        trunk: See `answer_logits`.
        checkpointing: See `answer_logits`.
    """
    logits = answer_logits(model, ids, rows, checkpointing=checkpointing, trunk=trunk)
    return nn.losses.cross_entropy(logits, targets, weights=weights, reduction="sum")


def batch_arrays(batch: Batch, trunk: Trunk | None = None) -> list[Any]:
    """Return what `answer_loss` takes of a batch, with the trunk's output when the trunk is run apart."""
    arrays = [mx.array(part) for part in (batch.ids, batch.rows, batch.targets, batch.weights)]
    return arrays if trunk is None else [*arrays, trunk.output(batch.ids)]


def make_optimizer(learning_rate: float, warmup_steps: int, steps: int) -> Any:
    """Return AdamW with bias correction and no weight decay, on the schedule of `rate_at`."""
    return optimizers.AdamW(
        learning_rate=lambda step: rate_at(step.astype(mx.float32), learning_rate, warmup_steps, steps),
        weight_decay=0.0,
        bias_correction=True,
    )


def rate_at(step: Any, peak: float, warmup_steps: int, steps: int) -> Any:
    """Return the learning rate of a step, counted from 0: linear up to `peak` after `warmup_steps`, linear down to 0."""
    warmup_steps = min(warmup_steps, steps - 1)
    rising = (step + 1) / (warmup_steps + 1)
    falling = (steps - step) / (steps - warmup_steps)
    return peak * mx.minimum(rising, mx.maximum(falling, 0.0))


@dataclass(frozen=True)
class Measured:
    """What one step did."""

    loss: float
    """Mean cross-entropy of the trained tokens by their weights, in nats, before the update."""
    tokens: int
    """Tokens trained on."""
    gradient_norm: float
    """Before clipping."""
    learning_rate: float


class Step:
    """Gradients of batches added up, then one update of the adapters.

    Attributes:
        model: The model with adapters; only they are trainable.
        optimizer: Its state is part of a checkpoint.
        form_of: The padded length of a batch -> what its backward pass computes again.
        trunk: The layers below the adapters when they are run apart.
        team: The ranks that train together; each adds batches of its own, and all make the same update.
    """

    def __init__(
        self,
        model: Any,
        optimizer: Any,
        *,
        form_of: Callable[[int], Checkpointing] = lambda _: "none",
        trunk: Trunk | None = None,
        team: Team = ALONE,
    ) -> None:
        self.model = model
        self.optimizer = optimizer
        self.form_of = form_of
        self.trunk = trunk
        self.team = team
        optimizer.init(model.trainable_parameters())
        self._state = [model.state, optimizer.state, mx.random.state]
        self._gradients_by_form: dict[Checkpointing, Callable[..., Any]] = {}
        self._update = self._compiled(self._apply)
        self._loss = mx.array(0.0)
        self._tokens = 0
        self._weight = 0.0
        self._gradients: Any = None

    def add(self, batch: Batch) -> float:
        """Add the gradient of a batch to those of this step, and return its mean loss per trained token."""
        gradient = self._gradient(self.form_of(batch.ids.shape[1]))
        loss, gradients = gradient(*batch_arrays(batch, self.trunk))
        self._gradients = gradients if self._gradients is None else trees.tree_map(mx.add, self._gradients, gradients)
        self._loss = self._loss + loss
        self._tokens += batch.tokens
        self._weight += batch.weight
        mx.eval(loss, self._loss, self._gradients)
        return _number(loss) / batch.weight

    def update(self) -> Measured:
        """Change the adapters by what was added since the last update.

        A gradient that is not finite is applied as well: who asks for the update looks at its norm, and keeps nothing of
        the model when that is no number.
        """
        loss, tokens, weight = self.team.total(_number(self._loss), self._tokens, self._weight)
        norm = self._update(self.team.sum(self._gradients), mx.array(1 / weight))
        self._loss, self._tokens, self._weight, self._gradients = mx.array(0.0), 0, 0.0, None
        mx.eval(norm, self.model.trainable_parameters(), self.optimizer.state)
        return Measured(loss / weight, int(tokens), _number(norm), _number(self.optimizer.learning_rate))

    def _gradient(self, form: Checkpointing) -> Callable[..., Any]:
        """Return what computes loss and gradient in a form; made once, because compiling it takes seconds."""
        if form not in self._gradients_by_form:
            made = nn.value_and_grad(self.model, lambda *arrays: answer_loss(self.model, *arrays, checkpointing=form))
            self._gradients_by_form[form] = self._compiled(made)
        return self._gradients_by_form[form]

    def _compiled(self, function: Callable[..., Any]) -> Callable[..., Any]:
        if device_kind() == "cpu":
            return function
        compiled: Callable[..., Any] = mx.compile(function, inputs=self._state, outputs=self._state)
        return compiled

    def _apply(self, gradients: Any, share: Any) -> Any:
        mean = trees.tree_map(lambda gradient: gradient * share, gradients)
        clipped, norm = optimizers.clip_grad_norm(mean, MAXIMUM_GRADIENT_NORM)
        self.optimizer.update(self.model, clipped)
        return norm


def _number(scalar: Any) -> float:
    return float(scalar.item())
