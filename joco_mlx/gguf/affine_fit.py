"""Q4_K and Q5_K with the least squared error: grids for sub-blocks, and what a super-block stores of them.

Decides how a grid is found from the weights alone (`search_grids`), and how any grid, from a search or from MLX's own
scales, becomes two float16 units, eight 6-bit scales, eight 6-bit minimums and codes (`settle`). The bytes are not
ggml's: the same format holds the weights better when the units are chosen for all eight grids at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from joco_mlx.gguf.grids import HIGHEST_SCALE, Scales
from joco_mlx.gguf.residuals import Rounded, Sums, flat, half, reciprocal, round_on, sum_up
from joco_mlx.gguf.rounding import Bytes, Floats, in_order_sum
from joco_mlx.gguf.units import best_unit, whole

SUB_BLOCKS = 8
_ROUNDS = 2
"""How often codes and scales take turns; a third gains less than a thousandth."""
_NEIGHBOURS = (-2, -1, 0, 1, 2)


@dataclass
class Stored:
    """What super-blocks store beside their codes, still as float32."""

    unit: Floats
    """[super-blocks]: d."""
    unit_low: Floats
    """[super-blocks]: dmin."""
    scales: Floats
    """Whole numbers [8, super-blocks]."""
    minimums: Floats
    """Whole numbers [8, super-blocks]."""

    @property
    def scale(self) -> Floats:
        """Step widths [8, super-blocks]."""
        return self.scales * self.unit

    @property
    def minimum(self) -> Floats:
        """Minimums [8, super-blocks]."""
        return self.minimums * self.unit_low


@dataclass
class AffineBlocks:
    """Finished super-blocks."""

    stored: Stored
    codes: Bytes
    """uint8 [32, sub-blocks]."""
    error: Floats
    """Squared error [super-blocks]."""

    def replace(self, places: NDArray[np.intp], other: "AffineBlocks") -> None:
        """Put `other`, which holds the super-blocks at `places`, where it is better."""
        better = other.error < self.error[places]
        kept, theirs = places[better], np.flatnonzero(better)
        self.error[kept] = other.error[theirs]
        mine, new = self.stored, other.stored
        mine.unit[kept], mine.unit_low[kept] = new.unit[theirs], new.unit_low[theirs]
        mine.scales[:, kept], mine.minimums[:, kept] = new.scales[:, theirs], new.minimums[:, theirs]
        codes, found = self.codes.reshape(32, -1, SUB_BLOCKS), other.codes.reshape(32, -1, SUB_BLOCKS)
        codes[:, kept] = found[:, theirs]

    def packed_scales(self) -> Scales:
        """Return units, scales and minimums as the layouts of `q4_k` and `q5_k` take them."""
        stored = self.stored
        units = np.stack([stored.unit, stored.unit_low], axis=1).astype(np.float16)
        return Scales(units, stored.scales.T.astype(np.uint8), stored.minimums.T.astype(np.uint8))


def search_grids(
    weights: Floats, highest_code: int, tried: Sequence[float], importance: Floats | None = None
) -> tuple[Floats, Floats]:
    """Find each sub-block's scale and minimum: a least-squares fit for each reach, the least error wins.

    Args:
        weights: float32 [32, sub-blocks].
        highest_code: 15 or 31.
        tried: Over how many codes each trial spreads a sub-block.
        importance: Of each weight's squared error; 1 when None.
    """
    high, low = weights.max(axis=0), np.minimum(weights.min(axis=0), np.float32(0))
    weighed = weights if importance is None else weights * importance
    count = np.float32(len(weights)) if importance is None else in_order_sum(importance)
    sum_x, sum_xx = in_order_sum(weighed), in_order_sum(weighed * weights)
    scale, minimum = (high - low) / np.float32(highest_code), -low
    best = np.full(scale.shape, np.inf, np.float32)
    codes, work = np.empty_like(weights), np.empty_like(weights)
    for reach in tried:
        np.add(weights, minimum, out=codes)
        codes *= np.float32(reach) * reciprocal(high + minimum)
        np.rint(codes, out=codes)
        np.clip(codes, np.float32(0), np.float32(highest_code), out=codes)
        sum_xc = in_order_sum(np.multiply(codes, weighed, out=work))
        if importance is None:
            sum_c, sum_cc = in_order_sum(codes), in_order_sum(np.multiply(codes, codes, out=work))
        else:
            sum_c = in_order_sum(np.multiply(codes, importance, out=work))
            sum_cc = in_order_sum(np.multiply(work, codes, out=work))
        fitted = (count * sum_xc - sum_x * sum_c) * reciprocal(count * sum_cc - sum_c * sum_c)
        lower = (fitted * sum_c - sum_x) / count
        above = lower < 0
        fitted = np.where(above, sum_xc * reciprocal(sum_cc), fitted)
        lower = np.where(above, np.float32(0), lower)
        error = sum_xx - fitted * sum_xc + lower * sum_x
        better = (error < best) & (fitted > 0)
        best = np.where(better, error, best)
        scale, minimum = np.where(better, fitted, scale), np.where(better, lower, minimum)
    return scale, minimum


def settle(
    weights: Floats, scale: Floats, minimum: Floats, highest_code: int, importance: Floats | None = None
) -> AffineBlocks:
    """Turn a grid for each sub-block into super-blocks.

    Args:
        weights: float32 [32, sub-blocks].
        scale: [sub-blocks], not negative.
        minimum: [sub-blocks], not negative.
        highest_code: 15 or 31.
        importance: Of each weight's squared error; 1 when None.
    """
    rounded = round_on(weights, scale, minimum, 0, highest_code, importance)
    stored, best = None, None
    for _ in range(_ROUNDS):
        sums = sum_up(rounded, SUB_BLOCKS)
        stored = _improved(sums, _first(sums) if stored is None else stored)
        rounded = round_on(weights, flat(stored.scale), flat(stored.minimum), 0, highest_code, importance)
        blocks = _blocks(stored, rounded)
        if best is None:
            best = blocks
        else:
            best.replace(np.arange(len(blocks.error)), blocks)
    assert best is not None
    return best


def _blocks(stored: Stored, rounded: Rounded) -> AffineBlocks:
    error = in_order_sum(np.ascontiguousarray(rounded.error.reshape(-1, SUB_BLOCKS).T))
    return AffineBlocks(replace(stored), rounded.codes.astype(np.uint8), error)


def _first(sums: Sums) -> Stored:
    """Choose units for the best grids that the codes allow, then the whole numbers nearest to them."""
    mean: Floats = np.divide(sums.code, sums.count)
    spread: Floats = np.subtract(sums.code_code, mean * sums.code)
    covered: Floats = np.subtract(sums.left_code, mean * sums.left)
    wanted: Floats = sums.scale + covered * reciprocal(spread)
    np.maximum(wanted, np.float32(0), out=wanted)
    np.maximum(spread, np.float32(0), out=spread)
    unit = best_unit(wanted, spread, 0, HIGHEST_SCALE)
    scales = whole(wanted, unit, 0, HIGHEST_SCALE)
    lower = sums.best_minimum(scales * unit)
    np.maximum(lower, np.float32(0), out=lower)
    unit_low = best_unit(lower, np.broadcast_to(np.asarray(sums.count, np.float32), lower.shape), 0, HIGHEST_SCALE)
    return Stored(unit, unit_low, scales, whole(lower, unit_low, 0, HIGHEST_SCALE))


def _improved(sums: Sums, stored: Stored) -> Stored:
    """Try the neighbours of each scale, each with its own best minimum; then fit both units to all of them."""
    best = np.full(stored.scales.shape, np.inf, np.float32)
    scales, minimums = stored.scales, stored.minimums
    for step in _NEIGHBOURS:
        tried = np.clip(stored.scales + np.float32(step), np.float32(0), np.float32(HIGHEST_SCALE))
        lower = whole(sums.best_minimum(tried * stored.unit), stored.unit_low, 0, HIGHEST_SCALE)
        error = sums.error_of(tried * stored.unit, lower * stored.unit_low)
        better = error < best
        best = np.where(better, error, best)
        scales, minimums = np.where(better, tried, scales), np.where(better, lower, minimums)
    found = Stored(stored.unit, stored.unit_low, scales, minimums)
    unit, unit_low = _fitted_units(sums, found)
    fitted = Stored(unit, unit_low, scales, minimums)
    better = in_order_sum(sums.error_of(fitted.scale, fitted.minimum)) < in_order_sum(best)
    found.unit = np.where(better, unit, found.unit)
    found.unit_low = np.where(better, unit_low, found.unit_low)
    return found


def _fitted_units(sums: Sums, stored: Stored) -> tuple[Floats, Floats]:
    """Solve the normal equations of d and dmin, as steps from the present ones."""
    left, left_code = sums.left_of(stored.scale, stored.minimum)
    scales, minimums = stored.scales, stored.minimums
    a = in_order_sum(scales * scales * sums.code_code).astype(np.float64)
    b = in_order_sum(scales * minimums * sums.code).astype(np.float64)
    c = in_order_sum(minimums * minimums * sums.count).astype(np.float64)
    up, down = in_order_sum(scales * left_code), in_order_sum(minimums * left)
    determinant = a * c - b * b
    sound = determinant > 1e-9 * a * c
    scaled = np.where(sound, determinant, 1)
    step = np.where(sound, (up * c - b * down) / scaled, 0)
    step_low = np.where(sound, (b * up - a * down) / scaled, 0)
    unit, unit_low = half(stored.unit + step), half(stored.unit_low + step_low)
    return np.maximum(unit, np.float32(0)), np.maximum(unit_low, np.float32(0))
