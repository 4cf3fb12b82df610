"""The page of runs: what is on it, that nothing on it is believed, and that a browser and an auditor are content."""

import base64
import hashlib
import json
import os
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest
from bench_records import record
from conftest import JUDGES, missing, without_program

from joco_mlx.bench import drawings
from joco_mlx.bench.report import ALL_DIFF_CHARS, report
from joco_mlx.bench.run import run
from joco_mlx.commit.record import Record, write_records
from joco_mlx.config import BenchConfig
from joco_mlx.errors import InputError

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)> \u2028 <!-- {{ 7 * 7 }} & \"quoted\" 'x'"


def hostile(number: int) -> Record:
    """A record whose every text would like to be markup."""
    plain = record(number, f"fix: close {HOSTILE.replace(chr(0x2028), ' ')} {number}", repository=HOSTILE, id=HOSTILE)
    return Record(plain.instruction, f"{plain.input}+{HOSTILE}\n", plain.output, plain.metadata)


def ask(tmp_path: Path, records: list[Record], *names: str) -> list[Path]:
    cases, train = tmp_path / "cases.jsonl", tmp_path / "train" / "train.jsonl"
    train.parent.mkdir()
    for path, content in ((cases, records), (train, [record(number) for number in range(900, 930)])):
        with path.open("wb") as file:
            write_records(file, content)
    folders = [tmp_path / name for name in names]
    for folder in folders:
        run(BenchConfig(model=f"baseline:{folder.name}", train=train.parent, allow_leak=True), cases, folder)
    return folders


class Parsed(HTMLParser):
    """Tags with their attributes, and the text of scripts and styles."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.raw: dict[str, list[str]] = {"script": [], "style": []}
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag in self.raw:
            self.raw[tag].append("")

    def handle_data(self, data: str) -> None:
        tag = self.tags[-1][0] if self.tags else ""
        if tag in self.raw and self.cdata_elem:
            self.raw[tag][-1] += data


def test_hostile_text_stays_text(tmp_path: Path) -> None:
    folders = ask(tmp_path, [hostile(number) for number in range(12)], "paths", "majority")
    assert report(folders, tmp_path / "page.html") == 12
    page = Parsed((tmp_path / "page.html").read_text("utf-8"))
    assert len(page.raw["script"]) == 2
    assert "img" not in {tag for tag, _ in page.tags}
    assert [name for _, attributes in page.tags for name in attributes if name.startswith("on")] == []
    assert [name for _, attributes in page.tags for name in attributes if name in ("style", "src", "action")] == []
    data = json.loads(page.raw["script"][0])
    assert HOSTILE in data["cases"][0]["diff"]
    assert data["cases"][0]["id"] == HOSTILE
    assert len(data["cases"][0]["answers"]) == 2


def test_the_policy_names_what_is_on_the_page(tmp_path: Path) -> None:
    report(ask(tmp_path, [record(number) for number in range(5)], "paths"), tmp_path / "page.html")
    page = Parsed((tmp_path / "page.html").read_text("utf-8"))
    policy = next(a["content"] for _, a in page.tags if a.get("http-equiv") == "Content-Security-Policy") or ""
    hashes = re.findall(r"'(sha256-[^']+)'", policy)
    parts = page.raw["style"] + page.raw["script"][1:]
    assert hashes == ["sha256-" + base64.b64encode(hashlib.sha256(part.encode()).digest()).decode() for part in parts]
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy


def test_a_page_of_300_cases_is_below_3_mb(tmp_path: Path) -> None:
    long = [record(number) for number in range(300)]
    long = [Record(one.instruction, one.input + "+ wörd\n" * 1_000, one.output, one.metadata) for one in long]
    report(ask(tmp_path, long, "paths", "majority"), tmp_path / "page.html")
    assert len((tmp_path / "page.html").read_text("utf-8")) < ALL_DIFF_CHARS + 600_000
    assert (tmp_path / "page.html").stat().st_size < 3_000_000
    data = json.loads(Parsed((tmp_path / "page.html").read_text("utf-8")).raw["script"][0])
    assert all(len(one["diff"]) + one["cut"] == len(case.input) for one, case in zip(data["cases"], long, strict=True))


def test_runs_without_a_common_case_are_refused(tmp_path: Path) -> None:
    first = ask(tmp_path, [record(number) for number in range(3)], "paths")
    (tmp_path / "other").mkdir()
    second = ask(tmp_path / "other", [record(number) for number in range(10, 13)], "paths")
    with pytest.raises(InputError, match="no case in common"):
        report([*first, *second], tmp_path / "page.html")


def test_the_loss_of_the_run_that_was_asked_is_drawn(tmp_path: Path) -> None:
    lines = [{"step": step, "loss": 4.0 / step, **({"val_loss": 2.0} if step == 4 else {})} for step in (1, 2, 4)]
    (tmp_path / "metrics.jsonl").write_text("\n".join(map(json.dumps, lines)))
    found = drawings.loss(tmp_path / "metrics.jsonl")
    assert found is not None
    assert found.training == "150.0,0.0 300.0,106.7 600.0,160.0"
    assert found.validation == "600.0,106.7"
    assert (found.steps, found.highest, found.lowest, found.last) == (4, 4.0, 1.0, 1.0)
    assert drawings.loss(tmp_path / "absent.jsonl") is None


def test_lengths_and_confusion_by_hand() -> None:
    bars = {bar.label: (bar.count, bar.share) for bar in drawings.lengths([0, 9, 10, 72, 100, 250])}
    assert bars["0"] == (2, 1.0)
    assert bars["10"] == bars["70"] == (1, 0.5)
    assert bars["100+"] == (2, 1.0)
    table = drawings.confusion({"feat": {"feat": 9, "fix": 1}, "fix": {"(none)": 3}})
    assert table.answered == ("(none)", "feat", "fix")
    assert table.rows == (("feat", ((0, 0), (9, 6), (1, 1))), ("fix", ((3, 6), (0, 0), (0, 0))))
    assert drawings.interval({"value": 85, "interval": [80, 90]}, 100) == (85, 80, 90)
    assert drawings.interval({"value": None, "interval": [None, None]}, 1) is None


@pytest.fixture
def browser() -> str:
    """A real Chromium, which CI installs where it may; what drives it comes with the other judges."""
    if not ((JUDGES / "playwright-core").is_dir() and (JUDGES / "axe-core").is_dir() and shutil.which("node")):
        missing("what drives a browser", "run scripts/check, or npm install in tests/judges")
    found = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    return found or without_program("chromium", "chromium")


@pytest.mark.judge("chromium")
def test_a_real_browser_and_an_auditor_are_content(browser: str, tmp_path: Path) -> None:
    folders = ask(
        tmp_path, [*(record(number) for number in range(298)), hostile(1_000), hostile(1_001)], "paths", "majority"
    )
    report(folders, tmp_path / "page.html")
    command = ["node", str(JUDGES.parent / "page_audit.mjs"), str(tmp_path / "page.html")]
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, env={**os.environ, "CHROMIUM": browser}, timeout=900
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["complaints"] == found["requests"] == found["wide"] == []
    assert [one for one in found["violations"] if one["impact"] in ("serious", "critical")] == []
    did = found["did"]
    assert (did["all"], did["scripts"], did["arrow"]) == ("300 of 300 cases", 0, "true")
    assert did["first"] == did["back"] != did["second"]
    assert did["typed"] != did["all"] != did["wrong"]
    assert did["none"] == "No case is like that."
