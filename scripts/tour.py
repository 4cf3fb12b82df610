"""Makes the pictures of docs/tour.md anew: commands that really ran, their answers as a terminal shows them, and plots.

    .venv/bin/python scripts/tour.py --run runs/mine --repository ~/code/bloc --commit HEAD~40 --bench runs/bench/mine

A recording is an SVG without scripts or addresses, drawn by rich. Plots and the report are those that the commands write;
the report is photographed by Chromium. Nothing is made up; lines that a picture has no room for are counted, and the folder
is called ~.
"""

import argparse
import io
import os
import pty
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text

from joco_mlx.train.plot import plot_loss

ROOT = Path(__file__).resolve().parent.parent
PICTURES = ROOT / "docs" / "pictures"
COLUMNS, MOST_LINES = 112, 30
BUDGET = "5.46GB"
"""What Metal recommends of 8 GB."""
_FONTS = re.compile(r"@font-face \{\{.*?\}\}\n?", re.DOTALL)


def main() -> int:
    """Run everything in an empty folder and write the pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", required=True, type=Path, help="a finished run")
    parser.add_argument("--repository", required=True, type=Path, help="a clone whose commits the run has not seen")
    parser.add_argument("--commit", required=True, help="the commit of it for which messages are suggested")
    parser.add_argument("--bench", required=True, type=Path, nargs="+", help="finished benchmarks on the same cases")
    given = parser.parse_args()
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        home = Path(scratch)
        shutil.copytree(given.run, home / "mine", ignore=shutil.ignore_patterns("checkpoints"))
        (home / given.repository.name).symlink_to(given.repository.resolve())
        for picture, commands in recordings(given.repository.name, given.commit):
            record(picture, commands, home)
        shutil.copy(home / "data" / "stats.png", PICTURES / "stats.png")
        plot_loss(given.run / "metrics.jsonl", PICTURES / "loss.png")
        photograph(given.bench, home / "report.html", PICTURES / "report.png")
    return 0


def recordings(repository: str, commit: str) -> Sequence[tuple[str, Sequence[str]]]:
    """Return the name of each recording and its commands."""
    return (
        ("dataset", (f"joco-mlx dataset build {repository} --out data", "joco-mlx dataset stats data --plot")),
        ("explain", (f"joco-mlx dataset explain {repository} {commit}",)),
        ("plan", (f"joco-mlx plan --memory {BUDGET}",)),
        ("fuse", ("joco-mlx fuse mine --export-gguf", "joco-mlx gguf verify joco.gguf --against mine")),
        ("suggest", (
            "joco-mlx use mine",
            f"git --no-pager -C {repository} show --stat --format=%s {commit}",
            f"joco-mlx suggest {commit} --repo {repository} -n 3",
        )),
    )  # fmt: skip


def record(name: str, commands: Sequence[str], folder: Path) -> None:
    """Run commands in `folder` and draw what a terminal of `COLUMNS` columns shows."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO())
    for command in commands:
        console.print(Text.assemble(("$ ", "bold green"), (command, "bold")))
        lines = shown(command, folder)
        for line in lines[:MOST_LINES]:
            console.print(Text.from_ansi(line), no_wrap=True, overflow="ellipsis")
        if len(lines) > MOST_LINES:
            console.print(Text(f"({len(lines) - MOST_LINES} more lines)", style="dim"))
    picture = PICTURES / f"{name}.svg"
    picture.write_text(console.export_svg(title="joco-mlx", code_format=_FONTS.sub("", CONSOLE_SVG_FORMAT)), "utf-8")
    print(f"{picture.relative_to(ROOT)}: {picture.stat().st_size:,} bytes")


def shown(command: str, folder: Path) -> list[str]:
    """Return the lines that a command leaves on a terminal that can only add lines.

    Raises:
        SystemExit: It failed.
    """
    ours, theirs = pty.openpty()
    environment = {**os.environ, "COLUMNS": str(COLUMNS),
        "LINES": str(MOST_LINES), "TERM": "dumb", "XDG_CONFIG_HOME": str(folder / "config"),
                   "PATH": f"{ROOT / '.venv' / 'bin'}:{os.environ['PATH']}"}  # fmt: skip
    child = subprocess.Popen(
        shlex.split(command), stdin=theirs, stdout=theirs, stderr=theirs, cwd=folder, env=environment
    )
    os.close(theirs)
    found = b""
    while True:
        try:
            more = os.read(ours, 65_536)
        except OSError:  # a terminal that nobody holds any more
            break
        if not more:
            break
        found += more
    os.close(ours)
    text = found.decode("utf-8", "replace").replace(str(folder), "~")
    if child.wait():
        sys.exit(f"{command} failed:\n{text}")
    return [line.rpartition("\r")[2].rstrip() for line in text.replace("\r\n", "\n").strip("\n").split("\n")]


def photograph(bench: Sequence[Path], page: Path, picture: Path) -> None:
    """Write the top of the report on some benchmarks as a PNG."""
    browser = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        sys.exit("Chromium is missing; on Debian: apt-get install chromium")
    ours = ROOT / ".venv" / "bin" / "joco-mlx"
    subprocess.run([ours, "bench", "report", *bench, "--html", page], check=True)
    subprocess.run(
        [browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--window-size=1100,860",
         f"--screenshot={picture}", page.as_uri()],
        check=True, capture_output=True,
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
