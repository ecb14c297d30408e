"""Flow: where journeys go from position to position, for a Sankey diagram."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from cjm_analytics._html import card
from cjm_analytics.analysis.sequences import (
    END,
    OTHER,
    START,
    Asked,
    Symbols,
    check_count,
    dominant_phases,
)
from cjm_analytics.engine import run
from cjm_analytics.errors import UnknownNameError
from cjm_analytics.journeys import UNASSIGNED

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from numpy.typing import NDArray

    from cjm_analytics.engine import Engine
    from cjm_analytics.journeys import Codebook, Journeys, Partition

__all__ = ["Flow", "FlowAnalysis", "FlowPartial", "flow"]

_DENSE = 2**22
"""So many possible links are counted in a table; if there are more, those that occur are sorted."""


def flow(
    journeys: Journeys,
    *,
    of: str = "touchpoint",
    positions: int = 6,
    start: str | None = None,
    end: str | None = None,
    top: int | None = 8,
    collapse: bool = True,
    engine: Engine | None = None,
) -> Flow:
    """Where journeys go, position by position: real counts of those that go from one name to the next.

    Position 0 is a journey's first event. A link is the number of journeys that have `source` at `position`
    and `target` at the position after it; a journey without a further event goes to `(end)`. At every node as
    many journeys leave as arrive.

    Parameters
    ----------
    journeys : Journeys
    of : {"touchpoint", "stage", "phase", "channel"}
        What the nodes are. An event of no stage or phase is the node `unassigned`, one without a channel
        `(none)`.
    positions : int
        How many positions are looked at, at least 2: links go from the first to the last of them.
    start : str, optional
        Position 0 is the journey's first event of this name (of `of`; else a touchpoint or a marker) instead
        of its first event. Journeys without it are left out; `left_out` counts them.
    end : str, optional
        Looks back from the journey's first event of this name: it is position 0, what came before it −1,
        −2, …, and a journey that began later comes from `(start)`. Journeys without it are left out. With
        `start` too: from the first start to the first such event at or after it, looked at forward; what
        comes after is cut off, and journeys that do not get there are left out.
    top : int or None
        At each position so many names are shown, the most frequent ones (ties: by name); all others are
        gathered as "other". None gathers nothing.
    collapse : bool
        A direct repeat counts once: A A B goes from A to B.
    engine : Engine, optional
        Where to run; default: this machine.

    Returns
    -------
    Flow
        Columns `position, source, target, journeys, share, at_source, source_phase, target_phase`: `position`
        is that of `source`, `share` is of the `at_source` journeys that `source` has at this position. The
        phase of a touchpoint is that of most of its events. By position, then `journeys` descending, then
        names.

    Raises
    ------
    UnknownNameError
        No such `of`, `start` or `end`.
    InputError
        `positions` is below 2, or `top` below 1.

    Examples
    --------
    >>> import cjm_analytics as cjm
    >>> log = {"who": ["a", "a", "b"], "what": ["ad", "buy", "ad"],
    ...        "when": ["2026-01-01", "2026-01-02", "2026-01-01"]}
    >>> journeys = cjm.sessionize(cjm.ingest(
    ...     cjm.loaders.table(log, customer="who", timestamp="when", event="what", tz="UTC")))
    >>> cjm.flow(journeys).to_frame().iloc[:, :5]
       position source target  journeys  share
    0         0     ad  (end)         1    0.5
    1         0     ad    buy         1    0.5
    2         1    buy  (end)         1    1.0
    """
    analysis = FlowAnalysis.plan(
        journeys, of=of, positions=positions, start=start, end=end, top=top, collapse=collapse
    )
    return run(analysis, journeys, engine)


@dataclass(frozen=True)
class FlowAnalysis:
    """The question that `flow` asks each partition."""

    codebook: Codebook
    symbols: Symbols
    positions: int
    start: str | None
    end: str | None
    top: int | None
    collapse: bool
    dense: int = _DENSE

    @classmethod
    def plan(
        cls,
        journeys: Journeys,
        *,
        of: str = "touchpoint",
        positions: int = 6,
        start: str | None = None,
        end: str | None = None,
        top: int | None = 8,
        collapse: bool = True,
    ) -> FlowAnalysis:
        """Check what was asked."""
        codebook = journeys.codebook
        symbols = Symbols.read(codebook, of)
        check_count("positions", positions, least=2, none=None)
        check_count("top", top)
        for name in (start, end):
            available = [*symbols.names, *codebook.touchpoints, *codebook.markers]
            if name is not None and name not in available:
                raise UnknownNameError(of, name, dict.fromkeys(available))
        return cls(codebook, symbols, int(positions), start, end, top, collapse)

    @property
    def backward(self) -> bool:
        """Whether positions are counted back from the end."""
        return self.end is not None and self.start is None

    def map(self, partition: Partition) -> FlowPartial:
        """The links of the partition that occur."""
        from cjm_analytics.kernels import flow as kernels

        asked = Asked.of(partition, "journey")
        begin, end = asked.offsets[:-1], asked.offsets[1:]
        n_units = len(begin)
        if self.start is not None:
            first = kernels.first_rows(begin, end, self._fits(partition, self.start))
            begin, end = first[first >= 0], end[first >= 0]
        if self.end is not None:
            last = kernels.first_rows(begin, end, self._fits(partition, self.end))
            begin, end = begin[last >= 0], last[last >= 0] + 1
        links = kernels.position_links(
            begin,
            end,
            asked.column(self.symbols.of),
            self.symbols.missing,
            self.collapse,
            len(self.symbols),
            self.positions,
            self.backward,
        )
        possible = (self.positions - 1) * (len(self.symbols) + 2) ** 2
        if possible <= self.dense:
            table = np.bincount(links, minlength=possible)
            keys = np.flatnonzero(table)
            counts = table[keys]
        else:
            keys, counts = np.unique(links, return_counts=True)
        return FlowPartial(
            keys=keys,
            counts=counts,
            units=np.array([len(begin), n_units - len(begin)], np.int64),
            phases=self.symbols.count_phases(partition),
        )

    def finalize(self, partial: FlowPartial) -> Flow:
        """The most frequent names of each position, the others gathered."""
        width = len(self.symbols) + 2
        names = np.array([*self.symbols.names, START, END, OTHER], dtype=object)
        dominant = dominant_phases(self.symbols, partial.phases, self.codebook)
        phases = np.array([*dominant, "", "", UNASSIGNED], dtype=object)
        column, pair = np.divmod(partial.keys, width**2)
        source, target = np.divmod(pair, width)
        at_end = column == self.positions - 2
        nodes = pd.DataFrame(
            {
                "column": np.concatenate([column, column[at_end] + 1]),
                "symbol": np.concatenate([source, target[at_end]]),
                "journeys": np.concatenate([partial.counts, partial.counts[at_end]]),
            }
        )
        nodes = nodes.groupby(["column", "symbol"])["journeys"].sum().reset_index()
        nodes = nodes[nodes["symbol"] < len(self.symbols)]
        nodes = nodes.assign(name=names[nodes["symbol"]])
        nodes = nodes.sort_values(["column", "journeys", "name"], ascending=[True, False, True])
        shown = nodes.groupby("column").cumcount() < (self.top or len(names))
        kept = (nodes["column"] * width + nodes["symbol"])[shown].to_numpy()

        def gathered(column: NDArray[np.int64], symbol: NDArray[np.int64]) -> NDArray[np.int64]:
            stays = np.isin(column * width + symbol, kept) | (symbol >= len(self.symbols))
            return np.where(stays, symbol, width)

        links = pd.DataFrame(
            {
                "position": column + (1 - self.positions if self.backward else 0),
                "source": gathered(column, source),
                "target": gathered(column + 1, target),
                "journeys": partial.counts,
            }
        )
        links = links.groupby(["position", "source", "target"])["journeys"].sum().reset_index()
        at_source = links.groupby(["position", "source"])["journeys"].transform("sum")
        frame = pd.DataFrame(
            {
                "position": links["position"],
                "source": names[links["source"]],
                "target": names[links["target"]],
                "journeys": links["journeys"],
                "share": links["journeys"] / at_source,
                "at_source": at_source,
                "source_phase": phases[links["source"]],
                "target_phase": phases[links["target"]],
            }
        )
        order = ["position", "journeys", "source", "target"]
        total = nodes["journeys"].sum()
        return Flow(
            units=int(partial.units[0]),
            left_out=int(partial.units[1]),
            coverage=float(nodes["journeys"][shown].sum() / total) if total else float("nan"),
            of=self.symbols.of,
            start=self.start,
            end=self.end,
            _frame=frame.sort_values(order, ascending=[True, False, True, True], ignore_index=True),
            _road=self.codebook.phases,
        )

    def _fits(self, partition: Partition, name: str) -> NDArray[np.bool_]:
        """Which events of the partition are meant by `start` or `end`."""
        fits: NDArray[np.bool_]
        if name in self.symbols.names:
            codes, number = partition.event(self.symbols.of), self.symbols.names.index(name)
            fits = (codes == number) | ((codes < 0) & (number == self.symbols.missing))
        elif name in self.codebook.touchpoints:
            fits = partition.event("touchpoint") == self.codebook.touchpoints.index(name)
        else:
            bit = np.uint32(1 << self.codebook.markers.index(name))
            fits = (partition.event("marker") & bit) != 0
        return fits


@dataclass(frozen=True, eq=False)
class FlowPartial:
    """The links of some customers.

    Attributes
    ----------
    keys : int64, n_links
        (column · width + source) · width + target, ascending; columns are positions from the first on.
    counts : int64, n_links
        Journeys that take the link.
    units : int64, 2
        Journeys looked at, and journeys left out.
    phases : int64, n_symbols × (n_phases + 1)
        Events by symbol and phase.
    """

    keys: NDArray[np.int64]
    counts: NDArray[np.int64]
    units: NDArray[np.int64]
    phases: NDArray[np.int64]

    def __add__(self, other: FlowPartial) -> FlowPartial:
        keys = np.union1d(self.keys, other.keys)
        counts = np.zeros(len(keys), np.int64)
        counts[np.searchsorted(keys, self.keys)] += self.counts
        counts[np.searchsorted(keys, other.keys)] += other.counts
        return FlowPartial(keys, counts, self.units + other.units, self.phases + other.phases)


@dataclass(frozen=True, eq=False)
class Flow:
    """Links from position to position.

    Attributes
    ----------
    units : int
        Journeys looked at.
    left_out : int
        Journeys without an event named `start` or `end`.
    coverage : float
        Of all events at the positions looked at (repeats collapsed), the share that is shown by name and not
        gathered as "other".
    of, start, end
        As asked.
    """

    units: int
    left_out: int
    coverage: float
    of: str
    start: str | None
    end: str | None
    _frame: pd.DataFrame = field(repr=False)
    _road: tuple[str, ...] = field(repr=False)

    def to_frame(self) -> pd.DataFrame:
        """One row per link; the columns are those of `flow`."""
        return self._frame.copy()

    def plot(self) -> go.Figure:
        """A Sankey diagram: a column per position, links as wide as they have journeys."""
        from cjm_analytics.charts.flow import sankey

        subject = "".join(
            f" {word} {name}" for word, name in (("from", self.start), ("to", self.end)) if name is not None
        )
        return sankey(
            self._frame,
            road=self._road,
            of=self.of,
            subject=subject,
            units=self.units,
            left_out=self.left_out,
            coverage=self.coverage,
        )

    def _repr_html_(self) -> str:
        facts = {
            "journeys": f"{self.units:,}",
            "left out": f"{self.left_out:,}",
            "shown by name": f"{100 * self.coverage:.1f} %" if self.units else "–",
        }
        return card(f"Flow by {self.of}", facts, self._frame)
