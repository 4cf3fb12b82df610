"""The figures of how near two models are, and llama.cpp in our own process."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from judges.llama_oracle import Model

from joco_mlx.errors import InputError, MachineError
from joco_mlx.gguf.card import Card
from joco_mlx.gguf.export import export
from joco_mlx.gguf.llama import Llama, find_library
from joco_mlx.gguf.nearness import Passage, log_probabilities, nearness
from joco_mlx.merge import open_weights

PASSAGES = [Passage((1, 2, 3, 4), 1), Passage((5, 6), 0)]
TEXT = "fix(core): don't drop the last line\n<|im_end|>"


def _table(seed: int) -> Callable[[Sequence[int], int], np.ndarray]:
    rows = np.random.default_rng(seed).normal(size=(16, 8)).astype(np.float32)
    return lambda ids, first: rows[list(ids)[first:]]


def test_a_model_is_no_distance_from_itself() -> None:
    found = nearness(_table(0), _table(0), PASSAGES)
    assert found.divergence.tolist() == [0, 0]
    assert found.agreement.tolist() == [1, 1]


def test_the_divergence_is_the_textbook_sum() -> None:
    trained, other = _table(0), _table(1)
    found = nearness(trained, other, PASSAGES)
    p, q = (np.exp(log_probabilities(model((1, 2, 3, 4), 1))) for model in (trained, other))
    assert p.shape == (3, 8)
    np.testing.assert_allclose(p.sum(axis=1), 1)
    assert found.divergence[0] == pytest.approx((p * np.log(p / q)).sum(axis=1).mean())
    assert found.agreement[0] == (p.argmax(axis=1) == q.argmax(axis=1)).mean()
    assert found.divergence.shape == (2,)


@pytest.mark.parametrize("named", ["", "/nowhere"])
def test_a_missing_library_is_told(named: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLAMA_LIB_DIR", named)
    with pytest.raises(MachineError, match="LLAMA_LIB_DIR is"):
        find_library()


@pytest.mark.judge("llama.cpp")
def test_our_door_to_llama_cpp_gives_what_the_judge_gives(
    tiny_model: Callable[..., Path], tmp_path: Path, llama_library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLAMA_LIB_DIR", str(llama_library))
    folder, file = tiny_model("qwen2"), tmp_path / "joco.gguf"
    export(open_weights(folder), folder, file, quantization="q8_0", card=Card("joco", "<|im_end|>"))
    with Model(file, threads=1) as judge, Llama(file, context=64, library=find_library(), threads=1) as ours:
        tokens = ours.tokens(TEXT)
        assert tokens == judge.tokenize(TEXT)
        np.testing.assert_array_equal(ours.logits(tokens, 2), judge.logits(tokens, 2))
        with pytest.raises(InputError, match="A text has"):
            ours.logits(tokens * 9)


@pytest.mark.judge("llama.cpp")
def test_a_file_that_llama_cpp_refuses_is_told(tmp_path: Path, llama_library: Path) -> None:
    (tmp_path / "no.gguf").write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"llama.cpp refuses .*no\.gguf: .*\w"):
        Llama(tmp_path / "no.gguf", context=64, library=llama_library, threads=1)
