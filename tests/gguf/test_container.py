"""The reader against files that the `gguf` package writes, whole and damaged."""

from pathlib import Path

import numpy as np
import pytest
from gguf import GGMLQuantizationType as Type
from gguf import GGUFValueType, GGUFWriter

from joco_mlx.errors import InputError, JocoError, VerificationError
from joco_mlx.gguf.container import open_gguf

ROWS = np.arange(96, dtype=np.float32).reshape(3, 32)


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A file with every kind of value and two tensors."""
    path = tmp_path / "small.gguf"
    writer = GGUFWriter(path, "llama")
    writer.add_string("text", "größe 🙂")
    writer.add_bool("yes", True)
    writer.add_uint64("wide", 1 << 40)
    writer.add_float32("half", 0.5)
    writer.add_array("texts", ["a", "", "ﬁn"])
    writer.add_key_value("numbers", [1, -2, 3], GGUFValueType.ARRAY, GGUFValueType.INT32)
    writer.add_tensor("matrix", ROWS.astype(np.float16))
    writer.add_tensor("vector", ROWS[0])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_values_come_back(small: Path) -> None:
    assert open_gguf(small).metadata == {
        "general.architecture": "llama",
        "text": "größe 🙂",
        "yes": True,
        "wide": 1 << 40,
        "half": 0.5,
        "texts": ["a", "", "ﬁn"],
        "numbers": [1, -2, 3],
    }


def test_tensors_are_found_where_they_lie(small: Path) -> None:
    file = open_gguf(small)
    assert {name: (tensor.kind, tensor.shape) for name, tensor in file.tensors.items()} == {
        "matrix": (Type.F16, (3, 32)),
        "vector": (Type.F32, (32,)),
    }
    matrix = file.tensors["matrix"]
    np.testing.assert_array_equal(file.read(matrix, 64, 64).view(np.float16), ROWS[1])


def test_every_truncation_is_told(small: Path, tmp_path: Path) -> None:
    whole = small.read_bytes()
    end = max(tensor.begin + tensor.nbytes for tensor in open_gguf(small).tensors.values())
    cut = tmp_path / "cut.gguf"
    for length in range(0, end, 7):
        cut.write_bytes(whole[:length])
        with pytest.raises(JocoError) as caught:
            open_gguf(cut)
        assert str(cut) in caught.value.message


def test_damaged_bytes_never_end_in_another_error(small: Path, tmp_path: Path) -> None:
    whole = small.read_bytes()
    random = np.random.default_rng(5)
    damaged = tmp_path / "damaged.gguf"
    told = 0
    for _ in range(400):
        data = bytearray(whole)
        for place in random.integers(4, 360, 3):
            data[place] = random.choice([0, 1, 127, 255, random.integers(256)])
        damaged.write_bytes(data)
        try:
            open_gguf(damaged)
        except (InputError, VerificationError):
            told += 1
    assert told > 100


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "only 0 bytes"), (b"GGUF" + bytes(40), "version 0"), (b"PK" + bytes(40), "begins with b'PK")],
)
def test_other_files_are_named(content: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "other.gguf"
    path.write_bytes(content)
    with pytest.raises(InputError, match=words):
        open_gguf(path)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="There is no GGUF file"):
        open_gguf(tmp_path / "none.gguf")
