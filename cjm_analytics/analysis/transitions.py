"""Transitions: what directly follows what, how often, and after how long."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cjm_analytics._card import Card, Shown
from cjm_analytics.analysis.sequences import (
    ALL,
    END,
    OTHER,
    START,
    Asked,
    Symbols,
    aligned,
    check_by,
    check_share,
    check_unit,
    dominant_phases,
    in_order,
    report_rules,
    shares_compared,
    totals,
    ungrouped,
    union,
)
from cjm_analytics.durations import timedeltas
from cjm_analytics.engine import run
from cjm_analytics.errors import InputError, UnknownNameError, check_several, hint
from cjm_analytics.quantiles import RELATIVE_ERROR, Durations, bucket_ends

if TYPE_CHECKING:
    from pathlib import Path

    import networkx as nx
    import plotly.graph_objects as go
    from numpy.typing import NDArray

    from cjm_analytics.analysis.sequences import Groups
    from cjm_analytics.engine import Engine
    from cjm_analytics.journeys import Codebook, Journeys, Partition

__all__ = ["Transitions", "TransitionsAnalysis", "TransitionsPartial", "transitions"]

_DENSE = 2**22
"""So many possible transitions are counted in a table; if there are more, those that occur are sorted."""

_EXACT_TIMES = 2**17
"""So many different (transition, time) pairs are kept as they are; of more, the buckets of `Durations`."""

_FEW_SYMBOLS, _STEP = 64, 5
"""With more symbols than a few, there are so many transitions that every five buckets become one."""

_VALUES = ("count", "share", "journeys")


def transitions(
    journeys: Journeys,
    *,
    of: str = "touchpoint",
    unit: str = "journey",
    by: str | None = None,
    collapse: bool = False,
    times: bool = True,
    min_share: float = 0.0,
    engine: Engine | None = None,
) -> Transitions:
    """What directly follows what: how often, in how many journeys, and after how long.

    A transition is a pair of events of one unit with no event between them. The unit's first event is
    entered from the node `(start)`, its last one leaves for `(end)`, so that entries and exits are visible
    and every node is left as often as it is entered. A symbol that follows itself is a transition too, unless
    `collapse` is set.

    Parameters
    ----------
    journeys : Journeys
    of : {"touchpoint", "stage", "phase", "channel"}
        What the nodes are. An event of no stage or phase is the node `unassigned`, one without a channel
        `(none)`.
    unit : {"journey", "customer", "session"}
        Pairs are formed inside one of these.
    by : str, optional
        A column whose values form groups; each unit belongs to the value at its first event.
    collapse : bool
        Leave out transitions from a symbol to itself. The time of A A B is then that from the second A to B.
    times : bool
        Whether to find median times; without them it is several times as quick, and they are missing.
    min_share : float
        Transitions that less than this share of the units have (of every group) are gathered: they lead from
        their source to "other", and from there to their target. A name with such transitions only is gathered
        in "other" itself. As many leave each node as arrive, and all that leaves a name that is shown still
        does; at "other" `journeys` and times are missing.
    engine : Engine, optional
        Where to run; default: this machine.

    Returns
    -------
    Transitions
        Columns `source, target, count, journeys, share, median_time, leaving, units, share_in, mean_time`:
        `count` occurrences in `journeys` of the `units`; `share` is of `leaving`, all transitions that leave
        `source` (of the group), `share_in` of all that enter `target`; `median_time` and `mean_time` lie
        between the two events, and are missing at `(start)` and `(end)`. By `count`, descending, then by
        name.

    Raises
    ------
    UnknownNameError
        No such `of`, `unit` or `by`.
    InputError
        `min_share` is no share.

    Notes
    -----
    Times are exact up to 131,072 different (transition, time) pairs. Beyond, they are at most 0.5 %
    off, or 2.5 % where there are more than 64 names; `time_error` says which.

    Examples
    --------
    >>> import cjm_analytics as cjm
    >>> log = {"who": ["a", "a", "b"], "what": ["ad", "buy", "ad"],
    ...        "when": ["2026-01-01", "2026-01-02", "2026-01-01"]}
    >>> journeys = cjm.sessionize(cjm.ingest(
    ...     cjm.loaders.table(log, customer="who", timestamp="when", event="what", tz="UTC")))
    >>> cjm.transitions(journeys).to_frame().iloc[:, :6]
        source target  count  journeys  share median_time
    0  (start)     ad      2         2    1.0         NaT
    1       ad  (end)      1         1    0.5         NaT
    2       ad    buy      1         1    0.5      1 days
    3      buy  (end)      1         1    1.0         NaT
    """
    analysis = TransitionsAnalysis.plan(
        journeys, of=of, unit=unit, by=by, collapse=collapse, times=times, min_share=min_share
    )
    return run(analysis, journeys, engine)


@dataclass(frozen=True)
class TransitionsAnalysis:
    """The question that `transitions` asks each partition."""

    codebook: Codebook
    symbols: Symbols
    unit: str
    by: str | None
    collapse: bool
    times: bool
    min_share: float = 0.0
    confidence: float = 0.95
    dense: int = _DENSE
    exact_times: int = _EXACT_TIMES

    @classmethod
    def plan(
        cls,
        journeys: Journeys,
        *,
        of: str = "touchpoint",
        unit: str = "journey",
        by: str | None = None,
        collapse: bool = False,
        times: bool = True,
        min_share: float = 0.0,
    ) -> TransitionsAnalysis:
        """Check what was asked."""
        symbols = Symbols.read(journeys.codebook, of)
        check_unit(unit)
        check_by(journeys, by)
        check_share("min_share", min_share)
        confidence = report_rules(journeys).confidence
        return cls(journeys.codebook, symbols, unit, by, collapse, times, min_share, confidence)

    def map(self, partition: Partition) -> TransitionsPartial:
        """The transitions of the partition that occur."""
        asked = Asked.of(partition, self.unit)
        groups = asked.groups(self.by)
        possible = len(groups.names) * self._width**2
        counted = self._counted(asked, groups) if possible <= self.dense else self._sorted(asked, groups)
        keys, counts, journeys, times = counted
        return TransitionsPartial(
            width=self._width,
            step=self._step,
            groups=groups.names,
            units=groups.sizes(),
            keys=keys,
            counts=counts,
            journeys=journeys,
            times=times,
            phases=self.symbols.count_phases(partition),
        )

    def finalize(self, partial: TransitionsPartial) -> Transitions:
        """Shares and medians."""
        names = (*self.symbols.names, START, END, OTHER)
        phases = [*dominant_phases(self.symbols, partial.phases, self.codebook), "", "", ""]
        order = in_order(partial.groups, self.by, self.codebook)
        groups = tuple(partial.groups[one] for one in order)
        label = np.array(names, dtype=object)
        links = self._gathered(partial)
        number, source, target, count = (links[name] for name in ("group", "source", "target", "count"))
        leaving, entering = (_totals(number * len(names) + end, count) for end in (source, target))
        rank, place = np.unique(label, return_inverse=True)[1], np.argsort(order)[number]
        at = np.lexsort((rank[target], rank[source], -count, place))
        columns: dict[str, Any] = {self.by: np.array(groups, dtype=object)[place[at]]} if self.by else {}
        columns |= {
            "source": label[source[at]],
            "target": label[target[at]],
            "count": count[at],
            "journeys": links["journeys"][at],
            "share": (count / leaving)[at],
            "median_time": timedeltas(links["median_time"][at]),
            "leaving": leaving[at],
            "units": partial.units[number[at]],
            "share_in": (count / entering)[at],
            "mean_time": timedeltas(links["mean_time"][at]),
        }
        frame = pd.DataFrame(columns, copy=False)  # every column is new
        return Transitions(
            units=int(partial.units.sum()),
            total=int(partial.counts.sum()),
            time_error=0.0 if partial.times.exact else RELATIVE_ERROR * partial.step,
            of=self.symbols.of,
            unit=self.unit,
            by=self.by,
            _frame=frame,
            _units=dict(zip(groups, partial.units[order].tolist(), strict=True)),
            _totals=dict(zip(groups, partial.totals()[order].tolist(), strict=True)),
            _n_names=dict(zip(groups, self._occurring(partial)[order].tolist(), strict=True)),
            _phases=dict(zip(names, phases, strict=True)),
            _road=self.codebook.phases,
            _confidence=self.confidence,
        )

    def _occurring(self, partial: TransitionsPartial) -> NDArray[np.int64]:
        """How many names each group has."""
        source = np.unique(partial.keys // partial.width)
        named = source[source % partial.width < len(self.symbols)]
        return np.bincount(named // partial.width, minlength=len(partial.groups)).astype(np.int64)

    def _gathered(self, partial: TransitionsPartial) -> dict[str, Any]:
        """Group, source and target of each transition; rare ones lead through the node after the last."""
        number, pair = np.divmod(partial.keys, partial.width**2)
        source, target = np.divmod(pair, partial.width)
        every = {
            "group": number,
            "source": source,
            "target": target,
            "count": partial.counts,
            "journeys": partial.journeys,
            "median_time": partial.times.quantiles(0.5, n_groups=len(partial.keys)),
            "mean_time": partial.times.means(n_groups=len(partial.keys)),
        }
        if self.min_share <= 0:
            return every
        frequent = np.unique(pair[partial.journeys >= self.min_share * partial.units[number] - 1e-9])
        shown = np.zeros(partial.width, np.bool_)
        shown[np.concatenate(np.divmod(frequent, partial.width))] = True
        shown[len(self.symbols) :] = True
        if OTHER in self.symbols.names:
            shown[self.symbols.names.index(OTHER)] = False
        kept = np.isin(pair, frequent) & shown[source] & shown[target]
        if kept.all():
            return every
        links = pd.DataFrame(every)
        rare, rest = links[~kept], partial.width
        of_one = shown[rare["source"]] | ~shown[rare["target"]]
        into = rare[of_one].assign(target=rest)
        into["source"] = into["source"].where(shown[into["source"]], rest)
        out = rare[shown[rare["target"]]].assign(source=rest)
        through = pd.concat([into, out]).groupby(["group", "source", "target"], as_index=False)["count"].sum()
        through = through.assign(
            journeys=pd.array([pd.NA] * len(through), "Int64"), median_time=np.nan, mean_time=np.nan
        )
        gathered = pd.concat([links[kept].astype({"journeys": "Int64"}), through], ignore_index=True)
        return {
            name: gathered[name].array if name == "journeys" else gathered[name].to_numpy() for name in every
        }

    @property
    def _width(self) -> int:
        return len(self.symbols) + 2

    @property
    def _step(self) -> int:
        return 1 if len(self.symbols) <= _FEW_SYMBOLS else _STEP

    def _counted(self, asked: Asked, groups: Groups) -> _Counted:
        """By a table with a place for each possible transition."""
        from cjm_analytics.kernels import transitions as kernels

        column = (asked.offsets, asked.column(self.symbols.of), groups.codes)
        meaning = (self.symbols.missing, self.collapse, len(self.symbols))
        counts, journeys = kernels.count_transitions(*column, *meaning, len(groups.names))
        keys = np.flatnonzero(counts)
        number = np.full(len(counts), -1, np.int32)
        number[keys] = np.arange(len(keys), dtype=np.int32)
        counts, journeys = counts[keys], journeys[keys]
        if not self.times:
            return keys, counts, journeys, Durations.empty(limit=self.exact_times)
        source, target = np.divmod(keys % self._width**2, self._width)
        between = np.where((source < len(self.symbols)) & (target < len(self.symbols)), counts, 0)
        timed = (*column, asked.column("time"), *meaning)
        if between.sum() > self.exact_times and kernels.more_times_than(self.exact_times, *timed):
            ends = bucket_ends()
            hints = kernels.bucket_hints(ends)
            tally = kernels.bucket_times(*timed, number, between, ends, hints, self._step)
            return keys, counts, journeys, Durations(*tally, exact=False, limit=self.exact_times)
        pair, length = kernels.list_times(*timed, number, int(between.sum()))
        return keys, counts, journeys, Durations.of(length, pair, limit=self.exact_times)

    def _sorted(self, asked: Asked, groups: Groups) -> _Counted:
        """By sorting the transitions that occur."""
        from cjm_analytics.kernels import transitions as kernels

        every, unit, row = kernels.list_transitions(
            asked.offsets,
            asked.column(self.symbols.of),
            groups.codes,
            self.symbols.missing,
            self.collapse,
            len(self.symbols),
        )
        keys, number, counts = np.unique(every, return_inverse=True, return_counts=True)
        order = np.argsort(number, kind="stable")
        arranged, unit_of = number[order], unit[order]
        another = np.ones(len(order), bool)
        another[1:] = (arranged[1:] != arranged[:-1]) | (unit_of[1:] != unit_of[:-1])
        journeys = np.bincount(arranged[another], minlength=len(keys))
        if not self.times:
            return keys, counts, journeys, Durations.empty(limit=self.exact_times)
        followed = (row >= 0) & (every % self._width < len(self.symbols))
        time, target_row = asked.column("time"), row[followed]
        length = time[target_row] - time[target_row - 1]
        times = Durations.of(length, number[followed], limit=self.exact_times)
        return keys, counts, journeys, _coarse(times, self._step)


_Counted = tuple["NDArray[np.int64]", "NDArray[np.int64]", "NDArray[np.int64]", Durations]


@dataclass(frozen=True, eq=False)
class TransitionsPartial:
    """The transitions of some customers, by group, source and target.

    Attributes
    ----------
    width : int
        Number of nodes.
    step : int
        Of every so many buckets of time only the middle one is used.
    groups : tuple of str
        Sorted.
    units : int64, n_groups
    keys : int64, n_transitions
        (group · width + source) · width + target, ascending.
    counts, journeys : int64, n_transitions
        Occurrences, and units in which there is one at least.
    times : Durations
        Microseconds between the two events; its groups are the positions in `keys`.
    phases : int64, n_symbols × (n_phases + 1)
        Events by symbol and phase.
    """

    width: int
    step: int
    groups: tuple[str, ...]
    units: NDArray[np.int64]
    keys: NDArray[np.int64]
    counts: NDArray[np.int64]
    journeys: NDArray[np.int64]
    times: Durations
    phases: NDArray[np.int64]

    def __add__(self, other: TransitionsPartial) -> TransitionsPartial:
        groups, place, other_place = aligned(self.groups, other.groups)
        mine, others = self._moved(place), other._moved(other_place)
        keys = mine if np.array_equal(mine, others) else union(mine, others)
        here, there = np.searchsorted(keys, mine), np.searchsorted(keys, others)

        def added(one: NDArray[Any], another: NDArray[Any]) -> NDArray[np.int64]:
            total = np.zeros(len(keys), np.int64)
            total[here] += one
            total[there] += another
            return total

        units = np.zeros(len(groups), np.int64)
        units[place] += self.units
        units[other_place] += other.units
        return TransitionsPartial(
            width=self.width,
            step=self.step,
            groups=groups,
            units=units,
            keys=keys,
            counts=added(self.counts, other.counts),
            journeys=added(self.journeys, other.journeys),
            times=_added(_renumbered(self.times, here), _renumbered(other.times, there), self.step),
            phases=self.phases + other.phases,
        )

    def totals(self) -> NDArray[np.int64]:
        """All transitions of each group."""
        return totals(self.keys // self.width**2, self.counts, len(self.groups))

    def _moved(self, place: NDArray[np.int64]) -> NDArray[np.int64]:
        """The keys, group g now being group `place[g]`."""
        if not len(self.keys):
            return self.keys
        group, pair = np.divmod(self.keys, self.width**2)
        return place[group] * self.width**2 + pair


def _totals(key: NDArray[np.int64], count: NDArray[np.int64]) -> NDArray[np.int64]:
    """Per row the sum of the counts of all rows with its key."""
    return totals(key, count, int(key.max(initial=-1)) + 1)[key]


def _renumbered(times: Durations, number: NDArray[np.int64]) -> Durations:
    """The same times, those of transition i now of `number[i]`, which increases with i."""
    return replace(times, group=number[times.group])


def _added(one: Durations, other: Durations, step: int) -> Durations:
    """The times of both; many in buckets are merged in one go."""
    if one.exact or other.exact:
        return _coarse(one + other, step)
    from cjm_analytics.kernels.transitions import merge_tallies

    merged = merge_tallies(one.group, one.value, one.count, other.group, other.value, other.count)
    return Durations(*merged, exact=False, limit=one.limit)


def _coarse(times: Durations, step: int) -> Durations:
    """Times in buckets, of every `step` buckets all in the middle one."""
    if times.exact or step == 1:
        return times
    middle = np.where(times.value > 0, (times.value - 1) // step * step + step // 2 + 1, 0)
    starts = np.flatnonzero(np.diff(times.group, prepend=-1) | np.diff(middle, prepend=-1))
    count = np.add.reduceat(times.count, starts)
    return replace(times, group=times.group[starts], value=middle[starts], count=count)


@dataclass(frozen=True, eq=False, repr=False)
class Transitions(Shown):
    """What follows what.

    Attributes
    ----------
    units : int
        Journeys (customers, sessions) that the transitions come from.
    total : int
        All transitions, entries and exits included.
    time_error : float
        The share of itself by which a median time may be off; 0 where they are exact.
    of, unit, by
        As asked.
    """

    units: int
    total: int
    time_error: float
    of: str
    unit: str
    by: str | None
    _frame: pd.DataFrame
    _units: dict[str, int]
    _totals: dict[str, int]
    _n_names: dict[str, int]
    _phases: dict[str, str]
    _road: tuple[str, ...]
    _confidence: float

    def to_frame(self) -> pd.DataFrame:
        """One row per transition that occurs; the columns are those of `transitions`."""
        return self._frame.copy()

    def matrix(self, values: str = "count", *, group: str | None = None) -> pd.DataFrame:
        """The transitions as a table: a row per source, a column per target.

        Parameters
        ----------
        values : {"count", "share", "journeys"}
            What stands in the cells; 0 where a transition does not occur, missing where it is not known.
        group : str
            Which group; needed with `by=`, and only then.

        Returns
        -------
        DataFrame
            Rows begin with `(start)`, columns end with `(end)`; between them the names that occur, in the
            order of the codebook.

        Raises
        ------
        UnknownNameError
            No such values or group.
        """
        if values not in _VALUES:
            raise UnknownNameError("kind of values", values, _VALUES)
        frame = self._of_group(group)
        seen = {*frame["source"], *frame["target"]}
        names = [name for name in self._phases if name in seen - {START, END}]
        table = frame.set_index(["source", "target"])[values].unstack(fill_value=0)  # noqa: PD010 - keeps missing
        table = table.reindex(index=[START, *names], columns=[*names, END], fill_value=0)
        return table.astype(float if values == "share" else frame[values].dtype)

    def compare(self) -> pd.DataFrame:
        """Which transitions do more of one group's journeys have than of another's.

        Every pair of groups, for every transition that does not lead through "other". Compared are shares of
        journeys, not of transitions: those of one journey belong together, and would pretend more evidence
        than there is.

        Returns
        -------
        DataFrame
            What `by` names and the same as `other_…`, `source, target, share, journeys, units, other_share,
            other_journeys, other_units, difference` (the first minus the other) with Newcombe's interval
            `low, high`, `p_value` (two proportions, pooled z test), `q_value` (adjusted after Benjamini and
            Hochberg), `tests` (size of the family: all rows) and `verdict`. By `q_value`.

        Raises
        ------
        InputError
            The transitions were not grouped, or there is one group only.
        """
        if not self.by:
            raise ungrouped("transitions")
        check_several(self._units)
        columns = [self.by, f"other_{self.by}", "source", "target"]
        columns += ["journeys", "units", "other_journeys", "other_units"]
        frame = self._frame[self._frame["journeys"].notna()].astype({"journeys": np.int64})
        taken = frame.pivot_table(
            index=["source", "target"], columns=self.by, values="journeys", aggfunc="sum", fill_value=0
        )
        rows = [
            (one, other, *pair, mine, self._units[one], others, self._units[other])
            for one, other in combinations(self._units, 2)
            for pair, mine, others in zip(taken.index, taken[one], taken[other], strict=True)
        ]
        return shares_compared(pd.DataFrame(rows, columns=columns), self._confidence)

    def to_networkx(self, *, group: str | None = None) -> nx.DiGraph[str]:
        """The transitions as a directed graph of networkx (the extra `graphs`).

        Nodes have `phase` and `count` (how often they are entered), edges `count, journeys, share, share_in`
        and `median_seconds`, where there is one.

        Parameters
        ----------
        group : str
            Which group; needed with `by=`, and only then.

        Raises
        ------
        UnknownNameError
            No such group.
        InputError
            networkx is not installed.
        """
        try:
            import networkx as nx
        except ImportError as fault:
            raise InputError(
                "Graphs need networkx: pip install 'cjm_analytics[graphs]', or take to_frame()."
            ) from fault
        graph: nx.DiGraph[str] = nx.DiGraph()
        frame = self._of_group(group)
        entered = frame.groupby("target")["count"].sum()
        for name in dict.fromkeys([*frame["source"], *frame["target"]]):
            graph.add_node(name, phase=self._phases.get(name, ""), count=int(entered.get(name, 0)))
        for row in frame.to_dict("records"):
            facts = {name: row[name] for name in ("count", "share", "share_in")}
            if not pd.isna(row["journeys"]):
                facts["journeys"] = row["journeys"]
            if not pd.isna(row["median_time"]):
                facts["median_seconds"] = row["median_time"].total_seconds()
            graph.add_edge(row["source"], row["target"], **facts)
        return graph

    def to_graphml(self, path: str | Path, *, group: str | None = None) -> None:
        """Write the transitions as GraphML, which Gephi, yEd, Cytoscape and others open (the extra `graphs`).

        Parameters
        ----------
        path : str or Path
            The file.
        group : str
            Which group; needed with `by=`, and only then.

        Raises
        ------
        InputError
            networkx is not installed.
        """
        graph = self.to_networkx(group=group)
        import networkx as nx

        nx.write_graphml(graph, path)

    def plot(self, kind: str = "heatmap", *, top: int | None = None, group: str | None = None) -> go.Figure:
        """The transitions between the most frequent nodes; the title says how much of the whole that is.

        Parameters
        ----------
        kind : {"heatmap", "graph"}
            `heatmap`: the share of each source's transitions, all others gathered as "other".
            `graph`: nodes from left to right by phase, links as wide as they are frequent.
        top : int, optional
            So many nodes besides `(start)` and `(end)`; default 20 in a heat map, 12 in a graph.
        group : str
            Which group; needed with `by=`, and only then.

        Raises
        ------
        UnknownNameError
            No such kind or group.
        """
        from cjm_analytics.charts.transition_graph import graph
        from cjm_analytics.charts.transitions import heat_map

        drawn = {"heatmap": heat_map, "graph": graph}
        if kind not in drawn:
            raise UnknownNameError("kind of chart", kind, drawn)
        frame = self._of_group(group)
        phases = pd.DataFrame({"name": list(self._phases), "phase": list(self._phases.values())})
        subject = f"{self.by} {group}" if self.by else ""
        return drawn[kind](
            frame,
            phases,
            road=self._road,
            of=self.of,
            unit=self.unit,
            top=top,
            subject=subject,
            total=self._totals.get(group or ALL, 0),
            n_names=self._n_names.get(group or ALL, 0),
        )

    def _of_group(self, group: str | None) -> pd.DataFrame:
        if not self.by:
            if group is not None:
                raise InputError(
                    f"There are no groups: ask for transitions with by= to choose group={group!r}."
                )
            return self._frame
        if group is None:
            raise InputError(f"Which group of {self.by}? Say it with group=.{hint('', self._units)}")
        if group not in self._units:
            raise UnknownNameError(f"group of {self.by}", group, self._units)
        return self._frame[self._frame[self.by] == group].drop(columns=self.by)

    def _card(self) -> Card:
        facts = {
            f"{self.unit}s": f"{self.units:,}",
            "transitions": f"{self.total:,}",
            "different": f"{len(self._frame):,}",
        }
        error = f"{100 * self.time_error:.1f} %"
        note = f"Median times are at most {error} off." if self.time_error else ""
        return Card(f"Transitions by {self.of}", facts, self._frame, note=note)
