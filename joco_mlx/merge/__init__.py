"""Base model and adapter as one stream of float32 tensors. OWNS the precision of merging.

Everything between the stored numbers and a merged tensor happens in float32: quantised weights from their codes,
scales and biases, bfloat16 by widening, the adapter's low-rank product before it is added. Nothing is kept between
two tensors. Leaves to `fuse` and `gguf` what the result is rounded to.
"""

from joco_mlx.merge.affine import AffineGrid
from joco_mlx.merge.lora import open_merged
from joco_mlx.merge.weights import Change, Weights, open_weights

__all__ = ["AffineGrid", "Change", "Weights", "open_merged", "open_weights"]
