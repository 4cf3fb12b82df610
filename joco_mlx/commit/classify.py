"""What a file is for, read from its path alone.

Decides the eight classes that the head of a prompt names and that fitting and filtering go by. Leaves to others what to
do with a class. The order of the questions matters: a lock file in `docs/` is a lock file, a README in `tests/` docs.
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

# A folder `changelog` or a script `release` may be source code, and what is noise is left out: one word is too little.
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
    r"|_pb2(_grpc)?\.pyi?$|_gen\.go$|\.gen\.(cs|go|js|py|rs|tsx?)$|(^|/)(zz_generated|mock_)[^/]*\.go$"
    r"|(^|/)bindata\.go$|[._-]generated\.[a-z]+$",
    re.IGNORECASE,
)

_CI = re.compile(
    r"(^|/)\.(azure-pipelines|buildkite|ci|circleci|github/(actions|workflows)|gitlab|kokoro|semaphore|woodpecker)/"
    r"|(^|/)\.?(appveyor|azure-pipelines[^/]*|bitbucket-pipelines|cirrus|codecov|dependabot|drone|gitlab-ci|mergify"
    r"|pre-commit-config|travis)\.(ya?ml|star)$"
    r"|(^|/)\.?renovate(rc)?(\.json5?)?$|(^|/)Jenkinsfile[^/]*$|(^|/)\.releaserc[^/]*$",
    re.IGNORECASE,
)

_TEST_FOLDERS = _words(
    """
    __fixtures__ __mocks__ __testfixtures__ __tests__ androidtest cypress e2e fixtures integration-test
    integration-tests spec specs test test-data testdata tests testutil testutils unittests
    """
)
_TEST_NAME = re.compile(
    r"(^|/)(test_[^/]*\.py|conftest\.py|[^/]*[._-](test|tests|spec|unittest)\.[a-z]+|[^/]+\.(bats|feature|golden))$"
    r"|[a-z0-9](Test|Tests|TestCase|Spec|IT)\.(cs|fs|groovy|java|kt|php|scala|swift|vb)$"
)

_DOCS_FOLDERS = _words("doc docs documentation example examples guides man tutorials website wiki")
_DOCS_ALWAYS = re.compile(
    r"(^|/)(authors|code_of_conduct|contributing|contributors|copying|governance|licen[cs]e|maintainers|notice|readme"
    r"|security|support)((-[a-z0-9.]+|\.lesser)?|([-._][a-z0-9-]+)?\.(adoc|html|markdown|md|org|rst|txt))$"
    r"|(^|/)CODEOWNERS$|(^|/)\.github/(funding|[a-z]+_template)"
    r"|(^|/)(\.readthedocs\.ya?ml|book\.toml|llms(-full)?\.txt|mkdocs\.ya?ml)$",
    re.IGNORECASE,
)
_DOCS_SUFFIX = re.compile(r"\.(adoc|asciidoc|markdown|md|mdx|org|pod|rdoc|rst|tex|textile|txt)$", re.IGNORECASE)

_BUILD_NAMES = _words(
    """
    .babelrc .bazelrc .bazelversion .browserslistrc .clang-format .clang-tidy .dockerignore .editorconfig
    .eslintignore .flake8 .gitattributes .gitignore .gitmodules .node-version .npmignore .npmrc .nvmrc
    .prettierignore .prettierrc .pylintrc .python-version .ruby-version .swiftlint.yml .tool-versions .yarnrc.yml
    angular.json biome.json build.gradle build.gradle.kts build.rs build.sbt build.xml build.zig build.zig.zon
    bunfig.toml cargo.toml cartfile cmakelists.txt cmakepresets.json composer.json conanfile.py configure.ac
    default.nix deno.json deno.jsonc deps.edn directory.build.props dune dune-project environment.yml flake.nix
    gemfile global.json gnumakefile go.mod go.work gradle.properties gradlew gradlew.bat justfile lerna.json
    makefile makefile.am manifest.in meson.build meson_options.txt mix.exs mvnw mypy.ini netlify.toml noxfile.py
    nuget.config nx.json package.json package.swift phpunit.xml pipfile pnpm-workspace.yaml podfile pom.xml procfile
    project.clj project.toml pubspec.yaml pyproject.toml pytest.ini rakefile rebar.config ruff.toml rust-toolchain
    rust-toolchain.toml rustfmt.toml settings.gradle settings.gradle.kts setup.cfg setup.py shell.nix stack.yaml
    taskfile.yml tox.ini turbo.json vagrantfile vcpkg.json vercel.json
    """
)
_BUILD = re.compile(
    r"(^|/)([^/]+\.)?(?-i:Containerfile|Dockerfile)([-_.][^/]*)?$|(^|/)(docker-)?compose[^/]*\.ya?ml$"
    r"|(^|/)(constraints|requirements)([-_.][^/]*)?\.(in|txt)$|(^|/)requirements/[^/]+\.(in|txt)$"
    r"|(^|/)(jsconfig|tsconfig)[^/]*\.json$"
    r"|(^|/)\.(commitlint|eslint|golangci|goreleaser|lintstaged|prettier|stylelint)[^/]*$"
    r"|(^|/)(babel|commitlint|eslint|jest|karma|next|nuxt|playwright|postcss|prettier|rollup|rspack|svelte|tailwind"
    r"|tsdown|tsup|vite|vitest|webpack)\.config\.[^/]+$"
    r"|(^|/)gradle/(wrapper/|[^/]+\.(gradle|kts|properties|toml)$)"
    r"|\.(bazel|bzl|cabal|cmake|csproj|fsproj|gemspec|gradle|mk|nimble|nuspec|opam|pbxproj|podspec|props|sbt|sln|slnx"
    r"|targets|vbproj|vcxproj|xcconfig)$",
    re.IGNORECASE,
)
_BUILD_EXACT = _words("BUILD WORKSPACE SConstruct SConscript")


def classify(path: str) -> FileClass:
    """Return what the file at `path` is for; `path` is relative to the repository, with forward slashes."""
    return _noise(path) or _purpose(path)


def _noise(path: str) -> FileClass | None:
    name = path.rpartition("/")[2]
    if name.lower() in _LOCK_NAMES:
        return "lock"
    if name in _CHANGELOG_NAMES or _CHANGELOG.search(path):
        return "changelog"
    return "generated" if _GENERATED.search(path) else None


def _purpose(path: str) -> FileClass:
    if _CI.search(path):
        return "ci"
    if _DOCS_ALWAYS.search(path):
        return "docs"
    if _folders(path) & _TEST_FOLDERS or _TEST_NAME.search(path):
        return "test"
    if _folders(path) & _DOCS_FOLDERS:
        return "docs"
    if _is_build(path):
        return "build"
    return "docs" if _DOCS_SUFFIX.search(path) else "source"


def _is_build(path: str) -> bool:
    name = path.rpartition("/")[2]
    return name in _BUILD_EXACT or name.lower() in _BUILD_NAMES or _BUILD.search(path) is not None


def _folders(path: str) -> frozenset[str]:
    return frozenset(path.lower().split("/")[:-1])
