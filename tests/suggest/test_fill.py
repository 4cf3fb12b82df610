"""A message in git's file: what git itself makes of it, in every way of cleaning up."""

from pathlib import Path

import pytest
from conftest import Repository

from joco_mlx.errors import InputError
from joco_mlx.suggest.fill import Comments, comments_of, filled, is_untouched, read_message, write_message

MESSAGE = "feat: add x\n\nA body."
CLEANUPS = [*((way, "") for way in ("", "default", "strip", "scissors", "whitespace", "verbatim"))]
CLEANUPS += [("", ";"), ("", "auto"), ("scissors", ";")]


@pytest.mark.parametrize("options", [[], ["--verbose"], ["--signoff"], ["--verbose", "--signoff"]], ids=" ".join)
@pytest.mark.parametrize(("cleanup", "mark"), CLEANUPS)
def test_git_takes_our_comment_out_again(
    repository: Repository, cleanup: str, options: list[str], mark: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_COMMITTER_NAME", "Ada")
    monkeypatch.setenv("GIT_COMMITTER_EMAIL", "ada@example.com")
    repository.commit("chore: begin", {"a": "1\n"})
    for name, value in (("commit.cleanup", cleanup), ("core.commentChar", mark)):
        if value:
            repository.git("config", name, value)
    repository.write("a", "2\n")
    comments = comments_of(repository.folder)
    seen = repository.folder / ".git" / "seen"
    editor = repository.write(".git/editor", f'cp "$1" {seen}\ncp {seen}.filled "$1" 2>/dev/null\n:\n')
    words = ["commit", "--all", *options]
    try:
        repository.git(*words, env={"GIT_EDITOR": f"sh {editor}"})  # empty: git refuses, and we have seen the file
    except Exception:
        assert seen.exists()
    else:
        assert cleanup in ("whitespace", "verbatim")
        repository.git("reset", "-q", "--soft", "HEAD~1")
    text = read_message(seen)
    assert is_untouched(text, comments)
    write_message(Path(f"{seen}.filled"), filled(text, MESSAGE, comments))
    repository.git(*words, env={"GIT_EDITOR": f"sh {editor}"})
    kept = repository.git("log", "-1", "--format=%B")
    assert kept.startswith(MESSAGE)
    assert "joco-mlx suggested" not in kept
    if cleanup not in ("whitespace", "verbatim"):
        assert kept == MESSAGE + ("\n\nSigned-off-by: Ada <ada@example.com>" if "--signoff" in options else "")


def test_what_somebody_wrote_is_seen() -> None:
    comments = Comments("#", are_removed=True)
    assert is_untouched("\n  \n# x\n", comments)
    assert is_untouched("# ------------------------ >8 ------------------------\ndiff --git a/a b/a\n", comments)
    assert is_untouched("\n\nSigned-off-by: Ada <ada@example.com>\nCo-authored-by: Bo <bo@example.com>\n", comments)
    for text in ("fix: x\n# y\n", "fix: x\n\nSigned-off-by: Ada <ada@example.com>\n", "Stop the run-by: x\n"):
        assert not is_untouched(text, comments)
    assert not is_untouched("; x\n", comments)


def test_a_trailer_never_stands_right_below_the_subject() -> None:
    trailer = "Co-authored-by: Bo <bo@example.com>\n"
    assert filled(trailer, "fix: x", Comments("#", are_removed=False)) == f"fix: x\n\n{trailer}"
    lines = filled(trailer, "fix: x", Comments("#", are_removed=True)).splitlines()
    assert (lines[:2], lines[3]) == (["fix: x", ""], trailer.strip())


def test_bytes_that_are_no_utf8_come_through(tmp_path: Path) -> None:
    path = tmp_path / "COMMIT_EDITMSG"
    path.write_bytes(b"# caf\xe9\r\n")
    write_message(path, filled(read_message(path), "fix: x", Comments("#", are_removed=False)))
    assert path.read_bytes() == b"fix: x\n# caf\xe9\r\n"
    with pytest.raises(InputError, match="cannot be read"):
        read_message(tmp_path / "none")
