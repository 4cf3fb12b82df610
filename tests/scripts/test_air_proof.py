"""The proof on a Mac, as far as another machine can hold it: measuring, refusing, and the commit through Ollama."""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]

# What /usr/bin/time -l of macOS 15 writes, shortened.
BSD_TIME = """\
        1.03 real         0.31 user         0.12 sys
           912834560  maximum resident set size
                   0  average shared memory size
               61204  page reclaims
          1840013312  peak memory footprint
"""


@pytest.fixture
def proof(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "scripts")
    import air_proof

    return air_proof


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "scripts")
    import measured

    return measured


@pytest.fixture
def ollama(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program that behaves like Ollama: its commands fail until `serve` runs, and `run` reads a diff."""
    program = tmp_path / "bin" / "ollama"
    program.parent.mkdir()
    program.write_text(f"""#!/usr/bin/env bash
cd {tmp_path}
case $1 in
  serve) touch running; trap 'rm running; exit' TERM; while :; do sleep 0.05; done ;;
  list) [ -e running ] ;;
  run) grep -q '^+.*part.strip' && echo 'fix: drop empty parts' ;;
esac
""")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)
    return program


def test_a_stage_is_measured(measured: ModuleType, tmp_path: Path) -> None:
    done = measured.run_stage(
        "fill", [sys.executable, "-c", "b = bytearray(200_000_000); b[::4096] = b[::4096]"], tmp_path
    )
    assert done.exit_code == 0
    assert done.peak_bytes > 200_000_000
    assert 0 < done.wall_seconds < 60


def test_a_failing_stage_tells_its_exit_code(measured: ModuleType, tmp_path: Path) -> None:
    assert measured.run_stage("fail", [sys.executable, "-c", "raise SystemExit(5)"], tmp_path).exit_code == 5


def test_the_footprint_of_macos_is_preferred(measured: ModuleType) -> None:
    assert measured.read_bsd_time(BSD_TIME) == 1_840_013_312
    assert measured.read_bsd_time(BSD_TIME.replace("footprint", "something")) == 912_834_560


@pytest.mark.parametrize(
    ("machine", "any_device", "refused"),
    [
        pytest.param({"metal": True, "device_kind": "metal"}, False, False, id="metal"),
        pytest.param({"metal": True, "device_kind": "cpu"}, False, True, id="metal-but-cpu-is-default"),
        pytest.param({"metal": False, "device_kind": "cuda"}, False, True, id="cuda"),
        pytest.param({"metal": False, "device_kind": "cpu"}, True, False, id="asked-for"),
    ],
)
def test_nothing_but_metal_proves_metal(
    proof: ModuleType, machine: dict[str, object], any_device: bool, refused: bool
) -> None:
    receipt = proof.Receipt(machine, {})
    if refused:
        with pytest.raises(proof.ProofError, match="MLX computes on"):
            proof.require_metal(receipt, any_device=any_device)
    else:
        proof.require_metal(receipt, any_device=any_device)


def test_the_message_of_the_model_becomes_a_commit(proof: ModuleType, ollama: Path, tmp_path: Path) -> None:
    message = proof.commit_with(str(ollama), "joco", tmp_path / "repository")
    assert message == "fix: drop empty parts"
    log = subprocess.check_output(["git", "log", "--format=%s"], cwd=tmp_path / "repository", text=True)
    assert log.splitlines() == ["fix: drop empty parts", "feat: split text at commas"]


def test_a_model_that_says_nothing_fails_the_proof(proof: ModuleType, ollama: Path, tmp_path: Path) -> None:
    ollama.write_text("#!/usr/bin/env bash\necho no such model >&2\nexit 1\n")
    with pytest.raises(proof.ProofError, match="no such model"):
        proof.commit_with(str(ollama), "joco", tmp_path / "repository")


def test_a_server_is_started_and_ended_when_none_runs(proof: ModuleType, ollama: Path, tmp_path: Path) -> None:
    with proof.served(str(ollama)):
        assert (tmp_path / "running").exists()
    assert not (tmp_path / "running").exists()


def test_a_server_that_runs_is_left_alone(proof: ModuleType, ollama: Path, tmp_path: Path) -> None:
    (tmp_path / "running").touch()
    with proof.served(str(ollama)):
        pass
    assert (tmp_path / "running").exists()


def test_a_missing_ollama_is_told_with_the_way_to_get_it(
    proof: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(proof.ProofError, match="brew install ollama"):
        proof.find_ollama(install=False)


@pytest.mark.judge("commitlint")
@pytest.mark.usefixtures("commitlint_modules")
def test_commitlint_judges_the_message(proof: ModuleType) -> None:
    proof.lint("fix: drop empty parts")
    with pytest.raises(proof.ProofError, match="commitlint rejects"):
        proof.lint("Dropped the empty parts.")


def test_a_failed_proof_leaves_a_receipt(
    proof: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    options = argparse.Namespace(work=tmp_path / "work", any_device=False)
    (tmp_path / "work/run").mkdir(parents=True)
    (tmp_path / "work/run/metrics.jsonl").write_text('{"step": 1, "peak_bytes": 7}\n')
    monkeypatch.setattr(proof, "read_options", lambda: options)
    monkeypatch.setattr(proof, "describe_machine", lambda: {"metal": False, "device_kind": "cpu"})
    assert proof.main() == 1
    receipt = Path(capsys.readouterr().out.splitlines()[-1])
    content = json.loads(receipt.read_text())
    assert content["held"] is False
    assert content["metrics"] == [{"step": 1, "peak_bytes": 7}]
