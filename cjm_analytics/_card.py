"""Facts and a frame in, HTML or text out: the card that a result shows in a notebook or a terminal.

The HTML has no scripts, no links, no colours of its own (`currentColor`): it reads in light and dark themes.
"""

from __future__ import annotations

import shutil
from abc import ABC, abstractmethod
from dataclasses import dataclass
from html import escape
from numbers import Integral, Real
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from cjm_analytics.durations import MINUTE, readable

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Card", "Shown", "plain", "shown", "table"]

_ROWS = 20
_WIDTH = 120
"""Characters, where the terminal does not tell."""
_FRAME = "font-family:system-ui,sans-serif;font-size:13px;line-height:1.4;color:inherit"
_CELL = "padding:2px 10px 2px 0;border-bottom:1px solid color-mix(in srgb,currentColor 15%,transparent)"
_SHARES = {
    "share", "cumulative_share", "conversion", "step_conversion", "settled_conversion", "drop_off",
    "low", "high", "response_rate", "survival", "incidence", "bot_share", "known_share", "test_share",
    "share_in", "at_least", "to_goal",
}  # fmt: skip


@dataclass(frozen=True)
class Card:
    """A title, a line of facts, then the first rows of the table.

    Attributes
    ----------
    title : str
    facts : mapping of str to str
        Shown as `name value`, in order.
    frame : DataFrame
        Shares are written as percentages (unless `percent=False`), durations in short, at most 20 rows.
    note : str
        A sentence below the table.
    """

    title: str
    facts: Mapping[str, str]
    frame: pd.DataFrame
    note: str = ""
    percent: bool = True

    def html(self) -> str:
        """For a notebook."""
        line = " · ".join(f"{escape(name)} <b>{escape(value)}</b>" for name, value in self.facts.items())
        foot = f"<div style='opacity:.7;margin-top:4px'>{escape(self.note)}</div>" if self.note else ""
        return (
            f"<div style='{_FRAME}'><div style='font-size:15px;font-weight:600'>{escape(self.title)}</div>"
            f"<div style='opacity:.8;margin:2px 0 6px'>{line}</div>{table(self.frame, percent=self.percent)}"
            f"{foot}</div>"
        )

    def text(self) -> str:
        """For a terminal."""
        line = " · ".join(f"{name} {value}" for name, value in self.facts.items())
        parts = [f"{self.title}: {line}" if line else self.title, plain(self.frame, percent=self.percent)]
        return "\n\n".join([*parts, *([self.note] if self.note else [])])


class Shown(ABC):
    """What shows itself by a card: in colour and columns in a notebook, as text elsewhere."""

    @abstractmethod
    def _card(self) -> Card:
        """What there is to show."""

    def _repr_html_(self) -> str:
        return self._card().html()

    def __repr__(self) -> str:
        return self._card().text()


def table(frame: pd.DataFrame, *, percent: bool = True, rows: int = _ROWS) -> str:
    """The first rows of a frame as a plain HTML table; numbers are aligned to the right."""
    align = ["right;white-space:nowrap" if number else "left" for number in _numeric(frame)]
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


def plain(frame: pd.DataFrame, *, percent: bool = True, rows: int = _ROWS) -> str:
    """The first rows of a frame as text, wrapped to the width of the terminal; numbers to the right."""
    if frame.empty:
        return "(no rows)"
    columns = []
    for name, number in zip(frame, _numeric(frame), strict=True):
        cells = [shown(value, share=percent and name in _SHARES) for value in frame[name].head(rows)]
        texts = [str(name).replace("_", " "), *cells]
        width = max(map(len, texts))
        columns.append([text.rjust(width) if number else text.ljust(width) for text in texts])
    body = pd.DataFrame({place: texts[1:] for place, texts in enumerate(columns)}).to_string(
        index=False,
        header=[texts[0] for texts in columns],
        line_width=shutil.get_terminal_size((_WIDTH, 0)).columns,
    )
    more = len(frame) - rows
    return body + (f"\nand {more:,} more rows: to_frame()" if more > 0 else "")


def _numeric(frame: pd.DataFrame) -> list[bool]:
    return [
        pd.api.types.is_numeric_dtype(frame[name]) or pd.api.types.is_timedelta64_dtype(frame[name])
        for name in frame
    ]


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
        return value.strftime("%Y-%m-%d" if value == value.normalize() else "%Y-%m-%d %H:%M")
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    return _number(value, share=share) if isinstance(value, Real) else str(value)


def _number(value: Real, *, share: bool) -> str:
    number = float(value)
    if share:
        return f"{100 * number:.1f} %"
    whole = isinstance(value, Integral) or abs(number) >= 1_000  # noqa: PLR2004 - beyond, decimals say nothing
    return f"{number:,.0f}" if whole else f"{number:,.3g}"
