"""Flow as a Sankey diagram: a column per position, links as wide as they have journeys."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from cjm_analytics.charts import theme
from cjm_analytics.charts.text import fitted, plain, text_width, told_apart

if TYPE_CHECKING:
    from collections.abc import Sequence

    import plotly.graph_objects as go

__all__ = ["sankey", "step_matrix", "sunburst"]

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
    unit: str,
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
        Units looked at and left out; share of their events that is shown by name.
    unit : str
        What they are.
    """
    import plotly.graph_objects as go

    nodes = _nodes(frame, road)
    n_columns = int(nodes["column"].max()) + 1 if len(nodes) else 1
    most = int(nodes.groupby("column").size().max()) if len(nodes) else 1
    height = max(520, _TOP + _BOTTOM + most * 46)
    short = _short_names(nodes)
    last = nodes[nodes["column"] == n_columns - 1]
    ends = (
        text_width(f"{short[name]} {theme.count(n)}", _SIZE)
        for name, n in zip(last["name"], last["passes"], strict=True)
    )
    aside = max(ends, default=0) + 12
    inner = _BETWEEN * max(n_columns - 1, 1)
    wide = round(2 * _SIDE + inner + _NODE + aside)
    said = [theme.counted(units, unit)]
    if left_out:
        said.append(f"{left_out:,} without it are left out")
    if pd.notna(coverage) and coverage < 1:
        said.append(f"{theme.percent(coverage)} of their contacts by name, the rest gathered as “other”")
    figure = theme.figure(
        plain(fitted(f"Flow by {of}{subject}", wide - 2 * _SIDE, 18, bold=True)),
        subtitle=" · ".join(said),
        height=height,
        width=wide,
    )
    figure.update_layout(
        margin={"l": _SIDE, "r": _SIDE + aside, "t": _TOP, "b": _BOTTOM},
        title={"y": 1 - 36 / height, "yanchor": "top"},
    )
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False)
    if not len(nodes):
        figure.add_annotation(text=f"No {unit} to follow.", x=0.5, y=0.5, showarrow=False)
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
                    [nodes["name"].map(plain), nodes["position"], nodes["passes"].map("{:,}".format)]
                ),
                "hovertemplate": (
                    "<b>%{customdata[0]}</b><br>position %{customdata[1]}<br>"
                    f"%{{customdata[2]}} passes, {units:,} {unit}s in all<extra></extra>"
                ),
            },
            link=_links(frame, nodes, number),
        )
    )
    figure.update_layout(annotations=_texts(nodes, road, short, width=width))
    return figure


def _nodes(frame: pd.DataFrame, road: Sequence[str]) -> pd.DataFrame:
    """One row per (position, name), in the same order in every column: by phase, then the earlier first."""
    leaving = frame.groupby(["position", "source", "source_phase"])["passes"].sum()
    arriving = frame.groupby(["position", "target", "target_phase"])["passes"].sum()
    names = ["position", "name", "phase", "passes"]
    left = leaving.reset_index().set_axis(names, axis=1)
    entered = arriving.reset_index().set_axis(names, axis=1).assign(position=lambda one: one["position"] + 1)
    nodes = pd.concat([left, entered]).drop_duplicates(["position", "name"])
    passes = nodes["passes"].groupby(nodes["name"]).sum()
    mean = (nodes["passes"] * nodes["position"]).groupby(nodes["name"]).sum() / passes
    palette = theme.phase_colours(road) if road else {}
    real = ~nodes["name"].isin([*_ENDS, "other"])
    colour = [
        _colour(name, phase, palette) for name, phase in zip(nodes["name"], nodes["phase"], strict=True)
    ]
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
    columns = nodes.groupby("column")["passes"]
    scale = ((height - (columns.size() - 1) * _PAD) / columns.sum()).min()
    size = nodes["passes"] * scale
    before = size.groupby(nodes["column"]).cumsum() - size + nodes.groupby("column").cumcount() * _PAD
    return nodes.assign(size=size, y=((before + size / 2) / height).clip(lower=1e-6))


def _links(frame: pd.DataFrame, nodes: pd.DataFrame, number: dict[tuple[int, str], int]) -> dict[str, object]:
    source = [number[key] for key in zip(frame["position"], frame["source"], strict=True)]
    target = [number[key] for key in zip(frame["position"] + 1, frame["target"], strict=True)]
    colours = [nodes["colour"].iloc[one] for one in source]
    return {
        "source": source,
        "target": target,
        "value": frame["passes"].tolist(),
        "color": [theme.tint(colour, 0.32) for colour in colours],
        "hovercolor": [theme.tint(colour, 0.6) for colour in colours],
        "customdata": np.column_stack(
            [
                frame["source"].map(plain),
                frame["target"].map(plain),
                frame["passes"].map("{:,}".format),
                frame["at_source"].map("{:,}".format),
                frame["share"].map(theme.percent),
            ]
        ),
        "hovertemplate": (
            "<b>%{customdata[0]} → %{customdata[1]}</b><br>%{customdata[2]} of %{customdata[3]} passes "
            "(%{customdata[4]})<extra></extra>"
        ),
    }


def _short_names(nodes: pd.DataFrame) -> dict[str, str]:
    """Names that fit between two columns beside the count of any node."""
    count = max((text_width(f" {theme.count(one)}", _SIZE) for one in nodes["passes"]), default=0.0)
    names = list(dict.fromkeys(nodes["name"]))
    return dict(zip(names, told_apart(names, _BETWEEN - _NODE - 38 - count, _SIZE), strict=True))


def _texts(
    nodes: pd.DataFrame, road: Sequence[str], short: dict[str, str], *, width: float
) -> list[dict[str, object]]:
    """Names beside the nodes, positions above them, and the colours of the phases."""
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
        count = theme.count(row["passes"])
        name = plain(short[row["name"]])
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
        f"<span style='color:{palette[phase]}'>■</span> {plain(phase)}"
        for phase in [*road, *(["unassigned"] if road and _is_unassigned(nodes) else [])]
        if phase in seen
    ]
    if marks:
        texts.append({**above, "x": 0, "yshift": 32, "text": "   ".join(marks), "font": {"size": 12}})
    return [{"showarrow": False, **text} for text in texts]


def _is_unassigned(nodes: pd.DataFrame) -> bool:
    """Whether a name is in no phase; what is gathered is said by its own name."""
    return bool(((nodes["phase"] == "unassigned") & ~nodes["name"].isin([*_ENDS, "other"])).any())


def _told(units: int, left_out: int, unit: str, *more: str) -> str:
    """The line below a title: how many units, and what to know besides."""
    said = [theme.counted(units, unit)]
    if left_out:
        said.append(f"{theme.count(left_out)} without it left out")
    return " · ".join([*said, *(one for one in more if one)])


_CELL, _LEFT, _MOST_ROWS = 30, 240, 40
_LEAST_WRITTEN = 0.0005
"""A smaller share would read 0.0 %."""


def step_matrix(
    matrix: pd.DataFrame, *, subject: str, units: int, left_out: int, passes: int, unit: str
) -> go.Figure:
    """The share of passes at each name, position by position, as a heat map.

    Parameters
    ----------
    matrix : DataFrame
        `Flow.steps()`: a row per name, a column per position.
    subject : str
        What the title adds.
    units, left_out, passes
        Units looked at and left out; passes, of which the shares are.
    unit : str
        What the units are.
    """
    import plotly.graph_objects as go

    ends = [name for name in matrix.index if name in {*_ENDS, "other"}]
    shown = [name for name in matrix.index if name not in ends][:_MOST_ROWS]
    hidden = len(matrix) - len(ends) - len(shown)
    rows = matrix.loc[[*shown, *ends]]
    height = 150 + _CELL * max(len(rows), 1) + 60
    width = max(640, _LEFT + 90 * len(rows.columns) + 60)
    figure = theme.figure(
        plain(fitted(f"Where {unit}s are, step by step{subject}", width - 48, 18, bold=True)),
        subtitle=_told(
            units,
            left_out,
            unit,
            f"share of {theme.count(passes)} passes" if passes != units else "",
            f"{hidden:,} rarer {'name' if hidden == 1 else 'names'} not shown" if hidden else "",
        ),
        height=height,
        width=width,
    )  # fmt: skip
    values = rows.to_numpy(dtype=float)
    # What is gathered has a scale of its own, in grey: beside it, single names would all be pale.
    named = np.arange(len(rows))[:, None] < len(shown)
    labels = [f"{position}".replace("-", "−") for position in rows.columns]
    for those, colour in ((named, theme.CONTINUED), (~named, theme.UNASSIGNED)):
        most = max(float(np.where(those, values, 0).max(initial=0)), 0.01)
        figure.add_trace(
            go.Heatmap(
                z=np.where(those & (values > 0), values, np.nan),
                x=list(range(len(labels))),
                y=list(range(len(rows))),
                zmin=0,
                zmax=most,
                colorscale=[[0, theme.tint(colour, 0.05)], [1, colour]],
                showscale=False,
                xgap=2,
                ygap=2,
                hoverongaps=False,
                customdata=[[[plain(name), label] for label in labels] for name in rows.index],
                hovertemplate="<b>%{customdata[0]}</b><br>position %{customdata[1]}<br>%{z:.1%} of "
                f"{passes:,} pass{'' if passes == 1 else 'es'}<extra></extra>",
            )
        )
        for row, column in np.argwhere(those & (values >= _LEAST_WRITTEN)).tolist():
            share = float(values[row, column])
            ground = theme.tint(colour, 0.05 + 0.95 * share / most)
            figure.add_annotation(
                x=column, y=row, text=theme.percent(share), showarrow=False,
                font={"size": 11, "color": theme.on(ground)},
            )  # fmt: skip
    figure.update_layout(
        margin={"l": _LEFT, "t": 140, "b": 50, "r": 30}, title={"y": 1 - 26 / height, "yanchor": "top"}
    )
    figure.update_xaxes(
        title_text="Position", side="top", tickvals=list(range(len(labels))), ticktext=labels,
        showgrid=False, zeroline=False, ticks="",
    )  # fmt: skip
    figure.update_yaxes(
        tickvals=list(range(len(rows))),
        ticktext=[plain(name) for name in told_apart(rows.index, _LEFT - 24, 12)],
        range=[max(len(rows), 1) - 0.5, -0.5],
        showgrid=False,
        zeroline=False,
    )
    return figure


_ROUND = 760
"""Across the whole."""

_WITHIN = " > "
_FEWEST = 0.004
"""An arc of a smaller share of all passes is not drawn by itself."""


def sunburst(
    frame: pd.DataFrame, *, road: Sequence[str], subject: str, units: int, left_out: int, unit: str
) -> go.Figure:
    """Rings from position 0 outwards; an arc's share is its parent's times that of the link between them.

    Parameters
    ----------
    frame : DataFrame
        Columns of `Flow.to_frame()`.
    road : sequence of str
        The phases in order: their colours.
    subject : str
        What the title adds.
    units, left_out : int
        Units looked at and left out.
    unit : str
        What they are.
    """
    import plotly.graph_objects as go

    backward = bool(len(frame)) and int(frame["position"].min()) < 0
    aside = "what came before, from the inside out" if backward else "what came after, from the inside out"
    figure = theme.figure(
        plain(fitted(f"Which way {unit}s went{subject}", _ROUND - 8, 18, bold=True)),
        subtitle=_told(units, left_out, unit, aside),
        height=_ROUND + 150,
        width=_ROUND + 40,
    )
    ids, labels, parents, values, colours = _arcs(
        frame, theme.phase_colours(road) if road else {}, backward=backward
    )
    if not ids:
        figure.add_annotation(text=f"No {unit} to follow.", x=0.5, y=0.5, showarrow=False)
        return figure
    rings = 1 + max(one.count(_WITHIN) for one in ids)
    figure.add_trace(
        go.Sunburst(
            ids=ids,
            labels=[plain(label) for label in labels],
            text=[plain(label) for label in told_apart(labels, _ROUND / 2 / rings - 4, 10)],
            textinfo="text",
            parents=parents,
            values=values,
            branchvalues="total",
            marker={"colors": colours, "line": {"color": theme.PAPER, "width": 1}},
            leaf={"opacity": 1},
            insidetextorientation="radial",
            textfont={"size": 10, "color": [theme.on(one) for one in colours]},
            sort=True,
            hovertemplate="<b>%{label}</b><br>%{value:.1%} of the passes<extra></extra>",
        )
    )
    # Names that do not fit at this size are left to the hover: no letters too small to read.
    figure.update_layout(
        margin={"t": 110, "b": 20, "l": 20, "r": 20}, uniformtext={"minsize": 9, "mode": "hide"}
    )
    palette, drawn = theme.phase_colours(road), set(colours)
    marks = [
        f"<span style='color:{palette[one]}'>■</span> {plain(one)}" for one in road if palette[one] in drawn
    ]
    marks += [
        f"<span style='color:{theme.UNASSIGNED}'>■</span> other" + (", unassigned" if road else ""),
        f"<span style='color:{theme.OPEN}'>■</span> {'start' if backward else 'end'}",
    ]
    figure.add_annotation(
        text="   ".join(marks), x=0, y=1, xref="paper", yref="paper", xanchor="left", yanchor="bottom",
        yshift=10, xshift=4, showarrow=False, font={"size": 12},
    )  # fmt: skip
    return figure


def _colour(name: str, phase: str, palette: dict[str, str]) -> str:
    """Of a node: that of its phase; without phases one for all."""
    if name in _ENDS:
        return _LAST[1]
    if name == "other":
        return _LAST[0]
    return palette.get(phase, theme.UNASSIGNED) if palette else theme.CONTINUED


def _arcs(
    frame: pd.DataFrame, palette: dict[str, str], *, backward: bool
) -> tuple[list[str], list[str], list[str], list[float], list[str]]:
    """Ids, labels, parents, shares and colours of the arcs, ring by ring."""
    inner, outer = ("target", "source") if backward else ("source", "target")
    links = frame[frame["position"] < 0] if backward else frame
    if not len(links):
        return [], [], [], [], []
    first = int(links["position"].max() if backward else links["position"].min())
    last = int(links["position"].min() if backward else links["position"].max())
    step = -1 if backward else 1
    centre = (
        links[links["position"] == first].groupby([inner, f"{inner}_phase"])["passes"].sum().reset_index()
    )
    total = float(centre["passes"].sum())
    arcs = [
        (str(row[inner]), str(row[inner]), "", row["passes"] / total,
         _colour(str(row[inner]), str(row[f"{inner}_phase"]), palette))
        for row in centre.to_dict("records")
    ]  # fmt: skip
    ring = [(identity, label, share) for identity, label, _, share, _ in arcs]
    for position in range(first, last + step, step):
        mine = links[links["position"] == position]
        sums = mine.groupby(inner)["passes"].transform("sum")
        mine = mine.assign(part=mine["passes"] / sums)
        following = []
        for identity, label, share in ring:
            for row in mine[mine[inner] == label].to_dict("records"):
                part = share * row["part"]
                if part < _FEWEST:
                    continue
                name = str(row[outer])
                colour = _colour(name, str(row[f"{outer}_phase"]), palette)
                child = f"{identity}{_WITHIN}{name}"
                arcs.append((child, name, identity, part, colour))
                if name not in _ENDS:
                    following.append((child, name, part))
        ring = following
    ids, labels, parents, values, colours = (list(column) for column in zip(*arcs, strict=True))
    return ids, labels, parents, values, colours
