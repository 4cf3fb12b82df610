"""Weights rounded on a grid, and what is left over, summed up so that other grids can be judged without the weights.

With the codes c fixed, the squared error of another scale and minimum follows from five sums over a sub-block. A search
over hundreds of scales then works on arrays 32 times smaller than the weights. The sums are those of the residuals, not
of the weights: near a good grid the difference of two large sums would be mostly rounding.
"""

from dataclasses import dataclass

import numpy as np

from joco_mlx.gguf.rounding import Floats, in_order_sum


@dataclass
class Rounded:
    """Sub-blocks on their grids: weight = scale * code - minimum + residual. Squared errors weigh by importance."""

    codes: Floats
    """Whole numbers [weights of a sub-block, sub-blocks]."""
    residuals: Floats
    """Like `codes`."""
    scale: Floats
    """[sub-blocks]."""
    minimum: Floats
    """[sub-blocks]."""
    error: Floats
    """Squared error [sub-blocks]."""
    importance: Floats | None = None
    """Like `codes`; every weight counts 1 when None."""


@dataclass
class Sums:
    """Sums over each sub-block by importance; every array is [sub-blocks of a super-block, super-blocks]."""

    count: Floats | np.float32
    """Of the importance itself: the weights of a sub-block where each counts 1."""
    scale: Floats
    minimum: Floats
    """The grid that the residuals belong to."""
    code: Floats
    code_code: Floats
    left: Floats
    """Of the residuals."""
    left_code: Floats
    error: Floats

    def error_of(self, scale: Floats, minimum: Floats) -> Floats:
        """Return the squared error of another grid with the same codes."""
        wider, lower = scale - self.scale, minimum - self.minimum
        found: Floats = (
            self.error
            + wider * (wider * self.code_code - 2 * (self.left_code + lower * self.code))
            + lower * (2 * self.left + self.count * lower)
        )
        return found

    def left_of(self, scale: Floats, minimum: Floats) -> tuple[Floats, Floats]:
        """Return the sums of the residuals, and of residuals times codes, of another grid with the same codes."""
        wider, lower = scale - self.scale, minimum - self.minimum
        left = self.left - wider * self.code + self.count * lower
        return left, self.left_code - wider * self.code_code + lower * self.code

    def best_minimum(self, scale: Floats) -> Floats:
        """Return the minimum that fits best with `scale`."""
        found: Floats = self.minimum + ((scale - self.scale) * self.code - self.left) / self.count
        return found


def round_on(
    weights: Floats, scale: Floats, minimum: Floats, lowest: int, highest: int, importance: Floats | None = None
) -> Rounded:
    """Round weights to the nearest codes.

    Args:
        weights: float32 [weights of a sub-block, sub-blocks].
        scale: [sub-blocks]; where it is 0, every code is 0.
        minimum: [sub-blocks].
        lowest: Smallest code.
        highest: Largest code.
        importance: Of each weight's squared error, like `weights`; 1 when None.
    """
    codes = weights + minimum
    codes *= reciprocal(scale)
    np.rint(codes, out=codes)
    np.clip(codes, np.float32(lowest), np.float32(highest), out=codes)
    residuals = codes * scale
    np.subtract(weights, residuals, out=residuals)
    residuals += minimum
    squares = residuals * residuals
    if importance is not None:
        squares *= importance
    return Rounded(codes, residuals, scale, minimum, in_order_sum(squares), importance)


def sum_up(rounded: Rounded, together: int) -> Sums:
    """Return the sums of sub-blocks, `together` of which make a super-block."""

    def grouped(values: Floats) -> Floats:
        return by_super_block(values, together)

    codes, residuals, importance = rounded.codes, rounded.residuals, rounded.importance
    weighed_codes = codes if importance is None else codes * importance
    weighed_residuals = residuals if importance is None else residuals * importance
    work = weighed_codes * codes
    code_code = in_order_sum(work)
    np.multiply(weighed_codes, residuals, out=work)
    return Sums(
        count=np.float32(len(codes)) if importance is None else grouped(in_order_sum(importance)),
        scale=grouped(rounded.scale),
        minimum=grouped(rounded.minimum),
        code=grouped(in_order_sum(weighed_codes)),
        code_code=grouped(code_code),
        left=grouped(in_order_sum(weighed_residuals)),
        left_code=grouped(in_order_sum(work)),
        error=grouped(rounded.error),
    )


def by_super_block(values: Floats, together: int) -> Floats:
    """Return one number a sub-block as [together, super-blocks]."""
    return np.ascontiguousarray(values.reshape(-1, together).T)


def flat(values: Floats) -> Floats:
    """Return [together, super-blocks] as one number a sub-block."""
    return np.ascontiguousarray(values.T).ravel()


def reciprocal(values: Floats) -> Floats:
    """Return 1 / values, and 0 for 0 and for what is too small to have a reciprocal."""
    with np.errstate(all="ignore"):
        found = np.reciprocal(values)
    return np.where(np.isfinite(found), found, np.float32(0))


def half(values: Floats) -> Floats:
    """Return what is left of `values` in 16 bits."""
    return values.astype(np.float16).astype(np.float32)
