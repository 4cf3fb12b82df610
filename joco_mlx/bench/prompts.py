"""OWNS the prompts that a benchmark can send: ours, and those of the original tool, word for word.

Decides how a prompt becomes an answer: ours in one turn that `commit.prompt` writes, `baseline-v1` in one user turn without
a system turn, `two-step` in two, the second of which hears what the first one said. The texts and the clean-up of the
answers are the original's, so that what it scores is what it scored there: `CommitMessagePrompt.java` and
`MultiStepCommitGenerator.java` of github.com/tmclnk/joco (MIT, Tom McLaughlin).
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from joco_mlx.commit.prompt import SYSTEM
from joco_mlx.config import PromptName
from joco_mlx.errors import UsageError

DIFF_CHARS = 2_000
"""What the two steps show of a diff."""
BASELINE_CHARS = 4_000
"""What is shown with the long prompt. There it was the whole diff, which small contexts cut at its front."""
TYPE_TOKENS, DESCRIPTION_TOKENS = 10, 25
_TYPES = ("feat", "fix", "docs", "refactor", "test", "build", "ci", "chore")
_DESCRIPTION_CHARS = 60
_EITHER = "|".join(_TYPES)

_BASELINE = """\
Task: Output a single-line git commit message. Nothing else.

Format: type(scope): description

Types (choose ONE based on what files changed):
- docs = documentation, README, CHANGELOG, .md files, release notes
- ci = GitHub Actions, CI configs, scripts/, .github/
- build = package.json deps, pom.xml, build configs, tooling updates
- chore = configs, maintenance, non-code
- test = test files
- refactor = restructuring code
- fix = bug fix
- feat = new feature (only if truly new functionality)

Scope rules:
- Use short module name (1 word): core, http, compiler, forms, router
- NOT file paths
- Optional - omit if unclear

Examples:
docs: update release notes for v2.1.0
ci: update node version in GitHub Actions
build: update typescript to 5.0
build(deps): bump eslint version
chore: remove unused config
fix(http): handle timeout errors
feat(auth): add SSO support

CRITICAL: Output ONLY the commit message. No explanation. No quotes. One line.



Diff:
{diff}"""

_TYPE = """\
Classify this git diff. Check file patterns FIRST:

BUILD (dependencies/build config):
- package.json, pom.xml, build.gradle, Cargo.toml, go.mod, go.sum
- *.lock, yarn.lock, Gemfile, requirements.txt, pyproject.toml
- Makefile, CMakeLists.txt, meson.build, BUILD, WORKSPACE

DOCS (documentation only):
- *.md, README*, CONTRIBUTING*, docs/*, doc/*

TEST (test files):
- *_test.go, *_test.py, *_test.js, *_test.rs
- *.spec.*, *.test.*, __tests__/*, test/*, tests/*

CI (CI/CD config):
- .github/*, .gitlab-ci*, .circleci/*, Jenkinsfile
- .travis.yml, azure-pipelines.yml, .drone.yml

CHORE (config/tooling):
- CHANGELOG*, .gitignore, .eslintrc*, .prettierrc*
- renovate.json, dependabot.yml, .editorconfig

IF NO FILE MATCH, check content:
- Fixes bug/error/crash/issue -> fix
- Adds NEW feature/endpoint/API -> feat
- Code cleanup, no behavior change -> refactor

Diff:
{diff}

Type (one word):"""

_DESCRIPTION = """\
Write a short commit description (max 10 words) for this {type} change.

Diff:
{diff}

Description (no type prefix, just the description):"""


class Say(Protocol):
    """One user turn each to a model."""

    def __call__(self, texts: Sequence[str], max_tokens: int, /) -> Sequence[str]:
        """Return the answers, without surrounding white space."""


@dataclass(frozen=True)
class Prompt:
    """A prompt of the original tool."""

    name: PromptName
    about: str
    text: str
    """What is sent, with `{diff}` where the diff stands."""
    ask: Callable[[Sequence[str], Say, int], list[str]]
    """From diffs, a way to say something and the longest answer in tokens to messages."""


def baseline(diffs: Sequence[str], say: Say, max_tokens: int) -> list[str]:
    """Return what a model answers to the long prompt."""
    return list(say([_BASELINE.replace("{diff}", _shortened(diff)) for diff in diffs], max_tokens))


def two_step(diffs: Sequence[str], say: Say, _max_tokens: int) -> list[str]:
    """Return a type and then a description of it, put together as the original tool does."""
    shown = [_truncated(diff) for diff in diffs]
    types = [clean_type(one) for one in say([_TYPE.replace("{diff}", diff) for diff in shown], TYPE_TOKENS)]
    asked = [
        _DESCRIPTION.replace("{type}", kind).replace("{diff}", diff) for kind, diff in zip(types, shown, strict=True)
    ]
    words = map(clean_description, say(asked, DESCRIPTION_TOKENS))
    return [f"{kind}: {text}" for kind, text in zip(types, words, strict=True)]


PROMPTS: dict[PromptName, Prompt] = {
    prompt.name: prompt
    for prompt in (
        Prompt("baseline-v1", "The original harness's prompt, in one turn.", _BASELINE, baseline),
        Prompt(
            "two-step", "The original tool's two prompts: a type, then words.", f"{_TYPE}\n\n{_DESCRIPTION}", two_step
        ),
    )
}
OURS = "What joco-mlx trains, suggests and serves with."


def listed() -> list[tuple[str, str, str]]:
    """Return name, purpose and text of every prompt, ours first."""
    return [("trained", OURS, f"{SYSTEM}\n\n{{diff}}"), *((one.name, one.about, one.text) for one in PROMPTS.values())]


def find(name: str) -> str:
    """Return the text of a prompt.

    Raises:
        UsageError: There is no such prompt.
    """
    found = {one: text for one, _, text in listed()}
    if name not in found:
        raise UsageError(f"There is no prompt {name!r}.", f"Use one of: {', '.join(found)}.")
    return found[name]


def clean_type(answer: str) -> str:
    """Return the first of the original's types that stands in an answer, in the order of its list; else `chore`."""
    return next((kind for kind in _TYPES if kind in answer.strip().lower()), "chore")


def clean_description(answer: str) -> str:
    """Return an answer as the original makes a description of it: unquoted, without a type, in lower case, cut at 60."""
    text = answer.strip()
    for pattern in (r'^"|"$', r"^'|'$", rf"(?i)^({_EITHER})(\([^)]*\))?:\s*", rf"(?i)^({_EITHER})\s+"):
        text = re.sub(pattern, "", text)
    text = re.sub(r"\.$", "", text[:1].lower() + text[1:])
    return text[: _DESCRIPTION_CHARS - 3] + "..." if len(text) > _DESCRIPTION_CHARS else text


def _truncated(diff: str) -> str:
    return diff if len(diff) <= DIFF_CHARS else f"{diff[:DIFF_CHARS]}\n[...truncated...]"


def _shortened(diff: str) -> str:
    text = diff.strip()
    if len(text) <= BASELINE_CHARS:
        return text
    return f"{text[: BASELINE_CHARS - 50]}\n\n[... diff truncated for token efficiency ...]"
