"""Machines that are not here, made at their own boundaries: a program named nvidia-smi, packages on the path."""

import os
from pathlib import Path

import pytest

CARD = "NVIDIA L4, 23034, 580.65.06, 8.9"
"""What nvidia-smi prints for one card."""
STACK = {
    "torch": "2.13.0", "transformers": "5.23.0", "trl": "1.16.0", "peft": "0.21.2", "bitsandbytes": "0.50.2",
    "datasets": "5.2.0",
}  # fmt: skip
"""What the extra `cuda` installs."""


def put_card(folder: Path, monkeypatch: pytest.MonkeyPatch, line: str = CARD, *, code: int = 0) -> None:
    """Put a program named nvidia-smi on PATH that prints `line`."""
    folder.mkdir(exist_ok=True)
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\necho '{line}'\nexit {code}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def put_package(folder: Path, name: str, version: str, *, cuda: str | None = None) -> None:
    """Make an installed package that raises when it is imported."""
    module = folder / name
    module.mkdir(parents=True)
    (module / "__init__.py").write_text("raise AssertionError('imported')\n")
    if name == "torch":
        (module / "version.py").write_text(f"__version__ = '{version}'\ncuda: str | None = {cuda!r}\n")
    about = folder / f"{name}-{version}.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")


def put_stack(
    folder: Path, monkeypatch: pytest.MonkeyPatch, *, cuda: str | None = "13.0", without: str = "", **versions: str
) -> None:
    """Install what the extra `cuda` brings, but for one package, or in other versions."""
    for name, version in {**STACK, **versions}.items():
        if name != without:
            put_package(folder, name, version, cuda=cuda)
    monkeypatch.syspath_prepend(str(folder))
