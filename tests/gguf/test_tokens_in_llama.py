"""The tokens that real llama.cpp gives are the tokens that training saw."""

from collections.abc import Callable
from pathlib import Path

import pytest
from judges.llama_oracle import Model
from mixed_text import mixed_strings
from models_fixture import CONTROL_TOKENS, CORPUS, make_model, save_tokenizer
from tokenizers import AddedToken, Regex, Tokenizer, models, pre_tokenizers, trainers

from joco_mlx.gguf.card import Card
from joco_mlx.gguf.export import export
from joco_mlx.merge import open_weights
from joco_mlx.models.folder import ModelFolder

pytestmark = pytest.mark.judge("llama.cpp")
Steps = Callable[[], list[pre_tokenizers.PreTokenizer]]
_GPT4_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}%s| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def _split(pattern: str) -> pre_tokenizers.PreTokenizer:
    return pre_tokenizers.Split(Regex(pattern), "isolated")


def _bytes(words: bool) -> pre_tokenizers.PreTokenizer:
    return pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=words)


DEFINITIONS: dict[str, Steps] = {
    "qwen2": lambda: [_split(_GPT4_WORDS % ""), _bytes(False)],
    "llama-bpe": lambda: [_split(_GPT4_WORDS % "{1,3}"), _bytes(False)],
    "smollm": lambda: [pre_tokenizers.Digits(individual_digits=True), _bytes(True)],
    "gpt-2": lambda: [_bytes(True)],
    "deepseek-coder": lambda: [
        _split("[\r\n]"),
        _split(r"\s?\p{L}+"),
        _split(r"\s?\p{P}+"),
        _split("[一-龥ࠀ-一가-퟿]+"),
        pre_tokenizers.Digits(individual_digits=True),
        _bytes(False),
    ],
}


def _trained(steps: Steps, ignore_merges: bool) -> Tokenizer:
    """A real small BPE tokenizer whose words are split by `steps`, with merges across scripts."""
    tokenizer = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(steps())
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=1200, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator([*CORPUS * 4, *mixed_strings(400, seed=1)], trainer)
    tokenizer.add_special_tokens([AddedToken(text, special=True, normalized=False) for text in CONTROL_TOKENS])
    return tokenizer


@pytest.fixture(params=DEFINITIONS)
def tiny(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Path]:
    """A model folder for each way of splitting words, and llama.cpp's name for it."""
    pre: str = request.param
    (tmp_path / "tokenizer").mkdir()
    tokenizer = _trained(DEFINITIONS[pre], ignore_merges=pre == "llama-bpe")
    save_tokenizer(tokenizer, tmp_path / "tokenizer", "qwen2")
    return pre, make_model(tmp_path / "model", "llama", tokenizer=tmp_path / "tokenizer", layers=1)


def _opened(folder: Path, llama_library: Path, place: Path | None = None) -> Model:
    out = (place or folder.parent) / "exported.gguf"
    export(open_weights(folder), folder, out, quantization="q8_0", card=Card("joco", "<|im_end|>"))
    return Model(out, library=llama_library)


def _assert_agreement(model: Model, folder: Path) -> None:
    """1,000 strings give the ids of the Hugging Face tokenizer, with control strings as control and as text."""
    texts = mixed_strings(1_000)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    for control in (True, False):
        tokenizer.encode_special_tokens = not control
        ours = [found.ids for found in tokenizer.encode_batch(texts, add_special_tokens=False)]
        theirs = model.tokenize_all(texts, special=control)
        assert [text for text, a, b in zip(texts, ours, theirs, strict=True) if list(a) != b] == []
    assert "GENERATION QUALITY WILL BE DEGRADED" not in model.log()


def test_every_word_splitter(tiny: tuple[str, Path], llama_library: Path) -> None:
    pre, folder = tiny
    with _opened(folder, llama_library) as model:
        assert model.metadata("tokenizer.ggml.pre") == pre
        _assert_agreement(model, folder)


def test_the_real_qwen2_vocabulary(qwen_tokenizer_folder: Path, tmp_path: Path, llama_library: Path) -> None:
    folder = make_model(tmp_path / "model", tokenizer=qwen_tokenizer_folder, layers=1, hidden=32, heads=2, kv_heads=1)
    with _opened(folder, llama_library) as model:
        _assert_agreement(model, folder)
        assert model.tokenize("</s>") == model.tokenize("</s>", special=False)


@pytest.mark.model
def test_the_embedded_model(smollm2: ModelFolder, tmp_path: Path, llama_library: Path) -> None:
    with _opened(smollm2.path, llama_library, tmp_path) as model:
        _assert_agreement(model, smollm2.path)
