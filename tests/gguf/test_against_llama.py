"""Whole files against real llama.cpp: the bytes of its own quantiser, and the logits of the model that was trained."""

import json
import platform
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gguf import GGMLQuantizationType as Type
from judges import llama_oracle
from judges.llama_oracle import Model

from joco_mlx.config import Quantization
from joco_mlx.gguf.card import Card
from joco_mlx.gguf.container import GgufFile, open_gguf
from joco_mlx.gguf.encoders import decode
from joco_mlx.gguf.export import export
from joco_mlx.gguf.plan import make_plan
from joco_mlx.gguf.stream import write_gguf
from joco_mlx.merge import open_weights
from joco_mlx.models.compute import mx
from joco_mlx.models.folder import ModelFolder, open_folder
from joco_mlx.models.load import load_model
from joco_mlx.models.tokens import Tokenizer
from joco_mlx.progress import Silent

pytestmark = pytest.mark.judge("llama.cpp")
CARD = Card("joco", "<|im_end|>", licence="Apache-2.0", base_model="Qwen/Qwen2.5-Coder-1.5B-Instruct")
LINEAR = {"type": "linear", "factor": 4.0}
PROMPT = "<|im_start|>user\nM src/main.py +2 -1 source\n+    return value + 1\n<|im_end|>\n<|im_start|>assistant\nfix(core): "

SHAPES: dict[str, dict[str, Any]] = {
    "qwen2-tied-28-layers": {"kind": "qwen2", "layers": 28, "hidden": 256, "intermediate": 256, "kv_heads": 1},
    "qwen2-untied-ffn-128": {"kind": "qwen2", "tied": False, "layers": 9, "hidden": 256, "intermediate": 384},
    "qwen2-hidden-32": {"kind": "qwen2", "layers": 8, "hidden": 352, "heads": 11, "kv_heads": 1, "intermediate": 512},
    "llama-untied-linear": {"kind": "llama", "tied": False, "layers": 8, "hidden": 256, "rope_scaling": LINEAR},
    "llama-tied-ffn-16": {"kind": "llama", "layers": 4, "hidden": 256, "intermediate": 336},
    "llama-untied-hidden-64": {"kind": "llama", "tied": False, "layers": 3, "hidden": 576, "heads": 9, "kv_heads": 3},
}
FILE_TYPES: dict[Quantization, int] = {
    "q4_k_m": llama_oracle.Q4_K_M,
    "q4_k_s": llama_oracle.Q4_K_S,
    "q5_k_m": llama_oracle.Q5_K_M,
    "q6_k": llama_oracle.Q6_K,
    "q8_0": llama_oracle.Q8_0,
    "f16": llama_oracle.F16,
}


def _exact(folder: Path, out: Path) -> Path:
    """What llama.cpp is given: every weight of the source in float32."""
    plan = make_plan(open_weights(folder), folder, "f16", CARD)
    plan = replace(plan, tensors=tuple((tensor, Type.F32) for tensor, _ in plan.tensors))
    write_gguf(out, plan, open_weights(folder), mode="reference", threads=2, bar=Silent().start(""))
    return out


def _weights(file: GgufFile, name: str) -> tuple[np.ndarray, np.ndarray]:
    tensor = file.tensors[name]
    encoded = file.read(tensor, 0, tensor.nbytes)
    return encoded, decode(tensor.kind, encoded)


@pytest.mark.parametrize("shape", SHAPES)
def test_every_tensor_has_the_bytes_of_llama_model_quantize(
    shape: str, tiny_model: Callable[..., Path], tmp_path: Path, llama_library: Path
) -> None:
    folder = tiny_model(**SHAPES[shape])
    source = _exact(folder, tmp_path / "exact.gguf")
    for quantization, number in FILE_TYPES.items():
        if shape == "llama-tied-ffn-16" and quantization == "q8_0":
            continue  # llama.cpp refuses; `recipe` says what we do
        out = tmp_path / f"{quantization}.gguf"
        export(open_weights(folder), folder, out, quantization=quantization, card=CARD)
        llama_oracle.quantize(source, tmp_path / "theirs.gguf", number, library=llama_library)
        _assert_same(open_gguf(out), open_gguf(tmp_path / "theirs.gguf"))


def _assert_same(ours: GgufFile, theirs: GgufFile) -> None:
    assert ours.metadata == theirs.metadata
    assert {n: (t.kind, t.shape) for n, t in ours.tensors.items()} == {
        n: (t.kind, t.shape) for n, t in theirs.tensors.items()
    }
    for name in theirs.tensors:
        (a, ours_decoded), (b, theirs_decoded) = _weights(ours, name), _weights(theirs, name)
        if platform.machine() in ("x86_64", "AMD64"):
            assert np.array_equal(a, b), name
        else:  # another rounding of fused multiply-add may choose other codes, of the same quality
            assert np.sqrt(np.square(ours_decoded - theirs_decoded).mean()) < 0.02 * np.sqrt(
                np.square(theirs_decoded).mean()
            )


def _divergence(model: ModelFolder, out: Path, llama_library: Path) -> float:
    """Mean KL from MLX's next-token distribution to llama.cpp's, over every position of the prompt."""
    tokens = Tokenizer.from_folder(model.path).encode_prompt(PROMPT)
    logits = load_model(model)(mx.array(tokens)[None])[0]
    with Model(out, library=llama_library) as judge:
        assert judge.tokenize(PROMPT, start=True) == tokens
        theirs = judge.logits(tokens)
    a, b = (_log_softmax(np.array(found, np.float64)) for found in (logits, theirs))
    return float((np.exp(a) * (a - b)).sum(axis=-1).mean())


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)))


@pytest.mark.parametrize(
    "shape", ["qwen2-untied-ffn-128", "qwen2-hidden-32", "llama-untied-linear", "llama-tied-ffn-16"]
)
def test_logits_of_the_f16_file_agree_with_mlx(
    shape: str, tiny_model: Callable[..., Path], tmp_path: Path, llama_library: Path
) -> None:
    folder = tiny_model(**SHAPES[shape])
    export(open_weights(folder), folder, tmp_path / "f16.gguf", quantization="f16", card=CARD)
    assert _divergence(open_folder(folder), tmp_path / "f16.gguf", llama_library) < 1e-4


@pytest.mark.parametrize("kind", ["qwen2", "llama"])
def test_logits_agree_with_rotary_settings_of_transformers_5(
    kind: str, tiny_model: Callable[..., Path], tmp_path: Path, llama_library: Path
) -> None:
    folder = shutil.copytree(tiny_model(kind), tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    del config["rope_theta"], config["rope_scaling"]
    config["rope_parameters"] = {"rope_theta": 500.0, "rope_type": "linear", "factor": 2.0}
    (folder / "config.json").write_text(json.dumps(config))
    export(open_weights(folder), folder, tmp_path / "f16.gguf", quantization="f16", card=CARD)
    assert _divergence(open_folder(folder), tmp_path / "f16.gguf", llama_library) < 1e-4


@pytest.mark.model
def test_the_embedded_model_speaks_the_same_through_llama_cpp(
    smollm2: ModelFolder, tmp_path: Path, llama_library: Path
) -> None:
    out = tmp_path / "f16.gguf"
    export(open_weights(smollm2.path), smollm2.path, out, quantization="f16", card=Card.of(smollm2))
    assert _divergence(smollm2, out, llama_library) < 1e-4
    with Model(out, library=llama_library) as judge:
        question = "<|im_start|>user\nWhat is the capital of France?<|im_end|>\n<|im_start|>assistant\n"
        answer = judge.complete(judge.tokenize(question), limit=40)
        assert len(answer) < 40
        assert "Paris" in Tokenizer.from_folder(smollm2.path).decode(answer)
    out.unlink()


@pytest.mark.parametrize("end", ["<|im_end|>", "<|endoftext|>"])
def test_llama_cpp_stops_at_the_trained_end(
    end: str, tiny_model: Callable[..., Path], tmp_path: Path, llama_library: Path
) -> None:
    folder = tiny_model("qwen2")
    out = tmp_path / "end.gguf"
    export(open_weights(folder), folder, out, quantization="q4_k_m", card=replace(CARD, end_token=end))
    with Model(out, library=llama_library) as judge:
        (token,) = judge.tokenize(end)
        assert judge.is_end(token)
        assert judge.metadata("tokenizer.ggml.eos_token_id") == str(token)
        assert judge.metadata("tokenizer.ggml.eot_token_id") == str(token)
        assert not judge.is_end(judge.tokenize("<|im_start|>")[0])
