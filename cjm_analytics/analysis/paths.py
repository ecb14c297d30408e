"""Paths: which sequences of contacts journeys follow, counted exactly."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cjm_analytics import statistics
from cjm_analytics._card import Card, Shown
from cjm_analytics.analysis.sequences import (
    MORE,
    OTHER,
    Asked,
    Symbols,
    amounts,
    check_by,
    check_currency,
    check_goal,
    check_share,
    check_unit,
    currencies,
    different_currencies,
    dominant_phases,
    frozen,
    has_goal,
    in_order,
    mixed_currencies,
    report_rules,
    shares_compared,
    totals,
    ungrouped,
)
from cjm_analytics.engine import run
from cjm_analytics.errors import InputError, UnknownNameError, check_count, check_several
from cjm_analytics.once import cached_property

if TYPE_CHECKING:
    from collections.abc import Sequence

    import plotly.graph_objects as go
    from numpy.typing import NDArray

    from cjm_analytics.analysis.sequences import Groups
    from cjm_analytics.engine import Engine
    from cjm_analytics.journeys import Codebook, Journeys, Partition

__all__ = ["Paths", "PathsAnalysis", "PathsPart", "PathsPartial", "PathsTotal", "paths"]

ARROW = " → "
_PARTS = 10_000
_EVERY_BIT = 2**64 - 1
_SYMBOLS = (np.int8, np.int16, np.int32)
_MOST_PARTS = 64
"""So many parts are put together at once."""

_MOST_TEXT = 10**8
"""Letters beyond which a tree is no table any more."""


def paths(
    journeys: Journeys,
    *,
    of: str = "touchpoint",
    top: int | None = 10,
    collapse: bool = True,
    max_length: int | None = None,
    unit: str = "journey",
    by: str | None = None,
    goal: str | None = None,
    value: str | None = None,
    currency: str | None = "currency",
    instrument: str | None = None,
    engine: Engine | None = None,
) -> Paths:
    """The paths that customers take: how many take each, and how many of them reach the goal.

    The path of a unit is the sequence of its touchpoints (or stages, phases, channels) in order of time.
    Every path is counted, exactly, and the most frequent are shown: by the number of units, ties by the text
    of the path.

    Parameters
    ----------
    journeys : Journeys
    of : {"touchpoint", "stage", "phase", "channel"}
        What the path is a sequence of. An event of no stage or phase is the symbol `unassigned`, one
        without a channel `(none)`.
    top : int or None
        So many paths are shown (of each group); None shows all. Shares always refer to all units.
    collapse : bool
        A direct repeat counts once: A A B is the path A → B.
    max_length : int, optional
        A longer path (after collapsing) is cut there and ends with "…": such paths count as one when they
        begin alike.
    unit : {"journey", "customer", "session"}
        What has a path. A customer's path runs through all of its journeys.
    by : str, optional
        A column whose values form groups; each unit belongs to the value at its first event.
    goal : str, optional
        A marker or touchpoint; default: the model's goal. A journey converted if it reached the goal, a
        customer if one of its journeys did, a session if a journey of its customer reached it (for the first
        time in that journey) between the session's first and last event.
    value : str, optional
        A column of numbers: what the events of a unit are worth together; missing: 0.
    currency : str, optional
        The column that says what the amounts are in, if the events have it. Amounts of one group in several
        currencies are an error, never added; an amount without a currency is taken to be in that of the
        others. None: all amounts are in one unit, whatever the events say.
    instrument : str, optional
        `nps`, `csat`, …: the answers that units of this path gave, for units of journeys or customers.
    engine : Engine, optional
        Where to run; default: this machine.

    Returns
    -------
    Paths
        Columns `path, journeys, share, cumulative_share, converted, conversion, median_duration, units,
        low, high`: `journeys` counts units (journeys, customers or sessions), `share` is of `units`, all
        units of the group; `conversion` is of `journeys`, `low` and `high` its Wilson interval;
        `median_duration` runs from the first to the last event, exact. Without any goal `converted` is
        missing. With `value`: `value` (of all units of the path) and `mean_value` (per unit). With
        `instrument`: `answers` and `mean_score` (raw; an NPS needs `cjm.satisfaction`).

    Raises
    ------
    UnknownNameError
        No such `of`, `unit`, `by`, `goal`, `value` or `instrument`.
    InputError
        `top` or `max_length` is below 1; `value` is no column of numbers, or in several currencies; answers
        of sessions.

    Notes
    -----
    What is kept per partition: each different path once, and 8 bytes per unit for its duration.

    Examples
    --------
    >>> import cjm_analytics as cjm
    >>> log = {"who": ["a", "a", "a", "b", "b", "c"],
    ...        "when": [f"2026-01-0{day}" for day in (1, 2, 3, 1, 2, 1)],
    ...        "what": ["ad", "ad", "buy", "ad", "buy", "ad"]}
    >>> journeys = cjm.sessionize(cjm.ingest(
    ...     cjm.loaders.table(log, customer="who", timestamp="when", event="what", tz="UTC")))
    >>> cjm.paths(journeys, goal="buy").to_frame()[["path", "journeys", "converted", "units"]]
           path  journeys  converted  units
    0  ad → buy         2          2      3
    1        ad         1          0      3
    """
    analysis = PathsAnalysis.plan(
        journeys,
        of=of,
        top=top,
        collapse=collapse,
        max_length=max_length,
        unit=unit,
        by=by,
        goal=goal,
        value=value,
        currency=currency,
        instrument=instrument,
    )
    return run(analysis, journeys, engine)


@dataclass(frozen=True)
class PathsAnalysis:
    """The question that `paths` asks each partition."""

    codebook: Codebook
    symbols: Symbols
    top: int | None
    collapse: bool
    max_length: int | None
    unit: str
    by: str | None
    goal: str | None
    has_goal: bool
    value: str | None = None
    currency: str | None = None
    instrument: str | None = None
    confidence: float = 0.95
    customers: bool = False
    hash_bits: int = _EVERY_BIT

    @classmethod
    def plan(
        cls,
        journeys: Journeys,
        *,
        of: str = "touchpoint",
        top: int | None = 10,
        collapse: bool = True,
        max_length: int | None = None,
        unit: str = "journey",
        by: str | None = None,
        goal: str | None = None,
        value: str | None = None,
        currency: str | None = "currency",
        instrument: str | None = None,
        customers: bool = False,
    ) -> PathsAnalysis:
        """Check what was asked; `customers`: count those behind each path, too."""
        symbols = Symbols.read(journeys.codebook, of)
        check_unit(unit)
        check_by(journeys, by)
        check_goal(journeys.codebook, goal)
        check_count("top", top)
        check_count("max_length", max_length, none="for any length")
        known = has_goal(journeys, goal)
        check_by(journeys, value)
        if instrument is not None and instrument not in journeys.codebook.instruments:
            raise UnknownNameError("instrument", instrument, journeys.codebook.instruments)
        if instrument is not None and unit == "session":
            raise InputError("Answers belong to journeys and customers: a session has none.")
        return cls(
            codebook=journeys.codebook,
            symbols=symbols,
            top=top,
            collapse=collapse,
            max_length=max_length,
            unit=unit,
            by=by,
            goal=goal,
            has_goal=known,
            value=value,
            currency=check_currency(journeys, currency) if value is not None else None,
            instrument=instrument,
            confidence=report_rules(journeys).confidence,
            customers=customers,
        )

    def map(self, partition: Partition) -> PathsPartial:
        """Each different path of the partition, and what the units that take it have in common."""
        from cjm_analytics.kernels import paths as kernels

        asked = Asked.of(partition, self.unit)
        codes = asked.column(self.symbols.of)
        n_units = len(asked.offsets) - 1
        room = np.empty(len(codes) + n_units, self._symbol_type)
        offsets, hashes = kernels.cut_paths(
            asked.offsets,
            codes,
            self.symbols.missing,
            self.collapse,
            self.max_length or 0,
            len(self.symbols),
            np.uint64(self.hash_bits),
            room,
        )
        groups = asked.groups(self.by)
        number, example = kernels.group_paths(room, offsets, hashes, groups.codes)
        example = example[np.argsort(hashes[example])]
        rank = np.empty(len(example), np.int32)
        rank[number[example]] = np.arange(len(example), dtype=np.int32)
        number = rank[number]
        counts = np.bincount(number, minlength=len(example)).astype(np.int32)
        flat, path_offsets = kernels.gather_paths(room, offsets[example], np.diff(offsets)[example])
        first, last = asked.first_and_last()
        converted = asked.converted(self.goal)
        part = PathsPart(
            groups=groups.names,
            group=groups.codes[example],
            hashes=hashes[example],
            flat=flat,
            offsets=path_offsets,
            counts=counts,
            converted=np.bincount(number[converted], minlength=len(example)).astype(np.int32),
            durations=kernels.by_path(number, counts, last - first),
            phases=self.symbols.count_phases(partition),
            sums=self._sums(partition, asked, number, len(example)),
            currencies=self._currencies(partition, asked, groups),
        )
        return PathsPartial((part,))

    def _sums(
        self, partition: Partition, asked: Asked, number: NDArray[np.int32], n_paths: int
    ) -> NDArray[np.int64]:
        """Per path its customers, the value of its units, the scores and the number of their answers."""
        columns: list[NDArray[np.int64]] = []
        if self.customers:
            owner = asked.units.customer[asked.some].astype(np.int64)
            pairs = np.unique(owner * n_paths + number)
            columns.append(np.bincount(pairs % max(n_paths, 1), minlength=n_paths).astype(np.int64))
        if self.value is not None:
            rows = asked.units.arrange(amounts(partition, self.value))
            before = np.concatenate([[0], np.cumsum(rows)])
            columns.append(totals(number, np.diff(before[asked.offsets]), n_paths))
        if self.instrument is not None:
            mine = partition.answer("instrument") == self.codebook.instruments.index(self.instrument)
            owner = partition.answer("journey" if self.unit == "journey" else "customer")
            given = np.flatnonzero(mine & ~partition.answer("invite").astype(bool) & (owner >= 0))
            path = number[(np.cumsum(asked.some) - 1)[owner[given]]]
            scores = np.rint(partition.answer("score")[given] * _PARTS).astype(np.int64)
            columns += [totals(path, scores, n_paths), np.bincount(path, minlength=n_paths).astype(np.int64)]
        return np.stack(columns, axis=1) if columns else np.zeros((n_paths, 0), np.int64)

    def _currencies(self, partition: Partition, asked: Asked, groups: Groups) -> tuple[tuple[str, str], ...]:
        """Each group and the currencies of its amounts."""
        if self.value is None or self.currency is None:
            return ()
        rows = asked.units.arrange(np.arange(partition.n_events))
        owner = np.repeat(groups.codes, np.diff(asked.offsets))
        counted = amounts(partition, self.value)[rows] != 0
        found = currencies(partition, self.currency, rows[counted], owner[counted])
        return tuple(sorted((groups.names[group], name) for group, name in found))

    def finalize(self, partial: PathsPartial) -> Paths:
        """The most frequent paths of each group."""
        total = partial.total
        for group in total.groups:
            found = different_currencies(name for one, name in total.currencies if one == group)
            if len(found) > 1:
                raise mixed_currencies(str(self.value), str(self.currency), found)
        names = (*self.symbols.names, MORE)
        ranks = _text_ranks(names)
        groups = in_order(total.groups, self.by, self.codebook)
        shown = [_most_frequent(total, group, self.top, names=names, ranks=ranks) for group in groups]
        frames = [self._rows(total, group, chosen) for group, chosen in zip(groups, shown, strict=True)]
        rows = np.concatenate([np.zeros(0, np.int64), *shown])
        sequences = tuple(tuple(names[code] for code in total.path(row)) for row in rows)
        frame = pd.concat(frames, ignore_index=True) if frames else self._rows(total, None, rows)
        frame.insert(0, "path", [ARROW.join(sequence) for sequence in sequences])
        if self.by:
            values = [total.groups[group] for group in groups]
            frame.insert(0, self.by, np.repeat(np.array(values, object), [len(rows) for rows in shown]))
        phases = [*dominant_phases(self.symbols, total.phases, self.codebook), ""]
        return Paths(
            units=total.units,
            n_paths=len(total.counts),
            sequences=sequences,
            unit=self.unit,
            of=self.symbols.of,
            by=self.by,
            _frame=frame,
            _rows=rows,
            _total=total,
            _names=names,
            _phases=dict(zip(names, phases, strict=True)),
            _road=self.codebook.phases,
            _order=tuple(groups),
            _has_goal=self.has_goal,
            _confidence=self.confidence,
        )

    @property
    def _symbol_type(self) -> type[np.signedinteger[Any]]:
        """The smallest integers that hold all symbols and the sign that more follows."""
        return next(kind for kind in _SYMBOLS if len(self.symbols) < np.iinfo(kind).max)

    def _rows(self, total: PathsTotal, group: int | None, chosen: NDArray[np.int64]) -> pd.DataFrame:
        units = total.units_of(group) if group is not None else 0
        counts, converted = total.counts[chosen], total.converted[chosen]
        low, high = statistics.wilson(converted, counts, self.confidence)
        known = self.has_goal
        frame = pd.DataFrame(
            {
                "journeys": counts,
                "share": counts / units if units else counts.astype(float),
                "cumulative_share": np.cumsum(counts) / max(units, 1),
                "converted": converted if known else pd.array([pd.NA] * len(chosen), dtype="Int64"),
                "conversion": converted / counts if known else np.nan,
                "median_duration": total.median_durations(chosen),
                "units": np.full(len(chosen), units, dtype=np.int64),
                "low": low if known else np.nan,
                "high": high if known else np.nan,
            }
        )
        sums = total.sums[chosen]
        if self.customers:
            frame["customers"] = sums[:, 0]
        if self.value is not None:
            frame["value"] = sums[:, int(self.customers)] / _PARTS
            frame["mean_value"] = frame["value"] / counts
        if self.instrument is not None:
            answers = sums[:, -1]
            frame["answers"] = answers
            frame["mean_score"] = np.where(answers > 0, sums[:, -2] / _PARTS / np.maximum(answers, 1), np.nan)
        return frame


@dataclass(frozen=True, eq=False)
class PathsPart:
    """The different paths of some customers, by hash.

    Attributes
    ----------
    groups : tuple of str
        Sorted.
    group : int32, n_paths
        Positions in `groups`.
    hashes : uint64, n_paths
    flat, offsets
        The symbols of path i are `flat[offsets[i]:offsets[i + 1]]`.
    counts, converted : int32, n_paths
        Units that take the path, and those of them that reached the goal; int64 once parts were put together.
    durations : int64, n_units
        Microseconds from the first to the last event of each unit, path by path.
    phases : int64, n_symbols × (n_phases + 1)
        Events by symbol and phase.
    sums : int64, n_paths × measures
        Customers, values and scores in 1/10,000, and numbers of answers; as many as were asked for.
    currencies : tuple of (str, str)
        Groups and the currencies of their values, sorted.
    """

    groups: tuple[str, ...]
    group: NDArray[np.int32]
    hashes: NDArray[np.uint64]
    flat: NDArray[Any]
    offsets: NDArray[np.int64]
    counts: NDArray[np.signedinteger[Any]]
    converted: NDArray[np.signedinteger[Any]]
    durations: NDArray[np.int64]
    phases: NDArray[np.int64]
    sums: NDArray[np.int64]
    currencies: tuple[tuple[str, str], ...]


@dataclass(frozen=True, eq=False)
class PathsPartial:
    """Paths of some customers in parts; what several parts have in common is found when all are there."""

    parts: tuple[PathsPart, ...]

    def __add__(self, other: PathsPartial) -> PathsPartial:
        both = PathsPartial((*self.parts, *other.parts))
        return both if len(both.parts) <= _MOST_PARTS else PathsPartial((both.total.as_part(),))

    @cached_property
    def total(self) -> PathsTotal:
        """All different paths."""
        return PathsTotal.of(self.parts)


@dataclass(frozen=True, eq=False)
class PathsTotal:
    """All different paths of the parts, in a fixed order: by group, hash, length, symbols.

    Symbols and durations stay where the parts have them, and are copied only where all are asked for.

    Attributes
    ----------
    rows : PathsPart
        The paths of all parts, one part after the other.
    order, places : int64
        Path i is the rows `order[places[i]:places[i + 1]]`.
    groups : tuple of str
        Sorted.
    starts : int64, n_groups + 1
        The paths of group g are `starts[g]:starts[g + 1]`.
    counts, converted, sums
        As in `PathsPart`.
    """

    rows: PathsPart
    order: NDArray[np.int64]
    places: NDArray[np.int64]
    starts: NDArray[np.int64]
    counts: NDArray[np.int64]
    converted: NDArray[np.int64]
    sums: NDArray[np.int64]

    @classmethod
    def of(cls, parts: Sequence[PathsPart]) -> PathsTotal:
        """Put equal paths of the parts together."""
        from cjm_analytics.kernels import paths as kernels

        rows = _one_after_the_other(parts)
        # The hashes of a part rise, and a stable sort of rising runs is but a merge of them.
        order = np.argsort(rows.hashes, kind="stable")
        if len(rows.groups) > 1:
            order = order[np.argsort(rows.group[order], kind="stable")]
        places = _different(order, rows)
        sums = [kernels.add_up(order, places, np.ascontiguousarray(column)) for column in rows.sums.T]
        sizes = np.bincount(rows.group[order[places[:-1]]], minlength=len(rows.groups))
        return cls(
            rows=rows,
            order=order,
            places=places,
            starts=_starts(sizes),
            counts=kernels.add_up(order, places, rows.counts),
            converted=kernels.add_up(order, places, rows.converted),
            sums=np.stack(sums, axis=1) if sums else np.zeros((len(places) - 1, 0), np.int64),
        )

    @property
    def groups(self) -> tuple[str, ...]:
        """Names of the groups, sorted."""
        return self.rows.groups

    @property
    def phases(self) -> NDArray[np.int64]:
        """Events by symbol and phase."""
        return self.rows.phases

    @property
    def currencies(self) -> tuple[tuple[str, str], ...]:
        """Groups and the currencies of their values."""
        return self.rows.currencies

    @cached_property
    def hashes(self) -> NDArray[np.uint64]:
        """The hash of each path."""
        return self.rows.hashes[self.order[self.places[:-1]]]

    @property
    def flat(self) -> NDArray[Any]:
        """The symbols of path i are `flat[offsets[i]:offsets[i + 1]]`."""
        return self._symbols[0]

    @property
    def offsets(self) -> NDArray[np.int64]:
        """Where the symbols of each path begin in `flat`."""
        return self._symbols[1]

    @cached_property
    def _symbols(self) -> tuple[NDArray[Any], NDArray[np.int64]]:
        from cjm_analytics.kernels.paths import gather_paths

        starts, ends = self.lying(np.arange(len(self.counts)))
        return gather_paths(self.rows.flat, starts, ends - starts)

    def lying(self, paths: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Where the symbols of some paths begin and end in `rows.flat`."""
        row = self.order[self.places[paths]]
        return self.rows.offsets[row], self.rows.offsets[row + 1]

    def as_part(self) -> PathsPart:
        """The same paths as those of one part."""
        from cjm_analytics.kernels.paths import gather_paths

        paths = np.argsort(self.hashes, kind="stable")
        starts, ends = self.lying(paths)
        flat, offsets = gather_paths(self.rows.flat, starts, ends - starts)
        return replace(
            self.rows,
            group=self.rows.group[self.order[self.places[paths]]],
            hashes=self.hashes[paths],
            flat=flat,
            offsets=offsets,
            counts=self.counts[paths],
            converted=self.converted[paths],
            durations=self.durations(paths)[0],
            sums=self.sums[paths],
        )

    @property
    def units(self) -> int:
        """Units of all groups."""
        return len(self.rows.durations)

    def units_of(self, group: int) -> int:
        """Units of one group."""
        return int(self.counts[self.starts[group] : self.starts[group + 1]].sum())

    def path(self, number: int) -> NDArray[Any]:
        """The symbols of one path."""
        row = self.order[self.places[number]]
        return self.rows.flat[self.rows.offsets[row] : self.rows.offsets[row + 1]]

    def find(self, number: int, group: int) -> int:
        """Where the path is among those of a group; −1 if nobody there takes it."""
        start, end = self.starts[group], self.starts[group + 1]
        alike = start + np.searchsorted(self.hashes[start:end], self.hashes[number])
        while alike < end and self.hashes[alike] == self.hashes[number]:
            if np.array_equal(self.path(int(alike)), self.path(number)):
                return int(alike)
            alike += 1
        return -1

    def durations(self, chosen: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The durations of some paths, ascending within each, and where those of each path begin."""
        from cjm_analytics.kernels.paths import gather_durations

        rows = self.rows
        return gather_durations(chosen, self.order, self.places, rows.durations, _starts(rows.counts))

    def median_durations(self, chosen: NDArray[np.int64]) -> NDArray[np.timedelta64]:
        """The median duration of some paths; of an even number the mean of the middle two."""
        durations, starts = self.durations(chosen)
        counts = self.counts[chosen]
        middle = durations[starts[:-1] + (counts - 1) // 2] + durations[starts[:-1] + counts // 2]
        nanoseconds: NDArray[np.timedelta64] = (middle * 500).astype("timedelta64[ns]")
        return nanoseconds


def _different(order: NDArray[np.int64], rows: PathsPart) -> NDArray[np.int64]:
    """Where each different path begins in `order`, whose paths of equal hash come into their fixed order."""
    from cjm_analytics.kernels import paths as kernels

    listed = (order, rows.hashes[order], rows.group[order], rows.flat, rows.offsets)
    kernels.settle_collisions(*listed)
    return kernels.first_places(*listed)


def _one_after_the_other(parts: Sequence[PathsPart]) -> PathsPart:
    """The paths of all parts in a row; a path of several parts is there several times."""
    groups = tuple(sorted({name for part in parts for name in part.groups}))
    number = {name: place for place, name in enumerate(groups)}
    moved = [np.array([number[name] for name in part.groups], np.int32)[part.group] for part in parts]
    before = _starts(np.array([len(part.flat) for part in parts]))
    offsets = [part.offsets[:-1] + start for part, start in zip(parts, before[:-1], strict=True)]

    def together(name: str) -> NDArray[Any]:
        return np.concatenate([getattr(part, name) for part in parts])

    return PathsPart(
        groups=groups,
        group=frozen(np.concatenate(moved)),
        hashes=together("hashes"),
        flat=together("flat"),
        offsets=np.concatenate([*offsets, before[-1:]]),
        counts=together("counts"),
        converted=together("converted"),
        durations=together("durations"),
        phases=np.sum([part.phases for part in parts], axis=0),
        sums=together("sums"),
        currencies=tuple(sorted({pair for part in parts for pair in part.currencies})),
    )


def _starts(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])


def _text_ranks(names: tuple[str, ...]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Ranks of symbols inside and at the end of a path: paths sort by them as their texts do."""
    texts = [name + ARROW for name in names] + list(names)
    rank = np.empty(len(texts), np.int64)
    rank[sorted(range(len(texts)), key=texts.__getitem__)] = np.arange(len(texts))
    return rank[: len(names)], rank[len(names) :]


def _most_frequent(
    total: PathsTotal,
    group: int,
    top: int | None,
    *,
    names: tuple[str, ...],
    ranks: tuple[NDArray[np.int64], NDArray[np.int64]],
) -> NDArray[np.int64]:
    """The paths of a group by count, then text; of millions of ties only the first ones become text."""
    start, end = total.starts[group], total.starts[group + 1]
    counts = total.counts[start:end]
    chosen = np.arange(start, end)
    if top is not None and top < len(counts):
        most = counts.max()
        least = most - _smallest(most - counts, top)
        above = start + np.flatnonzero(counts > least)
        ties = start + np.flatnonzero(counts == least)
        chosen = np.concatenate([above, _first_by_text(total, ties, top - len(above), ranks)])
    texts = {row: ARROW.join([names[code] for code in total.path(row)]) for row in chosen.tolist()}
    order = sorted(texts, key=lambda row: (-total.counts[row], texts[row]))
    return np.array(order, dtype=np.int64)


def _smallest(values: NDArray[np.int64], n: int) -> int:
    """The n-th smallest of small whole numbers: counted, because a million of them are equal."""
    return int(np.searchsorted(np.cumsum(np.bincount(values)), n))


def _first_by_text(
    total: PathsTotal,
    ties: NDArray[np.int64],
    wanted: int,
    ranks: tuple[NDArray[np.int64], NDArray[np.int64]],
) -> NDArray[np.int64]:
    """The `wanted` paths whose texts come first: symbol by symbol, whole arrays at once."""
    inside, last = ranks
    taken = [np.zeros(0, np.int64)]
    depth = 0
    while wanted < len(ties):
        starts, ends = total.lying(ties)
        symbol = total.rows.flat[starts + depth]
        rank = np.where(starts + depth + 1 == ends, last[symbol], inside[symbol])
        bound = _smallest(rank, wanted)
        taken.append(ties[rank < bound])
        wanted -= len(taken[-1])
        ties = ties[rank == bound]
        depth += 1
    return np.concatenate([*taken, ties])


@dataclass(frozen=True, eq=False, repr=False)
class Paths(Shown):
    """The most frequent paths.

    Attributes
    ----------
    units : int
        Journeys (customers, sessions) with a path: all of them, shown or not.
    n_paths : int
        How many different paths there are (with `by=`: of each group, summed).
    coverage : float
        Share of the units that take one of the paths shown.
    sequences : tuple of tuple of str
        The paths shown as names, one for each row of the frame.
    unit, of, by
        As asked.
    """

    units: int
    n_paths: int
    sequences: tuple[tuple[str, ...], ...]
    unit: str
    of: str
    by: str | None
    _frame: pd.DataFrame
    _rows: NDArray[np.int64]
    _total: PathsTotal
    _names: tuple[str, ...]
    _phases: dict[str, str]
    _road: tuple[str, ...]
    _order: tuple[int, ...]
    _has_goal: bool
    _confidence: float

    @property
    def coverage(self) -> float:
        """Share of the units that take one of the paths shown; NaN without units."""
        return float(self._frame["journeys"].sum() / self.units) if self.units else float("nan")

    def to_frame(self) -> pd.DataFrame:
        """One row per path; the columns are those of `paths`."""
        return self._frame.copy()

    def tree(self, *, max_depth: int | None = None, min_journeys: int = 1) -> pd.DataFrame:
        """All paths as a prefix tree: how many begin alike, how many end there.

        Every path counts, not only those shown. `journeys = ended +` the journeys of the prefixes one
        symbol longer, as long as nothing is left out.

        Parameters
        ----------
        max_depth : int, optional
            Prefixes of at most so many symbols.
        min_journeys : int
            Only prefixes that so many units share.

        Returns
        -------
        DataFrame
            `prefix, depth, journeys, ended, converted, share, units`: `ended` took exactly this path,
            `converted` of `journeys` reached the goal, `share` is of `units`. By depth, then `journeys`
            descending, then prefix; with `by=` the group comes first.

        Raises
        ------
        InputError
            A limit is below 1, or the tree would be no table any more (a hundred million letters).
        """
        check_count("max_depth", max_depth, none="for any depth")
        check_count("min_journeys", min_journeys, none=None)
        frames = []
        for group in self._order:
            frame = self._branches(group, max_depth, min_journeys)
            if self.by:
                frame.insert(0, self.by, self._total.groups[group])
            frames.append(frame)
        if not frames:
            columns = ["prefix", "depth", "journeys", "ended", "converted", "share", "units"]
            return pd.DataFrame(columns=[self.by, *columns] if self.by else columns)
        return pd.concat(frames, ignore_index=True)

    def _branches(self, group: int, max_depth: int | None, min_journeys: int) -> pd.DataFrame:
        total, n_symbols = self._total, len(self._names)
        alive = np.arange(total.starts[group], total.starts[group + 1])
        parent = np.zeros(len(alive), np.int64)
        above = [""]
        letters = depth = 0
        levels: list[pd.DataFrame] = []
        while len(alive) and (max_depth is None or depth < max_depth):
            symbol = total.flat[total.offsets[alive] + depth].astype(np.int64)
            nodes, node = np.unique(parent * n_symbols + symbol, return_inverse=True)
            journeys = totals(node, total.counts[alive], len(nodes))
            depth += 1
            ends = np.diff(total.offsets)[alive] == depth
            ended = totals(node[ends], total.counts[alive[ends]], len(nodes))
            converted = totals(node, total.converted[alive], len(nodes))
            kept = journeys >= min_journeys
            prefixes = [
                (above[at // n_symbols] + ARROW if depth > 1 else "") + self._names[at % n_symbols]
                for at in nodes[kept].tolist()
            ]
            letters += sum(map(len, prefixes))
            if letters > _MOST_TEXT:
                raise InputError(
                    "The whole tree is too large for a table. Limit it with max_depth= or min_journeys=."
                )
            level = pd.DataFrame({"prefix": prefixes, "depth": depth, "journeys": journeys[kept]})
            level = level.assign(ended=ended[kept], converted=converted[kept])
            levels.append(level.sort_values(["journeys", "prefix"], ascending=[False, True]))
            number = np.cumsum(kept) - 1
            goes_on = kept[node] & ~ends
            alive, parent, above = alive[goes_on], number[node[goes_on]], prefixes
        empty = pd.DataFrame({"prefix": [], "depth": [], "journeys": [], "ended": [], "converted": []})
        tree = pd.concat(levels, ignore_index=True) if levels else empty
        if not self._has_goal:
            tree = tree.assign(converted=pd.array([pd.NA] * len(tree), dtype="Int64"))
        units = total.units_of(group)
        return tree.assign(share=tree["journeys"] / units, units=units)

    def representatives(self, k: int = 5, *, most: int = 1_000, longest: int = 100) -> pd.DataFrame:
        """A few paths that stand for all: the centres of groups of similar paths.

        Two paths differ by the fewest symbols to insert, leave out or change, divided by the length of the
        longer one (Levenshtein 1966). Groups are found around k of the paths themselves (k-medoids, Kaufman
        and Rousseeuw 1990: chosen greedily, then improved in turns), each path with the weight of its units.
        No chance is involved.

        Parameters
        ----------
        k : int
            How many.
        most : int
            Only so many different paths are looked at, the most frequent; `coverage` says what share of the
            units takes one of them.
        longest : int
            Of each path only so many symbols from the start.

        Returns
        -------
        DataFrame
            Columns `path, journeys` (of the whole group), `share` (of the units looked at), `paths`
            (different ones), `conversion, mean_distance` (of the group to its representative), `coverage`;
            the largest group first.

        Raises
        ------
        InputError
            A number below 1; the paths are grouped.
        """
        for name, value in (("k", k), ("most", most), ("longest", longest)):
            check_count(name, value, none=None)
        if self.by:
            raise InputError("representatives() speaks of all paths: ask for paths without by=.")
        from cjm_analytics.kernels.distances import assigned, edit_distances, medoids

        total = self._total
        ranks = np.lexsort((np.arange(len(total.counts)), -total.counts))[:most]
        chosen = np.sort(ranks)
        distances = edit_distances(total.flat, total.offsets, chosen, longest)
        weight = total.counts[chosen]
        centres = medoids(distances, weight, min(k, len(chosen)))
        group = assigned(distances, centres)
        journeys, converted = (
            np.bincount(group, part, len(centres)).astype(np.int64)
            for part in (weight, total.converted[chosen])
        )
        away = np.bincount(group, weight * distances[np.arange(len(chosen)), centres[group]], len(centres))
        frame = pd.DataFrame(
            {
                "path": [
                    ARROW.join(self._names[code] for code in total.path(row)) for row in chosen[centres]
                ],
                "journeys": journeys,
                "share": journeys / max(int(weight.sum()), 1),
                "paths": np.bincount(group, minlength=len(centres)),
                "conversion": converted / np.maximum(journeys, 1) if self._has_goal else np.nan,
                "mean_distance": away / np.maximum(journeys, 1),
                "coverage": float(weight.sum() / max(self.units, 1)),
            }
        )
        return frame.sort_values(["journeys", "path"], ascending=[False, True], ignore_index=True)

    def compare(self) -> pd.DataFrame:
        """Which of the paths shown differ in share between the groups.

        Every pair of groups, for every path that is shown for one group at least.

        Returns
        -------
        DataFrame
            What `by` names and the same as `other_…`, `path, share, journeys, units, other_share,
            other_journeys, other_units, difference` (the first minus the other) with Newcombe's interval
            `low, high`, `p_value` (two proportions, pooled z test), `q_value` (adjusted after Benjamini and
            Hochberg), `tests` (size of the family: all rows) and `verdict`. By `q_value`.

        Raises
        ------
        InputError
            The paths were not grouped, or there is one group only.
        """
        if not self.by:
            raise ungrouped("paths")
        check_several(self._total.groups)
        texts = dict(zip(self._frame["path"], self._rows.tolist(), strict=True))
        groups = self._total.groups
        rows = [
            (groups[one], groups[other], path, *self._taken(row, one), *self._taken(row, other))
            for one, other in combinations(self._order, 2)
            for path, row in texts.items()
        ]
        columns = [self.by, f"other_{self.by}", "path", "journeys", "units", "other_journeys", "other_units"]
        return shares_compared(pd.DataFrame(rows, columns=columns), self._confidence)

    def _taken(self, row: int, group: int) -> tuple[int, int]:
        found = self._total.find(row, group)
        return (int(self._total.counts[found]) if found >= 0 else 0), self._total.units_of(group)

    def plot(self, kind: str = "rows", *, min_share: float = 0.0) -> go.Figure:
        """The paths as a picture.

        Parameters
        ----------
        kind : {"rows", "tree"}
            Rows of blocks in the colours of their phases, with share and conversion beside; or the tree of
            what journeys begin with, from left to right (of the first group, where there are groups). A
            click on a branch of the tree goes into it.
        min_share : float
            Paths that less than this share of the units (of their group) take are gathered in one row
            "other", together with those that are not shown at all. In a tree: branches of less than this
            share are not drawn, default 1 in 200. The frame stays as it is.

        Raises
        ------
        UnknownNameError
            No such kind.
        InputError
            `min_share` is no share.
        """
        from cjm_analytics.charts.paths import path_rows, prefix_tree
        from cjm_analytics.charts.theme import percent

        check_share("min_share", min_share)
        if kind == "tree":
            least = max(ceil(min_share * self.units - 1e-9) if min_share else self.units // 200, 1)
            tree = self.tree(max_depth=8, min_journeys=least)
            if self.by and len(tree):
                tree = tree[tree[self.by] == tree[self.by].iloc[0]]
            return prefix_tree(
                tree,
                self._phases,
                phases=self._road,
                of=self.of,
                unit=self.unit,
                total=self.units,
                least=least,
            )
        if kind != "rows":
            raise UnknownNameError("kind of picture", kind, ["rows", "tree"])

        kept = (self._frame["share"] >= min_share - 1e-9).to_numpy()
        shown = self._frame[kept].copy()
        shown["names"] = pd.Series(list(self.sequences), self._frame.index, dtype=object)[kept]
        said = None
        if min_share:
            covered = float(shown["journeys"].sum() / max(self.units, 1))
            said = f"{len(shown):,} of {self.n_paths:,} different paths; they cover {percent(covered)} of "
            said += f"{self.units:,} {self.unit}s, “other” the rest"
            shown = self._with_other(shown)
        blocks = pd.DataFrame(
            [
                (row, position, name, self._phases.get(name, ""))
                for row, names in enumerate(shown["names"])
                for position, name in enumerate(names)
            ],
            columns=["row", "position", "name", "phase"],
        )
        return path_rows(
            shown,
            blocks,
            phases=self._road,
            group=self.by,
            unit=self.unit,
            of=self.of,
            coverage=self.coverage,
            n_paths=self.n_paths,
            total=self.units,
            said=said,
        )

    def _with_other(self, shown: pd.DataFrame) -> pd.DataFrame:
        """The rows, and per group one for the units that take any other path."""
        total = self._total
        rows: list[dict[str, Any]] = []
        for group in self._order:
            mine = shown[shown[self.by] == total.groups[group]] if self.by else shown
            paths = slice(total.starts[group], total.starts[group + 1])
            units, converted = total.units_of(group), int(total.converted[paths].sum())
            journeys = units - int(mine["journeys"].sum())
            rows += [{str(name): cell for name, cell in row.items()} for row in mine.to_dict("records")]
            if not journeys:
                continue
            n_paths = len(total.counts[paths]) - len(mine)
            rest: dict[str, Any] = {
                "names": (f"{OTHER}: {n_paths:,} paths",),
                "journeys": journeys,
                "share": journeys / units,
                "units": units,
                "median_duration": pd.NaT,
                "conversion": np.nan,
            }
            if self._has_goal:
                converted -= int(mine["converted"].sum())
                counts = np.array([converted]), np.array([journeys])
                low, high = statistics.wilson(*counts, self._confidence)
                rest |= {
                    "converted": converted,
                    "conversion": converted / journeys,
                    "low": float(low[0]),
                    "high": float(high[0]),
                }
            if self.by:
                rest[self.by] = total.groups[group]
            rows.append(rest)
        return pd.DataFrame(rows, columns=[*shown])

    def _card(self) -> Card:
        facts = {
            f"{self.unit}s": f"{self.units:,}",
            "different paths": f"{self.n_paths:,}",
            "shown": f"{len(self._frame):,}",
            "coverage": f"{100 * self.coverage:.1f} %" if self.units else "–",
        }
        note = "" if self._has_goal else "No goal is known: name one with goal= to see conversion."
        return Card(f"Paths by {self.of}", facts, self._frame, note=note)
