"""The journey map: phases and stages across, lanes of findings down, on one sheet."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pandas as pd

from cjm_analytics.charts.canvas import Canvas
from cjm_analytics.charts.text import LINE, fitted, plain, text_width, told_apart, wrapped
from cjm_analytics.charts.theme import (
    DROPPED,
    GRID,
    INK,
    MUTED,
    NBSP,
    OPEN,
    PAPER,
    count,
    counted,
    duration,
    on,
    percent,
    phase_colours,
    tint,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import plotly.graph_objects as go

__all__ = ["journey_map"]

_EDGE = 24.0
_GUTTER = 118.0
_NARROWEST = 84.0
_PHASE_GAP = 8.0
_STAGE_GAP = 2.0
_PAD = 7.0
_LANE_GAP = 12.0
_RIVER = 84.0
_CURVE = 88.0
_SMALL = 10.5
_EMPTY = "#f3f4f6"
_SYMBOLS = ("circle", "diamond", "square", "triangle-up", "pentagon", "star")


def journey_map(
    stages: pd.DataFrame,
    phases: pd.DataFrame,
    touchpoints: pd.DataFrame,
    scores: pd.DataFrame,
    *,
    header: Mapping[str, Any],
    notes: Mapping[str, Sequence[tuple[str, str]]],
    footer: Sequence[str],
    warnings: Sequence[str],
    width: int = 1200,
) -> go.Figure:
    """Draw the map.

    Parameters
    ----------
    stages : DataFrame
        One row per stage in the order of the road: `stage, title, phase, journeys, customers, share, on_road,
        entered, continued, dropped, open, drop_off, low, high, horizon, median_time, p90_time, reliability,
        drop_off_reliability`. `on_road`: journeys with a progressing contact in the stage. Grades are `none`
        (no contact, no drop-off), `hidden` (too few), `early` (not followed long enough), `weak` and `ok`.
    phases : DataFrame
        One row per phase: `phase, title, entered, drop_off, low, high, horizon, drop_off_reliability`.
    touchpoints : DataFrame
        The most frequent ones of each stage: `stage, touchpoint, title, events, channels` (a tuple each).
    scores : DataFrame
        One row per stage and instrument: `stage, instrument, reading, interval, n, level, level_low,
        level_high, reliability`; a missing `stage` is the relation as a whole. Levels lie in −1…+1.
    header : mapping
        `name`, `line` (a sentence), `figures` (pairs of value and label), `min_n`, and `whole` (pairs of
        value and label about whole journeys; may be empty).
    notes : mapping of stage to pairs of heading and text
    footer, warnings : sequences of sentences
    width : int
        Pixels; more where the stages need more.
    """
    colour = phase_colours(list(phases["phase"]))
    relation = scores[scores["stage"].isna()]
    whole = bool(header["whole"]) or len(relation) > 0
    grid = _Grid.of(stages, colour, width=width, whole=whole)
    sheet = _Sheet(Canvas(grid.width), grid, stages, phases, touchpoints, scores, header, notes)
    below = _header(sheet, _EDGE)
    top = _phases(sheet, below)
    below = _stage_titles(sheet, top)
    for lane in _LANES:
        below = lane(sheet, below)
    _columns(sheet, top, below + 4)
    height = _footer(sheet, below + 18, footer, warnings)
    return sheet.canvas.figure(height + _EDGE - 6)


@dataclass(frozen=True)
class _Column:
    x: float
    width: float
    colour: str
    seen: bool

    @property
    def centre(self) -> float:
        return self.x + self.width / 2

    @property
    def room(self) -> float:
        return self.width - 2 * _PAD


@dataclass(frozen=True)
class _Grid:
    """Where each column stands; `whole` is the column for whole journeys, at the right end."""

    width: float
    columns: tuple[_Column, ...]
    whole: _Column | None

    @classmethod
    def of(cls, stages: pd.DataFrame, colour: Mapping[str, str], *, width: float, whole: bool) -> _Grid:
        left = _EDGE + _GUTTER
        breaks = stages["phase"].nunique() - 1
        gaps = breaks * _PHASE_GAP + (len(stages) - 1 - breaks) * _STAGE_GAP
        parts = len(stages) + (1 if whole else 0)
        gaps += 2 * _PHASE_GAP if whole else 0
        one = max(_NARROWEST, (width - left - _EDGE - gaps) / parts)
        columns = []
        x, phase = left, ""
        for row in stages.itertuples():
            x += 0 if not phase else _STAGE_GAP if str(row.phase) == phase else _PHASE_GAP
            columns.append(_Column(x, one, colour[str(row.phase)], str(row.reliability) != "none"))
            x, phase = x + one, str(row.phase)
        last = _Column(x + 2 * _PHASE_GAP, one, MUTED, seen=True) if whole else None
        right = last.x + one if last else x
        return cls(max(width, right + _EDGE), tuple(columns), last)

    @property
    def left(self) -> float:
        return self.columns[0].x

    @property
    def right(self) -> float:
        return self.columns[-1].x + self.columns[-1].width


@dataclass(frozen=True)
class _Sheet:
    """The canvas, its grid and what is to be drawn."""

    canvas: Canvas
    grid: _Grid
    stages: pd.DataFrame
    phases: pd.DataFrame
    touchpoints: pd.DataFrame
    scores: pd.DataFrame
    header: Mapping[str, Any]
    notes: Mapping[str, Sequence[tuple[str, str]]]

    @property
    def cells(self) -> list[tuple[_Column, Any]]:
        """Each column with its row of `stages`."""
        return list(zip(self.grid.columns, self.stages.itertuples(), strict=True))

    @property
    def symbols(self) -> dict[str, str]:
        """One mark per instrument."""
        names = dict.fromkeys(self.scores["instrument"])
        return {name: _SYMBOLS[number % len(_SYMBOLS)] for number, name in enumerate(names)}

    @property
    def too_few(self) -> str:
        return f"n{NBSP}<{NBSP}{self.header['min_n']}"

    def lane(self, y: float, title: str, explanation: str, *, spare: float = 0) -> tuple[float, float]:
        """Rule off a lane and name it in the gutter; returns where its content begins and its name ends."""
        y += _LANE_GAP / 2
        self.canvas.line((_EDGE, y), (self.grid.width - _EDGE, y), GRID)
        y += _LANE_GAP / 2
        room = _GUTTER - 12 - spare
        below = self.canvas.text(_EDGE, y, title, size=12, bold=True)
        return y, self.canvas.text(_EDGE, below, wrapped(explanation, room, 10), size=10, colour=MUTED)


def _header(sheet: _Sheet, y: float) -> float:
    canvas, header = sheet.canvas, sheet.header
    right = sheet.grid.width - _EDGE
    for value, label in reversed(header["figures"]):
        room = max(text_width(value, 19, bold=True), text_width(label, _SMALL)) + 4
        canvas.text(right, y, value, size=19, bold=True, align="right")
        canvas.text(right, y + 27, label, size=_SMALL, colour=MUTED, align="right")
        right -= room + 20
    room = right - _EDGE
    below = canvas.text(
        _EDGE, y - 2, wrapped(header["name"], room, 23, bold=True, lines=2), size=23, bold=True
    )
    below = canvas.text(_EDGE, below + 2, wrapped(header["line"], room, 12), size=12, colour=MUTED)
    return max(below, y + 27 + _SMALL * LINE) + 14


def _phases(sheet: _Sheet, y: float) -> float:
    """The bands across the top: a road of arrows in the colours of the phases."""
    canvas = sheet.canvas
    labels = []
    for phase in sheet.phases.itertuples():
        columns = [column for column, row in sheet.cells if row.phase == phase.phase]
        if not columns:
            continue
        x0, x1 = columns[0].x, columns[-1].x + columns[-1].width
        room = x1 - x0 - 34
        title = wrapped(str(phase.title), room, 14.5, bold=True, lines=2)
        labels.append(
            (phase, columns[0].colour, x0, x1, title, wrapped(_phase_line(sheet, phase), room, 11, lines=2))
        )
    height = max(len(title) * 14.5 * LINE + len(line) * 11 * LINE for *_, title, line in labels) + 17
    for number, (_, colour, x0, x1, title, line) in enumerate(labels):
        tip = 9
        notch = f"L {x0 + tip},{y + height / 2:.1f} " if number else ""
        canvas.path(
            f"M {x0:.1f},{y:.1f} L {x1 - 1:.1f},{y:.1f} L {x1 - 1 + tip:.1f},{y + height / 2:.1f} "
            f"L {x1 - 1:.1f},{y + height:.1f} L {x0:.1f},{y + height:.1f} {notch}Z",
            fill=colour,
        )
        x = x0 + (20 if number else 12)
        below = canvas.text(x, y + 7, title, size=14.5, bold=True, colour=on(colour))
        canvas.text(x, below + 1, line, size=11, colour=on(colour))
    whole = sheet.grid.whole
    if whole:
        canvas.rectangle((whole.x, y, whole.width, height), tint(MUTED, 0.22))
        title = wrapped("Whole journey", whole.room, 14.5, bold=True)
        canvas.text(whole.x + 10, y + 7, title, size=14.5, bold=True)
    return y + height


def _phase_line(sheet: _Sheet, phase: Any) -> str:  # noqa: ANN401 - a row
    grade = phase.drop_off_reliability
    if grade == "hidden":
        return f"drop-off: {sheet.too_few}"
    if grade == "early":
        return (
            f"{counted(phase.entered, 'journey')}; too early for a drop-off within {duration(phase.horizon)}"
        )
    if grade == "none":
        return (
            f"{counted(phase.entered, 'journey')} {'comes' if phase.entered == 1 else 'come'} this far"
            if phase.entered
            else "no journey comes this far"
        )
    return (
        f"{percent(phase.drop_off)} do not go on within {duration(phase.horizon)} "
        f"({_interval(phase.low, phase.high)} of {count(phase.entered)})"
    )


def _stage_titles(sheet: _Sheet, y: float) -> float:
    size = _title_size(sheet)
    room = min(column.room for column in sheet.grid.columns)
    short = told_apart(sheet.stages["title"], room, size, bold=True, lines=4)
    titles = [wrapped(title, room, size, bold=True, lines=4) for title in short]
    for (column, _), title in zip(sheet.cells, titles, strict=True):
        colour = INK if column.seen else MUTED
        sheet.canvas.text(column.centre, y + 11, title, size=size, bold=True, colour=colour, align="centre")
    return y + 11 + max(len(title) for title in titles) * size * LINE + 2


def _title_size(sheet: _Sheet) -> float:
    """The largest size at which the fewest words of the stages' titles must be broken."""
    words = [(word, column.room) for column, row in sheet.cells for word in str(row.title).split()]

    def broken(size: float) -> int:
        return sum(text_width(word, size, bold=True) > room for word, room in words)

    return min((13.0, 12.5, 12.0, 11.5, 11.0), key=broken)


def _columns(sheet: _Sheet, top: float, bottom: float) -> None:
    """The ground of each column, in a breath of its phase's colour; grey where no contact was seen."""
    for column in sheet.grid.columns:
        fill = tint(column.colour, 0.055) if column.seen else _EMPTY
        sheet.canvas.rectangle((column.x, top, column.width, bottom - top), fill, under=True)
    if sheet.grid.whole:
        column = sheet.grid.whole
        box = (column.x, top, column.width, bottom - top)
        sheet.canvas.rectangle(box, tint(MUTED, 0.07), under=True)


# ── lanes, top to bottom: each draws itself from y on and returns where it ends; with nothing to say, at y ──


def _volume(sheet: _Sheet, y: float) -> float:
    y, below = sheet.lane(y, "Journeys", "with a contact in the stage")
    for column, row in sheet.cells:
        if not column.seen:
            lines = wrapped("no contact seen", column.room, 11)
            below = max(below, sheet.canvas.text(column.centre, y + 3, lines, colour=MUTED, align="centre"))
        elif row.reliability == "hidden":
            sheet.canvas.text(column.centre, y, sheet.too_few, size=14, colour=MUTED, align="centre")
        else:
            lines = [
                f"{percent(row.share)} of all",
                f"{count(row.customers)} {'person' if row.customers == 1 else 'people'}",
            ]
            below = max(below, _figure(sheet, (column.centre, y), count(row.journeys), lines))
    whole = sheet.grid.whole
    if whole:
        at = y
        for value, label in sheet.header["whole"]:
            at = _figure(sheet, (whole.centre, at), value, wrapped(label, whole.room, _SMALL)) + 5
        below = max(below, at - 5)
    return below


def _figure(
    sheet: _Sheet, at: tuple[float, float], value: str, lines: Sequence[str], *, colour: str = INK
) -> float:
    """A number, and below it in small print what it counts."""
    x, y = at
    below = sheet.canvas.text(x, y, value, size=15, bold=True, colour=colour, align="centre")
    return sheet.canvas.text(x, below, lines, size=_SMALL, colour=MUTED, align="centre")


def _road(sheet: _Sheet, y: float) -> float:
    """The river of journeys: bars of those who entered, split by what became of them, and what flows on."""
    y, below = sheet.lane(y, "Road", "journeys that come to the stage or past it, and what becomes of them")
    widest = max(int(sheet.stages["entered"].fillna(0).max()), 1)
    y += 2
    spots = [
        (column, row)
        for column, row in sheet.cells
        if _is_positive(row.on_road) and _is_positive(row.entered)
    ]
    bar = min(40.0, sheet.grid.columns[0].width * 0.36)
    for number, (column, row) in enumerate(spots):
        x, scale = column.centre - bar / 2, _RIVER / widest
        last = row.drop_off_reliability == "none"
        onward, still_open = (row.entered, 0) if last else (row.continued, row.open)
        dropped = row.entered - onward - still_open
        if number + 1 < len(spots):
            target, there = spots[number + 1]
            left, right = (x + bar, onward * scale), (target.centre - bar / 2, there.entered * scale)
            _flow(sheet, left, right, y=y, colour=column.colour)
        sheet.canvas.rectangle((x, y, bar, max(onward * scale, 0.75)), column.colour)
        if dropped:
            top, height = y + (onward + still_open) * scale, dropped * scale
            gap = min(1.0, height / 3)  # a white line, for readers without colours
            sheet.canvas.rectangle((x, top + gap, bar, height - gap), DROPPED)
        if still_open:
            sheet.canvas.hatched((x, y + onward * scale, bar, still_open * scale), MUTED)
        fates = [] if last else [row.continued, still_open, dropped]
        spot = (column.centre, y + row.entered * scale / 2)
        hover = _road_hover(row, fates, few=sheet.header["min_n"])
        sheet.canvas.mark(*spot, size=bar, symbol="square", opacity=0, hover=hover)
    _road_key(sheet, y)
    return max(below, y + _RIVER + 2)


def _road_hover(row: Any, fates: Sequence[int], *, few: int) -> str:  # noqa: ANN401 - a row
    """What a bar answers with; a fate of few would tell on them, and could be computed from the other two."""
    lines = [f"<b>{plain(row.title)}</b>", f"came to the stage or past it: {row.entered:,}"]
    if fates and not any(0 < fate < few for fate in fates):
        names = (f"went on within {duration(row.horizon)}", "still open", "stopped")
        lines += [f"{name}: {fate:,}" for name, fate in zip(names, fates, strict=True)]
    if not pd.isna(row.drop_off):
        lines.append(f"drop-off {percent(row.drop_off)} ({_interval(row.low, row.high)})")
    return "<br>".join(lines)


def _road_key(sheet: _Sheet, y: float) -> None:
    """What the fills mean, beside the bars rather than in a legend of its own."""
    whole = sheet.grid.whole
    if not whole:
        return
    fills = {"go on": sheet.grid.columns[0].colour, "still open": None, "stop": DROPPED}
    for number, (label, fill) in enumerate(fills.items()):
        x, at = whole.x + 10, y + _RIVER - 46 + 16 * number
        if fill is None:
            sheet.canvas.hatched((x, at + 2, 10, 10), MUTED)
        else:
            sheet.canvas.rectangle((x, at + 2, 10, 10), fill)
        sheet.canvas.text(x + 16, at, label, size=_SMALL, colour=MUTED)


def _flow(
    sheet: _Sheet, left: tuple[float, float], right: tuple[float, float], *, y: float, colour: str
) -> None:
    """What flows on between two bars; each side is a place and a height, both hang from y."""
    (x0, h0), (x1, h1) = left, right
    lower = [(x1, y + h1), (x0, y + h0)]
    sheet.canvas.path(
        f"M {x0:.1f},{y:.1f} L {x1:.1f},{y:.1f} L {x1:.1f},{y + h1:.1f} {_bends(lower)} Z",
        fill=tint(colour, 0.25),
    )


def _drop_off(sheet: _Sheet, y: float) -> float:
    y, below = sheet.lane(y, "Drop-off", "share that does not go on in time")
    for column, row in sheet.cells:
        grade = row.drop_off_reliability
        passed_by = not pd.isna(row.on_road) and row.on_road == 0
        if not column.seen or grade == "none" or passed_by:
            continue
        if grade in {"hidden", "early"}:
            said = sheet.too_few if grade == "hidden" else "too early"
            sheet.canvas.text(column.centre, y, said, size=12, colour=MUTED, align="centre")
            continue
        lines = wrapped(f"{_interval(row.low, row.high)} of {count(row.entered)}", column.room + 8, _SMALL)
        colour = MUTED if grade == "weak" else DROPPED
        below = max(below, _figure(sheet, (column.centre, y), percent(row.drop_off), lines, colour=colour))
    return below


def _touchpoints(sheet: _Sheet, y: float) -> float:
    y, below = sheet.lane(y, "Touchpoints", "most frequent contacts, and their channels")
    most = max(sheet.touchpoints["events"].max(), 1) if len(sheet.touchpoints) else 1
    for column, row in sheet.cells:
        at = y
        mine = sheet.touchpoints[sheet.touchpoints["stage"] == row.stage]
        short = told_apart(mine["title"], column.room, 11, lines=2)
        for one, name in zip(mine.itertuples(), short, strict=True):
            at = sheet.canvas.text(column.x + _PAD, at, wrapped(name, column.room, 11, lines=2), size=11)
            length = max(column.room * one.events / most, 1.5)
            x = column.x + _PAD
            sheet.canvas.rectangle((x, at + 1, column.room, 3), tint(column.colour, 0.14))
            sheet.canvas.rectangle((x, at + 1, length, 3), column.colour)
            line = _with_channels(count(one.events), one.channels, column.room)
            at = sheet.canvas.text(column.x + _PAD, at + 6, line, size=_SMALL, colour=MUTED) + 4
        below = max(below, at - 4)
    return below


def _with_channels(events: str, channels: Sequence[str], room: float) -> str:
    """A count and the channels behind it: as many names as fit, and how many more there are."""
    for named in range(len(channels), 0, -1):
        more = f" +{len(channels) - named}" if named < len(channels) else ""
        line = f"{events} · {', '.join(channels[:named])}{more}"
        if text_width(line, _SMALL) <= room:
            return line
    return fitted(events, room, _SMALL)


def _time(sheet: _Sheet, y: float) -> float:
    if sheet.stages["median_time"].isna().all():
        return y
    y, below = sheet.lane(y, "Time", "median to the next stage")
    for column, row in sheet.cells:
        if not pd.isna(row.median_time):
            late = "" if pd.isna(row.p90_time) else f"90{NBSP}% in {duration(row.p90_time)}"
            below = max(below, _figure(sheet, (column.centre, y), duration(row.median_time), [late]))
    return below


def _experience(sheet: _Sheet, y: float) -> float:
    if not len(sheet.scores):
        return y
    rated = sheet.scores[~sheet.scores["stage"].isna()]
    explanation = "answers, worst to best of each scale; interval shaded"
    y, named = sheet.lane(y, "Experience", explanation, spare=18)
    canvas, grid = sheet.canvas, sheet.grid
    instruments = list(dict.fromkeys(rated["instrument"]))
    top = y + 4
    for level, name in ((1, "+1"), (0, "0"), (-1, "−1")):
        at = _height(level, top)
        colour, dash = (GRID, "solid") if level else (OPEN, "dot")
        canvas.line((grid.left, at), (grid.right, at), colour, dash=dash)
        canvas.text(grid.left - 6, at - 7, name, size=10, colour=MUTED, align="right")
    for number, instrument in enumerate(instruments):
        mine = rated[rated["instrument"] == instrument]
        _curve(sheet, mine, top, shift=number - (len(instruments) - 1) / 2)
    below = top + _CURVE + 7
    deepest = max(below, named)
    for column, row in sheet.cells:
        at = below
        for one in rated[rated["stage"] == row.stage].itertuples():
            at = _reading(sheet, column, one, at)
        deepest = max(deepest, at)
    relation = sheet.scores[sheet.scores["stage"].isna()]
    if grid.whole:
        at = top - 2
        for one in relation.itertuples():
            at = _badge(sheet, grid.whole, one, at)
        deepest = max(deepest, at)
    return deepest


def _height(level: float, top: float) -> float:
    return top + (1 - level) / 2 * _CURVE


def _curve(sheet: _Sheet, mine: pd.DataFrame, top: float, *, shift: float) -> None:
    """One instrument's curve, in runs of neighbouring stages with an answer that may be shown."""
    by_stage = {row.stage: row for row in mine.itertuples()}
    run: list[tuple[float, Any]] = []
    for column, row in [*sheet.cells, (None, None)]:
        one = by_stage.get(row.stage) if row is not None else None
        if column is not None and one is not None and one.reliability != "hidden":
            run.append((column.centre + shift * 14, one))
            continue
        if run:
            _run(sheet, run, top)
        run = []


def _run(sheet: _Sheet, run: Sequence[tuple[float, Any]], top: float) -> None:
    canvas = sheet.canvas
    stub = sheet.grid.columns[0].width * 0.3
    xs = [run[0][0] - stub, *(x for x, _ in run), run[-1][0] + stub]
    ends = [run[0][1], *(one for _, one in run), run[-1][1]]
    high = [(x, _height(one.level_high, top)) for x, one in zip(xs, ends, strict=True)]
    low = [(x, _height(one.level_low, top)) for x, one in zip(xs, ends, strict=True)]
    middle = [(x, _height(one.level, top)) for x, one in zip(xs, ends, strict=True)]
    back = low[::-1]
    canvas.path(
        f"{_smooth(high)} L {back[0][0]:.1f},{back[0][1]:.1f} {_bends(back)} Z", fill="rgba(27,39,51,0.13)"
    )
    for number, (start, end) in enumerate(pairwise(middle)):
        weak = "weak" in {ends[number].reliability, ends[number + 1].reliability}
        canvas.path(_smooth([start, end]), line=INK, width=1 if weak else 2.5)
    for x, one in run:
        hover = (
            f"<b>{plain(one.instrument).upper()}</b> {plain(one.reading)}<br>"
            f"interval {plain(one.interval)}<br>n = {counted(one.n, 'answer')}"
        )
        fill = PAPER if one.reliability == "weak" else INK
        symbol = sheet.symbols[one.instrument]
        canvas.mark(x, _height(one.level, top), symbol=symbol, size=10, fill=fill, hover=hover)


def _smooth(points: Sequence[tuple[float, float]]) -> str:
    return f"M {points[0][0]:.1f},{points[0][1]:.1f} {_bends(points)}"


def _bends(points: Sequence[tuple[float, float]]) -> str:
    """Curves from point to point that are level at each of them, so that none overshoots."""
    bends = []
    for (x0, y0), (x1, y1) in pairwise(points):
        middle = (x0 + x1) / 2
        bends.append(f"C {middle:.1f},{y0:.1f} {middle:.1f},{y1:.1f} {x1:.1f},{y1:.1f}")
    return " ".join(bends)


def _reading(sheet: _Sheet, column: _Column, one: Any, y: float) -> float:  # noqa: ANN401 - a row
    """A score in words: instrument and value, then interval and number of answers."""
    canvas = sheet.canvas
    name = str(one.instrument).upper()
    if one.reliability == "hidden":
        below = canvas.text(
            column.centre, y, f"{name} {sheet.too_few}", size=11, colour=MUTED, align="centre"
        )
        return below + 3
    text = fitted(f"{name} {one.reading}", column.room - 12, 12, bold=True)
    x = column.centre - text_width(text, 12, bold=True) / 2 + 7
    weak = one.reliability == "weak"
    canvas.mark(x - 9, y + 8, symbol=sheet.symbols[one.instrument], size=6, fill=PAPER if weak else INK)
    below = canvas.text(x, y, text, size=12, bold=True, colour=MUTED if weak else INK)
    facts = f"{one.interval} · n{NBSP}={NBSP}{count(one.n)}{', weak' if weak else ''}"
    lines = wrapped(facts, column.room + 10, 10)
    return canvas.text(column.centre, below, lines, size=10, colour=MUTED, align="centre") + 3


def _badge(sheet: _Sheet, column: _Column, one: Any, y: float) -> float:  # noqa: ANN401 - a row
    """The relation as a whole: no stage's rating, so it stands beside the curve."""
    canvas, radius = sheet.canvas, 31.0
    hidden = one.reliability == "hidden"
    line = OPEN if hidden or one.reliability == "weak" else INK
    canvas.circle((column.centre, y + radius + 2), radius, fill=PAPER, line=line)
    canvas.text(column.centre, y + 14, str(one.instrument).upper(), size=_SMALL, colour=MUTED, align="centre")
    value = sheet.too_few if hidden else str(one.reading)
    canvas.text(column.centre, y + 28, value, size=12 if hidden else 18, bold=not hidden, align="centre")
    at = y + 2 * radius + 8
    if hidden:
        return (
            canvas.text(
                column.centre,
                at,
                wrapped("relation as a whole", column.room, _SMALL),
                size=_SMALL,
                colour=MUTED,
                align="centre",
            )
            + 6
        )
    lines = [str(one.interval), f"n = {count(one.n)}", *wrapped("relation as a whole", column.room, _SMALL)]
    return canvas.text(column.centre, at, lines, size=_SMALL, colour=MUTED, align="centre") + 6


def _notes(sheet: _Sheet, y: float) -> float:
    if not sheet.notes:
        return y
    y, below = sheet.lane(y, "Notes", "the analyst's words, from the model")
    for column, row in sheet.cells:
        below = max(below, _words(sheet, column.x + _PAD, below=y, room=column.room, place=str(row.stage)))
    under = below + 8
    for phase in sheet.phases.itertuples():
        columns = [column for column, row in sheet.cells if row.phase == phase.phase]
        if columns and phase.phase in sheet.notes:
            x, right = columns[0].x + _PAD, columns[-1].x + columns[-1].room
            below = max(below, _words(sheet, x, below=under, room=right - x, place=str(phase.phase)))
    return below


def _words(sheet: _Sheet, x: float, *, below: float, room: float, place: str) -> float:
    """The notes of one stage or phase; returns where they end."""
    at = below
    for heading, text in sheet.notes.get(place, ()):
        at = sheet.canvas.text(x, at, wrapped(heading, room, _SMALL), size=_SMALL, colour=MUTED)
        at = sheet.canvas.text(x, at, wrapped(text, room, 11), size=11) + 4
    return at - 4 if at > below else below


_LANES: tuple[Callable[[_Sheet, float], float], ...] = (
    _volume,
    _road,
    _drop_off,
    _touchpoints,
    _time,
    _experience,
    _notes,
)


def _footer(sheet: _Sheet, y: float, footer: Sequence[str], warnings: Sequence[str]) -> float:
    room = sheet.grid.width - 2 * _EDGE
    for warning in warnings:
        lines = wrapped(warning, room - 16, 11.5)
        sheet.canvas.mark(_EDGE + 5, y + 8, symbol="triangle-up", size=8, colour=DROPPED)
        y = sheet.canvas.text(_EDGE + 16, y, lines, size=11.5) + 3
    return sheet.canvas.text(_EDGE, y + 2, wrapped(" · ".join(footer), room, 10), size=10, colour=MUTED)


def _is_positive(value: Any) -> bool:  # noqa: ANN401 - a number, or none
    return not pd.isna(value) and value > 0


def _interval(low: float, high: float) -> str:
    """Two shares as one range.

    Examples
    --------
    >>> _interval(0.351, 0.412).replace(NBSP, " ")
    '35–41 %'
    """
    first, second = percent(low), percent(high)
    if pd.isna(low) or pd.isna(high):
        return "no interval"
    return f"{first.removesuffix(NBSP + '%')}–{second}"
