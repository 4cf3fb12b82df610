"""The examination: every fact from where it is, and what follows from all of them.

Decides which findings are problems and which command repairs each. Leaves the verdict on each backend to
`train.backends.verdicts`, so that `doctor` and `train` can never disagree.
"""

import os
import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict
from importlib import metadata
from pathlib import Path

from joco_mlx.config import DEFAULT_MODEL, TrainConfig
from joco_mlx.doctor.network import ask_hub, ask_ollama, in_time, late_hub, late_ollama
from joco_mlx.doctor.report import Disk, Hub, Ollama, Package, Problem, Report
from joco_mlx.errors import MachineError
from joco_mlx.models import memory, registry
from joco_mlx.models.compute import FAST_BLAS_HINT, device_kind, fast_blas
from joco_mlx.ollama.server import how_to_start
from joco_mlx.train.backends.machine import Machine, this_machine
from joco_mlx.train.backends.verdicts import SUPPORTED, choose, out_of_range, verdicts

OLDEST_MACOS = (14, 0)
"""What the wheels of mlx-metal 0.32 are made for."""
_CHECKPOINTS = 4
"""Kept at once in the worst case: the newest two, the best, and one being written."""


def examine() -> Report:
    """Look at everything; takes about a second, most of it waiting for the network and for MLX to load."""
    hub, ollama = in_time(ask_hub, late_hub()), in_time(ask_ollama, late_ollama())
    machine = this_machine()
    found = verdicts(machine)
    try:
        auto: str | None = choose("auto", machine)[0]
    except MachineError:
        auto = None
    packages = {name: _package(name, version) for name, version in (machine.packages or {}).items()}
    facts = Report(
        platform=_platform(),
        memory={"physical_bytes": _physical_bytes(), "budget_bytes": memory.this_machine_budget()},
        device=device_kind(),
        card=asdict(machine.card) if machine.card else None,
        backends={name: found[name] for name in found},
        auto=auto,
        packages=packages,
        hub=hub(),
        ollama=ollama(),
        disk=_disk(),
        blas=fast_blas,
        problems=(),
    )
    return Report(**{**vars(facts), "problems": tuple(_problems(facts, machine))})


def _platform() -> dict[str, str]:
    return {
        "system": sys.platform,
        "architecture": platform.machine(),
        "release": platform.mac_ver()[0] or platform.release(),
        "python": platform.python_version(),
        "joco_mlx": metadata.version("joco-mlx"),
    }


def _physical_bytes() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _package(name: str, version: str) -> Package:
    first, end = SUPPORTED.get(name, (None, None))
    text = "any" if first is None else f">={first}" + (f",<{end}" if end else "")
    return Package(version, text, out_of_range(name, version) is None)


def _disk() -> Disk:
    """What the default model takes: its download, the checkpoints of a run with Adam's moments, and a GGUF."""
    entry = registry.default()
    weights = entry.download_bytes
    config, shape = TrainConfig(), entry.shape
    parameters = memory.adapter_parameters(shape, config.rank, config.target_modules, shape.layers)
    there = (_hub_cache() / f"models--{(entry.repository or '').replace('/', '--')}" / "snapshots").is_dir()
    free = shutil.disk_usage(Path.cwd()).free
    return Disk(free, 0 if there else weights, _CHECKPOINTS * 3 * 4 * parameters, weights + weights // 4)


def _hub_cache() -> Path:
    """Where huggingface_hub keeps models, by its own rules; importing it takes half a second."""
    home = os.environ.get("HF_HOME") or "~/.cache/huggingface"
    return Path(os.environ.get("HF_HUB_CACHE") or Path(home) / "hub").expanduser()


def _problems(facts: Report, machine: Machine) -> Iterator[Problem]:
    yield from _of_platform(facts)
    if facts.auto is None:
        mlx = facts.backends["mlx"]
        yield Problem(f"Nothing can train here: {mlx.reason}.", mlx.fix or "uv pip install joco-mlx", blocking=True)
    if machine.card_problem:
        yield Problem(
            f"The NVIDIA card cannot be used: {machine.card_problem}.",
            "See what nvidia-smi says; after an update of the driver, restart.",
        )
    if machine.card:
        for name in ("trl", "unsloth"):
            verdict = facts.backends[name]
            if not verdict.usable:
                yield Problem(f"--backend {name} cannot train here: {verdict.reason}.", verdict.fix or "")
    for name, package in facts.packages.items():
        if not package.is_supported:
            text = f"{name} is {package.version}, and {package.supported} is supported."
            yield Problem(text, f"uv pip install '{name}{package.supported}'")
    yield from _of_network(facts.hub, facts.ollama)
    yield from _of_resources(facts)


def _of_platform(facts: Report) -> Iterator[Problem]:
    if facts.platform["system"] != "darwin":
        return
    release = tuple(int(part) for part in facts.platform["release"].split(".")[:2] if part.isdigit())
    if release < OLDEST_MACOS:
        yield Problem(
            f"macOS is {facts.platform['release']}, and MLX needs 14.0 or newer.",
            "Bring macOS up to date: softwareupdate --install --all",
            blocking=True,
        )
    if facts.device == "cpu" and facts.platform["architecture"] == "arm64":
        yield Problem(
            "MLX does not use the GPU of this Mac; Python may be running under Rosetta.",
            "Make the environment again with an arm64 Python: ./scripts/setup",
        )


def _of_network(hub: Hub, ollama: Ollama) -> Iterator[Problem]:
    if not hub.reachable:
        yield Problem(
            f"The model hub at {hub.address} cannot be reached: {hub.reason}.",
            "Models that are here already still work, and smollm2-135m needs no hub: joco-mlx quickstart",
        )
    if not ollama.running:
        text = "Ollama does not answer" if ollama.installed else "Ollama is not installed"
        yield Problem(f"{text}: {ollama.reason}", how_to_start())
    elif not ollama.new_enough:
        yield Problem(ollama.reason, "Bring it up to date: https://ollama.com/download")


def _of_resources(facts: Report) -> Iterator[Problem]:
    disk = facts.disk
    if disk.free_bytes < disk.needed_bytes:
        yield Problem(
            f"{DEFAULT_MODEL} takes {disk.needed_bytes / 1e9:.1f} GB to download, train and export, and"
            f" {disk.free_bytes / 1e9:.1f} GB are free.",
            "Free some disk, or begin with the embedded model: joco-mlx quickstart",
            blocking=True,
        )
    if facts.device == "cpu" and facts.platform["system"] == "linux" and facts.blas is None:
        yield Problem("MLX has no fast BLAS here.", FAST_BLAS_HINT.partition(": ")[2])
