"""The proof about datasets: whom it takes for the authors of records."""

from pathlib import Path
from types import ModuleType

import pytest
from conftest import Repository
from proof_modules import PROOFS, load

from joco_mlx.commit.record import Metadata, Record


@pytest.fixture
def proof(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(PROOFS))
    return load("dataset", monkeypatch)


def record(commit: str) -> Record:
    return Record("", "", "fix: mend it", Metadata("1", "demo", commit, "0" * 16, "fix", None, 90))


def test_authors_are_looked_up_in_a_clone_with_a_work_tree(proof: ModuleType, repository: Repository) -> None:
    commits = [
        repository.commit("fix: mend it"),
        repository.commit("chore: bump", GIT_AUTHOR_NAME="renovate[bot]", GIT_AUTHOR_EMAIL="bot@example.com"),
    ]
    named = proof.authors([record(commit) for commit in commits], {"demo": repository.folder})
    assert named == ["Ada <ada@example.com>", "renovate[bot] <bot@example.com>"]


def test_an_author_that_git_does_not_know_ends_the_proof(
    proof: ModuleType, repository: Repository, tmp_path: Path
) -> None:
    commit = repository.commit("fix: mend it")
    with pytest.raises(SystemExit, match=r"demo at 1234567: .*1234567"):
        proof.authors([record("1234567")], {"demo": repository.folder})
    with pytest.raises(SystemExit, match=f"demo at {commit}"):
        proof.authors([record(commit)], {"demo": tmp_path})
