"""Damage to the files that an export reads: JSON documents and safetensors headers, by meaning or by bytes."""

import json
import random
import resource
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from joco_mlx.errors import JocoError
from joco_mlx.gguf.card import Card
from joco_mlx.gguf.export import export
from joco_mlx.merge import open_merged

TARGETS = {
    "weights": "model/model.safetensors",
    "config": "model/config.json",
    "tokenizer": "model/tokenizer.json",
    "adapter": "adapter/adapters.safetensors",
    "adapter config": "adapter/adapter_config.json",
}
STRANGE = (
    None,
    True,
    -1,
    0,
    1,
    2**31,
    2**63,
    10**30,
    1e308,
    float("nan"),
    "",
    "x" * 300,
    [],
    {},
    [[]],
    "\ud800",
    "../x",
)


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) of a JSON document; of long lists only the beginning."""
    keys = (
        list(value) if isinstance(value, dict) else list(range(min(len(value), 8))) if isinstance(value, list) else []
    )
    found = [(value, key) for key in keys]
    return found + [place for key in keys for place in _places(value[key])]


def _mutate_json(document: Any, chance: random.Random) -> Any:
    for _ in range(chance.choice((1, 1, 2, 5))):
        places = _places(document)
        if not places:
            return document
        container, key = chance.choice(places)
        action = chance.random()
        if action < 0.7:
            container[key] = chance.choice(STRANGE)
        elif isinstance(container, dict) and action < 0.85:
            del container[key]
        elif isinstance(container, dict):
            container[str(key) + chance.choice(("", "_", "\n"))] = container.pop(key)
    return document


def mutate(data: bytes, chance: random.Random, *, tensors: bool) -> bytes:
    """Damage a JSON document, or the header of a safetensors file, by meaning or by bytes."""
    length = int.from_bytes(data[:8], "little") if tensors else len(data)
    header, rest = (data[8 : 8 + length], data[8 + length :]) if tensors else (data, b"")
    if chance.random() < 0.6:
        header = json.dumps(_mutate_json(json.loads(header), chance)).encode("utf-8", "surrogatepass")
    else:
        changed = bytearray(header)
        for _ in range(chance.choice((1, 3, 20))):
            changed[chance.randrange(len(changed))] = chance.randrange(256)
        header = bytes(changed[: chance.choice((len(changed), chance.randrange(len(changed))))])
    if not tensors:
        return header
    stated = chance.choice((len(header), len(header), len(header), 2**63, 0, len(header) + 5))
    return stated.to_bytes(8, "little") + header + rest[: chance.choice((len(rest), len(rest) // 2))]


@dataclass
class Survived:
    """How exports of damaged inputs ended."""

    files: int = 0
    """Damage that left the input sound."""
    told: Counter[str] = field(default_factory=Counter)
    """Messages of errors, and how often each came."""
    slowest_seconds: float = 0.0
    grown_bytes: int = 0
    """By how much the most memory that the process ever held grew."""


def attack(folder: Path, target: str, count: int, seed: object = None) -> Survived:
    """Damage `folder/TARGETS[target]` again and again, and export from `folder/model` and `folder/adapter`.

    Anything but a told error goes through to the caller.
    """
    file, out = folder / TARGETS[target], folder / "joco.gguf"
    sound, chance, found = file.read_bytes(), random.Random(f"{target} {seed}"), Survived()
    before = _peak_bytes()
    for _ in range(count):
        file.write_bytes(mutate(sound, chance, tensors=file.suffix == ".safetensors"))
        began = time.monotonic()
        try:
            source, card = open_merged(folder / "model", folder / "adapter"), Card("joco", "<|im_end|>")
            export(source, folder / "model", out, quantization="q4_k_m", card=card, mode="balanced", force=True)
            found.files += 1
        except JocoError as problem:
            found.told[problem.message] += 1
        found.slowest_seconds = max(found.slowest_seconds, time.monotonic() - began)
    file.write_bytes(sound)
    found.grown_bytes = _peak_bytes() - before
    return found


def _peak_bytes() -> int:
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
