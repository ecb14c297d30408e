"""One visual language for all charts: colours, fonts, spacing, how numbers are written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cjm_analytics.charts.text import plain, told_apart

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import pandas as pd
    import plotly.graph_objects as go

__all__ = [
    "CONTINUED",
    "DROPPED",
    "FONT",
    "GRID",
    "INK",
    "MUTED",
    "NBSP",
    "OPEN",
    "PAPER",
    "UNASSIGNED",
    "colours",
    "count",
    "counted",
    "duration",
    "figure",
    "label_rows",
    "left_out",
    "little",
    "on",
    "percent",
    "period_axis",
    "phase_colours",
    "say_instead",
    "share_axis",
    "tint",
    "whiskers",
    "write_beside",
]

# Arial and its metric twins first: the same widths on every machine, so that what fits here fits there.
FONT = (
    "Arial, 'Liberation Sans', Arimo, 'Helvetica Neue', 'Noto Sans', 'Noto Sans CJK SC', 'PingFang SC', "
    "'Microsoft YaHei', sans-serif"
)
INK = "#1b2733"
MUTED = "#66727f"
GRID = "#e4e8ec"
PAPER = "#ffffff"

NBSP = "\N{NO-BREAK SPACE}"

CONTINUED = "#0b5394"
DROPPED = "#c8553d"
OPEN = "#b8c1ca"

# Dark to light, so that neighbours differ in greyscale too; hues after Okabe and Ito, for colour blindness.
_PHASES = ("#0b5394", "#d98b00", "#1b9e8a", "#8e4a8c", "#6b7a1f", "#c8553d")
_SERIES = ("#0b5394", "#d98b00", "#1b9e8a", "#c8553d", "#8e4a8c", "#56a3d9", "#6b7a1f", "#66727f")
UNASSIGNED = "#9aa5b1"

_STEPS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.25)
_MARKS = 6
"""Between the marks of an axis of shares; and so many of them besides 0."""


def phase_colours(phases: Sequence[str]) -> dict[str, str]:
    """One colour per phase, the same in every chart; what belongs to no phase is grey.

    Examples
    --------
    >>> phase_colours(["before", "during"])["before"]
    '#0b5394'
    """
    return {phase: _PHASES[number % len(_PHASES)] for number, phase in enumerate(phases)} | {
        "unassigned": UNASSIGNED
    }


def colours(names: Sequence[str]) -> dict[str, str]:
    """One colour per group of a comparison, in order."""
    return {name: _SERIES[number % len(_SERIES)] for number, name in enumerate(names)}


def tint(colour: str, share: float) -> str:
    """A colour mixed with white: 1 is the colour itself, 0 is white.

    Examples
    --------
    >>> tint("#0b5394", 0.5)
    '#85a9ca'
    """
    mixed = (round(255 - (255 - int(colour[at : at + 2], 16)) * share) for at in (1, 3, 5))
    return "#" + "".join(f"{part:02x}" for part in mixed)


def on(colour: str) -> str:
    """The colour of text on a coloured ground: white or ink, whichever reads better.

    Examples
    --------
    >>> on("#0b5394"), on("#d98b00") == INK
    ('#ffffff', True)
    """
    light = _luminance(colour) + 0.05
    return PAPER if 1.05 / light > light / (_luminance(INK) + 0.05) else INK


def _luminance(colour: str) -> float:
    """Relative luminance as in WCAG 2."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (((one + 0.055) / 1.055) ** 2.4 if one > 0.04045 else one / 12.92 for one in parts)  # noqa: PLR2004
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def percent(share: float) -> str:
    """A share as a chart writes it: whole percent, a decimal where a whole one would hide it.

    Examples
    --------
    >>> [percent(share).replace(NBSP, " ") for share in (0.384, 0.0042, 0.999, 0, 1)]
    ['38 %', '0.4 %', '99.9 %', '0 %', '100 %']
    """
    value = 100 * share
    fine = 0 < value < 1 or 99 < value < 100  # noqa: PLR2004 - percent
    text = f"{value:.1f}" if fine else f"{value:.0f}"
    text = "< 0.1" if text == "0.0" else "> 99.9" if text == "100.0" else text.removesuffix(".0")
    return text + NBSP + "%"


def period_axis(starts: Iterable[pd.Timestamp], n_labels: int = 12) -> dict[str, Any]:
    """Marks on an axis of time where periods begin, all of them or every second, third and so on.

    Examples
    --------
    >>> import pandas as pd
    >>> period_axis(pd.date_range("2026-01-05", periods=5, freq="7D"), 3)["ticktext"]
    ['2026-01-05', '2026-01-19', '2026-02-02']
    """
    there = sorted(set(starts))
    shown = there[:: max(-(-len(there) // n_labels), 1)]
    return {"tickvals": shown, "ticktext": [f"{one:%Y-%m-%d}" for one in shown]}


def share_axis(top: float) -> dict[str, Any]:
    """Marks from 0 to `top` on an axis of shares, written as `percent` writes them.

    Examples
    --------
    >>> [text.replace(NBSP, " ") for text in share_axis(0.07)["ticktext"]]
    ['0 %', '2 %', '4 %', '6 %']
    """
    step = next((one for one in _STEPS if top <= _MARKS * one), _STEPS[-1])
    marks = [round(step * number, 6) for number in range(int(top / step + 1e-9) + 1)]
    return {"tickvals": marks, "ticktext": [f"{100 * one:g}{NBSP}%" for one in marks]}


def count(number: float) -> str:
    """A count as a chart writes it: in full up to six digits, in millions beyond.

    Examples
    --------
    >>> count(12_345), count(1_234_567).replace(NBSP, " ")
    ('12,345', '1.23 M')
    """
    return f"{number:,.0f}" if abs(number) < 1e6 else f"{number / 1e6:,.2f}{NBSP}M"  # noqa: PLR2004 - a million


def counted(number: int, unit: str) -> str:
    """A number of things, with their name in the right form.

    Examples
    --------
    >>> counted(1, "journey"), counted(1_200, "journey")
    ('1 journey', '1,200 journeys')
    """
    return f"{count(number)} {unit}" + ("" if number == 1 else "s")


def little(number: int, unit: str) -> str:
    """What a chart says below its title where it rests on fewer than the minimum.

    Examples
    --------
    >>> little(3, "journey")
    'Only 3 journeys: too few to conclude anything'
    """
    return f"Only {counted(number, unit)}: too few to conclude anything"


def duration(length: pd.Timedelta) -> str:
    """A length of time as a chart writes it: one number, one unit.

    Examples
    --------
    >>> import pandas as pd
    >>> [duration(pd.Timedelta(text)).replace(NBSP, " ") for text in ("76 h", "100 days", "90 min", "20 s")]
    ['3.2 d', '100 d', '1.5 h', '20 s']
    """
    seconds = length.total_seconds()
    for unit, size, least in (("d", 86_400, 1.5), ("h", 3_600, 1.5), ("min", 60, 1.5), ("s", 1, 0.0)):
        value = seconds / size
        if value >= least:
            text = f"{value:,.1f}" if value < 10 and unit != "s" else f"{value:,.0f}"  # noqa: PLR2004
            return text.removesuffix(".0") + NBSP + unit
    return f"-{duration(-length)}"


def whiskers(rows: pd.DataFrame, of: str, colour: str, **look: float) -> dict[str, Any]:
    """The interval `low` to `high` around a column, as error bars of a trace; `look` is their thickness."""
    return {
        "type": "data",
        "symmetric": False,
        "array": rows["high"] - rows[of],
        "arrayminus": rows[of] - rows["low"],
        "color": colour,
        **look,
    }


def label_rows(figure: go.Figure, names: Sequence[str], room: float) -> None:
    """Rows from the top down, at 0, 1, 2 …, each with its name to the left, cut to so many pixels."""
    figure.update_yaxes(
        tickvals=list(range(len(names))),
        ticktext=[plain(name) for name in told_apart(names, room, 12)],
        range=[max(len(names), 1) - 0.5, -0.5],
        showgrid=False,
        zeroline=False,
        ticklabelstandoff=8,
    )


def write_beside(
    figure: go.Figure, x: Iterable[float], y: Iterable[float], texts: Iterable[str], *, size: int = 12
) -> None:
    """Numbers to the right of bars, each from its place on; two spaces keep it clear of the bar."""
    figure.add_scatter(
        x=x,
        y=y,
        text=[f"{NBSP}{NBSP}{text}" for text in texts],
        mode="text",
        textposition="middle right",
        textfont={"size": size, "color": INK},
        showlegend=False,
        hoverinfo="skip",
        cliponaxis=False,
    )


def say_instead(figure: go.Figure, text: str) -> None:
    """Why a chart shows nothing, in its middle."""
    figure.add_annotation(text=text, x=0.5, y=0.5, xref="paper", yref="paper", showarrow=False)


def left_out(groups: int) -> str:
    """What a chart says of the groups that it does not draw.

    Examples
    --------
    >>> left_out(1)
    '1 more group, smaller or under the minimum, is in the table'
    """
    of = "1 more group, smaller or under the minimum, is" if groups == 1 else ""
    return (of or f"{groups:,} more groups, smaller or under the minimum, are") + " in the table"


def figure(title: str, *, subtitle: str = "", height: int = 420, width: int | None = None) -> go.Figure:
    """An empty figure in the house style: the title says the subject, the subtitle the numbers behind it."""
    import plotly.graph_objects as go

    heading = f"<b>{title}</b>"
    if subtitle:
        heading += f"<br><span style='font-size:13px;color:{MUTED}'>{subtitle}</span>"
    axis = {
        "gridcolor": GRID,
        "linecolor": GRID,
        "zerolinecolor": GRID,
        "automargin": True,
        "title_font": {"size": 13, "color": MUTED},
        "tickfont": {"size": 12},
    }
    return go.Figure(
        layout={
            "title": {
                "text": heading,
                "x": 0,
                "xref": "container",
                "xanchor": "left",
                "pad": {"l": 24},
                "font": {"size": 18},
            },
            "font": {"family": FONT, "size": 13, "color": INK},
            "paper_bgcolor": PAPER,
            "plot_bgcolor": PAPER,
            "height": height,
            "width": width,
            "margin": {"l": 24, "r": 24, "t": 84, "b": 48},
            "xaxis": axis,
            "yaxis": axis,
            "legend": {"orientation": "h", "x": 0, "y": 1.0, "yanchor": "bottom", "title": {"text": ""}},
            "hoverlabel": {"font": {"family": FONT, "size": 13}, "align": "left"},
            "template": "none",
        }
    )
