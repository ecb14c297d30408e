"""Where customers drop off, when some journeys are not over yet."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cjm_analytics._card import Card, Shown
from cjm_analytics.analysis.sequences import frozen
from cjm_analytics.analysis.waits import CONTINUED, KINDS, added, tallied
from cjm_analytics.durations import DAY, microseconds, readable
from cjm_analytics.engine import run
from cjm_analytics.errors import InputError, UnknownNameError, check_several
from cjm_analytics.journeys import CLOSED, NEVER, NONE
from cjm_analytics.model import ReportRules
from cjm_analytics.statistics import (
    Estimate,
    LifeTable,
    aalen_johansen,
    benjamini_hochberg,
    compared,
    cumulative_incidence,
    difference_interval,
    life_table,
    wilson,
    z_value,
)
from cjm_analytics.statistics.survival import HALF, log_log

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import plotly.graph_objects as go
    from numpy.typing import NDArray

    from cjm_analytics.durations import Duration
    from cjm_analytics.engine import Engine
    from cjm_analytics.journeys import Journeys, Partition
    from cjm_analytics.kernels.road import Outcomes, Reached
    from cjm_analytics.model import JourneyModel

__all__ = ["DEFAULT_HORIZON", "DropOff", "DropOffAnalysis", "drop_off"]

DEFAULT_HORIZON = 30 * DAY
"""The horizon of a phase for which neither the caller nor the model names one."""

NEW_JOURNEY, LEFT, NOTHING = "(new journey)", "(left)", "(nothing)"
"""What followed a drop where no touchpoint of the journey did."""


def drop_off(
    journeys: Journeys,
    *,
    of: str = "phase",
    horizon: Duration | Mapping[str, Duration] | None = None,
    by: str | Sequence[str] | None = None,
    engine: Engine | None = None,
) -> DropOff:
    """Where customers drop off, phase by phase, with journeys that are not over yet kept apart.

    A journey **entered** a phase at its first progressing event in that phase or a later one. It
    **continued** when, within the horizon, it first reached a later phase; from the phase in which the goal
    lies, when it reached the goal. It **dropped** if it did not continue although it was followed for the
    whole horizon (until the observation end), or if it ended explicitly within the horizon before it could:
    a new journey began, or the customer left. Silence alone ends nothing: such a journey is followed until
    the observation end. It is **open** otherwise: it may still continue. So entered = continued + dropped +
    open.

    `drop_off` is the share that has not continued within the horizon, 1 − F(horizon), where F is the
    cumulative incidence of continuing (Aalen–Johansen): open journeys count as long as they were seen,
    explicit ends compete. Without explicit ends it is the Kaplan–Meier estimate. `low` and `high` come from
    the same estimator, on the log–log scale; where nobody or everybody continued, from Wilson's interval of
    those whose outcome is known. Where some are open and nobody was followed for the whole horizon (`at_risk`
    0), all three are missing: nothing is known about that time. Ask for a shorter horizon.

    Ties: what happens at the same instant is taken together, and an event at the horizon still counts. What
    happens after the observation end is not used by the estimator, as the log is not complete there. There is
    no drop-off from the last phase (or stage) that progress can reach, unless the goal lies in it. Journeys
    that began before the data did are left out (`.truncated` counts them).

    Parameters
    ----------
    journeys : Journeys
    of : {"phase", "stage"}
        What is entered and left.
    horizon : duration or mapping of name to duration, optional
        Within which time a journey must continue, for all phases or by the name of the phase (or stage).
        Default: the model's, by phase (a stage has that of its phase), else 30 days.
    by : str or sequence of str, optional
        Columns to group by: the value at the event with which the journey entered the phase.
    engine : Engine, optional
        Where to compute; default: on this machine.

    Returns
    -------
    DropOff

    Raises
    ------
    InputError
        The journeys have no phases, or a horizon is no duration.
    UnknownNameError
        No such column, phase or stage.

    Notes
    -----
    The goal's phase is that of the touchpoints which the model gives to the goal's marker; if these are in
    several phases, or the model does not say, the phase in which most goals were reached (the earlier one of
    two equals).

    Examples
    --------
    >>> import cjm_analytics as cjm
    >>> model = cjm.JourneyModel.standard()
    >>> events = cjm.ingest(cjm.loaders.table(
    ...     {"who": ["a", "a", "b", "c"],
    ...      "what": ["product_view", "purchase", "product_view", "product_view"],
    ...      "when": ["2026-01-01", "2026-01-02", "2026-01-01", "2026-03-01"]},
    ...     customer="who", timestamp="when", event="what", tz="UTC"))
    >>> found = cjm.drop_off(cjm.sessionize(events, model), horizon="7 days").to_frame()
    >>> print(found.loc[[0], ["phase", "entered", "continued", "dropped", "open", "drop_off"]].to_string())
        phase  entered  continued  dropped  open  drop_off
    0  before        3          1        1     1       0.5
    """
    return run(DropOffAnalysis.plan(journeys, of=of, horizon=horizon, by=by), journeys, engine)


@dataclass(frozen=True)
class DropOffAnalysis:
    """Phases (or stages), their horizons and the instant until which journeys were observed.

    Attributes
    ----------
    of : str
    places : tuple of str
        All phases or stages, in the order of the road.
    asked : tuple of int
        Those from which one can drop off.
    horizons : tuple of int
        Microseconds, per place.
    goal : int
        The place of the goal, −1 if there is none.
    progress : tuple of bool
        Per touchpoint.
    touchpoints : tuple of str
    by : tuple of str
    observed_until : int
        Microseconds UTC.
    rules : ReportRules
    """

    of: str
    places: tuple[str, ...]
    asked: tuple[int, ...]
    horizons: tuple[int, ...]
    goal: int
    progress: tuple[bool, ...]
    touchpoints: tuple[str, ...]
    by: tuple[str, ...]
    observed_until: int
    rules: ReportRules

    @classmethod
    def plan(
        cls,
        journeys: Journeys,
        *,
        of: str = "phase",
        horizon: Duration | Mapping[str, Duration] | None = None,
        by: str | Sequence[str] | None = None,
    ) -> DropOffAnalysis:
        """Check the arguments of `drop_off`."""
        if of not in {"phase", "stage"}:
            raise UnknownNameError("part of the road", of, ["phase", "stage"])
        codebook = journeys.codebook
        places = codebook.names(of)
        if not places:
            raise InputError(
                "These journeys have no phases, so nothing can be entered or left. Give cjm.sessionize a "
                "model, for example cjm.JourneyModel.standard()."
            )
        columns = () if by is None else (by,) if isinstance(by, str) else tuple(by)
        for column in columns:
            journeys.partitions[0].labels(column)
        goal = _place_of_goal(journeys, of)
        return cls(
            of=of,
            places=places,
            asked=tuple(
                place for place in range(len(places)) if place < _end_of_road(journeys, of) or place == goal
            ),
            horizons=_horizons(journeys, of, horizon),
            goal=goal,
            progress=codebook.progress,
            touchpoints=codebook.touchpoints,
            by=columns,
            observed_until=journeys.observed_until(),
            rules=journeys.model.report if journeys.model else ReportRules(),
        )

    def map(self, partition: Partition) -> DropOffPartial:
        """Count, for every group and place, who entered and what became of them."""
        return self.count(partition, self.reached(partition))

    def reached(self, partition: Partition) -> Reached:
        """When each journey came to each place or past it; never if it began before the data did."""
        from cjm_analytics.kernels.road import first_reached

        found: Reached = first_reached(
            partition.offsets,
            frozen(partition.event("time")),
            frozen(partition.event(self.of).astype(np.int16, copy=False)),
            frozen(partition.event("touchpoint")),
            np.array(self.progress, dtype=bool),
            len(self.places),
            NEVER,
        )
        found.row[:, partition.journey("truncated").astype(bool)] = -1
        return found

    def count(self, partition: Partition, reached: Reached) -> DropOffPartial:
        """The same as `map`, where it is known when each place was `reached`."""
        if not partition.n_journeys:
            return DropOffPartial()
        group, names = self._groups(partition) if self.by else (np.zeros(0, dtype=np.int64), [()])
        cells: dict[tuple[tuple[str, ...], int], Cell] = {}
        outcomes = self._asker(partition, reached)
        for place in self.asked:
            journeys = np.flatnonzero(reached.row[place] >= 0)
            if not len(journeys):
                continue
            if not self.by:
                cells[(), place] = Cell.of(outcomes(place, journeys))
                continue
            of_group = group[reached.row[place][journeys]]
            order = np.argsort(of_group, kind="stable")
            found, starts = np.unique(of_group[order], return_index=True)
            for code, mine in zip(found, np.split(journeys[order], starts[1:]), strict=True):
                cells[names[code], place] = Cell.of(outcomes(place, mine))
        return DropOffPartial(cells, int(partition.journey("truncated").sum()))

    def _groups(self, partition: Partition) -> tuple[NDArray[np.int64], list[tuple[str, ...]]]:
        """Per event the number of its group, and the names of the groups."""
        group = np.zeros(partition.n_events, dtype=np.int64)
        names: list[tuple[str, ...]] = [()]
        for column in self.by:
            labels = partition.labels(column)
            shown = [*labels.names, NONE]
            codes = np.where(labels.codes < 0, len(shown) - 1, labels.codes)
            pairs, group = np.unique(group * len(shown) + codes, return_inverse=True)
            names = [(*names[pair // len(shown)], shown[pair % len(shown)]) for pair in pairs.tolist()]
        return group, names

    def _asker(self, partition: Partition, reached: Reached) -> Callable[[int, NDArray[np.int64]], Outcomes]:
        """What became of some journeys that reached a place, to be asked by place and journeys."""
        from cjm_analytics.kernels.road import outcomes

        closed = partition.journey("closed")
        renews = closed == CLOSED.index("new cycle")
        explicit = closed >= CLOSED.index("new cycle")
        left_at = np.where(explicit, partition.journey("closed_at"), NEVER)
        time, touchpoint = frozen(partition.event("time")), frozen(partition.event("touchpoint"))
        goal, customer = np.array(partition.journey("goal")), frozen(partition.journey("customer"))

        rows = [*reached.row, np.full(partition.n_journeys, -1)]
        times = [*reached.time, np.full(partition.n_journeys, NEVER)]

        def ask(place: int, journeys: NDArray[np.int64]) -> Outcomes:
            found: Outcomes = outcomes(
                journeys,
                (rows[place], times[place]),
                (rows[place + 1], goal if place == self.goal else times[place + 1]),
                left_at,
                renews,
                customer,
                partition.offsets,
                time,
                touchpoint,
                len(self.touchpoints),
                KINDS,
                self.horizons[place],
                self.observed_until,
                NEVER,
            )
            return found

        return ask

    def finalize(self, partial: DropOffPartial) -> DropOff:
        """Estimate the drop-off of every group and place."""
        groups = sorted({group for group, _ in partial.cells}) if self.by else [()]
        rows = [
            dict(zip(self.by, group, strict=True)) | self._row(place, partial.cell(group, place))
            for group in groups
            for place in self.asked
        ]
        return DropOff(pd.DataFrame(rows, columns=self.columns), self, partial)

    @property
    def columns(self) -> list[str]:
        """Columns of the result's frame."""
        return [*self.by, self.of, *_COLUMNS]

    def estimate(self, place: int, cell: Cell) -> tuple[Estimate, int, float]:
        """Drop-off of one cell at its horizon, how many were still at risk then, and the median dwell."""
        from cjm_analytics.kernels.incidence import incidence_by

        share, variance, left_over, went_on, went, at_risk, median = incidence_by(
            cell.times, cell.counts, KINDS, self.horizons[place], HALF
        )
        if not cell.entered or (left_over > 0 and not at_risk):
            return _estimate(math.nan, math.nan, math.nan, math.nan, cell.entered), at_risk, median
        if went_on and (went or left_over > 0):
            error = math.sqrt(variance)
            limits = log_log(np.array([max(1 - share, 0.0)]), np.array([variance]), self.rules.confidence)
            share = 1 - share
        else:
            # Nobody or everybody continued: the curve has no variance, but its share has an interval.
            outcome, share = cell.continued + cell.dropped, float(not went_on)
            limits = wilson(share * outcome, outcome, self.rules.confidence)
            error = float(limits[1] - limits[0]) / (2 * z_value(self.rules.confidence))
        low, high = (float(np.squeeze(limit)) for limit in limits)
        return _estimate(share, low, high, error, cell.entered), at_risk, median

    def going_on(self, place: int, cell: Cell) -> tuple[float, float]:
        """The times by which half and nine in ten have gone on, of those who go on within the horizon.

        In microseconds, NaN where nobody goes on. Who passed the place is not asked.
        """
        counts = cell.counts - np.where(cell.times == CONTINUED, cell.passed, 0)
        some = counts > 0
        times, counts = cell.times[some], counts[some]
        table = life_table(times // KINDS, times % KINDS, counts, n_causes=2)
        incidence, _ = cumulative_incidence(table)
        in_time = incidence[table.time <= self.horizons[place]]
        if not len(in_time) or in_time[-1] <= 0:
            return math.nan, math.nan
        at = np.searchsorted(in_time, in_time[-1] * np.array([0.5, 0.9]))
        return float(table.time[at[0]]), float(table.time[at[1]])

    def _row(self, place: int, cell: Cell) -> dict[str, Any]:
        found, at_risk, dwell = self.estimate(place, cell)
        last = min(cell.last, key=lambda code: (-cell.last[code], self.touchpoints[code]), default=None)
        return {
            self.of: self.places[place],
            "entered": cell.entered,
            "continued": cell.continued,
            "dropped": cell.dropped,
            "open": cell.entered - cell.continued - cell.dropped,
            "drop_off": float(found.value),
            "low": float(found.low),
            "high": float(found.high),
            "median_dwell": pd.NaT if math.isnan(dwell) else pd.Timedelta(round(dwell), unit="us"),
            "last_touchpoint": None if last is None else self.touchpoints[last],
            "horizon": pd.Timedelta(self.horizons[place], unit="us"),
            "followed": cell.followed,
            "at_risk": at_risk,
            "reliability": self.rules.reliability(cell.followed),
        }


_COLUMNS = [
    "entered", "continued", "dropped", "open", "drop_off", "low", "high", "median_dwell", "last_touchpoint",
    "horizon", "followed", "at_risk", "reliability",
]  # fmt: skip


def _estimate(*numbers: float) -> Estimate:
    return Estimate(*(np.array(number, dtype=float) for number in numbers))


def _horizons(
    journeys: Journeys, of: str, horizon: Duration | Mapping[str, Duration] | None
) -> tuple[int, ...]:
    """The horizon of every place in microseconds: the caller's, else the model's, else 30 days."""
    codebook = journeys.codebook
    places = codebook.names(of)
    if horizon is not None and not isinstance(horizon, Mapping):
        return (microseconds(horizon, name="horizon"),) * len(places)
    asked = dict(horizon or {})
    for name in asked:
        codebook.code(of, name)
    modelled = {phase.id: phase.horizon for phase in journeys.model.phases} if journeys.model else {}

    def default(place: int) -> int:
        phase = codebook.phases[place if of == "phase" else codebook.stage_phase[place]]
        return modelled.get(phase) or DEFAULT_HORIZON

    return tuple(
        microseconds(asked[name], name=f"horizon[{name!r}]") if name in asked else default(place)
        for place, name in enumerate(places)
    )


def _place_of_goal(journeys: Journeys, of: str) -> int:
    """The place in which the goal lies: as the model says, else where most goals were reached; −1 without."""
    codebook, model = journeys.codebook, journeys.model
    goals = (
        {marker.id for marker in model.markers if marker.role == "goal"} if model else set(codebook.markers)
    )
    if model:
        places = _modelled_places(model, goals, codebook.names(of), of)
        if len(places) == 1:
            return places.pop()
    bits = np.uint32(sum(1 << number for number, name in enumerate(codebook.markers) if name in goals))
    reached = np.zeros(len(codebook.names(of)), dtype=np.int64)
    for partition in journeys.partitions:
        goal = np.repeat(partition.journey("goal"), np.diff(partition.offsets))
        place = partition.event(of).astype(np.int64)
        hits = (partition.event("time") == goal) & ((partition.event("marker") & bits) != 0) & (place >= 0)
        reached += np.bincount(place[hits], minlength=len(reached))
    return int(reached.argmax()) if reached.any() else -1


def _end_of_road(journeys: Journeys, of: str) -> int:
    """The last place to which a journey can progress: behind it the model has only contacts that are none."""
    model, names = journeys.model, journeys.codebook.names(of)
    if not model:
        return len(names) - 1
    stages = {branch.stage for one in model.touchpoints if one.progress for branch in one.branches}
    if of == "phase":
        stages = {phase.id for phase in model.phases if stages & set(phase.stages)}
    return max((names.index(stage) for stage in stages if stage in names), default=len(names) - 1)


def _modelled_places(model: JourneyModel, goals: set[str], names: Sequence[str], of: str) -> set[int]:
    """Places of the touchpoints that the model gives to a marker of the goal."""
    stages = {
        branch.stage
        for touchpoint in model.touchpoints
        if touchpoint.match.markers & goals
        for branch in touchpoint.branches
    }
    if of == "phase":
        stages = {phase.id for phase in model.phases if stages & set(phase.stages)}
    return {names.index(stage) for stage in stages if stage in names}


@dataclass(frozen=True, eq=False)
class Cell:
    """Who entered one place in one group, what became of them, and when.

    Attributes
    ----------
    entered, continued, dropped, followed : int
    last : Counter
        Per touchpoint, how many of the dropped were last seen there before they continued after all.
    before, after : Counter
        Per touchpoint, at which of them the dropped were last seen when they dropped, and what came first
        after that (numbers behind the touchpoints: a new journey, the customer left, nothing).
    times, counts : int64 arrays
        Distinct numbers duration · 4 + kind, rising, and how many journeys have each. Durations are whole
        microseconds; when there are more than 2²⁰ distinct numbers, they are rounded down to the first of
        second, minute, hour and day with which there are fewer. As these are multiples of each other, the
        order in which cells are added does not matter.
    resolution : int
        Microseconds to which durations are rounded down.
    passed : int
        Those who entered, while they were observed, by the very event with which they reached the next
        place: they were never in this one.
    """

    entered: int = 0
    continued: int = 0
    dropped: int = 0
    followed: int = 0
    last: Counter[int] = field(default_factory=Counter)
    times: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    counts: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    resolution: int = 1
    before: Counter[int] = field(default_factory=Counter)
    after: Counter[int] = field(default_factory=Counter)
    passed: int = 0

    @classmethod
    def of(cls, found: Outcomes) -> Cell:
        """Those who entered a place, in one partition."""
        entered, continued, dropped, followed, passed = found.counts.tolist()
        times, counts, resolution = tallied(found.waits, found.at_once)
        return cls(
            entered,
            continued,
            dropped,
            followed,
            _often(found.last),
            times,
            counts,
            resolution,
            _often(found.before),
            _often(found.after),
            passed,
        )

    def __add__(self, other: Cell) -> Cell:
        times, counts, resolution = added(
            (self.times, self.counts, self.resolution), (other.times, other.counts, other.resolution)
        )
        return Cell(
            self.entered + other.entered,
            self.continued + other.continued,
            self.dropped + other.dropped,
            self.followed + other.followed,
            self.last + other.last,
            times,
            counts,
            resolution,
            self.before + other.before,
            self.after + other.after,
            self.passed + other.passed,
        )

    def table(self) -> LifeTable:
        """Times, in microseconds, at which journeys continued (cause 1), left (cause 2) or were last seen."""
        return life_table(self.times // KINDS, self.times % KINDS, self.counts, n_causes=2)


def _often(counts: NDArray[np.int64]) -> Counter[int]:
    """How often each code is there, of those that are."""
    there = np.flatnonzero(counts)
    return Counter(dict(zip(there.tolist(), counts[there].tolist(), strict=True)))


@dataclass(frozen=True, eq=False)
class DropOffPartial:
    """The cells of some of the customers, by group and place.

    Attributes
    ----------
    cells : mapping of (group, place) to Cell
        A group is a tuple of names, one per column of `by`.
    truncated : int
        Journeys left out because they began before the data did.
    """

    cells: Mapping[tuple[tuple[str, ...], int], Cell] = field(default_factory=dict)
    truncated: int = 0

    def cell(self, group: tuple[str, ...], place: int) -> Cell:
        """The cell of a group and place; an empty one where nobody entered."""
        return self.cells.get((group, place), Cell())

    def __add__(self, other: DropOffPartial) -> DropOffPartial:
        cells = dict(self.cells)
        for key, cell in other.cells.items():
            cells[key] = cells[key] + cell if key in cells else cell
        return DropOffPartial(cells, self.truncated + other.truncated)


@dataclass(frozen=True, eq=False, repr=False)
class DropOff(Shown):
    """Where customers drop off: made by `cjm.drop_off`.

    Attributes
    ----------
    truncated : int
        Journeys left out because they began before the data did.
    observation_end : pandas.Timestamp
        Until when journeys were followed.
    resolution : pandas.Timedelta
        Durations behind the estimates are rounded down to it: a microsecond, unless there are millions.
    """

    _frame: pd.DataFrame
    _analysis: DropOffAnalysis
    _partial: DropOffPartial

    @property
    def truncated(self) -> int:
        return self._partial.truncated

    @property
    def observation_end(self) -> pd.Timestamp:
        return pd.Timestamp(self._analysis.observed_until, unit="us", tz="UTC")

    @property
    def resolution(self) -> pd.Timedelta:
        finest = max((cell.resolution for cell in self._partial.cells.values()), default=1)
        return pd.Timedelta(finest, unit="us")

    def to_frame(self) -> pd.DataFrame:
        """One row per phase (or stage), within each group.

        Columns: what `by` names, `phase` (or `stage`), `entered`, `continued`, `dropped`, `open`,
        `drop_off`, `low`, `high`, `median_dwell` (from entering to continuing, missing unless half of those
        who entered continued), `last_touchpoint` (the most frequent one at which those who dropped were last
        seen, before they continued after all; of equals the first by name), `horizon`, `followed` (entered at
        least a horizon before the observation end), `at_risk` (not continued, not left and still followed at
        the horizon), `reliability` (`hidden` when fewer than the model's `min_n` were followed, `weak` below
        `weak_n`, else `ok`).
        """
        return self._frame.copy()

    def curve(self) -> pd.DataFrame:
        """The whole curve of continuing for each phase and group.

        Columns: what `by` names, `phase` (or `stage`), `time` since entering, `at_risk` just before it,
        `continued`, `left` (ended explicitly) and `censored` (last seen) at it, `incidence` (share that has
        continued by then), `low`, `high`. Each curve begins at time 0. Who entered after the observation end
        is not in it.
        """
        analysis = self._analysis
        curves = [
            _curve(cell.table(), analysis.rules.confidence).assign(
                **dict(zip(analysis.by, group, strict=True)), **{analysis.of: analysis.places[place]}
            )
            for (group, place), cell in sorted(self._partial.cells.items(), key=lambda item: item[0])
        ]
        frame = pd.concat(curves, ignore_index=True) if curves else _curve(Cell().table(), 0.95).iloc[:0]
        return frame.reindex(columns=[*analysis.by, analysis.of, *_CURVE])

    def whereabouts(self) -> pd.DataFrame:
        """Where those who dropped were last seen, and where they went.

        A journey drops when its horizon has run out, or at its explicit end if that comes before. `last` is
        the touchpoint of its last event until then, that instant included. `next` is what came first after
        that: the touchpoint of the journey's next event, wherever that lies (it is a late return, and may
        continue the journey after all); `(new journey)` if the customer had by then begun another journey, or
        began one before anything else followed; `(left)` if the customer left before that; `(nothing)` if
        these journeys have no more of the customer. At the same instant the explicit end goes first, then a
        new journey. What happens after the observation end counts as far as it is there. Where nobody dropped
        there is no row.

        `last_touchpoint` of `to_frame()` looks further than `last`: until the journey continued after all. A
        journey that came back late without continuing is there counted where it came back.

        Returns
        -------
        DataFrame
            What `by` names, `phase` (or `stage`), `kind` (`last` or `next`), `touchpoint`, `journeys`,
            `dropped` (all who dropped there, in that group), `share` (journeys / dropped, so that the shares
            of a kind add up to 1). The most frequent first; equals by name.

        Examples
        --------
        >>> import cjm_analytics as cjm
        >>> events = cjm.ingest(cjm.loaders.table(
        ...     {"who": ["a", "a", "b", "c"],
        ...      "what": ["product_view", "purchase", "product_view", "product_view"],
        ...      "when": ["2026-01-01", "2026-01-20", "2026-01-01", "2026-03-01"]},
        ...     customer="who", timestamp="when", event="what", tz="UTC"))
        >>> journeys = cjm.sessionize(events, cjm.JourneyModel.standard())
        >>> found = cjm.drop_off(journeys, horizon="7 days").whereabouts()
        >>> print(found.to_string())
            phase  kind    touchpoint  journeys  dropped  share
        0  before  last  product_view         2        2    1.0
        1  before  next     (nothing)         1        2    0.5
        2  before  next      purchase         1        2    0.5
        """
        analysis = self._analysis
        names = [*analysis.touchpoints, NEW_JOURNEY, LEFT, NOTHING]
        rows: list[tuple[object, ...]] = []
        for (group, place), cell in sorted(self._partial.cells.items(), key=lambda item: item[0]):
            for kind, found in (("last", cell.before), ("next", cell.after)):
                for code in sorted(found, key=lambda one: (-found[one], names[one])):
                    n = found[code]
                    of = (*group, analysis.places[place], kind, names[code])
                    rows.append((*of, n, cell.dropped, n / cell.dropped))
        types = {"journeys": np.int64, "dropped": np.int64, "share": np.float64}
        return pd.DataFrame(rows, columns=[*analysis.by, analysis.of, *_WHEREABOUTS]).astype(types)

    def compare(self) -> pd.DataFrame:
        """Do groups differ? Every pair of groups, phase by phase.

        Columns: what `by` names and the same as `other_…`, `phase` (or `stage`), `drop_off`,
        `other_drop_off`, `difference` (the first minus the other), `low`, `high` (from the intervals of both,
        by the square-and-add rule), `p_value` (z test with the standard errors of both), `q_value` (adjusted
        after Benjamini and Hochberg), `tests` (size of the family: all rows with a p-value), `verdict`.

        Raises
        ------
        InputError
            The result has no groups, or one only.
        """
        analysis = self._analysis
        if not analysis.by:
            raise InputError("There are no groups to compare. Ask with by=, for example by='channel'.")
        groups = sorted({group for group, _ in self._partial.cells})
        check_several(groups)
        rows: list[tuple[object, ...]] = []
        for place in analysis.asked:
            found = {group: analysis.estimate(place, self._partial.cell(group, place))[0] for group in groups}
            for one, other in combinations(groups, 2):
                interval = difference_interval(found[one], found[other])
                test = compared(found[one], found[other])
                numbers = (found[one].value, found[other].value, test.difference, *interval, test.p)
                rows.append((*one, *other, analysis.places[place], *map(float, numbers)))
        others = [f"other_{column}" for column in analysis.by]
        numbers_of = ["drop_off", "other_drop_off", "difference", "low", "high", "p_value"]
        frame = pd.DataFrame(rows, columns=[*analysis.by, *others, analysis.of, *numbers_of])
        q_value = benjamini_hochberg(frame["p_value"].to_numpy(dtype=float))
        direction = np.where(frame["difference"] > 0, "higher", "lower")
        clear = q_value < 1 - analysis.rules.confidence
        return frame.assign(
            q_value=q_value,
            tests=int(frame["p_value"].notna().sum()),
            verdict=np.where(clear, direction, "no clear difference"),
        )

    def plot(self) -> go.Figure:
        """Dropped, open and continued per phase, as shares of those who entered, and the estimate."""
        from cjm_analytics.charts.dropoff import drop_off_chart

        return drop_off_chart(self._frame, of=self._analysis.of, by=self._analysis.by)

    def _card(self) -> Card:
        facts = {
            "observed until": f"{self.observation_end:%Y-%m-%d %H:%M} UTC",
            "began before the data": f"{self.truncated:,}",
        }
        if self.resolution > pd.Timedelta(1, unit="us"):
            facts["durations rounded down to"] = readable(self.resolution.value / 1_000)
        note = (
            "Drop-off: the share that has not continued within the horizon; open journeys count as long as "
            "they were seen."
        )
        return Card("Drop-off", facts, self._frame, note=note)


_WHEREABOUTS = ["kind", "touchpoint", "journeys", "dropped", "share"]

_CURVE = ["time", "at_risk", "continued", "left", "censored", "incidence", "low", "high"]


def _curve(table: LifeTable, confidence: float) -> pd.DataFrame:
    found = aalen_johansen(table, confidence=confidence)
    frame = pd.DataFrame(
        {
            "time": table.time,
            "at_risk": table.at_risk,
            "continued": table.events[0],
            "left": table.events[1],
            "censored": table.censored,
            "incidence": found.incidence,
            "low": found.low,
            "high": found.high,
        }
    )
    frame = frame[frame["time"] >= 0]
    if not len(frame) or frame["time"].iloc[0] > 0:
        at_risk = int(frame["at_risk"].iloc[0]) if len(frame) else 0
        start = pd.DataFrame([[0, at_risk, 0, 0, 0, 0.0, 0.0, 0.0]], columns=_CURVE)
        frame = pd.concat([start, frame], ignore_index=True) if len(frame) else start
    return frame.assign(time=pd.to_timedelta(frame["time"], unit="us"))
