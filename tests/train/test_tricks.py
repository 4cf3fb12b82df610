"""Each thing that our forward pass does otherwise than mlx-lm's is exact, alone and together with the others.

A trick alone means mlx-lm's own layers, head and adapters everywhere but in that place.
"""

from functools import cache

import pytest
from corrected_reference import apart, arrays, gradients, our_loss, reference_loss
from mlx_lm.models.base import create_attention_mask
from mlx_lm.tuner.lora import LoRALinear
from tiny_training import EXAMPLES, tiny

from joco_mlx.models.compute import mx, nn
from joco_mlx.train.mlx_lora import adapted, forward
from joco_mlx.train.mlx_lora.step import answer_loss

MODELS = {
    "qwen2": {"kind": "qwen2"},
    "llama": {"kind": "llama"},
    "llama-biased": {"kind": "llama", "attention_bias": True, "mlp_bias": True},
}
VARIANTS = [(name, tied, bits) for name in MODELS for tied in (True, False) for bits in (None, 4)]
IDS = [f"{name}-{'tied' if tied else 'untied'}-{bits or 'dense'}" for name, tied, bits in VARIANTS]


@cache
def reference(variant, layers=-1):
    """A model, its loss and its gradients as mlx-lm has them."""
    name, tied, bits = variant
    model = tiny(**MODELS[name], tied=tied, bits=bits, layers=layers)
    return model, gradients(model, lambda model: reference_loss(model, EXAMPLES))


def head(model, hidden):
    hidden = model.model.norm(hidden)
    return model.model.embed_tokens.as_linear(hidden) if model.args.tie_word_embeddings else model.lm_head(hidden)


def loss_at_rows(model, hidden_at):
    """The loss, with the head at the answer's rows only; `hidden_at` gives [batch, answers, size] from ids and rows."""
    (ids, rows, targets, weights), tokens = arrays(EXAMPLES)
    logits = head(model, hidden_at(ids, rows))
    return nn.losses.cross_entropy(logits, targets, weights=weights, reduction="sum") / tokens


def below(model, ids, layers):
    """The hidden states below the top layers, by mlx-lm's own layers."""
    hidden = model.model.embed_tokens(ids)
    for layer in layers:
        hidden = layer(hidden, create_attention_mask(hidden, None))
    return hidden


def completion_only_head(model):
    """Every layer at every position, then only the answer's rows."""
    return loss_at_rows(model, lambda ids, rows: forward._at(below(model, ids, model.layers), rows))


def sparse_last_layer(model):
    """The last layer's queries, output and MLP at the answer's rows only."""
    *lower, last = model.layers
    run = forward._LAYER_FORMS["none"]
    return loss_at_rows(model, lambda ids, rows: run(last, below(model, ids, lower), rows))


def layers_as(form):
    """Every layer at every position, checkpointed as `form` says, and the head on all of them."""

    def logits_of(model, ids):
        hidden = model.model.embed_tokens(ids)
        for layer in model.layers:
            hidden = forward._LAYER_FORMS[form](layer, hidden, None)
        return head(model, hidden)

    return lambda model: reference_loss(model, EXAMPLES, lambda ids: logits_of(model, ids))


TRICKS = {
    "completion-only head": completion_only_head,
    "sparse last layer": sparse_last_layer,
    "segments": layers_as("segments"),
    "layer": layers_as("layer"),
    "all, segments": lambda model: our_loss(model, EXAMPLES, checkpointing="segments"),
    "all, layer": lambda model: our_loss(model, EXAMPLES, checkpointing="layer"),
}


@pytest.mark.parametrize("variant", VARIANTS, ids=IDS)
@pytest.mark.parametrize("trick", TRICKS)
def test_a_trick_changes_neither_loss_nor_gradients(variant, trick):
    model, wanted = reference(variant)
    loss, difference = apart(gradients(model, TRICKS[trick]), wanted)
    assert loss < 1e-5
    assert difference < 1e-5


@pytest.mark.parametrize("variant", VARIANTS, ids=IDS)
def test_adapters_in_the_activations_dtype_change_neither_loss_nor_gradients(variant, monkeypatch):
    model, wanted = reference(variant)
    monkeypatch.setattr(LoRALinear, "__call__", adapted.linear)
    loss, difference = apart(gradients(model, lambda model: reference_loss(model, EXAMPLES)), wanted)
    assert loss < 1e-5
    assert difference < 1e-5


def trunk_alone(model):
    """mlx-lm's layers over the trunk's output, which is computed apart from them."""
    top = model.layers[forward.frozen_layers(model) :]

    def logits_of(ids):
        hidden = forward.trunk_output(model, ids)
        mx.eval(hidden)
        for layer in top:
            hidden = layer(hidden, create_attention_mask(hidden, None))
        return head(model, hidden)

    return reference_loss(model, EXAMPLES, logits_of)


def trunk_with_all(checkpointing):
    def loss(model):
        batch, tokens = arrays(EXAMPLES)
        trunk = forward.trunk_output(model, batch[0])
        return answer_loss(model, *batch, trunk, checkpointing=checkpointing) / tokens

    return loss


@pytest.mark.parametrize("variant", VARIANTS, ids=IDS)
@pytest.mark.parametrize(
    "loss_of",
    [trunk_alone, *map(trunk_with_all, ("none", "segments", "layer"))],
    ids=["alone", "all", "all, segments", "all, layer"],
)
def test_a_trunk_apart_changes_neither_loss_nor_gradients(variant, loss_of):
    model, wanted = reference(variant, layers=2)
    assert forward.frozen_layers(model) == 1
    loss, difference = apart(gradients(model, loss_of), wanted)
    assert loss < 1e-5
    assert difference < 1e-5


def test_the_comparison_sees_a_single_wrong_row():
    """The limit is worth something: one answer token more or less is far beyond it."""
    model, wanted = reference(VARIANTS[0])

    def off_by_one(model):
        (ids, rows, targets, weights), tokens = arrays(EXAMPLES)
        logits = forward.answer_logits(model, ids, mx.maximum(rows - 1, 0), checkpointing="none")
        return nn.losses.cross_entropy(logits, targets, weights=weights, reduction="sum") / tokens

    loss, difference = apart(gradients(model, off_by_one), wanted)
    assert loss > 1e-4
    assert difference > 1e-2
