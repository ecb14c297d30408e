"""Drivers as a forest plot: one odds ratio with its interval per row."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cjm_analytics.charts import theme
from cjm_analytics.charts.text import plain, told_apart

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go

__all__ = ["drivers_chart"]

_ROW, _WIDTH, _ROOM = 30, 920, 200
_MOST = 24
_FINE = 1_000
"""Up to so many times from end to end, the axis has marks at 1, 2 and 5; beyond, at powers of ten."""


def drivers_chart(frame: pd.DataFrame, *, subtitle: str, warning: str = "") -> go.Figure:
    """One row per event or property, the strongest association with success on top.

    Filled marks are clear associations, hollow grey ones are not. At most 24 rows, those furthest from 1.

    Parameters
    ----------
    frame : DataFrame
        Columns of `Drivers.to_frame()`.
    subtitle : str
        What was compared.
    warning : str
        What to know before reading it.
    """
    import plotly.graph_objects as go

    rows = frame[frame["reliability"] != "hidden"]
    strength = np.abs(np.log(rows["odds_ratio"].to_numpy(dtype=float)))
    weaker = max(len(rows) - _MOST, 0)
    rows = rows.iloc[np.argsort(-strength, kind="stable")[:_MOST]]
    rows = rows.sort_values("odds_ratio", ascending=False, kind="stable").reset_index(drop=True)
    hidden = int((frame["reliability"] == "hidden").sum())
    left_out = [f"{hidden:,} rows of too few units"] * bool(hidden) + [f"{weaker:,} nearer to 1"] * bool(
        weaker
    )
    notes = [one for one in (warning, f"Not shown: {' and '.join(left_out)}." if left_out else "") if one]
    figure = theme.figure(
        "What is associated with conversion",
        subtitle="<br>".join([subtitle, *notes]),
        height=150 + 18 * len(notes) + _ROW * max(len(rows), 2) + 60,
        width=_WIDTH,
    )
    low = float(rows["low"].min()) if len(rows) else 0.5
    high = float(rows["high"].max()) if len(rows) else 2.0
    low, high = min(low, 0.8) / 1.1, max(high, 1.25) * 1.1
    steps = (1, 2, 5) if high / low <= _FINE else (1,)
    marks = [step * 10.0**power for power in range(-9, 10) for step in steps]
    marks = [one for one in marks if low <= one <= high]
    figure.add_vline(x=1, line={"color": theme.MUTED, "width": 1})
    for association, colour, symbol, name in (
        ("success", theme.CONTINUED, "circle", "more success with it"),
        ("failure", theme.DROPPED, "diamond", "less success with it"),
        ("no clear association", theme.MUTED, "circle-open", "no clear association"),
    ):
        mine = rows[rows["association"] == association]
        figure.add_trace(
            go.Scatter(
                x=mine["odds_ratio"],
                y=mine.index,
                name=name,
                mode="markers",
                marker={"size": 10, "symbol": symbol, "color": colour},
                error_x=theme.whiskers(mine, "odds_ratio", colour, thickness=1.6, width=4),
                customdata=np.column_stack(
                    [
                        [plain(driver) for driver in mine["driver"]],
                        *(
                            mine[column]
                            for column in (
                                "low", "high", "success_with", "n_with", "conversion_with",
                                "success_without", "n_without", "conversion_without", "q_value",
                            )
                        ),
                    ]
                ),
                hovertemplate=(
                    "<b>%{customdata[0]}</b><br>odds ratio %{x:.2f} (%{customdata[1]:.2f} to "
                    "%{customdata[2]:.2f})<br>with: %{customdata[3]:,} of %{customdata[4]:,} "
                    "(%{customdata[5]:.1%})<br>without: %{customdata[6]:,} of %{customdata[7]:,} "
                    "(%{customdata[8]:.1%})<br>q %{customdata[9]:.3g}<extra></extra>"
                ),
            )
        )  # fmt: skip
    _add_counts(figure, rows)
    top = 118 + 18 * len(notes)
    figure.update_layout(
        margin={"t": top, "r": 250, "b": 60},
        title={"y": 1 - 26 / figure.layout.height, "yanchor": "top"},
        legend={"y": 1 + 8 / (figure.layout.height - top - 60)},
    )
    figure.update_xaxes(
        type="log",
        range=[np.log10(low), np.log10(high)],
        tickvals=marks,
        ticktext=[f"{one:,g}" for one in marks],
        title_text="Odds ratio of success, with it against without it",
        zeroline=False,
    )
    figure.update_yaxes(
        tickvals=list(range(len(rows))),
        ticktext=[plain(name) for name in told_apart(rows["driver"], _ROOM, 12)],
        range=[max(len(rows), 1) - 0.4, -0.6],
        showgrid=False,
        zeroline=False,
        ticklabelstandoff=8,
    )
    if not len(rows):
        theme.say_instead(figure, "Nothing to compare: too few units.")
    return figure


def _add_counts(figure: go.Figure, rows: pd.DataFrame) -> None:
    """Beside each row: how many units have it, and the conversion with and without it."""

    def note(x: int, y: float, text: str, **more: object) -> None:
        figure.add_annotation(
            x=1, xref="paper", xshift=x, y=y, text=text, showarrow=False, xanchor="right", **more
        )

    columns = ((66, "have it"), (148, "success"), (232, "without it"))
    for x, name in columns if len(rows) else ():
        note(x, 1, name, yref="paper", yshift=10, font={"size": 12, "color": theme.MUTED})
    for number, row in enumerate(rows.to_dict("records")):
        cells = (theme.count(row["n_with"]), theme.percent(row["conversion_with"]))
        for (x, _), text in zip(columns, (*cells, theme.percent(row["conversion_without"])), strict=True):
            note(x, number, text, font={"size": 12, "color": theme.INK})
