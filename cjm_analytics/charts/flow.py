"""Flow as a Sankey diagram: a column per position, links as wide as they have journeys."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from cjm_analytics.charts import theme
from cjm_analytics.charts.text import fitted, plain, text_width

if TYPE_CHECKING:
    from collections.abc import Sequence

    import plotly.graph_objects as go

__all__ = ["sankey"]

_BETWEEN = 190
"""Pixels from one column to the next."""

_TOP, _SIDE, _BOTTOM = 128, 24, 40
_NODE, _PAD, _SIZE = 14, 18, 11
_ENDS = ("(start)", "(end)")
_LAST = (theme.UNASSIGNED, theme.OPEN)
"""Colours of what is gathered, and of entries and exits."""


def sankey(
    frame: pd.DataFrame,
    *,
    road: Sequence[str],
    of: str,
    subject: str,
    units: int,
    left_out: int,
    coverage: float,
) -> go.Figure:
    """Journeys from position to position.

    Parameters
    ----------
    frame : DataFrame
        Columns of `Flow.to_frame()`.
    road : sequence of str
        The phases in order: their colours, and the order of the nodes from top to bottom.
    of, subject : str
        What the nodes are; what the title adds (from where, to where).
    units, left_out, coverage
        Journeys looked at and left out; share of their events that is shown by name.
    """
    import plotly.graph_objects as go

    nodes = _nodes(frame, road)
    n_columns = int(nodes["column"].max()) + 1 if len(nodes) else 1
    most = int(nodes.groupby("column").size().max()) if len(nodes) else 1
    height = max(520, _TOP + _BOTTOM + most * 46)
    last = nodes[nodes["column"] == n_columns - 1]
    widths = [
        text_width(f"{name} {n:,}", _SIZE) for name, n in zip(last["name"], last["journeys"], strict=True)
    ]
    aside = min(max(widths, default=0) + 12, 220)
    inner = _BETWEEN * max(n_columns - 1, 1)
    said = [f"{units:,} journeys"]
    if left_out:
        said.append(f"{left_out:,} without it are left out")
    if pd.notna(coverage) and coverage < 1:
        said.append(f"{theme.percent(coverage)} of their contacts by name, the rest gathered as “other”")
    figure = theme.figure(
        f"Flow by {of}{plain(subject)}",
        subtitle=" · ".join(said),
        height=height,
        width=round(2 * _SIDE + inner + _NODE + aside),
    )
    figure.update_layout(
        margin={"l": _SIDE, "r": _SIDE + aside, "t": _TOP, "b": _BOTTOM},
        title={"y": 1 - 36 / height, "yanchor": "top"},
    )
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False)
    if not len(nodes):
        figure.add_annotation(text="No journey to follow.", x=0.5, y=0.5, showarrow=False)
        return figure
    width = inner + _NODE
    nodes = _placed(nodes, height - _TOP - _BOTTOM)
    number = {key: place for place, key in enumerate(zip(nodes["position"], nodes["name"], strict=True))}
    figure.add_trace(
        go.Sankey(
            arrangement="fixed",
            domain={"x": [0, 1], "y": [0, 1]},
            node={
                "label": [""] * len(nodes),
                "color": list(nodes["colour"]),
                "x": [max((column * _BETWEEN + _NODE / 2) / width, 1e-6) for column in nodes["column"]],
                "y": list(nodes["y"]),
                "pad": _PAD,
                "thickness": _NODE,
                "align": "right" if (frame["position"] < 0).any() else "left",
                "line": {"width": 0},
                "customdata": np.column_stack(
                    [nodes["name"].map(plain), nodes["position"], nodes["journeys"].map("{:,}".format)]
                ),
                "hovertemplate": (
                    "<b>%{customdata[0]}</b><br>position %{customdata[1]}<br>"
                    f"%{{customdata[2]}} of {units:,} journeys<extra></extra>"
                ),
            },
            link=_links(frame, nodes, number),
        )
    )
    figure.update_layout(annotations=_texts(nodes, road, width=width, aside=aside))
    return figure


def _nodes(frame: pd.DataFrame, road: Sequence[str]) -> pd.DataFrame:
    """One row per (position, name), in the same order in every column: by phase, then the earlier first."""
    leaving = frame.groupby(["position", "source", "source_phase"])["journeys"].sum()
    arriving = frame.groupby(["position", "target", "target_phase"])["journeys"].sum()
    names = ["position", "name", "phase", "journeys"]
    left = leaving.reset_index().set_axis(names, axis=1)
    entered = arriving.reset_index().set_axis(names, axis=1).assign(position=lambda one: one["position"] + 1)
    nodes = pd.concat([left, entered]).drop_duplicates(["position", "name"])
    passes = nodes["journeys"].groupby(nodes["name"]).sum()
    mean = (nodes["journeys"] * nodes["position"]).groupby(nodes["name"]).sum() / passes
    colours = theme.phase_colours(road)
    real = ~nodes["name"].isin([*_ENDS, "other"])
    plain_blue = not road
    colour = [
        _LAST[1] if name in _ENDS
        else _LAST[0] if name == "other"
        else theme.CONTINUED if plain_blue
        else colours.get(phase, theme.UNASSIGNED)
        for name, phase in zip(nodes["name"], nodes["phase"], strict=True)
    ]  # fmt: skip
    place = {phase: number for number, phase in enumerate(road)}
    order = np.where(nodes["name"].isin(_ENDS), 3, np.where(real, 1, 2))
    nodes = nodes.assign(
        column=nodes["position"] - frame["position"].min(),
        colour=colour,
        order=order,
        phase_order=[place.get(phase, len(place)) for phase in nodes["phase"]],
        mean=nodes["name"].map(mean),
    )
    return nodes.sort_values(["column", "order", "phase_order", "mean", "name"], ignore_index=True)


def _placed(nodes: pd.DataFrame, height: float) -> pd.DataFrame:
    """The nodes with the middle of each as a share of the height, laid out as plotly sizes them."""
    columns = nodes.groupby("column")["journeys"]
    scale = ((height - (columns.size() - 1) * _PAD) / columns.sum()).min()
    size = nodes["journeys"] * scale
    before = size.groupby(nodes["column"]).cumsum() - size + nodes.groupby("column").cumcount() * _PAD
    return nodes.assign(size=size, y=((before + size / 2) / height).clip(lower=1e-6))


def _links(frame: pd.DataFrame, nodes: pd.DataFrame, number: dict[tuple[int, str], int]) -> dict[str, object]:
    source = [number[key] for key in zip(frame["position"], frame["source"], strict=True)]
    target = [number[key] for key in zip(frame["position"] + 1, frame["target"], strict=True)]
    colours = [nodes["colour"].iloc[one] for one in source]
    return {
        "source": source,
        "target": target,
        "value": frame["journeys"].tolist(),
        "color": [theme.tint(colour, 0.32) for colour in colours],
        "hovercolor": [theme.tint(colour, 0.6) for colour in colours],
        "customdata": np.column_stack(
            [
                frame["source"].map(plain),
                frame["target"].map(plain),
                frame["journeys"].map("{:,}".format),
                frame["at_source"].map("{:,}".format),
                frame["share"].map(theme.percent),
            ]
        ),
        "hovertemplate": (
            "<b>%{customdata[0]} → %{customdata[1]}</b><br>%{customdata[2]} of %{customdata[3]} journeys "
            "(%{customdata[4]})<extra></extra>"
        ),
    }


def _texts(
    nodes: pd.DataFrame, road: Sequence[str], *, width: float, aside: float
) -> list[dict[str, object]]:
    """Names beside the nodes, positions above them, and the colours of the phases."""
    last = nodes["column"].max()
    above = {
        "xref": "paper",
        "yref": "paper",
        "y": 1,
        "xanchor": "left",
        "yanchor": "bottom",
        "showarrow": False,
    }
    texts: list[dict[str, object]] = []
    for row in nodes.to_dict("records"):
        count = theme.count(row["journeys"])
        room = (aside if row["column"] == last else _BETWEEN - _NODE - 30) - 8
        name = plain(fitted(row["name"], room - text_width(f" {count}", _SIZE), _SIZE))
        texts.append(
            {
                **above,
                "x": (row["column"] * _BETWEEN + _NODE) / width,
                "y": 1 - row["y"],
                "yanchor": "middle",
                "xshift": 3,
                "borderpad": 0,
                "bgcolor": "rgba(255,255,255,0.6)",
                "text": f"{name} <span style='color:{theme.MUTED}'>{count}</span>",
                "font": {"size": _SIZE},
            }
        )
    texts += [
        {
            **above,
            "x": column * _BETWEEN / width,
            "yshift": 8,
            "text": f"position {position}".replace("-", "−"),
            "font": {"size": 12, "color": theme.MUTED},
        }
        for column, position in nodes[["column", "position"]].drop_duplicates().to_numpy().tolist()
    ]
    seen, palette = set(nodes["phase"]), theme.phase_colours(road)
    marks = [
        f"<span style='color:{palette[phase]}'>■</span> {plain(phase)}" for phase in road if phase in seen
    ]
    if marks:
        texts.append({**above, "x": 0, "yshift": 32, "text": "   ".join(marks), "font": {"size": 12}})
    return [{"showarrow": False, **text} for text in texts]
