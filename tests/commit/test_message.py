"""Conventional Commits, taken apart and put together again."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from joco_mlx.commit.message import TYPES, Footer, Message, parse, strip_pr_suffix

any_text = st.text(st.characters(exclude_categories=()))
words = st.text("abcXYZ019._-*éж🚀", min_size=1, max_size=8)
phrases = st.lists(words, min_size=1, max_size=5).map(" ".join)
paragraphs = st.lists(phrases, min_size=1, max_size=3).map("\n".join)
bodies = st.lists(paragraphs, min_size=1, max_size=3).map("\n\n".join)
footers = st.builds(Footer, st.sampled_from(["Refs", "Signed-off-by", "Co-authored-by", "closes"]), paragraphs)
breaking_footers = st.builds(Footer, st.sampled_from(["BREAKING CHANGE", "BREAKING-CHANGE"]), bodies)
messages = st.builds(
    Message,
    type=st.sampled_from([*TYPES, "wip", "Feat"]),
    description=phrases,
    scope=st.none() | st.sampled_from(["http", "core/di", "@scope/pkg", "two words", "a,b", "ж"]),
    breaking=st.booleans(),
    body=st.none() | bodies,
    footers=st.lists(footers | breaking_footers, max_size=4).map(tuple),
)
line_noise = st.lists(
    st.sampled_from(
        [
            "fix: a",
            "feat(x)!: b",
            "",
            " ",
            "\r",
            "\n",
            "\n\n",
            "\r\n",
            "text",
            "Refs: 1",
            "Fixes #2",
            "BREAKING CHANGE:",
            "BREAKING-CHANGE: c",
            "gpg: x",
            "Note:",
            "\xa0",
            "\x1c",
            "\u2028",
        ]
    ),
    max_size=14,
).map("".join)


@given(messages)
def test_what_is_formatted_reads_back(message: Message) -> None:
    assert parse(message.format()) == message


@given(any_text | line_noise)
@example("fix: a\n\nb\r\r\n\r\nRefs: 1")
@example("fix: a\n\nRefs:  \xa0")
@example("fix: a\n\nBREAKING CHANGE:\n\n  Foo: b\n\nmore\nRefs: 1\n\nmore")
def test_reading_never_fails_and_is_stable(text: str) -> None:
    message = parse(text)
    if message is not None:
        assert parse(message.format()) == message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("fix: a", Message("fix", "a"), id="shortest"),
        pytest.param("fix(http): a", Message("fix", "a", scope="http"), id="scope"),
        pytest.param("feat(http)!: a", Message("feat", "a", scope="http", breaking=True), id="breaking header"),
        pytest.param("fix(a): b (c): d", Message("fix", "b (c): d", scope="a"), id="parentheses in the description"),
        pytest.param("fix(a(b)): c", Message("fix", "c", scope="a(b)"), id="parentheses in the scope"),
        pytest.param("fix(): a", Message("fix", "a"), id="empty scope"),
        pytest.param("fix:  a ", Message("fix", "a"), id="spaces around the description"),
        pytest.param("server: a", Message("server", "a"), id="a type that lint refuses"),
        pytest.param("\n\nfix: a\n\n\nb\n\n", Message("fix", "a", body="b"), id="empty lines around"),
        pytest.param("fix: a\nb", Message("fix", "a", body="b"), id="no empty line before the body"),
        pytest.param("fix: a\r\n\r\nb\r\nc\r\n", Message("fix", "a", body="b\nc"), id="CRLF"),
        pytest.param(
            "fix: a\n\nb\n\nRefs: #1\nReviewed-by: Z",
            Message("fix", "a", body="b", footers=(Footer("Refs", "#1"), Footer("Reviewed-by", "Z"))),
            id="footers",
        ),
        pytest.param("fix: a\n\nFixes #1", Message("fix", "a", footers=(Footer("Fixes", "#1"),)), id="hash separator"),
        pytest.param(
            "fix: a\n\nRefs: 1\n  and 2\n\nCc: b",
            Message("fix", "a", footers=(Footer("Refs", "1\n  and 2"), Footer("Cc", "b"))),
            id="footer over two lines",
        ),
        pytest.param("fix: a\n\nNote: b\n\nc", Message("fix", "a", body="Note: b\n\nc"), id="token inside the body"),
        pytest.param("fix: a\n\nb\nNote: c", Message("fix", "a", body="b\nNote: c"), id="token inside a paragraph"),
        pytest.param(
            "fix: a\n\nb\nBREAKING CHANGE: c\n\nd",
            Message("fix", "a", body="b", footers=(Footer("BREAKING CHANGE", "c\n\nd"),)),
            id="breaking change inside a paragraph",
        ),
        pytest.param(
            "fix: a\n\nRefs: 1\n\nBREAKING-CHANGE:\n* b",
            Message("fix", "a", footers=(Footer("Refs", "1"), Footer("BREAKING-CHANGE", "* b"))),
            id="breaking change after a footer",
        ),
        pytest.param("gpg: Good signature\nfix: a", Message("fix", "a"), id="signature shown"),
    ],
)
def test_reads(text: str, message: Message) -> None:
    assert parse(text) == message


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        "  ",
        "fix",
        "fix:",
        "fix: ",
        "fix:a",
        "fix:  \ufeff",
        ": a",
        "fix (a): b",
        "Merge branch 'a'",
        "f x: a",
    ],
)
def test_refuses_what_is_not_conventional(text: str) -> None:
    assert parse(text) is None


def test_formats_footers_under_an_empty_line() -> None:
    message = Message("feat", "a", "b", True, "c\n\nd", (Footer("BREAKING CHANGE", "e"), Footer("Fixes", "#1")))
    assert message.header == "feat(b)!: a"
    assert message.format() == "feat(b)!: a\n\nc\n\nd\n\nBREAKING CHANGE: e\nFixes: #1"


@pytest.mark.parametrize(
    ("header", "bare"),
    [
        ("fix: a (#1234)", "fix: a"),
        ("fix: a (#1) (#2)", "fix: a"),
        ("fix: a (!12) ", "fix: a"),
        ("fix: a (#1) again", "fix: a (#1) again"),
        ("fix: a(#1)", "fix: a(#1)"),
        ("fix: a (issue #1)", "fix: a (issue #1)"),
        ("fix: a #1", "fix: a #1"),
        ("fix: a ", "fix: a "),
        ("(#1)", "(#1)"),
        pytest.param("fix: a" + " (#1)" * 5_000, "fix: a", id="many"),
        pytest.param("fix: a" + " (#1)" * 5_000 + "b", "fix: a" + " (#1)" * 5_000 + "b", id="many inside"),
    ],
)
def test_strips_the_number_of_a_pull_request(header: str, bare: str) -> None:
    assert strip_pr_suffix(header) == bare
