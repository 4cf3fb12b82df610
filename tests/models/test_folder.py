"""What is a usable model folder, what is not, and how a usable one is spoken to."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from joco_mlx import artifacts
from joco_mlx.commit.prompt import TEMPLATES
from joco_mlx.errors import InputError
from joco_mlx.models import registry
from joco_mlx.models.folder import open_folder, template_record

TinyModel = Callable[..., Path]


@pytest.fixture
def copy(tiny_model: TinyModel, tmp_path: Path) -> Path:
    """A folder that a test may spoil."""
    folder = tmp_path / "model"
    shutil.copytree(tiny_model("qwen2"), folder)
    return folder


def set_json(path: Path, **changes: object) -> None:
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, **changes}))


def test_a_good_folder_opens_under_its_own_name(tiny_model: TinyModel) -> None:
    found = open_folder(tiny_model("llama", quantised={"group_size": 32, "bits": 4}))
    assert found.name == found.path.name
    assert found.base is None
    assert found.quantization == {"group_size": 32, "bits": 4}
    assert found.shape.architecture == "llama"
    assert found.template == TEMPLATES["chatml"]


@pytest.mark.parametrize(
    ("spoil", "complaint", "hint"),
    [
        (shutil.rmtree, "no model folder at", "joco-mlx models"),
        (lambda f: (f / "config.json").unlink(), r"no config\.json", "config.json"),
        (lambda f: set_json(f / "config.json", model_type=None), "model_type is None", "mlx-lm knows"),
        (lambda f: (f / "model.safetensors").unlink(), r"no weights \(model\*\.safetensors\)", "folder with"),
        (
            lambda f: (f / "model.safetensors").rename(f / "pytorch_model.bin"),
            "only pickled weights",
            "joco-mlx models",
        ),
        (lambda f: (f / "model.safetensors").rename(f / "weights.00.safetensors"), "weights.00", "rename it"),
        (lambda f: (f / "model.safetensors").write_bytes(b"\0" * 100), "no safetensors file", "again"),
        (lambda f: (f / "model.safetensors").write_bytes(b"\xff" * 100), "header is too long", "again"),
        (lambda f: (f / "tokenizer.json").unlink(), r"no tokenizer\.json", "base model"),
        (lambda f: set_json(f / "config.json", model_file="run.py"), r"own code \(run\.py\)", "model_file"),
        (
            lambda f: set_json(f / "config.json", quantization_config={"quant_method": "bitsandbytes"}),
            "quantised by bitsandbytes",
            "unquantised",
        ),
        (
            lambda f: set_json(f / "config.json", quantization={"group_size": 32, "bits": 4, "mode": "mxfp4"}),
            "mode 'mxfp4'",
            "affine",
        ),
        (lambda f: set_json(f / "tokenizer_config.json", eos_token=None), "names no eos_token", "base model"),
        (lambda f: (f / "tokenizer_config.json").write_text("{"), r"tokenizer_config\.json cannot be read", "again"),
    ],
)
def test_an_unusable_folder_says_why(copy: Path, spoil: Callable[[Path], object], complaint: str, hint: str) -> None:
    spoil(copy)
    with pytest.raises(InputError, match=complaint) as caught:
        open_folder(copy)
    assert str(copy) in caught.value.message
    assert hint in caught.value.hint


def test_weights_that_were_cut_short_are_noticed(copy: Path) -> None:
    weights = copy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(InputError, match=r"bytes instead of"):
        open_folder(copy)


def test_a_missing_shard_is_named(copy: Path) -> None:
    index = {"weight_map": {"a": "model.safetensors", "b": "model-00002-of-00002.safetensors"}}
    (copy / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(InputError, match=r"model-00002-of-00002\.safetensors is missing"):
        open_folder(copy)


def test_a_base_model_with_its_familys_chat_template_is_no_chat_model(copy: Path) -> None:
    set_json(copy / "tokenizer_config.json", eos_token={"content": "<|endoftext|>"})
    template = open_folder(copy).template
    assert (template.name, template.end_token) == ("alpaca", "<|endoftext|>")


def test_deepseeks_chat_template_is_recognised(copy: Path) -> None:
    set_json(copy / "tokenizer_config.json", eos_token="<|EOT|>", chat_template="### Instruction:\n{{ messages }}")
    assert open_folder(copy).template == TEMPLATES["deepseek"]


def test_a_registry_entry_decides_its_template(tiny_model: TinyModel) -> None:
    entry = registry.find("qwen2.5-coder-1.5b")
    template = open_folder(tiny_model("qwen2"), base=entry).template
    assert (template.name, template.end_token) == ("alpaca", "<|endoftext|>")


def test_a_fused_folder_remembers_its_template(copy: Path) -> None:
    template = open_folder(copy, base=registry.find("qwen2.5-coder-1.5b")).template
    artifacts.seal(copy, "fused", config=template_record(template), parents={}, files=list(copy.iterdir()))
    assert open_folder(copy).template == template


def test_every_registry_entry_names_a_known_template() -> None:
    assert {entry.template for entry in registry.MODELS} <= set(TEMPLATES)


def test_the_fingerprint_tells_models_apart_but_not_copies(tiny_model: TinyModel, copy: Path) -> None:
    first = open_folder(tiny_model("qwen2")).digest
    assert open_folder(copy).digest == first
    assert open_folder(tiny_model("qwen2", seed=1)).digest != first
    set_json(copy / "config.json", rms_norm_eps=1e-5)
    assert open_folder(copy).digest != first
