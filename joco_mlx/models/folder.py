"""A model on disk, checked: what every stage takes instead of a path.

Decides what a usable model folder is (a supported architecture, whole safetensors weights, a tokenizer, no code to run,
no quantisation but MLX's) and which prompt template it is spoken to with. Leaves names and downloads to `hub`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from joco_mlx import artifacts
from joco_mlx.commit.prompt import TEMPLATES, Template
from joco_mlx.errors import InputError
from joco_mlx.models.registry import BaseModel
from joco_mlx.models.rotary import older_settings
from joco_mlx.models.shape import Shape, read_config
from joco_mlx.models.tokens import TOKENIZER_FILE, chat_template, tokenizer_config
from joco_mlx.models.weights_check import fingerprint, weight_files


@dataclass(frozen=True)
class ModelFolder:
    """A checked model folder and how it is spoken to."""

    path: Path
    name: str
    """The registry's or the Hub's name; the folder's name when it has neither."""
    base: BaseModel | None
    """The registry's entry, when it is one of them."""
    revision: str | None
    """Commit on the Hub, when it came from there."""
    template: Template
    """With the end token of this very model."""

    @cached_property
    def config(self) -> Mapping[str, Any]:
        """The content of config.json."""
        return read_config(self.path)

    @cached_property
    def shape(self) -> Shape:
        """Sizes of the model."""
        return Shape.from_config(self.config, str(self.path))

    @property
    def quantization(self) -> Mapping[str, Any] | None:
        """mlx-lm's table (`group_size`, `bits`, entries for single layers), or None when the weights are dense."""
        found = self.config.get("quantization")
        return dict(found) if isinstance(found, Mapping) else None

    @cached_property
    def digest(self) -> str:
        """What tells this model from others: see `weights_check.fingerprint`."""
        return fingerprint(self.path / "config.json", weight_files(self.path))


def open_folder(
    path: Path, *, name: str | None = None, base: BaseModel | None = None, revision: str | None = None
) -> ModelFolder:
    """Check a model folder.

    Args:
        path: The folder.
        name: What errors and records call it; the folder's own name when None.
        base: The registry's entry, if it is one.
        revision: The Hub commit it came from.

    Raises:
        InputError: It is no model folder, or one that this tool cannot use; the sentence says why.
    """
    if not path.is_dir():
        raise InputError(f"There is no model folder at {path}.", "joco-mlx models lists the models known by name.")
    config = read_config(path)
    Shape.from_config(config, str(path))
    older_settings(config, str(path / "config.json"))
    _refuse_code_and_foreign_codes(path, config)
    weight_files(path)
    if not (path / TOKENIZER_FILE).is_file():
        raise InputError(
            f"{path} has no {TOKENIZER_FILE}.",
            "Take tokenizer.json from the base model; vocab.json and merges.txt alone are not enough.",
        )
    template = _of_registry(base) if base else _recorded(path) or _guessed(path)
    return ModelFolder(path, name or path.resolve().name, base, revision, template)


def template_record(template: Template) -> dict[str, str]:
    """Return what a fused folder's manifest keeps in its `config`, so that `open_folder` finds the template again."""
    return {"template": template.name, "end_token": template.end_token}


def named_template(name: str, end_token: str, where: str) -> Template:
    """Return a template by name with an end token of its own.

    Raises:
        InputError: There is no such template.
    """
    if name not in TEMPLATES:
        raise InputError(f"{where} names the template {name!r}.", f"Use one of: {', '.join(TEMPLATES)}.")
    return replace(TEMPLATES[name], end_token=end_token)


def _of_registry(base: BaseModel) -> Template:
    return named_template(base.template, base.end_token, f"The registry's entry {base.name}")


def _recorded(path: Path) -> Template | None:
    """The template that `fuse` wrote down, when the folder is one of its artefacts."""
    if not artifacts.is_finished(path):
        return None
    config = artifacts.open_artifact(path, "fused").manifest.config
    if "template" not in config:
        return None
    return named_template(str(config["template"]), str(config.get("end_token")), str(path / artifacts.MANIFEST))


def _guessed(path: Path) -> Template:
    """The template of a folder that nobody described.

    A model is spoken to as a chat model when its end-of-text token is the one that its chat template ends a turn with.
    Base models often carry the chat template of their family but end with another token: they get `alpaca`.
    """
    chat = chat_template(path) or ""
    end = _end_of_text(path)
    if end == TEMPLATES["chatml"].end_token and "<|im_start|>" in chat:
        return TEMPLATES["chatml"]
    if end == TEMPLATES["deepseek"].end_token and "### Instruction:" in chat:
        return TEMPLATES["deepseek"]
    return replace(TEMPLATES["alpaca"], end_token=end)


def _end_of_text(path: Path) -> str:
    found = tokenizer_config(path).get("eos_token")
    token = found.get("content") if isinstance(found, Mapping) else found
    if not isinstance(token, str):
        raise InputError(
            f"{path / 'tokenizer_config.json'} names no eos_token, so nothing could end an answer.",
            "Take tokenizer_config.json from the base model.",
        )
    return token


def _refuse_code_and_foreign_codes(path: Path, config: Mapping[str, Any]) -> None:
    if "model_file" in config:
        raise InputError(
            f"{path} wants to run its own code ({config['model_file']}), which is never done.",
            "Use a qwen2 or llama model without model_file in config.json.",
        )
    mlx = config.get("quantization")
    foreign = config.get("quantization_config")
    method = foreign.get("quant_method") if isinstance(foreign, Mapping) else None
    if mlx is None and foreign is not None:
        raise InputError(
            f"{path} is quantised by {method or 'an unknown method'}, which is not supported.",
            "Use the unquantised model, or one that mlx-lm quantised (4 bits, affine).",
        )
    if isinstance(mlx, Mapping) and mlx.get("mode", "affine") != "affine":
        raise InputError(
            f"{path} is quantised in MLX's mode {mlx['mode']!r}, which is not supported.",
            "Use the unquantised model, or one that mlx-lm quantised in the affine mode.",
        )
