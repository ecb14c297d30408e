"""A plotly figure as a sheet of paper measured in pixels, from its top left corner."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from cjm_analytics.charts.text import LINE, plain
from cjm_analytics.charts.theme import FONT, INK, PAPER

if TYPE_CHECKING:
    from collections.abc import Sequence

    import plotly.graph_objects as go

__all__ = ["Box", "Canvas", "Point"]

Point: TypeAlias = tuple[float, float]
Box: TypeAlias = tuple[float, float, float, float]
"""x and y of the top left corner, width, height."""

_ANCHOR = {"left": "left", "centre": "center", "right": "right"}


@dataclass
class Canvas:
    """Rectangles, paths, texts and marks at pixels; what is drawn later lies on top within its kind.

    Order of the kinds: shapes, then marks, then texts.
    """

    width: float
    shapes: list[dict[str, Any]] = field(default_factory=list)
    texts: list[dict[str, Any]] = field(default_factory=list)
    marks: list[go.Scatter] = field(default_factory=list)

    def rectangle(self, box: Box, fill: str, *, under: bool = False) -> None:
        """A filled rectangle; `under` puts it below all other shapes."""
        x, y, width, height = box
        shape = {
            "type": "rect", "x0": x, "x1": x + width, "y0": y, "y1": y + height,
            "fillcolor": fill, "line": {"width": 0}, "layer": "below",
        }  # fmt: skip
        self.shapes.insert(0 if under else len(self.shapes), shape)

    def line(self, start: Point, end: Point, colour: str, *, dash: str = "solid") -> None:
        """A straight hairline."""
        (x0, y0), (x1, y1) = start, end
        self.shapes.append(
            {
                "type": "line", "x0": x0, "x1": x1, "y0": y0, "y1": y1,
                "line": {"color": colour, "width": 1, "dash": dash}, "layer": "below",
            }
        )  # fmt: skip

    def circle(self, centre: Point, radius: float, *, fill: str, line: str) -> None:
        """A circle around its centre."""
        x, y = centre
        self.shapes.append(
            {
                "type": "circle", "x0": x - radius, "x1": x + radius, "y0": y - radius, "y1": y + radius,
                "fillcolor": fill, "line": {"width": 2, "color": line}, "layer": "below",
            }
        )  # fmt: skip

    def path(self, path: str, *, fill: str | None = None, line: str | None = None, width: float = 0) -> None:
        """A path in SVG's words: M, L, C, Z."""
        self.shapes.append(
            {
                "type": "path", "path": path, "fillcolor": fill or "rgba(0,0,0,0)",
                "line": {"color": line or fill, "width": width}, "layer": "below",
            }
        )  # fmt: skip

    def hatched(self, box: Box, colour: str) -> None:
        """A hatched rectangle."""
        import plotly.graph_objects as go

        x, y, width, height = box

        self.marks.append(
            go.Scatter(
                x=[x, x + width, x + width, x, x],
                y=[y, y, y + height, y + height, y],
                mode="lines",
                line={"width": 0.75, "color": colour},
                fill="toself",
                fillpattern={"shape": "/", "fgcolor": colour, "bgcolor": PAPER, "size": 4, "solidity": 0.35},
                hoverinfo="skip",
            )
        )

    def text(
        self, x: float, y: float, lines: str | Sequence[str], *, size: float = 11, colour: str = INK,
        bold: bool = False, align: str = "left",
    ) -> float:  # fmt: skip
        """Lines of text whose first begins at height y; returns the height below the last."""
        shown = [lines] if isinstance(lines, str) else list(lines)
        if not any(line.strip() for line in shown):
            return y
        body = "<br>".join(plain(line) for line in shown)
        self.texts.append(
            {
                "x": x, "y": y, "xanchor": _ANCHOR[align], "yanchor": "top", "align": _ANCHOR[align],
                "text": f"<b>{body}</b>" if bold else body, "showarrow": False, "borderpad": 0,
                "font": {"size": size, "color": colour},
            }
        )  # fmt: skip
        return y + len(shown) * size * LINE

    def mark(
        self, x: float, y: float, *, symbol: str = "circle", size: float = 10, colour: str = INK,
        fill: str | None = None, hover: str | None = None, opacity: float = 1,
    ) -> None:  # fmt: skip
        """One mark; `hover` is the text that it answers with (already escaped, `<br>` between lines)."""
        import plotly.graph_objects as go

        self.marks.append(
            go.Scatter(
                x=[x], y=[y], mode="markers", opacity=opacity,
                marker={
                    "symbol": symbol, "size": size, "color": fill or colour,
                    "line": {"color": colour, "width": 2},
                },
                hovertemplate=f"{hover}<extra></extra>" if hover else None,
                hoverinfo=None if hover else "skip",
            )
        )  # fmt: skip

    def figure(self, height: float) -> go.Figure:
        """The sheet as a figure of fixed size."""
        import plotly.graph_objects as go

        axis = {"visible": False, "fixedrange": True}
        return go.Figure(
            data=self.marks,
            layout={
                "width": round(self.width),
                "height": round(height),
                "margin": {"l": 0, "r": 0, "t": 0, "b": 0},
                "xaxis": {**axis, "range": [0, round(self.width)]},
                "yaxis": {**axis, "range": [round(height), 0]},
                "shapes": self.shapes,
                "annotations": self.texts,
                "font": {"family": FONT, "size": 11, "color": INK},
                "paper_bgcolor": PAPER,
                "plot_bgcolor": PAPER,
                "showlegend": False,
                "hovermode": "closest",
                "hoverlabel": {"font": {"family": FONT, "size": 12}, "align": "left", "bgcolor": PAPER},
                "dragmode": False,
                "template": "none",
            },
        )
