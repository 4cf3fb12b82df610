"""Every keyword that we hand to TRL, transformers, PEFT and Unsloth is one that the installed release takes."""

import ast
import dataclasses
import importlib.util
import inspect
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from models_fixture import make_model
from torch_fixture import peft, torch, trl

from joco_mlx.config import TrainConfig
from joco_mlx.models.folder import open_folder
from joco_mlx.train.backends import torch_model
from joco_mlx.train.backends.torch_model import TorchModel
from joco_mlx.train.backends.trl import settings

BACKENDS = Path(torch_model.__file__).parent


def named(function: Callable[..., Any]) -> set[str]:
    """Parameters that a function names; what it swallows by **kwargs is not counted."""
    kinds = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return {name for name, one in inspect.signature(function).parameters.items() if one.kind in kinds}


def calls(file: str, function: str) -> list[set[str]]:
    """Keywords of every call of a function in our source, those in a spread table of constants among them."""
    tree = ast.parse((BACKENDS / file).read_text())
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(function):
            found.append({word.arg for word in node.keywords if word.arg})
    return found


def test_the_configuration_of_trl(tmp_path: Path) -> None:
    model = torch.nn.Linear(1, 1)
    model.device = torch.device("cpu")
    given = settings(TrainConfig(), tmp_path, TorchModel(model, None, "float32"))
    fields = {field.name for field in dataclasses.fields(trl.SFTConfig)}
    assert set(given) <= fields
    assert trl.SFTConfig(**given).max_length is None


def test_the_trainer_of_trl() -> None:
    (given,) = calls("trl.py", "OrderedTrainer")
    assert given - {"batches"} <= named(trl.SFTTrainer.__init__)
    from transformers import Trainer

    assert calls("trl.py", "trainer.train") == [{"resume_from_checkpoint"}]
    assert "resume_from_checkpoint" in named(Trainer.train)


def test_the_configuration_of_peft() -> None:
    given = torch_model.lora_settings(TrainConfig(layers=2), 4)
    assert set(given) <= {field.name for field in dataclasses.fields(peft.LoraConfig)}
    made = peft.LoraConfig(**given)
    assert (made.layers_to_transform, made.lora_alpha) == ([2, 3], 16.0)
    (prepared,) = calls("torch_model.py", "prepare_model_for_kbit_training")
    assert prepared <= named(peft.prepare_model_for_kbit_training)


def test_loading_by_transformers() -> None:
    """from_pretrained swallows anything, so its docstring and source are asked."""
    import transformers

    (given,) = calls("torch_model.py", "AutoModelForCausalLM.from_pretrained")
    source = inspect.getsource(transformers.PreTrainedModel.from_pretrained)
    auto = inspect.getsource(transformers.models.auto.auto_factory)
    assert [name for name in given if f'"{name}"' not in source + auto and f"{name}:" not in source] == []
    (quantisation,) = calls("torch_model.py", "BitsAndBytesConfig")
    assert quantisation <= named(transformers.BitsAndBytesConfig.__init__)


def test_a_keyword_of_the_past_would_be_noticed() -> None:
    assert "tokenizer" not in named(trl.SFTTrainer.__init__)
    assert not {"max_seq_length", "dataset_text_field_name"} & {
        field.name for field in dataclasses.fields(trl.SFTConfig)
    }
    assert "compute_loss_func" in named(trl.SFTTrainer.__init__)


def unsloth_source() -> Path | None:
    """The installed Unsloth, or its unpacked wheel at JOCO_UNSLOTH; it raises when it is imported without a card."""
    given = os.environ.get("JOCO_UNSLOTH")
    if given:
        return Path(given)
    spec = importlib.util.find_spec("unsloth")
    return Path(spec.origin).parent if spec and spec.origin else None


def parameters(file: Path, kind: str, function: str) -> set[str]:
    """Named parameters of a method, read from its source."""
    classes = {
        node.name: node for node in ast.walk(ast.parse(file.read_text("utf-8"))) if isinstance(node, ast.ClassDef)
    }
    methods = [node for node in classes[kind].body if isinstance(node, ast.FunctionDef) and node.name == function]
    return {argument.arg for argument in (*methods[0].args.args, *methods[0].args.kwonlyargs)}


def table(function: str) -> set[str]:
    """Keys of the table that a function of unsloth.py returns, without importing it."""
    tree = ast.parse((BACKENDS / "unsloth.py").read_text())
    found = next(node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name == function)
    strings = [node.value for node in ast.walk(found) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    return {text for text in strings if text.isidentifier()} - {"unsloth", "none"}


def test_unsloth() -> None:
    package = unsloth_source()
    if package is None:
        pytest.skip("needs Unsloth's source; scripts/prove linux unpacks its wheel")
    models = package / "models"
    loading = parameters(models / "loader.py", "FastLanguageModel", "from_pretrained")
    adapting = parameters(models / "llama.py", "FastLlamaModel", "get_peft_model")
    assert table("base_settings") <= loading
    assert table("adapter_settings") <= adapting
    assert {"model_name", "load_in_4bit"} <= table("base_settings")
    assert {"r", "use_rslora", "random_state"} <= table("adapter_settings")


def test_the_vocabulary_of_a_checkpoint(tmp_path: Path) -> None:
    """What transformers calls its folders and what it puts there, because our own file is added to it."""
    from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

    assert PREFIX_CHECKPOINT_DIR == "checkpoint"
    base = make_model(tmp_path / "model", "qwen2", dtype="float32", layers=1)
    made = torch_model.load(open_folder(base), TrainConfig(model=str(base), rank=2))
    made.model.save_pretrained(tmp_path / "adapter")
    assert {"adapter_model.safetensors", "adapter_config.json"} <= {
        path.name for path in (tmp_path / "adapter").iterdir()
    }
