"""Who may not become a record: every gate with what it rejects and what it must let in."""

import time

import pytest

from joco_mlx.commit.record import INSTRUCTION, Metadata, Record
from joco_mlx.config import CurateConfig
from joco_mlx.dataset.candidate import Candidate
from joco_mlx.dataset.gates import GATES, SUBJECT_CHARS, first_reason
from joco_mlx.dataset.git_stream import Commit
from joco_mlx.dataset.strict_gates import is_release

LIMITS = CurateConfig()
PATCH = (
    "diff --git a/src/cache.py b/src/cache.py\nindex 1111111..2222222 100644\n--- a/src/cache.py\n+++ b/src/cache.py\n"
    "@@ -1 +1,2 @@\n context\n+cache.invalidate(user_key)\n"
)
GOOD = "fix(cache): invalidate the key of a user"


def reason(header: str = GOOD, patch: str = PATCH, **fields: object) -> str | None:
    return first_reason(Candidate(header, patch, **fields), LIMITS)


def test_a_good_commit_is_let_in() -> None:
    assert reason(author="Ada <ada@example.com>") is None


def test_roots() -> None:
    assert reason(is_root=True) == "root"


@pytest.mark.parametrize(
    "author",
    [
        "dependabot[bot] <49699333+dependabot[bot]@users.noreply.github.com>",
        "Renovate Bot <bot@renovateapp.com>",
        "goreleaserbot <bot@goreleaser.com>",
        "semantic-release-bot <semantic-release-bot@martynus.net>",
        "GitHub Actions <github-actions@github.com>",
        "angular-robot <angular-robot@google.com>",
        "Kubernetes Prow Robot <k8s-ci-robot@users.noreply.github.com>",
        "goreleaserbot",
        "Release CodecovBot <ci@codecov.io>",
        "ci_bot <ci@x.org>",
        "snyk-test <snyk-test@snyk.io>",
        "dependabot-preview <support@dependabot.com>",
        "1+pre-commit-ci[bot]@users.noreply.github.com",
    ],
)
def test_bots(author: str) -> None:
    assert reason(author=author) == "bot"


@pytest.mark.parametrize(
    "author",
    [
        "Abbott <a@bottle.org>",
        "Bothilde <b@x.org>",
        "Snyder <s@x.org>",
        "Marie Talbot <marie.talbot@x.org>",
        "Jane Roe <jane@snyk.io>",
        "Jane Roe <jane@bot.company.com>",
        "jane@renovate.company.com",
        "Ann Crowdinger <ann@x.org>",
        "Ann Roe <roe.robot@x.org>",
        "GitHub User <1+user@users.noreply.github.com>",
    ],
)
def test_people_whose_names_look_like_bots(author: str) -> None:
    assert reason(author=author) is None


@pytest.mark.parametrize(
    ("header", "code"),
    [
        ("invalidate the key of a user", "not-conventional"),
        ("", "not-conventional"),
        ("server: invalidate the key of a user", "type"),
        ("Fix: invalidate the key of a user", "type"),
        (f"{GOOD}.", "trailing-period"),
        ("fix(cache): invalidate the key of…", "trailing-period"),
        ("fix(cache): Invalidate the key of a user", "invalid"),
        ("fix(cache): " + "k" * (SUBJECT_CHARS - 12), "long-subject"),
        ("fix(cache): invalidate the key of a user" + "k" * (SUBJECT_CHARS - 41), None),
        ("fix(cache): rotate colours", "low-score"),
    ],
)
def test_subject_lines(header: str, code: str | None) -> None:
    assert reason(header) == code


def test_the_suffix_of_a_pull_request_does_not_count() -> None:
    subject = GOOD + "k" * (SUBJECT_CHARS - 1 - len(GOOD))
    commit = Commit("a" * 40, "Ada", "ada@example.com", None, f"{subject} (#1234)\n\nBody (#1).", PATCH)
    candidate = Candidate.of_commit(commit)
    assert candidate.header == subject
    assert first_reason(candidate, LIMITS) is None
    assert first_reason(Candidate(f"{subject} (#1234)", PATCH), LIMITS) == "long-subject"


@pytest.mark.parametrize(
    ("description", "release"),
    [
        ("prepare the next release", True),
        ("bump the new version", True),
        ("publish the docs", True),
        ("1.2.3", True),
        ("v1.2.3-rc.1 release", True),
        ("1.2", True),
        ("read the next line", False),
        ("1.2.3 is what we need", False),
    ],
)
def test_releases(description: str, release: bool) -> None:
    assert is_release(Candidate(f"chore: {description}", PATCH), LIMITS) is release


def test_a_long_subject_line_costs_no_square_of_its_length() -> None:
    began = time.process_time()
    for description in ("new " * 20_000, "1.1." + "1" * 60_000 + " x"):
        assert not is_release(Candidate(f"chore: {description}", PATCH), LIMITS)
    assert time.process_time() - began < 20  # each took forty seconds when it did


def filled(chars: int) -> str:
    return PATCH + "+" + "x" * (chars - len(PATCH) - 2) + "\n"


def test_the_length_of_a_diff() -> None:
    assert reason(patch=filled(8_000)) is None
    assert reason(patch=filled(8_001)) == "long-diff"
    assert reason(patch=PATCH[:49]) == "short-diff"
    assert reason(patch="") == "short-diff"
    assert first_reason(Candidate(GOOD, filled(8_001)), CurateConfig(maximum_diff_chars=9_000)) is None


def test_binary_files() -> None:
    binary = (
        "diff --git a/logo.png b/logo.png\nindex 1111111..2222222 100644\n"
        "Binary files a/logo.png and b/logo.png differ\n"
    )
    assert reason("fix: replace the logo", binary) == "binary-only"
    assert reason(patch=binary + PATCH) is None
    renamed = "diff --git a/a.py b/b.py\nsimilarity index 100%\nrename from a.py\nrename to b.py\n"
    assert reason("refactor: rename a.py to b.py", renamed) is None


def test_answers_in_the_diff() -> None:
    entry = "+- **cache:** Invalidate the key of a user ([1234567])\n"
    assert reason(patch=PATCH + entry) == "answer-in-diff"
    assert reason(patch=PATCH + entry.replace("+", " ")) is None
    assert reason(patch=PATCH + entry.replace("+", "-")) is None
    assert reason("fix: invalidate", PATCH + "+invalidate\n") != "answer-in-diff"


def test_the_score_of_a_record_is_believed() -> None:
    about = Metadata("a", "a", "a" * 40, "0" * 16, "fix", "cache", 69)
    record = Record(INSTRUCTION, PATCH, GOOD, about)
    assert first_reason(Candidate.of_record(record), LIMITS) == "low-score"
    assert first_reason(Candidate.of_record(record), CurateConfig(minimum_score=69)) is None


def test_reason_codes_are_unique_and_told_in_words() -> None:
    assert len({gate.reason for gate in GATES}) == len(GATES)
    assert all(gate.meaning and gate.rejects.__doc__ for gate in GATES)
