"""Funnel charts: per step who went on, who may still, and who dropped; groups side by side; a trend."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cjm_analytics.charts import theme
from cjm_analytics.charts.text import fitted, plain, text_width, told_apart, wrapped

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Sequence

    import plotly.graph_objects as go

__all__ = ["funnel_chart", "trend_chart"]

MOST_GROUPS = 6
"""More groups than this cannot be told apart."""

_JOINT = " · "
_NAME_ROOM = 200
_LEGEND_KEY, _LEGEND_WIDTH, _LEGEND_LINE = 56, 560, 30
"""Pixels of the legend: besides a name, across on a narrow page, and from line to line."""

_GAP = 2 * theme.NBSP
_ROOM_FOR_NUMBERS = 1.3
"""Right end of the axis: beyond 100 % stand the numbers of the longest bars."""

_PARTS = (
    ("went_on", "went on", "", 1.0),
    ("open", "open: may still go on", "/", 0.45),
    ("dropped", "dropped", "", 0.22),
)


def funnel_chart(
    frame: pd.DataFrame,
    *,
    by: Sequence[str],
    unit: str,
    window: str,
    rest: Sequence[str] | None = None,
) -> go.Figure:
    """Bars per step, as long as the share of all starts that reached it, in the parts that became of them.

    Parameters
    ----------
    frame : DataFrame
        As `Funnel.to_frame` gives it.
    by : sequence of str
        The columns of groups; those that are too small are left out, and so are all but the largest six.
    unit : str
        What is counted, for the title.
    window : str
        The window in words.
    rest : sequence of str, optional
        The group of all that are none of the largest: drawn last, in grey.
    """
    if tuple(by) == ("period",):
        return trend_chart(frame, unit=unit, window=window)
    if not by:
        return _single(frame, unit, window)
    groups = frame[list(by)].itertuples(index=False, name=None)
    last = None if rest is None else rest[0]
    names = [last if last and group == tuple(rest or ()) else _JOINT.join(group) for group in groups]
    title = f"{unit.capitalize()}s by step reached, by {' and '.join(map(plain, by))}"
    return _grouped(frame.assign(group=names), title, window, last)


def _single(frame: pd.DataFrame, unit: str, window: str) -> go.Figure:
    n = len(frame)
    figure = theme.figure(
        f"{unit.capitalize()}s by step reached", subtitle=_subtitle(frame, unit, window), height=158 + 76 * n
    )
    drawn = frame.assign(y=np.arange(n, dtype=float))
    colours = {"went_on": theme.CONTINUED, "open": theme.OPEN, "dropped": theme.DROPPED}
    _add_parts(figure, drawn, colours, width=0.5, group=None)
    _add_interval(figure, drawn.assign(y=drawn["y"] + 0.36), colour=theme.INK)
    numbers = [
        f"<b>{_percent(share)}</b>{_GAP}{theme.count(reached)}"
        for share, reached in zip(drawn["conversion"], drawn["reached"], strict=True)
    ]
    theme.write_beside(figure, drawn["conversion"].fillna(0), drawn["y"], numbers, size=13)
    bold = _bold(drawn["step"], lines=2)
    names = [_step_name(row, name) for row, name in zip(drawn.to_dict("records"), bold, strict=True)]
    _finish(figure, drawn["y"].to_list(), names, n)
    return figure


def _step_name(row: dict[Hashable, Any], name: str) -> str:
    """The step, and in small print how it went from the step before."""
    if row["y"] == 0 or pd.isna(row["step_conversion"]):
        return name
    time = "" if pd.isna(row["median_time"]) else f", median {theme.duration(row['median_time'])}"
    text = f"{theme.percent(row['step_conversion'])} of the step before{time}"
    return f"{name}<br><span style='font-size:11px;color:{theme.MUTED}'>{text}</span>"


def _bold(names: Iterable[object], *, lines: int) -> list[str]:
    return [
        "<b>" + "<br>".join(map(plain, wrapped(name, _NAME_ROOM, 13, bold=True, lines=lines))) + "</b>"
        for name in told_apart(names, _NAME_ROOM, 13, bold=True, lines=lines)
    ]


def _grouped(frame: pd.DataFrame, title: str, window: str, rest: str | None) -> go.Figure:
    shown = frame[frame["reliability"] != "hidden"]
    large = [group for group in dict.fromkeys(shown["group"]) if group != rest][:MOST_GROUPS]
    groups = large + [group for group in shown["group"].unique() if group == rest]
    shown = shown[shown["group"].isin(groups)]
    steps = list(dict.fromkeys(frame["step"]))
    pitch = max(len(groups), 1) + 1.1
    left_out = frame["group"].nunique() - len(groups)
    note = theme.left_out(left_out) if left_out else ""
    figure = theme.figure(
        title,
        subtitle=f"steps {window} · solid: went on, hatched: open, pale: dropped"
        + (f"<br>{note}" if note else ""),
        height=round(150 + 21 * pitch * max(len(steps), 1)),
    )
    grey = {group: theme.UNASSIGNED for group in groups if group == rest}
    short = dict(zip(groups, told_apart(groups, 150, 12), strict=True))
    for place, (group, colour) in enumerate((theme.colours(groups) | grey).items()):
        mine = shown[shown["group"] == group].reset_index(drop=True)
        mine = mine.assign(y=np.arange(len(mine)) * pitch + place)
        colours = {part: theme.tint(colour, strength) for part, _, _, strength in _PARTS}
        weak = mine["reliability"].eq("weak").any()
        name = plain(short[group]) + (" (few)" if weak else "")
        _add_parts(figure, mine, colours, width=0.82, group=name)
        _add_interval(figure, mine, colour=theme.INK, legend=place == 0)
        numbers = [
            f"{_percent(share)}{_GAP}{theme.count(reached)}"
            for share, reached in zip(mine["conversion"], mine["reached"], strict=True)
        ]
        ends = mine[["conversion", "high"]].max(axis=1).fillna(0)
        theme.write_beside(figure, ends, mine["y"], numbers, size=11)
    centres = np.arange(len(steps)) * pitch + (len(groups) - 1) / 2
    names = _bold(steps, lines=3)
    _finish(figure, centres.tolist(), names, len(steps) * pitch - 1.1)
    entries = sum(_LEGEND_KEY + min(text_width(str(group), 12), 150) for group in [*groups, "settled" * 5])
    more_lines = _LEGEND_LINE * int(entries // _LEGEND_WIDTH) + 22 * bool(note)
    figure.update_layout(
        margin_t=104 + more_lines,
        height=figure.layout.height + more_lines,
    )
    if not groups:
        theme.say_instead(
            figure, "Nothing to show: all groups are under the minimum." if left_out else "No group started."
        )
    return figure


def _add_parts(
    figure: go.Figure, frame: pd.DataFrame, colours: dict[str, str], *, width: float, group: str | None
) -> None:
    """Bars in three parts; `group` names them in the legend, None: each part has its own entry."""
    parts = frame.assign(went_on=frame["reached"] - frame["dropped"] - frame["open"])
    base = np.zeros(len(parts))
    for part, name, shape, _ in _PARTS:
        share = (parts[part] / parts["started"].where(parts["started"] > 0)).fillna(0).to_numpy(float)
        figure.add_bar(
            y=parts["y"],
            x=share,
            base=base,
            width=width,
            orientation="h",
            name=name if group is None else group,
            legendgroup=name if group is None else group,
            showlegend=group is None or part == "went_on",
            marker={
                "color": colours[part],
                "line": {"width": 0.6, "color": theme.PAPER},
                "pattern": {
                    "shape": shape,
                    "size": 6,
                    "solidity": 0.25,
                    "fillmode": "overlay",
                    "fgcolor": theme.MUTED,
                },
            },
            customdata=_hover(parts, part),
            hovertemplate=(f"{group}<br>" if group else "")
            + "<b>%{customdata[0]}</b><br>"
            + name
            + ": %{customdata[1]}<br>%{customdata[2]}<br>%{customdata[3]}<extra></extra>",
        )
        base = base + share
    figure.update_layout(barmode="overlay")


def _hover(parts: pd.DataFrame, part: str) -> list[list[str]]:
    return [
        [
            plain(row["step"]),
            f"{row[part]:,} of {row['reached']:,} that reached the step",
            f"reached: {row['reached']:,} of {row['started']:,} that started ({_percent(row['conversion'])})",
            f"step before: {row['reached']:,} of {row['before']:,} ({_percent(row['step_conversion'])})",
        ]
        for row in parts.to_dict("records")
    ]


def _add_interval(figure: go.Figure, frame: pd.DataFrame, *, colour: str, legend: bool = True) -> None:
    """Settled conversion as a point with its interval, where there is any."""
    # The first step is all of them by definition.
    some = frame[frame["settled_conversion"].notna() & (np.arange(len(frame)) > 0)]
    if some.empty:
        return
    share = some["settled_conversion"]
    figure.add_scatter(
        x=share,
        y=some["y"],
        mode="markers",
        marker={
            "symbol": "diamond",
            "size": 7,
            "color": theme.PAPER,
            "line": {"width": 1.5, "color": colour},
        },
        error_x=theme.whiskers(some, "settled_conversion", colour, thickness=1.5, width=3),
        name="settled conversion, with interval",
        legendgroup="settled",
        legendrank=2000,
        showlegend=legend,
        customdata=[
            [row["settled"], *(_percent(row[name]) for name in ("low", "high", "settled_conversion"))]
            for row in some.to_dict("records")
        ],
        hovertemplate="settled conversion %{customdata[3]} (%{customdata[1]} to %{customdata[2]})<br>"
        "of %{customdata[0]:,} that had the whole window<extra></extra>",
    )


def _finish(figure: go.Figure, places: Sequence[float], names: list[str], span: float) -> None:
    figure.update_yaxes(
        tickvals=list(places), ticktext=names, range=[span - 0.4, -0.6], showgrid=False, zeroline=False,
        ticklabelstandoff=8,
    )  # fmt: skip
    figure.update_xaxes(
        range=[0, _ROOM_FOR_NUMBERS],
        title_text="Share of those that started",
        title_standoff=8,
        **theme.share_axis(1.0),
    )
    # Room for a legend of two lines, as it is in a narrow page.
    figure.update_layout(
        margin={"t": 130, "r": 24, "b": 56, "l": 24},
        title={"y": 1, "yref": "container", "yanchor": "top", "pad": {"l": 24, "t": 22}},
    )


def trend_chart(frame: pd.DataFrame, *, unit: str, window: str) -> go.Figure:
    """Conversion to the last step per period of the start: all starts, and those that are settled.

    Parameters
    ----------
    frame : DataFrame
        As `Funnel.over(…).to_frame` gives it: column `period`.
    unit, window : str
        As for `funnel_chart`.
    """
    periods = frame.groupby("period", sort=True).tail(1)
    rows = periods[periods["reliability"] != "hidden"]
    few = len(periods) - len(rows)
    last = plain(fitted(str(rows["step"].iloc[0]) if len(rows) else "the last step", 320, 18, bold=True))
    figure = theme.figure(
        f"{unit.capitalize()}s that got to {last}, by start",
        subtitle=f"steps {window} · points with interval: starts that had the whole window"
        + (f" · not shown: {theme.counted(few, 'period')} of too few starts" if few else ""),
        height=420,
    )
    starts = pd.to_datetime(rows["period"])
    common = {
        "x": starts,
        "customdata": np.column_stack([rows["reached"], rows["started"], rows["settled"], rows["open"]]),
    }
    figure.add_scatter(
        **common, y=rows["conversion"], mode="lines", name="all starts, open ones included",
        line={"color": theme.UNASSIGNED, "dash": "dot", "width": 2},
        hovertemplate="%{y:.1%}: %{customdata[0]:,} of %{customdata[1]:,} that started<extra></extra>",
    )  # fmt: skip
    share = rows["settled_conversion"]
    figure.add_scatter(
        **common, y=share, mode="lines+markers", name="settled conversion, with interval",
        line={"color": theme.CONTINUED, "width": 2}, marker={"size": 7},
        error_y=theme.whiskers(rows, "settled_conversion", theme.CONTINUED, thickness=1.2, width=3),
        hovertemplate="%{y:.1%} of %{customdata[2]:,} that had the whole window<extra></extra>",
    )  # fmt: skip
    top = float(np.nanmax([*rows["conversion"], *rows["high"], 0.05]))
    figure.update_yaxes(
        range=[0, min(1.05 * top, 1.02)], title_text="Share of those that started", **theme.share_axis(top)
    )
    figure.update_xaxes(title_text="First visit to the first step", showgrid=False)
    figure.update_xaxes(**theme.period_axis(starts, 10))
    if len(starts) == 1:
        # A line of one point is not to be seen.
        figure.update_traces(mode="lines+markers")
    figure.update_layout(margin={"t": 104, "b": 56}, hovermode="x unified")
    if not len(rows):
        figure.update_xaxes(visible=False)
        figure.update_yaxes(visible=False)
        theme.say_instead(
            figure,
            f"Nothing to show: too few {unit}s did the first step."
            if few
            else f"No {unit} did the first step.",
        )
    return figure


def _subtitle(frame: pd.DataFrame, unit: str, window: str) -> str:
    if frame.empty or not frame["started"].iloc[0]:
        return f"no {unit} did the first step"
    last = frame.iloc[-1]
    through = f"{theme.percent(last['conversion'])} got through"
    if pd.notna(last["settled_conversion"]):
        through += f", {theme.percent(last['settled_conversion'])} of those that had the whole window"
    units = unit if last["started"] == 1 else f"{unit}s"
    few = f"<br>{theme.little(last['started'], unit)}" if last["reliability"] == "hidden" else ""
    return f"{last['started']:,} {units} started · steps {window} · {through}{few}"


def _percent(share: float) -> str:
    return "–" if pd.isna(share) else theme.percent(share)
