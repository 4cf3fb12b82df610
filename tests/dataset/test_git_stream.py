"""Hostile history through the stream: real repositories, every commit compared with what was committed."""

import dataclasses
import os
import tracemalloc
from collections.abc import Sequence
from pathlib import Path

import pytest
from conftest import Repository

from joco_mlx.config import ExtractConfig
from joco_mlx.dataset import git_stream
from joco_mlx.dataset.git_stream import Commit, Skipped, read_commits
from joco_mlx.dataset.plain_git import PlainGit
from joco_mlx.dataset.repository import list_history, open_repository
from joco_mlx.errors import MachineError


def read(repository: Repository, **limits: int) -> list[Commit | Skipped]:
    """Read all commits, oldest first."""
    source = open_repository(repository.folder)
    return list(read_commits(source.git, list_history(source, ExtractConfig()).hashes, **limits))[::-1]


def commits(repository: Repository) -> list[Commit]:
    items = read(repository)
    assert [item for item in items if isinstance(item, Skipped)] == []
    return [item for item in items if isinstance(item, Commit)]


def last_patch(repository: Repository) -> str:
    return commits(repository)[-1].patch


def remove_blob(repository: Repository, revision: str) -> str:
    name = repository.git("rev-parse", revision)
    (repository.folder / ".git" / "objects" / name[:2] / name[2:]).unlink()
    return name


def test_a_commit_in_full(repository: Repository) -> None:
    repository.commit("feat: root", {"a.txt": "one\n"})
    name = repository.commit(
        "fix: change\n\nBecause.\n\nRefs: 1\n",
        {"a.txt": "two\n"},
        GIT_AUTHOR_NAME="Zoë O'Hara",
        GIT_AUTHOR_EMAIL="zoe@example.com",
        GIT_AUTHOR_DATE="1700000000 -0930",
    )
    root, change = commits(repository)
    assert change == Commit(
        hash=name,
        author_name="Zoë O'Hara",
        author_email="zoe@example.com",
        authored_at="2023-11-14T12:43:20-09:30",
        message="fix: change\n\nBecause.\n\nRefs: 1",
        patch=(
            "diff --git a/a.txt b/a.txt\nindex 5626abf..f719efd 100644\n--- a/a.txt\n+++ b/a.txt\n"
            "@@ -1 +1 @@\n-one\n+two\n"
        ),
    )
    assert "new file mode 100644\nindex 0000000..5626abf\n--- /dev/null\n+++ b/a.txt" in root.patch


def test_what_looks_like_our_own_format_is_text(repository: Repository) -> None:
    body = "fix: a\n\ndiff --git a/fake b/fake\n--- a/fake\n+++ b/fake\n@@ -1 +1 @@\n-x\n+y\n"
    marks = "=joco-00000000000000000000000000000000=\n" + "a" * 40 + "\nindex 1234567..89abcde\n"
    repository.commit("feat: root", {"a": "1\n"})
    repository.commit(body + marks, {"a": marks, "b": body})
    _, hostile = commits(repository)
    assert hostile.message == (body + marks).strip()
    assert hostile.patch.count("\ndiff --git ") == 1
    assert "+=joco-0000" in hostile.patch


def test_latin_1_in_messages_names_and_files(repository: Repository) -> None:
    repository.commit("feat: root", {"a": "1\n"})
    repository.git("config", "i18n.commitEncoding", "ISO-8859-1")
    repository.write("a", "caf\xe9 \u00e9\n".encode("latin-1") + "utf é\n".encode())
    repository.git("add", "--all")
    repository.git("commit", "--quiet", "--file=-", stdin="fix: grüße".encode("latin-1"))
    repository.git("config", "--unset", "i18n.commitEncoding")
    repository.write("a", b"2\n")
    repository.git("add", "--all")
    repository.git("commit", "--quiet", "--file=-", stdin="fix: grüße ohne".encode("latin-1"))
    _, declared, undeclared = commits(repository)
    assert declared.message == "fix: grüße"
    assert undeclared.message == "fix: grüße ohne"
    assert "+café é\n+utf é\n" in declared.patch


def test_quoted_and_foreign_paths(repository: Repository) -> None:
    repository.commit("feat: root", {"a": "1\n"})
    repository.commit("feat: odd", {'tab\tquote".txt': "1\n", "grüße.txt": "1\n", b"lat\xe9n": "1\n"})
    patch = last_patch(repository)
    assert r'diff --git "a/tab\tquote\".txt" "b/tab\tquote\".txt"' in patch
    assert "diff --git a/grüße.txt b/grüße.txt" in patch
    assert "diff --git a/latén b/latén" in patch


def test_changes_without_lines(repository: Repository) -> None:
    repository.commit("feat: root", {"run": "x\n", "b": b"\0\1"})
    repository.commit("feat: zero bytes", {"empty": ""})
    (repository.folder / "run").chmod(0o755)
    repository.commit("fix: mode only")
    repository.commit("chore: nothing at all")
    repository.commit("fix: binary", {"b": b"\0\2"})
    _, zero, mode, nothing, binary = (commit.patch for commit in commits(repository))
    assert zero == "diff --git a/empty b/empty\nnew file mode 100644\nindex 0000000..e69de29\n"
    assert mode == "diff --git a/run b/run\nold mode 100644\nnew mode 100755\n"
    assert nothing == ""
    assert "Binary files a/b and b/b differ" in binary


def test_a_submodule_is_one_line(repository: Repository, tmp_path: Path) -> None:
    repository.commit("feat: root", {"a": "1\n"})
    first, second = repository.git("rev-parse", "HEAD"), "b" * 40
    for name in (first, second):
        repository.git("update-index", "--add", "--cacheinfo", f"160000,{name},module")
        repository.clock += 60
        repository.git("commit", "--quiet", "--message=chore: module")
    repository.git("config", "diff.submodule", "log")
    repository.git("config", "diff.ignoreSubmodules", "all")
    assert last_patch(repository).endswith(f"-Subproject commit {first}\n+Subproject commit {second}\n")


HOSTILE_SETTINGS = {
    "color.ui": "always",
    "color.diff": "always",
    "diff.noprefix": "true",
    "diff.mnemonicPrefix": "true",
    "diff.external": "false",
    "diff.algorithm": "patience",
    "diff.context": "0",
    "diff.renames": "false",
    "diff.suppressBlankEmpty": "true",
    "diff.orderFile": "order",
    "diff.interHunkContext": "9",
    "diff.indentHeuristic": "false",
    "diff.renameLimit": "1",
    "diff.relative": "true",
    "diff.wsErrorHighlight": "all",
    "diff.colorMoved": "zebra",
    "diff.dirstat": "lines",
    "diff.statGraphWidth": "3",
    "diff.ignoreSubmodules": "all",
    "diff.wordRegex": ".",
    "diff.shout.textconv": "tr a-z A-Z <",
    "diff.shout.xfuncname": "^(.*)$",
    "log.showSignature": "true",
    "log.date": "relative",
    "core.quotePath": "true",
    "core.abbrev": "40",
    "i18n.logOutputEncoding": "ISO-8859-1",
}


@pytest.mark.parametrize("where", ["repository", "user", "environment"])
def test_no_setting_changes_the_output(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    repository.commit("feat: grüße", {"é.txt": "a\n\nb\n\nc\nd\ne\n", ".gitattributes": "*.txt diff=shout\n"})
    repository.git("mv", "é.txt", "è.txt")
    repository.commit("refactor: move", {"è.txt": "a\n\nB\n\nc\nd\ne\n"})
    plain = commits(repository)
    if where == "environment":
        settings = "".join(f"'{name}'='{value}' " for name, value in HOSTILE_SETTINGS.items())
        for name, value in {
            "GIT_CONFIG_PARAMETERS": settings,
            "GIT_DIFF_OPTS": "-u0",
            "GIT_EXTERNAL_DIFF": "x",
        }.items():
            monkeypatch.setenv(name, value)
    else:
        file = tmp_path / "config" if where == "user" else repository.folder / ".git" / "config"
        for name, value in HOSTILE_SETTINGS.items():
            repository.git("config", "--file", str(file), name, value)
        monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(file) if where == "user" else os.devnull)
    assert commits(repository) == plain
    assert "\n \n-b\n+B\n \n" in plain[-1].patch
    assert "rename to è.txt" in plain[-1].patch


@pytest.mark.parametrize("work_tree", ["", "..", "elsewhere"])
def test_attributes_in_a_work_tree_do_not_count(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, work_tree: str
) -> None:
    repository.commit("feat: root", {"a.lock": "1\n", ".gitattributes": "*.lock -diff\n"})
    repository.commit("fix: lock", {"a.lock": "2\n"})
    repository.git("clone", "--quiet", "--bare", ".", str(tmp_path / "mirror.git"))
    monkeypatch.chdir(repository.folder)
    if work_tree:
        repository.git("config", "core.worktree", work_tree)
    assert commits(Repository(tmp_path / "mirror.git")) == commits(Repository(Path()))
    assert "-1\n+2\n" in last_patch(Repository(Path()))


@pytest.mark.parametrize("hashes", ["sha1", "sha256"])
@pytest.mark.parametrize("kind", ["clone", "worktree", "mirror"])
def test_the_attributes_of_one_clone_do_not_count(tmp_path: Path, kind: str, hashes: str) -> None:
    origin = Repository(tmp_path / "origin")
    origin.folder.mkdir()
    origin.git("init", "--quiet", "--initial-branch=main", f"--object-format={hashes}")
    origin.commit("feat: root", {"a.py": "def f():\n" + "    x\n" * 9 + "    y\n", "b.lock": "1\n"})
    origin.commit("fix: two", {"a.py": "def f():\n" + "    x\n" * 9 + "    z\n", "b.lock": "2\n"})
    plain = commits(origin)
    target = origin.folder
    info = target / ".git" / "info"
    if kind == "mirror":
        target = tmp_path / "mirror.git"
        origin.git("clone", "--quiet", "--bare", "--shared", ".", str(target))
        info = target / "info"
    elif kind == "worktree":
        target = tmp_path / "tree"
        origin.git("worktree", "add", "--quiet", "--detach", str(target))
    info.mkdir(exist_ok=True)
    (info / "attributes").write_text("*.py diff=python -diff\n*.lock binary\n")
    assert commits(Repository(target)) == plain
    assert "-1\n+2\n" in plain[-1].patch


def test_replaced_objects_are_read_as_committed(repository: Repository) -> None:
    repository.commit("feat: root", {"a": "1\n"})
    name = repository.commit("fix: two", {"a": "2\n"})
    before = commits(repository)
    other = repository.git("commit-tree", f"{name}^{{tree}}", "-m", "fix: forged")
    repository.git("replace", name, other)
    assert commits(repository) == before


def test_a_missing_blob_costs_only_its_own_commits(repository: Repository) -> None:
    names = [repository.commit(f"fix: number {n}", {"a": f"{n}\n", f"b{n}": "b\n"}) for n in range(6)]
    blob = remove_blob(repository, f"{names[2]}:a")
    tree = remove_blob(repository, f"{names[5]}^{{tree}}")
    items = read(repository)
    assert [item.hash for item in items] == names
    assert [isinstance(item, Commit) for item in items] == [True, True, False, False, True, False]
    assert items[2] == Skipped(names[2], "unreadable", f"unable to read {blob}")
    assert isinstance(items[5], Skipped)
    assert tree in items[5].detail


def test_a_missing_commit_is_skipped(repository: Repository) -> None:
    names = [repository.commit(f"fix: number {n}", {"a": f"{n}\n"}) for n in range(3)]
    asked = (names[2], "1" * 40, names[0])
    items = list(read_commits(open_repository(repository.folder).git, asked))
    assert [(item.hash, type(item)) for item in items] == [(names[2], Commit), ("1" * 40, Skipped), (names[0], Commit)]


def test_a_promisor_remote_is_never_asked(repository: Repository, tmp_path: Path) -> None:
    repository.commit("feat: root", {"a": "1\n"})
    repository.commit("fix: two", {"a": "2\n"})
    witness = tmp_path / "asked"
    repository.git("config", "remote.origin.url", f"ext::sh -c 'touch {witness}'")
    repository.git("config", "remote.origin.promisor", "true")
    repository.git("config", "extensions.partialClone", "origin")
    repository.git("config", "protocol.ext.allow", "always")
    remove_blob(repository, "HEAD:a")
    items = read(repository)
    assert [type(item) for item in items] == [Commit, Skipped]
    assert not witness.exists()


def test_a_file_of_one_huge_line_is_not_kept_in_memory(repository: Repository) -> None:
    megabytes = 100
    repository.commit("feat: root", {"a": "1\n"})
    huge = repository.commit("feat: huge", {"huge.json": b"x" * (megabytes << 20)})
    repository.commit("fix: two", {"a": "2\n"})
    tracemalloc.start()
    try:
        items = read(repository)
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert [type(item) for item in items] == [Commit, Skipped, Commit]
    assert isinstance(items[1], Skipped)
    assert (items[1].hash, items[1].reason) == (huge, "too-large")
    assert peak_bytes < 4 * git_stream.MAXIMUM_COMMIT_BYTES


@pytest.mark.parametrize("chunk_bytes", [1, 7, 1 << 18])
def test_the_size_of_a_chunk_changes_nothing(
    repository: Repository, monkeypatch: pytest.MonkeyPatch, chunk_bytes: int
) -> None:
    for n in range(4):
        repository.commit(f"fix: number {n}", {"a": f"line {n}\n" * n * 20})
    expected = read(repository, maximum_bytes=600)
    monkeypatch.setattr(git_stream, "_CHUNK_BYTES", chunk_bytes)
    assert read(repository, maximum_bytes=600) == expected
    assert [type(item) for item in expected] == [Commit, Commit, Skipped, Skipped]


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("0 +0000", "1970-01-01T00:00:00+00:00"),
        ("1700000000 +0530", "2023-11-15T03:43:20+05:30"),
        ("1700000000 -0001", "2023-11-14T22:12:20-00:01"),
        ("1700000000 +9959", None),
        ("99999999999999 +0000", None),
        ("", None),
    ],
)
def test_dates(raw: str, expected: str | None) -> None:
    assert git_stream._moment(raw) == expected


def test_the_caller_may_stop_early(repository: Repository) -> None:
    names: Sequence[str] = [repository.commit(f"fix: number {n}", {"a": f"{n}\n" * 9_000}) for n in range(9)]
    stream = read_commits(open_repository(repository.folder).git, names)
    assert next(stream).hash == names[0]
    stream.close()


def test_git_that_is_stopped_from_outside_is_no_bad_commit(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = repository.commit("feat: root", {"a": "1\n"})
    git = open_repository(repository.folder).git
    impostor = tmp_path / "bin" / "git"
    impostor.parent.mkdir()
    impostor.write_text("#!/bin/sh\nkill -9 $$\n")
    impostor.chmod(0o755)
    monkeypatch.setenv("PATH", f"{impostor.parent}:{os.environ['PATH']}")
    with pytest.raises(MachineError, match="git ended with code -9"):
        list(read_commits(git, [name]))


def test_messages_are_read_without_patches(repository: Repository) -> None:
    hashes = [repository.commit(f"fix: count to {number}", {"a.txt": f"{number}\n"}) for number in range(3)]
    whole = list(read_commits(PlainGit(repository.folder / ".git"), hashes))
    plain = list(read_commits(PlainGit(repository.folder / ".git"), hashes, patches=False))
    assert plain == [dataclasses.replace(item, patch="") for item in whole if isinstance(item, Commit)]
