"""Which language a commit is written in, told from the names of the files that it changes.

Decides by added and removed lines: the language with most of them, where there is source or a test among source and
tests alone. A file whose name says nothing counts as `other`.
"""

from collections import Counter
from pathlib import PurePosixPath

from joco_mlx.commit.diff import parse_diff
from joco_mlx.commit.record import Record

OTHER = "other"
_CODE = ("source", "test")
_ENDINGS = {
    "C": "c h",
    "C#": "cs csx",
    "C++": "cc cpp cxx hh hpp hxx",
    "CSS": "css less pcss sass scss styl",
    "Clojure": "clj cljc cljs edn",
    "Dart": "dart",
    "Elixir": "ex exs",
    "Erlang": "erl hrl",
    "Go": "go",
    "Groovy": "gradle groovy",
    "HTML": "ejs hbs htm html njk",
    "Haskell": "hs",
    "Java": "java",
    "JavaScript": "cjs js jsx mjs",
    "Kotlin": "kt kts",
    "Lua": "lua",
    "Markdown and text": "adoc md mdx rst txt",
    "Nix": "nix",
    "OCaml": "ml mli",
    "Objective-C": "m mm",
    "PHP": "php",
    "Perl": "pl pm",
    "Protobuf": "proto",
    "Python": "ipynb py pyi pyx",
    "R": "r",
    "Ruby": "erb gemspec rake rb",
    "Rust": "rs",
    "SQL": "sql",
    "Scala": "sbt scala",
    "Shell": "bash bat fish ps1 sh zsh",
    "Svelte": "svelte",
    "Swift": "swift",
    "TypeScript": "cts mts ts tsx",
    "Vue": "vue",
    "Zig": "zig",
    "data and settings": "cfg conf csv env ini json json5 jsonc lock properties svg toml xml yaml yml",
}
_OF_ENDING = {ending: name for name, endings in _ENDINGS.items() for ending in endings.split()}
_OF_NAME = {
    "dockerfile": "Docker",
    "gemfile": "Ruby",
    "jenkinsfile": "Groovy",
    "makefile": "Make",
    "rakefile": "Ruby",
}


def language_of(path: str) -> str:
    """Return the language of a file, by its name alone."""
    file = PurePosixPath(path)
    return _OF_NAME.get(file.name.lower()) or _OF_ENDING.get(file.suffix[1:].lower(), OTHER)


def language_of_record(record: Record) -> str:
    """Return the language in which most of a record's lines are changed; `other` when there is no line."""
    code: Counter[str] = Counter()
    rest: Counter[str] = Counter()
    for change in parse_diff(record.input):
        lines = change.added + change.deleted
        if lines:
            (code if change.kind in _CODE else rest)[language_of(change.path)] += lines
    counts = code or rest
    return min(counts, key=lambda name: (-counts[name], name)) if counts else OTHER
