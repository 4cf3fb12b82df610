"""The verdict's own table of cases, which needs no Node. `test_message_commitlint` holds the same rules to the judge."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from joco_mlx.commit.message import TYPES, Problem, is_valid, lint, parse

LONG = "x" * 101
WARNINGS = {"body-leading-blank", "footer-leading-blank"}

CASES = [
    ("fix: add a", ""),
    ("fix(http)!: add a\n\nwhy\n\nBREAKING CHANGE: b\nRefs: #1", ""),
    ("fix: add a\nwhy", "body-leading-blank"),
    ("\nfix: add a\n\nwhy", "body-leading-blank"),
    (f"fix: add a\n\n{LONG}", "body-max-line-length"),
    (f"fix: add a\n\nhttps://a.b {LONG}", ""),
    ("fix: add a\n\nwhy\nCloses #1", "footer-leading-blank"),
    ("fix: add a\n\nwhy\nBREAKING CHANGE: b", "footer-leading-blank"),
    ("fix: add a\n\nRefs: 1\nSigned-off-by: A", ""),
    (f"fix: add a\n\nRefs #1 {LONG}", "footer-max-line-length"),
    ("fix: " + "a" * 95, ""),
    ("fix: " + "a" * 96, "header-max-length"),
    ("fix: " + "🚀" * 47 + "a", ""),
    ("fix: " + "🚀" * 48, "header-max-length"),
    (" fix: add a", "header-trim subject-empty type-empty"),
    ("fix: add a ", "header-trim"),
    ("fix: add a\ufeff", "header-trim"),
    ("fix: add a\x1c", ""),
    ("fix: README update", "subject-case"),
    ("fix: update README", ""),
    ("fix: Ärger", "subject-case"),
    ("fix: ärger", ""),
    ("fix: 2 things", ""),
    ("fix: `Name` of it", ""),
    ("fix: 🚀 Add", ""),
    ("fix: 中文", ""),
    ("fix: 𐐨 a", "subject-case"),
    ("fix: µs", ""),
    ("fix: µ", "subject-case"),
    ("fix:", "subject-empty type-empty"),
    ("fix: add a.", "subject-full-stop"),
    ("fix: add a...", ""),
    ("add a.", "subject-empty subject-full-stop type-empty"),
    ("Fix: add a", "type-case type-enum"),
    ("2Fix: add a", "type-enum"),
    ("wip: add a", "type-enum"),
    (": add a", "type-empty"),
    ("Merge branch 'a'", "subject-empty type-empty"),
    ("# a comment\nfix: add a", "body-leading-blank subject-empty type-empty"),
    ("", "subject-empty type-empty"),
    ("fix: add a\r\n\r\nwhy\r\n", ""),
    ("fix: add\u2028a", "subject-empty type-empty"),
]


@pytest.mark.parametrize(("text", "rules"), CASES, ids=[ascii(text)[:40] for text, _ in CASES])
def test_names_the_rules_that_a_message_breaks(text: str, rules: str) -> None:
    problems = lint(text)
    assert " ".join(problem.rule for problem in problems) == rules
    assert all((problem.level == "warning") == (problem.rule in WARNINGS) for problem in problems)
    assert is_valid(text) == all(rule in WARNINGS for rule in rules.split())


def test_every_rule_has_a_case() -> None:
    assert len({rule for _, rules in CASES for rule in rules.split()}) == 12


@pytest.mark.parametrize("kind", TYPES)
def test_every_type_is_valid(kind: str) -> None:
    assert lint(f"{kind}: add a") == ()


def test_a_problem_is_told_in_the_words_of_commitlint() -> None:
    assert lint("Fix: " + "a" * 96) == (
        Problem("header-max-length", "error", "header must not be longer than 100 characters, current length is 101"),
        Problem("type-case", "error", "type must be lower-case"),
        Problem(
            "type-enum",
            "error",
            "type must be one of [build, chore, ci, docs, feat, fix, perf, refactor, revert, style, test]",
        ),
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [(" a: b", "start with"), ("a: b ", "end with"), (" a: b ", "be surrounded by")],
    ids=["before", "after", "around"],
)
def test_says_where_the_white_space_is(text: str, said: str) -> None:
    assert lint(text)[0] == Problem("header-trim", "error", f"header must not {said} whitespace")


@given(
    st.text(st.characters(exclude_categories=()))
    | st.text("fix(a)!: \nF#1.gp\r", max_size=60)
    | st.builds("{}: {}".format, st.sampled_from(TYPES), st.text(max_size=20))
)
def test_never_fails_and_what_is_valid_can_be_read(text: str) -> None:
    assert parse(text) is not None or not is_valid(text)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("fix: a\n\n" + "fix \r#1 " * 10_000, id="actions"),
        pytest.param("fix(" + ")!: " * 20_000 + "\u2028", id="parentheses"),
        pytest.param("fix: a\n\nfix" + " " * 20_000 + "b\r#1", id="spaces after an action"),
        pytest.param("fix: µ" + "`'\"" * 20_000, id="quotes"),
        pytest.param("fix: a\n\n" + "https://a" * 10_000 + "#1", id="links"),
        pytest.param("fix: a\n" + "BREAKING CHANGE: x\n" * 10_000, id="notes"),
        pytest.param("fix: a" + "\n\nR: a" * 10_000, id="footers"),
        pytest.param("fix: a" + "\n " * 20_000, id="blank lines"),
    ],
)
def test_no_text_takes_long(text: str) -> None:
    started = time.process_time()
    lint(text)
    parse(text)
    assert time.process_time() - started < 2
