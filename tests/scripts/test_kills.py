"""The proof about killed runs, small: three kills, one of them with a damaged checkpoint."""

import random
import sys

import pytest
from proof_modules import load


@pytest.mark.parametrize(("kills", "steps", "damage"), [(2, (0, 6), False), (1, (7, 9), True)], ids=["killed", "cut"])
def test_a_killed_run_ends_with_the_same_bytes(tmp_path, monkeypatch, kills, steps, damage):
    monkeypatch.syspath_prepend(str(tmp_path))  # puts back what the proof adds to the path
    results = load("results", monkeypatch)
    monkeypatch.setitem(sys.modules, "results", results)
    proof = load("kills", monkeypatch)
    command = proof.prepared(tmp_path, 30)
    proof.finish([*command, "--out", str(tmp_path / "unbroken")])
    told = proof.survive(command, tmp_path / "killed", kills, random.Random(3), steps=steps, damage=damage)
    assert (told.kills, told.damaged) == (kills, damage)
    assert proof.same(tmp_path / "unbroken", tmp_path / "killed")
