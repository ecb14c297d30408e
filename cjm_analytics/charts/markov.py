"""The probability to reach the goal from each name, as bars."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cjm_analytics.charts import theme
from cjm_analytics.charts.text import plain

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go

__all__ = ["to_goal_chart"]

_ROW, _WIDTH, _LABELS, _MOST = 28, 860, 200, 30
_TOP, _BOTTOM = 104, 60


def to_goal_chart(frame: pd.DataFrame, *, of: str, journeys: int) -> go.Figure:
    """A bar per name, those from which the goal is most likely on top; the 30 that are visited most.

    Parameters
    ----------
    frame : DataFrame
        Columns of `Markov.to_frame()`.
    of : str
        What the names are.
    journeys : int
        How many there are.
    """
    import plotly.graph_objects as go

    shown = frame.head(_MOST + 1)
    rows = shown.sort_values(["to_goal", "name"], ascending=[False, True], ignore_index=True)
    said = [theme.counted(journeys, "journey")]
    if len(frame) > len(shown):
        said.append(f"{len(frame) - len(shown):,} {of}s, visited less often, not shown")
    height = _TOP + _BOTTOM + _ROW * max(len(rows), 1)
    figure = theme.figure(
        f"How likely the goal is from each {of}", subtitle=" · ".join(said), height=height, width=_WIDTH
    )
    sure = rows["low"].notna().any()
    figure.add_trace(
        go.Bar(
            x=rows["to_goal"],
            y=list(range(len(rows))),
            orientation="h",
            width=0.62,
            error_x=theme.whiskers(rows, "to_goal", theme.INK, thickness=1, width=3) if sure else None,
            marker={"color": [theme.OPEN if name == "(start)" else theme.CONTINUED for name in rows["name"]]},
            customdata=np.column_stack(
                [[plain(name) for name in rows["name"]],
                 *(rows[name] for name in ("low", "high", "visits", "steps_to_goal", "journeys"))]
            ),
            hovertemplate="<b>%{customdata[0]}</b><br>reaches the goal: %{x:.1%} (%{customdata[1]:.1%} to "
            "%{customdata[2]:.1%})<br>%{customdata[3]:.2f} visits per journey, %{customdata[5]:,} in all<br>"
            "%{customdata[4]:.1f} steps to the goal<extra></extra>",
        )
    )  # fmt: skip
    ends = rows[["to_goal", "high"]].max(axis=1)
    theme.write_beside(figure, ends, list(range(len(rows))), [theme.percent(one) for one in rows["to_goal"]])
    top = 1.12 * max(float(ends.max()) if len(rows) else 0.0, 0.01)
    figure.update_layout(
        margin={"t": _TOP, "b": _BOTTOM, "l": _LABELS + 20, "r": 40},
        title={"y": 1 - 26 / height, "yanchor": "top"},
        showlegend=False,
    )
    figure.update_xaxes(
        title_text="Probability to reach the goal",
        range=[0, top],
        zeroline=False,
        **theme.share_axis(min(top, 1.0)),
    )
    theme.label_rows(figure, list(rows["name"]), _LABELS)
    return figure
