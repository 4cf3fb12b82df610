"""Where the dataset lies that comes with joco-mlx: inside the installed package, or in the checkout beside it."""

from pathlib import Path

from joco_mlx import artifacts
from joco_mlx.errors import InputError

_PACKAGE = Path(__file__).parent.parent
PLACES = (_PACKAGE / "shipped_dataset", _PACKAGE.parent / "dataset")
"""In the order of preference: what a wheel holds, then what a clone holds."""


def shipped_dataset() -> Path:
    """Return the folder of the dataset that ships.

    Raises:
        InputError: It is in neither place, which happens in a clone where nobody has built it yet.
    """
    for place in PLACES:
        if artifacts.is_finished(place):
            return place
    raise InputError(
        f"The dataset that ships with joco-mlx is not at {PLACES[-1]}.",
        "Build it in a clone: ./scripts/rebuild-dataset, or name another: --data DIR",
    )
