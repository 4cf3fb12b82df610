"""The forward pass of qwen2 and llama for training: only what the loss of the answer needs.

Decides which positions are computed where. Every layer but the last works on all positions; the last one makes keys and
values for all, but queries, output projection and MLP only for the rows that predict an answer token, and so do the
final norm and the head. Nothing is approximated. Leaves the weights, and what a layer is made of, to mlx-lm.
"""

from collections.abc import Callable
from typing import Any

from joco_mlx.models.compute import device_kind, mx

# The line above loads a fast BLAS, which must happen before anything imports mlx.
# isort: split
from mlx_lm.models import llama, qwen2
from mlx_lm.models.activations import swiglu
from mlx_lm.tuner.lora import LoRALinear

from joco_mlx.errors import InputError
from joco_mlx.train.mlx_lora import cpu_math


def check_supported(model: Any) -> None:
    """Raise InputError when this forward pass would not be the model's own."""
    known = isinstance(model, llama.Model | qwen2.Model)
    if not known or any(getattr(layer, "use_sliding", False) for layer in model.layers):
        what = f"{model.model_type} with sliding-window attention" if known else model.model_type
        raise InputError(
            f"The trainer does not know the architecture {what}.",
            "Use a qwen2 or llama model; joco-mlx models lists some.",
        )


def answer_logits(model: Any, ids: Any, rows: Any, *, checkpointing: bool) -> Any:
    """Return the model's logits at some positions only, in float32.

    Args:
        model: A qwen2 or llama model of mlx-lm, with or without adapters.
        ids: [batch, length] token ids.
        rows: [batch, answers] positions of `ids`, consecutive in each row.
        checkpointing: Keep only each layer's input for the backward pass and compute the rest again: a third more
            work for a fraction of the memory.

    Returns:
        [batch, answers, vocabulary], float32.
    """
    run = _checkpointed if checkpointing else _plain
    hidden = model.model.embed_tokens(ids)
    *lower, last = model.layers
    for layer in lower:
        hidden = run(layer, _whole_layer, hidden)
    hidden = run(last, lambda layer, inputs: _last_layer(layer, inputs, rows), hidden)
    hidden = model.model.norm(hidden)
    head = model.model.embed_tokens.as_linear if model.args.tie_word_embeddings else model.lm_head
    return head(hidden).astype(mx.float32)


Call = Callable[[Any, Any], Any]


def _plain(layer: Any, call: Call, hidden: Any) -> Any:
    return call(layer, hidden)


def _checkpointed(layer: Any, call: Call, hidden: Any) -> Any:
    """Run a layer so that its inner results are computed again when its gradient is.

    The adapters are passed in, because a checkpointed function has gradients only for its arguments.
    """

    def inner(parameters: Any, inputs: Any) -> Any:
        layer.update(parameters)
        return call(layer, inputs)

    return mx.checkpoint(inner)(layer.trainable_parameters(), hidden)


def _whole_layer(layer: Any, hidden: Any) -> Any:
    attention, inputs = layer.self_attn, layer.input_layernorm(hidden)
    queries = attention.rope(_heads(_linear(attention.q_proj, inputs), attention.n_heads))
    keys = attention.rope(_heads(_linear(attention.k_proj, inputs), attention.n_kv_heads))
    values = _heads(_linear(attention.v_proj, inputs), attention.n_kv_heads)
    if _by_hand(hidden):
        mixed = cpu_math.causal_attention(queries, keys, values, attention.scale)
    else:
        mixed = mx.fast.scaled_dot_product_attention(queries, keys, values, scale=attention.scale, mask="causal")
    return _after_attention(layer, hidden, mixed)


def _last_layer(layer: Any, hidden: Any, rows: Any) -> Any:
    """Like `_whole_layer`, but returns the outputs at `rows` only: [batch, answers, size]."""
    attention, inputs = layer.self_attn, layer.input_layernorm(hidden)
    asking = mx.take_along_axis(inputs, rows[..., None], axis=1)
    queries = _heads(_linear(attention.q_proj, asking), attention.n_heads)
    queries = attention.rope(queries, offset=rows[:, 0])  # the rows are consecutive, so their first is offset enough
    keys = attention.rope(_heads(_linear(attention.k_proj, inputs), attention.n_kv_heads))
    values = _heads(_linear(attention.v_proj, inputs), attention.n_kv_heads)
    seen = mx.arange(hidden.shape[1]) <= rows[:, None, :, None]
    mixed = mx.fast.scaled_dot_product_attention(queries, keys, values, scale=attention.scale, mask=seen)
    return _after_attention(layer, mx.take_along_axis(hidden, rows[..., None], axis=1), mixed)


def _after_attention(layer: Any, hidden: Any, mixed: Any) -> Any:
    """Output projection and MLP, each with its residual; `mixed` is [batch, heads, positions, head size]."""
    batch, heads, positions, size = mixed.shape
    mixed = mixed.transpose(0, 2, 1, 3).reshape(batch, positions, heads * size)
    hidden = hidden + _linear(layer.self_attn.o_proj, mixed)
    inputs, mlp = layer.post_attention_layernorm(hidden), layer.mlp
    gated = cpu_math.swiglu if _by_hand(hidden) else swiglu
    return hidden + _linear(mlp.down_proj, gated(_linear(mlp.gate_proj, inputs), _linear(mlp.up_proj, inputs)))


def _by_hand(hidden: Any) -> bool:
    """Whether our own CPU functions are faster than MLX's; they are written for float32."""
    return device_kind() == "cpu" and bool(hidden.dtype == mx.float32)


def _heads(projected: Any, count: int) -> Any:
    """[batch, positions, count * size] -> [batch, count, positions, size]."""
    batch, positions, _ = projected.shape
    return projected.reshape(batch, positions, count, -1).transpose(0, 2, 1, 3)


def _linear(module: Any, inputs: Any) -> Any:
    """Apply a linear layer; an adapter's float32 factors work in the inputs' dtype, their gradients stay float32."""
    if not isinstance(module, LoRALinear):
        return module(inputs)
    small = (module.dropout(inputs) @ module.lora_a.astype(inputs.dtype)) * module.scale
    return mx.addmm(module.linear(inputs), small, module.lora_b.astype(inputs.dtype))
