"""Measures our training step beside mlx-lm's LoRA: the same model, record, adapters and optimizer, taking turns.

mlx-lm runs as shipped, with and without --grad-checkpoint; but on a CPU device it is not compiled, because there it is
faster without. Of our forms the fastest counts whose peak is at most 2 % over
that of mlx-lm with --grad-checkpoint, because that is what a memory plan with this budget would choose. On a CPU device
time is CPU time, so that a busy machine distorts nothing; on a GPU it is wall time. The last line printed is one JSON
object. Each size is also raced with adapters on the top half of the layers only, for both; there ours reads what the
lower half gives from a warm trunk cache on disk, and the reading counts. `--shapes 1.5b` adds the peaks of the true graph of a 1.5B, with equal-sized buffers in place of matmuls.
"""

import argparse
import gc
import io
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, get_args

import numpy as np

from joco_mlx.config import TrainConfig
from joco_mlx.models.compute import device_kind, mx, nn, optimizers, trees

# The line above loads a fast BLAS, which must happen before anything imports mlx.
# isort: split
from mlx_lm.models import qwen2
from mlx_lm.tuner.trainer import default_loss, grad_checkpoint
from training_peaks import true_peaks

from joco_mlx.models.memory import Checkpointing
from joco_mlx.train.batches import Batch, make_batch
from joco_mlx.train.examples import Example
from joco_mlx.train.mlx_lora.lora import add_adapters
from joco_mlx.train.mlx_lora.step import Step, answer_loss
from joco_mlx.train.mlx_lora.trunk import Trunk
from joco_mlx.train.mlx_lora.trunk_cache import TrunkCache

VOCABULARY = 151_936
FORMS: tuple[Checkpointing, ...] = get_args(Checkpointing)
PEER = "mlx-lm --grad-checkpoint"
ALLOWED_PEAK = 1.02
ANSWER = 20
QUICK_SECONDS, SECONDS = 8.0, 600.0
Loss = Callable[..., Any]


@dataclass(frozen=True)
class Size:
    """Sizes of a qwen2 model with the full vocabulary."""

    name: str
    hidden: int
    intermediate: int
    heads: int
    layers: int
    tokens: int = 256


NARROW = Size("hidden 128", 128, 512, 4, 4)
WIDE = Size("true width", 1_536, 8_960, 12, 2)


@dataclass(frozen=True)
class Cost:
    """What one step took."""

    seconds: float
    peak_bytes: int


def random_model(size: Size, *, bits: int | None = None, layers: int = -1) -> Any:
    """Return a float32 qwen2 with adapters of rank 8 whose second factors are not zero, or one with a quantised base.

    Args:
        size: Of the model.
        bits: Of the base; None leaves it in float32.
        layers: Layers with adapters, from the top; -1 for all.
    """
    mx.random.seed(0)
    arguments = qwen2.ModelArgs(
        model_type="qwen2", hidden_size=size.hidden, num_hidden_layers=size.layers, rms_norm_eps=1e-6,
        intermediate_size=size.intermediate, num_attention_heads=size.heads, num_key_value_heads=2,
        vocab_size=VOCABULARY if bits is None else 512, tie_word_embeddings=True,
    )  # fmt: skip
    model = qwen2.Model(arguments)
    if bits:
        nn.quantize(model, group_size=64, bits=bits)
    add_adapters(model, TrainConfig(rank=8, alpha=8.0, layers=layers), {})
    for name, array in trees.tree_flatten(model.trainable_parameters()):
        if name.endswith("lora_b"):
            model.load_weights([(name, mx.random.normal(array.shape) * 0.01)], strict=False)
    model.train()
    mx.eval(model.parameters())
    return model


def random_example(tokens: int, vocabulary: int = VOCABULARY) -> Example:
    """Return a record of `tokens` inputs with an answer of 20 tokens."""
    ids = np.random.default_rng(0).integers(5, vocabulary, tokens + 1).tolist()
    return Example("random", tuple(ids[:-ANSWER]), tuple(ids[-ANSWER:]), cut=False)


def arrays(batch: Batch) -> list[Any]:
    """Return what `answer_loss` takes after the model."""
    return [mx.array(part) for part in (batch.ids, batch.rows, batch.targets, batch.weights)]


def peer_batch(example: Example, *, corrected: bool) -> tuple[Any, Any]:
    """Return ids and lengths as mlx-lm's batches have them; corrected, its mask ends with the answer."""
    return mx.array([example.ids]), mx.array([[len(example.prompt), len(example.ids) - corrected]])


def peer_step(model: Any, example: Example) -> Callable[[], None]:
    """Return one step of `mlx_lm.tuner.trainer.train` without accumulation."""
    optimizer = optimizers.AdamW(learning_rate=1e-5)
    optimizer.init(model.trainable_parameters())
    gradient = nn.value_and_grad(model, default_loss)
    state = [model.state, optimizer.state, mx.random.state]

    def step(ids: Any, lengths: Any) -> Any:
        (loss, _), gradients = gradient(model, ids, lengths)
        optimizer.update(model, gradients)
        return loss

    run = mx.compile(step, inputs=state, outputs=state) if device_kind() != "cpu" else step
    batch = peer_batch(example, corrected=False)
    return lambda: mx.eval(state, run(*batch))


def our_step(model: Any, example: Example, form: Checkpointing, trunk: Trunk | None = None) -> Callable[[], None]:
    """Return one step of our trainer without accumulation."""
    step = Step(model, optimizers.AdamW(learning_rate=1e-5), form_of=lambda _: form, trunk=trunk)
    batch = make_batch([example])

    def run() -> None:
        step.add(batch)
        step.update()

    return run


def with_checkpointing(call: Callable[[], None]) -> None:
    """Call something while mlx-lm's own checkpointing is on, which it puts into the layers' class."""
    block = qwen2.TransformerBlock
    plain = block.__call__
    grad_checkpoint(block.__new__(block))
    try:
        call()
    finally:
        block.__call__ = plain


def contenders(size: Size, cache: Path | None) -> dict[str, Callable[[], None]]:
    """Return name -> one step, all on one model: the adapters drift a little, the work does not.

    Args:
        size: Of the model.
        cache: Folder for the trunk of the lower half; None puts adapters on all layers, which leaves no trunk.
    """
    model, example = random_model(size, layers=size.layers // 2 if cache else -1), random_example(size.tokens)
    trunk = Trunk(model, TrunkCache(cache, 10**9, {"size": size.name})) if cache else None
    checkpointed = peer_step(model, example)
    ours = {f"joco-mlx, {form}": our_step(model, example, form, trunk) for form in FORMS}
    plain = peer_step(model, example)
    return {"mlx-lm": plain, PEER: partial(with_checkpointing, checkpointed), **ours}


def measured(call: Callable[[], None]) -> Cost:
    """Return what one call takes. The cache of freed buffers is emptied before, so that no contender inherits it."""
    gc.collect()
    mx.clear_cache()
    mx.reset_peak_memory()
    clock = time.process_time if device_kind() == "cpu" else time.perf_counter
    began = clock()
    call()
    return Cost(clock() - began, mx.get_peak_memory())


def race(size: Size, turns: int, seconds: float, cache: Path | None) -> dict[str, Cost]:
    """Let the contenders take turns after one step to warm up; return the median time and the highest peak of each.

    No turn begins after `seconds`, but there is always one.
    """
    costs: dict[str, list[Cost]] = {}
    runners = contenders(size, cache)
    for call in runners.values():
        call()
    began = time.monotonic()
    for turn in range(turns):
        if turn and time.monotonic() - began > seconds:
            break
        for name, call in runners.items():
            costs.setdefault(name, []).append(measured(call))
    return {
        name: Cost(statistics.median(cost.seconds for cost in each), max(cost.peak_bytes for cost in each))
        for name, each in costs.items()
    }


def chosen(costs: dict[str, Cost]) -> str:
    """Return our fastest form at no more than the allowed share of the peer's peak."""
    limit = ALLOWED_PEAK * costs[PEER].peak_bytes
    ours = [name for name in costs if name.startswith("joco-mlx")]
    fitting = [name for name in ours if costs[name].peak_bytes <= limit]
    return min(fitting or ours, key=lambda name: costs[name].seconds)


def gradient_error(size: Size) -> float:
    """Return the largest difference to mlx-lm's gradients with its mask corrected, as a share of the largest entry."""
    model, example = random_model(size), random_example(size.tokens)
    ids, lengths = peer_batch(example, corrected=True)
    (_, tokens), wanted = nn.value_and_grad(model, default_loss)(model, ids, lengths)
    reference = {name: array * tokens for name, array in trees.tree_flatten(wanted)}
    mx.eval(reference)
    largest = max(float(mx.abs(array).max()) for array in reference.values())
    batch, worst = arrays(make_batch([example])), 0.0
    for form in FORMS:
        loss = partial(answer_loss, checkpointing=form)
        _, found = nn.value_and_grad(model, loss)(model, *batch)
        worst = max(worst, *(float(mx.abs(array - reference[name]).max()) for name, array in trees.tree_flatten(found)))
    return worst / largest


def quantised_matmuls(form: Checkpointing) -> int:
    """Return how many quantised matmuls a step of a 4-bit model executes: those that its results reach in the graph."""
    size = Size("4-bit", 128, 256, 4, 6, tokens=64)
    model, batch = random_model(size, bits=4), arrays(make_batch([random_example(size.tokens, 512)]))
    loss, gradients = nn.value_and_grad(model, partial(answer_loss, checkpointing=form))(model, *batch)
    graph = io.StringIO()
    mx.export_to_dot(graph, loss, *(array for _, array in trees.tree_flatten(gradients)))
    return graph.getvalue().count('"QuantizedMatmul"')


def show(title: str, rows: Sequence[tuple[str, str, str]]) -> None:
    """Print three columns under a title."""
    print(f"\n{title}")
    for first, second, third in rows:
        print(f"  {first:<28} {second:>14} {third:>12}")


def compare(size: Size, turns: int, seconds: float, cache: Path | None = None) -> dict[str, float | str]:
    """Race at one size, print the table, and return the ratios; see `contenders` for `cache`."""
    costs = race(size, turns, seconds, cache)
    best, peer = chosen(costs), costs[PEER]
    title = f"{size.name}: {size.hidden}/{size.intermediate}, {size.layers} layers, {size.tokens} tokens, float32"
    if cache:
        title += f"; adapters on the top {size.layers // 2}, ours with a warm trunk cache"
    rows = [(name, f"{cost.seconds:.3f} s", f"{cost.peak_bytes / 1e6:,.0f} MB") for name, cost in costs.items()]
    show(title, rows)
    print(f"  counts: {best}")
    return {
        "form": best,
        "step_time_ratio": round(peer.seconds / costs[best].seconds, 3),
        "peak_memory_ratio": round(costs[best].peak_bytes / peer.peak_bytes, 3),
    }


def main() -> None:
    """Parse the options, measure, and print the tables and the line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="only the narrow model; ends within a minute on 2 cores")
    parser.add_argument("--turns", type=int, help="steps of each contender that are measured")
    parser.add_argument("--shapes", choices=("1.5b",), help="also measure the peaks of a model's true shapes")
    parser.add_argument("--lengths", type=int, nargs="+", default=[512, 2_048], help="tokens of a record for --shapes")
    options = parser.parse_args()
    sizes = (NARROW,) if options.quick else (NARROW, WIDE)
    turns = options.turns or (3 if options.quick else 5)
    seconds = QUICK_SECONDS if options.quick else SECONDS
    raced = {size.name: compare(size, turns, seconds) for size in sizes}
    with tempfile.TemporaryDirectory() as cache:
        halved = {size.name: compare(size, turns, seconds, Path(cache)) for size in sizes}
    figures: dict[str, Any] = {
        "step_time_ratio": raced[NARROW.name]["step_time_ratio"],
        "peak_memory_ratio": raced[NARROW.name]["peak_memory_ratio"],
        "step_time_ratio_trunk_cache": halved[NARROW.name]["step_time_ratio"],
        "peak_memory_ratio_trunk_cache": halved[NARROW.name]["peak_memory_ratio"],
        "max_relative_gradient_error": float(f"{gradient_error(NARROW):.2e}"),
        "quantized_matmuls_segments": quantised_matmuls("segments"),
        "quantized_matmuls_uncheckpointed": quantised_matmuls("none"),
        "quantized_matmuls_layer": quantised_matmuls("layer"),
        "device": device_kind(),
        "sizes": raced,
        "sizes_trunk_cache": halved,
    }
    if options.shapes:
        figures["peak_bytes"] = true_peaks(options.lengths)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
