"""Reading safetensors, with the reference library as judge, and headers that lie."""

import json
import random
import tracemalloc
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors
from safetensors.numpy import save_file

from joco_mlx.errors import InputError
from joco_mlx.merge import tensorfile
from joco_mlx.models.compute import mx


def stored(path: Path, header: Mapping[str, Any] | bytes, data: bytes = b"", length: int | None = None) -> Path:
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes((len(raw) if length is None else length).to_bytes(8, "little") + raw + data)
    return path


def line(dtype: Any = "F32", shape: Any = (2,), offsets: Any = (0, 8)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


def test_the_reference_library_s_file_reads_back(tmp_path: Path) -> None:
    arrays = {
        "matrix": np.arange(12, dtype=np.float32).reshape(4, 3),
        "half": np.array([[0.1, -65504.0]], np.float16),
        "codes": np.array([[1, 2**32 - 1]], np.uint32),
        "scalar": np.array(2.5, np.float32),
        "empty": np.zeros((0, 5), np.float32),
    }
    save_file(arrays, tmp_path / "a.safetensors", {"format": "pt"})
    entries = tensorfile.read_header(tmp_path / "a.safetensors")
    assert entries.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(entries[name].rows(), array)
        assert entries[name].shape == array.shape
    np.testing.assert_array_equal(entries["matrix"].rows(1, 3), arrays["matrix"][1:3])
    assert entries["half"].floats().dtype == np.float32


def test_bfloat16_is_widened_without_loss(tmp_path: Path) -> None:
    array = mx.random.normal((7, 5)).astype(mx.bfloat16)
    mx.save_safetensors(str(tmp_path / "b.safetensors"), {"b": array})
    found = tensorfile.read_header(tmp_path / "b.safetensors")["b"]
    np.testing.assert_array_equal(found.floats(), np.array(array.astype(mx.float32)))
    np.testing.assert_array_equal(found.floats(2, 4), np.array(array.astype(mx.float32))[2:4])


def test_reading_rows_holds_the_rows_alone(tmp_path: Path) -> None:
    save_file({"big": np.zeros((4096, 512), np.float32)}, tmp_path / "big.safetensors")
    entry = tensorfile.read_header(tmp_path / "big.safetensors")["big"]
    tracemalloc.start()
    entry.floats(100, 164)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 * 64 * 512 * 4


LIES = {
    "no header": (b"", b""),
    "no JSON": (b"{]", b""),
    "no object": (b"[1]", b""),
    "no UTF-8": (b'{"\xff": 1}', b""),
    "deep nesting": (b"[" * 100_000, b""),
    "no table": ({"w": 3}, bytes(8)),
    "unknown type": ({"w": line("F12")}, bytes(8)),
    "type is a list": ({"w": line(["F32"])}, bytes(8)),
    "negative size": ({"w": line(shape=(-2, -1))}, bytes(8)),
    "boolean size": ({"w": line(shape=(True, 2))}, bytes(8)),
    "fractional size": ({"w": line(shape=(2.0,))}, bytes(8)),
    "endless shape": ({"w": line(shape=[1] * 50 + [2])}, bytes(8)),
    "product overflows 64 bits": ({"w": line(shape=(2**47, 2**47), offsets=(0, 8))}, bytes(8)),
    "huge number": (b'{"w":{"dtype":"F32","shape":[' + b"9" * 5000 + b'],"data_offsets":[0,8]}}', bytes(8)),
    "one offset": ({"w": line(offsets=(0,))}, bytes(8)),
    "offsets backwards": ({"w": line(offsets=(8, 0))}, bytes(8)),
    "shape and offsets differ": ({"w": line(shape=(3,))}, bytes(12)),
    "overlap": ({"v": line(), "w": line(offsets=(4, 12))}, bytes(12)),
    "gap": ({"v": line(), "w": line(offsets=(12, 20))}, bytes(20)),
    "bytes after the end": ({"w": line()}, bytes(9)),
}


@pytest.mark.parametrize(("header", "data"), LIES.values(), ids=LIES.keys())
def test_a_header_that_lies_is_an_input_error(tmp_path: Path, header: Any, data: bytes) -> None:
    path = stored(tmp_path / "bad.safetensors", header, data)
    with pytest.raises(InputError, match="no sound safetensors file") as caught:
        tensorfile.read_header(path)
    assert str(path) in caught.value.message
    assert len(caught.value.message) < 500


@pytest.mark.parametrize("length", [0, 1, 2**63, 2**64 - 1, 1 << 40])
def test_a_header_length_beyond_the_file_reads_nothing(tmp_path: Path, length: int) -> None:
    path = stored(tmp_path / "bad.safetensors", {"w": line()}, bytes(8), length)
    with pytest.raises(InputError, match="bytes of header"):
        tensorfile.read_header(path)


def test_a_download_that_was_cut_says_so(tmp_path: Path) -> None:
    path = stored(tmp_path / "cut.safetensors", {"w": line(shape=(100,), offsets=(0, 400))}, bytes(399))
    with pytest.raises(InputError, match=r"is cut short: \d+ of \d+ bytes"):
        tensorfile.read_header(path)


def test_a_folder_and_a_missing_file_are_input_errors(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.safetensors"):
        with pytest.raises(InputError, match="cannot be read"):
            tensorfile.read_header(path)


def test_a_file_that_shrinks_while_it_is_read_is_an_input_error(tmp_path: Path) -> None:
    save_file({"w": np.zeros(100, np.float32)}, tmp_path / "w.safetensors")
    entry = tensorfile.read_header(tmp_path / "w.safetensors")["w"]
    with (tmp_path / "w.safetensors").open("r+b") as file:
        file.truncate(200)
    with pytest.raises(InputError, match="became shorter"):
        entry.floats()


def test_what_passes_our_check_passes_the_reference_library_s(tmp_path: Path) -> None:
    save_file({"a": np.ones((2, 3), np.float32), "b": np.ones(4, np.float16)}, tmp_path / "good.safetensors")
    good = (tmp_path / "good.safetensors").read_bytes()
    chance = random.Random(7)
    passed = 0
    for _ in range(600):
        mutated = bytearray(good)
        for _ in range(chance.randint(1, 3)):
            mutated[chance.randrange(min(len(good), 160))] = chance.choice(b'0123456789"{}[]:,-.eFU\x00\xff')
        path = tmp_path / "mutated.safetensors"
        path.write_bytes(mutated)
        try:
            entries = tensorfile.read_header(path)
        except InputError:
            continue
        passed += 1
        with safetensors.safe_open(path, "np") as judge:
            assert set(judge.keys()) == set(entries)
    assert passed > 5


def test_bfloat16_rounds_like_mlx() -> None:
    bits = np.random.default_rng(3).integers(0, 2**32, 200_000, dtype=np.uint32)
    edges = np.array([0, 0x80000000, 0x7F7FFFFF, 0x7F800000, 0xFF800000, 1, 0x3F808000, 0x3F818000], np.uint32)
    values = np.concatenate([bits, edges]).view(np.float32)
    found = tensorfile.to_bfloat16(values)
    expected = np.array(mx.array(values).astype(mx.bfloat16).view(mx.uint16))
    number = ~np.isnan(values)
    np.testing.assert_array_equal(found[number], expected[number])
    widened = (found.astype(np.uint32) << 16).view(np.float32)
    assert np.isnan(widened[~number]).all()


def test_a_written_file_is_read_by_the_reference_library(tmp_path: Path) -> None:
    arrays = {"model.norm.weight": np.array([1.0, -2.5], np.float32), "m": np.arange(6, dtype=np.float32).reshape(3, 2)}
    header = tensorfile.bfloat16_header({name: array.shape for name, array in arrays.items()})
    assert len(header) % 8 == 0
    data = b"".join(tensorfile.to_bfloat16(array).tobytes() for array in arrays.values())
    path = tmp_path / "w.safetensors"
    path.write_bytes(header + data)
    with safetensors.safe_open(path, "np") as judge:
        assert judge.metadata() == {"format": "pt"}
        assert list(judge.keys()) == sorted(arrays)
    for name, array in mx.load(str(path)).items():
        assert array.dtype == mx.bfloat16
        np.testing.assert_array_equal(np.array(array.astype(mx.float32)), arrays[name])
    assert tensorfile.read_header(path).keys() == arrays.keys()
