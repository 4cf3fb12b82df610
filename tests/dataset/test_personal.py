"""A dataset in one repository's style, built of real repositories: who is in which split, and how much ballast."""

import json
import shutil
from pathlib import Path

import pytest
from conftest import Repository
from dataset_records import grow, record
from typer.testing import CliRunner

from joco_mlx.cli.main import app
from joco_mlx.config import BuildConfig, PersonalConfig
from joco_mlx.dataset.audit import audit
from joco_mlx.dataset.build import build
from joco_mlx.dataset.personal import PERSONAL, Style, mix, own_first
from joco_mlx.dataset.split import Splits, read_splits
from joco_mlx.dataset.validate import validate
from joco_mlx.errors import InputError, UsageError

LOW = BuildConfig(minimum_score=0)
"""Made-up commits, so that what the rubric says of them does not matter here."""


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository of one's own, two others, and a fork of the first with a commit of its own."""
    folder = tmp_path_factory.mktemp("grown")
    for name, commits in (("mine", 20), ("alpha", 16), ("beta", 12)):
        (folder / name).mkdir()
        made = Repository(folder / name)
        made.git("init", "--quiet", "--initial-branch=main")
        made.commit("chore: begin", {"README.md": "hello\n"})
        grow(made, commits, name)
    shutil.copytree(folder / "mine", folder / "fork")
    grow(Repository(folder / "fork", 1_800_000_000), 1, "fork")
    return folder


def repositories(records: tuple[object, ...]) -> set[str]:
    return {one.metadata.repository for one in records}  # type: ignore[attr-defined]


def build_on(grown: Path, out: Path, sources: list[str], **shares: float) -> Splits:
    config = BuildConfig(minimum_score=0, validation_share=0.2, test_share=0.2)
    made = build(
        config,
        [str(grown / name) for name in sources],
        out,
        on=str(grown / "mine"),
        personal=PersonalConfig(**shares),
        jobs=1,
    )
    assert validate(made.folder).records > 0
    assert made.manifest.config["profile"] == PERSONAL
    assert made.manifest.config["on"] == "mine"
    return read_splits(made.folder)


def test_only_ones_own_newest_records_are_held_out(grown: Path, tmp_path: Path) -> None:
    splits = build_on(grown, tmp_path / "data", ["alpha", "beta"])
    assert repositories(splits.validation) == repositories(splits.test) == {"mine"}
    own = [one for one in splits.train if one.metadata.repository == "mine"]
    assert len(splits.validation) == len(splits.test) == round(0.2 * (len(own) + 2 * len(splits.test)))
    moments = [[one.metadata.authored_at or "" for one in part] for part in (own, splits.validation, splits.test)]
    assert max(moments[0]) < min(moments[1])
    assert max(moments[1]) < min(moments[2])
    assert {"alpha", "beta"} == repositories(splits.train) - {"mine"}
    report = audit(tmp_path / "data")
    assert (report.profile, report.leaks) == (PERSONAL, ())


@pytest.mark.parametrize("own_share", [1.0, 0.75, 0.5])
def test_ballast_never_outweighs_what_it_may(own_share: float, grown: Path, tmp_path: Path) -> None:
    splits = build_on(grown, tmp_path / "data", ["alpha", "beta"], own_share=own_share)
    own = sum(one.metadata.repository == "mine" for one in splits.train)
    ballast = len(splits.train) - own
    assert own / len(splits.train) >= own_share
    assert own / (len(splits.train) + 1) < own_share or ballast == 0
    counted = json.loads((tmp_path / "data" / "stats.json").read_text())
    assert counted["personal"] == {
        "repository": "mine",
        "minimum_own_share": own_share,
        "own_training_examples": own,
        "ballast_training_examples": ballast,
    }
    funnel = counted["funnel"]
    assert funnel["read"] == funnel["kept"] + sum(funnel["rejected"].values())
    assert funnel["kept"] == sum(1 for _ in splits.records())
    assert f"| mine | {own} (" in (tmp_path / "data" / "README.md").read_text()


def test_a_fork_among_the_ballast_takes_nothing_away(grown: Path, tmp_path: Path) -> None:
    alone = build_on(grown, tmp_path / "alone", [])
    beside = build_on(grown, tmp_path / "beside", ["fork"])
    assert (beside.validation, beside.test) == (alone.validation, alone.test)
    added = set(beside.train) - set(alone.train)
    assert repositories(tuple(added)) == {"fork"}
    assert len(added) == 1
    assert audit(tmp_path / "beside").leaks == ()


def test_it_is_named_in_a_list_or_by_its_place_and_read_once(grown: Path, tmp_path: Path) -> None:
    listed = tmp_path / "sources.toml"
    listed.write_text(
        "".join(f'[[source]]\nname = "my-{name}"\nurl = "{grown / name}"\n' for name in ("alpha", "mine"))
    )
    by_name = build(LOW, [str(listed)], tmp_path / "name", on="my-mine", jobs=1)
    by_place = build(LOW, [str(listed)], tmp_path / "place", on=str(grown / "mine"), jobs=1)
    assert list(by_name.manifest.parents) == ["my-alpha", "my-mine"]
    assert by_name.manifest == by_place.manifest


def test_the_commits_of_one_person_are_not_capped() -> None:
    records = [record(number, f"fix(store): keep value {number} alive") for number in range(1, 31)]
    others = [record(100 + number, repository="other", author="1" * 16) for number in range(30)]
    strict = BuildConfig(maximum_author_share=0.1, maximum_repository_share=0.1, maximum_type_share=0.1)
    mixed = mix([*records, *others], strict, Style("tool", PersonalConfig()))
    own = [one for one in mixed.splits.records() if one.metadata.repository == "tool"]
    assert sorted(one.output for one in own) == sorted(one.output for one in records)
    assert mixed.ballast == mixed.own == 24


def test_ones_own_come_first_whatever_their_age() -> None:
    style = Style("tool", PersonalConfig())
    old, new = record(1, repository="other"), record(9)
    assert own_first([old, new], style) == [new, old]


def test_what_cannot_be_is_said(grown: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--on splits in its own way"):
        build(BuildConfig(profile="single-repository"), [], tmp_path / "data", on=str(grown / "mine"))
    with pytest.raises(UsageError, match="No repository is named"):
        build(LOW, [], tmp_path / "data")
    with pytest.raises(UsageError, match=r"sources\.toml, which is a list"):
        build(LOW, [], tmp_path / "data", on="sources.toml")
    with pytest.raises(InputError, match="nowhere is no folder"):
        build(LOW, [str(grown / "alpha")], tmp_path / "data", on="nowhere")
    with pytest.raises(UsageError, match="--own-share is 0, but must be more than 0"):
        PersonalConfig(own_share=0)
    with pytest.raises(InputError, match="No record of tool is left"):
        mix([record(1, repository="other")], LOW, Style("tool", PersonalConfig()))
    assert list(tmp_path.iterdir()) == []


def test_the_command(grown: Path, tmp_path: Path) -> None:
    words = ["dataset", "build", str(grown / "alpha"), "--on", str(grown / "mine"), "--own-share", "0.8"]
    told = CliRunner().invoke(app, [*words, "--dry-run"])
    assert told.exit_code == 0, told.output
    assert "mine" in told.output
    done = CliRunner().invoke(app, [*words, "--minimum-score", "0", "--out", str(tmp_path / "data"), "--jobs", "1"])
    assert done.exit_code == 0, done.output
    assert json.loads((tmp_path / "data" / "stats.json").read_text())["personal"]["minimum_own_share"] == 0.8
