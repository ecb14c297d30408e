"""The share of journeys that come back to each name, as bars in the colours of the phases."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cjm_analytics.charts import theme
from cjm_analytics.charts.text import plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    import plotly.graph_objects as go

__all__ = ["rework_chart"]

_ROW, _WIDTH, _LABELS, _MOST = 28, 860, 200, 30
_TOP, _BOTTOM = 104, 60
_ROOM_FOR_NUMBERS = 1.25
"""The axis ends so many times beyond the longest bar."""


def rework_chart(frame: pd.DataFrame, *, road: Sequence[str], of: str, unit: str, units: int) -> go.Figure:
    """A bar per name with the interval of its share; the 30 to which most journeys return.

    Parameters
    ----------
    frame : DataFrame
        Columns of `Rework.to_frame()`, and `phase`.
    road : sequence of str
        The phases in order: their colours.
    of, unit : str
        What the names are; what is counted.
    units : int
        How many there are.
    """
    import plotly.graph_objects as go

    rows = frame.head(_MOST).sort_values(["share", "returned"], ascending=False, kind="stable")
    said = [theme.counted(units, unit)]
    if len(frame) > len(rows):
        said.append(f"{len(frame) - len(rows):,} of {len(frame):,} {of}s, with fewer returns, not shown")
    height = _TOP + _BOTTOM + _ROW * max(len(rows), 1)
    figure = theme.figure(
        f"Which {of}s {unit}s return to", subtitle=" · ".join(said), height=height, width=_WIDTH
    )
    palette = theme.phase_colours(road) if road else {}
    plain_colour = theme.UNASSIGNED if road else theme.CONTINUED
    figure.add_trace(
        go.Bar(
            x=rows["share"],
            y=list(range(len(rows))),
            orientation="h",
            width=0.62,
            marker={"color": [palette.get(phase, plain_colour) for phase in rows["phase"]]},
            error_x=theme.whiskers(rows, "share", theme.INK, thickness=1, width=3),
            customdata=np.column_stack(
                [[plain(name) for name in rows["name"]],
                 *(rows[name] for name in ("returned", "journeys", "returns", "repeats"))]
            ),
            hovertemplate="<b>%{customdata[0]}</b><br>%{customdata[1]:,} of %{customdata[2]:,} "
            f"{unit}s come back to it (%{{x:.1%}})<br>%{{customdata[3]:,}} returns, "
            "%{customdata[4]:,} direct repeats<extra></extra>",
        )
    )  # fmt: skip
    numbers = [
        f"{theme.percent(row['share'])} of {theme.count(row['journeys'])}" for row in rows.to_dict("records")
    ]
    theme.write_beside(figure, rows["high"], list(range(len(rows))), numbers)
    top = _ROOM_FOR_NUMBERS * max(float(rows["high"].max()) if len(rows) else 0.0, 0.01)
    figure.update_layout(
        margin={"t": _TOP, "b": _BOTTOM, "l": _LABELS + 20, "r": 40},
        title={"y": 1 - 26 / height, "yanchor": "top"},
        showlegend=False,
    )
    seen, phases = set(rows["phase"]), [*road, "unassigned"] if road else []
    marks = [f"<span style='color:{palette[one]}'>■</span> {plain(one)}" for one in phases if one in seen]
    figure.add_annotation(
        text="   ".join(marks), x=0, y=1, xref="paper", yref="paper", xanchor="left", yanchor="bottom",
        yshift=6, showarrow=False, font={"size": 12},
    )  # fmt: skip
    figure.update_xaxes(
        title_text=f"Share of the {unit}s that have it",
        range=[0, top],
        zeroline=False,
        **theme.share_axis(min(top, 1.0)),
    )
    theme.label_rows(figure, list(rows["name"]), _LABELS)
    return figure
