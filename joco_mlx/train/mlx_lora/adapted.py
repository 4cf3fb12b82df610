"""A linear layer with its adapter, for the forward pass of training.

Decides the number type: an adapter's float32 weights work in the inputs' dtype and their gradients stay float32. And how
DoRA (Liu et al. 2024, section 4) is computed without the adapted matrix: the length of a row of W + s (a b)^T follows from
the lengths of W's own rows, W a and a^T a, so that no matrix of the base's size is made in a step. As in mlx-lm no gradient
flows through that length. Leaves what an adapter is, and its parameters, to mlx-lm.
"""

from typing import Any

from joco_mlx.models.compute import mx, nn

# The line above loads a fast BLAS, which must happen before anything imports mlx.
# isort: split
from mlx_lm.tuner.dora import DoRALinear
from mlx_lm.tuner.lora import LoRALinear


def linear(module: Any, inputs: Any) -> Any:
    """Apply a linear layer of mlx or mlx-lm to [..., in]."""
    if isinstance(module, LoRALinear):
        return mx.addmm(module.linear(inputs), _small(module, inputs), module.lora_b.astype(inputs.dtype))
    if isinstance(module, DoRALinear):
        return _dora(module, inputs)
    return module(inputs)


def remember_lengths(model: Any) -> None:
    """Keep the squared lengths of the rows under each fresh DoRA layer of `model`, which its magnitudes still are."""
    for module in model.modules():
        if isinstance(module, DoRALinear):
            module._row_squares = module.m * module.m  # the underscore keeps it out of the parameters
            mx.eval(module.m, module._row_squares)


def _small(module: Any, inputs: Any) -> Any:
    """The inputs through the first factor, scaled: [..., rank]."""
    return (module.dropout(inputs) @ module.lora_a.astype(inputs.dtype)) * module.scale


def _dora(module: Any, inputs: Any) -> Any:
    """Row by row m (w + s ab) x / |w + s ab| + bias (mlx-lm, `DoRALinear.__call__`)."""
    base = module.linear
    adapted = mx.addmm(_multiplied(base, inputs), _small(module, inputs), module.lora_b.astype(inputs.dtype))
    made = (module.m / _lengths(module)).astype(inputs.dtype) * adapted
    return made + base.bias if "bias" in base else made


def _lengths(module: Any) -> Any:
    """The lengths of the rows of W + s (a b)^T, float32 [out]: |w|^2 + 2 s (W a) b + |s a b|^2 under the root."""
    a, b = module.lora_a, module.lora_b * module.scale
    crossed = _multiplied(module.linear, a.T)  # [rank, out]
    squares = module._row_squares + (2 * crossed * b).sum(axis=0) + (((a.T @ a) @ b) * b).sum(axis=0)
    return mx.stop_gradient(mx.sqrt(squares))


def _multiplied(base: Any, inputs: Any) -> Any:
    """W x without the bias."""
    if not isinstance(base, nn.QuantizedLinear):
        return inputs @ base.weight.T
    return mx.quantized_matmul(
        inputs,
        base.weight,
        scales=base.scales,
        biases=base.get("biases"),
        transpose=True,
        group_size=base.group_size,
        bits=base.bits,
        mode=base.mode,
    )
