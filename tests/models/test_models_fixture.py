"""The models that tests share are what they claim to be."""

from collections.abc import Callable
from pathlib import Path

from tokenizers import Tokenizer


def test_equal_arguments_give_the_same_folder(tiny_model: Callable[..., Path]) -> None:
    first = tiny_model("llama", layers=1)
    assert tiny_model("llama", layers=1) == first
    assert tiny_model("llama", layers=1, tied=False) != first


def test_the_real_qwen2_vocabulary_is_whole(qwen_tokenizer_folder: Path) -> None:
    tokenizer = Tokenizer.from_file(str(qwen_tokenizer_folder / "tokenizer.json"))
    assert tokenizer.get_vocab_size() == 151_646
    text = "feat(core): add 2048 tokens<|im_end|>\n\n  größe 提交"
    encoded = tokenizer.encode(text)
    assert 151_645 in encoded.ids
    assert tokenizer.decode(encoded.ids, skip_special_tokens=False) == text
