"""The trunk is run apart, once for each record, and what is learned is the same to the last bit, kept or not."""

from dataclasses import replace

import pytest
from tiny_records import make_record
from tiny_training import EXAMPLES, example, tiny

from joco_mlx.artifacts import sha256
from joco_mlx.config import TrainConfig
from joco_mlx.errors import UsageError
from joco_mlx.models.compute import mx
from joco_mlx.progress import Silent
from joco_mlx.train.batches import make_batch
from joco_mlx.train.mlx_lora.loop import validation_loss
from joco_mlx.train.mlx_lora.lora import adapter_tensors
from joco_mlx.train.mlx_lora.step import Step, make_optimizer
from joco_mlx.train.mlx_lora.trunk import Trunk, trunk_below, trunk_folder
from joco_mlx.train.mlx_lora.trunk_cache import TrunkCache
from joco_mlx.train.run import train

RECORDS = [make_record(number) for number in range(4)]
HELD_OUT = [make_record(number) for number in range(4, 6)]


class Notes(Silent):
    def __init__(self):
        self.notes = []

    def note(self, text):
        self.notes.append(text)


def cache(folder):
    return TrunkCache(folder, 10**9, {"base": "tiny"})


def learned(kept, *, dtype=mx.float32, examples=EXAMPLES):
    """Adapters after four steps over the same records."""
    model = tiny(layers=1, dtype=dtype)
    step = Step(model, make_optimizer(1e-2, 0, 10), trunk=Trunk(model, kept))
    for _ in range(4):
        step.add(make_batch(examples))
        step.update()
    return adapter_tensors(model)


@pytest.mark.parametrize("dtype", [mx.float32, mx.bfloat16], ids=str)
def test_adapters_are_the_same_to_the_last_bit_with_and_without_the_cache(tmp_path, dtype):
    without = learned(None, dtype=dtype)
    cold, warm = cache(tmp_path), cache(tmp_path)
    for kept, hits in ((cold, 6), (warm, 8)):
        found = learned(kept, dtype=dtype)
        assert all(mx.array_equal(found[name], array) for name, array in without.items())
        assert kept.hits == hits


def test_a_damaged_entry_is_computed_anew(tmp_path):
    without = learned(None)
    learned(cache(tmp_path))
    for path in tmp_path.rglob("*.trunk"):
        path.write_bytes(path.read_bytes()[:-1] + b"?")
    again = cache(tmp_path)
    found = learned(again)
    assert again.misses == len(EXAMPLES)
    assert all(mx.array_equal(found[name], array) for name, array in without.items())


def test_the_records_beside_one_do_not_change_its_output():
    """Batches are put together anew in every epoch; an entry must fit all of them."""
    model = tiny(layers=1)
    trunk, other = Trunk(model), example(60, 5, 9)
    one, two = (make_batch([EXAMPLES[0], beside]) for beside in (EXAMPLES[1], other))
    assert mx.array_equal(trunk.output(one.ids)[0], trunk.output(two.ids)[0])


def test_validation_reads_the_same_cache(tmp_path):
    model, kept = tiny(layers=1), cache(tmp_path)
    batches = [make_batch(EXAMPLES)]
    without = validation_loss(model, batches)
    assert validation_loss(model, batches, Trunk(model, kept)) == pytest.approx(without, rel=1e-6)
    validation_loss(model, batches, Trunk(model, kept))
    assert (kept.hits, kept.misses) == (2, 2)


def test_adapters_on_every_layer_leave_no_trunk(tmp_path, monkeypatch):
    monkeypatch.setenv("JOCO_MLX_CACHE", str(tmp_path))
    progress = Notes()
    assert trunk_below(tiny(), "digest", 10**9, progress) is None
    assert progress.notes == []
    assert trunk_below(tiny(layers=2), "digest", 0, progress).cache is None


@pytest.fixture
def config(tiny_model, make_dataset, tmp_path, monkeypatch):
    monkeypatch.setenv("JOCO_MLX_CACHE", str(tmp_path / "cache"))
    return TrainConfig(
        model=str(tiny_model("llama", dtype="float32")), data=make_dataset(RECORDS, HELD_OUT), steps=4, layers=1,
        grad_accumulation=2, batch_size=2, max_seq_length=512, rank=4, eval_every=2, prompt_variants=0.0,
    )  # fmt: skip


def test_runs_with_a_cold_a_warm_and_no_cache_end_in_the_same_adapters(config, tmp_path, monkeypatch):
    computed = []
    digests = set()
    for name, size in (("cold", "1GB"), ("warm", "1GB"), ("none", "off")):
        progress, count = Notes(), len(computed)
        monkeypatch.setattr(TrunkCache, "put", counted(TrunkCache.put, computed) if name == "cold" else refused)
        made = train(replace(config, out=tmp_path / name, trunk_cache=size), progress=progress)
        digests.add(sha256(made.folder / "adapters" / "adapters.safetensors"))
        told = [note for note in progress.notes if str(trunk_folder()) in note]
        assert len(told) == (name != "none")
        assert len(computed) - count == (len(RECORDS + HELD_OUT) if name == "cold" else 0)
    assert len(digests) == 1


def counted(put, calls):
    def counting(self, ids, array):
        calls.append(ids)
        put(self, ids, array)

    return counting


def refused(*_):
    raise AssertionError("every entry should have been there, or the cache off")


@pytest.mark.parametrize("size", ["4 apples", "-1GB", ""])
def test_a_size_that_is_none_is_refused(size):
    with pytest.raises(UsageError, match="--trunk-cache"):
        TrainConfig(trunk_cache=size)


def test_sizes_are_read_in_their_units():
    sizes = {"4GB": 4 * 10**9, "1.5 GiB": 3 << 29, "512mb": 512 * 10**6, "7": 7, "off": 0}
    assert {size: TrainConfig(trunk_cache=size).trunk_cache_bytes for size in sizes} == sizes
