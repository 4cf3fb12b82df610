"""A sound file passes; every way in which a file can be wrong is told by name."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from gguf import GGMLQuantizationType as Type

from joco_mlx.config import Quantization
from joco_mlx.errors import VerificationError
from joco_mlx.gguf.card import Card
from joco_mlx.gguf.container import Metadata, open_gguf
from joco_mlx.gguf.export import export
from joco_mlx.gguf.plan import Plan, make_plan
from joco_mlx.gguf.stream import write_gguf
from joco_mlx.gguf.verify import LIMITS, Report, verify
from joco_mlx.merge import open_weights
from joco_mlx.models.folder import open_folder
from joco_mlx.progress import Silent

Planner = Callable[[Plan], Plan]


@pytest.fixture
def folder(tiny_model: Callable[..., Path]) -> Path:
    """A model with every type of q4_k_m in it."""
    return tiny_model("llama", tied=False, layers=3, hidden=256, intermediate=352)


def _write(folder: Path, out: Path, change: Planner = lambda plan: plan, quantization: Quantization = "q4_k_m") -> Path:
    """Export `folder`, with a plan that went wrong."""
    source = open_weights(folder)
    plan = change(make_plan(source, folder, quantization, Card.of(open_folder(folder))))
    write_gguf(out, plan, source, mode="reference", threads=2, bar=Silent().start(""))
    return out


def _without(plan: Plan, key: str) -> Plan:
    return replace(plan, metadata={name: value for name, value in plan.metadata.items() if name != key})


def _with(plan: Plan, **values: object) -> Plan:
    changed: Metadata = plan.metadata | {key.replace("__", "."): value for key, value in values.items()}  # type: ignore[dict-item]
    return replace(plan, metadata=changed)


@pytest.mark.parametrize("quantization", ["q4_k_m", "q8_0", "f16"])
def test_a_fresh_export_is_sound(quantization: Quantization, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "joco.gguf"
    done = export(
        open_weights(folder), folder, out, quantization=quantization, card=Card.of(open_folder(folder), name="mine")
    )
    report = verify(out, folder)
    assert report.problems == ()
    assert (report.nbytes, report.parameters, report.types) == (done.nbytes, done.parameters, done.types)
    assert len(report.tensors) == len(open_gguf(out).tensors)
    assert report.worst is not None
    assert 0 < report.worst.error < LIMITS[report.worst.kind]
    report.require_sound()


def test_errors_are_exact_for_vectors_and_honest_for_the_rest(folder: Path, tmp_path: Path) -> None:
    report = verify(_write(folder, tmp_path / "joco.gguf"), folder)
    errors = {check.kind: check.error for check in report.tensors}
    assert errors[Type.F32] == 0
    assert 0.06 < errors[Type.Q4_K] < 0.08  # 7 % is what 4.5 bits cost normal weights


@pytest.mark.parametrize("share", [0.2, 0.5, 0.99, 0.9999])
def test_a_file_that_was_cut_short_is_told(share: float, folder: Path, tmp_path: Path) -> None:
    out = _write(folder, tmp_path / "joco.gguf")
    content = out.read_bytes()
    out.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(VerificationError, match="cut short"):
        verify(out, folder)


METADATA: dict[str, tuple[Planner, str]] = {
    "pre": (lambda p: _without(p, "tokenizer.ggml.pre"), "tokenizer.ggml.pre is missing; it should be 'smollm'."),
    "eos": (lambda p: _with(p, tokenizer__ggml__eos_token_id=0), "tokenizer.ggml.eos_token_id is 0; it should be 482."),
    "rope": (
        lambda p: _with(p, llama__rope__freq_base=1e6),
        "llama.rope.freq_base is 1000000.0; it should be 10000.0.",
    ),
    "template": (lambda p: _without(p, "tokenizer.chat_template"), "tokenizer.chat_template is missing"),
    "merges": (lambda p: _with(p, tokenizer__ggml__merges=["a b"]), "tokenizer.ggml.merges has 1 entries"),
    "name": (lambda p: _without(p, "general.name"), "general.name is missing"),
    "file-type": (lambda p: _with(p, general__file_type=12), "general.file_type is 12, but only 15 (q4_k_m)"),
}


@pytest.mark.parametrize("case", METADATA)
def test_metadata_that_is_missing_or_wrong_is_told(case: str, folder: Path, tmp_path: Path) -> None:
    change, words = METADATA[case]
    report = verify(_write(folder, tmp_path / "joco.gguf", change), folder)
    assert len(report.problems) == 1
    assert words in report.problems[0]


def test_another_token_is_told_with_its_place(folder: Path, tmp_path: Path) -> None:
    def change(plan: Plan) -> Plan:
        tokens = plan.metadata["tokenizer.ggml.tokens"]
        assert isinstance(tokens, list)
        return _with(plan, tokenizer__ggml__tokens=[*tokens[:7], "other", *tokens[8:]])

    (problem,) = verify(_write(folder, tmp_path / "joco.gguf", change), folder).problems
    assert problem.startswith("tokenizer.ggml.tokens has 'other' at 7; it should be ")


TABLE: dict[str, tuple[Planner, str]] = {
    "missing": (lambda p: replace(p, tensors=p.tensors[:-1]), "The tensor output.weight is missing."),
    "type": (
        lambda p: replace(p, tensors=(*p.tensors[:-1], (p.tensors[-1][0], Type.Q4_K))),
        "output.weight is stored as Q4_K; this mix has Q6_K there.",
    ),
    "rows-not-permuted": (
        lambda p: replace(p, tensors=tuple((replace(tensor, heads=0), kind) for tensor, kind in p.tensors)),
        "blk.0.attn_q.weight is 1",  # 140 % away
    ),
    "another-layer": (
        lambda p: replace(
            p, tensors=tuple((replace(t, source=t.source.replace("s.2.", "s.1.")), k) for t, k in p.tensors)
        ),
        "blk.2.attn_norm.weight is ",
    ),
}


@pytest.mark.parametrize("case", TABLE)
def test_tensors_that_are_missing_or_wrong_are_told(case: str, folder: Path, tmp_path: Path) -> None:
    change, words = TABLE[case]
    report = verify(_write(folder, tmp_path / "joco.gguf", change), folder)
    assert any(problem.startswith(words) for problem in report.problems), report.problems


def _damaged(folder: Path, out: Path, name: str, change: Callable[[np.ndarray], object]) -> Report:
    """Verify a file in whose tensor `name` the bytes were changed."""
    _write(folder, out)
    tensor = open_gguf(out).tensors[name]
    content = np.memmap(out, np.uint8, "r+")
    change(content[tensor.begin : tensor.begin + tensor.nbytes])
    content.flush()
    return verify(out, folder)


@pytest.mark.parametrize(
    "name", ["blk.0.attn_q.weight", "blk.1.ffn_down.weight", "blk.2.attn_norm.weight", "output.weight"]
)
def test_bytes_that_were_lost_on_the_way_are_told(name: str, folder: Path, tmp_path: Path) -> None:
    report = _damaged(folder, tmp_path / "joco.gguf", name, lambda data: data.__setitem__(slice(len(data) // 2), 0))
    assert [check.name for check in report.tensors if not check.sound] == [name]
    assert report.worst is not None
    assert report.worst.name == name
    with pytest.raises(VerificationError, match=name):
        report.require_sound()


def test_numbers_that_are_not_finite_are_told(folder: Path, tmp_path: Path) -> None:
    nan = np.frombuffer(np.float16(np.nan).tobytes(), np.uint8)
    report = _damaged(
        folder, tmp_path / "joco.gguf", "blk.0.attn_q.weight", lambda data: data.__setitem__(slice(2), nan)
    )
    assert report.problems == ("blk.0.attn_q.weight holds numbers that are not finite.",)


def test_bytes_behind_the_last_tensor_are_told(folder: Path, tmp_path: Path) -> None:
    out = _write(folder, tmp_path / "joco.gguf")
    out.write_bytes(out.read_bytes() + bytes(1000))
    assert any("bytes lie behind the last tensor" in problem for problem in verify(out, folder).problems)


def test_the_file_of_another_model_is_told(folder: Path, tiny_model: Callable[..., Path], tmp_path: Path) -> None:
    report = verify(_write(folder, tmp_path / "joco.gguf"), tiny_model("llama", tied=False, layers=2))
    assert "llama.block_count is 3; it should be 2." in report.problems
    assert "The tensor blk.2.attn_q.weight has no place in this model." in report.problems
