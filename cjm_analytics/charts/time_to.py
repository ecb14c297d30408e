"""Time to an event as step curves with shaded intervals, and the numbers at risk below them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from cjm_analytics.charts import theme
from cjm_analytics.charts.text import apart, fitted, plain, text_width, told_apart

if TYPE_CHECKING:
    from collections.abc import Sequence

    import plotly.graph_objects as go

__all__ = ["time_to_chart"]

_WIDTH, _PLOT = 920, 340
"""Pixels: the whole chart across, the curves from top to bottom."""

_TOP, _LINE, _FOOT = 92, 20, 84
_ASIDE = 34
"""Pixels between the names and the first number at risk."""

_TOPS = (0.1, 0.25, 0.5, 1.0)
_NAME = 170
"""Most pixels for the name of a group."""

_MOST = 8
"""So many curves are told apart; of more groups the largest are drawn."""

_HALF = 0.5 - 1e-12
_POINTS = 1_500
_UNITS = (("days", 86_400.0, 2.0), ("hours", 3_600.0, 2.0), ("minutes", 60.0, 2.0), ("seconds", 1.0, 0.0))
_STEPS = (1, 2, 5, 7, 10, 14, 20, 30, 60, 90, 120, 180, 365, 730)


def time_to_chart(
    frame: pd.DataFrame,
    *,
    by: Sequence[str] = (),
    target: str,
    start: str | None = None,
    unit_name: str = "journey",
    min_n: int = 0,
) -> go.Figure:
    """One step curve per group: the share that has reached the target by then.

    Parameters
    ----------
    frame : DataFrame
        Columns of `TimeTo.to_frame()`.
    by : sequence of str
        The columns by which the frame is grouped.
    target : str
        What is waited for.
    start : str, optional
        What the time is counted from; default: the start of the journey.
    unit_name : str
        What is counted.
    min_n : int
        Groups of fewer are not drawn; a single curve of fewer is, and says so.
    """
    curves, left_out = _curves(frame, by, min_n)
    frame = pd.concat(curves.values()) if curves else frame.iloc[:0]
    unit, length = _unit(frame)
    longest = _end(frame) / length
    ticks = _ticks(longest)
    room = max((text_width(f"{name} 100 %", 12, bold=True) for name in curves), default=0) + 16
    names = max([text_width(name, 12, bold=True) for name in curves if by] + [48]) + _ASIDE
    top = next((one for one in _TOPS if frame["incidence_high"].max() <= one), 1.0)
    first = int(frame["at_risk"].iloc[0]) if len(frame) and not by else min_n
    note = theme.little(first, unit_name) if 0 < first < min_n else ""
    note = theme.left_out(left_out) if left_out else note
    above = _TOP + _LINE * bool(note)
    bottom = _FOOT + _LINE * (1 + max(len(curves), 1))
    figure = theme.figure(
        plain(fitted(f"Time to {target}", _WIDTH - 48, 18, bold=True)),
        subtitle=(
            f"Share of the {unit_name}s that have reached it, since "
            + (f"the first {plain(fitted(start, 420, 13))}" if start else "the start of the journey")
            + (f"<br>{note}" if note else "")
        ),
        height=above + _PLOT + bottom,
        width=_WIDTH,
    )
    figure.update_layout(
        margin={"t": above, "b": bottom, "l": round(names) + 40, "r": round(room) + 24}, showlegend=False
    )
    colours = theme.colours(list(curves))
    for name, curve in curves.items():
        _draw(figure, curve, (name, colours[name]), (unit, length))
    _label(figure, curves, colours, top)
    if len(curves) == 1:
        _tell_half(figure, next(iter(curves.values())), length)
    _numbers_at_risk(figure, curves, colours, (ticks, length))
    figure.update_xaxes(
        range=[0, max(longest, ticks[-1]) * 1.0001 or 1],
        tickvals=ticks,
        title_text=f"Time since the start, {unit}",
        title_standoff=8,
        automargin=False,
        zeroline=False,
    )
    figure.update_yaxes(
        range=[0, 1.02 * top],
        **theme.share_axis(top),
        title_text="Share that has reached it",
        automargin=False,
    )
    if not any(curve["at_risk"].iloc[0] for curve in curves.values()):
        theme.say_instead(
            figure,
            "Nothing to show: all groups are under the minimum." if left_out else f"No {unit_name} started.",
        )
    return figure


def _curves(frame: pd.DataFrame, by: Sequence[str], min_n: int) -> tuple[dict[str, pd.DataFrame], int]:
    """The rows of the groups to draw by short names, in the order of the frame; how many are left out."""
    if not by:
        return ({"": frame} if len(frame) else {}), 0
    parts = {
        " · ".join(map(str, key if isinstance(key, tuple) else (key,))): part.reset_index(drop=True)
        for key, part in frame.groupby(list(by), sort=False)
    }
    size = {name: int(part["at_risk"].iloc[0]) for name, part in parts.items()}
    large = sorted((name for name in parts if size[name] >= min_n), key=lambda name: -size[name])[:_MOST]
    names = [name for name in parts if name in large]
    short = told_apart(names, _NAME, 12, bold=True)
    drawn = {
        plain(text if short.count(text) == 1 else name): parts[name]
        for text, name in zip(short, names, strict=True)
    }
    return drawn, len(parts) - len(drawn)


def _end(frame: pd.DataFrame) -> float:
    """Seconds to show: all, but not long after the last that happened."""
    if not len(frame):
        return 0.0
    moves = frame.loc[(frame["events"] > 0) | (frame["ended"] > 0), "time"].max()
    longest = float(frame["time"].max().total_seconds())
    return longest if pd.isna(moves) or not moves.value else min(longest, float(1.6 * moves.total_seconds()))


def _unit(frame: pd.DataFrame) -> tuple[str, float]:
    """The unit of the axis and its seconds."""
    longest = _end(frame)
    return next((name, size) for name, size, least in _UNITS if longest >= least * size)


def _ticks(longest: float) -> list[float]:
    step = next((one for one in _STEPS if longest / one <= 8), None)  # noqa: PLR2004 - marks on the axis
    if step is None:
        step = int(10 ** np.ceil(np.log10(longest / 8)))
    return [float(one) for one in range(0, int(longest) + 1, step)] or [0.0]


def _draw(figure: go.Figure, curve: pd.DataFrame, style: tuple[str, str], scale: tuple[str, float]) -> None:
    import plotly.graph_objects as go

    (name, colour), (unit, length) = style, scale
    rows = _thinned(curve)
    time = rows["time"].dt.total_seconds() / length
    for column, fill in (("incidence_low", None), ("incidence_high", "tonexty")):
        figure.add_trace(
            go.Scatter(
                x=time,
                y=rows[column],
                mode="lines",
                line={"shape": "hv", "width": 0, "color": colour},
                fill=fill,
                fillcolor=_shade(colour),
                hoverinfo="skip",
                showlegend=False,
            )
        )
    reached = curve["events"].cumsum()[rows.index]
    figure.add_trace(
        go.Scatter(
            x=time,
            y=rows["incidence"],
            name=name or "all",
            mode="lines",
            line={"shape": "hv", "width": 2.4, "color": colour},
            customdata=np.column_stack(
                [rows["incidence_low"], rows["incidence_high"], rows["at_risk"], reached]
            ),
            hovertemplate=(
                (f"<b>{name}</b><br>" if name else "")
                + f"%{{y:.1%}} by %{{x:.3~g}} {unit} (%{{customdata[0]:.1%}} to %{{customdata[1]:.1%}})<br>"
                f"%{{customdata[3]:,}} of {curve['at_risk'].iloc[0]:,} reached it so far, "
                "%{customdata[2]:,} at risk<extra></extra>"
            ),
        )
    )
    half = curve[curve["incidence"] >= _HALF]
    if len(half):
        at = half["time"].iloc[0].total_seconds() / length
        figure.add_trace(
            go.Scatter(
                x=[at],
                y=[half["incidence"].iloc[0]],
                mode="markers",
                marker={"size": 9, "color": theme.PAPER, "line": {"color": colour, "width": 2.4}},
                hovertemplate=(
                    f"half of them by {theme.duration(half['time'].iloc[0])}<extra>{name}</extra>"
                ),
                showlegend=False,
            )
        )


def _thinned(curve: pd.DataFrame) -> pd.DataFrame:
    """The rows at which the curve moves, its first and its last; at most one per pixel."""
    moves = (curve["events"] > 0) | (curve.index == curve.index[0]) | (curve.index == curve.index[-1])
    rows: pd.DataFrame = curve[moves]
    longest = rows["time"].iloc[-1]
    if len(rows) <= _POINTS or not longest:
        return rows
    last: pd.Series[bool] = ~(rows["time"] / longest * _POINTS).astype(int).duplicated(keep="last")
    return rows[last]


def _shade(colour: str) -> str:
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return f"rgba({red},{green},{blue},0.16)"


def _label(figure: go.Figure, curves: dict[str, pd.DataFrame], colours: dict[str, str], top: float) -> None:
    """The name of each curve at its end, with its share; names that would overlap are moved apart."""
    ends = {name: float(np.nan_to_num(curve["incidence"].iloc[-1])) for name, curve in curves.items()}
    order = sorted(ends, key=lambda name: ends[name])
    heights = apart([ends[name] for name in order], 17 / _PLOT * top, top)
    for name, y in zip(order, heights, strict=True):
        figure.add_annotation(
            x=1,
            xref="paper",
            y=y,
            text=f"<b>{name}</b> {theme.percent(ends[name])}".strip(),
            showarrow=False,
            xanchor="left",
            xshift=6,
            font={"size": 12, "color": colours[name]},
        )


def _tell_half(figure: go.Figure, curve: pd.DataFrame, length: float) -> None:
    half = curve[curve["incidence"] >= _HALF]
    if len(half):
        figure.add_annotation(
            x=half["time"].iloc[0].total_seconds() / length,
            y=half["incidence"].iloc[0],
            text=f"half of them by {theme.duration(half['time'].iloc[0])}",
            showarrow=False,
            xanchor="left",
            xshift=12,
            yshift=-4,
            yanchor="top",
            font={"size": 12, "color": theme.MUTED},
        )


def _numbers_at_risk(
    figure: go.Figure,
    curves: dict[str, pd.DataFrame],
    colours: dict[str, str],
    scale: tuple[Sequence[float], float],
) -> None:
    ticks, length = scale
    below = -(_FOOT - 20) / _PLOT

    def note(x: float, line: float, text: str, **more: object) -> None:
        figure.add_annotation(
            x=x,
            y=below - line * _LINE / _PLOT,
            yref="paper",
            text=text,
            showarrow=False,
            yanchor="top",
            **({"font": {"size": 12, "color": theme.INK}} | more),
        )

    note(
        0,
        0,
        "At risk",
        xref="paper",
        xanchor="right",
        xshift=-_ASIDE,
        font={"size": 12, "color": theme.MUTED},
    )
    for line, (name, curve) in enumerate(curves.items()):
        place = line + 1 if name else line
        if name:
            font = {"size": 12, "color": colours[name]}
            text = f"<b>{name}</b>"
            note(0, place, text, xref="paper", xanchor="right", xshift=-_ASIDE, font=font)
        times = curve["time"].dt.total_seconds().to_numpy() / length
        for tick in ticks:
            row = int(np.searchsorted(times, tick))
            number = int(curve["at_risk"].iloc[row]) if row < len(curve) else 0
            note(tick, place, theme.count(number))
