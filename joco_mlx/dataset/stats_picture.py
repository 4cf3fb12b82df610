"""The picture of a dataset: one PNG with its types, languages, repositories, scopes, lengths and funnel.

Decides what a look at a dataset should answer first: what kind of commits these are, whose, how long, and what became
of the others. Every bar carries its number, so that nobody has to read it off an axis.
"""

import io
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from joco_mlx.dataset.details import Details
from joco_mlx.dataset.token_lengths import LIMITS, TokenLengths

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_BARS = 12
"""Bars in one chart; what is rarer is summed up."""
_LEAST_SLOTS = 6
"""Room for so many bars, so that a single one is no wall."""
_NAME_CHARS = 26
_BINS = 40
_DOTS_PER_INCH = 110
_INK, _SOFT, _BAR, _KEPT = "#1f2933", "#7b8794", "#3b6ea5", "#3a8f5c"


def draw(shown: Details) -> bytes:
    """Return the picture as a PNG; equal details give equal bytes with one version of matplotlib."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415  (slow to import)
    from matplotlib.figure import Figure  # noqa: PLC0415
    from matplotlib.layout_engine import ConstrainedLayoutEngine  # noqa: PLC0415

    rows = 4 if shown.funnel else 3
    figure = Figure(figsize=(12, 3.4 * rows), dpi=_DOTS_PER_INCH, facecolor="white")
    figure.set_layout_engine(ConstrainedLayoutEngine(hspace=0.05, wspace=0.04))
    grid = figure.add_gridspec(rows, 2)
    stats = shown.stats
    splits = f"{stats.train:,} training, {stats.validation:,} validation, {stats.test:,} test"
    figure.suptitle(f"{shown.name}: {stats.records:,} records ({splits})", color=_INK, parse_math=False)
    charts: Sequence[tuple[str, Mapping[str, int]]] = (
        ("Types", stats.types),
        ("Languages", shown.languages),
        ("Repositories", stats.repositories),
        ("Scopes", stats.scopes),
    )
    for place, (title, counts) in enumerate(charts):
        _bars(figure.add_subplot(grid[place // 2, place % 2]), title, fewest(counts))
    _characters(figure.add_subplot(grid[2, 0]), shown.diff_chars)
    _tokens(figure.add_subplot(grid[2, 1]), shown.tokens)
    if shown.funnel:
        _bars(figure.add_subplot(grid[3, :]), "What became of the commits", fewest(shown.funnel, last="kept"))
    made = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing", UserWarning)  # a scope may be written in any script
        FigureCanvasAgg(figure).print_png(made)
    return made.getvalue()


def fewest(counts: Mapping[str, int], last: str | None = None) -> dict[str, int]:
    """Return at most `MOST_BARS` entries, the others summed up; the one called `last` stays at the end."""
    end = {name: count for name, count in counts.items() if name == last}
    kept = [item for item in counts.items() if item[0] != last]
    room = MOST_BARS - len(end)
    if len(kept) > room:
        others = sum(count for _, count in kept[room - 1 :])
        kept = [*kept[: room - 1], (f"{len(kept) - room + 1:,} others", others)]
    return dict(kept) | end


def _bars(axes: "Axes", title: str, counts: Mapping[str, int]) -> None:
    names = [name if len(name) <= _NAME_CHARS else f"{name[: _NAME_CHARS - 1]}…" for name in counts]
    places, values = range(len(names)), list(counts.values())
    colours = [_KEPT if name == "kept" else _BAR for name in counts]
    axes.barh(places, values, color=colours, height=0.72)
    axes.set_yticks(places, names, parse_math=False)
    axes.set_ylim(max(len(names), _LEAST_SLOTS) - 0.5, -0.5)
    for place, value in zip(places, values, strict=True):
        axes.annotate(f"{value:,}", (value, place), (4, 0), textcoords="offset points", va="center", color=_INK, size=8)
    axes.set_xlim(0, max(values, default=1) * 1.12 or 1)
    axes.xaxis.set_visible(False)
    _frame(axes, title)
    axes.spines["bottom"].set_visible(False)


def _characters(axes: "Axes", lengths: Sequence[int]) -> None:
    axes.hist(lengths, bins=_BINS, color=_BAR)
    _axis(axes, "characters of the diff")
    _frame(axes, "Lengths in characters")


def _tokens(axes: "Axes", tokens: TokenLengths | None) -> None:
    if tokens is None:
        axes.text(0.5, 0.5, "No tokenizer here: give --model", ha="center", va="center", color=_SOFT)
        axes.set_axis_off()
        return
    axes.hist(tokens.counts, bins=_BINS, color=_BAR)
    for limit in LIMITS:
        axes.axvline(limit, color=_INK, linewidth=1, linestyle="--")
        share = f"{tokens.share_fitting(limit):.0%} fit {limit:,}"
        place: Any = (limit, 0.97 if limit == LIMITS[0] else 0.86)
        axes.annotate(
            share, place, (4, 0), xycoords=("data", "axes fraction"), textcoords="offset points", color=_INK, size=8
        )
    axes.set_xlim(0, max(*tokens.counts, *(limit * 1.3 for limit in LIMITS)))
    _axis(axes, "tokens of prompt and answer")
    _frame(axes, f"Lengths in tokens of {tokens.model}")


def _axis(axes: "Axes", what: str) -> None:
    """Count records in whole numbers, and leave room for words above the highest bar."""
    axes.set_xlabel(what, color=_SOFT, size=9)
    axes.locator_params(axis="y", integer=True)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.margins(y=0.18)
    axes.set_ylim(bottom=0)


def _frame(axes: "Axes", title: str) -> None:
    axes.set_title(title, loc="left", color=_INK, size=11, parse_math=False)
    axes.tick_params(colors=_INK, labelsize=8, length=0)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(_SOFT)
