"""Transitions as a heat map: where each node goes next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cjm_analytics.charts import theme
from cjm_analytics.charts.text import plain, text_width, told_apart

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    import plotly.graph_objects as go

__all__ = [
    "END",
    "OTHER",
    "START",
    "coverage",
    "heading",
    "heat_map",
    "most_visited",
    "pairs",
    "with_unassigned",
]

START, END, OTHER = "(start)", "(end)", "other"
_CELL = 38
"""Pixels of a cell of the heat map."""


def heat_map(
    frame: pd.DataFrame,
    phases: pd.DataFrame,
    *,
    road: Sequence[str],
    of: str,
    unit: str,
    top: int | None,
    subject: str,
    total: int,
    n_names: int,
) -> go.Figure:
    """Where each node goes next: a row per source, a column per target, in the cell the share of the row.

    Parameters
    ----------
    frame : DataFrame
        Columns of `Transitions.to_frame()`, of one group.
    phases : DataFrame
        `name, phase` of every node, in the order of the codebook.
    road : sequence of str
        The phases in order.
    of, unit, subject : str
        What the nodes are, what the transitions were counted in, and which group this is.
    top : int or None
        So many nodes besides `(start)` and `(end)`, the others gathered as "other"; default 20.
    total : int
        All transitions.
    n_names : int
        Names that occur, shown or gathered.
    """
    import plotly.graph_objects as go

    chosen = most_visited(frame, 20 if top is None else top)
    names = _along(chosen, phases, road)
    gathered = frame.assign(
        source=frame["source"].where(frame["source"].isin([*names, START]), OTHER),
        target=frame["target"].where(frame["target"].isin([*names, END]), OTHER),
    )
    counts = gathered.pivot_table(
        index="source", columns="target", values="count", aggfunc="sum", fill_value=0
    )
    rest = [OTHER] if OTHER in counts.index else []
    rows, columns = [START, *names, *rest], [*names, *rest, END]
    counts = counts.reindex(index=rows, columns=columns, fill_value=0)
    leaving = counts.sum(axis=1)
    shares = counts.div(leaving.where(leaving > 0), axis=0).to_numpy()
    listed = [START, *names, *rest, END]
    short = dict(zip(listed, told_apart(listed, 200, 12), strict=True))
    room = max(text_width(short[name], 12) for name in rows)
    above = round(96 + 0.75 * room)
    height = above + 40 + _CELL * len(rows)
    figure = theme.figure(
        heading(of, subject),
        subtitle=coverage(frame, chosen, unit, (total, n_names))
        + (", the rest gathered as “other”" if rest else ""),
        height=height,
        width=max(round(_CELL * len(columns) + 1.75 * room + 72), 640),
    )
    colour = {name: theme.phase_colours(road).get(phase, "") for name, phase in pairs(phases) if road}
    ticks = {name: _tick(short[name], colour.get(name, "")) for name in listed}
    figure.add_trace(
        go.Heatmap(
            z=np.where(counts.to_numpy() > 0, shares, np.nan),
            x=list(range(len(columns))),
            y=list(range(len(rows))),
            zmin=0,
            zmax=1,
            colorscale=[[0, theme.tint(theme.CONTINUED, 0.08)], [1, theme.CONTINUED]],
            xgap=1,
            ygap=1,
            hoverongaps=False,
            showscale=False,
            customdata=np.dstack(
                [
                    np.broadcast_to(np.array([plain(one) for one in rows])[:, None], counts.shape),
                    np.broadcast_to(np.array([plain(one) for one in columns]), counts.shape),
                    np.vectorize("{:,}".format, otypes=[object])(counts.to_numpy()),
                    np.broadcast_to(np.array([f"{one:,}" for one in leaving])[:, None], counts.shape),
                ]
            ),
            hovertemplate=(
                "<b>%{customdata[0]} → %{customdata[1]}</b><br>%{customdata[2]} of %{customdata[3]} "
                "that leave (%{z:.1%})<extra></extra>"
            ),
        )
    )
    texts: list[dict[str, Any]] = []
    for y, x in np.argwhere(counts.to_numpy() > 0).tolist():
        value = float(shares[y, x])
        ground = theme.tint(theme.CONTINUED, 0.08 + 0.92 * value)
        text = theme.percent(value).removesuffix(f"{theme.NBSP}%")
        font = {"size": 11, "color": theme.on(ground)}
        texts.append({"x": x, "y": y, "text": text, "showarrow": False, "font": font})
    axis: dict[str, Any] = {"showgrid": False, "zeroline": False, "showline": False, "ticks": ""}
    axis["ticklabelstandoff"] = 5
    figure.update_xaxes(
        **axis,
        side="top",
        tickangle=-45,
        tickvals=list(range(len(columns))),
        ticktext=[ticks[name] for name in columns],
        range=[-0.5, len(columns) - 0.5],
        constrain="domain",
    )
    figure.update_yaxes(
        **axis,
        tickvals=list(range(len(rows))),
        ticktext=[ticks[name] for name in rows],
        range=[len(rows) - 0.5, -0.5],
    )
    note = f"Cell: percent of the transitions that leave the row’s {of}"
    if road and of != "phase":
        palette, seen = theme.phase_colours(road), {phase for name, phase in pairs(phases) if name in names}
        marks = [(palette[phase], plain(phase)) for phase in with_unassigned(road) if phase in seen]
        note += "".join(f"   <span style='color:{colour}'>■</span> {phase}" for colour, phase in marks)
    below = {
        "x": 0,
        "y": 0,
        "xref": "paper",
        "yref": "paper",
        "xanchor": "left",
        "yanchor": "top",
        "yshift": -8,
    }
    font = {"size": 12, "color": theme.MUTED}
    texts.append({**below, "text": note, "showarrow": False, "font": font})
    figure.update_layout(
        annotations=texts,
        margin={"l": round(room + 48), "r": round(0.75 * room + 24), "t": above, "b": 40},
        title={"y": 1 - 36 / height, "yanchor": "top"},
    )
    return figure


def heading(of: str, subject: str) -> str:
    """The title of a chart of transitions."""
    return f"What follows what, by {of}" + (f": {plain(subject)}" if subject else "")


def coverage(frame: pd.DataFrame, chosen: list[str], unit: str, of: tuple[int, int]) -> str:
    """How many of all names are shown, and what share of all transitions lies between them."""
    shown = frame["source"].isin([*chosen, START]) & frame["target"].isin([*chosen, END])
    total, n_names = of
    units = int(frame["units"].iloc[0]) if len(frame) else 0
    said = f"{theme.counted(total, 'transition')} in {theme.counted(units, unit)}"
    if int(frame["count"][shown].sum()) < total:
        said += f" · {len(chosen)} of {n_names:,} names, {theme.percent(frame['count'][shown].sum() / total)}"
        said += " of the transitions"
    return said


def most_visited(frame: pd.DataFrame, top: int) -> list[str]:
    """The nodes that are left most often, "other" aside; ties by name."""
    visits = frame[~frame["source"].isin([START, OTHER])].groupby("source")["count"].sum().reset_index()
    order = visits.sort_values(["count", "source"], ascending=[False, True])
    return [str(name) for name in order["source"].head(top)]


def pairs(phases: pd.DataFrame) -> list[tuple[str, str]]:
    """Each node and its phase."""
    return [(str(name), str(phase)) for name, phase in zip(phases["name"], phases["phase"], strict=True)]


def with_unassigned(road: Sequence[str]) -> list[str]:
    """The phases of a legend: those of the road, and what is in none of them; no road, no legend."""
    return [*road, "unassigned"] if road else []


def _along(chosen: Sequence[str], phases: pd.DataFrame, road: Sequence[str]) -> list[str]:
    """Names phase by phase; in a phase the most visited first."""
    place = {phase: number for number, phase in enumerate(road)}
    phase_of = dict(pairs(phases))
    return sorted(chosen, key=lambda name: place.get(phase_of[name], len(place)))


def _tick(name: str, colour: str) -> str:
    text = plain(name)
    return f"{text} <span style='color:{colour}'>■</span>" if colour else text
