"""The proof about ranks: what it takes for a run that was gone on with."""

import json
from pathlib import Path
from types import ModuleType

import pytest
from proof_modules import PROOFS, load


@pytest.fixture
def proof(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(PROOFS))
    return load("ranks", monkeypatch)


def pretend(proof: ModuleType, monkeypatch: pytest.MonkeyPatch, folder: Path, begun: int, adapters: bytes) -> None:
    """Put a whole and a killed run in place of launches; the killed one is gone on with from step `begun`."""
    for name, content in (("of-2", b"as wanted"), ("broken", adapters)):
        (folder / name / "adapters").mkdir(parents=True)
        (folder / name / "adapters" / "adapters.safetensors").write_bytes(content)

    def launched(_: Path, ranks: int, given: object, **__: object) -> None:
        assert ranks == 2
        steps = [0, begun] if given == str(folder / "broken") else [0]
        (folder / "broken" / "run.json").write_text(json.dumps({"segments": [{"from_step": step} for step in steps]}))

    monkeypatch.setattr(proof, "_launched", launched)


@pytest.mark.parametrize(("adapters", "same"), [(b"as wanted", True), (b"others", False)])
def test_a_run_that_went_on_is_compared(
    proof: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, adapters: bytes, same: bool
) -> None:
    pretend(proof, monkeypatch, tmp_path, 2, adapters)
    assert proof._resumed(tmp_path, proof.CONFIG) is same


def test_a_run_that_began_again_did_not_go_on(
    proof: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pretend(proof, monkeypatch, tmp_path, 0, b"as wanted")
    with pytest.raises(SystemExit, match=r"began again: \[0, 0\]"):
        proof._resumed(tmp_path, proof.CONFIG)
