"""Proves that adapters of PEFT, TRL and Axolotl's rows are those of MLX, as far as a CPU can.

Makes an environment of its own with torch, TRL and PEFT in the ranges of the extra `cuda` (--environment DIR, kept for
the next time; JOCO_TORCH_INDEX names another index for torch, such as one with builds for CPUs), unpacks Unsloth's wheel
to read its signatures, and runs `tests/linux` there: real PEFT, real training by TRL in float32 and nf4, 200 records
through every trainer, the snippets of docs/linux.md. With --axolotl PROGRAM its `preprocess` is run as well. Then
SmolLM2-135M is trained for 20 steps by MLX and by TRL. Ends with 1 when a test fails or the losses differ by more than 1 %.
"""

import argparse
import json
import os
import sys
import tempfile
import time
import venv
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from linux_page import page
from results import ROOT, record

from joco_mlx import process
from joco_mlx.models.cache import cache_folder

TORCH = "torch==2.13.0"
"""Any that the extra allows would do; one that is named makes figures comparable."""
TESTS = ROOT / "tests" / "linux"
CLOSE = 0.01
"""Largest difference between two losses of the same step, as a share."""
_LONGEST_SECONDS = 3_600.0


@dataclass(frozen=True)
class Environment:
    """Where torch is."""

    python: Path
    unsloth: Path | None
    """Unsloth's source, unpacked."""

    def run(self, *words: str | Path, **variables: str | None) -> process.Finished:
        """Run Python there, on this checkout."""
        own: dict[str, str | None] = {"PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1", "PYTHONWARNINGS": "ignore"}
        return process.run((self.python, *words), cwd=ROOT, env={**own, **variables}, timeout_seconds=_LONGEST_SECONDS)


def main() -> int:
    """Make the environment, run everything in it, write the section."""
    parser = argparse.ArgumentParser(prog="scripts/prove linux", description=__doc__)
    parser.add_argument("--environment", type=Path, default=cache_folder() / "linux-proof", help="where it is made")
    parser.add_argument("--axolotl", type=Path, help="the program of an Axolotl installation")
    parser.add_argument("--without-curves", action="store_true", help="leave out SmolLM2, which takes minutes")
    given = parser.parse_args()
    began = time.monotonic()
    environment = made(given.environment)
    tests, figures = tested(environment, given.axolotl)
    print(tests.stdout.decode()[-2000:])
    curves = None if given.without_curves else trained(environment)
    widest = None if curves is None else apart(curves["losses"])
    text = page(figures, curves, widest, summary(tests), versions(environment), time.monotonic() - began)
    record("linux", text)
    print(text)
    return 0 if tests.code == 0 and (widest is None or widest <= CLOSE) else 1


def made(folder: Path) -> Environment:
    """Return the environment in `folder`, made where there is none; torch is the build that plain pip gets."""
    python, wheel = folder / "bin" / "python", folder / "unsloth-source"
    if not (folder / "whole").is_file():
        venv.create(folder, with_pip=True, clear=True)
        pip = (python, "-m", "pip", "install", "--quiet")
        index = os.environ.get("JOCO_TORCH_INDEX")
        install(*pip, TORCH, *(("--index-url", index) if index else ()))
        version = process.run((python, "-c", "import torch; print(torch.__version__)")).stdout.decode().strip()
        constraint = folder / "torch.txt"
        constraint.write_text(f"torch=={version}\n", "utf-8")
        rest = ("--constraint", constraint, "--editable", f"{ROOT}[cuda]", "pytest", "hypothesis", "safetensors")
        install("uv", "pip", "install", "--quiet", "--python", python, *rest)
        install(
            python,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-deps",
            "--no-compile",
            "--target",
            wheel,
            "unsloth>=2026.10.7",
        )
        (folder / "whole").write_text("")
    found = wheel / "unsloth"
    return Environment(python, found if found.is_dir() else None)


def install(*command: str | Path) -> None:
    """Run pip; leave with its complaint when it fails."""
    done = process.run(command, timeout_seconds=_LONGEST_SECONDS)
    if done.code:
        sys.exit(f"{' '.join(map(str, command))} failed: {done.complaint}")


def tested(environment: Environment, axolotl: Path | None) -> tuple[process.Finished, list[dict[str, Any]]]:
    """Run the tests, and return how that ended and the figures that they noted."""
    with tempfile.TemporaryDirectory() as scratch:
        figures = Path(scratch) / "figures.jsonl"
        done = environment.run(
            "-m",
            "pytest",
            "-q",
            "-rs",
            "-p",
            "no:cacheprovider",
            TESTS,
            JOCO_FIGURES=str(figures),
            JOCO_AXOLOTL=str(axolotl.resolve()) if axolotl else None,
            JOCO_UNSLOTH=str(environment.unsloth) if environment.unsloth else None,
            CI=None,
        )
        lines = figures.read_text("utf-8").splitlines() if figures.is_file() else []
    return done, [json.loads(line) for line in lines]


def trained(environment: Environment) -> dict[str, Any]:
    """Return the losses and times of both trainers."""
    done = environment.run(ROOT / "scripts" / "proofs" / "linux_curves.py")
    if done.code:
        sys.exit(f"The training of SmolLM2 failed: {done.complaint}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def apart(losses: dict[str, list[float]]) -> float:
    """Return the widest difference of two losses of one step, as a share of MLX's."""
    return max(abs(trl - mlx) / mlx for mlx, trl in zip(losses["mlx"], losses["trl"], strict=True))


def summary(tests: process.Finished) -> str:
    """Return pytest's last line."""
    return tests.stdout.decode().strip().splitlines()[-1].strip("= ")


def versions(environment: Environment) -> dict[str, str]:
    """Return what was installed there."""
    names = ("torch", "transformers", "trl", "peft", "bitsandbytes", "mlx", "mlx-lm")
    site = next((environment.python.parents[1] / "lib").glob("python*/site-packages"))
    found = {item.metadata["Name"].lower(): item.version for item in metadata.distributions(path=[str(site)])}
    return {name: found[name] for name in names if name in found}


if __name__ == "__main__":
    sys.exit(main())
