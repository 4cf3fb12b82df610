"""What a file is for, read from its path alone.

Decides the eight classes that the head of a prompt names and that fitting and filtering go by. Leaves to others what to
do with a class. The order of the questions matters: a lock file in `docs/` is a lock file, a README in `tests/` is docs.
"""

import re
from typing import Literal

FileClass = Literal["source", "test", "docs", "ci", "build", "lock", "generated", "changelog"]

NOISE: frozenset[FileClass] = frozenset({"lock", "generated", "changelog"})
"""Classes whose contents say nothing about a commit that its other files do not say better."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_LOCK_NAMES = _words(
    """
    .terraform.lock.hcl bun.lock bun.lockb cargo.lock composer.lock conan.lock deno.lock flake.lock gemfile.lock go.sum
    go.work.sum gradle.lockfile mix.lock module.bazel.lock npm-shrinkwrap.json package-lock.json package.resolved
    packages.lock.json paket.lock pdm.lock pipfile.lock pixi.lock pnpm-lock.yaml podfile.lock poetry.lock pubspec.lock
    pylock.toml rebar.lock shard.lock stack.yaml.lock uv.lock yarn.lock
    """
)

# A directory `changelog` or a script `release` may hold source code: a class that is left out asks for more than a word.
_CHANGELOG = re.compile(
    r"(^|/)(\.changeset|\.changes|\.chronus|changelogs?|changelog\.d|newsfragments|releasenotes|release[-_]notes)/"
    r"([^/]+/)*[^/]+\.(md|rst|txt|adoc|ya?ml|json|feature|bugfix|doc|removal|misc)$"
    r"|(^|/)(change-?log[^/]*|changes|history|news|releases|release[-_]notes)\.(md|mdx|markdown|rst|txt|adoc|org)$"
    r"|(^|/)change-?log$",
    re.IGNORECASE,
)
_CHANGELOG_NAMES = _words("CHANGES HISTORY NEWS RELEASES")

_GENERATED = re.compile(
    r"(^|/)(__generated__|__snapshots__|\.yarn|bower_components|dist|generated|node_modules|third[-_]party|vendor)/"
    r"|\.(min\.(js|css|mjs)|map|snap|svg|designer\.cs|g\.cs|g\.dart|freezed\.dart|pb\.(go|cc|h|swift|ts)|pb\.gw\.go)$"
    r"|_pb2(_grpc)?\.pyi?$|_(gen|generated)\.go$|(^|/)(zz_generated|mock_)[^/]*\.go$|(^|/)bindata\.go$"
    r"|[._-](gen|generated)\.[a-z]+$",
    re.IGNORECASE,
)

_CI = re.compile(
    r"(^|/)(\.azure-pipelines|\.buildkite|\.ci|\.circleci|\.github/(actions|workflows)|\.gitlab|\.semaphore|\.woodpecker)/"
    r"|(^|/)\.?(appveyor|azure-pipelines[^/]*|bitbucket-pipelines|cirrus|codecov|dependabot|drone|gitlab-ci|mergify"
    r"|pre-commit-config|travis)\.(ya?ml|star)$"
    r"|(^|/)\.?renovate(rc)?(\.json5?)?$|(^|/)Jenkinsfile[^/]*$|(^|/)\.releaserc[^/]*$",
    re.IGNORECASE,
)

_TEST_FOLDERS = _words(
    """
    __fixtures__ __mocks__ __tests__ androidtest cypress e2e fixtures integration-test integration-tests spec specs
    test test-data testdata tests testutil testutils unittests
    """
)
_TEST_NAME = re.compile(
    r"(^|/)(test_[^/]*\.py|conftest\.py|[^/]*[._-](test|tests|spec|unittest)\.[a-z]+|[^/]+\.(bats|feature|golden))$"
    r"|[a-z0-9](Test|Tests|TestCase|Spec|IT)\.(cs|fs|groovy|java|kt|php|scala|swift|vb)$"
)


def classify(path: str) -> FileClass:
    """Return what the file at `path` is for; `path` is relative to the repository, with forward slashes."""
    name = path.rpartition("/")[2]
    if name.lower() in _LOCK_NAMES:
        return "lock"
    if name in _CHANGELOG_NAMES or _CHANGELOG.search(path):
        return "changelog"
    if _GENERATED.search(path):
        return "generated"
    if _CI.search(path):
        return "ci"
    if _folders(path) & _TEST_FOLDERS or _TEST_NAME.search(path):
        return "test"
    return "source"


def _folders(path: str) -> frozenset[str]:
    return frozenset(path.lower().split("/")[:-1])
