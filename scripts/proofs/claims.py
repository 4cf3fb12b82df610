"""What the long benchmark claims of a tuned model, each with the figure that decides it."""

from collections.abc import Mapping
from dataclasses import dataclass

from joco_mlx.bench.compare import compare
from joco_mlx.bench.difference import Difference
from joco_mlx.bench.finished import Bench

LEAST_VALIDITY = 0.99
MOST_APART = 0.01
"""How far the GGUF may be from its adapter: a point."""
BEATEN = (
    ("type_accuracy", "type accuracy", "baseline:paths"),
    ("type_accuracy", "type accuracy", "baseline:tfidf"),
    ("chrf", "description chrF", "baseline:neighbour"),
    ("type_accuracy", "type accuracy", "base"),
    ("chrf", "description chrF", "base"),
)
TYPED_FIRST = ("tuned, type first", "tuned, 3 types tried")
"""Of these the same is claimed against the baselines, and that they are always valid."""
NEAR = (("strict_validity", "strict validity"), ("type_accuracy", "type accuracy"), ("chrf", "description chrF"))


@dataclass(frozen=True)
class Claim:
    """Something that is so, or is not."""

    sentence: str
    holds: bool


def claims(benches: Mapping[str, Bench]) -> list[Claim]:
    """Return what can be said with the runs that are there, by the names of the long benchmark."""
    found = []
    held = ("tuned, constrained", *TYPED_FIRST)
    for name, wanted in (("tuned", LEAST_VALIDITY), *((name, 1.0) for name in held)):
        if name in benches:
            value = benches[name].metrics["strict_validity"]["value"]
            found.append(Claim(f"{name}: {value:.1%} strictly valid, {wanted:.0%} wanted.", value >= wanted))
    if "tuned" in benches:
        found += [_better(benches, "tuned", *one) for one in BEATEN if one[2] in benches]
        found += [_near(benches, *one) for one in NEAR if "GGUF" in benches]
    for name in TYPED_FIRST:
        others = [one for one in BEATEN if one[2] in benches and one[2] != "base"]
        found += [_better(benches, name, *one) for one in others if name in benches]
    return found


def _better(benches: Mapping[str, Bench], this: str, figure: str, title: str, other: str) -> Claim:
    found = difference(benches[other], benches[this], figure)
    return Claim(f"{title} of {this} less {other}: {_told(found)}, above zero wanted.", found.difference.low > 0)


def _near(benches: Mapping[str, Bench], figure: str, title: str) -> Claim:
    found = difference(benches["tuned"], benches["GGUF"], figure)
    holds = abs(found.difference.value) <= MOST_APART
    return Claim(f"{title} of the GGUF less its adapter: {_told(found)}, within {MOST_APART:.2f} wanted.", holds)


def difference(reference: Bench, this: Bench, figure: str) -> Difference:
    """Return one figure of a run less that of another, paired."""
    _, (comparison,) = compare(reference.artifact.folder, [this.artifact.folder])
    return comparison.differences[figure]


def _told(found: Difference) -> str:
    aside = f", McNemar's p {found.p:.2g}" if found.p is not None else ""
    low, high = found.difference.low, found.difference.high
    return f"{found.difference.value:+.3f} ({low:+.3f} to {high:+.3f}{aside})"
