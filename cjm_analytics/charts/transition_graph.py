"""Transitions as a graph: boxes from left to right along the road, links as wide as they are frequent."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil
from typing import TYPE_CHECKING

import numpy as np

from cjm_analytics.charts import theme
from cjm_analytics.charts.canvas import Canvas
from cjm_analytics.charts.text import LINE, plain, text_width, told_apart, wrapped
from cjm_analytics.charts.transitions import (
    END,
    START,
    coverage,
    heading,
    most_visited,
    pairs,
    with_unassigned,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    import plotly.graph_objects as go

__all__ = ["graph"]

_EDGE = 24
_WIDE, _BETWEEN = 104, 66
"""Width of a box, and the room between two columns."""

_TALL, _APART, _LANE = 50, 34, 15
"""Height of a box, the room below it, and the height of a lane in which a link passes a column."""

_COLUMN = 3
"""So many boxes stand above each other at most."""

_LINKS_PER_NODE = 2
_SIZE = 11


@dataclass(frozen=True)
class _Item:
    """What stands in a column: a node, or the lane of a link that passes by."""

    key: str
    is_node: bool
    y: float = 0.0

    @property
    def height(self) -> float:
        return _TALL + _APART if self.is_node else _LANE


@dataclass(frozen=True)
class _Link:
    """A link and the items that it touches, from left to right."""

    source: str
    target: str
    count: int
    hover: str
    chain: tuple[str, ...]
    """Keys of the left end, the lanes between and the right end; one key inside a column or at one node."""

    @property
    def between_columns(self) -> bool:
        return len(self.chain) > 1

    @property
    def back(self) -> bool:
        """Whether it goes from right to left."""
        return self.between_columns and self.chain[0] == self.target


def graph(
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
    """Nodes from left to right, phase by phase; links as wide as they have transitions.

    Inside a phase, and where there are none, what is reached first stands left (trophic levels, MacKay,
    Johnson and Sansom 2020). Drawn are the most frequent links, two per node on average, and the most
    frequent one into and out of every node; the title says what share of all transitions that is. A link that
    passes a column has a lane of its own there; links that go back are dashed.

    Parameters
    ----------
    frame, phases, road, of, unit, subject, total, n_names
        As for `heat_map`.
    top : int or None
        So many nodes besides `(start)` and `(end)`; default 12.
    """
    chosen = most_visited(frame, 12 if top is None else top)
    kept = frame[frame["source"].isin([*chosen, START]) & frame["target"].isin([*chosen, END])]
    strong = _strongest(kept, len(chosen) + 2)
    phase_of = dict(pairs(phases))
    names = _columns(chosen, kept, phase_of, road)
    columns, links = _with_lanes(names, strong)
    width = max(2 * _EDGE + len(columns) * (_WIDE + _BETWEEN) - _BETWEEN, 760)
    canvas = Canvas(width)
    canvas.text(_EDGE, 20, heading(of, subject), size=18, bold=True)
    said = f"{coverage(frame, chosen, unit, (total, n_names))} · the links drawn are "
    said += f"{theme.percent(strong['count'].sum() / total) if total else '–'} of all transitions"
    canvas.text(_EDGE, 46, said, size=13, colour=theme.MUTED)
    palette = theme.phase_colours(road)
    colours = {
        name: theme.MUTED
        if name in {START, END}
        else palette.get(phase_of[name], theme.UNASSIGNED)
        if road
        else theme.CONTINUED
        for column in names
        for name in column
    }
    seen = {phase_of[name] for name in chosen}
    y = _legend(canvas, [phase for phase in with_unassigned(road) if phase in seen], palette)
    columns, height = _stacked(columns, y + 20)
    places = {item.key: (number, item.y) for number, column in enumerate(columns) for item in column}
    most = max((link.count for link in links), default=1)
    hovers = [
        _draw_link(canvas, link, ports, places, width=1 + 8 * link.count / most, colour=colours[link.source])
        for link, ports in _ports(links, places)
    ]
    passed = frame.groupby("target")["count"].sum().to_dict()
    passed[START] = int(frame.loc[frame["source"] == START, "count"].sum())
    short = dict(zip(colours, told_apart(colours, _WIDE - 10, _SIZE, lines=2), strict=True))
    for name, colour in colours.items():
        column, middle = places[name]
        _draw_node(canvas, short[name], (_left(column), middle), colour=colour, count=passed.get(name, 0))
        text = f"<b>{plain(name)}</b><br>passed {passed.get(name, 0):,} times"
        hovers.append((_left(column) + _WIDE / 2, middle, text))
    canvas.marks.append(_hover_points(hovers))
    note = (
        f"Width of a link: its transitions, the widest has {theme.count(most)}. Dashed: back along the road."
    )
    bottom = canvas.text(_EDGE, y + 20 + height + 24, note, size=12, colour=theme.MUTED)
    return canvas.figure(bottom + 16)


def _strongest(kept: pd.DataFrame, n_nodes: int) -> pd.DataFrame:
    """The most frequent links, and for each node the most frequent one in and out."""
    links = kept.sort_values(["count", "source", "target"], ascending=[False, True, True])
    first = ~links.duplicated("source") | ~links.duplicated("target")
    among = np.arange(len(links)) < _LINKS_PER_NODE * n_nodes
    return links[(first | among).to_numpy()]


def _columns(
    chosen: list[str], kept: pd.DataFrame, phase_of: dict[str, str], road: Sequence[str]
) -> list[list[str]]:
    """The nodes in columns from left to right: `(start)`, the phases in order, `(end)`."""
    level = _levels([START, *chosen, END], kept)
    columns: list[list[str]] = []
    for phase in [*road, "unassigned"]:
        inside = [name for name in chosen if (phase_of[name] if road else "unassigned") == phase]
        inside.sort(key=lambda name: (level[name], name))
        parts = np.array_split(np.array(inside, dtype=object), ceil(len(inside) / _COLUMN)) if inside else []
        columns += [part.tolist() for part in parts]
    return [[START], *columns, [END]]


def _levels(names: list[str], links: pd.DataFrame) -> dict[str, float]:
    """Trophic levels: each node one level above those that it follows, as well as the counts allow."""
    place = {name: number for number, name in enumerate(names)}
    weight = np.zeros((len(names), len(names)))
    for source, target, count in zip(links["source"], links["target"], links["count"], strict=True):
        if source != target:
            weight[place[source], place[target]] = count
    into, out = weight.sum(axis=0), weight.sum(axis=1)
    level = np.linalg.lstsq(np.diag(into + out) - weight - weight.T, into - out, rcond=None)[0]
    return dict(zip(names, [float(one) for one in level.round(9)], strict=True))


def _with_lanes(names: list[list[str]], strong: pd.DataFrame) -> tuple[list[list[_Item]], list[_Link]]:
    """The columns with a lane for every link that passes one, in an order with few crossings."""
    columns = [[_Item(name, is_node=True) for name in column] for column in names]
    column_of = {name: number for number, column in enumerate(names) for name in column}
    links = []
    for number, row in enumerate(strong.to_dict("records")):
        ends = sorted((row["source"], row["target"]), key=column_of.__getitem__)
        first, last = column_of[ends[0]], column_of[ends[1]]
        lanes = [f"lane {number} in {column}" for column in range(first + 1, last)]
        for column, lane in enumerate(lanes, start=first + 1):
            columns[column].append(_Item(lane, is_node=False))
        hover = (
            f"<b>{plain(row['source'])} → {plain(row['target'])}</b><br>{row['count']:,} of "
            f"{row['leaving']:,} that leave ({theme.percent(row['share'])})<br>in {row['journeys']:,} "
            f"of {row['units']:,}"
        )
        chain = (ends[0], *lanes, ends[1]) if first < last else (ends[0],)
        links.append(_Link(row["source"], row["target"], int(row["count"]), hover, chain))
    return _uncrossed(columns, links), links


def _uncrossed(columns: list[list[_Item]], links: list[_Link]) -> list[list[_Item]]:
    """Each column ordered by where the neighbours of its items stand, from the left and from the right."""
    near: dict[str, list[tuple[str, int]]] = {item.key: [] for column in columns for item in column}
    for link in links:
        for one, other in zip(link.chain, link.chain[1:], strict=False):
            near[one].append((other, link.count))
            near[other].append((one, link.count))
    height = {item.key: (row + 0.5) / len(column) for column in columns for row, item in enumerate(column)}
    for _ in range(8):
        for column in [*columns, *columns[::-1]]:
            pull = {
                item.key: np.average(
                    [height[other] for other, _ in near[item.key]], weights=[one for _, one in near[item.key]]
                )
                if near[item.key]
                else height[item.key]
                for item in column
            }
            column.sort(key=lambda item, pull=pull: (pull[item.key], item.key))  # type: ignore[misc]
            height |= {item.key: (row + 0.5) / len(column) for row, item in enumerate(column)}
    return columns


def _stacked(columns: list[list[_Item]], top: float) -> tuple[list[list[_Item]], float]:
    """The items with the height of their middle, each column centred; and the height of the tallest."""
    heights = [sum(item.height for item in column) for column in columns]
    tallest = max(heights)
    placed = []
    for column, height in zip(columns, heights, strict=True):
        y = top + (tallest - height) / 2
        row = []
        for item in column:
            row.append(replace(item, y=y + item.height / 2))
            y += item.height
        placed.append(row)
    return placed, tallest


def _left(column: int) -> float:
    return _EDGE + column * (_WIDE + _BETWEEN)


def _ports(
    links: list[_Link], places: dict[str, tuple[int, float]]
) -> list[tuple[_Link, tuple[float, float]]]:
    """Each link with the heights at which it touches its left and right end: side by side, uncrossed."""
    sides: dict[tuple[str, str], list[tuple[float, int]]] = {}
    for number, link in enumerate(links):
        if link.between_columns:
            sides.setdefault((link.chain[0], "right"), []).append((places[link.chain[1]][1], number))
            sides.setdefault((link.chain[-1], "left"), []).append((places[link.chain[-2]][1], number))
    height: dict[tuple[int, str], float] = {}
    for (key, side), touching in sides.items():
        step = min((_TALL - 10) / len(touching), 12)
        for row, (_, number) in enumerate(sorted(touching)):
            height[number, side] = places[key][1] + (row - (len(touching) - 1) / 2) * step
    ports = [
        (link, (height.get((number, "right"), 0.0), height.get((number, "left"), 0.0)))
        for number, link in enumerate(links)
    ]
    return sorted(ports, key=lambda port: port[0].count)


def _draw_link(
    canvas: Canvas,
    link: _Link,
    ports: tuple[float, float],
    places: dict[str, tuple[int, float]],
    *,
    width: float,
    colour: str,
) -> tuple[float, float, str]:
    """A curve with a head; returns where it answers, and what."""
    pale, head = theme.tint(colour, 0.55), 5 + width * 0.6
    if link.between_columns:
        path, tip, direction, middle = _through_lanes(link, ports, places, head)
    elif link.source == link.target:
        path, tip, direction, middle = _loop(places[link.source], head)
    else:
        path, tip, direction, middle = _bow(places[link.source], places[link.target], head)
    canvas.path(path, line=pale, width=width)
    if link.back:
        canvas.shapes[-1]["line"]["dash"] = "5px,3px"
    canvas.path(_head(tip, direction, head, width), fill=pale)
    return (*middle, link.hover)


_Drawn = tuple[str, tuple[float, float], tuple[float, float], tuple[float, float]]
"""A path, its tip, the direction in which it points, and a place on it."""


def _through_lanes(
    link: _Link, ports: tuple[float, float], places: dict[str, tuple[int, float]], head: float
) -> _Drawn:
    """From the right side of the left box through the lanes to the left side of the right box."""
    begin = (_left(places[link.chain[0]][0]) + _WIDE + (head if link.back else 0), ports[0])
    end = (_left(places[link.chain[-1]][0]) - (0 if link.back else head), ports[1])
    x, y = begin
    path = f"M {x:.1f},{y:.1f}"
    middle = begin
    for column, height in [*(places[key] for key in link.chain[1:-1]), (None, end[1])]:
        to = end[0] if column is None else _left(column)
        half = (to - x) / 2
        path += f" C {x + half:.1f},{y:.1f} {x + half:.1f},{height:.1f} {to:.1f},{height:.1f}"
        middle = (x + half, (y + height) / 2)
        x, y = to, height
        if column is not None:
            x += _WIDE
            path += f" L {x:.1f},{y:.1f}"
            middle = (x - _WIDE / 2, y)
    if link.back:
        return path, (begin[0] - head, begin[1]), (-1.0, 0.0), middle
    return path, (end[0] + head, end[1]), (1.0, 0.0), middle


def _loop(place: tuple[int, float], head: float) -> _Drawn:
    """From the top of a box back to its top."""
    right, top = _left(place[0]) + _WIDE, place[1] - _TALL / 2
    path = (
        f"M {right - 34:.1f},{top:.1f} C {right - 36:.1f},{top - 24:.1f} {right - 6:.1f},{top - 24:.1f} "
        f"{right - 12:.1f},{top - head:.1f}"
    )
    return path, (right - 12, top), (0.0, 1.0), (right - 22, top - 16)


def _bow(source: tuple[int, float], target: tuple[int, float], head: float) -> _Drawn:
    """Inside a column: straight to the box below or above, around the right side of others between."""
    x = _left(source[0]) + _WIDE
    down = 1 if target[1] > source[1] else -1
    begin, end = source[1] + down * _TALL / 2 - down * 6, target[1] - down * _TALL / 2 + down * 6
    out = x + 18 + 0.05 * abs(target[1] - source[1])
    path = f"M {x:.1f},{begin:.1f} C {out:.1f},{begin:.1f} {out:.1f},{end:.1f} {x + head:.1f},{end:.1f}"
    return path, (x, end), (-1.0, 0.0), (0.25 * x + 0.75 * out, (begin + end) / 2)


def _head(tip: tuple[float, float], direction: tuple[float, float], length: float, width: float) -> str:
    (x, y), (dx, dy) = tip, direction
    half = 3 + width * 0.6
    bx, by = x - dx * length, y - dy * length
    one, other = (bx - dy * half, by + dx * half), (bx + dy * half, by - dx * half)
    return f"M {x:.1f},{y:.1f} L {one[0]:.1f},{one[1]:.1f} L {other[0]:.1f},{other[1]:.1f} Z"


def _draw_node(canvas: Canvas, name: str, place: tuple[float, float], *, colour: str, count: int) -> None:
    left, middle = place
    canvas.rectangle((left, middle - _TALL / 2, _WIDE, _TALL), colour)
    lines = wrapped(name, _WIDE - 10, _SIZE, lines=2)
    top = middle - (len(lines) + 1) * _SIZE * LINE / 2
    ink = theme.on(colour)
    below = canvas.text(left + _WIDE / 2, top, lines, size=_SIZE, colour=ink, align="centre")
    canvas.text(
        left + _WIDE / 2, below, theme.count(count), size=_SIZE, colour=ink, align="centre", bold=True
    )


def _legend(canvas: Canvas, phases: Sequence[str], palette: dict[str, str]) -> float:
    x = float(_EDGE)
    for phase, label in zip(phases, told_apart(phases, 220, 12), strict=True):
        canvas.rectangle((x, 78, 11, 11), palette[phase])
        canvas.text(x + 16, 76, label, size=12)
        x += 16 + text_width(label, 12) + 22
    return 104.0 if phases else 80.0


def _hover_points(hovers: list[tuple[float, float, str]]) -> go.Scatter:
    import plotly.graph_objects as go

    return go.Scatter(
        x=[x for x, _, _ in hovers],
        y=[y for _, y, _ in hovers],
        mode="markers",
        marker={"size": 18, "opacity": 0},
        hovertext=[text for _, _, text in hovers],
        hovertemplate="%{hovertext}<extra></extra>",
    )
