"""Strings that tokenizers disagree on when something is wrong: code, many scripts, blanks, control look-alikes."""

import random
import unicodedata

_CODE = (
    "def main(argv: list[str]) -> int:\n    return 0\n",
    "+    for (int i = 0; i < 10; ++i) { x[i] *= 3.14159; }",
    "@@ -12,7 +12,9 @@ class Reader(Protocol):",
    "diff --git a/src/app.ts b/src/app.ts\nindex 83db48f..bf269f4 100644",
    "const re = /^(?<a>\\d+)\\s*$/gi; // it's what they'd've said",
    "SELECT * FROM t WHERE a >= '2024-01-01' AND b != 0x1F;",
    '#!/bin/sh\r\nset -eu\r\n\techo "$HOME"\r\n',
    '{"key": [1, 22, 333, 4444], "käy": "välue", "\\u00e9": null}',
    "feat(core)!: don't drop the user's last line\n\nBREAKING CHANGE: we'll see; I'M SURE IT'LL WORK\n",
)
_SCRIPTS = (
    "größe naïve Ångström œuvre",
    "提交信息：修复了解析器的错误。",
    "コミットメッセージを生成する",
    "커밋 메시지를 생성합니다",
    "Сообщение коммита",
    "رسالة الالتزام",
    "संदेश लिखें",
    "ข้อความ",
    "🙂 👩🏽‍💻 🇩🇪 ✅ 🏳️‍🌈",
    "∑_{i=0}^{n} x² ≠ ½ − ¾ ± ∞ → ⇒",
    "a\u200bb\u00a0c\u3000d\u2028e\ufefff",
    "ⅷ ٣٤ ⒈ 𝟘𝟙 ௧",
)
_BLANKS = (" ", "  ", "    ", "\t", "\n", "\n\n", "\r\n", " \n ", "\t\t  \n", "   \n\n\n   ")
_LOOK_ALIKES = (
    "<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|im_end", "im_end|>", "<| im_end |>", "<|im_end|>\n", "[PAD5]",
    "### Response:", "<s>", "</s>", "<unk>", "<|IM_END|>", "Ġ", "Ċ", "<0x0A>", "<｜end▁of▁sentence｜>",
)  # fmt: skip


def mixed_strings(count: int, seed: int = 0) -> list[str]:
    """Return `count` different strings in Unicode's composed form; the empty one among them."""
    choice = random.Random(seed)
    found = {"": None}
    while len(found) < count:
        parts = [_part(choice) for _ in range(choice.randint(1, 6))]
        text = choice.choice(("", "", " ", "\n")).join(parts)
        found[unicodedata.normalize("NFC", text)] = None
    return list(found)


def _part(choice: random.Random) -> str:
    text = choice.choice(choice.choice((_CODE, _SCRIPTS, _BLANKS, _LOOK_ALIKES, _CODE, _SCRIPTS)))
    kind = choice.random()
    if kind < 0.3:
        begin = choice.randrange(len(text))
        return text[begin : begin + choice.randint(1, 12)]
    if kind < 0.4:
        return str(choice.randrange(10 ** choice.randint(1, 12)))
    if kind < 0.5:
        return "".join(chr(choice.randint(0x20, 0x2FF)) for _ in range(choice.randint(1, 8)))
    return text
