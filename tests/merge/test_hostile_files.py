"""Damaged and hostile files: always an InputError, never a traceback, a hang or a memory blow-up."""

import random
import re
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from adapter_fixture import random_adapter
from models_fixture import make_model

from joco_mlx.errors import InputError
from joco_mlx.merge import open_merged, open_weights
from joco_mlx.merge.tensorfile import bfloat16_header

VALUES = (b"0", b"-1", b"1e9", b"null", b"[]", b"{}", b"true", b'"x"', b"99999999999999", b'"U32"', b"NaN", b"[0,0]")
_VALUE = re.compile(rb'-?\d+(?:\.\d+)?|"[^"]*"|true|false|null|\[[^\[\]]*\]')


def replaced(raw: bytes, chance: random.Random) -> bytes:
    begin, end = chance.choice([found.span() for found in _VALUE.finditer(raw)])
    return raw[:begin] + chance.choice(VALUES) + raw[end:]


def scattered(raw: bytes, chance: random.Random) -> bytes:
    mutated = bytearray(raw)
    for _ in range(chance.randint(1, 4)):
        mutated[chance.randrange(len(mutated))] = chance.randrange(256)
    return bytes(mutated)


def cut(raw: bytes, chance: random.Random) -> bytes:
    return raw[: chance.randrange(len(raw))]


def mutated(path: Path, raw: bytes, change: Callable[[bytes, random.Random], bytes], chance: random.Random) -> bytes:
    """Change a JSON file anywhere, a safetensors file in its header, whose length stays right."""
    if path.suffix == ".json":
        return change(raw, chance)
    end = 8 + int.from_bytes(raw[:8], "little")
    header = change(raw[8:end], chance)
    return len(header).to_bytes(8, "little") + header + raw[end:]


@pytest.mark.parametrize("change", [replaced, scattered, cut])
def test_a_mutated_file_is_an_input_error_or_harmless(
    tmp_path: Path, change: Callable[[bytes, random.Random], bytes]
) -> None:
    shape = {"hidden": 32, "intermediate": 64, "layers": 1, "heads": 2, "kv_heads": 1}
    base = make_model(tmp_path / "base", "qwen2", quantised={"group_size": 32, "bits": 4}, **shape)
    adapters = random_adapter(base, tmp_path / "adapters")
    files = [folder / name for folder, name in (
        (base, "config.json"), (base, "model.safetensors"),
        (adapters, "adapter_config.json"), (adapters, "adapters.safetensors"),
    )]  # fmt: skip
    chance, refused = random.Random(11), 0
    tracemalloc.start()
    for number in range(200):
        path = files[number % len(files)]
        raw = path.read_bytes()
        path.write_bytes(mutated(path, raw, change, chance))
        try:
            merged = open_merged(base, adapters)
            for name in merged.names():
                merged.read(name)
        except InputError as problem:
            refused += len(problem.message) < 1_000
        path.write_bytes(raw)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert refused > 50
    assert peak_bytes < 20_000_000


def test_an_empty_tensor_of_endless_rows_is_refused(tmp_path: Path) -> None:
    folder = make_model(tmp_path / "base", "llama")
    (folder / "model-more.safetensors").write_bytes(bfloat16_header({"x.weight": (2**40, 0)}))
    with pytest.raises(InputError, match=r"'x\.weight' in .* is empty"):
        open_weights(folder)


def test_an_index_of_other_things_than_names_is_refused(tmp_path: Path) -> None:
    folder = make_model(tmp_path / "base", "llama")
    (folder / "model.safetensors.index.json").write_text('{"weight_map": {"x": ["y"]}}')
    with pytest.raises(InputError, match=r"lacks \['y'\]"):
        open_weights(folder)
