"""The page of a dataset: one HTML file that needs no other, no script and no network.

Decides how the numbers are laid out for a browser: the picture, then every table in full, with a bar in each row.
Every name comes from other people's repositories and is escaped.
"""

import base64
from collections.abc import Mapping
from html import escape

from joco_mlx.dataset.details import Details
from joco_mlx.dataset.token_lengths import LIMITS, SHARES, TokenLengths

_OPEN_ROWS = 25
"""A longer table is folded."""
_STYLE = """\
:root { color-scheme: light dark; --ink: #1f2933; --soft: #616e7c; --bar: #c9dcf0; --page: #ffffff; --line: #e4e7eb; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e7eb; --soft: #9aa5b1; --bar: #2b4a6b; --page: #14181d; --line: #323f4b; }
}
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--page); margin: 2rem auto;
  max-width: 72rem; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.1rem; margin: 0 0 .5rem; } p, caption { color: var(--soft); }
main { display: grid; grid-template-columns: repeat(auto-fit, minmax(20rem, 1fr)); gap: 2rem; }
img { max-width: 100%; height: auto; border: 1px solid var(--line); border-radius: 6px; background: #ffffff; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
td { padding: .15rem .5rem; border-bottom: 1px solid var(--line); overflow-wrap: anywhere; }
td:nth-child(2), td:nth-child(3) { text-align: right; white-space: nowrap; width: 1%; }
td.name { background: linear-gradient(var(--bar), var(--bar)) no-repeat left / var(--share) 100%; }
summary { color: var(--soft); cursor: pointer; padding: .3rem 0; }
"""


def page(shown: Details, picture: bytes) -> str:
    """Return the text of the HTML file.

    Args:
        shown: The dataset.
        picture: Its picture, a PNG.
    """
    stats = shown.stats
    name = escape(shown.name)
    image = base64.b64encode(picture).decode("ascii")
    tables = [
        _table("Types", stats.types, stats.records),
        _table("Languages", shown.languages, stats.records),
        _table("Repositories", stats.repositories, stats.records),
        _table("Scopes", stats.scopes, stats.records),
        _facts("Lengths", _lengths(shown)),
        *([] if shown.tokens is None else [_facts(f"Tokens of {shown.tokens.model}", _tokens(shown.tokens))]),
        *([_table("What became of the commits", shown.funnel, shown.funnel["read"])] if shown.funnel else []),
    ]
    return f"""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{name}: statistics</title>
<style>
{_STYLE}</style>
</head>
<body>
<h1>{name}</h1>
<p>{stats.records:,} records: {stats.train:,} for training, {stats.validation:,} for validation, {stats.test:,} for test.
Made by <code>joco-mlx dataset stats --plot</code>.</p>
<p><img src="data:image/png;base64,{image}" alt="Charts of the numbers in the tables below"></p>
<main>
{chr(10).join(tables)}
</main>
</body>
</html>
"""


def _table(title: str, counts: Mapping[str, int], total: int) -> str:
    rows = [_row(name, count, count / total if total else 0.0) for name, count in counts.items()]
    text = f"<table>\n{chr(10).join(rows[:_OPEN_ROWS])}\n</table>"
    if len(rows) > _OPEN_ROWS:
        rest = chr(10).join(rows[_OPEN_ROWS:])
        text += f"\n<details><summary>{len(rows) - _OPEN_ROWS:,} more</summary><table>\n{rest}\n</table></details>"
    return f"<section><h2>{escape(title)}</h2>\n{text}</section>"


def _row(name: str, count: int, share: float) -> str:
    bar = f'<td class="name" style="--share: {share:.2%}">{escape(name)}</td>'
    return f"<tr>{bar}<td>{count:,}</td><td>{share:.1%}</td></tr>"


def _facts(title: str, facts: Mapping[str, str]) -> str:
    rows = "\n".join(f"<tr><td>{escape(name)}</td><td>{escape(value)}</td></tr>" for name, value in facts.items())
    return f"<section><h2>{escape(title)}</h2>\n<table>\n{rows}\n</table></section>"


def _lengths(shown: Details) -> dict[str, str]:
    stats = shown.stats
    return {
        f"{what}, {which}": f"{value:,.0f} characters"
        for what, lengths in (("diff", stats.diff_chars), ("message", stats.output_chars))
        for which, value in (("shortest", lengths.minimum), ("mean", lengths.mean), ("longest", lengths.maximum))
    }


def _tokens(tokens: TokenLengths) -> dict[str, str]:
    quantiles = {f"{share:.0%} have at most": f"{tokens.quantile(share):,} tokens" for share in SHARES}
    fitting = {f"fit {limit:,} tokens": f"{tokens.share_fitting(limit):.1%}" for limit in LIMITS}
    return quantiles | {"longest": f"{max(tokens.counts, default=0):,} tokens"} | fitting
