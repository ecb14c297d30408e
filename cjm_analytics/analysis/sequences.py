"""Units as sequences of symbols: what paths, transitions and flows have in common."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cjm_analytics import statistics
from cjm_analytics.errors import InputError, UnknownNameError
from cjm_analytics.journeys import NEVER, NONE, UNASSIGNED
from cjm_analytics.model import ReportRules
from cjm_analytics.once import cached_property

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from cjm_analytics.journeys import Codebook, Journeys, Partition, Units

__all__ = [
    "END",
    "MORE",
    "OTHER",
    "START",
    "Asked",
    "Groups",
    "Symbols",
    "aligned",
    "amounts",
    "check_currency",
    "check_goal",
    "check_share",
    "currencies",
    "different_currencies",
    "dominant_phases",
    "goal_markers",
    "has_goal",
    "in_one_group",
    "in_order",
    "mixed_currencies",
    "report_rules",
    "totals",
    "union",
]

START, END = "(start)", "(end)"
"""The nodes before the first and after the last event of a unit."""

OTHER = "other"
"""What was gathered because it is none of the most frequent."""

MORE = "…"
"""The end of a path that was cut."""

CURRENCY = "currency"
"""The column of the events that says what amounts are in."""

UNITS = ("journey", "customer", "session")
CODED = ("touchpoint", "stage", "phase", "channel")
ALL = ""
"""The only group where nothing is grouped."""


@dataclass(frozen=True)
class Symbols:
    """The alphabet of the sequences: the names of a coded column, and one for events that have none.

    Attributes
    ----------
    of : str
        `touchpoint`, `stage`, `phase` or `channel`.
    names : tuple of str
        Stages and phases end with `unassigned`, channels with `(none)`.
    missing : int
        The symbol of an event without a code.
    """

    of: str
    names: tuple[str, ...]
    missing: int

    @classmethod
    def read(cls, codebook: Codebook, of: str) -> Symbols:
        """The alphabet of a column; another than the four coded ones is an `UnknownNameError`."""
        if of not in CODED:
            raise UnknownNameError("column (of=)", of, CODED)
        names = codebook.names(of)
        nameless = UNASSIGNED if of in {"stage", "phase"} else NONE
        if nameless in names:
            return cls(of, names, names.index(nameless))
        return cls(of, (*names, nameless), len(names))

    def __len__(self) -> int:
        return len(self.names)

    def count_phases(self, partition: Partition) -> NDArray[np.int64]:
        """Events of the partition by symbol and phase (last column: unassigned)."""
        n_phases = len(partition.codebook.phases)
        if not n_phases:
            return np.zeros((len(self), 1), np.int64)
        from cjm_analytics.kernels.sequences import count_phases

        return count_phases(
            frozen(partition.event(self.of)),
            frozen(partition.event("phase")),
            self.missing,
            len(self),
            n_phases,
        )


class Groups(NamedTuple):
    """The group of each unit, as a position in sorted names."""

    codes: NDArray[np.int32]
    names: tuple[str, ...]

    def sizes(self) -> NDArray[np.int64]:
        """How many units each group has."""
        if len(self.names) == 1:
            return np.array([len(self.codes)], np.int64)
        return np.bincount(self.codes, minlength=len(self.names))


def in_one_group(n: int) -> NDArray[np.int32]:
    """The group of each of n things that are not grouped: always the same zeros.

    Fresh ones cost more than what is done with them.
    """
    return frozen(_zeros(n.bit_length())[:n])


@cache
def _zeros(bits: int) -> NDArray[np.int32]:
    return np.zeros(1 << bits, np.int32)


@dataclass(frozen=True, eq=False)
class Asked:
    """The units of one partition that an analysis counts; a unit without events is none."""

    partition: Partition
    unit: str
    units: Units

    @classmethod
    def of(cls, partition: Partition, unit: str) -> Asked:
        """Journeys, customers or sessions of the partition."""
        units = partition.units(unit)
        return cls(partition, unit, units)

    @cached_property
    def some(self) -> NDArray[np.bool_]:
        """Per unit of the partition: whether it has an event."""
        some: NDArray[np.bool_] = self.units.offsets[1:] > self.units.offsets[:-1]
        return some

    @cached_property
    def offsets(self) -> NDArray[np.int64]:
        """Unit i is the rows `offsets[i]:offsets[i + 1]` of `column`."""
        if self.some.all():
            return self.units.offsets
        return np.append(self.units.offsets[:-1][self.some], self.units.offsets[-1])

    def column(self, name: str) -> NDArray[Any]:
        """An event column in the order of the units."""
        return frozen(self.units.arrange(self.partition.event(name)))

    def first_and_last(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Times of the first and the last event of each unit."""
        time, order = self.partition.event("time"), self.units.order
        first, last = self.offsets[:-1], self.offsets[1:] - 1
        return (time[first], time[last]) if order is None else (time[order[first]], time[order[last]])

    def converted(self, goal: str | None) -> NDArray[np.bool_]:
        """Per unit: whether it reached the goal; a session, if the goal lies within its time."""
        goals = self.partition.goal_times(goal)
        if self.unit == "session":
            from cjm_analytics.kernels.sequences import holds_goal

            customer_offsets = self.partition.customer_offsets
            return holds_goal(*self.first_and_last(), self.units.customer[self.some], customer_offsets, goals)
        reached = goals != NEVER
        if self.unit == "customer":
            before = np.concatenate([[0], np.cumsum(reached)])
            reached = np.diff(before[self.partition.customer_offsets]) > 0
        kept: NDArray[np.bool_] = reached[self.some]
        return kept

    def groups(self, by: str | None) -> Groups:
        """The value of the column `by` at each unit's first event."""
        n_units = len(self.offsets) - 1
        if by is None:
            return Groups(in_one_group(n_units), (ALL,) if n_units else ())
        labels = self.partition.labels(by)
        first = self.offsets[:-1] if self.units.order is None else self.units.order[self.offsets[:-1]]
        used, codes = np.unique(labels.codes[first], return_inverse=True)
        values = [labels.names[code] if code >= 0 else NONE for code in used]
        names = sorted(set(values))
        place = {name: number for number, name in enumerate(names)}
        number = np.array([place[value] for value in values], dtype=np.int32)
        return Groups(frozen(number[codes] if n_units else np.zeros(0, np.int32)), tuple(names))


def frozen(column: NDArray[Any]) -> NDArray[Any]:
    """The same values, not writeable: kernels are compiled once, not once more for writeable arrays."""
    view = column.view()
    view.flags.writeable = False
    return view


_Name = TypeVar("_Name", str, tuple[str, ...])


def aligned(
    names: Sequence[_Name], other: Sequence[_Name]
) -> tuple[tuple[_Name, ...], NDArray[np.int64], NDArray[np.int64]]:
    """The sorted union of two lists of names, and the place of each name of either in it.

    Examples
    --------
    >>> aligned(["a", "c"], ["b", "c"])
    (('a', 'b', 'c'), array([0, 2]), array([1, 2]))
    """
    union: tuple[_Name, ...] = tuple(sorted(set(names).union(other)))
    place: dict[_Name, int] = {name: number for number, name in enumerate(union)}
    return (
        union,
        np.array([place[name] for name in names], dtype=np.int64),
        np.array([place[name] for name in other], dtype=np.int64),
    )


def union(one: NDArray[np.int64], other: NDArray[np.int64]) -> NDArray[np.int64]:
    """The numbers of two rising sequences, each once, rising: sorting two runs is but a merge of them.

    Examples
    --------
    >>> union(np.array([1, 4]), np.array([2, 4, 9])).tolist()
    [1, 2, 4, 9]
    """
    both = np.sort(np.concatenate([one, other]), kind="stable")
    is_new = np.ones(len(both), np.bool_)
    is_new[1:] = both[1:] != both[:-1]
    return both[is_new]


def in_order(groups: Sequence[str], by: str | None, codebook: Codebook) -> list[int]:
    """Positions of the groups as a reader expects them: along the road, else by name; missing values last."""
    road = list(codebook.names(by)) if by in CODED else []
    known = {name: number for number, name in enumerate(road)}
    return sorted(
        range(len(groups)),
        key=lambda one: (groups[one] == NONE, known.get(groups[one], len(road)), groups[one]),
    )


def check_unit(unit: str) -> None:
    """Refuse another unit than journey, customer or session."""
    if unit not in UNITS:
        raise UnknownNameError("unit", unit, UNITS)


def check_by(journeys: Journeys, by: str | None) -> None:
    """Refuse a column that the events do not have."""
    if by is None:
        return
    rows = journeys.partitions[0].rows.names
    available = {*rows, *CODED, "session", "journey", "person"}
    if by not in available and not (by.startswith("properties.") and "properties" in rows):
        raise UnknownNameError("column", by, sorted(available))


def check_goal(codebook: Codebook, goal: str | None) -> None:
    """Refuse a goal that is neither a marker nor a touchpoint."""
    available = [*codebook.markers, *codebook.touchpoints]
    if goal is not None and goal not in available:
        raise UnknownNameError("goal", goal, available)


def check_share(name: str, value: float) -> None:
    """Refuse what is no share."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise InputError(f"{name}={value!r} must be a share between 0 and 1.")


def report_rules(journeys: Journeys) -> ReportRules:
    """What the model says of small numbers and intervals; without a model the usual."""
    return journeys.model.report if journeys.model else ReportRules()


def has_goal(journeys: Journeys, goal: str | None) -> bool:
    """Whether there is a goal that journeys can reach: one that was named, or the model's."""
    if goal is not None or journeys.model is None:
        return goal is not None or bool(journeys.codebook.markers)
    return any(marker.role == "goal" for marker in journeys.model.markers)


def goal_markers(journeys: Journeys) -> int:
    """Bits of the markers that are a goal: of the model, or without one all."""
    names = journeys.codebook.markers
    if journeys.model is not None:
        goals = {marker.id for marker in journeys.model.markers if marker.role == "goal"}
        return sum(1 << place for place, name in enumerate(names) if name in goals)
    return (1 << len(names)) - 1


def amounts(partition: Partition, column: str) -> NDArray[np.int64]:
    """A column of numbers in whole 1/10,000, a value per event; 0 where there is none.

    Raises
    ------
    InputError
        It holds something else than numbers.
    """
    cells = partition.table([column]).column(0)
    if pa.types.is_dictionary(cells.type):
        cells = cells.cast(cells.type.value_type)
    try:
        numbers = pc.fill_null(cells.cast(pa.float64()), 0.0).to_numpy()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as fault:
        raise InputError(f"value={column!r} is no column of numbers ({fault}).") from fault
    whole: NDArray[np.int64] = np.rint(np.nan_to_num(numbers) * 10_000).astype(np.int64)
    return whole


def check_currency(journeys: Journeys, currency: str | None) -> str | None:
    """The column that says what amounts are in; None where there is none, or it is not to be looked at."""
    if currency == CURRENCY and currency not in journeys.partitions[0].rows.names:
        return None
    check_by(journeys, currency)
    return currency


def currencies(
    partition: Partition, column: str, rows: NDArray[np.int64], groups: NDArray[Any]
) -> list[tuple[int, str]]:
    """The currencies at some rows, each with the groups (one per row) in which it occurs; sorted."""
    labels = partition.labels(column)
    codes = labels.codes[rows]
    known = codes >= 0
    width = max(len(labels.names), 1)
    pairs = np.unique(groups[known].astype(np.int64) * width + codes[known])
    return sorted((pair // width, labels.names[pair % width]) for pair in pairs.tolist())


def different_currencies(names: Iterable[str]) -> tuple[str, ...]:
    """Each currency once, as it is first written: `eur` is `EUR`.

    Examples
    --------
    >>> different_currencies(["EUR", "USD", "eur "])
    ('EUR', 'USD')
    """
    written: dict[str, str] = {}
    for name in names:
        written.setdefault(name.strip().upper(), name)
    return tuple(written.values())


def mixed_currencies(value: str, column: str, found: Sequence[str]) -> InputError:
    """What is said of amounts that cannot be added."""
    return InputError(
        f"value={value!r}: there are amounts in {len(found)} currencies ({', '.join(found)}), which cannot "
        f"be added. Take the journeys of one, journeys.select(where={{{column!r}: {found[0]!r}}}) (a journey "
        "with amounts in several stays), or convert the amounts before they are loaded; if all are in one "
        "unit already, say currency=None."
    )


def totals(number: NDArray[Any], values: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """Sums of whole numbers by the number of what they belong to."""
    found = np.zeros(n, np.int64)
    np.add.at(found, number, values)
    return found


def shares_compared(frame: pd.DataFrame, confidence: float) -> pd.DataFrame:
    """Whether two groups differ in the share of their units that have something, row by row.

    Adds to `journeys, units, other_journeys, other_units` the shares, their difference (the first minus the
    other) with Newcombe's interval, `p_value` (pooled z test), `q_value` (Benjamini–Hochberg over all rows),
    `tests` (how many that are) and `verdict` (at 1 − confidence); sorted by `q_value`, then by what is
    compared.
    """
    counts = [
        frame[name].to_numpy(np.int64) for name in ("journeys", "units", "other_journeys", "other_units")
    ]
    share, other_share = counts[0] / counts[1], counts[2] / counts[3]
    low, high = statistics.newcombe(*counts, confidence=confidence)
    p_value = statistics.two_proportion_test(*counts)[1] if len(frame) else np.zeros(0)
    q_value = statistics.benjamini_hochberg(p_value)
    direction = np.where(share > other_share, "higher", "lower")
    things = [
        str(name) for name in frame if name not in {"journeys", "units", "other_journeys", "other_units"}
    ]
    compared = frame[things].assign(
        share=share,
        journeys=counts[0],
        units=counts[1],
        other_share=other_share,
        other_journeys=counts[2],
        other_units=counts[3],
        difference=share - other_share,
        low=low,
        high=high,
        p_value=p_value,
        q_value=q_value,
        tests=len(frame),
        verdict=np.where(q_value < 1 - confidence, direction, "no clear difference"),
    )
    return compared.sort_values(["q_value", *things], ignore_index=True)


def ungrouped(call: str) -> InputError:
    """What `compare()` says when there is nothing to compare."""
    return InputError(f"There are no groups to compare. Ask for {call} with by=, for example by='channel'.")


def dominant_phases(symbols: Symbols, counts: NDArray[np.int64], codebook: Codebook) -> list[str]:
    """The phase in which each symbol mostly occurs (ties: the earlier one); `unassigned` where in none.

    A touchpoint that occurs in several phases has one colour in a chart: that of the phase of most of its
    events.
    """
    if not codebook.phases:
        return [UNASSIGNED] * len(symbols)
    names = (*codebook.phases, UNASSIGNED)
    return [names[int(row.argmax())] if row.any() else UNASSIGNED for row in counts]
