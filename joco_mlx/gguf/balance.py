"""Codes that keep what training changed, where rounding to the nearest would drop it.

An adapter moves a weight by a hundredth of a step. Weights of a 4-bit base lie on few values, so all that lie on one
value round alike, and the change is lost as a whole: the file is then near to the trained model in squared error and
near to the untrained one in what it writes. docs/gguf.md has the figures.

Decides codes whose rounding errors vanish where training was at work. A row's errors have no part along its change: the
nearest codes of weights + strength * change do that with the least squared error, at the one right strength (it is the
multiplier of the constraint). Then the errors of all rows are driven out of the directions into which the adapter
writes: there, and only there, a random error is as bad as a lost change.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from joco_mlx.gguf.residuals import reciprocal
from joco_mlx.gguf.rounding import Floats, in_order_sum
from joco_mlx.merge import Change

_WEAKEST, _STRONGEST = -4.0, 60.0
_HALVINGS = 9
_PASSES = 12
_PACE = 0.7
"""Part of an error that a pass takes back; codes are whole, so all of it would overshoot."""


@dataclass
class Grids:
    """The grids that sub-blocks are stored with."""

    scale: Floats
    """[sub-blocks]."""
    minimum: Floats
    """[sub-blocks]."""
    lowest: int
    highest: int

    def codes(self, lifted: Floats) -> Floats:
        """Round weights that `minimum` was added to; overwrites and returns them."""
        lifted *= reciprocal(self.scale)
        np.rint(lifted, out=lifted)
        np.clip(lifted, np.float32(self.lowest), np.float32(self.highest), out=lifted)
        return lifted


def balanced_codes(columns: Floats, change: Change, grids: Grids) -> Floats:
    """Round weights so that what training changed is kept.

    Args:
        columns: Trained weights, float32 [weights of a sub-block, sub-blocks], row after row.
        change: What training added to these rows.
        grids: Of the sub-blocks.

    Returns:
        Codes like `columns`.
    """
    rows = len(change.left)
    size, count = columns.shape
    moved = np.ascontiguousarray(change.floats().reshape(-1, size).T)
    wanted = columns + grids.minimum
    if not moved.any():
        return grids.codes(wanted)
    target = moved * np.repeat(_strengths(wanted, moved, grids, rows), count // rows)
    target += wanted
    directions = np.linalg.qr(change.left)[0]
    for _ in range(_PASSES):
        codes = grids.codes(target.copy())
        codes *= grids.scale
        codes -= wanted
        error = codes.reshape(size, rows, -1)
        target -= (directions @ (np.float32(_PACE) * (directions.T @ error))).reshape(size, -1)
    return grids.codes(target)


def _strengths(wanted: Floats, moved: Floats, grids: Grids, rows: int) -> NDArray[np.float32]:
    """How much of its change each row has to be given more, so that none of it is lost."""
    weakest = np.full(rows, _WEAKEST, np.float32)
    strongest = np.full(rows, _STRONGEST, np.float32)
    for _ in range(_HALVINGS):
        strength = (weakest + strongest) * np.float32(0.5)
        codes = moved * np.repeat(strength, wanted.shape[1] // rows)
        codes += wanted
        kept = grids.codes(codes)
        kept *= grids.scale
        kept -= wanted
        kept *= moved
        lost = in_order_sum(kept).reshape(rows, -1).sum(axis=1) < 0
        weakest, strongest = np.where(lost, strength, weakest), np.where(lost, strongest, strength)
    return (weakest + strongest) * np.float32(0.5)
