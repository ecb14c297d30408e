"""N-grams: runs of neighbours that occur often, and in which journeys."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from cjm_analytics import statistics
from cjm_analytics._card import Card, Shown
from cjm_analytics.analysis.sequences import (
    Asked,
    Symbols,
    aligned,
    check_by,
    check_goal,
    check_unit,
    dominant_phases,
    frozen,
    has_goal,
    in_order,
    report_rules,
    shares_compared,
    ungrouped,
)
from cjm_analytics.engine import run
from cjm_analytics.errors import check_count, check_several

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from numpy.typing import NDArray

    from cjm_analytics.engine import Engine
    from cjm_analytics.journeys import Codebook, Journeys, Partition

__all__ = ["NGrams", "NGramsAnalysis", "NGramsPartial", "ngrams"]

ARROW = " → "


def ngrams(
    journeys: Journeys,
    n: int = 3,
    *,
    of: str = "touchpoint",
    unit: str = "journey",
    by: str | None = None,
    collapse: bool = True,
    goal: str | None = None,
    top: int | None = 20,
    engine: Engine | None = None,
) -> NGrams:
    """Which runs of n neighbours occur most often.

    `count` is once per occurrence, overlaps included: A B A B has A B twice. `journeys` is once per journey.

    Parameters
    ----------
    journeys : Journeys
    n : int
        How many events in a row.
    of : {"touchpoint", "stage", "phase", "channel"}
    unit : {"journey", "customer", "session"}
        What is counted, and within what events are neighbours.
    by : str, optional
        A column: the figures of each group, by its value at the unit's first event.
    collapse : bool
        Direct repeats are one event.
    goal : str, optional
        A marker or touchpoint, for `conversion`; default: the model's goal.
    top : int or None
        So many of each group, the most frequent in journeys (ties: by `count`, then name); None: all.
    engine : Engine, optional
        Where to run; default: this machine.

    Returns
    -------
    NGrams
        Columns (what `by` names,) `ngram, count, journeys, share` (of the units), `units, low, high`
        (Wilson), `conversion` (of the journeys with it; missing without a goal).

    Raises
    ------
    UnknownNameError
        No such `of`, `unit`, `by` or `goal`.
    InputError
        `n` or `top` below 1.

    Examples
    --------
    >>> import cjm_analytics as cjm
    >>> log = {"who": list("aaaab"), "what": ["ad", "help", "ad", "help", "ad"],
    ...        "when": [f"2026-01-0{day}" for day in (1, 2, 3, 4, 1)]}
    >>> found = cjm.ngrams(cjm.sessionize(cjm.ingest(
    ...     cjm.loaders.table(log, customer="who", timestamp="when", event="what", tz="UTC"))), 2)
    >>> found.to_frame()[["ngram", "count", "journeys", "units"]]
           ngram  count  journeys  units
    0  ad → help      2         1      2
    1  help → ad      1         1      2
    """
    analysis = NGramsAnalysis.plan(
        journeys, n, of=of, unit=unit, by=by, collapse=collapse, goal=goal, top=top
    )
    return run(analysis, journeys, engine)


@dataclass(frozen=True)
class NGramsAnalysis:
    """The question that `ngrams` asks each partition."""

    codebook: Codebook
    symbols: Symbols
    n: int
    unit: str
    by: str | None
    collapse: bool
    goal: str | None
    has_goal: bool
    top: int | None
    confidence: float = 0.95

    @classmethod
    def plan(
        cls,
        journeys: Journeys,
        n: int = 3,
        *,
        of: str = "touchpoint",
        unit: str = "journey",
        by: str | None = None,
        collapse: bool = True,
        goal: str | None = None,
        top: int | None = 20,
    ) -> NGramsAnalysis:
        """Check what was asked."""
        symbols = Symbols.read(journeys.codebook, of)
        check_count("n", n, none=None)
        check_unit(unit)
        check_by(journeys, by)
        check_goal(journeys.codebook, goal)
        check_count("top", top)
        known = has_goal(journeys, goal)
        confidence = report_rules(journeys).confidence
        return cls(journeys.codebook, symbols, int(n), unit, by, collapse, goal, known, top, confidence)

    def map(self, partition: Partition) -> NGramsPartial:
        """The runs of the partition."""
        from cjm_analytics.kernels import rows as kernels
        from cjm_analytics.kernels.ngrams import list_ngrams

        asked = Asked.of(partition, self.unit)
        groups = asked.groups(self.by)
        runs, unit = list_ngrams(
            frozen(asked.offsets),
            asked.column(self.symbols.of),
            groups.codes,
            self.symbols.missing,
            self.collapse,
            self.n,
        )
        first, counts = kernels.tally(runs, unit, asked.converted(self.goal))
        rows = runs[first]
        order = kernels.in_order(rows)
        return NGramsPartial(
            groups.names,
            np.bincount(groups.codes, minlength=len(groups.names)).astype(np.int64),
            rows[order],
            counts[order],
            self.symbols.count_phases(partition),
        )

    def finalize(self, partial: NGramsPartial) -> NGrams:
        """The most frequent runs of each group; only of these names are written."""
        order = in_order(partial.groups, self.by, self.codebook)
        labels = np.array(partial.groups, object)[order]
        place = np.empty(len(order), np.int64)
        place[order] = np.arange(len(order))
        runs = np.ascontiguousarray(partial.rows[:, 1:])
        kept = self._shown(place[partial.rows[:, 0]], runs, partial.counts)
        which = _as_one(runs)
        frame = self._frame(partial, kept, labels, place)
        shown = self._frame(partial, np.isin(which, which[kept]), labels, place) if self.by else frame
        phases = dominant_phases(self.symbols, partial.phases, self.codebook)
        return NGrams(
            n=self.n,
            units=int(partial.units.sum()),
            different=len(np.unique(which)) if self.by else len(which),
            of=self.symbols.of,
            unit=self.unit,
            by=self.by,
            _frame=frame,
            _shown=shown,
            _runs=runs[kept],
            _units={str(name): int(n) for name, n in zip(labels, partial.units[order], strict=True)},
            _symbols=tuple(zip(self.symbols.names, phases, strict=True)),
            _road=self.codebook.phases,
            _confidence=self.confidence,
        )

    def _shown(
        self, group: NDArray[np.int64], runs: NDArray[np.int32], counts: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """Rows of the most frequent runs, group by group; ties by name."""
        by_name = np.argsort(np.array(self.symbols.names, object))
        rank = np.empty(len(by_name), np.int32)
        rank[by_name] = np.arange(len(by_name), dtype=np.int32)
        chosen = [np.zeros(0, np.int64)]
        for number in range(int(group.max(initial=-1)) + 1):
            mine = np.flatnonzero(group == number)
            count, having, _ = counts[mine].T
            if self.top is not None and self.top < len(mine):
                least = np.partition(having, len(mine) - self.top)[len(mine) - self.top]
                mine = mine[having >= least]
                count, having, _ = counts[mine].T
            order = np.lexsort((*rank[runs[mine, ::-1]].T, -count, -having))
            chosen.append(mine[order[: self.top]])
        return np.concatenate(chosen)

    def _frame(
        self,
        partial: NGramsPartial,
        kept: NDArray[Any],
        labels: NDArray[np.object_],
        place: NDArray[np.int64],
    ) -> pd.DataFrame:
        names = pa.array(self.symbols.names, pa.string())
        rows = partial.rows[kept]
        texts = pc.binary_join_element_wise(*(names.take(pa.array(one)) for one in rows[:, 1:].T), ARROW)
        count, having, converted = partial.counts[kept].T
        units = partial.units[rows[:, 0]]
        low, high = statistics.wilson(having, units, self.confidence)
        frame = pd.DataFrame(
            {
                "ngram": texts.to_numpy(zero_copy_only=False),
                "count": count,
                "journeys": having,
                "share": having / np.maximum(units, 1),
                "units": units,
                "low": low,
                "high": high,
                "converted": converted,
                "conversion": converted / np.maximum(having, 1) if self.has_goal else np.nan,
            }
        )
        if self.by:
            frame.insert(0, self.by, labels[place[rows[:, 0]]])
        return frame


def _as_one(rows: NDArray[np.int32]) -> NDArray[np.void]:
    """Each row as one thing that can be compared."""
    return rows.view(np.dtype((np.void, rows.dtype.itemsize * rows.shape[1]))).ravel()


@dataclass(frozen=True, eq=False)
class NGramsPartial:
    """The runs of some customers.

    Attributes
    ----------
    groups : tuple of str
        Sorted.
    units : int64, n_groups
    rows : int32, n_runs × (n + 1)
        Group and symbols of each different run, in order.
    counts : int64, n_runs × 3
        Occurrences; units that have it; those of them that converted.
    phases : int64, n_symbols × (n_phases + 1)
    """

    groups: tuple[str, ...]
    units: NDArray[np.int64]
    rows: NDArray[np.int32]
    counts: NDArray[np.int64]
    phases: NDArray[np.int64]

    def __add__(self, other: NGramsPartial) -> NGramsPartial:
        from cjm_analytics.kernels.rows import merged

        groups, here, there = aligned(self.groups, other.groups)
        units = np.zeros(len(groups), np.int64)
        units[here] += self.units
        units[there] += other.units
        mine, theirs = self._moved(here), other._moved(there)
        rows, counts = merged(mine, self.counts, theirs, other.counts)
        return NGramsPartial(groups, units, rows, counts, self.phases + other.phases)

    def _moved(self, place: NDArray[np.int64]) -> NDArray[np.int32]:
        """The rows, group g now being group `place[g]`, which rises with g."""
        if not len(self.rows) or np.array_equal(place, np.arange(len(place))):
            return self.rows
        rows = self.rows.copy()
        rows[:, 0] = place[rows[:, 0]]
        return rows


@dataclass(frozen=True, eq=False, repr=False)
class NGrams(Shown):
    """Runs of neighbours: made by `cjm.ngrams`.

    Attributes
    ----------
    n, of, unit, by
        As asked.
    units : int
        Journeys (customers, sessions) looked at.
    different : int
        How many different runs there are, shown or not.
    """

    n: int
    units: int
    different: int
    of: str
    unit: str
    by: str | None
    _frame: pd.DataFrame
    _shown: pd.DataFrame
    _runs: NDArray[np.int32]
    _units: dict[str, int]
    _symbols: tuple[tuple[str, str], ...]
    _road: tuple[str, ...]
    _confidence: float

    def to_frame(self) -> pd.DataFrame:
        """One row per run, within each group; the columns are those of `ngrams`."""
        return self._frame.drop(columns="converted")

    def compare(self) -> pd.DataFrame:
        """Which of the runs shown differ in share between the groups.

        Every pair of groups, for every run that is shown for one group at least: what `by` names and the same
        as `other_…`, `ngram, share, journeys, units, other_share, other_journeys, other_units, difference`
        with Newcombe's interval `low, high`, `p_value`, `q_value` (Benjamini–Hochberg), `tests`, `verdict`.

        Raises
        ------
        InputError
            The runs were not grouped, or there is one group only.
        """
        if not self.by:
            raise ungrouped("ngrams")
        check_several(self._units)
        having = self._shown.set_index([self.by, "ngram"])["journeys"].to_dict()
        rows = [
            (one, other, run_, having.get((one, run_), 0), mine, having.get((other, run_), 0), theirs)
            for (one, mine), (other, theirs) in combinations(self._units.items(), 2)
            for run_ in dict.fromkeys(self._frame["ngram"])
        ]
        names = [self.by, f"other_{self.by}", "ngram", "journeys", "units", "other_journeys", "other_units"]
        return shares_compared(pd.DataFrame(rows, columns=names), self._confidence)

    def plot(self) -> go.Figure:
        """The runs as rows of blocks in the colours of their phases, with their share beside."""
        from cjm_analytics.charts.paths import path_rows

        rows = self._frame.reset_index(drop=True)
        blocks = pd.DataFrame(
            [
                (row, position, *self._symbols[code])
                for row, run_ in enumerate(self._runs)
                for position, code in enumerate(run_)
            ],
            columns=["row", "position", "name", "phase"],
        )
        low, high = statistics.wilson(rows["converted"], rows["journeys"], self._confidence)
        shown = rows.assign(path=rows["ngram"], low=low, high=high)
        shown["median_duration"] = pd.NaT
        return path_rows(
            shown,
            blocks,
            phases=self._road,
            group=self.by,
            unit=self.unit,
            of=self.of,
            coverage=float("nan"),
            n_paths=self.different,
            total=self.units,
            title=f"Runs of {self.n} {self.of}s",
            said=f"{len(rows):,} of {self.different:,} different runs in {self.units:,} {self.unit}s",
            noun="directly one after the other",
        )

    def _card(self) -> Card:
        facts = {f"{self.unit}s": f"{self.units:,}", "different": f"{self.different:,}"}
        return Card(f"Runs of {self.n} {self.of}s", facts, self.to_frame())
