"""Paths as rows of blocks in the colours of their phases, with their share, conversion and duration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from cjm_analytics.charts import theme
from cjm_analytics.charts.canvas import Canvas
from cjm_analytics.charts.text import fitted, plain, text_width, told_apart

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import plotly.graph_objects as go

__all__ = ["path_rows", "prefix_tree"]

WIDTH = 1160
_EDGE = 24
_BLOCKS_END = 690
_COUNT_END = 776
_BAR, _BAR_END = 792, 880
_CONVERSION, _CONVERSION_END = 944, 1024
_DURATION_END = WIDTH - _EDGE
_LINE, _BLOCK, _GAP = 30, 24, 14
"""Heights of a line of blocks and of a block, and the room between rows."""

_TIP, _LABEL = 7, 11
"""Length of a block's tip, size of its letters."""

_WIDEST, _MOST_LINES, _MOST_ROWS = 150, 3, 40
_GREY = "#eef1f4"
_TREE_HEIGHT = 800


@dataclass(frozen=True)
class _Block:
    """One symbol of a path at its place."""

    x: float
    line: int
    width: float
    text: str
    colour: str
    hover: str


def path_rows(
    frame: pd.DataFrame,
    blocks: pd.DataFrame,
    *,
    phases: Sequence[str],
    group: str | None,
    unit: str,
    of: str,
    coverage: float,
    n_paths: int,
    total: int,
    title: str | None = None,
    said: str | None = None,
    noun: str = "path",
) -> go.Figure:
    """One row per path: its symbols as blocks, then how many take it, how many convert, how long it takes.

    Parameters
    ----------
    frame : DataFrame
        Columns of `Paths.to_frame()`; the first 40 rows are drawn.
    blocks : DataFrame
        `row` (of the frame), `position`, `name`, `phase`: the symbols of the paths.
    phases : sequence of str
        In the order of the road; empty: the most frequent names get colours of their own.
    group : str or None
        The column by which the frame is grouped.
    unit, of : str
        What has a path, and what it is a path of.
    coverage, n_paths, total
        Share of the units that take a path of the frame; number of different paths, and of units.
    title, said, noun : str, optional
        Where the rows are no whole paths: what they are, what is below the title and above the blocks.
    """
    canvas = Canvas(WIDTH)
    canvas.text(_EDGE, 20, title or f"Paths by {of}", size=18, bold=True)
    drawn = frame.head(_MOST_ROWS)
    if said is None:
        said = f"{len(frame):,} of {n_paths:,} different paths; they cover {_percent(coverage)}"
        said += f" of {total:,} {_plural(unit)}"
    if len(drawn) < len(frame):
        said += f". The first {len(drawn)} rows are drawn"
    canvas.text(_EDGE, 46, said, size=13, colour=theme.MUTED)
    y = 78.0
    palette = _palette(blocks, phases)
    if phases:
        seen = set(blocks["phase"])
        y = _legend(canvas, y, [phase for phase in [*phases, "unassigned"] if phase in seen], palette)
    y = _headings(
        canvas, y, unit, noun=noun, timed=not len(drawn) or bool(drawn["median_duration"].notna().any())
    )
    hovers: list[tuple[float, float, str]] = []
    texts = list(dict.fromkeys(blocks["name"].astype(str)))
    short = dict(zip(texts, told_apart(texts, _WIDEST - 26, _LABEL), strict=True))
    symbols = dict(
        tuple(blocks.assign(text=blocks["name"].astype(str).map(short)).groupby("row", sort=False))
    )
    widest = float(drawn["share"].max()) if len(drawn) else 1.0
    before: object = None
    for number, row in enumerate(drawn.to_dict("records")):
        if group and row[group] != before:
            before = row[group]
            heading = fitted(f"{group}: {before}", 400, 13, bold=True)
            y = canvas.text(_EDGE, y + 8, heading, size=13, bold=True) + 2
            canvas.text(_EDGE, y - 2, f"{row['units']:,} {_plural(unit)}", size=11, colour=theme.MUTED)
            y += 18
        placed = _placed(symbols[number], palette, by_name=not phases)
        lines = max((block.line for block in placed), default=0) + 1
        for block in placed:
            _draw(canvas, block, y)
            middle = y + block.line * _LINE + _BLOCK / 2
            hovers.append((block.x + block.width / 2, middle, block.hover))
        _numbers(canvas, row, y, unit=unit, widest=widest, hovers=hovers)
        y += lines * _LINE + _GAP - (_LINE - _BLOCK)
        canvas.line((_EDGE, y - _GAP / 2), (WIDTH - _EDGE, y - _GAP / 2), theme.GRID)
    if not len(drawn):
        nothing = "None is frequent enough." if total else f"No {unit} has an event."
        y = canvas.text(_EDGE, y + 8, nothing, size=13, colour=theme.MUTED)
    canvas.marks.append(_hover_points(hovers))
    return canvas.figure(y + 16)


def _palette(blocks: pd.DataFrame, phases: Sequence[str]) -> dict[str, str]:
    if phases:
        return theme.phase_colours(phases)
    return theme.colours(list(blocks["name"].value_counts().index[:7]))


def _legend(canvas: Canvas, y: float, phases: Sequence[str], palette: dict[str, str]) -> float:
    x = float(_EDGE)
    for phase, label in zip(phases, told_apart(phases, 220, 12), strict=True):
        if x + 16 + text_width(label, 12) > WIDTH - _EDGE:
            x, y = float(_EDGE), y + 20
        canvas.rectangle((x, y + 2, 11, 11), palette[phase])
        canvas.text(x + 16, y, label, size=12)
        x += 16 + text_width(label, 12) + 22
    return y + 28


def _headings(canvas: Canvas, y: float, unit: str, *, noun: str, timed: bool) -> float:
    heads = (
        (_EDGE, noun, "left"),
        (_COUNT_END, _plural(unit), "right"),
        (_BAR, "share", "left"),
        (_CONVERSION, "conversion, 95 % interval", "left"),
        (_DURATION_END, "median time" if timed else "", "right"),
    )
    for x, text, align in heads:
        words = text.split(", ")
        canvas.text(x, y - 14 * (len(words) - 1), words, size=11, colour=theme.MUTED, align=align)
    canvas.line((_EDGE, y + 21), (WIDTH - _EDGE, y + 20), theme.OPEN)
    return y + 30


def _placed(symbols: pd.DataFrame, palette: dict[str, str], *, by_name: bool) -> list[_Block]:
    """The blocks of a path, in as many lines as needed; what does not fit is one block that says how much."""
    placed: list[_Block] = []
    x, line = float(_EDGE), 0
    rows = symbols.to_dict("records")
    for row in rows:
        text = row["text"]
        width = max(text_width(text, _LABEL) + 26, 40)
        more = f"+ {len(rows) - len(placed):,} more"
        last_line = line == _MOST_LINES - 1
        rest = text_width(more, _LABEL) + 30 if last_line and len(rows) - len(placed) > 1 else 0
        if x + width + rest > _BLOCKS_END:
            if last_line:
                hover = f"{more[2:]} until the end of the path"
                placed.append(_Block(x, line, text_width(more, _LABEL) + 26, more, _GREY, hover))
                break
            x, line = float(_EDGE), line + 1
        colour = palette.get(str(row["name"] if by_name else row["phase"]), theme.UNASSIGNED)
        if not row["phase"]:
            colour = _GREY
        phase = "" if by_name or not row["phase"] else f"<br>phase {plain(row['phase'])}"
        hover = f"<b>{plain(row['name'])}</b><br>position {row['position']}{phase}"
        placed.append(_Block(x, line, width, text, colour, hover))
        x += width + 2
    return placed


def _draw(canvas: Canvas, block: _Block, y: float) -> None:
    top, end = y + block.line * _LINE, block.x + block.width
    bottom, middle = top + _BLOCK, top + _BLOCK / 2
    canvas.path(
        f"M {block.x},{top} L {end - _TIP},{top} L {end},{middle} L {end - _TIP},{bottom} "
        f"L {block.x},{bottom} L {block.x + _TIP},{middle} Z",
        fill=block.colour,
    )
    canvas.text(
        block.x + block.width / 2 + 1,
        top + 5,
        block.text,
        size=_LABEL,
        colour=theme.on(block.colour),
        align="centre",
    )


def _numbers(
    canvas: Canvas,
    row: dict[Any, Any],
    y: float,
    *,
    unit: str,
    widest: float,
    hovers: list[tuple[float, float, str]],
) -> None:
    """What stands to the right of a path."""
    units, middle = _plural(unit), y + _BLOCK / 2
    canvas.text(_COUNT_END, y + 4, f"{row['journeys']:,}", size=12, align="right")
    length = max((_BAR_END - _BAR) * row["share"] / widest, 1)
    canvas.rectangle((_BAR, y + 4, length, _BLOCK - 8), theme.CONTINUED)
    canvas.text(_BAR + length + 5, y + 4, _percent(row["share"]), size=12)
    hovers.append((_BAR + length / 2, middle, f"{row['journeys']:,} of {row['units']:,} {units}"))
    if pd.notna(row["conversion"]):
        room = _CONVERSION_END - _CONVERSION
        canvas.line((_CONVERSION, middle), (_CONVERSION_END, middle), theme.GRID)
        low, high = (_CONVERSION + room * row[name] for name in ("low", "high"))
        canvas.rectangle((low, middle - 1.5, max(high - low, 1), 3), theme.tint(theme.CONTINUED, 0.45))
        at = _CONVERSION + room * row["conversion"]
        canvas.circle((at, middle), 4, fill=theme.CONTINUED, line=theme.CONTINUED)
        canvas.text(_CONVERSION_END + 8, y + 4, _percent(row["conversion"]), size=12)
        hover = f"{row['converted']:,} of {row['journeys']:,} {units} reached the goal<br>"
        hovers.append((at, middle, f"{hover}95 % interval {_percent(row['low'])} to {_percent(row['high'])}"))
    else:
        canvas.text(_CONVERSION, y + 4, "–", size=12, colour=theme.MUTED)
    if pd.notna(row["median_duration"]):
        canvas.text(_DURATION_END, y + 4, theme.duration(row["median_duration"]), size=12, align="right")


def _hover_points(hovers: list[tuple[float, float, str]]) -> go.Scatter:
    import plotly.graph_objects as go

    return go.Scatter(
        x=[x for x, _, _ in hovers],
        y=[y for _, y, _ in hovers],
        mode="markers",
        marker={"size": 22, "opacity": 0},
        hovertext=[text for _, _, text in hovers],
        hovertemplate="%{hovertext}<extra></extra>",
    )


def _percent(share: float) -> str:
    return "–" if pd.isna(share) else theme.percent(share)


def _plural(unit: str) -> str:
    return f"{unit}s"


_ARROW = " → "
_ALL = "(all)"


def prefix_tree(
    tree: pd.DataFrame,
    phase_of: Mapping[str, str],
    *,
    phases: Sequence[str],
    of: str,
    unit: str,
    total: int,
    least: int,
) -> go.Figure:
    """What units begin with, from left to right; a branch is as high as it has units.

    Parameters
    ----------
    tree : DataFrame
        As `Paths.tree()` gives it.
    phase_of : mapping
        The phase of each name.
    phases : sequence of str
        In the order of the road.
    of, unit : str
        What the names are, and what begins with them.
    total, least : int
        Units; branches of fewer than `least` are not drawn.
    """
    import plotly.graph_objects as go

    palette = theme.phase_colours(phases) if phases else {}
    plain_blue = theme.UNASSIGNED if phases else theme.CONTINUED
    figure = theme.figure(
        f"What {_plural(unit)} begin with",
        subtitle=f"{total:,} {_plural(unit)} by {of} · branches of fewer than {least:,} are not drawn",
        height=_TREE_HEIGHT,
        width=WIDTH,
    )
    figure.update_layout(
        margin={"t": 116, "b": 24, "l": 24, "r": 24}, title={"y": 1 - 26 / _TREE_HEIGHT, "yanchor": "top"}
    )
    if not len(tree):
        nothing = "No branch is that frequent." if total else f"No {unit} has an event."
        figure.add_annotation(text=nothing, x=0.5, y=0.5, showarrow=False)
        return figure
    prefixes = tree["prefix"].tolist()
    names = [one.rsplit(_ARROW, 1)[-1] for one in prefixes]
    colours = [palette.get(phase_of.get(name, ""), plain_blue) for name in names]
    columns = 2 + max(one.count(_ARROW) for one in prefixes)
    counts = text_width(f" {theme.count(float(tree['journeys'].max()))}", 11)
    short = dict(zip(names, told_apart(names, (WIDTH - 48) / columns - counts - 14, 11), strict=True))
    figure.add_trace(
        go.Icicle(
            ids=[_ALL, *prefixes],
            labels=[f"all {_plural(unit)}", *(plain(name) for name in names)],
            parents=["", *(one.rpartition(_ARROW)[0] or _ALL for one in prefixes)],
            values=[total, *tree["journeys"]],
            branchvalues="total",
            sort=True,
            tiling={"orientation": "h", "pad": 1},
            marker={"colors": [_GREY, *colours]},
            textfont={"size": 11, "color": [theme.on(one) for one in (_GREY, *colours)]},
            text=[
                f"all {_plural(unit)} {theme.count(total)}",
                *(
                    f"{plain(short[name])} {theme.count(n)}"
                    for name, n in zip(names, tree["journeys"], strict=True)
                ),
            ],
            texttemplate="%{text}",
            pathbar={"visible": False},
            leaf={"opacity": 1},
            customdata=[
                "",
                *(
                    f"<br>{plain(prefix)}<br>{_percent(row['share'])} of {row['units']:,} {_plural(unit)}; "
                    f"{row['ended']:,} end here" + _converting(row)
                    for prefix, row in zip(prefixes, tree.to_dict("records"), strict=True)
                ),
            ],
            hovertemplate="<b>%{label}</b> %{value:,}%{customdata}<extra></extra>",
        )
    )
    # Names that do not fit at this size are left to the hover: no letters too small to read.
    figure.update_layout(uniformtext={"minsize": 9, "mode": "hide"})
    seen = {phase_of.get(name, "") for name in names}
    marks = [f"<span style='color:{palette[one]}'>■</span> {plain(one)}" for one in phases if one in seen]
    figure.add_annotation(
        text="   ".join([*marks, "white: they end, or go on in branches too small"]),
        x=0, y=1, xref="paper", yref="paper", xanchor="left", yanchor="bottom", yshift=6, showarrow=False,
        font={"size": 12, "color": theme.MUTED},
    )  # fmt: skip
    return figure


def _converting(row: dict[Any, Any]) -> str:
    if pd.isna(row["converted"]):
        return ""
    return f"<br>{row['converted']:,} reach the goal ({_percent(row['converted'] / row['journeys'])})"
