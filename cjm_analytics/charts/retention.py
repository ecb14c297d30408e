"""Retention as a curve with its interval and a triangle of cohorts; lifecycle and stickiness as bars."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from cjm_analytics.charts import theme
from cjm_analytics.charts.text import apart, fitted, plain, text_width, told_apart

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import plotly.graph_objects as go

__all__ = ["lifecycle_chart", "retention_chart", "stickiness_chart"]

_WIDTH = 920
_TOP, _CURVE, _GAP, _ROW, _FOOT = 96, 210, 62, 24, 60
"""Pixels: heading, curve, between curve and triangle, a cohort, below."""

_COHORTS, _PERIODS = 26, 16
"""So many cohorts (the latest) and periods (the first) are drawn."""

_MOST = 8
_NAME = 170
_ABREAST = 3
"""Names in a line of a legend."""

_FEW = 14
"""More bars than this have small numbers."""

_DAYS = {"week": 7, "month": 31}


def retention_chart(
    frame: pd.DataFrame, curve: pd.DataFrame, *, by: Sequence[str] = (), names: Mapping[str, str]
) -> go.Figure:
    """The overall curve, and below it one row per cohort; with groups, one curve per group.

    Period 0, in which all are there, is not drawn. Pale cells are not over yet; they are not in the curve.

    Parameters
    ----------
    frame : DataFrame
        Columns of `Retention.to_frame()`.
    curve : DataFrame
        Columns of `Retention.curve()`.
    by : sequence of str
        The columns by which both are grouped.
    names : mapping of str to str
        `start`, `returning`, `kind`, and `period` (its unit).
    """
    from plotly.subplots import make_subplots

    cells = frame[(frame["period"] > 0) & (frame["period"] <= _PERIODS)]
    enough = sorted(cells.loc[cells["reliability"] != "hidden", "cohort"].unique())
    latest = enough[-_COHORTS:] if not by else []
    notes = [] if by else _left_out(frame, cells["cohort"].nunique() - len(latest), names["period"])
    cells = cells[cells["cohort"].isin(latest)]
    parts, groups = _panels(curve, by, "customers")
    if groups:
        notes = [theme.left_out(groups)]
    above = _TOP + 22 * bool(notes)
    inner = _CURVE + ((_GAP + _ROW * len(latest)) if latest else 130)
    house = theme.figure(
        plain(fitted(f"Who comes back after {names['start']}", _WIDTH - 48, 18, bold=True)),
        subtitle="<br>".join(filter(None, [_subtitle(names, triangle=bool(latest)), " · ".join(notes)])),
        height=above + inner + _FOOT,
        width=_WIDTH,
    )
    share = _CURVE / inner if latest else 1.0
    figure = make_subplots(
        rows=2 if latest else 1,
        cols=1,
        shared_xaxes=True,
        row_heights=[share, 1 - share - _GAP / inner] if latest else [1.0],
        vertical_spacing=_GAP / inner if latest else 0.0,
    )
    axes = house.layout.xaxis.to_plotly_json()
    figure.update_layout(house.layout)
    figure.update_xaxes(axes)
    figure.update_yaxes(axes)
    short = dict(zip(parts, told_apart(parts, _NAME, 12, bold=True), strict=True))
    room = max((text_width(f"{name} 100 % of 100,000", 12, bold=True) for name in short.values()), default=0)
    figure.update_layout(
        margin={"t": above, "b": _FOOT, "r": max(round(room) + 30, 110)},
        showlegend=False,
        title={"y": 1, "yref": "container", "yanchor": "top", "pad": {"l": 24, "t": 26}},
    )
    curves = curve[(curve["period"] > 0) & (curve["period"] <= _PERIODS)]
    parts = {name: part[part["period"].between(1, _PERIODS)] for name, part in parts.items()}
    _draw_curves(figure, parts, short, _CURVE if latest else inner)
    if latest:
        _draw_triangle(figure, cells, latest)
    shown = pd.concat([curves[["period", "label"]], cells[["period", "label"]]]).drop_duplicates("period")
    figure.update_xaxes(
        tickvals=shown["period"],
        ticktext=[label.split(" ", 1)[1] for label in shown["label"]],
        range=[0.5, max(shown["period"].max() if len(shown) else 1, 1) + 0.5],
        showgrid=False,
        zeroline=False,
    )
    unit = names["period"] if names["period"] == "days" else f"{names['period']}s"
    figure.update_xaxes(title_text=f"{unit.capitalize()} after the start", row=2 if latest else 1)
    if latest:
        figure.update_xaxes(showticklabels=True, row=1)
    if not figure.data:
        nothing = "Too few customers to show." if len(shown) else "No period after a start has been seen."
        figure.add_annotation(text=nothing, x=0.5, y=0.5, xref="paper", yref="paper", showarrow=False)
    return figure


def _subtitle(names: Mapping[str, str], *, triangle: bool) -> str:
    how = {
        "bounded": "in the period",
        "unbounded": "in the period or later",
        "rolling": "in the period and each before",
        "cumulative": "in the period or before",
    }[names["kind"]]
    text = f"Share of the customers with {plain(fitted(names['returning'], 300, 13))} {how}"
    return text + ("; pale cells are not over yet and not in the curve" if triangle else "")


def _left_out(frame: pd.DataFrame, cohorts: int, period: str) -> list[str]:
    """What the triangle does not show."""
    said = [f"cohorts in the table only, earlier or under the minimum: {cohorts:,}"] if cohorts else []
    if frame["period"].max() > _PERIODS:
        said.append("the first periods only" if period == "days" else f"the first {_PERIODS} {period}s only")
    return said


def _draw_curves(
    figure: go.Figure, parts: Mapping[str, pd.DataFrame], short: Mapping[str, str], height: int
) -> None:
    import plotly.graph_objects as go

    colours = theme.colours(list(parts))
    ends: list[tuple[float, str]] = []
    said: dict[str, str] = {}
    top = 0.0
    for name, part in parts.items():
        drawn = part[part["reliability"] != "hidden"]
        if not len(drawn):
            continue
        red, green, blue = (int(colours[name][at : at + 2], 16) for at in (1, 3, 5))
        for column, fill in (("low", None), ("high", "tonexty")):
            figure.add_trace(
                go.Scatter(
                    x=drawn["period"], y=drawn[column], mode="lines", line={"width": 0}, fill=fill,
                    fillcolor=f"rgba({red},{green},{blue},0.15)", hoverinfo="skip",
                ),
                row=1, col=1,
            )  # fmt: skip
        figure.add_trace(
            go.Scatter(
                x=drawn["period"],
                y=drawn["retention"],
                name=plain(name) or "all",
                mode="lines+markers",
                cliponaxis=False,
                line={"color": colours[name], "width": 2.4},
                marker={
                    "size": 7,
                    "color": np.where(drawn["reliability"] == "ok", colours[name], theme.PAPER),
                    "line": {"color": colours[name], "width": 2},
                },
                customdata=np.column_stack(
                    [drawn["label"], drawn["returned"], drawn["customers"], drawn["low"], drawn["high"]]
                ),
                hovertemplate=(
                    (f"<b>{plain(name)}</b><br>" if name else "")
                    + "%{customdata[0]}: %{y:.1%} (%{customdata[3]:.1%} to %{customdata[4]:.1%})<br>"
                    "%{customdata[1]:,} of %{customdata[2]:,} customers<extra></extra>"
                ),
            ),
            row=1, col=1,
        )  # fmt: skip
        last = drawn.iloc[-1]
        ends.append((float(last["retention"]), name))
        said[name] = f"{theme.percent(last['retention'])} of {theme.count(last['customers'])}"
        top = max(top, float(drawn["high"].max()))
    top = min(top * 1.08, 1.02) or 1.0
    ends.sort()
    for (_, name), y in zip(ends, apart([share for share, _ in ends], 17 / height * top, top), strict=True):
        figure.add_annotation(
            x=1, xref="paper", y=y, text=f"<b>{plain(short[name])}</b> {said[name]}".replace("<b></b> ", ""),
            showarrow=False, xanchor="left", xshift=9, font={"size": 12, "color": colours[name]},
        )  # fmt: skip
    figure.update_yaxes(range=[0, top], title_text="Came back", row=1, col=1, **theme.share_axis(top))


def _draw_triangle(figure: go.Figure, cells: pd.DataFrame, latest: Sequence[pd.Timestamp]) -> None:
    import plotly.graph_objects as go

    place = {cohort: number for number, cohort in enumerate(latest)}
    highest = float(cells.loc[cells["reliability"] != "hidden", "retention"].max() or 1.0)
    highest = highest if highest > 0 else 1.0
    scale = [[0, theme.tint(theme.CONTINUED, 0.04)], [1, theme.CONTINUED]]
    for complete, opacity in ((True, 1.0), (False, 0.38)):
        part = cells[(cells["complete"] == complete) & (cells["reliability"] != "hidden")]
        if not len(part):
            continue
        y = part["cohort"].map(place)
        figure.add_trace(
            go.Heatmap(
                x=part["period"], y=y, z=part["retention"], zmin=0, zmax=highest, colorscale=scale,
                showscale=False, opacity=opacity, xgap=2, ygap=2,
                customdata=np.column_stack(
                    [part["cohort"].dt.strftime("%Y-%m-%d"), part["label"], part["returned"],
                     part["customers"], part["low"], part["high"]]
                ),
                hovertemplate=(
                    "<b>%{customdata[0]}</b>, %{customdata[1]}"
                    + ("" if complete else " (not over yet)")
                    + "<br>%{z:.1%} (%{customdata[4]:.1%} to %{customdata[5]:.1%})<br>"
                    "%{customdata[2]:,} of %{customdata[3]:,} customers<extra></extra>"
                ),
            ),
            row=2, col=1,
        )  # fmt: skip
        shade = part["retention"] / highest * opacity
        figure.add_trace(
            go.Scatter(
                x=part["period"], y=y, mode="text", hoverinfo="skip",
                text=[theme.percent(one) for one in part["retention"]],
                textfont={
                    "size": 11,
                    "color": [
                        theme.on(theme.tint(theme.CONTINUED, max(one, 0.04))) if complete else theme.MUTED
                        for one in shade
                    ],
                },
            ),
            row=2, col=1,
        )  # fmt: skip
    customers = cells.groupby("cohort")["customers"].first()
    figure.update_yaxes(
        tickvals=list(place.values()),
        ticktext=[f"{cohort:%Y-%m-%d} · {theme.count(customers[cohort])}" for cohort in latest],
        range=[len(latest) - 0.5, -0.5],
        showgrid=False,
        zeroline=False,
        title_text="Cohort · customers",
        row=2,
        col=1,
    )


_STATES = (
    ("new", theme.CONTINUED, ""),
    ("returning", "#56a3d9", ""),
    ("resurrected", "#d98b00", ""),
    ("dormant", theme.DROPPED, "/"),
)


def lifecycle_chart(frame: pd.DataFrame, *, by: Sequence[str] = (), period: str) -> go.Figure:
    """Active customers per period above the line, by where they come from; those that went quiet below it.

    Parameters
    ----------
    frame : DataFrame
        Columns of `Lifecycle.to_frame()`.
    by : sequence of str
        The columns by which the frame is grouped: one panel per group.
    period : str
        `day`, `week` or `month`.
    """
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    panels, left_out = _panels(frame, by, "active")
    house = theme.figure(
        "Who is new, stays, comes back or goes quiet",
        subtitle=f"Customers per {period}; pale: the {period} was not seen as a whole"
        + (f" · {theme.left_out(left_out)}" if left_out else ""),
        height=130 + (270 if len(panels) == 1 else 200) * max(len(panels), 1) + 40,
        width=_WIDTH,
    )
    figure = make_subplots(
        rows=max(len(panels), 1), cols=1, shared_xaxes=True,
        subplot_titles=[plain(name) for name in panels] if by else None, vertical_spacing=0.09 / len(panels)
        if len(panels) > 1 else 0,
    )  # fmt: skip
    axes = house.layout.xaxis.to_plotly_json()
    titles = figure.layout.annotations
    figure.update_layout(house.layout)
    figure.layout.annotations = titles
    figure.update_xaxes(axes)
    figure.update_yaxes(axes)
    top = 140 if by else 112
    figure.update_layout(
        barmode="relative",
        bargap=0.18,
        margin={"t": top, "b": 56},
        title={"y": 1 - 26 / figure.layout.height, "yanchor": "top"},
        legend={"y": 1 + (28 if by else 6) / (figure.layout.height - top - 56)},
    )
    figure.update_annotations(font={"size": 13, "color": theme.INK}, yshift=2)
    for number, part in enumerate(panels.values(), start=1):
        for state, colour, pattern in _STATES:
            sign = -1 if state == "dormant" else 1
            figure.add_trace(
                go.Bar(
                    x=part["period"], y=sign * part[state], name=state, legendgroup=state,
                    showlegend=number == 1,
                    marker={
                        "color": colour,
                        "opacity": np.where(part["complete"], 1.0, 0.4),
                        "line": {"color": theme.PAPER, "width": 0.5},
                        "pattern": {"shape": pattern, "fgcolor": theme.PAPER, "size": 6, "solidity": 0.15},
                    },
                    customdata=np.column_stack([part[state], part["active"]]),
                    hovertemplate=(
                        f"<b>{state}</b>, {period} of %{{x|%Y-%m-%d}}<br>%{{customdata[0]:,}} customers; "
                        "%{customdata[1]:,} active in all<extra></extra>"
                    ),
                ),
                row=number, col=1,
            )  # fmt: skip
        marks = _marks(-int(part["dormant"].max()), int(part["active"].max()))
        figure.update_yaxes(
            title_text="Customers", zerolinecolor=theme.INK, row=number,
            tickvals=marks, ticktext=[f"{abs(one):,}" for one in marks],
        )  # fmt: skip
    figure.update_xaxes(title_text=f"{period.capitalize()} (first day)", row=max(len(panels), 1))
    starts = [one for part in panels.values() for one in pd.to_datetime(part["period"])]
    figure.update_xaxes(showgrid=False, **theme.period_axis(starts, 10))
    if not panels:
        figure.update_xaxes(visible=False)
        figure.update_yaxes(visible=False)
        theme.say_instead(figure, "Nobody was active.")
    return figure


def _marks(low: int, high: int) -> list[int]:
    """Whole round numbers on both sides of 0."""
    size = max((high - low) / 5, 1)
    power = 10 ** int(np.log10(size))
    step = next(one * power for one in (1, 2, 5, 10) if one * power >= size)
    return list(range(-(-low // step) * step, high + 1, step))


def stickiness_chart(frame: pd.DataFrame, *, by: Sequence[str] = (), period: str) -> go.Figure:
    """On how many days of a period customers were active: the share of each number of days.

    Parameters
    ----------
    frame : DataFrame
        Columns of `Stickiness.distribution()`.
    by : sequence of str
        The columns by which the frame is grouped: bars side by side.
    period : str
        `week` or `month`.
    """
    import plotly.graph_objects as go

    panels, left_out = _panels(frame, by, "active")
    last = max((int(part.loc[part["customers"] > 0, "days"].max()) for part in panels.values()), default=1)
    panels = {name: part[part["days"] <= last] for name, part in panels.items()}
    size = {name: int(part["active"].iloc[0]) for name, part in panels.items()}
    short = dict(zip(panels, told_apart(panels, _NAME, 12), strict=True))
    lines = -(-len(panels) // _ABREAST) if by else 0
    notes = [f"nobody was active on more than {last} days"] if last < _DAYS[period] and panels else []
    notes += [theme.left_out(left_out)] if left_out else []
    above = 96 + 22 * bool(notes) + 20 * lines
    figure = theme.figure(
        f"On how many days of a {period} customers are active",
        subtitle=f"Share of the customers active in a {period}, all {period}s that were seen as a whole"
        + "".join(f" · {theme.counted(n, f'customer-{period}')}" for n in size.values() if not by)
        + "".join(["<br>", " · ".join(notes)] if notes else []),
        height=above + 310,
        width=_WIDTH,
    )
    colours = theme.colours(list(panels))
    for name, part in panels.items():
        figure.add_trace(
            go.Bar(
                x=part["days"], y=part["share"], name=f"{plain(short[name])} · {theme.count(size[name])}",
                marker={"color": colours[name]},
                error_y=theme.whiskers(part, "share", theme.INK, thickness=1.2),
                customdata=np.column_stack([part["customers"], part["active"], part["at_least"]]),
                hovertemplate=(
                    (f"<b>{plain(name)}</b><br>" if name else "")
                    + "%{x} days: %{y:.1%}, %{customdata[0]:,} of %{customdata[1]:,}<br>"
                    "so many or more: %{customdata[2]:.1%}<extra></extra>"
                ),
            )
        )  # fmt: skip
        if len(panels) == 1:
            for row in part.to_dict("records"):
                figure.add_annotation(
                    x=row["days"], y=row["high"], text=theme.percent(row["share"]), showarrow=False,
                    yshift=10, font={"size": 12 if last <= _FEW else 9},
                )  # fmt: skip
    widest = max((text_width(f"{name} · 100,000", 12) for name in short.values()), default=0)
    figure.update_layout(
        barmode="group", bargap=0.25, showlegend=len(panels) > 1, margin={"t": above},
        title={"y": 1, "yref": "container", "yanchor": "top", "pad": {"l": 24, "t": 26}},
        legend={"entrywidth": widest + 30},
    )  # fmt: skip
    figure.update_xaxes(title_text=f"Active days in the {period}", dtick=1, showgrid=False)
    top = 1.08 * max([0.01, *(float(part["high"].max()) for part in panels.values())])
    figure.update_yaxes(title_text="Share of active customers", range=[0, top], **theme.share_axis(top))
    if not panels:
        figure.update_xaxes(visible=False)
        figure.update_yaxes(visible=False)
        theme.say_instead(
            figure,
            "Nothing to show: all groups are under the minimum."
            if left_out
            else f"No {period} was seen as a whole.",
        )
    return figure


def _panels(frame: pd.DataFrame, by: Sequence[str], size: str) -> tuple[dict[str, pd.DataFrame], int]:
    """The rows of the largest groups by their names, in the order of the frame; how many are left out."""
    if not by:
        return ({"": frame} if len(frame) else {}), 0
    parts = {
        " · ".join(map(str, key if isinstance(key, tuple) else (key,))): part
        for key, part in frame.groupby(list(by), sort=False)
    }
    enough = [name for name, part in parts.items() if _shown(part)]
    largest = sorted(enough, key=lambda name: -int(parts[name][size].sum()))[:_MOST]
    return {name: part for name, part in parts.items() if name in largest}, len(parts) - len(largest)


def _shown(part: pd.DataFrame) -> bool:
    """Whether anything of a group may be drawn."""
    return "reliability" not in part or bool((part["reliability"] != "hidden").any())
