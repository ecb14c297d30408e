"""Funnels: how many get through the steps, how far the others came, and who may still go on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from numbers import Integral
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa

from cjm_analytics._card import Card, Shown
from cjm_analytics.analysis.named import Group, columns
from cjm_analytics.analysis.sequences import OTHER, aligned, check_by, frozen
from cjm_analytics.durations import Duration, microseconds, readable
from cjm_analytics.engine import run
from cjm_analytics.errors import InputError, UnknownNameError, check_count, check_several
from cjm_analytics.journeys import NONE, Units
from cjm_analytics.matching import Match, compile_match
from cjm_analytics.model import ReportRules
from cjm_analytics.quantiles import Durations
from cjm_analytics.statistics import benjamini_hochberg, newcombe, two_proportion_test, wilson

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from numpy.typing import NDArray

    from cjm_analytics.analysis.conversion_times import ConversionTimes
    from cjm_analytics.engine import Engine
    from cjm_analytics.journeys import Codebook, Journeys, Partition
    from cjm_analytics.kernels.funnel import Outcomes

__all__ = ["Funnel", "FunnelAnalysis", "FunnelPartial", "Step", "funnel", "step"]

ORDERS = ("ordered", "strict", "any")
UNITS = ("journey", "customer", "session", "attempt")
PERIODS = {"hour": "h", "day": "D", "week": "W", "month": "M", "quarter": "Q", "year": "Y"}
STATUSES = ("reached", "dropped", "open")
MOST_BITS = 60
"""Steps and exclusions share the bits of one integer."""
UNBOUNDED = 2**62
"""The window of a funnel without one, µs: longer than any log."""


@dataclass(frozen=True)
class Step:
    """One step of a funnel, as `cjm.step` writes it."""

    of: tuple[str, ...] = ()
    where: Mapping[str, object] | None = None
    label: str | None = None
    optional: bool = False
    first_ever: bool = False


StepLike: TypeAlias = str | Step | Sequence["str | Step"]
Exclusion: TypeAlias = str | Step | tuple["str | Step", int, int]


def step(
    of: str | Sequence[str] | None = None,
    *,
    where: Mapping[str, object] | None = None,
    label: str | None = None,
    optional: bool = False,
    first_ever: bool = False,
) -> Step:
    """A funnel step with conditions.

    Parameters
    ----------
    of : str or sequence of str, optional
        A touchpoint, or a marker of the model; several: any of these. Default: any event.
    where : mapping, optional
        What the event must fit besides, in the match grammar of the model.
    label : str, optional
        Its name in tables and charts.
    optional : bool
        The step may be skipped.
    first_ever : bool
        Only the customer's first such event counts.

    Raises
    ------
    InputError
        Neither `of` nor `where` is given, or a name is empty.

    Examples
    --------
    >>> step("add_to_cart", where={"category": "shoes"}, label="shoes in the cart").label
    'shoes in the cart'
    """
    names = () if of is None else (of,) if isinstance(of, str) else tuple(of)
    if (of is not None and not names) or not all(isinstance(name, str) and name for name in names):
        raise InputError(f"cjm.step({of!r}): name a touchpoint, or several, or leave the name out.")
    if not names and where is None:
        raise InputError("A step needs a name, a where=, or both: cjm.step('purchase').")
    return Step(names, where, label, optional, first_ever)


def funnel(  # noqa: PLR0913 - every rule that two analysts may read differently is a parameter
    journeys: Journeys,
    steps: Sequence[StepLike],
    *,
    within: Duration | Sequence[Duration] | None = "30 days",
    order: str = "ordered",
    by: str | Sequence[str] | None = None,
    by_at: str | int = "first",
    top: int | None = None,
    unit: str = "journey",
    start: str = "any",
    ties: str = "order",
    exclude: Sequence[Exclusion] = (),
    exclude_mode: str = "stop",
    hold: str | None = None,
    engine: Engine | None = None,
) -> Funnel:
    """How many get through a series of steps, where the others stopped, and which of them may still go on.

    A unit has got to step k if there are k different events of it, the i-th of which fits step i, in order,
    the last at most `within` after the first. Any visit to the first step may be the start; other events may
    lie between; a repeated step needs another event. Events of one instant count in the order of the log.

    A unit **reached** a step if it got that far. One that did not get through stopped at its furthest step:
    it is **open** there if a run of it that can still go on started less than `within` before the observation
    end, else **dropped**. (A run in a journey that is closed, or in a session that the customer's next one
    has followed, cannot go on.) So reached = dropped + open + reached at the next step. The observation end
    is the earliest end of the sources in which the steps occur.

    `conversion` is reached / reached at the first step, `step_conversion` is reached / reached at the step
    before. A recent start had no time to convert yet, so the figure to publish is `settled_conversion`, with
    Wilson's interval: of the `settled` units, whose first visit to the first step lies at least `within`
    before the observation end, the share that reached the step.

    Times come from the run that first got to the unit's furthest step. A new visit to the first step opens a
    run that overtakes the older run step by step (the latest start wins); within a run each step takes its
    earliest event.

    Parameters
    ----------
    journeys : Journeys
    steps : sequence
        Names of touchpoints, or else of markers of the model; a list is "any of these"; `cjm.step(…)` adds
        conditions. An optional step has its own row, which counts the units that did it in order (between the
        required steps around it); the steps around it do as if it were not there. An event that fits the
        required step after it serves that one first.
    within : str, Timedelta, list of these, or None
        The window, inclusive, counted from the first step; a list gives one per step after the first, each
        counted from the step before (then a step takes its latest event, which leaves most time, and the
        windows' sum takes the place of `within` in "settled"). None: no window. Then nobody ever had the
        whole of it: `settled` is 0, the settled figures are missing, and a unit that stopped short is open
        for as long as it is not over and has a run that nothing made void.
    order : {"ordered", "strict", "any"}
        "strict": besides, no event of the unit lies between consecutive steps. "any": the largest number of
        different steps done inside one window, in whichever order, each by an event of its own; row i then
        means "i steps done", and the steps take their latest events.
    by : str or sequence of str, optional
        A column whose values form groups; of several, each combination of values that occurs. Groups are
        sorted by size (units that started), then name.
    by_at : {"first", "last", "every"} or int
        Where in the run the value is taken: at its first step, at its furthest, at the step of that number
        (from 1; units that did not reach it have `(none)`), or at every step, which must then share the value
        (the unit becomes unit × value).
    top : int, optional
        Keep only so many groups, the largest; all others are one group, "other" (`(other)` if one of those
        kept is called so), which comes last. Default: all groups.
    unit : {"journey", "customer", "session", "attempt"}
        What is counted. An attempt is a run in a journey that no later run overtook while it could still go
        on; each that was completed counts.
    start : {"any", "first"}
        "first": only the unit's first visit to the first step may start a run.
    ties : {"order", "any"}
        "any": events at the same instant count in either order, for logs with whole seconds.
    exclude : sequence
        Names or `cjm.step(…)`, alone or as `(name, i, j)`: a run in which the event lies between step i and
        step j (numbers from 1; default first and last) is void from there. In `order="any"`, the steps
        collected before the event are forgotten, unless all were done.
    exclude_mode : {"stop", "remove"}
        A unit whose runs are void stops where it was; "remove" takes units that an exclusion kept from step j
        out of the funnel.
    hold : str, optional
        A column whose value all steps must share, such as `order_id`; the unit becomes unit × value, and
        events without a value count for nothing.
    engine : Engine, optional
        Where to run; default: this machine.

    Returns
    -------
    Funnel
        Columns: what `by` names, `step, reached, dropped, open, step_conversion, conversion,
        settled_conversion, low, high, median_time, p90_time`, then the denominators `before` (of
        step_conversion), `started` (of conversion), `settled` (of settled_conversion), and `reliability`:
        `hidden` or `weak` where a group started less often than the model's `min_n` (10) or `weak_n` (30)
        ask for, else `ok`. `median_time` and `p90_time` run from the step before, among those that reached
        the step; exact up to some four million different times, within 0.5 % beyond.

    Raises
    ------
    UnknownNameError
        No such touchpoint, marker, column, order, unit, or other choice.
    InputError
        No steps, a window that is not positive, or rules that contradict each other.

    Examples
    --------
    Two visits to A; the second is near enough to B.

    >>> import cjm_analytics as cjm
    >>> log = {"who": ["a", "a", "a", "b"], "what": ["A", "A", "B", "A"],
    ...        "when": ["2026-01-01", "2026-01-06", "2026-01-09", "2026-01-09"]}
    >>> journeys = cjm.sessionize(cjm.ingest(
    ...     cjm.loaders.table(log, customer="who", timestamp="when", event="what", tz="UTC")))
    >>> answer = cjm.funnel(journeys, ["A", "B"], within="7 days")
    >>> answer.to_frame()[["step", "reached", "dropped", "open", "conversion", "median_time"]]
      step  reached  dropped  open  conversion median_time
    0    A        2        0     1         1.0         NaT
    1    B        1        0     0         0.5      3 days
    """
    analysis = FunnelAnalysis.plan(
        journeys, steps, within=within, order=order, by=by, by_at=by_at, top=top, unit=unit, start=start,
        ties=ties, exclude=exclude, exclude_mode=exclude_mode, hold=hold,
    )  # fmt: skip
    return replace(run(analysis, journeys, engine), _asked=(journeys, engine))


@dataclass(frozen=True)
class Clause:
    """One way to do a step: one of these touchpoints, a marker, or any event; and what else must fit."""

    touchpoints: tuple[int, ...] | None
    marker: int | None = None
    match: Match | None = None

    @property
    def by_code(self) -> bool:
        """Whether the touchpoint alone decides."""
        return self.touchpoints is not None and self.match is None


@dataclass(frozen=True)
class Place:
    """What an event must be to serve a step, or to be excluded: what any of the clauses says."""

    label: str
    clauses: tuple[Clause, ...]
    optional: bool = False
    first_ever: bool = False

    @property
    def by_code(self) -> bool:
        """Whether the touchpoint alone decides."""
        return not self.first_ever and all(clause.by_code for clause in self.clauses)


class Counted(NamedTuple):
    """The units of one partition that did the first step.

    `owner` is the journey, customer or session, `first` and `last` are rows of the partition that served the
    first and the furthest step, `going` says open, `group` is a position in `groups`.
    """

    found: Outcomes
    owner: NDArray[np.int64]
    first: NDArray[np.int64]
    last: NDArray[np.int64]
    going: NDArray[np.bool_]
    settled: NDArray[np.bool_]
    group: NDArray[np.int64]
    groups: tuple[Group, ...]

    def did(self, step: int) -> NDArray[np.bool_]:
        """Which units did an optional step."""
        done: NDArray[np.bool_] = (self.found.optional >> step) & 1 == 1
        return done


@dataclass(frozen=True)
class FunnelAnalysis:
    """The question that `funnel` asks each partition."""

    steps: tuple[Place, ...]
    windows: tuple[int, ...]
    stepwise: bool
    order: str
    by: tuple[str, ...]
    by_at: str | int
    top: int | None
    unit: str
    first_only: bool
    together: bool
    excluded: tuple[tuple[Place, int, int], ...]
    remove: bool
    hold: str | None
    end: int
    rules: ReportRules
    timezone: str
    period: str | None = None

    @classmethod
    def plan(  # noqa: PLR0913 - those of `funnel`
        cls,
        journeys: Journeys,
        steps: Sequence[StepLike],
        *,
        within: Duration | Sequence[Duration] | None = "30 days",
        order: str = "ordered",
        by: str | Sequence[str] | None = None,
        by_at: str | int = "first",
        top: int | None = None,
        unit: str = "journey",
        start: str = "any",
        ties: str = "order",
        exclude: Sequence[Exclusion] = (),
        exclude_mode: str = "stop",
        hold: str | None = None,
    ) -> FunnelAnalysis:
        """Check what was asked."""
        for name, value, known in (
            ("order", order, ORDERS),
            ("unit", unit, UNITS),
            ("start", start, ("any", "first")),
            ("ties", ties, ("order", "any")),
            ("exclude_mode", exclude_mode, ("stop", "remove")),
        ):
            if value not in known:
                raise UnknownNameError(name, value, known)
        check_by(journeys, hold)
        check_count("top", top, none="for all groups")
        places = _planned(journeys, steps)
        stepwise = isinstance(within, Sequence) and not isinstance(within, str)
        planned = cls(
            steps=places,
            windows=_windows(within, len(places)),
            stepwise=stepwise,
            order=order,
            by=columns(journeys, by),
            by_at=_taken_at(by_at, places),
            top=top,
            unit=unit,
            first_only=start == "first",
            together=ties == "any",
            excluded=_exclusions(journeys, exclude, places, positions=order != "any"),
            remove=exclude_mode == "remove",
            hold=hold,
            end=journeys.observed_until(_touchpoints(places, journeys.codebook)),
            rules=journeys.model.report if journeys.model else ReportRules(),
            timezone=journeys.timezone,
        )
        planned._check_combination()
        return planned

    def _check_combination(self) -> None:
        """Refuse rules that contradict each other."""
        optional = any(place.optional for place in self.steps)
        excluded, attempts = bool(self.excluded), self.unit == "attempt"
        strict, any_order = self.order == "strict", self.order == "any"
        one_window = "one window from the first step, not a list"
        for wrong, why in (
            (len(self.steps) + len(self.excluded) > MOST_BITS, f"There are at most {MOST_BITS} steps."),
            (self.steps[0].optional, "The first step cannot be optional: every run starts with it."),
            (optional and (strict or any_order), "An optional step needs order='ordered'."),
            (optional and self.together, "An optional step needs ties='order': it has a place in the order."),
            (optional and self.stepwise, f"An optional step needs {one_window}."),
            (optional and attempts, "unit='attempt' needs steps that are all required."),
            (any_order and self.stepwise, f"order='any' needs {one_window}."),
            (any_order and attempts, "unit='attempt' needs order='ordered'."),
            (any_order and excluded and self.together, "exclude in order='any' needs ties='order'."),
            (strict and self.together, "order='strict' needs the order that ties='any' gives up."),
            (strict and attempts, "unit='attempt' needs order='ordered'."),
            (strict and excluded, "order='strict' allows no event between steps: exclude adds nothing."),
            (excluded and self.stepwise, f"exclude needs {one_window}."),
            (excluded and len(self.steps) == 1, "exclude needs two steps, for the event to lie between."),
            (attempts and self.together, "unit='attempt' needs ties='order'."),
            (attempts and self.stepwise, f"unit='attempt' needs {one_window}."),
            (self.by_at != "first" and not self.by, f"by_at={self.by_at!r} needs a column by=."),
            (self.top is not None and not self.by, f"top={self.top} needs a column by=."),
            (len(set(self.by)) < len(self.by), f"by={list(self.by)} has a column twice."),
        ):
            if wrong:
                raise InputError(why)

    @property
    def total(self) -> int:
        """The longest that a run can take, µs."""
        return sum(self.windows) if self.stepwise else max(self.windows)

    @property
    def group_columns(self) -> tuple[str, ...]:
        """Names of the columns of groups."""
        return self.by if self.period is None else ("period",)

    @property
    def unbounded(self) -> bool:
        """Whether there is no window."""
        return self.windows[-1] == UNBOUNDED

    @property
    def required(self) -> list[int]:
        """Positions of the steps that cannot be skipped."""
        return [number for number, place in enumerate(self.steps) if not place.optional]

    def map(self, partition: Partition) -> FunnelPartial:
        """How many units of the partition came how far, and how long they took."""
        log = self._read(partition)
        counts = np.zeros((len(log.groups), len(_KINDS), len(self.steps) + 1), np.int64)
        lags, keys = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
        if self._in_one_group:
            for lag, key in self._counted(log, counts[0]):
                lags.append(lag)
                keys.append(key)
        else:
            for counted in self._count(log):
                self._add_counts(counts, counted)
                for lag, key in self._times(counted):
                    lags.append(lag)
                    keys.append(key)
        n_steps = len(self.steps)
        times = Durations.of(np.concatenate(lags), np.concatenate(keys))
        if not self.by and self.period is None:
            return FunnelPartial(log.groups, counts, times)
        used = np.flatnonzero(counts.any(axis=(1, 2)))
        number = np.zeros(len(log.groups), np.int64)
        number[used] = np.arange(len(used))
        times = times.regrouped((number[:, None] * n_steps + np.arange(n_steps)).ravel())
        return FunnelPartial(tuple(log.groups[group] for group in used), counts[used], times)

    def count(self, partition: Partition) -> Counted:
        """What became of each unit of the partition that did the first step."""
        (counted,) = self._count(self._read(partition), at_once=True)
        return counted

    def finalize(self, partial: FunnelPartial) -> Funnel:
        """The funnel from the grand total."""
        order = _sorted_groups(self, partial)
        if self.top is None or len(order) <= self.top:
            return Funnel(self, partial)
        kept = order[: self.top]
        names = [partial.groups[group] for group in kept]
        rest = (OTHER,) * len(self.by)
        while rest in names:
            rest = (f"({rest[0]})",) * len(self.by)
        place = np.full(len(order), self.top)
        place[kept] = np.arange(self.top)
        return Funnel(self, partial.regrouped((*names, rest), place), rest)

    def _read(self, partition: Partition) -> _Log:
        """What the partition has to say about the funnel."""
        units = partition.units("journey" if self.unit == "attempt" else self.unit)
        owned = _Owned(units, np.arange(len(units.offsets) - 1))
        starts = np.zeros(0, np.int64)
        grouping = _Grouping.of(partition, self.by)
        groups = grouping.groups
        if self.hold is not None:
            owned = owned.divided(partition.labels(self.hold).codes)
        time = partition.event("time")
        if self.period is not None:
            starts, groups = _periods(time, self.period, self.timezone)
        elif self.by_at == "every":
            owned = owned.divided(grouping.at(np.arange(partition.n_events)))
        code, table = self._masks(partition)
        arrange = owned.units.arrange
        going = self._can_go_on(partition)
        return _Log(
            owned, frozen(arrange(code)), table, frozen(arrange(time)), grouping, starts, groups, going
        )

    @property
    def _in_one_group(self) -> bool:
        """Whether outcomes are counted as they are: ungrouped units of the partition, all steps required."""
        parted = self.by or self.period is not None or self.hold is not None or self.remove
        return not parted and len(self.required) == len(self.steps)

    def _counted(
        self, log: _Log, counts: NDArray[np.int64]
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """Count what `_count` finds, without telling it unit by unit; yields times and their keys."""
        from cjm_analytics.kernels import funnel as kernels

        can_go_on = frozen(log.can_go_on)
        for room, n, low in self._found(log):
            lags, steps = np.empty((2, n * (len(self.steps) - 1)), np.int64)
            n_lags = kernels.count_outcomes(
                room, n, can_go_on[low:], self.total, self.end, counts[:_DID], lags, steps
            )
            yield lags[:n_lags], steps[:n_lags]

    def _count(self, log: _Log, *, at_once: bool = False) -> Iterator[Counted]:
        """What became of the units of the partition, some at a time."""
        for room, n, low in self._found(log, at_once=at_once):
            columns: list[Any] = [column[:n] for column in room]
            yield self._told(log, type(room)(*columns), low)

    def _found(self, log: _Log, *, at_once: bool = False) -> Iterator[tuple[Outcomes, int, int]]:
        """Outcomes of some units, how many they are, and which unit is the first of these.

        The same room is filled again, which is quicker.
        """
        from cjm_analytics.kernels import funnel as kernels

        offsets = log.owned.units.offsets
        n_units = len(offsets) - 1
        cuts = np.arange(offsets[0], offsets[-1], n_units + offsets[-1] + 1 if at_once else _EVENTS_AT_ONCE)
        bounds = np.unique([0, *np.searchsorted(offsets[:-1], cuts), n_units])
        if len(bounds) == 1:
            bounds = np.array([0, 0])
        sizes = np.diff(offsets[bounds] if self.unit == "attempt" else bounds)
        room = kernels.room(int(sizes.max()), len(self.steps))
        for low, high in pairwise(bounds):
            yield room, self._run(room, frozen(offsets[low : high + 1]), log), int(low)

    def _told(self, log: _Log, found: Outcomes, first_unit: int) -> Counted:
        """The outcomes of a kernel in terms of the partition."""
        if self.remove:
            kept = found.void <= found.depth
            columns: list[Any] = [column[kept] for column in found]
            found = type(found)(*columns)
        order = log.owned.units.order
        first = found.first if order is None else order[found.first]
        last = found.last if order is None else order[found.last]
        owner = log.owned.owner[found.unit + first_unit]
        going = found.going & (found.depth <= self.required[-1]) & log.can_go_on[owner]
        settled = self.end - found.started >= self.total
        if self.period is not None:
            group = np.searchsorted(log.period_starts, found.started, side="right") - 1
        elif isinstance(self.by_at, int):
            there = found.served >= 0
            at = found.served[there] if order is None else order[found.served[there]]
            group = np.full(len(owner), log.groups.index((NONE,) * len(self.by)))
            group[there] = log.grouping.at(at)
        else:
            group = log.grouping.at(last if self.by_at == "last" else first)
        return Counted(found, owner, first, last, going, settled, group, log.groups)

    def _add_counts(self, counts: NDArray[np.int64], counted: Counted) -> None:
        """Add the units to their groups."""
        found, group, settled = counted.found, counted.group, counted.settled
        n_groups, _, width = counts.shape
        cell = group * width + found.depth

        def total(cells: NDArray[np.int64]) -> NDArray[np.int64]:
            return np.bincount(cells, minlength=n_groups * width).reshape(n_groups, width)

        counts[:, _REACHED] += total(cell)
        counts[:, _OPEN] += total(cell[counted.going])
        counts[:, _SETTLED] += total(cell[settled])
        for number, place in enumerate(self.steps):
            if place.optional:
                did = counted.did(number)
                counts[:, _DID] += total(group[did] * width + number)
                counts[:, _DID_SETTLED] += total(group[did & settled] * width + number)

    def _times(self, counted: Counted) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """Times to each step after the first, and their keys."""
        found, group, n_steps = counted.found, counted.group, len(self.steps)
        for number, place in list(enumerate(self.steps))[1:]:
            rows = np.flatnonzero(counted.did(number) if place.optional else found.depth > number)
            yield found.lag[rows, number], group[rows] * n_steps + number

    def _run(self, room: Outcomes, offsets: NDArray[np.int64], log: _Log) -> int:
        from cjm_analytics.kernels import funnel as kernels

        events = (room, offsets, log.code, log.table, log.time)
        windows = np.array(self.windows, np.int64)
        void_from = np.array([low for _, low, _ in self.excluded], np.int64)
        void_to = np.array([high for _, _, high in self.excluded], np.int64)
        noted = self.by_at - 1 if isinstance(self.by_at, int) else -1
        if self.order == "strict":
            return kernels.strict_runs(*events, windows, self.stepwise, self.first_only, self.end, noted)
        if self.order == "any":
            return kernels.any_order_runs(*events, len(windows), self.total, self.first_only, self.end, noted)
        if self.together or self.stepwise:
            return kernels.ordered_instants(
                *events, windows, self.stepwise, self.together, void_from, void_to,
                self.first_only, self.end, noted,
            )  # fmt: skip
        step_of = _step_of_code(log.table, len(self.steps))
        if step_of is not None and self.unit != "attempt" and len(self.required) == len(self.steps):
            return kernels.plain_runs(
                room, offsets, log.code, step_of, log.time, self.total, len(windows), self.first_only,
                self.end, noted,
            )  # fmt: skip
        return kernels.ordered_runs(
            *events, self.total, self._sequence(), void_from, void_to,
            self.first_only, self.unit == "attempt", self.end, noted,
        )  # fmt: skip

    def _sequence(self) -> Any:  # noqa: ANN401 - the kernel's own type, imported lazily
        from cjm_analytics.kernels.funnel import Sequence as KernelSequence

        n = len(self.steps)
        required = [-1, *self.required, n]
        before = [max(one for one in required if one < number) for number in range(n)]
        after = [min(one for one in required if one > number) for number in range(n)]
        # Later steps first, so that an event serves one step of a run; but of neighbouring optional
        # steps the earlier one first.
        visiting = [
            number
            for low, high in reversed(list(pairwise(required)))
            for number in (([high] if high < n else []) + list(range(low + 1, high)))
        ]
        return KernelSequence(
            np.array(before, np.int64),
            np.array(after, np.int64),
            np.array(visiting, np.int64),
            np.array([place.optional for place in self.steps]),
            self.required[-1],
        )

    def _masks(self, partition: Partition) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """Per event a code, and the mask of each code; or the masks themselves and an empty table."""
        places = [*self.steps, *(place for place, _, _ in self.excluded)]
        bits = [
            min(number, len(self.steps)) if self.order == "any" else number for number in range(len(places))
        ]
        if all(place.by_code for place in places):
            table = np.zeros(max(len(partition.codebook.touchpoints), 1), np.int64)
            for bit, place in zip(bits, places, strict=True):
                table[[code for clause in place.clauses for code in clause.touchpoints or ()]] |= 1 << bit
            return partition.event("touchpoint"), table
        masks = np.zeros(partition.n_events, np.int64)
        for bit, place in zip(bits, places, strict=True):
            masks[_rows_that_fit(partition, place)] |= 1 << bit
        return masks, np.zeros(0, np.int64)

    def _can_go_on(self, partition: Partition) -> NDArray[np.bool_]:
        """Per unit of the partition: it is not over."""
        if self.unit == "customer":
            return np.ones(partition.n_customers, np.bool_)
        if self.unit != "session":
            still: NDArray[np.bool_] = partition.journey("closed") == 0
            return still
        units = partition.units("session")
        last = (np.arange(partition.n_events) if units.order is None else units.order)[units.offsets[1:] - 1]
        latest = np.full(partition.n_customers, -1, np.int64)
        np.maximum.at(latest, units.customer, last)
        newest: NDArray[np.bool_] = last == latest[units.customer]
        return newest


_REACHED, _OPEN, _SETTLED, _DID, _DID_SETTLED = _KINDS = range(5)


_EVENTS_AT_ONCE = 2**17
_MOST_GROUPS = 2**12
"""So many combinations of values are counted, whether they occur or not."""


class _Owned(NamedTuple):
    """Runs of events, each a part of a unit of the partition: its owner."""

    units: Units
    owner: NDArray[np.int64]

    def divided(self, codes: NDArray[Any]) -> _Owned:
        """Each unit divided by the value of its events; events without one (−1) are left out."""
        units = self.units
        rows = np.arange(units.offsets[-1]) if units.order is None else units.order
        unit = np.repeat(np.arange(len(self.owner)), np.diff(units.offsets))
        value = codes[rows].astype(np.int64)
        rows, unit, value = (column[value >= 0] for column in (rows, unit, value))
        key = unit * (int(codes.max(initial=0)) + 1) + value
        place = np.argsort(key, kind="stable")
        _, first, sizes = np.unique(key[place], return_index=True, return_counts=True)
        parts = unit[place][first]
        offsets = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])
        return _Owned(Units(offsets, rows[place], units.customer[parts]), self.owner[parts])


class _Log(NamedTuple):
    """One partition as a funnel sees it: `code` and `time` in the order of the units, `grouping` by row."""

    owned: _Owned
    code: NDArray[Any]
    table: NDArray[np.int64]
    time: NDArray[np.int64]
    grouping: _Grouping
    period_starts: NDArray[np.int64]
    groups: tuple[Group, ...]
    can_go_on: NDArray[np.bool_]


def _step_of_code(table: NDArray[np.int64], n_steps: int) -> NDArray[np.int8] | None:
    """The step that each code fits, −1 for none; None where one fits several, or what is no step."""
    step = np.full(len(table), -1, np.int8)
    for number in range(n_steps):
        step[table == 1 << number] = number
    return step if len(table) and np.array_equal(step >= 0, table != 0) else None


def _planned(journeys: Journeys, steps: Sequence[StepLike]) -> tuple[Place, ...]:
    if isinstance(steps, (str, Step)) or not isinstance(steps, Sequence) or not len(steps):
        raise InputError("steps is a list of at least one step: ['product_view', 'add_to_cart', 'purchase'].")
    places = []
    taken: set[str] = set()
    for one in steps:
        place = _place(journeys, one)
        label, number = place.label, 1
        while label in taken:
            number += 1
            label = f"{place.label} ({number})"
        taken.add(label)
        places.append(replace(place, label=label))
    return tuple(places)


def _place(journeys: Journeys, one: StepLike) -> Place:
    if not isinstance(one, (str, Step, Sequence)):
        raise InputError(
            f"{one!r} is no step. A step is a name, a list of names (any of these), or cjm.step(…, where=…)."
        )
    alternatives = [one] if isinstance(one, (str, Step)) else list(one)
    if not alternatives:
        raise InputError("A step is an empty list: name at least one touchpoint.")
    for each in alternatives:
        if not isinstance(each, (str, Step)) or not each:
            raise InputError(f"{each!r} in a step is neither the name of a touchpoint nor cjm.step(…).")
    written = [each if isinstance(each, Step) else Step((each,)) for each in alternatives]
    if len(written) > 1 and any(each.optional or each.first_ever or each.label for each in written):
        raise InputError(
            "In a list of alternatives only where= may differ: optional, first_ever and label belong to the "
            "whole step. Write cjm.step(['a', 'b'], optional=True)."
        )
    clauses = tuple(clause for each in written for clause in _clauses(journeys, each))
    label = written[0].label or " or ".join(_named(each) for each in written)
    return Place(label, clauses, written[0].optional, written[0].first_ever)


def _named(one: Step) -> str:
    names = " or ".join(one.of)
    where = compile_match(one.where).text if one.where is not None else ""
    return f"{names} ({where})" if names and where else names or where


def _clauses(journeys: Journeys, one: Step) -> list[Clause]:
    match = compile_match(one.where) if one.where is not None else None
    if match and not match.columns:
        raise InputError(f"where={one.where!r} names no column: every event fits it.")
    for column in sorted(match.columns) if match else ():
        check_by(journeys, column)
    codebook = journeys.codebook
    touchpoints, clauses = [], []
    for name in one.of:
        if name in codebook.touchpoints:
            touchpoints.append(codebook.touchpoints.index(name))
        elif name in codebook.markers:
            clauses.append(Clause(None, codebook.markers.index(name), match))
        else:
            raise UnknownNameError("touchpoint", name, [*codebook.touchpoints, *codebook.markers])
    if touchpoints:
        clauses.append(Clause(tuple(touchpoints), None, match))
    return clauses or [Clause(None, None, match)]


def _windows(within: Duration | Sequence[Duration] | None, n_steps: int) -> tuple[int, ...]:
    if isinstance(within, Sequence) and not isinstance(within, str):
        if len(within) != n_steps - 1:
            raise InputError(
                f"within has {len(within)} windows for {n_steps} steps: one for each step after the first "
                f"makes {n_steps - 1}."
            )
        return (0, *(microseconds(one, name="within") for one in within))
    if within is None:
        return (UNBOUNDED,) * n_steps
    return (microseconds(within, name="within"),) * n_steps


def _exclusions(
    journeys: Journeys, exclude: Sequence[Exclusion], steps: tuple[Place, ...], *, positions: bool
) -> tuple[tuple[Place, int, int], ...]:
    if isinstance(exclude, (str, Step)):
        exclude = [exclude]
    found = []
    for one in exclude:
        what, low, high = _written_exclusion(one, len(steps))
        if isinstance(one, tuple) and not positions:
            raise InputError("In order='any' steps have no places: exclude=['refund'], without step numbers.")
        place = _place(journeys, what)
        if place.optional:
            raise InputError(f"exclude: {place.label!r} is optional, which only a step can be.")
        if len(steps) > 1 and not 1 <= low < high <= len(steps):
            raise InputError(
                f"exclude: {place.label!r} cannot lie between step {low} and step {high} of {len(steps)}."
            )
        if steps[low - 1].optional or steps[high - 1].optional:
            raise InputError(f"exclude: {place.label!r} must lie between steps that are required.")
        for number in range(low - 1, high):
            if _overlap(place, steps[number]):
                raise InputError(
                    f"exclude: {place.label!r} is step {number + 1} itself ({steps[number].label!r})."
                )
        found.append((place, low, high))
    return tuple(found)


def _written_exclusion(one: Exclusion, n_steps: int) -> tuple[str | Step, int, int]:
    """What must not happen, and between which steps."""
    if not isinstance(one, tuple):
        return one, 1, n_steps
    numbers = [number for number in one[1:] if isinstance(number, Integral) and not isinstance(number, bool)]
    if len(one) != len(("what", "low", "high")) or len(numbers) < len(one) - 1:
        raise InputError(f"exclude: {one!r} must be a name, or (name, step number, step number).")
    return one[0], int(one[1]), int(one[2])


def _overlap(excluded: Place, step: Place) -> bool:
    """Whether what is excluded certainly is a step, as the definitions have it."""
    if excluded.first_ever or step.first_ever:
        return excluded.first_ever == step.first_ever and excluded.clauses == step.clauses
    if excluded.by_code and step.by_code:
        return bool(_codes(excluded) & _codes(step))
    return any(clause in step.clauses for clause in excluded.clauses) or (
        excluded.by_code and all(_within_codes(clause, _codes(excluded)) for clause in step.clauses)
    )


def _within_codes(clause: Clause, codes: set[int]) -> bool:
    return clause.touchpoints is not None and set(clause.touchpoints) <= codes


def _codes(place: Place) -> set[int]:
    return {code for clause in place.clauses for code in clause.touchpoints or ()}


def _touchpoints(steps: tuple[Place, ...], codebook: Codebook) -> list[int]:
    """The touchpoints that the steps may be: all, where a step does not name any."""
    if any(clause.touchpoints is None for place in steps for clause in place.clauses):
        return list(range(len(codebook.touchpoints)))
    return sorted({code for place in steps for code in _codes(place)})


def _rows_that_fit(partition: Partition, place: Place) -> NDArray[np.int64]:
    """Rows of the partition that serve a step."""
    fits = np.zeros(partition.n_events, np.bool_)
    for clause in place.clauses:
        if clause.marker is not None:
            rows = np.flatnonzero((partition.event("marker") >> np.uint32(clause.marker)) & np.uint32(1))
        elif clause.touchpoints is not None:
            rows = np.flatnonzero(np.isin(partition.event("touchpoint"), clause.touchpoints))
        else:
            rows = np.arange(partition.n_events)
        if clause.match is not None:
            table = partition.table(sorted(clause.match.columns))
            markers = {
                name: (partition.event("marker")[rows] >> np.uint32(bit)) & np.uint32(1) == 1
                for bit, name in enumerate(partition.codebook.markers)
                if name in clause.match.markers
            }
            rows = rows[clause.match.mask(table.take(pa.array(rows)), markers)]
        fits[rows] = True
    rows = np.flatnonzero(fits)
    if place.first_ever:
        by_customer = partition.units("customer").offsets
        customer = np.searchsorted(by_customer, rows, side="right") - 1
        rows = rows[np.unique(customer, return_index=True)[1]]
    return rows


def _periods(
    time: NDArray[np.int64], period: str, timezone: str
) -> tuple[NDArray[np.int64], tuple[Group, ...]]:
    """When each calendar period of the log begins, and its name: the date (and hour) of that."""
    if not len(time):
        return time, ()
    ends = pd.to_datetime([time.min(), time.max()], unit="us", utc=True)
    first, last = ends.tz_convert(timezone).tz_localize(None)
    local = pd.period_range(first, last, freq=PERIODS[period]).start_time
    starts = local.tz_localize(timezone, ambiguous=np.ones(len(local), bool), nonexistent="shift_forward")
    pattern = "%Y-%m-%d %H:%M" if period == "hour" else "%Y-%m-%d"
    return starts.as_unit("us").asi8, tuple((name,) for name in local.strftime(pattern))


def _taken_at(by_at: object, steps: tuple[Place, ...]) -> str | int:
    """Where the value of a group is taken: a word, or the number of a step after the first."""
    if isinstance(by_at, str) or not isinstance(by_at, Integral) or isinstance(by_at, bool):
        if by_at not in {"first", "last", "every"}:
            raise UnknownNameError("by_at", str(by_at), ["first", "last", "every", "the number of a step"])
        return str(by_at)
    number = int(by_at)
    if not 1 <= number <= len(steps):
        raise InputError(f"by_at={number}: the steps have the numbers 1 to {len(steps)}.")
    if steps[number - 1].optional:
        raise InputError(
            f"by_at={number}: {steps[number - 1].label!r} is optional, so a run may not have it."
        )
    return "first" if number == 1 else number


class _Grouping(NamedTuple):
    """The groups of events; the columns that make them are looked at only where events are asked for.

    Of each column the codes (−1: missing), how many names it has, and which of them is that of a missing
    value. The group of an event is the number that its names make, the last column's counting singly.
    """

    columns: tuple[tuple[NDArray[Any], int, int], ...]
    groups: tuple[Group, ...]

    @classmethod
    def of(cls, partition: Partition, by: Sequence[str]) -> _Grouping:
        """All combinations of names, or, where these are very many, those that occur; and all missing."""
        columns: list[tuple[NDArray[Any], int, int]] = []
        groups: list[Group] = [()]
        for column in by:
            labels = partition.labels(column)
            names = labels.names if NONE in labels.names else (*labels.names, NONE)
            columns.append((labels.codes, len(names), names.index(NONE)))
            if len(groups) * len(names) <= _MOST_GROUPS or len(columns) == 1:
                groups = [(*group, name) for group in groups for name in names]
                continue
            everywhere = cls(tuple(columns), ()).at(np.arange(partition.n_events))
            used, codes = np.unique(everywhere, return_inverse=True)
            groups = [(*groups[pair // len(names)], names[pair % len(names)]) for pair in used.tolist()]
            columns = [(codes, len(groups), -1)]
        missing = (NONE,) * len(by)
        return cls(tuple(columns), tuple(groups) if missing in groups else (*groups, missing))

    def at(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """The groups of some events, as positions in `groups`."""
        group = np.zeros(len(rows), np.int64)
        for codes, n_names, missing in self.columns:
            mine = codes[rows]
            group = group * n_names + np.where(mine < 0, missing, mine)
        return group


@dataclass(frozen=True, eq=False)
class FunnelPartial:
    """Units by group and furthest step, and the times that they took.

    Attributes
    ----------
    groups : tuple of Group
    counts : int64, groups × kinds × (steps + 1)
        Units by their furthest step (0 to n): all, open ones, settled ones; and, by step, those that did an
        optional one: all, settled ones.
    times : Durations
        From the step before; group number × steps + step.
    """

    groups: tuple[Group, ...]
    counts: NDArray[np.int64]
    times: Durations

    def __add__(self, other: FunnelPartial) -> FunnelPartial:
        groups, mine, others = aligned(self.groups, other.groups)
        one, more = self.regrouped(groups, mine), other.regrouped(groups, others)
        return FunnelPartial(groups, one.counts + more.counts, one.times + more.times)

    def regrouped(self, groups: tuple[Group, ...], place: NDArray[np.int64]) -> FunnelPartial:
        """The same units, those of group g now in `groups[place[g]]`."""
        if groups == self.groups:
            return self
        n_steps = self.counts.shape[2] - 1
        counts = np.zeros((len(groups), *self.counts.shape[1:]), np.int64)
        np.add.at(counts, place, self.counts)
        times = self.times.regrouped((place[:, None] * n_steps + np.arange(n_steps)).ravel())
        return FunnelPartial(groups, counts, times)


@dataclass(frozen=True, eq=False, repr=False)
class Funnel(Shown):
    """How many got through the steps: made by `cjm.funnel`.

    Attributes
    ----------
    conversion : float
        Of all units that did the first step, the share that did the last.
    settled_conversion : float
        The same among those that had the whole window to do so.
    started, converted : int
        Units that did the first step; that got through.
    observation_end : Timestamp
    exact_times : bool
        Whether medians and quantiles are exact, not from fine buckets.
    """

    analysis: FunnelAnalysis
    partial: FunnelPartial
    _rest: Group | None = None
    _asked: tuple[Journeys, Engine | None] | None = field(default=None, repr=False)

    def to_frame(self) -> pd.DataFrame:
        """One row per step (and group); columns as `cjm.funnel` describes them."""
        order = self._order()
        tables = [_table(self.analysis, self.partial, group) for group in order]
        frame = pd.concat(tables, ignore_index=True) if tables else _no_rows(self.analysis)
        groups = [self.partial.groups[group] for group in order for _ in self.analysis.steps]
        return _with_groups(frame, self.analysis.group_columns, groups)

    def _order(self) -> list[int]:
        """The groups as the frame has them."""
        order = _sorted_groups(self.analysis, self.partial)
        return sorted(order, key=lambda group: self.partial.groups[group] == self._rest)

    @property
    def started(self) -> int:
        return int(self.partial.counts[:, _REACHED, 1:].sum())

    @property
    def converted(self) -> int:
        return int(self.partial.counts[:, _REACHED, self.analysis.required[-1] + 1].sum())

    @property
    def conversion(self) -> float:
        return self.converted / self.started if self.started else float("nan")

    @property
    def settled_conversion(self) -> float:
        settled = self.partial.counts[:, _SETTLED].sum(axis=0)
        started = int(settled[1:].sum())
        return int(settled[self.analysis.required[-1] + 1]) / started if started else float("nan")

    @property
    def observation_end(self) -> pd.Timestamp:
        return pd.Timestamp(self.analysis.end, unit="us", tz="UTC")

    @property
    def exact_times(self) -> bool:
        return self.partial.times.exact

    def compare(self, *, step: int | str | None = None) -> pd.DataFrame:
        """Whether groups differ in their settled conversion: every pair of groups.

        Columns: what `by` names and the same as `other_…`, `step`, `settled_conversion`,
        `other_settled_conversion`, `settled`, `other_settled` (the denominators), `difference` (the first
        minus the other) with Newcombe's interval `low`, `high`, `p_value` (two proportions, pooled z test),
        `q_value` (adjusted after Benjamini and Hochberg), `tests` (size of the family), `verdict`.

        Parameters
        ----------
        step : int or str, optional
            Number (from 1) or label of the step up to which conversion is compared; default: the last.

        Raises
        ------
        InputError
            The funnel has no groups, or one only, or no window.
        UnknownNameError
            There is no such step.
        """
        columns = self.analysis.group_columns
        if not columns:
            raise InputError("There are no groups to compare. Ask with by=, for example by='channel'.")
        if self.analysis.unbounded:
            raise InputError("Groups are compared by settled conversion, which needs a window: within=.")
        number = self._step_number(step)
        frame = self.to_frame()
        rows = frame[frame["step"] == self.analysis.steps[number].label].reset_index(drop=True)
        groups = [tuple(group) for group in rows[list(columns)].to_numpy(dtype=object)]
        check_several(groups)
        one, other = np.triu_indices(len(rows), k=1)
        n = rows["settled"].to_numpy(np.int64)
        share = rows["settled_conversion"].to_numpy(float)
        k = np.rint(np.nan_to_num(share * n)).astype(np.int64)
        tables = (k[one], n[one], k[other], n[other])
        low, high = newcombe(*tables, confidence=self.analysis.rules.confidence)
        p_value = two_proportion_test(*tables)[1]
        q_value = benjamini_hochberg(p_value)
        clear = q_value < 1 - self.analysis.rules.confidence
        frame = pd.DataFrame(
            {
                "step": self.analysis.steps[number].label,
                "settled_conversion": share[one],
                "other_settled_conversion": share[other],
                "settled": n[one],
                "other_settled": n[other],
                "difference": share[one] - share[other],
                "low": low,
                "high": high,
                "p_value": p_value,
                "q_value": q_value,
                "tests": int((~np.isnan(p_value)).sum()),
                "verdict": np.where(
                    clear, np.where(share[one] > share[other], "higher", "lower"), "no clear difference"
                ),
            }
        )
        frame = _with_groups(frame, [f"other_{column}" for column in columns], [groups[two] for two in other])
        return _with_groups(frame, columns, [groups[two] for two in one])

    def units(
        self, step: int | str, status: str = "dropped", *, group: str | Sequence[str] | None = None
    ) -> pd.DataFrame:
        """Who is behind a number: the units that reached a step, or stopped there.

        Parameters
        ----------
        step : int or str
            Number (from 1) or label of the step.
        status : {"dropped", "open", "reached"}
        group : str or sequence of str, optional
            Only the units of this group: its name, one per column of `by`.

        Returns
        -------
        DataFrame
            `customer_id`, `journey` or `session` (number within the customer) where these are the units,
            `step` (the furthest required one), `status` (`reached`: the last step), `started` (of the run
            that got there), `last` (when it did), and what `by` names. Sorted by customer, then time.

        Raises
        ------
        UnknownNameError
            No such step, status or group.
        InputError
            The funnel was not made by `cjm.funnel`, so that its journeys are not at hand.
        """
        if status not in STATUSES:
            raise UnknownNameError("status", status, STATUSES)
        journeys, engine = self._question()
        listing = _Listing(self.analysis, self._step_number(step), status, *self._chosen(group))
        return run(listing, journeys, engine)

    def _chosen(self, group: str | Sequence[str] | None) -> tuple[frozenset[Group] | None, bool]:
        """Groups by name, and whether all but these are meant."""
        if group is None:
            return None, False
        name = (group,) if isinstance(group, str) else tuple(group)
        known = self.partial.groups if self.analysis.group_columns else ()
        if name not in known:
            raise UnknownNameError("group", " · ".join(name), [" · ".join(one) for one in known])
        if name == self._rest:
            return frozenset(known) - {name}, True
        return frozenset({name}), False

    def over(self, period: str) -> Funnel:
        """The same funnel per period: units by the day, week, month … of their first visit to the first step.

        Parameters
        ----------
        period : {"hour", "day", "week", "month", "quarter", "year"}
            In the model's time zone; weeks begin on Monday.

        Returns
        -------
        Funnel
            With the column `period`, the date with which each begins, in order of time.

        Raises
        ------
        UnknownNameError
            There is no such period.
        InputError
            The funnel has groups already, or its journeys are not at hand.
        """
        if period not in PERIODS:
            raise UnknownNameError("period", period, PERIODS)
        if self.analysis.group_columns:
            already = " and ".join(map(repr, self.analysis.group_columns))
            raise InputError(f"This funnel is grouped by {already} already: ask without by=.")
        journeys, engine = self._question()
        return replace(
            run(replace(self.analysis, period=period), journeys, engine), _asked=(journeys, engine)
        )

    def time_to_convert(self) -> ConversionTimes:
        """How long it takes to get through, from the unit's first visit to the first step.

        Returns
        -------
        ConversionTimes
            A histogram, quantiles and the curve. Those that have not got through yet are censored at the
            observation end, so that they count for as long as they were seen.

        Raises
        ------
        InputError
            The journeys are not at hand.
        """
        from cjm_analytics.analysis.conversion_times import ConversionTimesAnalysis

        journeys, engine = self._question()
        return run(ConversionTimesAnalysis(self.analysis, self._groups(), self._rest), journeys, engine)

    def next_touchpoints(self, step: int | str | None = None, *, status: str = "dropped") -> pd.DataFrame:
        """What the units that stopped short did next: their first event after the one that they stopped at.

        Parameters
        ----------
        step : int or str, optional
            Number (from 1) or label of the step at which they stopped; default: each.
        status : {"dropped", "open"}

        Returns
        -------
        DataFrame
            What `by` names, `step`, `touchpoint` (`(end)`: nothing followed), `units`, `of` (all that stopped
            there), `share` (units / of). The most frequent first.

        Raises
        ------
        UnknownNameError
            No such step or status.
        InputError
            The journeys are not at hand.
        """
        return self._whereabouts(step, status, following=True)

    def last_touchpoints(self, step: int | str | None = None, *, status: str = "dropped") -> pd.DataFrame:
        """Where the units that stopped short were last seen: the unit's last event of all.

        Parameters, columns and errors as for `next_touchpoints`.
        """
        return self._whereabouts(step, status, following=False)

    def _whereabouts(self, step: int | str | None, status: str, *, following: bool) -> pd.DataFrame:
        from cjm_analytics.analysis.whereabouts import WhereaboutsAnalysis

        if status not in STATUSES[1:]:
            raise UnknownNameError("status", status, STATUSES[1:])
        journeys, engine = self._question()
        steps = self.analysis.required[:-1] if step is None else [self._step_number(step)]
        going = status == "open"
        names = journeys.codebook.touchpoints
        analysis = WhereaboutsAnalysis(
            self.analysis, tuple(steps), going, following, names, self._groups(), self._rest
        )
        return run(analysis, journeys, engine)

    def _groups(self) -> tuple[Group, ...]:
        return tuple(self.partial.groups[group] for group in self._order())

    def plot(self) -> go.Figure:
        """Reached, open and dropped per step, as shares of those who started, with the settled conversion."""
        from cjm_analytics.charts.funnel import funnel_chart

        return funnel_chart(
            self.to_frame(),
            by=self.analysis.group_columns,
            unit=self.analysis.unit,
            window=self._window,
            rest=self._rest,
        )

    @property
    def _window(self) -> str:
        analysis = self.analysis
        if analysis.unbounded:
            return "without a window"
        if analysis.stepwise:
            return "step by step within " + ", ".join(readable(one) for one in analysis.windows[1:])
        return f"within {readable(analysis.total)}"

    def _card(self) -> Card:
        facts = {
            f"{self.analysis.unit}s that started": f"{self.started:,}",
            "got through": f"{self.converted:,}",
            "window": "none" if self.analysis.unbounded else self._window.removeprefix("within "),
            "observed until": f"{self.observation_end:%Y-%m-%d %H:%M} UTC",
        }
        note = "settled conversion: of those that had the whole window before the observation end"
        if self.analysis.unbounded:
            note = "without a window no conversion is settled"
        if not self.exact_times:
            note += "; times within 0.5 %"
        return Card("Funnel", facts, self.to_frame(), note=note)

    def _step_number(self, step: int | str | None) -> int:
        labels = [place.label for place in self.analysis.steps]
        if step is None:
            return len(labels) - 1
        if isinstance(step, str) and step in labels:
            return labels.index(step)
        if isinstance(step, int) and 1 <= step <= len(labels):
            return step - 1
        raise UnknownNameError("step", step, labels)

    def _question(self) -> tuple[Journeys, Engine | None]:
        if self._asked is None:
            raise InputError("The journeys behind this funnel are not at hand: ask cjm.funnel(journeys, …).")
        return self._asked


@dataclass(frozen=True)
class _Listing:
    """The units behind one number of a funnel."""

    analysis: FunnelAnalysis
    step: int
    status: str
    groups: frozenset[Group] | None
    but: bool

    def map(self, partition: Partition) -> _Rows:
        counted = self.analysis.count(partition)
        found, analysis = counted.found, self.analysis
        final = analysis.required[-1] + 1
        complete = found.depth == final
        if self.status == "reached":
            optional = analysis.steps[self.step].optional
            chosen = counted.did(self.step) if optional else found.depth > self.step
        else:
            chosen = (found.depth == self.step + 1) & ~complete
            chosen &= counted.going if self.status == "open" else ~counted.going
        if self.groups is not None:
            wanted = np.array([(group in self.groups) != self.but for group in counted.groups], np.bool_)
            chosen &= wanted[counted.group]
        rows = np.flatnonzero(chosen)
        time = partition.event("time")
        units = partition.units("journey" if analysis.unit == "attempt" else analysis.unit)
        customer = units.customer[counted.owner[rows]]
        labels = np.array([place.label for place in analysis.steps], dtype=object)
        frame = pd.DataFrame({"customer_id": partition.customer_ids.take(pa.array(customer)).to_pandas()})
        if analysis.unit in {"journey", "attempt"}:
            frame["journey"] = partition.journey("cycle")[counted.owner[rows]]
        elif analysis.unit == "session":
            frame["session"] = partition.event("session")[counted.first[rows]]
        frame = frame.assign(
            step=labels[found.depth[rows] - 1],
            status=np.where(complete[rows], "reached", np.where(counted.going[rows], "open", "dropped")),
            started=pd.to_datetime(time[counted.first[rows]], unit="us", utc=True),
            last=pd.to_datetime(time[counted.last[rows]], unit="us", utc=True),
        )
        for place, column in enumerate(analysis.group_columns):
            names = np.array([group[place] for group in counted.groups], dtype=object)
            frame[column] = names[counted.group[rows]]
        return _Rows((frame,))

    def finalize(self, partial: _Rows) -> pd.DataFrame:
        frame = pd.concat(partial.frames, ignore_index=True)
        return frame.sort_values(["customer_id", "started", "last"], kind="stable", ignore_index=True)


@dataclass(frozen=True)
class _Rows:
    """Frames of some of the partitions."""

    frames: tuple[pd.DataFrame, ...]

    def __add__(self, other: _Rows) -> _Rows:
        return _Rows((*self.frames, *other.frames))


def _sorted_groups(analysis: FunnelAnalysis, partial: FunnelPartial) -> list[int]:
    """Periods in order of time; other groups by size, then name."""
    started = partial.counts[:, _REACHED, 1:].sum(axis=1)
    if analysis.period is not None:
        return sorted(range(len(started)), key=lambda group: partial.groups[group])
    return sorted(range(len(started)), key=lambda group: (-started[group], partial.groups[group]))


def _table(analysis: FunnelAnalysis, partial: FunnelPartial, group: int) -> pd.DataFrame:
    """The rows of one group."""
    counts, steps = partial.counts[group], analysis.steps
    n = len(steps)
    optional = np.array([place.optional for place in steps])
    # A unit that reached a step has reached all required ones before it.
    reached = np.where(optional, counts[_DID, :n], counts[_REACHED, ::-1].cumsum()[::-1][1:])
    settled = np.where(optional, counts[_DID_SETTLED, :n], counts[_SETTLED, ::-1].cumsum()[::-1][1:])
    stopped = np.where(np.arange(n) == analysis.required[-1], 0, counts[_REACHED, 1:])
    still_open = counts[_OPEN, 1:]
    required = analysis.required
    previous = np.array(
        [max([one for one in required if one < number], default=number) for number in range(n)]
    )
    low, high = wilson(settled, settled[0], analysis.rules.confidence)
    keys = group * n + np.arange(n)

    def quantile(q: float) -> pd.TimedeltaIndex:
        lengths = partial.times.quantiles(q, n_groups=group * n + n)[keys]
        return pd.to_timedelta(lengths, unit="us")

    started = int(reached[0])
    return pd.DataFrame(
        {
            "step": [place.label for place in steps],
            "reached": reached,
            "dropped": stopped - still_open,
            "open": still_open,
            "step_conversion": _share(reached, reached[previous]),
            "conversion": _share(reached, reached[0]),
            "settled_conversion": _share(settled, settled[0]),
            "low": low,
            "high": high,
            "median_time": quantile(0.5),
            "p90_time": quantile(0.9),
            "before": reached[previous],
            "started": started,
            "settled": settled[0],
            "reliability": analysis.rules.reliability(started),
        }
    )


def _with_groups(frame: pd.DataFrame, names: Sequence[str], groups: Sequence[Group]) -> pd.DataFrame:
    """The frame with the columns of groups at its front."""
    for place, name in enumerate(names):
        frame.insert(place, name, np.array([group[place] for group in groups], dtype=object))
    return frame


def _share(part: NDArray[np.int64], whole: NDArray[np.int64]) -> NDArray[np.float64]:
    with np.errstate(divide="ignore", invalid="ignore"):
        share: NDArray[np.float64] = np.where(whole > 0, part / whole, np.nan)
    return share


def _no_rows(analysis: FunnelAnalysis) -> pd.DataFrame:
    """The table of no group: columns and types without a row."""
    n = len(analysis.steps)
    nothing = FunnelPartial(((),), np.zeros((1, len(_KINDS), n + 1), np.int64), Durations.empty())
    return _table(analysis, nothing, 0).iloc[:0]
