"""The Air proof: the whole line on this Mac with the real model, ending with a commit that its message went into.

Decides which commands make the proof and what the receipt holds. Leaves measuring to `measured`, and the judgement of
the message to commitlint. Start it with `scripts/prove-on-mac`, which makes the environment first.
"""

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from measured import Stage, run_stage

from joco_mlx import artifacts

ROOT = Path(__file__).resolve().parents[1]
JOCO = str(Path(sys.executable).with_name("joco-mlx"))
SERVER_SECONDS = 30


class ProofError(Exception):
    """The proof did not hold; the text says where."""


@dataclass
class Receipt:
    """What is written at the end, whether the proof held or not."""

    machine: dict[str, Any]
    versions: dict[str, str]
    stages: list[Stage] = field(default_factory=list)
    metrics: list[dict[str, Any]] = field(default_factory=list)
    """What training said of its steps: loss, tokens, seconds, and the peak that MLX itself counts."""
    message: str | None = None
    held: bool = False
    problem: str = ""


def main() -> int:
    """Run the proof; the receipt's path is the last line."""
    options = read_options()
    work = options.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    receipt = Receipt(describe_machine(), artifacts.versions())
    try:
        require_metal(receipt, any_device=options.any_device)
        prove(options, work, receipt)
        receipt.held = True
    except (ProofError, subprocess.CalledProcessError) as problem:
        receipt.problem = str(problem)
        print(f"prove-on-mac: {problem}", file=sys.stderr)
    finally:
        metrics = work / "run" / "metrics.jsonl"
        receipt.metrics = [json.loads(line) for line in metrics.read_text().splitlines()] if metrics.is_file() else []
        target = work / "receipt.json"
        artifacts.write_json(target, asdict(receipt))
        print(target)
    return 0 if receipt.held else 1


def read_options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="scripts/prove-on-mac", description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--tiny", action="store_true", help="the embedded model, 3 short steps, no Ollama: a Metal lane"
    )
    parser.add_argument("--steps", type=int, help="training steps (20; 3 with --tiny)")
    parser.add_argument("--repo", type=Path, default=ROOT, help="repository to learn from (this one)")
    parser.add_argument("--work", type=Path, default=Path("runs") / time.strftime("air-proof-%Y%m%d-%H%M%S"))
    parser.add_argument("--name", default="joco", help="name of the model in Ollama")
    parser.add_argument("--install-ollama", action="store_true", help="get Ollama with Homebrew when it is missing")
    parser.add_argument("--any-device", action="store_true", help="go on without Metal, to try this script elsewhere")
    options = parser.parse_args()
    if options.work.exists():
        parser.error(f"{options.work} exists already; choose another --work")
    return options


def describe_machine() -> dict[str, Any]:
    """What a reader needs to place the figures."""
    from joco_mlx.models.compute import device_kind, mx  # noqa: PLC0415  (--help needs no MLX)

    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "system": platform.platform(),
        "cores": os.cpu_count(),
        "memory_bytes": memory,
        "metal": mx.metal.is_available(),
        "device_kind": device_kind(),
        "device": mx.device_info(),
    }


def require_metal(receipt: Receipt, *, any_device: bool) -> None:
    """Refuse to prove anything about Metal where the work would be done by something else."""
    machine = receipt.machine
    if not any_device and not (machine["metal"] and machine["device_kind"] == "metal"):
        raise ProofError(f"Metal is {machine['metal']} and MLX computes on {machine['device_kind']!r} here.")


def prove(options: argparse.Namespace, work: Path, receipt: Receipt) -> None:
    """Run the line in `work`, stage by stage; each must end well."""

    def stage(name: str, *command: str) -> None:
        print(f"\n== {name}: {' '.join(command)}", flush=True)
        done = run_stage(name, command, work)
        receipt.stages.append(done)
        print(f"== {name}: {done.wall_seconds:.1f} s, peak {done.peak_bytes / 1e9:.2f} GB", flush=True)
        if done.exit_code != 0:
            raise ProofError(f"{name} ended with {done.exit_code}.")

    size = ["--model", "smollm2-135m", "--max-seq-length", "256"] if options.tiny else ["--max-seq-length", "2048"]
    steps = str(options.steps or (3 if options.tiny else 20))
    stage("extract", JOCO, "dataset", "extract", str(options.repo.resolve()), "--out", "commits.jsonl")
    stage("curate", JOCO, "dataset", "curate", "commits.jsonl", "--out", "dataset")
    stage("train", JOCO, "train", "--data", "dataset", "--steps", steps, *size, "--out", "run")
    stage("fuse", JOCO, "fuse", "run", "--export-gguf")
    stage("verify", JOCO, "gguf", "verify", "joco.gguf", "--against", "run")
    if options.tiny:
        return
    ollama = find_ollama(install=options.install_ollama)
    with served(ollama):
        if subprocess.run([ollama, "show", options.name], capture_output=True, check=False).returncode == 0:
            raise ProofError(f"Ollama has a model named {options.name!r} already; choose another --name.")
        stage("ollama create", ollama, "create", options.name, "-f", "Modelfile")
        receipt.message = commit_with(ollama, options.name, work / "repository")
    lint(receipt.message)


def find_ollama(*, install: bool) -> str:
    """Return the path of Ollama; `install` gets it with Homebrew where it is missing."""
    if shutil.which("ollama") is None and install:
        subprocess.run(["brew", "install", "--quiet", "ollama"], check=True)
    found = shutil.which("ollama")
    if found is None:
        raise ProofError("Ollama is not on PATH; install it (brew install ollama) or add --install-ollama.")
    return found


@contextmanager
def served(ollama: str) -> Iterator[None]:
    """Have an Ollama server for the length of the block: the one that runs, or one of our own."""

    def answers() -> bool:
        return subprocess.run([ollama, "list"], capture_output=True, check=False).returncode == 0

    if answers():
        yield
        return
    server = subprocess.Popen([ollama, "serve"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + SERVER_SECONDS
        while not answers():
            if time.monotonic() > deadline:
                raise ProofError(f"ollama serve did not answer within {SERVER_SECONDS} seconds.")
            time.sleep(0.5)
        yield
    finally:
        server.terminate()
        server.wait()


def commit_with(ollama: str, name: str, repository: Path) -> str:
    """Make a small change in a new repository, let the model name it, commit, and return the message."""

    def git(*words: str, stdin: str = "") -> str:
        identity = ["-c", "user.name=Ada", "-c", "user.email=ada@example.com"]
        command = ["git", "-C", str(repository), *identity, *words]
        own_settings = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull}  # no signing, no hooks, no templates
        return subprocess.run(command, env=own_settings, input=stdin, capture_output=True, text=True, check=True).stdout

    repository.mkdir()
    git("init", "--quiet")
    source = repository / "parser.py"
    source.write_text("def parse(text):\n    return text.split(',')\n")
    git("add", "--all")
    git("commit", "--quiet", "--message", "feat: split text at commas")
    source.write_text("def parse(text):\n    return [part.strip() for part in text.split(',') if part.strip()]\n")
    git("add", "--all")
    asked = subprocess.run(
        [ollama, "run", name], input=git("diff", "--cached"), capture_output=True, text=True, check=False
    )
    message = asked.stdout.strip()
    if asked.returncode != 0 or not message:
        raise ProofError(f"ollama run {name} gave no message: {asked.stderr.strip()[-300:]}")
    git("commit", "--quiet", "--file=-", stdin=message)
    return git("log", "-1", "--format=%B").strip()


def lint(message: str) -> None:
    """Hold the message against the real commitlint."""
    judges = ROOT / "tests" / "judges"
    command = ["node_modules/.bin/commitlint", "--extends", "@commitlint/config-conventional"]
    done = subprocess.run(command, cwd=judges, input=message, capture_output=True, text=True, check=False)
    print(f"\n{message}\n{done.stdout}", flush=True)
    if done.returncode != 0:
        raise ProofError(f"commitlint rejects {json.dumps(message)}.")


if __name__ == "__main__":
    sys.exit(main())
