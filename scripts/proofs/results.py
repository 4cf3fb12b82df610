"""docs/results.md: every proof owns one section of it, between two markers, and replaces that alone."""

from pathlib import Path

from joco_mlx import artifacts

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "docs" / "results.md"
OPENING = """# Results

Measured figures. Each section was written by the proof that it names (`scripts/prove NAME`), never by hand.
"""


def record(section: str, text: str, path: Path = RESULTS) -> None:
    """Put `text` (Markdown, with its own heading) between the markers of `section`; append them when they are new.

    Raises:
        ValueError: The file has only one of the two markers.
    """
    page = path.read_text("utf-8") if path.is_file() else OPENING
    first, last = f"<!-- {section} -->", f"<!-- /{section} -->"
    block = f"{first}\n{text.strip()}\n{last}"
    if (first in page) != (last in page):
        raise ValueError(f"{path} has only one of the markers {first} and {last}; put the other one back.")
    if first in page:
        before, after = page.split(first, 1)[0], page.split(last, 1)[1]
        artifacts.write_text(path, before + block + after)
    else:
        artifacts.write_text(path, f"{page.rstrip()}\n\n{block}\n")
