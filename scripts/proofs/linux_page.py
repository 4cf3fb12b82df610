"""The section of docs/results.md that `scripts/prove linux` writes."""

from collections.abc import Sequence
from typing import Any


def page(
    figures: Sequence[dict[str, Any]],
    curves: dict[str, Any] | None,
    widest: float | None,
    tests: str,
    versions: dict[str, str],
    seconds: float,
) -> str:
    """Return the section.

    Args:
        figures: What the tests noted: `name` and `value`.
        curves: Losses and seconds of MLX and TRL on SmolLM2; None when that was left out.
        widest: Their widest difference, as a share.
        tests: Pytest's last line.
        versions: Of the packages in the proof's environment.
        seconds: All of it.
    """

    def of(name: str) -> list[Any]:
        return [figure["value"] for figure in figures if figure["name"] == name]

    converted = "\n".join(
        f"| {one['kind']} | {one['logits']:.1e} | {one['fused']:.1e} | {one['back']:.1e} | the same bytes |"
        for one in of("peft")
    )
    trained = "\n".join(
        f"| {one['kind']} | {one['base']} | {one['loss'][0]:.3f} to {one['loss'][-1]:.3f} | {one['logits']:.1e} |"
        for one in of("trained")
    )
    rows = "\n".join(f"| {one['who']} | {one['equal']} of 200 |" for one in of("rows"))
    return f"""## The Linux path{"" if of("card") else ", on a CPU"}

`scripts/prove linux`, in its own environment with {", ".join(f"{name} {number}" for name, number in versions.items())}.
Tests: {tests}.{"" if of("card") else " **No card was used, and nothing here says anything about one.**"}

Adapters that the real PEFT wrote, on a tiny Qwen2 in float32. Differences are the largest one, as a share of the largest
number; fused is our merge beside PEFT's own.

| adapter | logits in MLX | fused weights | logits after the way back | tensors after the way back |
|---|---:|---:|---:|---|
{converted}

Three steps of training by TRL, and the adapter in MLX beside PEFT:

| adapter | base held in | loss | logits in MLX |
|---|---|---:|---:|
{trained}

Token ids and labels that equal MLX's, of 200 records with the strings in them that end turns and begin answers:

| rows | equal |
|---|---:|
{rows}

{_curves(curves, widest)}{_card(of("card"))}

Took {seconds:,.0f} s."""


def _curves(curves: dict[str, Any] | None, widest: float | None) -> str:
    if curves is None or widest is None:
        return "SmolLM2 was left out."
    losses = curves["losses"]
    some = [number for number in (0, 4, 9, 14, 19) if number < len(losses["mlx"])]
    lines = "\n".join(
        f"| {number + 1} | {losses['mlx'][number]:.4f} | {losses['trl'][number]:.4f} |" for number in some
    )
    return f"""SmolLM2-135M in float32, {len(losses["mlx"])} steps of one record, the same initial adapters, the same rows in the same
order: **the losses differ by {widest:.3%} at most**.

| step | MLX | TRL |
|---:|---:|---:|
{lines}"""


def _card(found: list[Any]) -> str:
    if not found:
        return ""
    lines = "\n".join(
        f"| {one['backend']} | {one['card']} | {one['tokens_per_second']:,.0f} | {one['peak_bytes'] / 1e9:.2f} GB |"
        for one in found
    )
    return f"""

On a card, a tiny model, ten steps:

| backend | card | tokens a second | peak |
|---|---|---:|---:|
{lines}"""
