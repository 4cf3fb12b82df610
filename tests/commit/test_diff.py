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


def test_a_file_that_becomes_a_link(repository: Repository) -> None:
    repository.commit("feat: a", {"a": "1\n", "b": "1\n2\n"})
    (repository.folder / "b").unlink()
    os.symlink("a", repository.folder / "b")
    change = one(staged(repository))
    assert (change.status, change.path, change.added, change.deleted, len(change.hunks)) == ("T", "b", 1, 2, 2)


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


@pytest.mark.parametrize(
    "name",
    ["tab\there", 'quote"d', "back\\slash", "new\nline", "caf\u00e9", "\u8a9e", "two words", " b/x", "a/b b/a"],
)
@pytest.mark.parametrize("quote_path", ["true", "false"])
def test_strange_names(repository: Repository, name: str, quote_path: str) -> None:
    repository.git("config", "core.quotePath", quote_path)
    repository.write(name, "one\n")
    repository.write("empty/" + name, "")
    assert sorted(change.path for change in staged(repository)) == sorted([name, "empty/" + name])


def test_a_name_and_a_content_that_are_no_utf8(repository: Repository) -> None:
    repository.write(b"caf\xe9.txt", b"caf\xe9\n")
    change = one(staged(repository))
    assert change.path == "caf\ufffd.txt"
    assert change.hunks == ("@@ -0,0 +1 @@\n+caf\ufffd",)


@pytest.mark.parametrize(
    "setting", ["diff.noprefix=true", "diff.mnemonicPrefix=true", "diff.renames=copies", "diff.algorithm=histogram"]
)
def test_settings_of_the_user(repository: Repository, setting: str) -> None:
    name, value = setting.split("=")
    repository.git("config", name, value)
    repository.commit("feat: a", {"src/a.py": "one\n", "b/c d.py": "one\n", "gone.py": "1\n"})
    repository.write("src/a.py", "two\n")
    repository.write("b/c d.py", "")
    (repository.folder / "gone.py").unlink()
    assert [(c.status, c.path, c.old_path) for c in staged(repository)] == [
        ("M", "b/c d.py", None),
        ("D", "gone.py", None),
        ("M", "src/a.py", None),
    ]


def test_carriage_returns_stay_in_the_content(repository: Repository) -> None:
    repository.write("dos.txt", "one\r\ntwo\r\n")
    assert one(staged(repository)).hunks == ("@@ -0,0 +1,2 @@\n+one\r\n+two\r",)


def test_content_that_looks_like_a_header(repository: Repository) -> None:
    repository.commit("feat: a", {"query.sql": "-- a/x\n-- /dev/null\nselect 1;\n", "z": "z\n"})
    inner = "diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-1\n+2\n"
    repository.write("query.sql", "++ b/x\n" + inner)
    repository.write("z", "zz\n")
    query, last = staged(repository)
    assert (query.path, query.added, query.deleted) == ("query.sql", 7, 3)
    assert (last.path, last.added, last.deleted) == ("z", 1, 1)


def test_a_log_message_before_and_a_signature_after(repository: Repository) -> None:
    repository.commit("feat: first", {"a": "1\n"})
    repository.commit("fix: second\n\n--- not a file\n+++ nor this\n@@ nor a hunk\n", {"a": "2\n"})
    mail = repository.git("format-patch", "-1", "--stdout")
    change = one(parse_diff(mail + "\n"))
    assert (change.path, change.added, change.deleted, change.hunks) == ("a", 1, 1, ("@@ -1 +1 @@\n-1\n+2",))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("--- x.c\t2024-01-01\n+++ x.c\t2024-01-02\n@@ -1 +1 @@\n-a\n+b\n", ("M", "x.c", 1, 1), id="plain"),
        pytest.param("--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n", ("M", "x", 1, 1), id="plain-with-prefixes"),
        pytest.param("--- /dev/null\n+++ b/x\n@@ -0,0 +1 @@\n+b\n", ("A", "x", 1, 0), id="plain-added"),
        pytest.param("--- a/x\n+++ /dev/null\n@@ -1 +0,0 @@\n-b\n", ("D", "x", 0, 1), id="plain-deleted"),
        pytest.param("diff --git a/x b/x\n@@ -1,9 +1,9 @@\n-a\n+b", ("M", "x", 1, 1), id="hunk-that-breaks-off"),
        pytest.param(
            "diff --git a/x b/x\r\n--- a/x\r\n+++ b/x\r\n@@ -1 +1 @@\r\n-a\r\n+b\r\n",
            ("M", "x", 1, 1),
            id="pasted-as-dos",
        ),
        pytest.param(
            "diff --git a/x b/x\n@@ -1,2 +1,3 @@\n\n a\n+b\n-- \nme\n", ("M", "x", 1, 0), id="stripped-context"
        ),
        pytest.param("diff --git a/x y b/x y\nold mode 100644\n", ("M", "x y", 0, 0), id="only-a-mode"),
        pytest.param(
            "diff --git old/x y newer/x y\ndeleted file mode 100644\n--- old/x y\t\n+++ /dev/null\n@@ -1 +0,0 @@\n-a\n",
            ("D", "old/x y", 0, 1),
            id="names-only-below",
        ),
    ],
)
def test_diffs_that_came_another_way(text: str, expected: tuple[str, str, int, int]) -> None:
    change = one(parse_diff(text))
    assert (change.status, change.path, change.added, change.deleted) == expected


@pytest.mark.parametrize("form", ["--cc", "-c"])
def test_a_merge(repository: Repository, form: str) -> None:
    repository.commit("feat: a", {"a": "1\n2\n3\n", "z": "z\n"})
    repository.git("switch", "--quiet", "--create", "side")
    repository.commit("feat: b", {"a": "side\n2\n3\n"})
    repository.git("switch", "--quiet", "main")
    repository.commit("feat: c", {"a": "main\n2\n3\n"})
    repository.git("merge", "--quiet", "--no-commit", "--strategy=ours", "side")
    repository.commit("feat: merge", {"a": "both\n2\n"})
    text = repository.git("diff-tree", "-p", form, "HEAD")
    change = one(parse_diff(text + "\n-- \n2.39.5\n"))
    assert (change.path, change.status, change.added, change.deleted) == ("a", "M", 1, 3)
    assert change.hunks[0].startswith("@@@ -1,3 -1,3 +1,2 @@@\n")
    assert change.hunks[0].endswith("\n--3")


def test_a_file_that_a_merge_adds(repository: Repository) -> None:
    text = "diff --cc new.txt\nindex 0000000,0000000..d95f3ad\nnew file mode 100644\n--- /dev/null\n+++ b/new.txt\n"
    change = one(parse_diff(text + "@@@ -0,0 -0,0 +1,1 @@@\n++content\n"))
    assert (change.path, change.status, change.added) == ("new.txt", "A", 1)


@pytest.fixture
def with_submodule(repository: Repository) -> Repository:
    """A repository whose submodule `my lib` stands one commit back, and is changed."""
    library = Repository(repository.folder.parent / "library")
    library.folder.mkdir()
    library.git("init", "--quiet", "--initial-branch=main")
    library.commit("feat: one", {"f": "1\n"})
    library.commit("feat: two", {"f": "2\n"})
    url = str(library.folder)
    repository.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", url, "my lib")
    repository.commit("feat: add the library")
    repository.git("-C", "my lib", "checkout", "--quiet", "HEAD~1")
    repository.write("my lib/f", "changed\n")
    return repository


@pytest.mark.parametrize("form", ["short", "log"])
def test_a_submodule(with_submodule: Repository, form: str) -> None:
    change = one(parse_diff(patch(with_submodule, f"--submodule={form}")))
    assert (change.path, change.status, change.submodule, change.added, change.deleted) == ("my lib", "M", True, 1, 1)
    assert ("Subproject commit" if form == "short" else "  < feat: two") in change.hunks[0]


def test_a_submodule_added_and_removed(with_submodule: Repository) -> None:
    empty = with_submodule.git("hash-object", "-t", "tree", "/dev/null")
    for sides, status in {("HEAD", empty): "D", (empty, "HEAD"): "A"}.items():
        for form in ("short", "log"):
            _, change = parse_diff(patch(with_submodule, f"--submodule={form}", *sides))
            counts = (change.added, change.deleted)
            assert (change.path, change.status, change.submodule) == ("my lib", status, True)
            assert counts == ((1, 0) if status == "A" else (0, 1))


def test_the_files_of_a_submodule_follow_it(with_submodule: Repository) -> None:
    submodule, file = parse_diff(patch(with_submodule, "--submodule=diff"))
    assert (submodule.submodule, submodule.hunks, file.path, file.submodule) == (True, (), "my lib/f", False)


def test_a_head_names_as_many_parents_as_it_has_marks() -> None:
    parents = " -1,99999999" * 20_000
    lines = " \n" * 20_000
    for marks in ("@@", "@@@"):
        change = one(parse_diff(f"diff --cc a\n{marks}{parents} +1 {marks}\n{lines}"))
        assert change.hunks == ()
    change = one(parse_diff("diff --cc a\n@@@ -1 -1 +1 @@@\n++b\n- a\n -a\n"))
    assert (len(change.hunks), change.added, change.deleted) == (1, 1, 2)
