"""Commit messages that are right or wrong in every way that a rule looks at.

Each list of parts has what some rule is about, and beside it something close that the rule must let pass.
"""

import random

from joco_mlx.commit.message import TYPES

BREAKS = ["\n", "\n", "\n\n", "\n\n", "\r\n", "\r\n\r\n", "\r", "\n \n", "\n\n\n", "\r\r\n", "\u2028", "\x85", "\x0b"]
FIRSTS = [
    *"abzAZ1_!`\"'.#@-éÉßŉǅǆµжЖ中ʰªﬁᾳᾈⅷⓐꭰᎠაᲐıİſℵ",
    *("\u0345", "𐐀", "𐐨", "𝐀", "🚀", " ", "\t", "\xa0", "\ufeff", "\x1c", "\x85", "\ud800", "\udc00", "\r", "\u2028"),
]
WORDS = [
    *(
        "add",
        "Add",
        "ADD",
        "x",
        "readme",
        "README",
        "`a`",
        '"Q"',
        "'q",
        "1",
        "2x",
        "a.b",
        "...",
        ".",
        "#1",
        "#1.",
        "#a-b,",
    ),
    *(
        "(#12)",
        "fix #3",
        "closes #4 and #5",
        "https://x.y/z#1",
        "BREAKING",
        "->",
        "a's",
        "µ",
        "—",
        "’",
        "!",
        ":",
        "see:",
    ),
    *("@me", "\u0345", "\x00", "\u200d", "\ufe0f", "é", "🚀", "🚀1", "ÅB"),
    *("y" * 40, "é" * 30, "🚀" * 20, "https://x.y/" + "z" * 90),
]
ENDS = [*[""] * 8, " ", ".", "...", "..", "....", "\t", "\r", "\xa0", "\ufeff", "\x1c", "…", "。", ":", ".:", "\u2028"]
LINES = [
    *("body", "# comment", "text\ttext", "", " ", "\t", "-", "\u2029", "caf\udce9", "nul \x00"),
    *("Signed-off-by: A <a@b>", "Merge branch 'a'", "This reverts commit 1234567.", "gpg: Good", " gpg:x", "x gpg: y"),
    *("BREAKING CHANGE: a", "BREAKING-CHANGE: a", "breaking change a", "BREAKING CHANGE", "BREAKING_CHANGE: a"),
    *(
        "  * BREAKING CHANGE : a",
        "|BREAKING-CHANGE\tb",
        "- BREAKING CHANGE: a",
        "BREAKİNG CHANGE: b",
        "BREAKING CHANGE:",
    ),
    *(
        "Closes #1",
        "closes: #2",
        "Refs #3",
        "prefix #4",
        "fix fix #5 fix",
        "#8",
        "# 9",
        "a#10b",
        "a#11.",
        "(a#12)",
        "##13",
    ),
    *(
        "https://a.b/#6 #7",
        "ﬁx #1 \r closes #2",
        "resolves http://a.b#1 closes #2 ",
        "fıx #2",
        "fixes",
        " #1",
        "a\rb #1",
    ),
    *("x" * 100, "x" * 101, "é" * 100, "🚀" * 50, "🚀" * 51, "🚀" * 50 + "a", "x" * 100 + "\r"),
    *("https://a.b " + "x" * 100, "ahttps://a.b " + "x" * 100, "https:// " + "x" * 100),
    *("Refs #1 " + "x" * 100, "Refs #1 http://a " + "x" * 100, "BREAKING CHANGE: " + "y" * 100),
]
HEADERS = [
    *(
        "Merge branch 'main' into feature",
        "Merge pull request #1 from a/b",
        'Revert "fix: a"',
        "fixup! fix: a",
        "1.2.3",
    ),
    *("Initial commit", "fix", "fix:", "fix: ", "fix:a", "fix : a", "fix： a", "fix(a)(b): c", "fix(a): b (c): d"),
    *(
        "fix(a)!: b (c): d",
        "fix!(a): b",
        "revert: fix: a",
        "x" * 101,
        "fix: " + "a" * 95,
        "fix: " + "a" * 96,
        "(a): b",
        ": a",
    ),
    *(
        "fix: a" + "." * 3,
        "fix.",
        "fix.:",
        "fix:.",
        ".",
        "fix(a.: b",
        "chore(release): 1.2.3 [skip ci]",
        ":bug: fix a",
        "🐛 fix: a",
    ),
]


def generated(count: int, seed: int) -> list[str]:
    """Messages that are right or wrong in every way that a rule looks at; the same for the same seed."""
    chance = random.Random(seed)

    def header() -> str:
        if chance.random() < 0.1:
            return chance.choice(HEADERS)
        kind = (
            chance.choice(TYPES)
            if chance.random() < 0.8
            else chance.choice(["Fix", "FIX", "2Fix", "_a", "", "fïx", "wip"])
        )
        scope = chance.choice(["", "", "", "(http)", "(a b)", "()", "(A)", "(a(b))", "(", "(a): (b)"])
        subject = " ".join(chance.choice(WORDS) for _ in range(chance.randint(0, 5)))
        first = chance.choice(FIRSTS) if chance.random() < 0.6 else "a"
        return kind + scope + chance.choice(["", "", "!"]) + ": " + first + subject + chance.choice(ENDS)

    def message() -> str:
        lines = chance.choice([0, 0, 1, 1, 2, 3, 5])
        rest = "".join(chance.choice(BREAKS) + chance.choice(LINES) for _ in range(lines))
        before = chance.choice([*[""] * 8, " ", "\n", "\r\n", "gpg: Good\n"])
        return before + header() + rest + chance.choice(["", "", "\n", "\r\n", "\n\n", " "])

    return [message() for _ in range(count)]
