"""OWNS the prompt: one text for training, suggestion, benchmark and Modelfile.

Decides the words around a diff and where each template puts them. The system turn is always written out, so that no
chat template or server fills in its own. Leaves to the registry which model gets which template and end token, to `fit`
what is kept of a diff, and to `models.tokens` how text becomes ids.
"""

from dataclasses import dataclass

from joco_mlx.commit.fit import CountTokens, fit
from joco_mlx.commit.neutral import neutralise
from joco_mlx.commit.record import INSTRUCTION
from joco_mlx.commit.variants import FULL, Variant
from joco_mlx.config import ANSWER_TOKENS

__all__ = ["SYSTEM", "TEMPLATES", "Template", "diff_budget", "neutralise", "render", "user_text"]

SYSTEM = "You generate conventional commit messages from git diffs. Output only the commit message, nothing else."


@dataclass(frozen=True)
class Template:
    """The words around what the user says, and the token that ends an answer.

    A prompt is `before`, the user's text, `after`; the model goes on with the message and `end_token`. A begin-of-text
    token is not part of it: tokenizers and servers put that in front by themselves.
    """

    name: str
    system_turn: str
    """The system text with everything around it."""
    user_start: str
    user_end: str
    answer_start: str
    end_token: str
    """Ends an answer. A registry entry or a model folder may name another: `dataclasses.replace`."""
    markers: tuple[str, ...]
    """Strings that open or close a turn; in an answer they mean that the model runs on."""

    @property
    def before(self) -> str:
        """Everything in front of the user's text."""
        return self.system_turn + self.user_start

    @property
    def after(self) -> str:
        """Everything between the user's text and the answer."""
        return self.user_end + self.answer_start

    @property
    def stops(self) -> tuple[str, ...]:
        """Where a server has to cut an answer: the end token, then the markers."""
        return tuple(dict.fromkeys((self.end_token, *self.markers)))

    def go_template(self) -> str:
        """Return the TEMPLATE of a Modelfile: `render` of the last user turn, in the language of Go's text/template.

        Every tool that calls a model through Ollama sends a system prompt of its own, and some a worked example: both
        are dropped. Ollama hands over all messages because the template names `.Messages` (its template/template.go).
        """
        return (
            '{{- $text := "" }}{{ range .Messages }}{{ if eq .Role "user" }}{{ $text = .Content }}{{ end }}{{ end -}}\n'
            f"{_go_text(self.before)}{{{{ $text }}}}{_go_text(self.after)}"
        )


def _go_text(text: str) -> str:
    """Return `text` as Go's text/template writes it out unchanged."""
    return text.replace("{{", '{{ "{{" }}')


TEMPLATES = {
    template.name: template
    for template in (
        # Qwen2.5 and SmolLM2: chat_template in their tokenizer_config.json.
        Template(
            name="chatml",
            system_turn=f"<|im_start|>system\n{SYSTEM}<|im_end|>\n",
            user_start="<|im_start|>user\n",
            user_end="<|im_end|>\n",
            answer_start="<|im_start|>assistant\n",
            end_token="<|im_end|>",
            markers=("<|im_start|>", "<|im_end|>"),
        ),
        # chat_template of deepseek-ai/deepseek-coder-1.3b-instruct. There the system text runs into the next heading
        # unless it brings a line feed, as DeepSeek's own text does. Its answers end with a line feed and the end token.
        # We train without that line feed: the message is stripped anyway.
        Template(
            name="deepseek",
            system_turn=f"{SYSTEM}\n",
            user_start="### Instruction:\n",
            user_end="\n",
            answer_start="### Response:\n",
            end_token="<|EOT|>",
            markers=("### Instruction:", "### Response:"),
        ),
        # The guide's form for models without a chat template. The system text stands where Alpaca has its preamble
        # ("Below is an instruction ..."), and our one instruction is part of the template.
        Template(
            name="alpaca",
            system_turn=f"{SYSTEM}\n\n",
            user_start=f"### Instruction:\n{INSTRUCTION}\n\n### Input:\n",
            user_end="\n\n",
            answer_start="### Response:\n",
            end_token="<|endoftext|>",
            markers=("### Instruction:", "### Input:", "### Response:"),
        ),
    )
}


def render(template: Template, user_text: str) -> str:
    """Return the whole prompt, up to where the answer starts.

    `user_text` is taken as it is: text from elsewhere has to go through `user_text()` or `neutralise()` first.
    """
    return template.before + user_text + template.after


def user_text(diff: str, budget: int, count_tokens: CountTokens, variant: Variant = FULL) -> str:
    """Return what stands in the user turn: `diff` with control strings broken up, fitted to `budget` tokens.

    Everybody but training uses the full form; see `variants`.
    """
    text = neutralise(diff)
    room = budget
    while room > 0:
        fitted = fit(text, room, count_tokens, variant.form)
        shown = neutralise(variant.before + fitted + variant.after)  # a path that git had quoted may hold one more
        excess = count_tokens(shown) - budget
        if excess <= 0:
            return shown
        room -= excess
    return ""


def diff_budget(template: Template, max_seq_length: int, count_tokens: CountTokens) -> int:
    """Return how many tokens a diff may have: the sequence less the template and 128 for the answer and its end token.

    One more is kept for a begin-of-text token. Never less than 0. A `count_tokens` that counts control strings as text
    finds more tokens than there will be, which is on the safe side.
    """
    around = count_tokens(template.before) + count_tokens(template.after)
    return max(0, max_seq_length - 1 - around - ANSWER_TOKENS)
