"""Drop-off as bars: dropped, still open and continued, and the estimate with its interval."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cjm_analytics.charts import theme
from cjm_analytics.charts.text import plain, told_apart

if TYPE_CHECKING:
    from collections.abc import Sequence

    import plotly.graph_objects as go

__all__ = ["drop_off_chart"]

_ROOM = 190
"""Pixels for the name of a row."""

_ROW = 74
_HEADING = 30
_BAR, _LANE = 0.46, 0.4
"""Height of a bar, and how far below its middle the estimate lies, in rows."""

_MOST = 8
"""So many groups are drawn: the largest."""

_ROOMY = 0.06
"""A part of a bar that has room for its percentage."""

_PARTS = (
    ("dropped", theme.DROPPED, ""),
    ("open", theme.OPEN, "/"),
    ("continued", theme.CONTINUED, ""),
)


def drop_off_chart(frame: pd.DataFrame, *, of: str, by: Sequence[str] = ()) -> go.Figure:
    """One bar per phase (and group): who dropped, who may still continue, who continued.

    Below each bar stands the estimated drop-off with its interval, grey where few journeys were followed;
    where too few were, that is said in its place. As open journeys lie between the dropped and the continued,
    the estimate says how many of them to expect on the left.

    Parameters
    ----------
    frame : DataFrame
        Columns of `DropOff.to_frame()`.
    of : str
        `phase` or `stage`.
    by : sequence of str
        The columns by which the frame is grouped; at most eight groups are drawn, the largest, and none of
        which too few journeys were followed everywhere.
    """
    import plotly.graph_objects as go

    frame, left_out = _largest(frame, by)
    # The legend has two lines where it has five entries.
    above = 112 + 22 * bool(left_out) + 28 * bool(frame["reliability"].eq("weak").any())
    places = list(dict.fromkeys(frame[of]))
    headings = len(places) if by else 0
    figure = theme.figure(
        "Where customers drop off",
        subtitle=f"What became of the journeys that entered each {of}, within its horizon"
        + (f"<br>{theme.left_out(left_out)}" if left_out else ""),
        height=round(94 + above + _ROW * max(len(frame), 1) + _HEADING * headings),
        width=920,
    )
    rows, ticks = _rows(frame, of, by)
    for name, colour, pattern in _PARTS:
        share = rows[name] / rows["entered"].where(rows["entered"] > 0)
        figure.add_trace(
            go.Bar(
                orientation="h",
                name={"open": "still open", "dropped": "dropped", "continued": "continued"}[name],
                x=share,
                y=rows["y"],
                width=_BAR,
                marker={
                    "color": colour,
                    "line": {"color": theme.PAPER, "width": 1},
                    "pattern": {
                        "shape": pattern,
                        "bgcolor": theme.tint(colour, 0.6),
                        "fgcolor": theme.tint(theme.MUTED, 0.55),
                        "size": 7,
                        "solidity": 0.2,
                    },
                },
                text=[theme.percent(one) if one >= _ROOMY else "" for one in share.fillna(0)],
                textposition="inside",
                insidetextanchor="middle",
                textangle=0,
                textfont={"color": theme.on(colour), "size": 12},
                customdata=np.column_stack([rows["label"], rows[name], rows["entered"], rows["within"]]),
                hovertemplate=(
                    f"<b>%{{customdata[0]}}</b><br>{name}: %{{customdata[1]:,}} of %{{customdata[2]:,}} "
                    "entered (%{x:.1%})<br>horizon %{customdata[3]}<extra></extra>"
                ),
            )
        )
    for reliability, colour in (("ok", theme.INK), ("weak", theme.MUTED)):
        _add_estimates(figure, rows[(rows["reliability"] == reliability) & rows["drop_off"].notna()], colour)
    _say_too_few(figure, rows[(rows["reliability"] == "hidden") & (rows["entered"] > 0)])
    figure.update_layout(
        barmode="stack",
        legend_traceorder="normal",
        margin={"t": above, "b": 64},
        title={"y": 1, "yref": "container", "yanchor": "top", "pad": {"l": 24, "t": 26}},
    )
    figure.update_xaxes(
        range=[0, 1.001],
        **theme.share_axis(1.0),
        title_text=f"Share of the journeys that entered the {of}",
        showline=False,
        zeroline=False,
    )
    figure.update_yaxes(
        tickvals=[at for at, _ in ticks],
        ticktext=[text for _, text in ticks],
        range=[max((at for at, _ in ticks), default=0) + 0.75, -0.6],
        ticklabelstandoff=8,
        showgrid=False,
        zeroline=False,
        showline=False,
    )
    if not rows["entered"].sum():
        theme.say_instead(
            figure,
            "Nothing to show: all groups are under the minimum."
            if left_out
            else f"No journey entered a {of}.",
        )
    return figure


def _largest(frame: pd.DataFrame, by: Sequence[str]) -> tuple[pd.DataFrame, int]:
    """The rows of the largest groups of enough journeys, and how many groups are left out."""
    if not by:
        return frame, 0
    group = pd.Series(
        list(frame[list(by)].itertuples(index=False, name=None)), index=frame.index, dtype=object
    )
    enough = (
        frame["entered"].where(frame["reliability"] != "hidden").groupby(group, sort=False).max().dropna()
    )
    drawn = enough.sort_values(ascending=False, kind="stable").index[:_MOST]
    return frame[group.isin(drawn)].reset_index(drop=True), group.nunique() - len(drawn)


def _rows(frame: pd.DataFrame, of: str, by: Sequence[str]) -> tuple[pd.DataFrame, list[tuple[float, str]]]:
    """The frame phase by phase with the height of each row, and what stands at which height."""
    ticks: list[tuple[float, str]] = []
    placed: list[dict[str, Any]] = []
    y = 0.0
    groups = [" · ".join(map(str, one)) for one in frame[list(by)].itertuples(index=False, name=None)]
    short = dict(zip(groups, told_apart(groups, _ROOM, 12), strict=True))
    places = [str(place) for place in dict.fromkeys(frame[of])]
    bold = {
        place: f"<b>{plain(name)}</b>"
        for place, name in zip(places, told_apart(places, _ROOM, 12, bold=True), strict=True)
    }
    for place, part in frame.groupby(of, sort=False):
        if by:
            ticks.append((y - 0.1, bold[str(place)]))
            y += _HEADING / _ROW
        for row in part.to_dict("records"):
            group = " · ".join(str(row[column]) for column in by)
            within = theme.duration(row["horizon"])
            name = plain(short[group]) if by else bold[str(place)]
            note = f"{theme.count(row['entered'])} entered · {within}"
            ticks.append((y, f"{name}<br><span style='color:{theme.MUTED}'>{note}</span>"))
            label = plain(f"{place}, {group}" if by else place)
            placed.append(
                {
                    **{str(name): value for name, value in row.items()},
                    "y": y,
                    "label": label,
                    "within": within,
                }
            )
            y += 1
    columns = [*frame.columns, "y", "label", "within"]
    return pd.DataFrame(placed, columns=columns), ticks


def _say_too_few(figure: go.Figure, rows: pd.DataFrame) -> None:
    """In the place of an estimate, why there is none."""
    for y in rows["y"]:
        figure.add_annotation(
            x=0, y=y + _LANE, text="no estimate: too few were followed for the whole horizon",
            showarrow=False, xanchor="left", font={"size": 12, "color": theme.MUTED},
        )  # fmt: skip


def _add_estimates(figure: go.Figure, rows: pd.DataFrame, colour: str) -> None:
    import plotly.graph_objects as go

    weak = colour == theme.MUTED
    figure.add_trace(
        go.Scatter(
            name="estimated drop-off" + (", few followed" if weak else " with interval"),
            x=rows["drop_off"],
            y=rows["y"] + _LANE,
            mode="markers",
            cliponaxis=False,
            marker={"symbol": "diamond-open" if weak else "diamond", "size": 9, "color": colour},
            error_x=theme.whiskers(rows, "drop_off", colour, thickness=1.6, width=4),
            showlegend=bool(len(rows)),
            customdata=np.column_stack(
                [rows["label"], rows["low"], rows["high"], rows["followed"], rows["at_risk"]]
            ),
            hovertemplate=(
                "<b>%{customdata[0]}</b><br>estimated drop-off %{x:.1%} (%{customdata[1]:.1%} to "
                "%{customdata[2]:.1%})<br>%{customdata[3]:,} followed for the whole horizon, "
                "%{customdata[4]:,} at risk at its end<extra></extra>"
            ),
        )
    )
    for row in rows.to_dict("records"):
        right = row["high"] < 0.72  # noqa: PLR2004 - where the label has room
        figure.add_annotation(
            x=row["high"] if right else row["low"],
            y=row["y"] + _LANE,
            text="{} ({} to {})".format(*(theme.percent(row[name]) for name in ("drop_off", "low", "high"))),
            showarrow=False,
            xanchor="left" if right else "right",
            xshift=7 if right else -7,
            font={"size": 12, "color": colour},
        )
