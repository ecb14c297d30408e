"""Facts and a frame in, HTML out: the card that results show in a notebook.

No scripts, no links, no colours of its own (`currentColor`), so that it reads in light and dark themes.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

import pandas as pd

from cjm_analytics.durations import MINUTE, readable

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["card", "table"]

_ROWS = 20
_FRAME = "font-family:system-ui,sans-serif;font-size:13px;line-height:1.4;color:inherit"
_CELL = "padding:2px 10px 2px 0;border-bottom:1px solid color-mix(in srgb,currentColor 15%,transparent)"
_SHARES = {
    "share", "cumulative_share", "conversion", "step_conversion", "settled_conversion", "drop_off",
    "low", "high", "response_rate", "survival", "incidence", "bot_share", "known_share",
    "test_share",
}  # fmt: skip


def card(
    title: str, facts: Mapping[str, str], frame: pd.DataFrame, *, note: str = "", percent: bool = True
) -> str:
    """A title, a line of facts, then the first rows of the table.

    Parameters
    ----------
    title : str
    facts : mapping of str to str
        Shown as `name value`, in order.
    frame : DataFrame
        Shares are written as percentages (unless `percent=False`), durations in short, at most 20 rows.
    note : str
        A sentence below the table.
    """
    line = " · ".join(f"{escape(name)} <b>{escape(value)}</b>" for name, value in facts.items())
    foot = f"<div style='opacity:.7;margin-top:4px'>{escape(note)}</div>" if note else ""
    return (
        f"<div style='{_FRAME}'><div style='font-size:15px;font-weight:600'>{escape(title)}</div>"
        f"<div style='opacity:.8;margin:2px 0 6px'>{line}</div>{table(frame, percent=percent)}{foot}</div>"
    )


def table(frame: pd.DataFrame, *, percent: bool = True, rows: int = _ROWS) -> str:
    """The first rows of a frame as a plain HTML table; numbers are aligned to the right."""
    numeric = [
        pd.api.types.is_numeric_dtype(frame[name]) or pd.api.types.is_timedelta64_dtype(frame[name])
        for name in frame
    ]
    align = ["right;white-space:nowrap" if number else "left" for number in numeric]
    head = "".join(
        f"<th style='{_CELL};text-align:{side};font-weight:600'>{escape(str(name).replace('_', ' '))}</th>"
        for name, side in zip(frame, align, strict=True)
    )
    shares = [percent and name in _SHARES for name in frame]
    body = "".join(
        "<tr>"
        + "".join(
            f"<td style='{_CELL};text-align:{side}'>{escape(shown(value, share=share))}</td>"
            for value, side, share in zip(row, align, shares, strict=True)
        )
        + "</tr>"
        for row in frame.head(rows).itertuples(index=False, name=None)
    )
    more = len(frame) - rows
    rest = (
        f"<div style='opacity:.7'>and {more:,} more rows: <code>to_frame()</code></div>" if more > 0 else ""
    )
    return (
        "<table style='border-collapse:collapse;color:inherit;background:none'>"
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{rest}"
    )


def shown(value: object, *, share: bool = False) -> str:
    """One value for human eyes.

    Examples
    --------
    >>> shown(0.1234, share=True), shown(1234567), shown(None), shown(pd.Timedelta("90 min"))
    ('12.3 %', '1,234,567', '–', '1 h 30 min')
    """
    if value is None or value is pd.NaT or (isinstance(value, float) and pd.isna(value)) or value is pd.NA:
        return "–"
    if isinstance(value, pd.Timedelta):
        length = value.value // 1_000
        return readable(length) if length >= MINUTE or length % 1_000_000 == 0 else f"{length / 1e6:.1f} s"
    if isinstance(value, pd.Timestamp):
        return value.strftime("%Y-%m-%d %H:%M")
    if isinstance(value, bool):
        return "yes" if value else "no"
    return _number(value, share=share) if isinstance(value, int | float) else str(value)


def _number(value: float, *, share: bool) -> str:
    if share:
        return f"{100 * value:.1f} %"
    whole = isinstance(value, int) or abs(value) >= 1_000  # noqa: PLR2004 - beyond, decimals say nothing
    return f"{value:,.0f}" if whole else f"{value:,.3g}"
