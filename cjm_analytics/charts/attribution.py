"""Credit by several models side by side: a mark per model in the row of each name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cjm_analytics.charts import theme
from cjm_analytics.charts.text import plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    import plotly.graph_objects as go

__all__ = ["attribution_chart"]

_WIDTH, _LABELS, _MOST = 900, 200, 30
_TALLEST = 1_500
_TOP, _BOTTOM = 124, 60
_SYMBOLS = ("circle", "diamond", "square", "triangle-up", "cross", "star", "hexagon", "x")


def attribution_chart(
    frame: pd.DataFrame, *, by: str, models: Sequence[str], conversions: int, without: int, order: int
) -> go.Figure:
    """The largest names on top, with the interval of each share; at most 30, fewer of many models.

    Parameters
    ----------
    frame : DataFrame
        Columns of `Attribution.to_frame()`.
    by : str
        What the names are.
    models : sequence of str
        In the order of the legend.
    conversions, without : int
        Ways to the goal, and to nothing.
    order : int
        Of the Markov chain.
    """
    import plotly.graph_objects as go

    mean = frame.groupby(by, sort=False)["share"].mean()
    names = sorted(mean.index, key=lambda name: (-mean[name], str(name)))
    row_height = max(30, 11 * len(models) + 10)
    most = min(_MOST, _TALLEST // row_height)
    shown = names[:most]
    height = _TOP + _BOTTOM + row_height * max(len(shown), 1)
    said = [theme.counted(conversions, "conversion"), f"{theme.counted(without, 'way')} to none"]
    if len(names) > len(shown):
        rest = float(mean[names[most:]].sum())
        said.append(f"{len(names) - len(shown):,} more share {theme.percent(rest)}")
    figure = theme.figure(
        f"How much credit each {by} gets", subtitle=" · ".join(said), height=height, width=_WIDTH
    )
    place = {name: number for number, name in enumerate(shown)}
    palette = theme.colours(models)
    for number, model in enumerate(models):
        mine = frame[(frame["model"] == model) & frame[by].isin(shown)]
        if not len(mine):
            continue
        offset = (number - (len(models) - 1) / 2) * 0.72 / max(len(models), 1)
        sure = mine["low"].notna().any()
        error = theme.whiskers(mine, "share", palette[model], thickness=1.2, width=0) if sure else None
        label = model.replace("_", " ") + (f" (order {order})" if model == "markov" and order > 1 else "")
        figure.add_trace(
            go.Scatter(
                x=mine["share"],
                y=[place[name] + offset for name in mine[by]],
                mode="markers",
                name=label,
                error_x=error,
                cliponaxis=False,
                marker={"size": 8, "color": palette[model], "symbol": _SYMBOLS[number % len(_SYMBOLS)]},
                customdata=np.column_stack(
                    [[plain(name) for name in mine[by]], mine["conversions"], mine["low"], mine["high"]]
                ),
                hovertemplate=f"<b>%{{customdata[0]}}</b>, {label}<br>%{{x:.1%}} "
                "(%{customdata[2]:.1%} to %{customdata[3]:.1%})<br>%{customdata[1]:,.1f} of "
                f"{theme.counted(conversions, 'conversion')}<extra></extra>",
            )
        )
    for line in range(1, len(shown)):
        figure.add_hline(y=line - 0.5, line={"color": theme.GRID, "width": 1})
    figure.update_layout(
        margin={"t": _TOP, "b": _BOTTOM, "l": _LABELS + 20, "r": 40},
        title={"y": 1 - 26 / height, "yanchor": "top"},
        legend={"y": 1 + 8 / (height - _TOP - _BOTTOM), "yanchor": "bottom"},
    )
    top = 1.05 * float(np.nanmax([*frame["share"], *frame["high"], 0.01]))
    figure.update_xaxes(
        title_text="Share of the credit", range=[0, top], zeroline=False, **theme.share_axis(top)
    )
    theme.label_rows(figure, shown, _LABELS)
    return figure
