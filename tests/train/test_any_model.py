"""Architectures that our forward pass does not know train by mlx-lm's own code, with mlx-lm's own gradients."""

import pytest
from corrected_reference import apart, gradients, our_loss, reference_loss
from mlx_lm.models import llama
from tiny_architectures import ARCHITECTURES, tiny_of
from tiny_training import EXAMPLES, SHAPE, VOCABULARY, adapted

from joco_mlx.errors import InputError
from joco_mlx.models.compute import mx, nn, trees
from joco_mlx.train.mlx_lora import any_model
from joco_mlx.train.mlx_lora.any_model import is_known, require_trainable
from joco_mlx.train.mlx_lora.trunk import trunk_below

SLIDING = {
    **SHAPE,
    "layer_types": ["full_attention", "full_attention", "sliding_attention"],
    "sliding_window": 8,
}


@pytest.mark.parametrize("kind", ARCHITECTURES)
@pytest.mark.parametrize("checkpointing", ["none", "segments", "layer"])
def test_loss_and_gradients_equal_the_corrected_reference(kind, checkpointing):
    model = tiny_of(kind)
    require_trainable(model)
    loss, difference = apart(
        gradients(model, lambda model: our_loss(model, EXAMPLES, checkpointing=checkpointing)),
        gradients(model, lambda model: reference_loss(model, EXAMPLES)),
    )
    assert loss < 1e-5
    assert difference < 1e-5


@pytest.mark.parametrize("adapter", ["lora", "dora"])
@pytest.mark.parametrize("bits", [None, 4], ids=["dense", "4-bit"])
@pytest.mark.parametrize("kind", ["qwen3", "gemma2"])
def test_with_every_adapter_on_either_base(kind, bits, adapter):
    model = tiny_of(kind, adapter=adapter, bits=bits)
    loss, difference = apart(
        gradients(model, lambda model: our_loss(model, EXAMPLES, checkpointing="segments")),
        gradients(model, lambda model: reference_loss(model, EXAMPLES)),
    )
    assert loss < 1e-5
    assert difference < 1e-5


def test_qwen3_is_known_and_sliding_windows_are_mlx_lms():
    assert is_known(tiny_of("qwen3"))
    assert not is_known(tiny_of("gemma"))
    sliding = tiny_of("llama", **SLIDING)
    assert not is_known(sliding)
    loss, difference = apart(
        gradients(sliding, lambda model: our_loss(model, EXAMPLES, checkpointing="layer")),
        gradients(sliding, lambda model: reference_loss(model, EXAMPLES)),
    )
    assert loss < 1e-5
    assert difference < 1e-5


def test_the_head_sees_the_answers_rows_only(monkeypatch):
    model, seen = tiny_of("gemma2"), []
    require_trainable(model)
    head = nn.Embedding.as_linear
    monkeypatch.setattr(
        nn.Embedding, "as_linear", lambda self, hidden: seen.append(hidden.shape[1]) or head(self, hidden)
    )
    rows = mx.array([[5, 6, 7]])
    assert any_model.answer_logits(model, mx.arange(40)[None], rows, checkpointing="none").shape == (1, 3, VOCABULARY)
    assert seen == [3]


def test_a_model_whose_head_needs_every_position_is_left_whole(monkeypatch):
    class Summing(llama.Model):
        def __call__(self, inputs, cache=None):
            hidden = self.model(inputs, cache)
            return self.model.embed_tokens.as_linear(hidden + hidden.sum(axis=1, keepdims=True))

    arguments = llama.ModelArgs(model_type="summing", tie_word_embeddings=True, **SHAPE)
    model = adapted(Summing(arguments))
    monkeypatch.setattr(any_model, "is_known", lambda _: False)
    require_trainable(model)
    ids, rows = mx.arange(30)[None], mx.array([[3, 4]])
    assert mx.allclose(any_model.answer_logits(model, ids, rows, checkpointing="none"), model(ids)[:, 3:5], atol=1e-5)


def test_the_model_is_itself_again_afterwards():
    model = tiny_of("gemma")
    trunk, names = model.model, [name for name, _ in trees.tree_flatten(model.parameters())]
    require_trainable(model)
    our_loss(model, EXAMPLES, checkpointing="layer")
    assert model.model is trunk
    assert [name for name, _ in trees.tree_flatten(model.parameters())] == names
    assert type(model.layers[0]).__call__.__qualname__ == "TransformerBlock.__call__"


def test_what_has_no_gradient_is_refused_by_name(monkeypatch):
    model = tiny_of("gemma")

    def without_gradient(self, hidden, *_):
        return hidden + self.self_attn.q_proj(hidden).sum() * mx.linalg.qr(hidden, stream=mx.cpu)[0].sum()

    monkeypatch.setattr(type(model.layers[0]), "__call__", without_gradient)
    with pytest.raises(InputError, match="mlx-lm's gemma cannot be trained") as problem:
        require_trainable(model)
    assert "qwen3" in problem.value.hint


def test_there_is_no_trunk_to_keep():
    class Silent:
        note = None

    assert trunk_below(tiny_of("gemma"), "digest", 10**9, Silent()) is None
