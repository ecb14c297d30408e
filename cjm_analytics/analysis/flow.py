"""Flow: where journeys go from position to position, for a Sankey diagram."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from cjm_analytics._card import Card, Shown
from cjm_analytics.analysis.sequences import (
    END,
    OTHER,
    START,
    Asked,
    Symbols,
    check_share,
    check_unit,
    dominant_phases,
    frozen,
    totals,
    union,
)
from cjm_analytics.durations import timedeltas
from cjm_analytics.engine import run
from cjm_analytics.errors import InputError, UnknownNameError, check_count
from cjm_analytics.journeys import UNASSIGNED
from cjm_analytics.patterns import compile_pattern, is_pattern
from cjm_analytics.quantiles import Durations

if TYPE_CHECKING:
    from collections.abc import Sequence

    import plotly.graph_objects as go
    from numpy.typing import NDArray

    from cjm_analytics.engine import Engine
    from cjm_analytics.journeys import Codebook, Journeys, Partition
    from cjm_analytics.patterns import Automaton

__all__ = ["Anchor", "Flow", "FlowAnalysis", "FlowPartial", "flow"]

_EXACT_TIMES = 2**20
"""Up to so many different times of links, medians are exact; beyond, 0.5 % off at most."""

_TABLE_PER_KEY = 4
"""Keys are counted in a table of up to so many cells for each of them; beyond, they are sorted."""


class _Links(NamedTuple):
    """Links of passes: which, of which pass, and how long it took (−1: no time)."""

    key: NDArray[np.int64]
    passed: NDArray[np.int64]
    length: NDArray[np.int64]


class _Stretch(NamedTuple):
    """Rows of each pass, looked at from the last one or from the first."""

    begin: NDArray[np.int64]
    end: NDArray[np.int64]
    backward: bool


def flow(  # noqa: PLR0913 - all but the first are named
    journeys: Journeys,
    *,
    of: str = "touchpoint",
    positions: int = 6,
    start: str | None = None,
    end: str | None = None,
    around: str | None = None,
    every: bool = False,
    top: int | None = 8,
    min_share: float = 0.0,
    max_share: float = 1.0,
    collapse: bool = True,
    times: bool = True,
    unit: str = "journey",
    engine: Engine | None = None,
) -> Flow:
    """Where journeys go, position by position: real counts of those that go from one name to the next.

    Position 0 is a journey's first event. A link counts the passes that have `source` at `position` and
    `target` at the position after it; a pass without a further event goes to `(end)`. At every node as many
    leave as arrive. A pass is a journey, unless `every` event that fits makes one.

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
        of its first event. Or a path pattern over `of`, such as `"search -> product"`: position 0 is the
        first event of its first match. Journeys without it are left out; `left_out` counts them.
    end : str, optional
        Looks back from the journey's first event of this name (of a pattern: the last event of its first
        match): it is position 0, what came before it −1, −2, …, and a journey that began later comes from
        `(start)`. Journeys without it are left out. With `start` too: from the start to the first such event
        at or after it, looked at forward; what comes after is cut off, and journeys that do not get there are
        left out.
    around : str, optional
        Looks both ways from the first event of this name: `positions` − 1 positions back and as many
        forward. Of a pattern, back from its first and forward from its last event, and what lies between is
        not shown. Excludes `start` and `end`.
    every : bool
        Not only the first event (or match; these do not overlap) that fits `start`, `end` or `around`:
        every one is a pass.
    top : int or None
        At each position so many names are shown, the most frequent ones (ties: by name); all others are
        gathered as "other". None gathers nothing.
    min_share, max_share : float
        Names that less than this share, or more, of the passes have at a position are gathered there too: to
        leave out what is rare, or to look behind what everybody does.
    collapse : bool
        A direct repeat counts once: A A B goes from A to B.
    times : bool
        Whether the median and mean time of each link are asked for.
    unit : {"journey", "customer", "session"}
        What flows: where positions are counted from, and what `journeys` counts.
    engine : Engine, optional
        Where to run; default: this machine.

    Returns
    -------
    Flow
        Columns `position, source, target, journeys, share, at_source, passes, median_time, source_phase,
        target_phase, mean_time`: `position` is that of `source`; `passes` take the link, of `journeys`
        different journeys; `share` is of the `at_source` passes that `source` has at this position; times
        are those from the last event of source to the first of target (repeats collapsed). The phase of a
        touchpoint is that of most of its events. By position, then `passes` descending, then names.

    Raises
    ------
    UnknownNameError
        No such `of`, `start`, `end` or `around`.
    PatternError
        A pattern that cannot be read.
    InputError
        `positions` is below 2, or `top` below 1; a share beyond 0…1; `every` without what it speaks of;
        `around` with `start` or `end`.

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
        journeys,
        of=of,
        positions=positions,
        start=start,
        end=end,
        around=around,
        every=every,
        top=top,
        min_share=min_share,
        max_share=max_share,
        collapse=collapse,
        times=times,
        unit=unit,
    )
    return run(analysis, journeys, engine)


@dataclass(frozen=True)
class Anchor:
    """Where position 0 is: an event by name, or a match of a pattern."""

    text: str
    automaton: Automaton | None = None

    @classmethod
    def read(cls, text: str | None, symbols: Symbols, codebook: Codebook) -> Anchor | None:
        """A name of the symbols, a touchpoint, a marker; else a pattern."""
        if text is None:
            return None
        available = dict.fromkeys([*symbols.names, *codebook.touchpoints, *codebook.markers])
        if text in available:
            return cls(text)
        if isinstance(text, str) and is_pattern(text):
            return cls(text, compile_pattern(text, symbols.names, of=symbols.of))
        raise UnknownNameError(symbols.of, text, available)


class _Hits(NamedTuple):
    """Events or matches that fit: of which unit, from which row to which."""

    unit: NDArray[np.int64]
    first: NDArray[np.int64]
    last: NDArray[np.int64]


@dataclass(frozen=True)
class FlowAnalysis:
    """The question that `flow` asks each partition."""

    codebook: Codebook
    symbols: Symbols
    positions: int
    start: Anchor | None = None
    end: Anchor | None = None
    around: Anchor | None = None
    every: bool = False
    top: int | None = 8
    shares: tuple[float, float] = (0.0, 1.0)
    collapse: bool = True
    times: bool = True
    unit: str = "journey"
    customers: bool = False

    @classmethod
    def plan(  # noqa: PLR0913 - all but the first are named
        cls,
        journeys: Journeys,
        *,
        of: str = "touchpoint",
        positions: int = 6,
        start: str | None = None,
        end: str | None = None,
        around: str | None = None,
        every: bool = False,
        top: int | None = 8,
        min_share: float = 0.0,
        max_share: float = 1.0,
        collapse: bool = True,
        times: bool = True,
        unit: str = "journey",
        customers: bool = False,
    ) -> FlowAnalysis:
        """Check what was asked; `customers`: count those behind each link of journeys, too."""
        check_unit(unit)
        codebook = journeys.codebook
        symbols = Symbols.read(codebook, of)
        check_count("positions", positions, least=2, none=None)
        check_count("top", top)
        check_share("min_share", min_share)
        check_share("max_share", max_share)
        if around is not None and (start is not None or end is not None):
            raise InputError("around= looks both ways: leave start= and end= out.")
        if every and around is None and start is None and end is None:
            raise InputError("every=True needs start=, end= or around=: every what?")
        return cls(
            codebook,
            symbols,
            int(positions),
            Anchor.read(start, symbols, codebook),
            Anchor.read(end, symbols, codebook),
            Anchor.read(around, symbols, codebook),
            every,
            top,
            (min_share, max_share),
            collapse,
            times,
            unit,
            customers,
        )

    @property
    def first_position(self) -> int:
        """The position of column 0."""
        backward = self.around is not None or (self.end is not None and self.start is None)
        return 1 - self.positions if backward else 0

    @property
    def columns(self) -> int:
        """How many positions are looked at."""
        return 2 * self.positions - 1 if self.around is not None else self.positions

    def map(self, partition: Partition) -> FlowPartial:
        """The links of the partition that occur."""
        asked = Asked.of(partition, self.unit)
        n_units = len(asked.offsets) - 1
        unit, stretches = self._passes(asked)
        n_looked_at = len(np.unique(unit)) if self.every else len(unit)
        lengths = Durations.empty(limit=_EXACT_TIMES)
        people = np.zeros(0, np.int64)
        if self.every or self.times or self.customers or self._possible > _TABLE_PER_KEY * len(unit):
            links = self._listed(asked, stretches)
            keys, number, counts = _numbered(links.key)
            journeys = counts
            if self.every:
                pairs = np.unique(number.astype(np.int64) * max(n_units, 1) + unit[links.passed])
                journeys = np.bincount(pairs // max(n_units, 1), minlength=len(keys))
            if self.customers:
                whose = partition.journey("customer")[unit[links.passed]]
                pairs = np.unique(number.astype(np.int64) * partition.n_customers + whose)
                people = np.bincount(pairs // max(partition.n_customers, 1), minlength=len(keys))
            if self.times:
                timed = np.flatnonzero(links.length >= 0)
                lengths = Durations.of(links.length[timed], number[timed], limit=_EXACT_TIMES)
        else:
            keys, counts = self._counted(asked, stretches)
            journeys = counts
        return FlowPartial(
            keys=keys,
            counts=np.stack([journeys, counts, *([people] if self.customers else [])], axis=1).astype(
                np.int64
            ),
            lengths=lengths,
            units=np.array([n_looked_at, n_units - n_looked_at, len(unit)], np.int64),
            phases=self.symbols.count_phases(partition),
        )

    @property
    def width(self) -> int:
        """Nodes at a position: the symbols, `(start)`, `(end)`, and the match of a pattern."""
        return len(self.symbols) + 3

    @property
    def _possible(self) -> int:
        """How many links of a stretch there can be."""
        return (self.positions - 1) * self.width**2

    def _passes(self, asked: Asked) -> tuple[NDArray[np.int64], list[_Stretch]]:
        """The unit of each pass, and its rows: those towards position 0, those away from it, or both."""
        begin, end = frozen(asked.offsets[:-1]), frozen(asked.offsets[1:])
        unit = np.arange(len(begin))
        if self.around is not None:
            hits = self._hits(asked, self.around, begin, end)
            unit = hits.unit
            back = _Stretch(begin[unit], hits.first + 1, backward=True)
            return unit, [back, _Stretch(hits.last, end[unit], backward=False)]
        if self.start is not None:
            hits = self._hits(asked, self.start, begin, end)
            unit, begin, end = hits.unit, hits.first, end[hits.unit]
        if self.end is not None:
            every = self.every and self.start is None
            hits = self._hits(asked, self.end, begin, end, every=every)
            unit, begin, end = unit[hits.unit], begin[hits.unit], hits.last + 1
        return unit, [_Stretch(begin, end, backward=self.first_position < 0)]

    def _placed(self, key: NDArray[np.int64], *, backward: bool) -> NDArray[np.int64]:
        """The keys of a stretch among those of all; a match of a pattern is one node at position 0."""
        if self.around is None:
            return key
        width, middle = self.width, self.positions - 1
        is_match = self.around.automaton is not None
        if backward:
            return (
                np.where(key // width**2 == middle - 1, key // width * width + width - 1, key)
                if is_match
                else key
            )
        if is_match:
            key = np.where(key // width**2 == 0, (width - 1) * width + key % width, key)
        return key + middle * width**2

    def _listed(self, asked: Asked, stretches: Sequence[_Stretch]) -> _Links:
        """The links of all passes, one by one."""
        from cjm_analytics.kernels.flow import position_links

        found = [
            _Links(
                *position_links(
                    frozen(one.begin), frozen(one.end), asked.column(self.symbols.of), asked.column("time"),
                    *self._meaning, one.backward,
                )
            )
            for one in stretches
        ]  # fmt: skip
        found = [
            links._replace(key=self._placed(links.key, backward=one.backward))
            for one, links in zip(stretches, found, strict=True)
        ]
        return found[0] if len(found) == 1 else _Links(*map(np.concatenate, zip(*found, strict=True)))

    def _counted(
        self, asked: Asked, stretches: Sequence[_Stretch]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The links that occur, rising, and how many passes take each."""
        from cjm_analytics.kernels.flow import count_links

        keys, counts = [], []
        for one in stretches:
            column = asked.column(self.symbols.of)
            table = count_links(frozen(one.begin), frozen(one.end), column, *self._meaning, one.backward)
            found = np.flatnonzero(table)
            keys.append(self._placed(found, backward=one.backward))
            counts.append(table[found])
        if self.around is None:
            return keys[0], counts[0]
        every, number = np.unique(np.concatenate(keys), return_inverse=True)
        return every, totals(number, np.concatenate(counts), len(every))

    @property
    def _meaning(self) -> tuple[int, bool, int, int, int]:
        """What the kernels must know of the symbols and positions."""
        return self.symbols.missing, self.collapse, len(self.symbols), self.width, self.positions

    def _hits(
        self,
        asked: Asked,
        anchor: Anchor,
        begin: NDArray[np.int64],
        end: NDArray[np.int64],
        *,
        every: bool | None = None,
    ) -> _Hits:
        """The first event or match of each run of rows, or every one."""
        from cjm_analytics.kernels.flow import every_row, first_rows

        wanted = self.every if every is None else every
        begin, end = frozen(begin), frozen(end)
        if anchor.automaton is not None:
            codes, time = asked.column(self.symbols.of), asked.column("time")
            found = anchor.automaton.matches(
                begin, end, codes, time=time, missing=self.symbols.missing, every=wanted
            )
            return _Hits(found.unit, found.begin, found.end)
        fits = frozen(self._fits(asked, anchor.text))
        if wanted:
            unit, row = every_row(begin, end, fits)
            return _Hits(unit, row, row)
        first = first_rows(begin, end, fits)
        unit = np.flatnonzero(first >= 0)
        return _Hits(unit, first[unit], first[unit])

    def finalize(self, partial: FlowPartial) -> Flow:
        """The most frequent names of each position, the others gathered."""
        width = self.width
        match = self.around.text if self.around else ""
        names = np.array([*self.symbols.names, START, END, match, OTHER], dtype=object)
        rank = np.unique(names, return_inverse=True)[1]
        dominant = dominant_phases(self.symbols, partial.phases, self.codebook)
        phases = np.array([*dominant, "", "", UNASSIGNED, UNASSIGNED], dtype=object)
        column, pair = np.divmod(partial.keys, width**2)
        source, target = np.divmod(pair, width)
        passes = partial.counts[:, 1]
        at_end = column == self.columns - 2
        nodes = np.concatenate([column * width + source, (column * width + width + target)[at_end]])
        shown, coverage = self._shown(
            nodes, np.concatenate([passes, passes[at_end]]), rank, n_passes=int(partial.units[2])
        )

        def gathered(column: NDArray[np.int64], symbol: NDArray[np.int64]) -> NDArray[np.int64]:
            stays = np.isin(column * width + symbol, shown) | (symbol >= len(self.symbols))
            return np.where(stays, symbol, width)

        places = width + 1  # with what is gathered
        key = (column * places + gathered(column, source)) * places + gathered(column + 1, target)
        links, number = np.unique(key, return_inverse=True)
        start, number_of_start = np.unique(links // places, return_inverse=True)
        column, source, target = start[number_of_start] // places, links // places % places, links % places
        passes = totals(number, passes, len(links))
        at_source = totals(number_of_start, passes, len(start))[number_of_start]
        order = np.lexsort((rank[target], rank[source], -passes, column))
        source, target = source[order], target[order]
        frame = pd.DataFrame(
            {
                "position": column[order] + self.first_position,
                "source": names[source],
                "target": names[target],
                "journeys": totals(number, partial.counts[:, 0], len(links))[order],
                "share": (passes / at_source)[order],
                "at_source": at_source[order],
                "passes": passes[order],
                "source_phase": phases[source],
                "target_phase": phases[target],
            }
        )
        if self.customers:
            # Of links that are gathered, the largest: one customer may have taken several.
            most = np.zeros(len(links), np.int64)
            np.maximum.at(most, number, partial.counts[:, 2])
            frame["customers"] = most[order]
        if self.times:
            lengths = partial.lengths.regrouped(number)
            median, mean = lengths.quantiles(0.5, n_groups=len(links)), lengths.means(n_groups=len(links))
            before = frame.columns.tolist().index("source_phase")
            frame.insert(before, "median_time", timedeltas(median[order]))
            frame["mean_time"] = timedeltas(mean[order])
        return Flow(
            units=int(partial.units[0]),
            left_out=int(partial.units[1]),
            passes=int(partial.units[2]),
            coverage=coverage,
            of=self.symbols.of,
            unit=self.unit,
            start=self.start.text if self.start else None,
            end=self.end.text if self.end else None,
            around=self.around.text if self.around else None,
            _frame=frame,
            _road=self.codebook.phases,
        )

    def _shown(
        self, nodes: NDArray[np.int64], passes: NDArray[np.int64], rank: NDArray[np.int64], *, n_passes: int
    ) -> tuple[NDArray[np.int64], float]:
        """The nodes `column · width + symbol` that are not gathered, and the share of passes at them."""
        found, number = np.unique(nodes, return_inverse=True)
        passes = totals(number, passes, len(found))
        named = found % self.width < len(self.symbols)
        found, passes = found[named], passes[named]
        column, symbol = np.divmod(found, self.width)
        order = np.lexsort((rank[symbol], -passes, column))
        column, passes = column[order], passes[order]
        least, most = self.shares
        share = passes / max(n_passes, 1)
        fits = (share >= least) & (share <= most)
        before = np.concatenate([[0], np.cumsum(fits)])
        place = before[1:] - before[np.searchsorted(column, column)]
        shown = fits & (place <= (self.top or len(rank)))
        total = passes.sum()
        return found[order][shown], float(passes[shown].sum() / total) if total else float("nan")

    def _fits(self, asked: Asked, name: str) -> NDArray[np.bool_]:
        """Which events of the units are meant by `start` or `end`."""
        fits: NDArray[np.bool_]
        if name in self.symbols.names:
            codes, number = asked.column(self.symbols.of), self.symbols.names.index(name)
            fits = (codes == number) | ((codes < 0) & (number == self.symbols.missing))
        elif name in self.codebook.touchpoints:
            fits = asked.column("touchpoint") == self.codebook.touchpoints.index(name)
        else:
            bit = np.uint32(1 << self.codebook.markers.index(name))
            fits = (asked.column("marker") & bit) != 0
        return fits


def _numbered(keys: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """The different keys, rising; the place of each key among them; and how often each occurs.

    Keys that lie close together are counted in a table: nothing is sorted.
    """
    space = int(keys.max(initial=-1)) + 1
    if space > _TABLE_PER_KEY * len(keys):
        found, number, counts = np.unique(keys, return_inverse=True, return_counts=True)
        return found, number, counts
    table = np.bincount(keys, minlength=space)
    found = np.flatnonzero(table)
    counts = table[found]
    table[found] = np.arange(len(found))
    return found, table[keys], counts


@dataclass(frozen=True, eq=False)
class FlowPartial:
    """The links of some customers.

    Attributes
    ----------
    keys : int64, n_links
        (column · width + source) · width + target, ascending; columns are positions from the first on.
    counts : int64, n_links × 2 or 3
        Journeys and passes that take the link; customers, where they were asked for.
    lengths : Durations
        From source to target, by number of the link.
    units : int64, 3
        Journeys looked at, journeys left out, passes.
    phases : int64, n_symbols × (n_phases + 1)
        Events by symbol and phase.
    """

    keys: NDArray[np.int64]
    counts: NDArray[np.int64]
    lengths: Durations
    units: NDArray[np.int64]
    phases: NDArray[np.int64]

    def __add__(self, other: FlowPartial) -> FlowPartial:
        keys = union(self.keys, other.keys)
        counts = np.zeros((len(keys), self.counts.shape[1]), np.int64)
        here, there = np.searchsorted(keys, self.keys), np.searchsorted(keys, other.keys)
        counts[here] += self.counts
        counts[there] += other.counts
        lengths = self.lengths.regrouped(here) + other.lengths.regrouped(there)
        return FlowPartial(keys, counts, lengths, self.units + other.units, self.phases + other.phases)


@dataclass(frozen=True, eq=False, repr=False)
class Flow(Shown):
    """Links from position to position.

    Attributes
    ----------
    units, passes : int
        Journeys (customers, sessions) looked at, and how often they are (more often only with `every`).
    left_out : int
        Journeys without an event named `start`, `end` or `around`.
    coverage : float
        Of all events at the positions looked at (repeats collapsed), the share that is shown by name and not
        gathered as "other".
    of, unit, start, end, around
        As asked.
    """

    units: int
    left_out: int
    passes: int
    coverage: float
    of: str
    unit: str
    start: str | None
    end: str | None
    around: str | None
    _frame: pd.DataFrame
    _road: tuple[str, ...]

    def to_frame(self) -> pd.DataFrame:
        """One row per link; the columns are those of `flow`."""
        return self._frame.copy()

    def steps(self) -> pd.DataFrame:
        """The step matrix: the share of all passes that are at each name, position by position.

        One row per name, most frequent first, then "other", `(start)`, `(end)`; one column per position.
        A pass that has ended stays at `(end)`, one that has not begun is at `(start)`, so that every column
        sums to 1.
        """
        links = self._frame
        final = links[links["position"] == links["position"].max()]
        at = pd.concat(
            [
                links[["position", "source", "passes"]],
                final.assign(position=final["position"] + 1, source=final["target"])[
                    ["position", "source", "passes"]
                ],
            ]
        )
        matrix: pd.DataFrame = at.pivot_table("passes", "source", "position", aggfunc="sum", fill_value=0)
        matrix = matrix.drop(index=[START, END], errors="ignore") / max(self.passes, 1)
        order = sorted(matrix.index, key=lambda name: (name == OTHER, -matrix.loc[name].sum(), str(name)))
        matrix = matrix.loc[order]
        elsewhere = (1 - matrix.sum()).clip(lower=0.0)
        position = matrix.columns.to_numpy(np.int64)
        for name, side in ((START, position < 0), (END, position > 0)):
            if side.any():
                matrix.loc[name] = elsewhere.where(side, 0.0)
        matrix.index.name = self.of
        return matrix

    def plot(self, kind: str = "sankey") -> go.Figure:
        """The links as a picture.

        Parameters
        ----------
        kind : {"sankey", "steps", "sunburst"}
            A column per position and links as wide as they have passes; the step matrix as a heat map; or
            rings from the inside out, each node an arc as wide as the share that is there (along the links:
            what comes after is drawn as if it did not depend on what came before the node).

        Raises
        ------
        UnknownNameError
            No such kind.
        """
        from cjm_analytics.charts import flow as charts

        words = (("from", self.start), ("to", self.end), ("around", self.around))
        subject = "".join(f" {word} {name}" for word, name in words if name is not None)
        units, left_out = self.units, self.left_out
        if kind == "sankey":
            return charts.sankey(
                self._frame, road=self._road, of=self.of, subject=subject, units=units, left_out=left_out,
                coverage=self.coverage, unit=self.unit,
            )  # fmt: skip
        if kind == "steps":
            return charts.step_matrix(
                self.steps(),
                subject=subject,
                units=units,
                left_out=left_out,
                passes=self.passes,
                unit=self.unit,
            )
        if kind == "sunburst":
            return charts.sunburst(
                self._frame, road=self._road, subject=subject, units=units, left_out=left_out, unit=self.unit
            )
        raise UnknownNameError("kind of picture", kind, ["sankey", "steps", "sunburst"])

    def _card(self) -> Card:
        facts = {
            f"{self.unit}s": f"{self.units:,}",
            "left out": f"{self.left_out:,}",
            "shown by name": f"{100 * self.coverage:.1f} %" if self.units else "–",
        }
        if self.passes != self.units:
            facts["passes"] = f"{self.passes:,}"
        return Card(f"Flow by {self.of}", facts, self._frame)
