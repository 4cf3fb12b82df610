"""From real repositories to records, and what is said about commits that stay out."""

import json
from pathlib import Path

import pytest
from conftest import Repository
from dataset_records import Notes

from joco_mlx.commit.record import INSTRUCTION, Record, hash_author, read_records
from joco_mlx.config import ExtractConfig
from joco_mlx.dataset.extract import extract, extract_to_file
from joco_mlx.dataset.funnel import Funnel
from joco_mlx.errors import ConflictError, InputError, UsageError


@pytest.fixture
def history(repository: Repository) -> Repository:
    """A root, two good commits, one by a bot, one that is not conventional, and one that changes nothing."""
    repository.commit("feat(store): add a place for values", {"store.py": "values = {}\n"})
    repository.commit("feat(store): look up values by key (#12)\n\nBody.\n", {"store.py": "def look_up(key): ...\n"})
    repository.commit("fix: raise on unknown keys", {"store.py": "def look_up(key): raise UnknownKey(key)\n"})
    repository.commit("chore: bump versions of keys", {"store.py": "x\n"}, GIT_AUTHOR_NAME="dependabot[bot]")
    repository.commit("Look up faster", {"store.py": "y\n"})
    repository.commit("chore: nothing at all in here")
    return repository


def records(repository: Repository, **fields: object) -> list[Record]:
    return list(extract(ExtractConfig(**fields), repository.folder))


def test_good_commits_become_records(history: Repository) -> None:
    fixed, added = records(history)
    name = history.git("rev-parse", "HEAD~4")
    assert (added.instruction, added.output) == (INSTRUCTION, "feat(store): look up values by key")
    assert added.input == history.git("show", "--format=", "--abbrev=7", name) + "\n"
    about = added.metadata
    assert (about.id, about.commit_hash, about.repository) == (f"repository-{name[:12]}", name, "repository")
    assert (about.type, about.scope, about.author) == ("feat", "store", hash_author("Ada", "ada@example.com"))
    assert about.authored_at == "2023-11-14T22:15:20+00:00"
    assert about.quality_score >= 70
    assert (fixed.output, fixed.metadata.scope) == ("fix: raise on unknown keys", None)


def test_without_filters_every_commit_with_a_diff_is_kept(history: Repository) -> None:
    funnel = Funnel("")
    found = list(extract(ExtractConfig(filtered=False), history.folder, funnel=funnel))
    assert [record.output for record in found] == [
        "Look up faster",
        "chore: bump versions of keys",
        "fix: raise on unknown keys",
        "feat(store): look up values by key",
        "feat(store): add a place for values",
    ]
    assert (found[0].metadata.type, found[0].metadata.scope) == ("", None)
    assert found[-1].input.startswith("diff --git a/store.py b/store.py\nnew file mode")
    assert (funnel.read, funnel.kept, dict(funnel.rejected)) == (6, 5, {"empty": 1})


def test_the_counts_add_up_and_are_told(history: Repository) -> None:
    notes, funnel = Notes(), Funnel("")
    list(extract(ExtractConfig(), history.folder, progress=notes, funnel=funnel))
    assert dict(funnel.rejected) == {"root": 1, "bot": 1, "not-conventional": 1, "short-diff": 1}
    assert funnel.read == funnel.kept + sum(funnel.rejected.values()) == 6
    (line,) = notes.lines
    assert line.startswith("repository: kept 2 of 6 (written by a program: 1; no conventional")


def test_name_author_and_newest_few(history: Repository) -> None:
    assert [record.metadata.id[:5] for record in records(history, name="tool")] == ["tool-", "tool-"]
    assert len(records(history, max_commits=4)) == 1
    assert records(history, author="dependabot", filtered=False)[0].output == "chore: bump versions of keys"


def test_the_file_holds_the_records_of_all_repositories(history: Repository, tmp_path: Path) -> None:
    history.git("clone", "--quiet", "--bare", ".", str(tmp_path / "mirror.git"))
    out = tmp_path / "out" / "commits.jsonl"
    total = extract_to_file(ExtractConfig(), [history.folder, tmp_path / "mirror.git"], out)
    found = list(read_records(out))
    assert [record.metadata.repository for record in found] == ["repository"] * 2 + ["mirror"] * 2
    assert [record.input for record in found[:2]] == [record.input for record in found[2:]]
    assert (total.kept, total.read, total.repository) == (4, 12, "2 repositories")


def test_the_same_history_gives_the_same_bytes(history: Repository, tmp_path: Path) -> None:
    extract_to_file(ExtractConfig(name="a"), [history.folder], tmp_path / "one.jsonl")
    history.git("clone", "--quiet", "--mirror", ".", str(tmp_path / "mirror.git"))
    history.git("-C", str(tmp_path / "mirror.git"), "gc", "--quiet", "--aggressive")
    extract_to_file(ExtractConfig(name="a"), [tmp_path / "mirror.git"], tmp_path / "two.jsonl")
    assert (tmp_path / "one.jsonl").read_bytes() == (tmp_path / "two.jsonl").read_bytes()


def test_an_output_that_exists_is_left_alone(history: Repository, tmp_path: Path) -> None:
    out = tmp_path / "commits.jsonl"
    out.write_text("mine")
    with pytest.raises(ConflictError, match=r"commits\.jsonl exists"):
        extract_to_file(ExtractConfig(), [history.folder], out)
    assert out.read_text() == "mine"


def test_nothing_is_written_when_nothing_is_kept(repository: Repository, tmp_path: Path) -> None:
    repository.commit("begin", {"a": "1\n"})
    repository.commit("go on", {"a": "2\n" * 20})
    with pytest.raises(
        InputError, match=r"No commit became a record\. repository: kept 0 of 2 \(no conventional subject line: 1;"
    ) as no:
        extract_to_file(ExtractConfig(), [repository.folder], tmp_path / "out.jsonl")
    assert "--no-filter" in no.value.hint
    assert [path.name for path in tmp_path.iterdir()] == ["repository"]


def test_a_broken_second_repository_leaves_nothing(history: Repository, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent is no git repository: there is no such folder\."):
        extract_to_file(ExtractConfig(), [history.folder, tmp_path / "absent"], tmp_path / "out.jsonl")
    assert [path.name for path in tmp_path.iterdir()] == ["repository"]


def test_one_name_for_two_repositories(history: Repository, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--name is 'a', but there are 2"):
        extract_to_file(ExtractConfig(name="a"), [history.folder, history.folder], tmp_path / "out.jsonl")


def test_unreadable_commits_are_named_and_cost_no_other(history: Repository) -> None:
    lost = history.git("rev-parse", "HEAD~2")
    blob = history.git("rev-parse", "HEAD~2:store.py")
    (history.folder / ".git" / "objects" / blob[:2] / blob[2:]).unlink()
    notes, funnel = Notes(), Funnel("")
    found = list(extract(ExtractConfig(filtered=False), history.folder, progress=notes, funnel=funnel))
    assert [record.output[:8] for record in found] == ["fix: rai", "feat(sto", "feat(sto"]
    assert len(funnel.skipped) == 2
    assert f"skipped 2 unreadable and 0 too large commits: {history.git('rev-parse', 'HEAD~1')[:10]}" in notes.lines[1]
    assert f"{lost[:10]} (unable to read {blob})" in notes.lines[1]


def test_a_history_behind_a_missing_commit_is_told(history: Repository) -> None:
    lost = history.git("rev-parse", "HEAD~3")
    (history.folder / ".git" / "objects" / lost[:2] / lost[2:]).unlink()
    funnel = Funnel("")
    assert len(list(extract(ExtractConfig(filtered=False), history.folder, funnel=funnel))) == 1
    assert [(item.hash, item.detail) for item in funnel.skipped] == [
        (history.git("rev-parse", "HEAD~2"), "a parent is missing")
    ]


def test_latin_1_ends_as_json(repository: Repository, tmp_path: Path) -> None:
    repository.commit("feat: begin", {"a.txt": "1\n"})
    repository.commit("fix: tell about the café", {"a.txt": "caf\xe9 stays open\n".encode("latin-1")})
    out = tmp_path / "out.jsonl"
    extract_to_file(ExtractConfig(filtered=False), [repository.folder], out)
    assert "+café stays open" in json.loads(out.read_text("utf-8").splitlines()[0])["input"]
