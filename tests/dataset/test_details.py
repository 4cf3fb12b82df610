"""What people look at: languages, tokens, picture and page of a dataset, hostile names included."""

import base64
import io
import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from dataset_records import record, write
from matplotlib import image
from typer.testing import CliRunner

from joco_mlx.cli.main import app
from joco_mlx.dataset.details import Details, details
from joco_mlx.dataset.languages import language_of, language_of_record
from joco_mlx.dataset.stats_page import page
from joco_mlx.dataset.stats_picture import MOST_BARS, draw, fewest
from joco_mlx.dataset.token_lengths import TokenLengths, token_lengths
from joco_mlx.errors import InputError
from joco_mlx.models.folder import open_folder
from joco_mlx.models.tokens import Tokenizer
from joco_mlx.progress import Silent
from joco_mlx.train.examples import Encoder

HOSTILE = ["<script>alert(1)</script>", "$x^{", "\\frac", "修复", "a&b", '"><img src=x>', "very-" * 30, "🚀"]


def diff(*files: tuple[str, int]) -> str:
    return "".join(
        f"diff --git a/{path} b/{path}\n--- a/{path}\n+++ b/{path}\n@@ -0,0 +1,{lines} @@\n" + "+x\n" * lines
        for path, lines in files
    )


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """A dataset whose scopes and repositories were chosen to break a page."""
    folder = tmp_path / "data & <b>"
    folder.mkdir()
    records = [record(number, scope=name, repository=name) for number, name in enumerate(HOSTILE * 3, 1)]
    many = [record(100 + number, scope=f"scope{number}") for number in range(40)]
    write(folder / "train.jsonl", *records, *many)
    counts = {"read": 90, "kept": 64, "rejected": {"bot": 20, "<b>": 6}, "merges": 1}
    (folder / "stats.json").write_text(json.dumps({"funnel": counts}))
    return folder


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without the embedded model."""
    monkeypatch.setenv("JOCO_MLX_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize(
    ("path", "language"),
    [
        ("src/main.rs", "Rust"),
        ("a/b/Index.TSX", "TypeScript"),
        ("Makefile", "Make"),
        ("docs/guide.md", "Markdown and text"),
        (".github/workflows/ci.yml", "data and settings"),
        ("LICENSE", "other"),
        ("x.unheard", "other"),
    ],
)
def test_the_language_of_a_file(path: str, language: str) -> None:
    assert language_of(path) == language


@pytest.mark.parametrize(
    ("files", "language"),
    [
        ([("a.py", 3), ("b.go", 9)], "Go"),
        ([("a.py", 3), ("README.md", 90)], "Python"),
        ([("README.md", 2), ("package.json", 1)], "Markdown and text"),
        ([("tests/test_a.rb", 4), ("lib/a.rb", 4), ("lib/b.c", 7)], "Ruby"),
        ([("b.go", 5), ("a.py", 5)], "Go"),
        ([], "other"),
    ],
)
def test_the_language_of_a_record_is_that_of_most_lines(files: list[tuple[str, int]], language: str) -> None:
    made = record(1)
    assert language_of_record(type(made)(made.instruction, diff(*files), made.output, made.metadata)) == language


def test_tokens_are_those_of_training(tiny_model: Any) -> None:
    folder = open_folder(tiny_model("qwen2"))
    records = [record(number) for number in range(1, 6)]
    encoder = Encoder(Tokenizer.from_folder(folder.path), folder.template, 100_000)
    counted = token_lengths(records, str(folder.path), progress=Silent())
    assert counted is not None
    assert list(counted.counts) == [len(encoder.encode(one).ids) for one in records]


def test_shares_and_quantiles() -> None:
    lengths = TokenLengths("m", (100, 1_024, 1_025, 2_048, 9_000))
    assert lengths.share_fitting(1_024) == 0.4
    assert lengths.to_json() == {
        "model": "m",
        "quantiles": {"p50": 1_025, "p90": 9_000, "p95": 9_000, "p99": 9_000},
        "maximum": 9_000,
        "share_fitting": {"1024": 0.4, "2048": 0.8},
    }
    assert TokenLengths("m", ()).to_json()["maximum"] == 0


def test_without_a_tokenizer_the_rest_is_shown(nowhere: None, hostile: Path) -> None:
    found = details(hostile)
    assert found.tokens is None
    assert image.imread(io.BytesIO(draw(found))).shape[0] > 1_000


@pytest.mark.model
def test_the_embedded_model_counts_when_nobody_is_named(smollm2: Any, hostile: Path) -> None:
    found = details(hostile)
    assert found.tokens is not None
    assert found.tokens.model == "smollm2-135m"


def test_few_bars_hold_all_that_is_counted() -> None:
    counts = {"read": 1_000} | {f"r{number}": 30 - number for number in range(25)} | {"kept": 500}
    shown = fewest(counts, last="kept")
    assert len(shown) == MOST_BARS
    assert sum(shown.values()) == sum(counts.values())
    assert list(shown)[-2:] == ["16 others", "kept"]
    assert fewest({"a": 1}) == {"a": 1}


class Reader(HTMLParser):
    """Reads a page and keeps what it asks of a browser."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.links: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in {"src", "href", "srcset", "data", "action"}]
        if tag not in {"meta", "img"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def read(text: str) -> Reader:
    reader = Reader()
    reader.feed(text)
    reader.close()
    assert reader.open == []
    return reader


def test_the_page_stands_alone_and_escapes_every_name(nowhere: None, hostile: Path) -> None:
    found = details(hostile)
    picture = draw(found)
    reader = read(page(found, picture))
    assert reader.links == ["data:image/png;base64," + base64.b64encode(picture).decode()]
    assert "script" not in reader.tags
    assert reader.tags.count("img") == 1
    assert all(name in reader.text for name in HOSTILE)
    assert "23 more" in reader.text
    assert reader.tags.count("tr") == 1 + 1 + 9 + 48 + 6 + 4


def test_what_is_shown_adds_up(nowhere: None, hostile: Path) -> None:
    told = details(hostile).to_json()
    assert sum(told["languages"].values()) == told["training_examples"] == 64
    assert told["funnel"] == {"read": 90, "bot": 20, "<b>": 6, "kept": 64}
    assert json.loads(json.dumps(told)) == told


@pytest.mark.parametrize("text", ["", "[]", '{"funnel": {"read": "many"}}', '{"types": {}}'])
def test_a_dataset_without_a_funnel_is_shown_without(text: str, nowhere: None, hostile: Path) -> None:
    (hostile / "stats.json").write_text(text)
    found = details(hostile)
    assert found.funnel == {}
    assert read(page(found, draw(found))).tags.count("section") == 5


def test_an_empty_dataset_has_a_picture_too(nowhere: None, tmp_path: Path) -> None:
    write(tmp_path / "train.jsonl")
    found = details(tmp_path)
    assert read(page(found, draw(found))).text.count("0 records") == 1


def test_the_command_writes_both_files_and_the_tables(nowhere: None, hostile: Path, tiny_model: Any) -> None:
    words = ["dataset", "stats", str(hostile), "--plot", "--model", str(tiny_model("qwen2"))]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    for part in ("Language", "Python", "fit 1,024", "What became of the commits", "stats.png", "stats.html"):
        assert part in done.stdout
    assert image.imread(hostile / "stats.png").shape[1] > 1_000
    assert "Tokens of" in read((hostile / "stats.html").read_text()).text
    again = json.loads(CliRunner().invoke(app, [*words, "--json", "--out", str(hostile / "looks")]).stdout)
    assert again["tokens"]["share_fitting"]["2048"] == 1.0
    assert Path(again["page"]).read_bytes() == (hostile / "stats.html").read_bytes()


def test_without_plot_nothing_is_written_and_no_token_counted(hostile: Path) -> None:
    before = sorted(hostile.iterdir())
    told = json.loads(CliRunner().invoke(app, ["dataset", "stats", str(hostile), "--json"]).stdout)
    assert told["tokens"] is None
    assert sorted(hostile.iterdir()) == before


def test_what_is_no_dataset_or_no_model_is_said(hostile: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has no train\.jsonl"):
        details(tmp_path)
    with pytest.raises(InputError, match="no model named 'qven'"):
        details(hostile, model="qven")


def test_details_are_plain_data(nowhere: None, hostile: Path) -> None:
    assert isinstance(details(hostile), Details)
    assert details(hostile) == details(hostile)
