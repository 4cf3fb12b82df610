"""What is kept of a person's edits: only where they asked for it, bounded, found again, scrubbed, forgotten."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import Repository
from ollama_server import FakeOllama, running

from joco_mlx.cli.settings import suggest_settings
from joco_mlx.commit.record import read_records
from joco_mlx.dataset import edits
from joco_mlx.dataset.from_edits import from_edits
from joco_mlx.errors import ConflictError, InputError

SUGGESTED = "feat(core): add the parser"


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("joco_mlx.dataset.edits.user_data_path", lambda name: tmp_path / "data" / name)
    return tmp_path / "data" / "joco-mlx" / "edits"


def staged(repository: Repository, content: str, name: str = "a.py") -> str:
    """Stage a change and return its diff."""
    repository.write(name, content)
    repository.git("add", "--all")
    return repository.git("diff", "--cached")


def committed(repository: Repository, message: str) -> str:
    repository.clock += 60
    repository.git("commit", "--quiet", "--message", message)
    return repository.git("rev-parse", "HEAD")


def test_a_suggestion_is_found_as_the_commit_that_it_became(
    repository: Repository, place: Path, tmp_path: Path
) -> None:
    for number, message in enumerate(["feat: begin", "fix(core): read the file\n\nIt was closed.", SUGGESTED]):
        diff = staged(repository, f"{number}\n")
        assert edits.keep(repository.folder, diff, SUGGESTED)
        committed(repository, message)
    assert edits.settle(repository.folder) == 3
    assert edits.settle() == 0
    assert [one.committed for one in edits.edits()][1] == "fix(core): read the file\n\nIt was closed."
    assert place.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in place.iterdir()} == {0o600}
    found = from_edits(tmp_path / "mine.jsonl")
    assert (found.records, found.changed, dict(found.left_out)) == (3, 2, {})
    records = list(read_records(tmp_path / "mine.jsonl"))
    assert [one.output for one in records] == ["feat: begin", "fix(core): read the file", SUGGESTED]
    assert [one.metadata.extra["edited"] for one in records] == [True, True, False]
    assert records[1].metadata.scope == "core"
    with pytest.raises(ConflictError):
        from_edits(tmp_path / "mine.jsonl")


def test_what_was_never_committed_or_is_no_use_is_left_out(repository: Repository, tmp_path: Path) -> None:
    edits.keep(repository.folder, staged(repository, "1\n"), SUGGESTED)
    staged(repository, "2\n")  # another tree than the one that was suggested for
    committed(repository, "feat: something else")
    edits.keep(repository.folder, staged(repository, "3\n"), SUGGESTED)
    committed(repository, "not conventional")
    with pytest.raises(InputError, match="1 not committed yet, 1 not conventional"):
        from_edits(tmp_path / "mine.jsonl")
    assert not (tmp_path / "mine.jsonl").exists()


def test_an_amended_message_counts_as_it_ended(repository: Repository) -> None:
    repository.commit("chore: begin", {"b": "0\n"})
    edits.keep(repository.folder, staged(repository, "1\n"), SUGGESTED)
    committed(repository, SUGGESTED)
    repository.git("commit", "--quiet", "--amend", "--message", "fix: say it better")
    edits.settle()
    assert [one.committed for one in edits.edits()] == ["fix: say it better"]


def test_signatures_that_git_shows_are_not_read(repository: Repository, tmp_path: Path) -> None:
    gpg = repository.write("../gpg", "#!/bin/sh\ncat >/dev/null\nprintf '\\n[GNUPG:] SIG_CREATED ' >&2\necho signed\n")
    gpg.chmod(0o755)
    for name, value in (("gpg.program", str(gpg)), ("commit.gpgSign", "true"), ("log.showSignature", "true")):
        repository.git("config", name, value)
    edits.keep(repository.folder, staged(repository, "1\n"), SUGGESTED)
    repository.git("commit", "--quiet", "--message", SUGGESTED)
    assert from_edits(tmp_path / "mine.jsonl").records == 1
    (found,) = read_records(tmp_path / "mine.jsonl")
    assert found.metadata.commit_hash == repository.git("rev-parse", "HEAD")


def test_of_two_suggestions_for_one_commit_the_newest_counts(repository: Repository, tmp_path: Path) -> None:
    diff = staged(repository, "1\n")
    for suggested in ("fix: read it", SUGGESTED):
        edits.keep(repository.folder, diff, suggested)
    committed(repository, SUGGESTED)
    found = from_edits(tmp_path / "mine.jsonl")
    assert (found.records, found.changed, dict(found.left_out)) == (1, 0, {"suggested again": 1})


def test_addresses_are_masked_and_secrets_left_out(repository: Repository, tmp_path: Path) -> None:
    edits.keep(repository.folder, staged(repository, "mail = 'bob@firm.de'\n"), SUGGESTED)
    committed(repository, "feat: write to bob@firm.de")
    token = "ghp_" + "16C7e42F292c6912E7710c838347Ae178B4a"
    edits.keep(repository.folder, staged(repository, f"token = '{token}'\n"), SUGGESTED)
    committed(repository, "feat: add a token")
    found = from_edits(tmp_path / "mine.jsonl")
    assert dict(found.left_out) == {"with what looks like a secret": 1}
    text = (tmp_path / "mine.jsonl").read_text()
    assert "firm.de" not in text
    assert token not in text
    assert "user1@example.com" in text


def test_the_store_is_bounded(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edits, "MOST_ENTRIES", 3)
    for number in range(5):
        edits.keep(repository.folder, staged(repository, f"{number}\n"), f"feat: {number}")
    assert [one.suggested for one in edits.edits()] == ["feat: 2", "feat: 3", "feat: 4"]
    monkeypatch.setattr(edits, "MOST_BYTES", 2_000)
    edits.keep(repository.folder, "x" * 1_500, "feat: long")
    assert [one.suggested for one in edits.edits()] == ["feat: long"]
    assert not edits.keep(repository.folder, "x" * 100_000, "feat: too long")


def test_forgetting_leaves_nothing(repository: Repository, place: Path, tmp_path: Path) -> None:
    assert edits.forget() == 0
    edits.keep(repository.folder, staged(repository, "1\n"), SUGGESTED)
    assert edits.forget() == 1
    assert not place.exists()
    with pytest.raises(InputError, match="No edits are kept"):
        from_edits(tmp_path / "mine.jsonl")


def test_a_damaged_file_is_named(repository: Repository, place: Path) -> None:
    edits.keep(repository.folder, staged(repository, "1\n"), SUGGESTED)
    path = next(place.iterdir())
    path.write_text("{}")
    with pytest.raises(InputError, match="is no kept suggestion") as caught:
        edits.edits()
    assert str(path) in caught.value.hint


def test_a_repository_cannot_turn_it_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".joco-mlx.toml").write_text("[suggest]\nkeep_edits = true\n")
    with pytest.raises(InputError, match="'keep_edits', which a repository may not choose"):
        suggest_settings({})


@pytest.fixture
def ollama() -> Iterator[FakeOllama]:
    shown = {"parameters": {"num_ctx": 2048}, "template": ""}
    with running(FakeOllama(models={"joco": shown}, answer=SUGGESTED)) as made:
        yield made


def run(repository: Repository, ollama: FakeOllama, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    own = {"OLLAMA_HOST": ollama.url, "HOME": str(repository.folder.parent), "NO_COLOR": "1"}
    places = {"XDG_CONFIG_HOME": f"{own['HOME']}/config", "XDG_DATA_HOME": f"{own['HOME']}/data"}
    command = [sys.executable, "-m", "joco_mlx", *words]
    environment = {**os.environ, **own, **places, **more}
    return subprocess.run(command, cwd=repository.folder, env=environment, capture_output=True, text=True, check=False)


def test_the_hook_keeps_only_for_whoever_asked(repository: Repository, ollama: FakeOllama, tmp_path: Path) -> None:
    message = tmp_path / "COMMIT_EDITMSG"
    staged(repository, "1\n")
    for asked, kept in (("0", 0), ("1", 1)):
        message.write_text("\n# comment\n")
        done = run(repository, ollama, "hook", "run", str(message), JOCO_MLX_KEEP_EDITS=asked)
        assert done.returncode == 0, done.stderr
        assert message.read_text().startswith(SUGGESTED)
        assert len(list(tmp_path.glob("**/edits/*.json"))) == kept
    committed(repository, "fix: my own words")
    done = run(repository, ollama, "dataset", "from-edits", "--out", "../mine.jsonl", "--json")
    assert json.loads(done.stdout)["changed"] == 1
    assert run(repository, ollama, "forget").returncode == 2
    assert "Deleted: 1 kept edits." in run(repository, ollama, "forget", "--yes").stdout
    assert "Nothing is kept" in run(repository, ollama, "forget").stdout
