"""Makes the dataset that ships from this repository's own history, up to a pinned commit.

Settings of the user do not count: everybody who has the history gets the same bytes, and a test holds the tracked files
to that. `sources.toml`, which lies in the same folder, is kept as it is.
"""

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path

from joco_mlx import artifacts
from joco_mlx.config import BuildConfig
from joco_mlx.dataset.build import build
from joco_mlx.dataset.plain_git import PlainGit
from joco_mlx.dataset.repository import open_repository
from joco_mlx.errors import InputError, JocoError
from joco_mlx.progress import Silent

ROOT = Path(__file__).resolve().parent.parent
NAME, LICENCE = "joco-mlx", "MIT"
CONFIG = BuildConfig(profile="single-repository", minimum_score=70)
"""By time alone, and with the original guide's threshold: the history of one small project has no commits to spare."""
PIN = "PIN"
KEPT = ("sources.toml",)


class Printed(Silent):
    """Prints what the stages find worth reading."""

    def note(self, text: str) -> None:
        """Print a line."""
        print(text)


def rebuild(root: Path, commit: str | None, out: Path) -> artifacts.Artifact:
    """Make the dataset of the repository at `root` in the folder `out`; only its own `dataset/` is ever replaced.

    Args:
        root: A clone with its whole history.
        commit: The last commit to read; the pinned one when None.
        out: Where the dataset goes, with the pin and the files that are kept.

    Raises:
        ConflictError: `out` exists and is another folder.
        InputError: There is no whole history, no pin, or no such commit.
    """
    pinned = resolve(open_repository(root).git, commit or read_pin(root / "dataset" / PIN))
    own = out.resolve() == (root / "dataset").resolve()
    with tempfile.TemporaryDirectory() as temporary, artifacts.whole_folder(out, force=own) as folder:
        source, made = Path(temporary) / "source.toml", Path(temporary) / "dataset"
        fields = {"name": NAME, "url": str(root.resolve()), "commit": pinned, "licence": LICENCE}
        source.write_text("[[source]]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in fields.items()))
        build(CONFIG, [str(source)], made, jobs=1, progress=Printed())
        shutil.copytree(made, folder, dirs_exist_ok=True)
        for name in KEPT:
            shutil.copyfile(root / "dataset" / name, folder / name)
        artifacts.write_text(folder / PIN, f"{pinned}\n")
    return artifacts.open_artifact(out, "dataset", checked=True)


def read_pin(path: Path) -> str:
    """Return the pinned commit."""
    if not path.is_file():
        raise InputError(f"There is no pin at {path}.", "Name a commit: scripts/rebuild-dataset COMMIT")
    return path.read_text("ascii").strip()


def resolve(git: PlainGit, commit: str) -> str:
    """Return the full hash of a commit."""
    found = git.run("rev-parse", "--verify", "--quiet", "--end-of-options", f"{commit}^{{commit}}")
    if found.code != 0:
        raise InputError(f"This repository has no commit {commit!r}.", "Fetch the whole history, or name another.")
    return found.stdout.decode("ascii").split()[-1]


def main() -> int:
    """Rebuild as the command line says and return the exit code."""
    parser = argparse.ArgumentParser(prog="scripts/rebuild-dataset", description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("commit", nargs="?", metavar="COMMIT", help="last commit to read; it becomes the pin")
    parser.add_argument("--out", type=Path, default=ROOT / "dataset", help="folder to make [default: dataset]")
    given = parser.parse_args()
    try:
        made = rebuild(ROOT, given.commit, given.out)
    except JocoError as problem:
        print(f"rebuild-dataset: {problem.message}\n       {problem.hint}", file=sys.stderr)
        return problem.exit_code
    print(f"Made {made.folder} up to {read_pin(made.folder / PIN)[:12]}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
