"""The forward pass of any architecture that mlx-lm has, for training, by mlx-lm's own code.

Decides how little of it can be replaced without knowing the architecture. The output of the trunk (`model.model`) is cut to
the answer's rows before the model's own head, scaling and soft-capping see it, when a comparison says that this gives the
same logits; adapters work in the activations' number type; and checkpointing is by whole layers. Layers are computed at all
positions, and there is no trunk to keep. Refuses what mlx-lm cannot differentiate.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from joco_mlx.models.compute import mx, nn

# The line above loads a fast BLAS, which must happen before anything imports mlx.
# isort: split
from mlx_lm.models import llama, qwen2, qwen3
from mlx_lm.tuner.dora import DoRALinear
from mlx_lm.tuner.lora import LoRALinear

from joco_mlx.errors import InputError
from joco_mlx.models.memory import Checkpointing
from joco_mlx.train.mlx_lora.adapted import linear
from joco_mlx.train.mlx_lora.recompute import again

_TRIED = 8
"""Tokens of the comparison."""
_SAME = 0.05
"""Share of the largest logit by which the two ways may differ in 16 bits; other rows differ by far more."""


def answer_logits(model: Any, ids: Any, rows: Any, *, checkpointing: Checkpointing) -> Any:
    """Return what `forward.answer_logits` returns; "segments" are whole layers here."""
    owner = _owner(model)
    with ExitStack() as replaced:
        for kind in (LoRALinear, DoRALinear):
            replaced.enter_context(_calls(kind, linear))
        if checkpointing != "none":
            for kind in {type(layer) for layer in model.layers}:
                replaced.enter_context(_calls(kind, _layer_again(kind.__call__)))
        if owner is None or not getattr(model, "_cuts_rows", True):
            return _at(model(ids), rows).astype(mx.float32)
        cut = _CutTrunk(owner["model"], rows)
        replaced.enter_context(_trunk(owner, cut))
        return model(ids).astype(mx.float32)


def is_known(model: Any) -> bool:
    """Whether `forward` is the model's own forward pass, so that nothing here is needed."""
    known = isinstance(model, llama.Model | qwen2.Model | qwen3.Model)
    return known and not any(getattr(layer, "use_sliding", False) for layer in model.layers)


def require_trainable(model: Any) -> None:
    """Try a model with its adapters on a few tokens: whether rows can be cut, and whether it has gradients.

    Nothing is tried with a known model.

    Raises:
        InputError: mlx-lm's code cannot be differentiated, or does not give logits for ids alone.
    """
    if is_known(model):
        return
    ids, rows = mx.arange(1, _TRIED + 1)[None], mx.arange(2, 5)[None]
    parameters = model.trainable_parameters()
    model.eval()
    try:
        whole = _at(model(ids), rows).astype(mx.float32)
        model._cuts_rows = _agrees(model, ids, rows, whole)
        _, found = nn.value_and_grad(model, lambda: answer_logits(model, ids, rows, checkpointing="layer").sum())()
        mx.eval(found)
        model.update(parameters)
    except (ValueError, RuntimeError, TypeError, AttributeError, KeyError, IndexError) as problem:
        raise InputError(
            f"mlx-lm's {model.model_type} cannot be trained: {str(problem).splitlines()[0] if str(problem) else problem!r}.",
            "Use a qwen2, qwen3 or llama model; joco-mlx models lists some.",
        ) from problem


def _agrees(model: Any, ids: Any, rows: Any, whole: Any) -> bool:
    try:
        cut = answer_logits(model, ids, rows, checkpointing="none")
        if cut.shape != whole.shape:
            return False
        return bool((mx.abs(cut - whole).max() <= _SAME * mx.abs(whole).max()).item())
    except (ValueError, TypeError, AttributeError, IndexError):  # its trunk returns something else than hidden states
        return False


def _owner(model: Any) -> Any:
    """The module whose `model` is the trunk and that has the head: the model itself, or its language model."""
    while isinstance(inner := model.get("language_model"), nn.Module):
        model = inner
    return model if isinstance(model.get("model"), nn.Module) else None


class _CutTrunk:
    """A trunk whose output is that at some rows only; in all else the trunk itself."""

    def __init__(self, trunk: Any, rows: Any) -> None:
        self._trunk, self._rows = trunk, rows

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return _at(self._trunk(*args, **kwargs), self._rows)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._trunk, name)


@contextmanager
def _trunk(owner: Any, trunk: Any) -> Iterator[None]:
    """Put another trunk in its place, past the check that it is a module, which would change the order of parameters."""
    before = owner["model"]
    dict.__setitem__(owner, "model", trunk)
    try:
        yield
    finally:
        dict.__setitem__(owner, "model", before)


@contextmanager
def _calls(kind: Any, call: Callable[..., Any]) -> Iterator[None]:
    """Have the modules of a class do something else for the length of a block, as mlx-lm's own checkpointing does."""
    before = kind.__call__
    kind.__call__ = call
    try:
        yield
    finally:
        kind.__call__ = before


def _layer_again(plain: Callable[..., Any]) -> Callable[..., Any]:
    """A layer that is computed again for its gradient; masks and caches are closed over, hidden states passed in."""

    def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
        named: dict[Any, Any] = {**dict(enumerate(args)), **kwargs}
        passed = [name for name, value in named.items() if _may_have_gradient(value)]

        def inner(*values: Any) -> Any:
            own = {**named, **dict(zip(passed, values, strict=True))}
            return plain(layer, *(own.pop(place) for place in range(len(args))), **own)

        return again([layer], inner, *(named[name] for name in passed))

    return call


def _may_have_gradient(value: Any) -> bool:
    return isinstance(value, mx.array) and bool(mx.issubdtype(value.dtype, mx.floating))


def _at(hidden: Any, rows: Any) -> Any:
    """[batch, length, size] -> [batch, rows, size]."""
    return mx.take_along_axis(hidden, rows[..., None], axis=1)
