"""What Q4_K and Q5_K share: eight sub-blocks of 32 weights, each on a grid of its own, weight = scale * code + low.

The search for each sub-block is that of `make_qkx2_quants` in `quantize_row_q4_K_ref` and `quantize_row_q5_K_ref`
(ggml-quants.c) with the same operations in the same order, so that the bytes are the same. The 32 weights of a
sub-block lie on axis 0: every sum then runs in ggml's order, and all sub-blocks of a chunk take each step together.

    bytes 0..1     d: float16, unit of the scales
    bytes 2..3     dmin: float16, unit of the minimums
    bytes 4..7     scales 0..3 in the low 6 bits, the high 2 bits of scales 4..7 above them
    bytes 8..11    the same for the minimums
    bytes 12..15   the low 4 bits of scales 4..7, and of minimums 4..7 above them
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from joco_mlx.gguf.rounding import Bytes, Floats, in_order_sum, nearest_int, reaches_far, round_into

HEADER_BYTES = 16
HIGHEST_SCALE = 63


@dataclass
class Grids:
    """A grid for each sub-block; every array is float32 [sub-blocks]."""

    scale: Floats
    low: Floats
    """The weight of code 0, never above 0."""
    inverse: Floats
    offset: Floats
    """The codes that led to this grid: round(inverse * (weight - offset))."""

    def replace(self, places: NDArray[np.intp], trial: "_Trial") -> None:
        """Put a trial's grids at `places`; its codes counted from the low edges that were here before."""
        self.offset[places] = self.low[places]
        self.scale[places] = trial.scale[places]
        self.low[places] = trial.low[places]
        self.inverse[places] = trial.inverse[places]


@dataclass
class Scales:
    """What a super-block stores beside its codes."""

    units: NDArray[np.float16]
    """[super-blocks, 2]: d and dmin."""
    scales: Bytes
    """[super-blocks, 8], below 64."""
    minimums: Bytes
    """[super-blocks, 8], below 64."""


def reaches(lowest: float, steps: int, highest_code: int, stride: float = 0.1) -> tuple[float, ...]:
    """Return over how many codes each of `steps` + 1 trials spreads a sub-block, in ggml's arithmetic."""
    first, top, between = np.float32(lowest), np.float32(highest_code), np.float32(stride)
    return tuple(float(first + between * np.float32(step) + top) for step in range(steps + 1))


def fit(values: Floats, highest_code: int, tried: Sequence[float]) -> tuple[Scales, Bytes]:
    """Return what ggml's reference stores for super-blocks.

    Args:
        values: float32 [super-blocks, 256].
        highest_code: 15 or 31.
        tried: As for `search`.

    Returns:
        The scales, and the codes: uint8 [32, sub-blocks].
    """
    weights = np.ascontiguousarray(values.reshape(-1, 32).T)
    with np.errstate(all="ignore"):
        grids = search(weights, highest_code, tried)
        scales = store_scales(grids)
        return scales, choose_codes(weights, scales, grids, highest_code)


def search(weights: Floats, highest_code: int, tried: Sequence[float], importance: Floats | None = None) -> Grids:
    """Find each sub-block's grid: a weighted least-squares fit for each reach, the least error wins.

    Args:
        weights: float32 [32, sub-blocks].
        highest_code: 15 or 31.
        tried: Over how many codes each trial spreads a sub-block.
        importance: Of each weight's squared error; by its magnitude when None.
    """
    trial = _Trial(weights, highest_code, importance)
    trial.spread(highest_code, trial.least)
    inverse = trial.inverse.copy()
    grids = Grids(np.reciprocal(inverse), trial.least.copy(), inverse, trial.least.copy())
    best = trial.error(grids.scale, grids.low).copy()
    for reach in tried:
        trial.spread(reach, grids.low)
        sound = trial.fit()
        error = trial.error(trial.scale, trial.low)
        better = np.flatnonzero(sound & (error < best))
        if trial.flat.size:
            better = np.setdiff1d(better, trial.flat, assume_unique=True)
        best[better] = error[better]
        grids.replace(better, trial)
    grids.scale[trial.flat] = 0
    return grids


class _Trial:
    """Codes of one chunk under trial. Its arrays are filled anew by each trial: fresh memory would cost more than sums."""

    def __init__(self, weights: Floats, highest_code: int, importance: Floats | None) -> None:
        self.weights = weights
        self.highest_code = highest_code
        self.codes, self.work, self.more = (np.empty_like(weights) for _ in range(3))
        if importance is None:
            np.multiply(weights, weights, out=self.work)
            importance = np.sqrt(in_order_sum(self.work) / np.float32(32)) + np.abs(weights)
        self.importance = importance
        self.sum_w = in_order_sum(self.importance)
        self.sum_x = in_order_sum(np.multiply(self.importance, weights, out=self.work))
        self.high = weights.max(axis=0)
        self.least = np.minimum(weights.min(axis=0), np.float32(0))
        self.flat = np.flatnonzero(self.high == self.least)
        self.inverse, self.scale, self.low, self._error, self._sum, *self._sums = (
            np.empty_like(self.high) for _ in range(9)
        )

    def spread(self, reach: float, low: Floats) -> None:
        """Choose codes that count from `low` to the highest weight in `reach` steps, `inverse` per unit of weight."""
        inverse, work = self.inverse, self.work
        np.subtract(self.high, low, out=inverse)
        inverse[self.flat] = 1
        np.divide(np.float32(reach), inverse, out=inverse)
        np.subtract(self.weights, low, out=work)
        np.multiply(work, inverse, out=work)
        lowest = np.multiply(np.subtract(self.least, low, out=self._sum), inverse, out=self._sum)
        round_into(self.codes, work, 0, self.highest_code, far=reaches_far(lowest))  # the highest is at `reach`

    def error(self, scale: Floats, low: Floats) -> Floats:
        """Weighted squared error of each sub-block; overwritten by the next call."""
        work = self.work
        np.multiply(self.codes, scale, out=work)
        np.add(work, low, out=work)
        np.subtract(work, self.weights, out=work)
        np.multiply(work, work, out=work)
        np.multiply(work, self.importance, out=work)
        return in_order_sum(work, out=self._error)

    def fit(self) -> NDArray[np.bool_]:
        """Set `scale` and `low` to what fits the codes best; return where that was solvable."""
        work, more, scale, low, product = self.work, self.more, self.scale, self.low, self._sum
        sum_l, sum_l2, sum_xl, determinant = self._sums
        in_order_sum(np.multiply(self.importance, self.codes, out=work), out=sum_l)
        in_order_sum(np.multiply(work, self.codes, out=more), out=sum_l2)
        in_order_sum(np.multiply(work, self.weights, out=more), out=sum_xl)
        np.multiply(self.sum_w, sum_l2, out=determinant)
        determinant -= np.multiply(sum_l, sum_l, out=product)
        np.multiply(self.sum_w, sum_xl, out=scale)
        scale -= np.multiply(self.sum_x, sum_l, out=product)
        scale /= determinant
        np.multiply(sum_l2, self.sum_x, out=low)
        low -= np.multiply(sum_l, sum_xl, out=product)
        low /= determinant
        above = np.flatnonzero(low > 0)
        scale[above] = sum_xl[above] / sum_l2[above]
        low[above] = 0
        sound: NDArray[np.bool_] = determinant > 0
        return sound


def store_scales(grids: Grids) -> Scales:
    """Round the grids of each super-block to 6 bits in units of its largest scale and minimum."""
    stored = []
    units = []
    for values in (grids.scale.reshape(-1, 8), -grids.low.reshape(-1, 8)):
        largest = np.fmax(np.fmax.reduce(values, axis=1), np.float32(0))
        steps = np.where(largest > 0, np.float32(HIGHEST_SCALE) / largest, np.float32(0))
        whole = nearest_int(steps[:, None] * values) & 0xFF  # ggml stores a negative one in a byte before the next line
        stored.append(np.minimum(whole, HIGHEST_SCALE).astype(np.uint8))
        units.append((largest / np.float32(HIGHEST_SCALE)).astype(np.float16))
    return Scales(np.stack(units, axis=1), stored[0], stored[1])


def choose_codes(weights: Floats, scales: Scales, grids: Grids, highest_code: int) -> Bytes:
    """Round the weights on the grids as they are stored.

    A sub-block whose stored scale is 0 keeps the codes of its search, as in ggml: they do not matter to the decoder.
    """
    unit, unit_low = scales.units.astype(np.float32).T
    scale = (unit[:, None] * scales.scales).ravel()
    low = (unit_low[:, None] * scales.minimums).ravel()
    codes = weights + low
    np.divide(codes, scale, out=codes)
    lost = np.flatnonzero(scale == 0)
    if lost.size:
        codes[:, lost] = (weights[:, lost] - grids.offset[lost]) * grids.inverse[lost]
    round_into(codes, codes, 0, highest_code, far=reaches_far(codes.max(axis=0), codes.min(axis=0)))
    whole: Bytes = codes.astype(np.uint8)
    return whole


def header(scales: Scales) -> Bytes:
    """Lay out the first 16 bytes of super-blocks: units, and scales and minimums of 6 bits."""
    first = np.empty((len(scales.units), HEADER_BYTES), np.uint8)
    first[:, :4] = scales.units.view(np.uint8)
    for start, values in ((4, scales.scales), (8, scales.minimums)):
        first[:, start : start + 4] = values[:, :4] | (values[:, 4:] >> 4 << 6)
    first[:, 12:] = (scales.scales[:, 4:] & 15) | ((scales.minimums[:, 4:] & 15) << 4)
    return first


def nibbles(codes: Bytes) -> Bytes:
    """Lay out the low 4 bits of codes as uint8 [super-blocks, 4, 32].

    Byte i of part j holds weight 64*j + i, and weight 64*j + 32 + i above it.

    Args:
        codes: uint8 [32, sub-blocks].
    """
    pairs = codes.reshape(32, -1, 4, 2)
    joined: Bytes = np.bitwise_or(pairs[..., 0] & 15, np.left_shift(pairs[..., 1], 4)).transpose(1, 2, 0)
    return joined
