"""The proof about killed runs, small: three kills, one of them with a damaged checkpoint."""

import random
import shutil
import sys
from pathlib import Path
from types import ModuleType

import pytest
from proof_modules import load


@pytest.fixture
def proof(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(tmp_path))  # puts back what the proof adds to the path
    results = load("results", monkeypatch)
    monkeypatch.setitem(sys.modules, "results", results)
    return load("kills", monkeypatch)


@pytest.mark.parametrize(("kills", "steps", "damage"), [(2, (0, 6), False), (1, (7, 9), True)], ids=["killed", "cut"])
def test_a_killed_run_ends_with_the_same_bytes(proof, tmp_path, kills, steps, damage):
    command = proof.prepared(tmp_path, 30)
    proof.finish([*command, "--out", str(tmp_path / "unbroken")])
    told = proof.survive(command, tmp_path / "killed", kills, random.Random(3), steps=steps, damage=damage)
    assert (told.kills, told.damaged) == (kills, damage)
    assert proof.same(tmp_path / "unbroken", tmp_path / "killed")


def test_a_run_that_begins_again_is_not_taken_for_one_that_goes_on(proof, tmp_path, monkeypatch):
    resumed = proof.resumed

    def forgetful(out: Path) -> list[str]:
        shutil.rmtree(out / "checkpoints")
        return resumed(out)

    monkeypatch.setattr(proof, "resumed", forgetful)
    with pytest.raises(SystemExit, match=r"began at step 0, not at its newest whole checkpoint, of step [1-9]"):
        proof.survive(proof.prepared(tmp_path, 30), tmp_path / "killed", 1, random.Random(3), steps=(4, 4))
