"""One float16 unit for the scales of a super-block, in which all of them are nearly whole numbers.

ggml takes the largest scale over the largest whole number. A unit a little larger costs resolution but may hit all
scales at once; with the four different ones that a group of 64 weights leaves in a super-block, often does.
"""

import numpy as np

from joco_mlx.gguf.residuals import half, reciprocal
from joco_mlx.gguf.rounding import Floats, extremes, in_order_sum

_TRIALS = 64
_LARGEST_UNIT = 0.6
"""Where trials end: at this part of the highest whole number."""


def best_unit(wanted: Floats, importance: Floats, lowest: int, highest: int) -> Floats:
    """Find the unit in which rounding `wanted` loses least.

    Args:
        wanted: float32 [values, super-blocks].
        importance: Of each value's squared error.
        lowest: Smallest whole number; where it is negative, the value of largest magnitude gets it.
        highest: Largest whole number.

    Returns:
        Float16 numbers as float32 [super-blocks]; 0 where all values are 0.
    """
    largest = extremes(wanted)
    end = lowest if lowest < 0 else highest
    best = np.full(largest.shape, np.inf, np.float32)
    unit: Floats = np.zeros_like(largest)
    for steps in np.linspace(end, _LARGEST_UNIT * end, _TRIALS, dtype=np.float32):
        tried = half(largest / steps)
        lost = whole(wanted, tried, lowest, highest)
        lost *= tried
        lost -= wanted
        lost *= lost
        lost *= importance
        error = in_order_sum(lost)
        better = error < best
        best = np.where(better, error, best)
        unit = np.where(better, tried, unit)
    return unit


def whole(wanted: Floats, unit: Floats, lowest: int, highest: int) -> Floats:
    """Return `wanted` in units, as whole numbers between `lowest` and `highest`."""
    found: Floats = np.rint(wanted * reciprocal(unit))
    np.clip(found, np.float32(lowest), np.float32(highest), out=found)
    return found
