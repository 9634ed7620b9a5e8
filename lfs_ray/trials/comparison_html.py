"""The comparison as one HTML page that needs nothing else: no script, no font, no link.

After `comparison_table`, `comparison_text` and `forest_plot`; the last step of a comparison.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

import pandas as pd

from lfs_ray.trials.comparison_text import READING, display_tables
from lfs_ray.trials.corrections import BEST_BASELINE, BETTER, WORSE
from lfs_ray.trials.forest_plot import forest_plot

_STYLE = """
:root { color-scheme: light dark; --page: #ffffff; --ink: #1d2733; --faint: #d3d9e0;
  --unclear: #67727f; --better: #0b6e3b; --worse: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --page: #14181d; --ink: #e3e8ee; --faint: #39424d;
  --unclear: #9aa7b5; --better: #5fd394; --worse: #ff8f87; } }
body { background: var(--page); color: var(--ink); margin: 2rem auto; max-width: 78rem;
  padding: 0 1rem; font: 15px/1.5 system-ui, sans-serif; }
h2 { margin-top: 2.5rem; } h3 { margin-bottom: .3rem; }
div { overflow-x: auto; }
table { border-collapse: collapse; margin: .8rem 0; font-size: 13px;
  font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .7rem; border-bottom: 1px solid var(--faint); text-align: right;
  white-space: nowrap; }
th.word, td.word { text-align: left; }
tr.best td { font-weight: 600; }
td.better, .better { color: var(--better); } td.worse, .worse { color: var(--worse); }
svg { font: 12px system-ui, sans-serif; max-width: none; }
svg text { fill: currentColor; }
svg .grid { stroke: var(--faint); } svg .zero { stroke: var(--ink); }
svg .interval { stroke-width: 2; }
svg .unclear { stroke: var(--unclear); fill: var(--unclear); }
svg .better { stroke: var(--better); fill: var(--better); }
svg .worse { stroke: var(--worse); fill: var(--worse); }
svg .hollow { fill: none; stroke-width: 2; }
"""
_WORDS = frozenset({"method", "verdict"})
_MARKED = {BETTER: "better", WORSE: "worse"}


def html_page(
    title: str, tables: Iterable[tuple[str, pd.DataFrame]], notes: Sequence[str] = ()
) -> str:
    """One page with every table and its plots.

    Args:
        title: heading of the page.
        tables: heading and `comparison_table.comparison_frame` of each, such as equal budget
            and equal lineage length.
        notes: paragraphs below, plain text; what a reader must know of how it was made.

    Returns:
        HTML, all texts escaped; the same bytes for the same arguments.
    """
    sections = "\n".join(_section(heading, frame) for heading, frame in tables)
    listed = "".join(f"<li>{html.escape(note)}</li>\n" for note in (READING, *notes))
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f"<h1>{html.escape(title)}</h1>\n{sections}\n<h2>Notes</h2>\n<ul>\n{listed}</ul>\n"
        f"</body>\n</html>\n"
    )


def _section(heading: str, frame: pd.DataFrame) -> str:
    parts = [f"<h2>{html.escape(heading)}</h2>"]
    for name, cells in display_tables(frame):
        parts.append(f"<h3>{html.escape(name)}</h3>")
        parts.append(f"<div>\n{forest_plot(frame, name)}\n</div>")
        parts.append(f"<div>\n{_table(cells)}\n</div>")
    return "\n".join(parts)


def _table(cells: Sequence[Sequence[str]]) -> str:
    heads = cells[0]
    head = "".join(f"<th{_class(name, name)}>{html.escape(name)}</th>" for name in heads)
    lines = []
    for row in cells[1:]:
        best = ' class="best"' if BEST_BASELINE in row[1:] else ""
        body = "".join(
            f"<td{_class(name, text)}>{html.escape(text)}</td>"
            for name, text in zip(heads, row, strict=True)
        )
        lines.append(f"<tr{best}>{body}</tr>")
    rows = "\n".join(lines)
    return f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}\n</tbody>\n</table>"


def _class(head: str, text: str) -> str:
    if head not in _WORDS:
        return ""
    marked = _MARKED.get(text, "") if head == "verdict" else ""
    return f' class="{" ".join(filter(None, ["word", marked]))}"'
