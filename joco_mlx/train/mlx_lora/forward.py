"""The forward pass of qwen2, qwen3 and llama for training: only what the loss of the answer needs.

Decides which positions are computed where. Every layer but the last works on all positions; the last one makes keys and
values for all, but queries, output projection and MLP only for the rows that predict an answer token, and so do the
final norm and the head. Nothing is approximated. And what the backward pass computes again to save memory: nothing, the
cheap parts between the base's matmuls ("segments"), or whole layers ("layer"). What the layers below the adapters give
never changes and can be handed in. Leaves the weights, and what a layer is made of, to mlx-lm, and adapters to `adapted`.
"""

from typing import Any

from joco_mlx.models.compute import device_kind, mx, trees

# The line above loads a fast BLAS, which must happen before anything imports mlx.
# isort: split
from mlx_lm.models.activations import swiglu

from joco_mlx.models.memory import Checkpointing
from joco_mlx.train.mlx_lora import any_model, cpu_math
from joco_mlx.train.mlx_lora.adapted import linear
from joco_mlx.train.mlx_lora.recompute import Run, again, kept


def frozen_layers(model: Any) -> int:
    """Return how many layers lie below the first one with an adapter; the last layer never does."""
    trained = (number for number, layer in enumerate(model.layers) if trees.tree_flatten(layer.trainable_parameters()))
    return next(trained, len(model.layers) - 1)


def trunk_output(model: Any, ids: Any) -> Any:
    """Return what comes out of the embedding and the layers below the adapters, [batch, length, size]."""
    hidden = model.model.embed_tokens(ids)
    for layer in model.layers[: frozen_layers(model)]:
        hidden = _LAYER_FORMS["none"](layer, hidden, None)
    return hidden


def answer_logits(model: Any, ids: Any, rows: Any, *, checkpointing: Checkpointing, trunk: Any = None) -> Any:
    """Return the model's logits at some positions only, in float32.

    Args:
        model: A model of mlx-lm, with or without adapters.
        ids: [batch, length] token ids.
        rows: [batch, answers] positions of `ids`, consecutive in each row.
        checkpointing: What is computed again for the backward pass in place of being kept.
        trunk: What `trunk_output` gave for `ids`, when it is known; only for models that are.

    Returns:
        [batch, answers, vocabulary], float32.
    """
    if not any_model.is_known(model):
        return any_model.answer_logits(model, ids, rows, checkpointing=checkpointing)
    run = _LAYER_FORMS[checkpointing]
    hidden, begun = (model.model.embed_tokens(ids), 0) if trunk is None else (trunk, frozen_layers(model))
    *lower, last = model.layers[begun:]
    for layer in lower:
        hidden = run(layer, hidden, None)
    hidden = model.model.norm(run(last, hidden, rows))
    head = model.model.embed_tokens.as_linear if model.args.tie_word_embeddings else model.lm_head
    return head(hidden).astype(mx.float32)


def _in_segments(layer: Any, hidden: Any, rows: Any, run: Run = again, attend: Run | None = None) -> Any:
    """Run a layer in four segments, each of which begins with something cheap and ends in the base's matmuls.

    The gradient of a frozen matmul does not need the matmul's result, and MLX computes nothing that is not needed: a
    segment that is run again executes its norm, rope, attention or SwiGLU, and none of the base's matmuls.

    Args:
        layer: Of a known model.
        hidden: [batch, length, size].
        rows: [batch, answers] positions to return; None for all. Keys and values are made for all of them anyway.
        run: How a segment is run.
        attend: How the second one is, which holds attention's matrix of scores.
    """
    attention, mlp, attend = layer.self_attn, layer.mlp, attend or run
    projections = [attention.q_proj, attention.k_proj, attention.v_proj]
    asked = run(projections, lambda hidden: _queries_keys_values(layer, hidden, rows), hidden)
    hidden = attend([attention.o_proj], lambda *values: _attended(layer, rows, *values), *asked, hidden)
    gate, up = run([mlp.gate_proj, mlp.up_proj], lambda hidden: _gate_and_up(layer, hidden), hidden)
    return run([mlp.down_proj], lambda *values: _closed(layer, *values), gate, up, hidden)


def _whole_again(layer: Any, hidden: Any, rows: Any) -> Any:
    """Run a layer that is run again as a whole, and its attention once more, so that its scores do not lie beside the MLP."""
    attend = again if _keeps_scores(hidden) else kept
    return again([layer], lambda hidden: _in_segments(layer, hidden, rows, kept, attend), hidden)


_LAYER_FORMS: dict[Checkpointing, Run] = {
    "none": lambda layer, hidden, rows: _in_segments(layer, hidden, rows, kept),
    "segments": _in_segments,
    "layer": _whole_again,
}


def _queries_keys_values(layer: Any, hidden: Any, rows: Any) -> tuple[Any, Any, Any]:
    attention, inputs = layer.self_attn, layer.input_layernorm(hidden)
    asking = inputs if rows is None else _at(inputs, rows)
    return linear(attention.q_proj, asking), linear(attention.k_proj, inputs), linear(attention.v_proj, inputs)


def _attended(layer: Any, rows: Any, queries: Any, keys: Any, values: Any, hidden: Any) -> Any:
    """Attention and its output projection, added to `hidden`: [batch, length or answers, size]."""
    attention = layer.self_attn
    first = 0 if rows is None else rows[:, 0]  # the rows are consecutive, so their first is offset enough
    queries = attention.rope(_normed(attention, "q_norm", _heads(queries, attention.n_heads)), offset=first)
    keys = attention.rope(_normed(attention, "k_norm", _heads(keys, attention.n_kv_heads)))
    mixed = _attention(queries, keys, _heads(values, attention.n_kv_heads), attention.scale, rows)
    batch, heads, positions, size = mixed.shape
    mixed = mixed.transpose(0, 2, 1, 3).reshape(batch, positions, heads * size)
    return (hidden if rows is None else _at(hidden, rows)) + linear(attention.o_proj, mixed)


def _normed(attention: Any, name: str, heads: Any) -> Any:
    """Heads through the norm that qwen3 has for them."""
    return attention[name](heads) if name in attention else heads


def _gate_and_up(layer: Any, hidden: Any) -> tuple[Any, Any]:
    inputs = layer.post_attention_layernorm(hidden)
    return linear(layer.mlp.gate_proj, inputs), linear(layer.mlp.up_proj, inputs)


def _closed(layer: Any, gate: Any, up: Any, hidden: Any) -> Any:
    """SwiGLU and the MLP's last projection, added to `hidden`."""
    gated = cpu_math.swiglu if _by_hand(hidden) else swiglu
    return hidden + linear(layer.mlp.down_proj, gated(gate, up))


def _attention(queries: Any, keys: Any, values: Any, scale: float, rows: Any) -> Any:
    """Causal attention over [batch, heads, positions, size]; the queries are those at `rows`, or all when None."""
    if rows is not None:
        seen = mx.arange(keys.shape[2]) <= rows[:, None, :, None]
        return mx.fast.scaled_dot_product_attention(queries, keys, values, scale=scale, mask=seen)
    if _by_hand(queries):
        return cpu_math.causal_attention(queries, keys, values, scale)
    return mx.fast.scaled_dot_product_attention(queries, keys, values, scale=scale, mask="causal")


def _at(hidden: Any, rows: Any) -> Any:
    """[batch, length, size] -> [batch, answers, size]."""
    return mx.take_along_axis(hidden, rows[..., None], axis=1)


def _by_hand(hidden: Any) -> bool:
    """Whether our own CPU functions are faster than MLX's; they are written for float32."""
    return device_kind() == "cpu" and bool(hidden.dtype == mx.float32)


def _keeps_scores(hidden: Any) -> bool:
    """Whether attention keeps its matrix of scores for the backward pass: MLX does but on CUDA, our CPU function does not."""
    return not _by_hand(hidden) and device_kind() != "cuda"


def _heads(projected: Any, count: int) -> Any:
    """[batch, positions, count * size] -> [batch, count, positions, size]."""
    batch, positions, _ = projected.shape
    return projected.reshape(batch, positions, count, -1).transpose(0, 2, 1, 3)
