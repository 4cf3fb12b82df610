"""Damaged inputs of an export: an error that is told, or a file; never a traceback, a hang or a flood of memory.

`JOCO_MUTATIONS=2000 pytest tests/gguf/test_fuzz.py` looks longer.
"""

import json
import os
import random
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from adapter_fixture import random_adapter

from joco_mlx.errors import JocoError
from joco_mlx.gguf.card import Card
from joco_mlx.gguf.export import export
from joco_mlx.merge import open_merged

MUTATIONS = int(os.environ.get("JOCO_MUTATIONS", "240"))
SECONDS = 10.0
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


def _mutate(data: bytes, chance: random.Random, *, tensors: bool) -> bytes:
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


@pytest.mark.parametrize("target", TARGETS)
def test_damaged_inputs_are_told(target: str, tiny_model: Callable[..., Path], tmp_path: Path) -> None:
    base = tiny_model("qwen2", quantised={"group_size": 32, "bits": 4}, layers=1)
    shutil.copytree(base, tmp_path / "model")
    random_adapter(base, tmp_path / "adapter")
    file, out = tmp_path / TARGETS[target], tmp_path / "joco.gguf"
    sound, chance = file.read_bytes(), random.Random(target)
    told = []
    for _ in range(MUTATIONS // len(TARGETS)):
        damaged = _mutate(sound, chance, tensors=file.suffix == ".safetensors")
        file.write_bytes(damaged)
        started = time.monotonic()
        try:
            source = open_merged(tmp_path / "model", tmp_path / "adapter")
            card = Card("joco", "<|im_end|>")
            export(source, tmp_path / "model", out, quantization="q4_k_m", card=card, mode="balanced", force=True)
        except JocoError as problem:
            told.append(problem.message)
        assert time.monotonic() - started < SECONDS
        assert not [left for left in tmp_path.iterdir() if left.suffix == ".part"]
    assert told
    assert all(0 < len(message) < 2_000 for message in told)
