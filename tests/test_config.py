"""Which source of a value wins, and what a wrong value says."""

import errno
import re
from pathlib import Path

import pytest

from joco_mlx import config
from joco_mlx.config import BenchConfig, CurateConfig, ExtractConfig, FuseConfig, ServeConfig, TrainConfig
from joco_mlx.errors import InputError, UsageError


def test_the_defaults_are_the_guides() -> None:
    made = TrainConfig()
    assert (made.rank, made.alpha, made.scale, made.dropout) == (16, 16.0, 1.0, 0.0)
    assert (made.max_seq_length, made.batch_size, made.grad_accumulation) == (2_048, 1, 4)
    assert (made.warmup_steps, made.steps, made.learning_rate) == (5, 100, 2e-4)
    assert len(made.target_modules) == 7


@pytest.mark.parametrize(
    ("flags", "environment", "file", "registry", "expected"),
    [
        ({"rank": 1}, {"JOCO_MLX_RANK": "2"}, {"rank": 3}, {"rank": 4}, 1),
        ({"rank": None}, {"JOCO_MLX_RANK": "2"}, {"rank": 3}, {"rank": 4}, 2),
        ({}, {}, {"rank": 3}, {"rank": 4}, 3),
        ({}, {}, {}, {"rank": 4}, 4),
        ({}, {}, {}, {}, 16),
    ],
    ids=["flag", "environment", "file", "registry", "default"],
)
def test_the_strongest_source_wins(flags, environment, file, registry, expected) -> None:  # type: ignore[no-untyped-def]
    made = config.resolve(TrainConfig, flags, environment=environment, files={"f.toml": file}, better_defaults=registry)
    assert made.rank == expected


def test_the_stronger_of_two_files_wins() -> None:
    files = {"repository": {"rank": 3}, "user": {"rank": 4, "alpha": 8}}
    made = config.resolve(TrainConfig, {}, environment={}, files=files)
    assert (made.rank, made.alpha) == (3, 8.0)


def test_an_unknown_setting_names_the_file_and_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"f\.toml sets 'rnak'") as caught:
        config.resolve(TrainConfig, {}, environment={}, files={"f.toml": {"rnak": 3}})
    assert "rank" in caught.value.hint


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("rank", 0),
        ("rank", "many"),
        ("rank", 1.5),
        ("steps", True),
        ("learning_rate", 2),
        ("dropout", 1),
        ("layers", 0),
        ("epochs", 0),
        ("epochs", "inf"),
        ("epochs", "nan"),
        ("alpha", "inf"),
    ],
)
def test_a_wrong_value_is_named(name: str, value: object) -> None:
    with pytest.raises(UsageError, match=f"{config.flag(name)} is "):
        config.resolve(TrainConfig, {name: value}, environment={})


@pytest.mark.parametrize("value", [5, [1, 2], ["q_proj", 1], {"q": "proj"}, True], ids=str)
def test_a_list_in_a_file_is_of_texts(value: object) -> None:
    with pytest.raises(UsageError) as caught:
        config.resolve(TrainConfig, {}, environment={}, files={"f.toml": {"target_modules": value}})
    assert caught.value.message == f"target_modules in f.toml is {value!r}, but must be a list of texts."
    assert caught.value.hint == "Give target_modules in f.toml a list of texts."


@pytest.mark.parametrize(
    ("made", "name", "value", "wanted"),
    [
        (TrainConfig, "steps", "many", "a whole number"),
        (TrainConfig, "steps", 1.5, "a whole number"),
        (TrainConfig, "alpha", "big", "a number"),
        (TrainConfig, "alpha", [1], "a number"),
        (TrainConfig, "model", ["a"], "a text"),
        (TrainConfig, "model", 5, "a text"),
        (TrainConfig, "data", ["a"], "a path"),
        (FuseConfig, "force", 1, "true or false"),
        (FuseConfig, "force", "maybe", "true or false"),
    ],
)
def test_a_value_of_another_type_is_told_in_english(made: type, name: str, value: object, wanted: str) -> None:
    with pytest.raises(UsageError) as caught:
        config.resolve(made, {}, environment={}, files={"f.toml": {name: value}})
    assert caught.value.message == f"{name} in f.toml is {value!r}, but must be {wanted}."
    assert caught.value.hint == f"Give {name} in f.toml {wanted}."


@pytest.mark.parametrize(
    ("made", "flags", "environment", "file", "at_fault"),
    [
        (TrainConfig, {"steps": 0}, {"JOCO_MLX_STEPS": "1"}, {"steps": 1}, "--steps"),
        (TrainConfig, {}, {"JOCO_MLX_STEPS": "0"}, {"steps": 1}, "JOCO_MLX_STEPS"),
        (TrainConfig, {}, {}, {"steps": 0}, "steps in f.toml"),
        (ServeConfig, {"timeout_seconds": 0}, {}, {}, "--timeout"),
        (BenchConfig, {"max_cases": 0}, {}, {}, "--max"),
        (ExtractConfig, {}, {"JOCO_MLX_MAX_COMMITS": "0"}, {}, "JOCO_MLX_MAX_COMMITS"),
    ],
)
def test_a_value_out_of_range_is_blamed_on_where_it_came_from(  # type: ignore[no-untyped-def]
    made: type, flags, environment, file, at_fault: str
) -> None:
    with pytest.raises(UsageError) as caught:
        config.resolve(made, flags, environment=environment, files={"f.toml": file} if file else None)
    assert caught.value.message.startswith(f"{at_fault} is 0")
    assert caught.value.hint.startswith(f"Give {at_fault} a value: ")


def test_an_option_is_called_as_it_is_typed() -> None:
    with pytest.raises(UsageError, match=r"^--timeout is 'soon', but"):
        config.resolve(BenchConfig, {"timeout_seconds": "soon"}, environment={})


def test_text_becomes_the_fields_type() -> None:
    environment = {"JOCO_MLX_FILTERED": "no", "JOCO_MLX_MAX_COMMITS": "7"}
    assert config.resolve(ExtractConfig, {}, environment=environment) == ExtractConfig(filtered=False, max_commits=7)
    made = config.resolve(TrainConfig, {}, environment={"JOCO_MLX_TARGET_MODULES": "q_proj, v_proj"})
    assert made.target_modules == ("q_proj", "v_proj")
    assert config.resolve(FuseConfig, {"out": "x"}, environment={}).out == Path("x")


def test_a_choice_lists_what_is_known() -> None:
    with pytest.raises(UsageError, match="q3_k") as caught:
        config.resolve(FuseConfig, {"quantization": "q3_k"}, environment={})
    assert "q4_k_m" in caught.value.hint


@pytest.mark.parametrize("text", ["rank = ", "train = 3"])
def test_a_broken_file_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "joco.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=r"joco\.toml"):
        config.read_file(path, "train")


@pytest.mark.parametrize(
    ("text", "said", "hint"),
    [
        ("[trian]\nsteps = 1", "has the table 'trian', which", "Write [train]."),
        ("[nothing]\n[train]\nsteps = 1", "has the table 'nothing', which", "Use one of: [extract], [curate],"),
        ('["\\u001b]0;owned"]', r"has the table '\x1b]0;owned', which", "Use one of: [extract], [curate],"),
        ("steps = 1\n[train]\nrank = 1", "sets 'steps' above every table", "Write steps below its table: [train]."),
        ("stpes = 1", "sets 'stpes' above every table", "Write steps below its table: [train]."),
        ("timeout_seconds = 1", "above every table", "[serve] or [bench] or [judge]."),
        ("zzz = 1", "sets 'zzz' above every table", "Write every setting below its table, such as [train]."),
    ],
    ids=["misspelt table", "foreign table", "terminal escapes", "no table", "misspelt", "several tables", "foreign"],
)
def test_what_no_command_reads_in_a_file_is_refused(tmp_path: Path, text: str, said: str, hint: str) -> None:
    path = tmp_path / "joco.toml"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        config.read_file(path, "train")
    assert str(path) in caught.value.message
    assert said in caught.value.message
    assert hint in caught.value.hint


def test_a_file_that_nobody_may_read_is_told_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a refusal of its own, because root may read everything."""

    def refuse(path: Path, *_: object) -> str:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    path = tmp_path / "joco.toml"
    monkeypatch.setattr(Path, "read_text", refuse)
    with pytest.raises(InputError) as caught:
        config.read_file(path, "train")
    assert caught.value.message == f"{path} cannot be read: Permission denied."
    assert caught.value.hint == f"Let yourself read it: chmod u+r {path}"


def test_a_folder_is_no_settings_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read: it is a folder") as caught:
        config.read_file(tmp_path, "train")
    assert caught.value.hint == "Name a file."


def test_a_misspelt_variable_is_refused() -> None:
    with pytest.raises(UsageError, match="JOCO_MLX_STPES is set") as caught:
        config.resolve(TrainConfig, {}, environment={"JOCO_MLX_STPES": "5"})
    assert caught.value.hint == "Write JOCO_MLX_STEPS, or take it away: unset JOCO_MLX_STPES"
    with pytest.raises(UsageError) as caught:
        config.resolve(TrainConfig, {}, environment={"JOCO_MLX_": "5"})
    assert caught.value.hint == "unset JOCO_MLX_"


def test_every_variable_that_the_program_reads_is_known() -> None:
    sources = [path.read_text("utf-8") for path in Path(config.__file__).parents[1].rglob("*.py")]
    read = {name for text in sources for name in re.findall(r"JOCO_MLX_[A-Z_]*[A-Z]", text)}
    assert {"JOCO_MLX_CACHE", "JOCO_MLX_IN_HOOK"} < read
    config.resolve(TrainConfig, {}, environment={"JOCO_API": "", **dict.fromkeys(read - {"JOCO_MLX_MODEL"}, "x")})


def test_every_stage_of_the_command_line_has_its_table() -> None:
    commands = (Path(config.__file__).parents[1] / "cli").glob("*.py")
    called = re.findall(r'settings\(\w+, "(\w+)"', "".join(path.read_text("utf-8") for path in commands))
    assert called
    assert set(config.TABLES) == {*called, "train", "suggest"}


def test_every_setting_has_a_help_text() -> None:
    for made in (ExtractConfig, CurateConfig, TrainConfig, FuseConfig):
        for name in made.__dataclass_fields__:
            assert config.help_of(made, name).endswith(".")
