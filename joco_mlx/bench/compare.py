"""Runs held against a reference run, case by case.

Decides what is paired (the same diff and message, wherever they stand), which groups are looked at, and which cases show
best what was gained and lost. Leaves what a difference means to `difference`.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from joco_mlx.bench.difference import MAIN, Difference, differences, figure
from joco_mlx.bench.finished import Bench, open_bench
from joco_mlx.bench.metrics import NO_TYPE
from joco_mlx.bench.results import Result, read_results
from joco_mlx.errors import InputError, VerificationError

DECISIVE = ("strict_validity", "type_accuracy", "macro_f1", "joco_score", "chrf")
"""Figures of which none may be worse for `--fail-if-worse`."""
BEST_AND_WORST = 5
_GAINS = ("valid", "type_right", "chrf")


@dataclass(frozen=True)
class Pair:
    """A case in both runs."""

    reference: Result
    this: Result

    @property
    def gain(self) -> float:
        """How much better this run's answer is, -3 to 3: validity, type and description count alike."""
        before, after = self.reference.scores, self.this.scores
        return sum(float(getattr(after, name)) - float(getattr(before, name)) for name in _GAINS)


@dataclass(frozen=True)
class Comparison:
    """A run held against the reference run."""

    name: str
    pairs: tuple[Pair, ...]
    unpaired: int
    """Cases that only one of the two answered; they are in no figure."""
    differences: Mapping[str, Difference]
    by_type: Mapping[str, Mapping[str, Difference]]
    by_repository: Mapping[str, Mapping[str, Difference]]

    @property
    def best(self) -> list[Pair]:
        """The cases where it gained most."""
        return [pair for pair in sorted(self.pairs, key=_loss)[:BEST_AND_WORST] if pair.gain > 0]

    @property
    def worst(self) -> list[Pair]:
        """The cases where it lost most."""
        return [pair for pair in sorted(self.pairs, key=_loss)[: -BEST_AND_WORST - 1 : -1] if pair.gain < 0]

    def check(self, reference: str) -> None:
        """Raise VerificationError when a decisive figure is worse than the reference's."""
        worse = [name for name in DECISIVE if self.differences[name].verdict == "worse"]
        if worse:
            told = ", ".join(f"{name} by {-self.differences[name].difference.value:.3g}" for name in worse)
            raise VerificationError(f"{self.name} is worse than {reference}: {told}.", f"Keep {reference}.")

    def to_json(self) -> dict[str, Any]:
        """Return everything by name."""
        return {
            "name": self.name,
            "cases": len(self.pairs),
            "unpaired": self.unpaired,
            "figures": _to_json(self.differences),
            "by_type": {name: _to_json(group) for name, group in self.by_type.items()},
            "by_repository": {name: _to_json(group) for name, group in self.by_repository.items()},
            "best": [pair.this.key for pair in self.best],
            "worst": [pair.this.key for pair in self.worst],
        }


def compare(reference: Path, others: Sequence[Path]) -> tuple[Bench, list[Comparison]]:
    """Hold finished runs against a reference run.

    Args:
        reference: A run's folder, or its id.
        others: The same, one or more.

    Raises:
        InputError: One is no finished run, or has no case in common with the reference.
    """
    first = open_bench(reference)
    return first, [_compared(first, open_bench(other)) for other in others]


def _compared(first: Bench, second: Bench) -> Comparison:
    ours, theirs = ({result.key: result for result in read_results(bench.artifact.folder)} for bench in (first, second))
    pairs = tuple(Pair(result, theirs[key]) for key, result in ours.items() if key in theirs)
    if not pairs:
        raise InputError(
            f"{second.artifact.folder} and {first.artifact.folder} have no case in common.",
            "Run both on the same file: joco-mlx bench run --cases FILE",
        )
    return Comparison(
        name=second.name,
        pairs=pairs,
        unpaired=len(ours) + len(theirs) - 2 * len(pairs),
        differences=differences(*_columns(pairs)),
        by_type=_grouped(pairs, lambda result: result.reference_type or NO_TYPE),
        by_repository=_grouped(pairs, lambda result: result.repository),
    )


def _grouped(pairs: Sequence[Pair], name: Callable[[Result], str]) -> dict[str, dict[str, Difference]]:
    groups: dict[str, list[Pair]] = defaultdict(list)
    for pair in pairs:
        groups[name(pair.reference)].append(pair)
    return {
        key: {title: figure(title, *_columns(members)) for title in MAIN} for key, members in sorted(groups.items())
    }


def _columns(pairs: Sequence[Pair]) -> tuple[list[Result], list[Result]]:
    return [pair.reference for pair in pairs], [pair.this for pair in pairs]


def _loss(pair: Pair) -> tuple[float, str]:
    return -pair.gain, pair.this.key


def _to_json(differences: Mapping[str, Difference]) -> dict[str, Any]:
    return {name: difference.to_json() for name, difference in differences.items()}
