"""Who comes back: cohorts by when customers started, and the share that returned in each period after."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations, pairwise
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cjm_analytics._card import Card, Shown
from cjm_analytics.analysis.named import Group, Named, columns, groups_of, in_group_order, observed_until
from cjm_analytics.analysis.periods import LENGTHS, Calendar
from cjm_analytics.analysis.sequences import frozen
from cjm_analytics.durations import DAY
from cjm_analytics.engine import run
from cjm_analytics.errors import InputError, UnknownNameError, check_count, check_several
from cjm_analytics.model import ReportRules
from cjm_analytics.statistics import benjamini_hochberg, newcombe, two_proportion_test, wilson

if TYPE_CHECKING:
    from collections.abc import Mapping

    import plotly.graph_objects as go
    from numpy.typing import NDArray

    from cjm_analytics.engine import Engine
    from cjm_analytics.journeys import Codebook, Journeys, Partition

__all__ = ["Retention", "RetentionAnalysis", "RetentionPartial", "retention"]

KINDS = ("bounded", "unbounded", "rolling", "cumulative")


def retention(
    journeys: Journeys,
    *,
    start: str | Sequence[str],
    returning: str | Sequence[str] | None = None,
    period: str = "week",
    kind: str = "bounded",
    recurring: bool = False,
    calendar: bool = True,
    brackets: Sequence[int] | None = None,
    periods: int | None = None,
    by: str | Sequence[str] | None = None,
    engine: Engine | None = None,
) -> Retention:
    """Who comes back: of the customers who started in a period, the share that returned in each period after.

    A customer, over all journeys, belongs to the cohort of the calendar period of the first `start`; with
    `recurring`, to that of every period with a start. The customer **returned** in period p if a `returning`
    event lies in the p-th period after that of the start. Period 0 is the start itself: everybody returned.

    A cell is **complete** when its period is over, for everybody who could be in the cohort, by the
    observation end. Cells that are not complete are in the table, marked, and left out of the overall curve;
    cells whose period has not begun are not in the table. What comes after the observation end is not used.

    `low` and `high` are Wilson's interval. The customers who started before the data did cannot be told from
    new ones: `.truncated` counts those whose first journey seems to have begun earlier.

    Parameters
    ----------
    journeys : Journeys
    start : str or sequence of str
        A touchpoint, or a marker of the model; several: any of these.
    returning : str or sequence of str, optional
        The same for the event that counts as a return; default: any event.
    period : {"day", "week", "month"}
        In the model's time zone; weeks begin on Monday.
    kind : {"bounded", "unbounded", "rolling", "cumulative"}
        "bounded": returned in the period. "unbounded": in it or later, up to the observation end. "rolling":
        in it and in each one before. "cumulative": in it or in one before, after period 0.
    recurring : bool
        Every period with a start makes a cohort of its own, so that a customer may be in several.
    calendar : bool
        Count periods after the start by the calendar; else from the instant of the start (in a recurring
        cohort, of the first start in it), in steps of 24 hours, 7 days or 30 days.
    brackets : sequence of int, optional
        Days after the start at which brackets begin, and at which the last ends: `[1, 7, 14, 30]` makes the
        days 1–6, 7–13 and 14–29, numbered from 1, in place of equal periods.
    periods : int, optional
        How many periods after the start to tell; default: all.
    by : str or sequence of str, optional
        Columns to group by: the value at the start.
    engine : Engine, optional
        Where to compute; default: on this machine.

    Returns
    -------
    Retention

    Raises
    ------
    UnknownNameError
        No such touchpoint, marker, column, period or kind.
    InputError
        Brackets that do not rise, or together with `periods`.

    Examples
    --------
    >>> import cjm_analytics as cjm
    >>> journeys = cjm.sessionize(cjm.ingest(cjm.loaders.table(
    ...     {"who": ["a", "a", "b", "c", "c"], "what": ["join", "use", "join", "join", "use"],
    ...      "when": ["2026-01-05", "2026-01-13", "2026-01-06", "2026-01-12", "2026-01-19"]},
    ...     customer="who", timestamp="when", event="what", tz="UTC")))
    >>> answer = cjm.retention(journeys, start="join", returning="use")
    >>> answer.to_frame()[["cohort", "period", "customers", "returned", "retention", "complete"]]
          cohort  period  customers  returned  retention  complete
    0 2026-01-05       0          2         2        1.0      True
    1 2026-01-05       1          2         1        0.5      True
    2 2026-01-05       2          2         0        0.0     False
    3 2026-01-12       0          1         1        1.0      True
    4 2026-01-12       1          1         1        1.0     False
    """
    analysis = RetentionAnalysis.plan(
        journeys, start=start, returning=returning, period=period, kind=kind, recurring=recurring,
        calendar=calendar, brackets=brackets, periods=periods, by=by,
    )  # fmt: skip
    return run(analysis, journeys, engine)


@dataclass(frozen=True)
class RetentionAnalysis:
    """What starts, what counts as a return, and how time is cut.

    Attributes
    ----------
    start : Named
    returning : Named or None
    kind : str
    recurring, by_calendar : bool
    cohorts : Calendar
    days : Calendar or None
        Where brackets are counted in calendar days.
    slots : tuple of (int, int)
        First step after the start, and first after the last, of each period after the start; steps are
        periods, or with brackets days.
    bracketed : bool
    by : tuple of str
    observed_until : int
        Microseconds UTC.
    codebook : Codebook
    rules : ReportRules
    """

    start: Named
    returning: Named | None
    kind: str
    recurring: bool
    by_calendar: bool
    cohorts: Calendar
    days: Calendar | None
    slots: tuple[tuple[int, int], ...]
    bracketed: bool
    by: tuple[str, ...]
    observed_until: int
    codebook: Codebook
    rules: ReportRules

    @classmethod
    def plan(
        cls,
        journeys: Journeys,
        *,
        start: str | Sequence[str],
        returning: str | Sequence[str] | None = None,
        period: str = "week",
        kind: str = "bounded",
        recurring: bool = False,
        calendar: bool = True,
        brackets: Sequence[int] | None = None,
        periods: int | None = None,
        by: str | Sequence[str] | None = None,
    ) -> RetentionAnalysis:
        """Check the arguments of `retention`."""
        codebook = journeys.codebook
        begin = Named.read(codebook, start, what="start")
        back = None if returning is None else Named.read(codebook, returning, what="returning")
        if kind not in KINDS:
            raise UnknownNameError("kind", kind, KINDS)
        check_count("periods", periods)
        until = observed_until(journeys, [begin, back] if back else [])
        span = (journeys.timezone, journeys.observation_start, until)
        cohorts = Calendar.spanning(period, *span)
        if brackets is not None:
            if periods is not None:
                raise InputError("brackets= and periods= exclude each other: brackets say how far to look.")
            bounds = _checked(brackets)
            slots = ((0, bounds[0]), *pairwise(bounds))
        else:
            most = len(cohorts) if calendar else (until - span[1]) // LENGTHS[period] + 1
            slots = tuple((n, n + 1) for n in range(max(min(most, (periods or most) + 1), 1)))
        return cls(
            start=begin,
            returning=back,
            kind=kind,
            recurring=recurring,
            by_calendar=calendar,
            cohorts=cohorts,
            days=Calendar.spanning("day", *span) if calendar and brackets is not None else None,
            slots=slots,
            bracketed=brackets is not None,
            by=columns(journeys, by),
            observed_until=until,
            codebook=codebook,
            rules=journeys.model.report if journeys.model else ReportRules(),
        )

    @property
    def step(self) -> int:
        """Microseconds of a step after the start, where steps are counted from its instant."""
        return DAY if self.bracketed else LENGTHS[self.cohorts.period]

    def map(self, partition: Partition) -> RetentionPartial:
        """Count the partition's customers by cohort, and those who returned."""
        from cjm_analytics.kernels.flow import first_rows
        from cjm_analytics.kernels.retention import list_returns

        if not partition.n_events:
            return RetentionPartial()
        time = partition.event("time")
        seen = time <= self.observed_until
        offsets = partition.units("customer").offsets
        starts = self.start.fits(partition)
        late = first_rows(offsets[:-1], offsets[1:], starts) >= 0
        starts = frozen(starts & seen)
        first = first_rows(offsets[:-1], offsets[1:], starts)
        late &= first < 0
        returns = frozen(seen if self.returning is None else self.returning.fits(partition) & seen)
        cohort = self.cohorts.numbers(time)
        tick, length = frozen(time), self.step
        if self.by_calendar:
            tick = (cohort if self.days is None else self.days.numbers(time)).astype(np.int64)
            length = 1
        rows, slots = list_returns(
            frozen(offsets), starts, returns, cohort, frozen(tick), length, self._slot_of(), len(self.slots),
            self.recurring, KINDS.index(self.kind),
        )  # fmt: skip
        group, names = groups_of(partition, self.by, rows)
        keys = cohort[rows].astype(np.int64) * len(self.slots) + slots
        cells: dict[Group, Cells] = {}
        for number, name in enumerate(names):
            mine = Cells.of(keys[group == number])
            cells[name] = cells[name] + mine if name in cells else mine
        began = partition.journey("truncated").astype(bool)[partition.customer_offsets[:-1]]
        return RetentionPartial(cells, int((began & (first >= 0)).sum()), int(late.sum()))

    def _slot_of(self) -> NDArray[np.int64]:
        """The slot of each step after the start."""
        lengths = [beyond - first for first, beyond in self.slots]
        return np.repeat(np.arange(len(self.slots)), lengths)

    def finalize(self, partial: RetentionPartial) -> Retention:
        """The table from the grand total."""
        groups = in_group_order(partial.cells, self.by, self.codebook) if self.by else [()]
        frames = [self._frame(group, partial.cells[group]) for group in groups if group in partial.cells]
        frame = pd.concat(frames, ignore_index=True) if frames else self._frame(("",) * len(self.by), Cells())
        return Retention(frame, self, partial)

    def _frame(self, group: Group, cells: Cells) -> pd.DataFrame:
        """The rows of one group: every cohort with customers, every period that has begun."""
        n_slots = len(self.slots)
        keys, counts = cells.keys, cells.counts
        present, place = np.unique(keys // n_slots, return_inverse=True)
        tally = np.zeros((len(present), n_slots), dtype=np.int64)
        tally[place, keys % n_slots] = counts
        customers = tally[:, 0]
        returned = tally
        if self.kind in {"unbounded", "rolling"}:
            returned = tally[:, ::-1].cumsum(axis=1)[:, ::-1]
        elif self.kind == "cumulative":
            returned = tally.cumsum(axis=1) - tally[:, :1]
        returned = np.column_stack([customers, returned[:, 1:]])
        begun, complete = self._observed(present)
        cohort, slot = np.nonzero(begun)
        n, k = customers[cohort], returned[cohort, slot]
        low, high = wilson(k, n, self.rules.confidence)
        enough = self.rules.reliabilities(n)
        labels = np.array([self.label(number) for number in range(n_slots)], dtype=object)
        frame = pd.DataFrame(
            {
                "cohort": self.cohorts.dates()[present[cohort]],
                "period": slot,
                "customers": n,
                "returned": k,
                "retention": k / n,
                "low": low,
                "high": high,
                "complete": complete[cohort, slot],
                "label": labels[slot],
                "reliability": enough.astype(object),
            }
        )
        return frame.assign(**dict(zip(self.by, group, strict=True)))[[*self.by, *_COLUMNS]]

    def _observed(self, cohorts: NDArray[np.int64]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Per cohort and slot: whether it has begun for somebody, whether it is over for everybody."""
        bounds = np.array(self.cohorts.bounds, dtype=np.int64)
        opening, closing = bounds[cohorts], bounds[cohorts + 1]
        first = np.array([one for one, _ in self.slots], dtype=np.int64)
        beyond = np.array([one for _, one in self.slots], dtype=np.int64)
        end = self.observed_until + 1
        if self.by_calendar:
            calendar = self.days or self.cohorts
            earliest = np.array([calendar.number(one) for one in opening], dtype=np.int64)
            latest = np.array([calendar.number(one - 1) for one in closing], dtype=np.int64)
            begun = earliest[:, None] + first < len(calendar)
            over = latest[:, None] + beyond
            edges = np.array(calendar.bounds, dtype=np.int64)
            known = over < len(edges)
            complete = known & (edges[np.where(known, over, 0)] <= end)
        else:
            begun = opening[:, None] + first * self.step < end
            complete = closing[:, None] - 1 + beyond * self.step < end
        begun[:, 0] = True
        return begun, begun & complete

    def label(self, slot: int) -> str:
        """The name of a period after the start."""
        if not self.bracketed:
            return f"{self.cohorts.period} {slot}"
        first, beyond = self.slots[slot]
        return f"day {first}" if beyond == first + 1 else f"days {first}–{beyond - 1}"


_COLUMNS = [
    "cohort", "period", "customers", "returned", "retention", "low", "high", "complete", "label",
    "reliability",
]  # fmt: skip
_CURVE = [
    "period", "cohorts", "customers", "returned", "retention", "low", "high", "label", "reliability",
]  # fmt: skip


def _checked(brackets: Sequence[int]) -> tuple[int, ...]:
    bounds = list(brackets) if isinstance(brackets, Sequence) and not isinstance(brackets, str) else []
    whole = all(isinstance(one, Real) and not isinstance(one, bool) and one == int(one) for one in bounds)
    numbers = tuple(int(one) for one in bounds) if whole else ()
    rising = all(one < other for one, other in zip((0, *numbers[:-1]), numbers, strict=bool(numbers)))
    if len(numbers) < 2 or not rising:  # noqa: PLR2004 - a bracket has two ends
        raise InputError(
            f"brackets={brackets!r} must be days after the start, rising from 1: [1, 7, 14, 30] makes days "
            "1–6, 7–13 and 14–29."
        )
    return numbers


@dataclass(frozen=True, eq=False)
class Cells:
    """What is told of the customers of one group.

    Attributes
    ----------
    keys, counts : int64 arrays
        Cohort · number of slots + slot, rising, and how many customers have it; slot 0 is the start.
    """

    keys: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    counts: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))

    @classmethod
    def of(cls, keys: NDArray[np.int64]) -> Cells:
        """Count keys."""
        found, counts = np.unique(keys, return_counts=True)
        return cls(found, counts.astype(np.int64))

    def __add__(self, other: Cells) -> Cells:
        keys, place = np.unique(np.concatenate([self.keys, other.keys]), return_inverse=True)
        counts = np.zeros(len(keys), dtype=np.int64)
        np.add.at(counts, place, np.concatenate([self.counts, other.counts]))
        return Cells(keys, counts)


@dataclass(frozen=True, eq=False)
class RetentionPartial:
    """The cohorts of some of the customers, by group.

    Attributes
    ----------
    cells : mapping of Group to Cells
    truncated : int
        Customers with a start whose first journey began before the data did.
    after_end : int
        Customers who started only after the observation end.
    """

    cells: Mapping[Group, Cells] = field(default_factory=dict)
    truncated: int = 0
    after_end: int = 0

    def __add__(self, other: RetentionPartial) -> RetentionPartial:
        cells = dict(self.cells)
        for group, more in other.cells.items():
            cells[group] = cells[group] + more if group in cells else more
        return RetentionPartial(cells, self.truncated + other.truncated, self.after_end + other.after_end)


@dataclass(frozen=True, eq=False, repr=False)
class Retention(Shown):
    """Who comes back: made by `cjm.retention`.

    Attributes
    ----------
    customers : int
        In all cohorts; in recurring ones, each time anew.
    truncated : int
        Customers whose first journey seems to have begun before the data did: perhaps no first start.
    after_end : int
        Customers left out because they started only after the observation end.
    observation_end : pandas.Timestamp
    """

    _frame: pd.DataFrame
    _analysis: RetentionAnalysis
    _partial: RetentionPartial

    @property
    def customers(self) -> int:
        n_slots = len(self._analysis.slots)
        return sum(int(one.counts[one.keys % n_slots == 0].sum()) for one in self._partial.cells.values())

    @property
    def truncated(self) -> int:
        return self._partial.truncated

    @property
    def after_end(self) -> int:
        return self._partial.after_end

    @property
    def observation_end(self) -> pd.Timestamp:
        return pd.Timestamp(self._analysis.observed_until, unit="us", tz="UTC")

    def to_frame(self) -> pd.DataFrame:
        """One row per cohort and period after the start, within each group.

        Columns: what `by` names, `cohort` (the local date with which its period begins), `period` (after the
        start, from 0), `customers` (of the cohort), `returned`, `retention` (returned / customers), `low`,
        `high`, `complete` (the period is over for the whole cohort), `label` of the period, `reliability`
        (`hidden` when the cohort has fewer customers than the model's `min_n`, `weak` below `weak_n`, else
        `ok`).
        """
        return self._frame.copy()

    def curve(self) -> pd.DataFrame:
        """All cohorts together, period by period; only cells that are complete.

        Columns: what `by` names, `period`, `cohorts` (how many have a complete cell), `customers` (of those
        cohorts), `returned`, `retention`, `low`, `high`, `label`, `reliability`.
        """
        by, rules = list(self._analysis.by), self._analysis.rules
        cells = self._frame[self._frame["complete"]]
        keys = [*by, "period", "label"]
        frame = (
            cells.groupby(keys, sort=False, as_index=False)
            .agg(cohorts=("cohort", "size"), customers=("customers", "sum"), returned=("returned", "sum"))
            .astype({"cohorts": np.int64, "customers": np.int64, "returned": np.int64})
        )
        # Groups keep their place; within a group, periods rise.
        place = {group: number for number, group in enumerate(dict.fromkeys(_keys(self._frame, by)))}
        groups = np.array([place[group] for group in _keys(frame, by)], dtype=np.int64)
        frame = frame.iloc[np.lexsort((frame["period"], groups))].reset_index(drop=True)
        low, high = wilson(frame["returned"], frame["customers"], rules.confidence)
        n = frame["customers"]
        frame = frame.assign(
            retention=frame["returned"] / n,
            low=low,
            high=high,
            reliability=rules.reliabilities(n),
        )
        return frame[[*by, *_CURVE]]

    def compare(self, *, period: int = 1) -> pd.DataFrame:
        """Do groups differ in the share that returned, all complete cohorts together? Every pair of groups.

        Columns: what `by` names and the same as `other_…`, `period`, `retention`, `other_retention`,
        `customers`, `other_customers` (the denominators), `difference` (the first minus the other) with
        Newcombe's interval `low`, `high`, `p_value` (pooled z test), `q_value` (adjusted after Benjamini and
        Hochberg), `tests` (size of the family), `verdict`. Customers who are in several recurring cohorts
        count as if they were several, so that intervals are too short there.

        Parameters
        ----------
        period : int
            The period after the start.

        Raises
        ------
        InputError
            The result has no groups, or one only.
        UnknownNameError
            There is no such period.
        """
        by = list(self._analysis.by)
        if not by:
            raise InputError("There are no groups to compare. Ask with by=, for example by='channel'.")
        if not 1 <= period < len(self._analysis.slots):
            raise UnknownNameError("period", period, map(str, range(1, len(self._analysis.slots))))
        curve = self.curve()
        rows = curve[curve["period"] == period].reset_index(drop=True)
        check_several(rows[by].itertuples(index=False, name=None))
        pairs = list(combinations(range(len(rows)), 2))
        one, other = (rows.iloc[[pair[side] for pair in pairs]].reset_index(drop=True) for side in (0, 1))
        counts = (one["returned"], one["customers"], other["returned"], other["customers"])
        low, high = newcombe(*counts, confidence=self._analysis.rules.confidence)
        p_value = two_proportion_test(*counts)[1] if pairs else np.zeros(0)
        q_value = benjamini_hochberg(p_value)
        higher = np.where(one["retention"] > other["retention"], "higher", "lower")
        clear = q_value < 1 - self._analysis.rules.confidence
        return pd.concat(
            [one[by], other[by].add_prefix("other_")],
            axis=1,
        ).assign(
            period=period,
            retention=one["retention"],
            other_retention=other["retention"],
            customers=one["customers"],
            other_customers=other["customers"],
            difference=one["retention"] - other["retention"],
            low=low,
            high=high,
            p_value=p_value,
            q_value=q_value,
            tests=int((~np.isnan(p_value)).sum()),
            verdict=np.where(clear, higher, "no clear difference"),
        )

    def plot(self) -> go.Figure:
        """The overall curve with its interval, and below it the triangle of cohorts; with groups, curves."""
        from cjm_analytics.charts.retention import retention_chart

        analysis = self._analysis
        returning = "any event" if analysis.returning is None else analysis.returning.text
        return retention_chart(
            self._frame,
            self.curve(),
            by=analysis.by,
            names={
                "start": analysis.start.text,
                "returning": returning,
                "kind": analysis.kind,
                "period": "days" if analysis.bracketed else analysis.cohorts.period,
            },
        )

    def _card(self) -> Card:
        analysis = self._analysis
        facts = {
            "customers": f"{self.customers:,}",
            "start": analysis.start.text,
            "return": "any event" if analysis.returning is None else analysis.returning.text,
            "kind": analysis.kind,
            "perhaps started before the data": f"{self.truncated:,}",
            "observed until": f"{self.observation_end:%Y-%m-%d %H:%M} UTC",
        }
        curve = self.curve().rename(columns={"retention": "share"})
        note = "All cohorts together, cells whose period is over; share: returned of customers."
        return Card("Retention", facts, curve, note=note)


def _keys(frame: pd.DataFrame, by: Sequence[str]) -> list[tuple[Any, ...]]:
    return list(zip(*(frame[column] for column in by), strict=True)) if by else [()] * len(frame)
