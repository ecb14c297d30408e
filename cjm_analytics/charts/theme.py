"""One visual language for all charts: colours, fonts, spacing, how numbers are written."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    import plotly.graph_objects as go

__all__ = [
    "CONTINUED",
    "DROPPED",
    "FONT",
    "GRID",
    "INK",
    "MUTED",
    "OPEN",
    "PAPER",
    "colours",
    "figure",
    "phase_colours",
    "tint",
]

FONT = "Inter, 'Segoe UI', 'Helvetica Neue', Arial, 'DejaVu Sans', 'Noto Sans', sans-serif"
INK = "#1b2733"
MUTED = "#66727f"
GRID = "#e4e8ec"
PAPER = "#ffffff"

CONTINUED = "#0b5394"
DROPPED = "#c8553d"
OPEN = "#b8c1ca"

# Dark to light, so that neighbours differ in greyscale too; hues after Okabe and Ito, safe for colour blindness.
_PHASES = ("#0b5394", "#d98b00", "#1b9e8a", "#8e4a8c", "#6b7a1f", "#c8553d")
_SERIES = ("#0b5394", "#d98b00", "#1b9e8a", "#c8553d", "#8e4a8c", "#56a3d9", "#6b7a1f", "#66727f")
UNASSIGNED = "#9aa5b1"


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
