"""The original harness's score of a message, 0 to 100, for continuity with the figures that were published with it.

It looks at form alone and at the first line alone. Its grammar is narrower than the convention: `feat!:`, `revert:` and
`fix(a/b):` score as plain prose does. So it stands beside strict validity and never in its place. Source:
`StructuralValidator.java` of github.com/tmclnk/joco.
"""

import re

MAXIMUM_CHARS = 72
GOOD_CHARS = range(30, 61)

_HEADER = re.compile(r"(?:feat|fix|chore|docs|refactor|test|style|perf|build|ci)(?:\([\w.-]+\))?: (.+)", re.ASCII)
_META = re.compile(
    r"here is|here's|this is|this commit|i would|i can|based on|the following|a short|short commit|commit description"
    r"|commit message|summarizes?|captures?",
    re.IGNORECASE,
)


def joco_score(message: str) -> int:
    """Return the score of a message; 0 for one without a word."""
    lines = message.splitlines()
    if not message.strip():
        return 0
    subject = lines[0].strip()
    header = _HEADER.fullmatch(subject)
    description = header[1] if header else ""
    points = (
        (50, header is not None),  # a valid type 30, a description 20: the grammar gives both or neither
        (20, len(subject) <= MAXIMUM_CHARS),
        (10, description[:1].islower()),
        (5, not subject.endswith(".")),
        (15, len(subject) in GOOD_CHARS),
        (-20, _META.match(description) is not None),
    )
    return sum(worth for worth, earned in points if earned)
