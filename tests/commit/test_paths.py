"""File names in the header of a diff: quotes, escapes, prefixes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from joco_mlx.commit.paths import both_names, name_in, unquote, without_prefixes


@pytest.mark.parametrize(
    ("name", "path"),
    [
        pytest.param("plain.py", "plain.py", id="bare"),
        pytest.param(r'"a\tb"', "a\tb", id="tab"),
        pytest.param(r'"say \"hi\""', 'say "hi"', id="quotes"),
        pytest.param(r'"back\\slash"', "back\\slash", id="backslash"),
        pytest.param(r'"caf\303\251"', "café", id="octal-utf8"),
        pytest.param(r'"caf\351"', "caf\ufffd", id="octal-latin1"),
        pytest.param(r'"é\tü"', "é\tü", id="quoted-but-not-escaped"),
        pytest.param(r'"\a\b\f\n\r\v"', "\a\b\f\n\r\v", id="letters"),
        pytest.param('"', '"', id="one-quote"),
        pytest.param("", "", id="empty"),
    ],
)
def test_a_name_is_unquoted(name: str, path: str) -> None:
    assert unquote(name) == path


@pytest.mark.parametrize(
    ("text", "names"),
    [
        pytest.param("a/x.py b/x.py", ("x.py", "x.py"), id="default"),
        pytest.param("i/x.py w/x.py", ("x.py", "x.py"), id="mnemonic"),
        pytest.param("x.py x.py", ("x.py", "x.py"), id="noprefix"),
        pytest.param("a/x.py a/x.py", ("a/x.py", "a/x.py"), id="noprefix-in-folder-a"),
        pytest.param("old/x.py newer/x.py", ("x.py", "x.py"), id="own-prefixes"),
        pytest.param("a/two words b/two words", ("two words", "two words"), id="spaces"),
        pytest.param("a/a b/c b/a b/c", ("a b/c", "a b/c"), id="folder-that-looks-like-a-prefix"),
        pytest.param("a/one b/two", ("one", "two"), id="no-index"),
        pytest.param(r'"a/t\tb" "b/t\tb"', ("t\tb", "t\tb"), id="both-quoted"),
        pytest.param(r'"a/t\tb" b/plain', ("t\tb", "plain"), id="old-quoted"),
        pytest.param(r'a/two words "b/t\tb"', ("two words", "t\tb"), id="new-quoted"),
        pytest.param("a/one two b/three four", None, id="renamed-with-spaces"),
        pytest.param("alone", None, id="one-name"),
        pytest.param('"a/open b/x', None, id="open-quote"),
        pytest.param("", None, id="nothing"),
    ],
)
def test_both_names_of_a_git_line(text: str, names: tuple[str, str] | None) -> None:
    assert both_names(text) == names


@pytest.mark.parametrize(
    ("line", "name"),
    [
        pytest.param("--- a/two words\t", "a/two words", id="git-ends-spaces-with-a-tab"),
        pytest.param('+++ "b/\\303\\251 x"\t', "b/é x", id="quoted-and-tab"),
        pytest.param("--- x.c\t2024-01-01 00:00:00.0 +0000", "x.c", id="date"),
        pytest.param("+++ b/x.c\r", "b/x.c", id="carriage-return"),
    ],
)
def test_the_name_of_a_file_line(line: str, name: str) -> None:
    assert name_in(line) == name


def test_the_missing_side_keeps_its_name() -> None:
    assert without_prefixes("/dev/null", "b/x") == ("/dev/null", "x")
    assert without_prefixes("src/x", "/dev/null") == ("src/x", "/dev/null")


@given(st.text(alphabet='a/ "\\\t01é', max_size=40))
def test_no_text_is_too_strange(text: str) -> None:
    unquote(text)
    both_names(text)
    name_in("--- " + text)
