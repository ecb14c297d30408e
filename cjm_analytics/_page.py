"""Sections with charts and tables in, one self-contained HTML page out."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from cjm_analytics._card import shown
from cjm_analytics.charts.theme import FONT, GRID, INK, MUTED
from cjm_analytics.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import plotly.graph_objects as go

__all__ = ["WIDTH", "Exhibit", "Section", "cells", "numeric", "page", "write"]

_TEXT = 1120
_BLEED = 24
"""Charts have a margin of their own; they reach so far out of the text that what they draw aligns with it."""

WIDTH = _TEXT + 2 * _BLEED
"""Pixels that a chart may take, so that the page reads well in a window of 1200."""

_LEAST = 1100
"""Narrower a chart is not drawn: in a smaller window it is scrolled."""

_ROWS = 200
"""A table shows at most so many rows."""


@dataclass(frozen=True)
class Exhibit:
    """A chart with the sentence that reads it and the tables behind it; `fixed`: its size must not change."""

    key: str
    reading: str
    figure: go.Figure | None
    tables: Sequence[tuple[str, pd.DataFrame]]
    fixed: bool = False


@dataclass(frozen=True)
class Section:
    """A chapter of the page; `missing` says why it has no exhibit."""

    key: str
    title: str
    intro: str
    exhibits: Sequence[Exhibit] = ()
    missing: str = ""


_STYLE = f"""
:root {{ --ink: {INK}; --muted: {MUTED}; --line: {GRID}; --accent: #0b5394; }}
* {{ box-sizing: border-box; }}
html {{ scroll-behavior: smooth; }}
body {{ margin: 0; color: var(--ink); background: #fff; font: 15px/1.55 {FONT}; }}
main, header, footer {{ max-width: {_TEXT + 64}px; margin: 0 auto; padding: 0 32px; }}
header {{ padding-top: 44px; }}
h1 {{ font-size: 34px; line-height: 1.2; margin: 0 0 6px; letter-spacing: -.01em; overflow-wrap: anywhere; }}
.sub {{ color: var(--muted); margin: 0; overflow-wrap: anywhere; }}
.facts {{ display: flex; flex-wrap: wrap; gap: 12px 44px; margin: 26px 0 0; padding: 20px 0; list-style: none;
  border-top: 3px solid var(--accent); border-bottom: 1px solid var(--line); }}
.facts b {{ display: block; font-size: 26px; line-height: 1.2; font-variant-numeric: tabular-nums; }}
.facts span {{ color: var(--muted); font-size: 13px; }}
nav ol {{ display: flex; flex-wrap: wrap; gap: 4px 28px; list-style: none; padding: 14px 0 0; margin: 0;
  counter-reset: toc; }}
nav li {{ counter-increment: toc; }}
nav li::before {{ content: counter(toc) "  "; color: var(--muted); font-variant-numeric: tabular-nums; }}
nav a {{ color: var(--accent); text-decoration: none; }}
nav a:hover, nav a:focus {{ text-decoration: underline; }}
section {{ padding: 46px 0 6px; counter-increment: section; }}
main {{ counter-reset: section; }}
h2 {{ font-size: 23px; line-height: 1.25; margin: 0; padding-top: 14px; border-top: 1px solid var(--line); }}
h2::before {{ content: counter(section); color: var(--muted); font-weight: 400; margin-right: 12px; }}
.intro {{ color: var(--muted); margin: 4px 0 0; max-width: 78ch; }}
.reading {{ font-size: 17px; line-height: 1.5; margin: 16px 0 6px; max-width: 78ch;
  overflow-wrap: anywhere; }}
.missing {{ margin: 16px 0; padding: 14px 18px; background: #f6f7f9; border-left: 3px solid #b8c1ca;
  max-width: 78ch; }}
figure {{ margin: 0; }}
.chart {{ margin: 0 -{_BLEED}px; overflow-x: auto; overflow-y: hidden; }}
@media screen {{ .chart > div {{ min-width: {_LEAST}px; }} }}
.tables {{ display: flex; flex-wrap: wrap; gap: 0 72px; }}
details {{ margin: 8px 0 0; border-top: 1px solid var(--line); padding: 8px 0; }}
summary {{ cursor: pointer; color: var(--accent); font-size: 14px; width: max-content; max-width: 100%; }}
.scroll {{ overflow-x: auto; margin-top: 8px; }}
table {{ border-collapse: collapse; font-size: 13px; line-height: 1.4; }}
caption {{ text-align: left; color: var(--muted); padding-bottom: 4px; }}
th, td {{ padding: 4px 18px 4px 0; border-bottom: 1px solid var(--line); text-align: left;
  vertical-align: top; overflow-wrap: anywhere; }}
td {{ min-width: 3.5em; max-width: 42ch; }}
th {{ font-weight: 600; white-space: nowrap; }}
.number {{ text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }}
footer {{ color: var(--muted); font-size: 13px; padding-top: 30px; padding-bottom: 40px; }}
@page {{ size: A4 landscape; margin: 11mm; }}
@media print {{
  body {{ font-size: 12px; }}
  main, header, footer {{ max-width: none; padding-left: 0; padding-right: 0; }}
  header {{ padding-top: 0; }}
  section {{ break-before: page; padding-top: 0; }}
  h2 {{ border-top: 0; padding-top: 0; }}
  figure {{ break-inside: avoid; }}
  h2, h2 + p {{ break-after: avoid; }}
  .chart {{ overflow: visible; margin: 0; zoom: .88; }}
  .whole {{ zoom: .71; }}
  section:first-child {{ break-before: auto; padding-top: 24px; }}
  .tables {{ gap: 0 32px; }}
  .reading {{ font-size: 13px; margin: 6px 0 0; }}
  details:not([open]) {{ display: none; }}
  summary, nav {{ display: none; }}
}}
"""

# Nothing may be fetched, whatever a browser or a chart library would like.
_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; "
    "font-src data:; base-uri 'none'; form-action 'none'"
)
_CONFIG = {"displaylogo": False, "displayModeBar": False, "responsive": True, "showTips": False}


def page(title: str, line: str, facts: Sequence[tuple[str, str]], sections: Sequence[Section]) -> str:
    """The whole page.

    Parameters
    ----------
    title, line : str
        Above everything: the subject, and what the data are.
    facts : sequence of pairs of str
        The few numbers that people quote, each with its label.
    sections : sequence of Section
    """
    from plotly.offline import get_plotlyjs

    links = "".join(f'<li><a href="#{one.key}">{escape(one.title)}</a></li>' for one in sections)
    tiles = "".join(f"<li><b>{escape(value)}</b><span>{escape(label)}</span></li>" for value, label in facts)
    body = "\n".join(_section(one) for one in sections)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<link rel="icon" href="data:,">
<style>{_STYLE}</style>
<script>{get_plotlyjs()}</script>
</head>
<body>
<header>
<h1>{escape(title)}</h1>
<p class="sub">{escape(line)}</p>
<ul class="facts" aria-label="Key figures">{tiles}</ul>
<nav aria-label="Contents"><ol>{links}</ol></nav>
<noscript><p class="missing">The charts need JavaScript. The tables hold the same numbers.</p></noscript>
</header>
<main>
{body}
</main>
<footer>Shares stand with the number that they are of. Ranges in brackets are confidence intervals.</footer>
</body>
</html>
"""


def _section(section: Section) -> str:
    parts = [f'<section id="{section.key}" aria-labelledby="{section.key}-title">']
    parts.append(f'<h2 id="{section.key}-title">{escape(section.title)}</h2>')
    if section.intro:
        parts.append(f'<p class="intro">{escape(section.intro)}</p>')
    if section.missing:
        parts.append(f'<p class="missing">{escape(section.missing)}</p>')
    parts += [_exhibit(one) for one in section.exhibits]
    return "\n".join([*parts, "</section>"])


def _exhibit(exhibit: Exhibit) -> str:
    caption = f'<figcaption class="reading">{escape(exhibit.reading)}</figcaption>'
    parts = []
    if exhibit.figure is not None:
        figure = exhibit.figure if exhibit.fixed else _fitting(exhibit.figure)
        chart = figure.to_html(
            full_html=False, include_plotlyjs=False, div_id=f"chart-{exhibit.key}",
            config={**_CONFIG, "responsive": not exhibit.fixed},
        )  # fmt: skip
        label = escape(exhibit.reading, quote=True)
        kind = "chart whole" if exhibit.fixed else "chart"
        picture = f'<div class="{kind}" role="img" aria-label="{label}">{chart}</div>'
        parts.append(f"<figure>{caption}{picture}</figure>")
    if exhibit.figure is None:
        tables = [f'<div class="scroll">{_table(name, frame)}</div>' for name, frame in exhibit.tables]
        parts.append(f'<figure>{caption}<div class="tables">{"".join(tables)}</div></figure>')
    else:
        parts += [
            f'<details><summary>Table: {escape(name[:1].lower() + name[1:])}</summary><div class="scroll">'
            f"{_table(name, frame)}</div></details>"
            for name, frame in exhibit.tables
        ]
    return "\n".join(parts)


def _fitting(figure: go.Figure) -> go.Figure:
    """A copy of the figure that is as wide as the page."""
    return type(figure)(figure).update_layout(width=None, autosize=True)


def cells(frame: pd.DataFrame) -> list[list[str]]:
    """The values of a frame as people read them, column by column: shares in percent, durations in short.

    Examples
    --------
    >>> cells(pd.DataFrame({"step": ["cart"], "reached": [1200], "conversion": [0.125]}))
    [['cart'], ['1,200'], ['12.5 %']]
    """
    # Scores are no shares, and neither are their intervals.
    shares = _SHARES - ({"low", "high"} if "score" in frame else set())
    return [[_cell(value, share=name in shares) for value in frame[name]] for name in frame]


def numeric(frame: pd.DataFrame) -> list[bool]:
    """Which columns are numbers or lengths of time: they stand to the right."""
    return [
        pd.api.types.is_numeric_dtype(frame[name]) or pd.api.types.is_timedelta64_dtype(frame[name])
        for name in frame
    ]


def _table(name: str, frame: pd.DataFrame) -> str:
    shown_rows = frame.head(_ROWS)
    kinds = [' class="number"' if number else "" for number in numeric(frame)]
    head = "".join(
        f'<th scope="col"{kind}>{escape(str(column).replace("_", " "))}</th>'
        for column, kind in zip(frame, kinds, strict=True)
    )
    body = "".join(
        "<tr>"
        + "".join(f"<td{kind}>{escape(cell)}</td>" for cell, kind in zip(row, kinds, strict=True))
        + "</tr>"
        for row in zip(*cells(shown_rows), strict=True)
    )
    more = len(frame) - _ROWS
    rest = f"<p class='intro'>and {more:,} more rows</p>" if more > 0 else ""
    caption = f"<caption>{escape(name)}</caption>"
    return f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{rest}"


_SHARES = {
    "share", "cumulative_share", "conversion", "step_conversion", "settled_conversion", "drop_off", "low",
    "high", "response_rate",
}  # fmt: skip


def _cell(value: Any, *, share: bool) -> str:  # noqa: ANN401 - any value of a frame
    plain = value.item() if hasattr(value, "item") else value
    if isinstance(plain, tuple):
        return ", ".join(str(one) for one in plain)
    return shown(plain, share=share)


def write(path: Path, text: str) -> None:
    """Put the whole page in place in one step, so that nobody ever reads half of it."""
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    except OSError as fault:
        raise InputError(
            f"The report cannot be written to {str(path.parent)!r}: {fault.strerror}."
        ) from fault
    part = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
        part.chmod(0o644)
        part.replace(path)
    except OSError as fault:
        raise InputError(f"The report cannot be written to {str(path)!r}: {fault.strerror}.") from fault
    finally:
        part.unlink(missing_ok=True)
