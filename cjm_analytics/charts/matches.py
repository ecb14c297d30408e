"""Patterns as rows: the share of journeys that each fits, and the conversion with and without it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cjm_analytics.charts import theme
from cjm_analytics.charts.text import plain

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go

__all__ = ["matches_chart"]

_ROW, _WIDTH, _LABELS, _MOST = 34, 980, 300, 24
_TOP, _BOTTOM = 118, 56


def matches_chart(frame: pd.DataFrame, *, unit: str, by: str | None, total: int) -> go.Figure:
    """Two panels that share their rows: shares with intervals, then conversion with against without.

    At most 24 rows, in the order of the frame; rows of too few units are left out and counted.

    Parameters
    ----------
    frame : DataFrame
        Columns of `Matches.to_frame()`.
    unit : str
        What is counted.
    by : str, optional
        The column of groups.
    total : int
        How many units there are.
    """
    from plotly import graph_objects as go

    kept = frame[frame["reliability"] != "hidden"]
    rows = kept.head(_MOST).reset_index(drop=True)
    notes = [theme.counted(total, unit)]
    if len(kept) < len(frame):
        few = len(frame) - len(kept)
        notes.append(f"{few:,} pattern{'s' if few > 1 else ''} of too few {unit}s not shown")
    if len(rows) < len(kept):
        notes.append(f"first {len(rows)} of {len(kept):,} rows")
    converts = bool(len(rows)) and bool(rows["conversion_with"].notna().any())
    height = _TOP + _BOTTOM + _ROW * max(len(rows), 1)
    figure = theme.figure(
        f"How many {unit}s a pattern fits" + (", and how often they convert" if converts else ""),
        subtitle=" · ".join(notes),
        height=height,
        width=_WIDTH,
    )
    left = 0.56 if converts else 1.0
    top = 1.35 * max(float(rows["high"].max()) if len(rows) else 0.0, 0.01)
    figure.update_layout(
        margin={"t": _TOP, "b": _BOTTOM, "l": _LABELS + 20, "r": 40},
        title={"y": 1 - 26 / height, "yanchor": "top"},
        xaxis={"domain": [0, left - 0.04], "range": [0, top], "title": {"text": f"Share of {unit}s"},
               "zeroline": False, **theme.share_axis(min(top, 1.0))},
        legend={"y": 1 + 8 / (height - _TOP - _BOTTOM), "x": 1, "xanchor": "right"},
    )  # fmt: skip
    places = list(range(len(rows)))
    figure.add_trace(
        go.Bar(
            x=rows["share"], y=places, orientation="h", width=0.5, showlegend=False,
            marker={"color": theme.CONTINUED},
            error_x=theme.whiskers(rows, "share", theme.INK, thickness=1, width=3),
            customdata=np.column_stack(
                [[plain(one) for one in rows["pattern"]], rows["matched"], rows["units"], rows["low"],
                 rows["high"], rows["matches"]]
            ),
            hovertemplate="<b>%{customdata[0]}</b><br>%{customdata[1]:,} of %{customdata[2]:,} "
            f"{unit}s: %{{x:.1%}} (%{{customdata[3]:.1%}} to %{{customdata[4]:.1%}})<br>"
            "%{customdata[5]:,} matches<extra></extra>",
        )
    )  # fmt: skip
    numbers = [
        f"{theme.percent(row['share'])} · {theme.count(row['matched'])}" for row in rows.to_dict("records")
    ]
    theme.write_beside(figure, rows["high"], places, numbers)
    if converts:
        _add_conversion(figure, rows, left)
    names = [f"{row[by]}: {row['pattern']}" if by else row["pattern"] for row in rows.to_dict("records")]
    theme.label_rows(figure, names, _LABELS)
    if not len(rows):
        figure.update_xaxes(visible=False)
        theme.say_instead(figure, f"Nothing to show: too few {unit}s.")
    return figure


def _add_conversion(figure: go.Figure, rows: pd.DataFrame, left: float) -> None:
    """The second panel: a line from the conversion without the pattern to that with it."""
    from plotly import graph_objects as go

    top = max(float(rows[["conversion_with", "conversion_without"]].max().max()), 0.01)
    figure.update_layout(
        xaxis2={"domain": [left + 0.02, 1], "anchor": "y", "zeroline": False, "range": [0, 1.05 * top],
                "tickfont": {"size": 12}, "gridcolor": theme.GRID, **theme.share_axis(top),
                "title": {"text": "Conversion", "font": {"size": 13, "color": theme.MUTED}}},
    )  # fmt: skip
    for place, row in enumerate(rows.to_dict("records")):
        figure.add_trace(
            go.Scatter(
                x=[row["conversion_without"], row["conversion_with"]], y=[place, place], mode="lines",
                line={"color": theme.MUTED, "width": 2}, xaxis="x2", showlegend=False, hoverinfo="skip",
            )
        )  # fmt: skip
    for column, name, colour, symbol in (
        ("conversion_without", "without it", theme.MUTED, "circle-open"),
        ("conversion_with", "with it", theme.CONTINUED, "circle"),
    ):
        figure.add_trace(
            go.Scatter(
                x=rows[column], y=list(range(len(rows))), mode="markers", name=name, xaxis="x2",
                cliponaxis=False,
                marker={"size": 10, "color": colour, "symbol": symbol, "line": {"width": 2}},
                customdata=np.column_stack(
                    [[plain(one) for one in rows["pattern"]], rows["difference"], rows["difference_low"],
                     rows["difference_high"], rows["q_value"]]
                ),
                hovertemplate=f"<b>%{{customdata[0]}}</b><br>conversion {name} %{{x:.1%}}<br>difference "
                "%{customdata[1]:+.1%} (%{customdata[2]:+.1%} to %{customdata[3]:+.1%}), "
                "q %{customdata[4]:.3g}<extra></extra>",
            )
        )  # fmt: skip
