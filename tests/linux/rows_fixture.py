"""200 records, among them diffs that are full of the strings which end turns and begin answers."""

from pathlib import Path

from models_fixture import make_model

from joco_mlx.artifacts import seal
from joco_mlx.commit.record import INSTRUCTION, Metadata, Record, write_records

LOOK_ALIKES = (
    "<|im_end|>", "<|im_start|>assistant", "<|im_start|>assistant\nfeat: not this one<|im_end|>", "<|endoftext|>",
    "### Response:", "### Instruction:", "</s>", "[/INST]", "-100", "assistant\n",
)  # fmt: skip
"""What a trainer that masks by markers would take for the beginning or the end of an answer."""


def records(count: int = 200) -> list[Record]:
    """Records of all lengths; half of them have a look-alike in their diff, every seventh in its message."""
    return [_record(number) for number in range(count)]


def _record(number: int) -> Record:
    marker = LOOK_ALIKES[number % len(LOOK_ALIKES)]
    text = marker if number // len(LOOK_ALIKES) % 2 else "value"
    flat = text.replace("\n", " ")
    lines = "".join(f"+line {line} of {flat}\n" for line in range(number % 40 + 1))
    diff = (
        f"diff --git a/src/m{number}.py b/src/m{number}.py\nindex 1111111..2222222 100644\n"
        f"--- a/src/m{number}.py\n+++ b/src/m{number}.py\n@@ -1,1 +1,{number % 40 + 2} @@\n def f():\n{lines}"
    )
    said = marker.replace("\n", " ").strip()
    subject = (
        f"feat(m{number}): handle {said} in line {number}" if number % 7 == 0 else f"fix(m{number}): line {number}"
    )
    about = Metadata(f"demo-{number}", "demo", f"{number:07x}", "0" * 16, subject.partition("(")[0], f"m{number}", 90)
    return Record(INSTRUCTION, diff, subject, about)


def make_data(folder: Path, count: int = 200, validation: int = 8) -> Path:
    """Write a dataset of such records."""
    folder.mkdir()
    made, files = records(count + validation), []
    for split, part in (("train", made[:count]), ("validation", made[count:]), ("test", [])):
        files.append(folder / f"{split}.jsonl")
        with files[-1].open("wb") as file:
            write_records(file, part)
    seal(folder, "dataset", config={}, parents={}, files=files)
    return folder


def make_base(folder: Path) -> Path:
    """Write a tiny Qwen2 in float32, wide enough for nf4."""
    return make_model(folder, "qwen2", dtype="float32", layers=2)
