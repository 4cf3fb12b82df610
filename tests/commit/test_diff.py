"""Reading diffs: what real git writes, judged by git's own --numstat and --name-status."""

import os

import pytest
from conftest import Repository

from joco_mlx.commit.diff import FileChange, parse_diff

PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"


def patch(repository: Repository, *options: str) -> bytes:
    """What `git diff` writes, as bytes."""
    target = repository.folder.parent / "patch"
    repository.git("diff", f"--output={target}", *options)
    return target.read_bytes()


def staged(repository: Repository, *options: str) -> tuple[FileChange, ...]:
    """What the index changes against HEAD."""
    repository.git("add", "--all")
    return parse_diff(patch(repository, "--cached", *options))


def one(changes: tuple[FileChange, ...]) -> FileChange:
    assert len(changes) == 1, changes
    return changes[0]


def test_an_added_file(repository: Repository) -> None:
    repository.write("src/new.py", "one\ntwo\n")
    change = one(staged(repository))
    assert (change.status, change.path, change.added, change.deleted) == ("A", "src/new.py", 2, 0)
    assert change.hunks == ("@@ -0,0 +1,2 @@\n+one\n+two",)
    assert change.header.startswith("diff --git a/src/new.py b/src/new.py\nnew file mode 100644\nindex ")
    assert change.header.endswith("--- /dev/null\n+++ b/src/new.py")


def test_a_modified_file_keeps_its_hunks_apart(repository: Repository) -> None:
    repository.commit("feat: a", {"a.txt": "".join(f"{n}\n" for n in range(40))})
    repository.write("a.txt", "".join(f"{n}\n" for n in range(40) if n != 2).replace("35\n", "x\n"))
    change = one(staged(repository))
    assert (change.status, change.added, change.deleted, len(change.hunks)) == ("M", 1, 2, 2)
    assert "-2\n" in change.hunks[0]
    assert "-35\n+x\n" in change.hunks[1]


def test_a_deleted_file(repository: Repository) -> None:
    repository.commit("feat: a", {"old.txt": "one\n"})
    (repository.folder / "old.txt").unlink()
    change = one(staged(repository))
    assert (change.status, change.path, change.added, change.deleted) == ("D", "old.txt", 0, 1)


def test_a_rename_and_a_copy(repository: Repository) -> None:
    text = "".join(f"line {n}\n" for n in range(30))
    repository.commit("feat: a", {"one two.txt": text})
    repository.write("copied.txt", text + "more\n")
    repository.git("mv", "one two.txt", "new name.txt")
    copied, renamed = staged(repository, "-C")
    assert (copied.status, copied.old_path, copied.path, copied.added) == ("C", "one two.txt", "copied.txt", 1)
    assert (renamed.status, renamed.old_path, renamed.path, renamed.hunks) == (
        "R",
        "one two.txt",
        "new name.txt",
        (),
    )


def test_a_changed_mode(repository: Repository) -> None:
    repository.commit("feat: a", {"run": "#!/bin/sh\n"})
    os.chmod(repository.folder / "run", 0o755)
    change = one(staged(repository))
    assert (change.status, change.path, change.added, change.hunks) == ("M", "run", 0, ())
    assert change.header.endswith("old mode 100644\nnew mode 100755")


@pytest.mark.parametrize("options", [(), ("--binary",), ("--binary", "--full-index")], ids=["differ", "patch", "full"])
def test_binary_files(repository: Repository, options: tuple[str, ...]) -> None:
    repository.commit("feat: a", {"changed.png": PNG, "z.txt": "z\n"})
    repository.write("changed.png", PNG + b"\1")
    repository.write("added.png", PNG)
    repository.write("z.txt", "zz\n")
    added, changed, text = staged(repository, *options)
    assert [(c.status, c.path, c.binary, c.hunks) for c in (added, changed)] == [
        ("A", "added.png", True, ()),
        ("M", "changed.png", True, ()),
    ]
    assert not text.binary
    assert text.hunks == ("@@ -1 +1 @@\n-z\n+zz",)


def test_empty_files(repository: Repository) -> None:
    repository.commit("feat: a", {"gone": ""})
    (repository.folder / "gone").unlink()
    repository.write("sp ace/made", "")
    gone, made = staged(repository, "--no-renames")
    assert [(c.status, c.path, c.hunks) for c in (gone, made)] == [("D", "gone", ()), ("A", "sp ace/made", ())]


def test_no_newline_at_the_end(repository: Repository) -> None:
    repository.commit("feat: a", {"a": "one", "b": "one\n", "c": "one"})
    for name, content in {"a": "two", "b": "two", "c": "one\n"}.items():
        repository.write(name, content)
    changes = staged(repository)
    assert [(c.path, c.added, c.deleted, c.hunks[0].count("\n\\ No newline")) for c in changes] == [
        ("a", 1, 1, 2),
        ("b", 1, 1, 1),
        ("c", 1, 1, 1),
    ]
