"""What a file is for: a table of paths from many languages and tools."""

import pytest

from joco_mlx.commit.classify import NOISE, classify

PATHS = {
    "lock": """
        package-lock.json web/yarn.lock pnpm-lock.yaml Cargo.lock crates/a/Cargo.lock uv.lock poetry.lock Gemfile.lock
        composer.lock go.sum flake.lock docs/package-lock.json .terraform.lock.hcl Pipfile.lock Package.resolved
    """,
    "changelog": """
        CHANGELOG.md packages/core/CHANGELOG.md ChangeLog changelog.rst CHANGES NEWS.md HISTORY.rst CHANGELOG-2.x.md
        .changeset/brave-cats-run.md changelogs/fragments/1.yml newsfragments/42.feature docs/changelog/v2.md
    """,
    "generated": """
        dist/index.js vendor/github.com/pkg/errors/errors.go node_modules/a/index.js src/__snapshots__/a.test.ts.snap
        static/app.min.js static/app.css.map api/v1/service.pb.go proto/service_pb2.py lib/model.g.dart assets/logo.svg
        src/types.generated.ts zz_generated.deepcopy.go Form1.Designer.cs third_party/zlib/inflate.c __generated__/q.ts
    """,
    "ci": """
        .github/workflows/ci.yml .github/actions/setup/action.yml .github/dependabot.yml .gitlab-ci.yml .travis.yml
        .circleci/config.yml Jenkinsfile azure-pipelines.yml azure-pipelines-nightly.yml renovate.json .renovaterc.json
        .pre-commit-config.yaml codecov.yml .drone.yml .releaserc.json appveyor.yml .ci/run
    """,
    "test": """
        tests/test_app.py src/app_test.go lib/app.test.tsx spec/models/user_spec.rb src/test/java/com/a/AppIT.java
        app/AppTest.java pkg/x/testdata/in.json cypress/login.ts e2e/home.spec.js src/a_unittest.cc features/login.feature
        Tests/AppTests/AppTests.swift core/src/FooSpec.scala conftest.py test/app_test.exs tests/Dockerfile
    """,
    "docs": """
        README.md docs/index.html LICENSE CONTRIBUTING.md examples/hello/main.go guide.rst notes.txt man/joco.1 a/b.mdx
        tests/README.md mkdocs.yml .readthedocs.yaml docs/package.json .github/CONTRIBUTING.md SECURITY.md COPYING.LESSER
        website/src/pages/index.tsx llms.txt LICENSE-MIT AUTHORS .github/CODEOWNERS .github/FUNDING.yml
        .github/ISSUE_TEMPLATE/bug.yml
    """,
    "build": """
        package.json pyproject.toml Cargo.toml go.mod Makefile CMakeLists.txt cmake/FindX.cmake Dockerfile requirements.txt
        requirements-dev.txt requirements/base.in build.gradle.kts gradle/libs.versions.toml App.csproj App.sln pom.xml
        BUILD src/BUILD.bazel rules.bzl Gemfile joco.gemspec composer.json Package.swift tsconfig.base.json vite.config.ts
        webpack.config.prod.js .eslintrc.cjs eslint.config.mjs docker-compose.dev.yml Dockerfile.alpine api.Dockerfile
        setup.py tox.ini build.rs meson.build mix.exs flake.nix .gitignore .goreleaser.yaml .editorconfig
    """,
    "source": """
        src/main.rs joco_mlx/commit/diff.py lib/changelog/parse.ts scripts/release cmd/root.go app/models/user.rb
        src/distance/index.js src/Main.java index.html style.css a b.c packages/history/index.ts src/vendors.py news.py
        src/contest/rank.py src/latest.py app/Manifest.java lib/attest.go protest.ts
        src/build/index.ts build lib/makefile.py src/eslint/rule.ts src/license_check.py security/scan.go
        app/vite/plugin.ts readme_parser.py hooks/pre_gen.dart buf.gen.yaml pkg/dockerfile.go src/next.ts security.go lib/license.ts src/gradle/Plugin.kt
    """,
}


@pytest.mark.parametrize(
    ("path", "kind"),
    [pytest.param(path, kind, id=f"{kind}-{path}") for kind, paths in PATHS.items() for path in paths.split()],
)
def test_a_path_has_one_class(path: str, kind: str) -> None:
    assert classify(path) == kind


def test_noise_is_what_other_files_say_better() -> None:
    assert {classify("uv.lock"), classify("dist/a.js"), classify("CHANGELOG.md")} == NOISE
