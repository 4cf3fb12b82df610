"""Our verdicts against the real commitlint's: same valid flag, same rules, same levels, same sentences."""

import json
import shutil
import subprocess
import sys
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from conftest import missing
from generated_messages import generated

from joco_mlx.commit.message import lint, parse

ROOT = Path(__file__).parents[2]
GENERATED = 2_500
RULES = [
    "body-leading-blank",
    "body-max-line-length",
    "footer-leading-blank",
    "footer-max-line-length",
    "header-max-length",
    "header-trim",
    "subject-case",
    "subject-empty",
    "subject-full-stop",
    "type-case",
    "type-empty",
    "type-enum",
]

Verdict = dict[str, Any]
Judge = Callable[..., list[Verdict]]

NEW_IN_UNICODE_16_AND_17 = "\u019b\u0264\u0295\ua7d3\ua7d5"
"""Letters that got a capital, or lost their case, after the oldest Unicode data that a supported Python has."""


@pytest.fixture(scope="session")
def judge(commitlint_modules: Path) -> Judge:
    """Give the real commitlint's verdicts on many messages, from one process."""
    node = shutil.which("node") or missing("node", "install Node 20 or newer")
    script = commitlint_modules.parent / "commitlint_batch.mjs"

    def verdicts(messages: Sequence[str], *flags: str) -> list[Verdict]:
        lines = "".join(json.dumps(message) + "\n" for message in messages)
        done = subprocess.run([node, script, *flags], input=lines.encode(), capture_output=True, check=True)
        return [json.loads(line) for line in done.stdout.splitlines()]

    return verdicts


def ours(message: str) -> Verdict:
    problems = lint(message)
    listed = {level: [[p.rule, p.text] for p in problems if p.level == level] for level in ("error", "warning")}
    return {"valid": not listed["error"], "errors": listed["error"], "warnings": listed["warning"]}


def agree(judge: Judge, messages: Sequence[str]) -> list[Verdict]:
    verdicts = judge(messages)
    assert len(verdicts) == len(messages)
    different = [
        (message, theirs, ours(message))
        for message, theirs in zip(messages, verdicts, strict=True)
        if theirs != ours(message)
    ]
    assert not different, f"{len(different)} of {len(messages)} differ, the first: {different[0]!a}"
    return verdicts


def test_agrees_on_generated_messages(judge: Judge) -> None:
    messages = generated(GENERATED, seed=7)
    verdicts = agree(judge, messages)
    broken = Counter(rule for verdict in verdicts for rule, _ in verdict["errors"] + verdict["warnings"])
    assert sorted(broken) == RULES
    for rule, times in broken.items():
        assert 30 <= times <= GENERATED - 300, f"{rule} is broken by {times} of {GENERATED} messages"
    assert sum(verdict["valid"] for verdict in verdicts) >= 100
    assert all(parse(message) for message, verdict in zip(messages, verdicts, strict=True) if verdict["valid"])


def test_agrees_on_every_cased_letter(judge: Judge) -> None:
    letters = [
        letter
        for letter in map(chr, range(sys.maxunicode + 1))
        if unicodedata.category(letter) in {"Ll", "Lu", "Lt"} and letter not in NEW_IN_UNICODE_16_AND_17
    ]
    others = [chr(code) for code in range(0x600) if unicodedata.category(chr(code)) not in {"Ll", "Lu", "Lt", "Cn"}]
    assert len(letters) > 4_000
    agree(judge, [f"fix: {letter} a" for letter in (*letters, *others)])


def test_agrees_on_what_follows_a_letter_without_a_word(judge: Judge) -> None:
    follow = [chr(code) for code in range(0x3100)] + [
        "\ud800",
        "🚀",
        "𐐀",
        "\ufe0f",
        "\ufe20",
        "\ufeff",
        "'a b' 1",
        "`2`",
    ]
    agree(judge, [f"fix: µ{text}" for text in follow if text not in "\n\r\u2028\u2029"])


def test_agrees_on_the_history_of_this_repository(judge: Judge) -> None:
    done = subprocess.run(["git", "log", "-z", "--format=%B"], cwd=ROOT, capture_output=True, check=False)
    if done.returncode or not done.stdout:
        pytest.skip("this copy of the project has no history")
    agree(judge, done.stdout.decode("utf-8", "replace").strip("\0").split("\0"))


def test_intended_difference_an_empty_message_is_not_valid(judge: Judge) -> None:
    """Commitlint passes over it, or throws; a model that says nothing has not written a valid message."""
    texts = ["", "\n\r\n", "gpg: Good signature", "gpg: one\n\ngpg: two"]
    for text, verdict in zip(texts, judge(texts), strict=True):
        assert verdict in ({"valid": True, "errors": [], "warnings": []}, {"threw": "Expected a raw commit"})
        assert [problem.rule for problem in lint(text)] == ["subject-empty", "type-empty"]


def test_intended_difference_blank_text_is_judged(judge: Judge) -> None:
    """Commitlint throws where there is only white space; here that is a header with nothing in it."""
    assert judge([" \t"]) == [{"threw": "Expected a raw commit"}]
    assert [problem.rule for problem in lint(" \t")] == ["header-trim", "subject-empty", "type-empty"]


def test_intended_difference_a_missing_header_is_not_too_long(judge: Judge) -> None:
    """Without a header, after a signature and an empty line, commitlint also says that the header is too long."""
    text = "gpg: Good signature\n\nbody"
    (verdict,) = judge([text])
    too_long = ["header-max-length", "header must not be longer than 100 characters, current length is undefined"]
    assert too_long in verdict["errors"]
    assert [problem for problem in verdict["errors"] if problem != too_long] == ours(text)["errors"]


def test_intended_difference_nothing_is_exempt(judge: Judge) -> None:
    """Commitlint's command line passes over these; here they are judged, as with its `defaultIgnores: false`."""
    texts = [
        "Merge pull request #1 from a/b",
        "Merge branch 'main'",
        "Merge tag 'v1'",
        "Merge remote-tracking branch 'a'",
        "Merged in feature",
        "Automatic merge",
        "Auto-merged a into b",
        'Revert "fix: a"',
        "Reapply a",
        "fixup! fix: a",
        "1.2.3",
    ]
    assert all(verdict["valid"] for verdict in judge(texts, "--default-ignores"))
    assert not any(verdict["valid"] for verdict in agree(judge, texts))
