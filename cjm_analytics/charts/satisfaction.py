"""Satisfaction as points with intervals, one panel per instrument."""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cjm_analytics.charts import theme
from cjm_analytics.charts.text import plain, told_apart

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd
    import plotly.graph_objects as go

__all__ = ["satisfaction_chart"]

_WIDTH = 920
_ROW, _GAP = 46, 92
"""Pixels of a row, and between two panels."""

_TOP, _BOTTOM = 116, 64
_ROOM = 220
"""Pixels for the name of a row."""

_LINE = 90
"""Characters of a line that says why nothing is drawn."""

_PANEL = ["instrument", "kind", "survey", "measure", "scale"]


class _Axis(NamedTuple):
    """How the scores of a panel are written: range, ticks, and text of a score."""

    low: float
    high: float
    ticks: Sequence[float]
    title: str
    form: str

    def text(self, score: float) -> str:
        """A score as the chart writes it."""
        if self.form == "percent":
            return theme.percent(score)
        if self.form == "points":
            points = round(100 * score)
            return f"{points:+d}".replace("-", "−") if points else "0"
        return f"{score:.1f}"


def satisfaction_chart(
    frame: pd.DataFrame,
    *,
    by: Sequence[str],
    phases: Sequence[str] = (),
    phase_of: Mapping[str, str] | None = None,
    silence: str = "Nobody answered.",
) -> go.Figure:
    """One panel per instrument, one row per phase (or whatever `by` names), each a score with its interval.

    Weak rows are grey and hollow; hidden rows keep their place, with the number of answers and nothing else.

    Parameters
    ----------
    frame : DataFrame
        Columns of `Satisfaction.to_frame()`.
    by : sequence of str
        The columns by which the frame is grouped.
    phases : sequence of str
        In the order of the road, for their colours.
    phase_of : mapping of str to str, optional
        The phase of each stage.
    silence : str
        What is said instead where there is no row.
    """
    from plotly.subplots import make_subplots

    panels = [part for _, part in frame.groupby(_PANEL, sort=False, dropna=False)]
    rows = [len(part) for part in panels] or [1]
    inner = sum(rows) * _ROW + (len(rows) - 1) * _GAP
    house = theme.figure(
        "How satisfied customers are",
        subtitle=_subtitle(by),
        height=_TOP + _BOTTOM + inner,
        width=_WIDTH,
    )
    figure = make_subplots(
        rows=len(rows), cols=1, row_heights=rows, vertical_spacing=_GAP / inner if len(rows) > 1 else 0.0
    )
    axes = house.layout.xaxis.to_plotly_json()
    figure.update_layout(house.layout)
    figure.update_layout(
        margin={"t": _TOP, "b": _BOTTOM, "r": 40},
        showlegend=False,
        title={"y": 1, "yref": "container", "yanchor": "top", "pad": {"l": 24, "t": 26}},
    )
    colour_of = theme.phase_colours(phases)
    for number, part in enumerate(panels, start=1):
        figure.update_xaxes(axes, row=number)
        figure.update_yaxes(axes, row=number)
        colours = [_colour(row, by, colour_of, phase_of or {}) for row in part.to_dict("records")]
        _draw(figure, number, part, _Rows(by, colours))
    if not panels:
        figure.update_xaxes(visible=False)
        figure.update_yaxes(visible=False)
        theme.say_instead(figure, "<br>".join(wrap(plain(silence), _LINE)))
    return figure


class _Rows(NamedTuple):
    """What names the rows of a panel, and their colours."""

    by: Sequence[str]
    colours: Sequence[str]


def _subtitle(by: Sequence[str]) -> str:
    what = (
        f"Answers by the {plain(' and '.join(by))} that they rate" if by else "All answers of each instrument"
    )
    return f"{what}, with intervals; hollow: few answers"


def _colour(
    row: Mapping[object, object], by: Sequence[str], colour_of: Mapping[str, str], phase_of: Mapping[str, str]
) -> str:
    """The colour of the row's phase, if it has one."""
    for column in by:
        name = str(row[column])
        if column in {"phase", "stage"}:
            return colour_of.get(name if column == "phase" else phase_of.get(name, ""), theme.INK)
    return theme.CONTINUED


def _draw(figure: go.Figure, number: int, part: pd.DataFrame, rows: _Rows) -> None:
    """One panel."""
    import plotly.graph_objects as go

    axis = _axis(part)
    y = np.arange(len(part))
    figure.update_xaxes(
        range=[axis.low, axis.high],
        tickvals=axis.ticks,
        ticktext=[axis.text(one) if axis.form != "number" else f"{one:g}" for one in axis.ticks],
        title_text=axis.title,
        showline=False,
        zeroline=axis.form == "points",
        zerolinecolor=theme.MUTED,
        row=number,
    )
    figure.update_yaxes(
        range=[len(part) - 0.4, -0.6],
        tickvals=y,
        ticktext=_names(part, rows.by),
        ticklabelstandoff=8,
        showgrid=False,
        zeroline=False,
        showline=False,
        row=number,
    )
    first = part.iloc[0]
    heading = f"<b>{plain(str(first['instrument']).upper())}</b>"
    if first["kind"] == "relational":
        heading += f"  <span style='color:{theme.MUTED}'>about the relation as a whole</span>"
    suffix = "" if number == 1 else str(number)
    figure.add_annotation(
        text=heading, x=0, xref="paper", xanchor="left", y=1, yref=f"y{suffix} domain", yanchor="bottom",
        yshift=4, showarrow=False, font={"size": 14},
    )  # fmt: skip
    for at, (row, colour) in enumerate(zip(part.to_dict("records"), rows.colours, strict=True)):
        if row["reliability"] == "hidden" or np.isnan(row["score"]):
            continue
        weak = row["reliability"] == "weak"
        drawn = theme.MUTED if weak else colour
        sure = not np.isnan(row["low"])
        figure.add_trace(
            go.Scatter(
                name=_plain_name(row, rows.by),
                x=[row["score"]],
                y=[at],
                mode="markers",
                cliponaxis=False,
                marker={
                    "symbol": "circle-open" if weak else "circle",
                    "size": 12,
                    "color": drawn,
                    "line": {"width": 2, "color": drawn},
                },
                error_x={
                    "type": "data",
                    "symmetric": False,
                    "array": [row["high"] - row["score"]],
                    "arrayminus": [row["score"] - row["low"]],
                    "color": drawn,
                    "thickness": 2,
                    "width": 5,
                }
                if sure
                else None,
                customdata=[
                    [_plain_name(row, rows.by), axis.text(row["score"]), _interval(row, axis), _base(row)]
                ],
                hovertemplate="<b>%{customdata[0]}</b><br>%{customdata[1]}%{customdata[2]}<br>%{customdata[3]}"
                "<extra></extra>",
            ),
            row=number,
            col=1,
        )
        right = max(row["score"], row["high"] if sure else row["score"])
        inside = (right - axis.low) / (axis.high - axis.low) < 0.78  # noqa: PLR2004 - where the label has room
        left = min(row["score"], row["low"] if sure else row["score"])
        figure.add_annotation(
            text=f"<b>{axis.text(row['score'])}</b>{_interval(row, axis)}",
            x=right if inside else left,
            y=at,
            xanchor="left" if inside else "right",
            xshift=12 if inside else -12,
            showarrow=False,
            font={"size": 12, "color": theme.MUTED if weak else theme.INK},
            bgcolor=theme.PAPER,
            borderpad=1,
            row=number,
            col=1,
        )


def _axis(part: pd.DataFrame) -> _Axis:
    """The axis of a panel: the whole scale, where it is known."""
    measure = str(part["measure"].iloc[0])
    if measure.startswith("promoters"):
        return _Axis(
            -1.02, 1.02, [-1, -0.5, 0, 0.5, 1], "Promoters minus detractors, in points of 100", "points"
        )
    if measure.startswith("share"):
        return _Axis(
            0,
            1.01,
            [0, 0.25, 0.5, 0.75, 1],
            f"Share of answers {measure.removeprefix('share of ')}",
            "percent",
        )
    scale = part["scale"].iloc[0]
    if isinstance(scale, str):
        low, high = (float(one) for one in scale.split("–"))
    else:
        low = float(np.nanmin([*part["low"], *part["score"], np.inf]))
        high = float(np.nanmax([*part["high"], *part["score"], -np.inf]))
        low, high = (low, high) if low < high else (low - 1, high + 1) if low == high else (0.0, 1.0)
    room = 0.02 * (high - low)
    ticks = np.arange(low, high + 1) if high - low <= 10 and low == round(low) else np.linspace(low, high, 5)  # noqa: PLR2004
    title = measure.capitalize() + (
        f", on a scale from {low:g} to {high:g}" if isinstance(scale, str) else ""
    )
    return _Axis(low - room, high + room, ticks.round(6).tolist(), title, "number")


def _plain_name(row: Mapping[object, object], by: Sequence[str]) -> str:
    return plain(" · ".join(str(row[column]) for column in by) or "all answers")


def _names(part: pd.DataFrame, by: Sequence[str]) -> list[str]:
    rows = part.to_dict("records")
    names = [" · ".join(str(row[column]) for column in by) or "all answers" for row in rows]
    return [
        f"{plain(name)}<br><span style='color:{theme.MUTED}'>{_base(row)}</span>"
        for name, row in zip(told_apart(names, _ROOM, 12), rows, strict=True)
    ]


def _base(row: Mapping[object, object]) -> str:
    """How many answers, of how many asked."""
    n, rate = float(str(row["n"])), float(str(row["response_rate"]))
    if not n:
        return f"no answer to {theme.counted(int(float(str(row['invites']))), 'invite')}"
    few = ", too few to show" if row["reliability"] == "hidden" else ""
    asked = f", {theme.percent(rate)} of those asked" if not np.isnan(rate) and not few else ""
    return f"{theme.count(n)} answer{'s' if n != 1 else ''}{asked}{few}"


def _interval(row: Mapping[object, object], axis: _Axis) -> str:
    low, high = float(str(row["low"])), float(str(row["high"]))
    return "" if np.isnan(low) else f" ({axis.text(low)} to {axis.text(high)})"
