"""How long it takes until something happens, when for some it has not happened yet."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from cjm_analytics._card import Card, Shown
from cjm_analytics.analysis.named import Group, Named, columns, groups_of, in_group_order, observed_until
from cjm_analytics.analysis.waits import Waits
from cjm_analytics.durations import microseconds, readable
from cjm_analytics.engine import run
from cjm_analytics.errors import InputError, check_several
from cjm_analytics.journeys import CLOSED, NEVER
from cjm_analytics.model import ReportRules
from cjm_analytics.statistics import (
    Estimate,
    LogRank,
    Survival,
    aalen_johansen,
    benjamini_hochberg,
    difference_interval,
    gray_test,
    kaplan_meier,
    log_rank,
    restricted_mean,
    wilson,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import plotly.graph_objects as go
    from numpy.typing import NDArray

    from cjm_analytics.durations import Duration
    from cjm_analytics.engine import Engine
    from cjm_analytics.journeys import Codebook, Journeys, Partition
    from cjm_analytics.statistics import Incidence, LifeTable

__all__ = ["TimeTo", "TimeToAnalysis", "TimeToPartial", "time_to"]

HORIZONS = ("7 days", "14 days", "30 days", "90 days")
"""The horizons of `TimeTo.at()` where none is named."""


def time_to(
    journeys: Journeys,
    target: str | Sequence[str],
    *,
    start: str | Sequence[str] | None = None,
    ends: str | Sequence[str] | None = None,
    by: str | Sequence[str] | None = None,
    engine: Engine | None = None,
) -> TimeTo:
    """How long journeys take until an event, with those that have not got there yet counted as far as seen.

    A journey's clock starts at its first `start` (default: where the journey starts, so that its first event
    may be the target itself, at time 0) and stops at the first `target` after it. An event of the same
    instant counts if it comes after the start in the log's order. A journey that ends explicitly first (a new
    journey begins, the customer leaves, or one of `ends` happens) can no longer get there: such ends compete
    with the target. All others are censored at the observation end; silence alone ends nothing. What happens
    at the same instant is taken together, the target before an end.

    `incidence` is the share that has reached the target by then and `survival` the share for which neither
    the target nor an end has come, both of all journeys that started; they are the Aalen–Johansen and the
    Kaplan–Meier estimate, with intervals on the log–log scale. Where nothing competes, the two sum to 1.

    Nothing is dropped silently: journeys without a start, journeys in which a target came before it,
    journeys that began before the data did and starts after the observation end are counted on the result.
    The first two say how well the question fits the data; a journey whose target came only before the start
    waits for the next one. The last two are left out.

    Parameters
    ----------
    journeys : Journeys
    target : str or sequence of str
        A touchpoint, or a marker of the model; several: any of these.
    start : str or sequence of str, optional
        The same for the event at which the clock starts.
    ends : str or sequence of str, optional
        Further events after which the target cannot come any more.
    by : str or sequence of str, optional
        Columns to group by: the value at the start.
    engine : Engine, optional
        Where to compute; default: on this machine.

    Returns
    -------
    TimeTo

    Raises
    ------
    UnknownNameError
        No such touchpoint, marker or column.
    InputError
        An empty list of names, or a target that is an end too.

    Notes
    -----
    The observation end is the earliest end of the sources in which the touchpoints named occur; for a marker,
    of all sources of progress.

    Examples
    --------
    >>> import cjm_analytics as cjm
    >>> journeys = cjm.sessionize(cjm.ingest(cjm.loaders.table(
    ...     {"who": ["a", "a", "b", "b", "c", "d"],
    ...      "what": ["ad", "buy", "ad", "buy", "ad", "buy"],
    ...      "when": ["2026-01-01", "2026-01-02", "2026-01-01", "2026-01-04", "2026-01-02", "2026-01-04"]},
    ...     customer="who", timestamp="when", event="what", tz="UTC")))
    >>> answer = cjm.time_to(journeys, "buy", start="ad")
    >>> answer.to_frame()[["time", "at_risk", "events", "censored", "incidence"]].round(3)
        time  at_risk  events  censored  incidence
    0 0 days        3       0         0      0.000
    1 1 days        3       1         0      0.333
    2 2 days        2       0         1      0.333
    3 3 days        1       1         0      1.000
    >>> answer.median, answer.without_start
    (Timedelta('3 days 00:00:00'), 1)
    """
    return run(TimeToAnalysis.plan(journeys, target, start=start, ends=ends, by=by), journeys, engine)


@dataclass(frozen=True)
class TimeToAnalysis:
    """What starts the clock, what stops it, and until when journeys were observed.

    Attributes
    ----------
    target : Named
    start, ends : Named or None
    by : tuple of str
    observed_until : int
        Microseconds UTC.
    codebook : Codebook
    rules : ReportRules
    """

    target: Named
    start: Named | None
    ends: Named | None
    by: tuple[str, ...]
    observed_until: int
    codebook: Codebook
    rules: ReportRules

    @classmethod
    def plan(
        cls,
        journeys: Journeys,
        target: str | Sequence[str],
        *,
        start: str | Sequence[str] | None = None,
        ends: str | Sequence[str] | None = None,
        by: str | Sequence[str] | None = None,
    ) -> TimeToAnalysis:
        """Check the arguments of `time_to`."""
        codebook = journeys.codebook
        aim = Named.read(codebook, target, what="target")
        begin = None if start is None else Named.read(codebook, start, what="start")
        stop = None if ends is None else Named.read(codebook, ends, what="ends")
        both = set(aim.names) & set(stop.names if stop else ())
        if both:
            raise InputError(f"ends={min(both)!r} is the target itself.")
        return cls(
            target=aim,
            start=begin,
            ends=stop,
            by=columns(journeys, by),
            observed_until=observed_until(journeys, [aim, begin, stop]),
            codebook=codebook,
            rules=journeys.model.report if journeys.model else ReportRules(),
        )

    def map(self, partition: Partition) -> TimeToPartial:
        """How long each journey of the partition waited, and how the wait ended."""
        from cjm_analytics.kernels.flow import first_rows

        if not partition.n_journeys:
            return TimeToPartial()
        first, beyond = partition.offsets[:-1], partition.offsets[1:]
        targets = self.target.fits(partition)
        start = first if self.start is None else first_rows(first, beyond, self.start.fits(partition))
        started = start >= 0
        early = first_rows(first, np.where(started, start, beyond), targets) >= 0
        truncated = partition.journey("truncated").astype(bool)

        journey = np.flatnonzero(started & ~truncated)
        row = start[journey]
        time = partition.event("time")
        duration, kind = self._waits(partition, journey, row, targets)
        late = time[row] > self.observed_until
        group, names = groups_of(partition, self.by, row[~late])
        waits: dict[Group, Waits] = {}
        for code, name in enumerate(names):
            mine = Waits.of(duration[~late][group == code], kind[~late][group == code])
            waits[name] = waits[name] + mine if name in waits else mine
        return TimeToPartial(
            waits,
            Tally(
                truncated=int((started & truncated).sum()),
                without_start=int((~started).sum()),
                target_without_start=int((~started & early).sum()),
                target_before_start=int((started & early & ~truncated).sum()),
                after_end=int(late.sum()),
            ),
        )

    def _waits(
        self,
        partition: Partition,
        journey: NDArray[np.int64],
        row: NDArray[np.int64],
        targets: NDArray[np.bool_],
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Microseconds from the start to whatever came first, and what that was."""
        from cjm_analytics.kernels.flow import first_rows

        time, beyond = partition.event("time"), partition.offsets[1:][journey]
        started_at = time[row]
        after = row if self.start is None else row + 1

        def first_time(fits: NDArray[np.bool_], begin: NDArray[np.int64]) -> NDArray[np.int64]:
            found = first_rows(begin, beyond, fits)
            return np.where(found >= 0, time[found], NEVER)

        reached = _since(started_at, first_time(targets, after))
        explicit = partition.journey("closed")[journey] >= CLOSED.index("new cycle")
        ended_at = np.where(explicit, partition.journey("closed_at")[journey], NEVER)
        if self.ends is not None:
            ended_at = np.minimum(ended_at, first_time(self.ends.fits(partition), row + 1))
        ended = _since(started_at, ended_at)
        seen = self.observed_until - started_at
        # The estimator stops at the observation end: what came after it is not known of all.
        duration = np.minimum(np.minimum(reached, ended), seen)
        return duration, np.where(reached == duration, _REACHED, np.where(ended == duration, _ENDED, 0))

    def finalize(self, partial: TimeToPartial) -> TimeTo:
        """The result from the grand total."""
        groups = in_group_order(partial.waits, self.by, self.codebook) if self.by else [()]
        curves = {
            group: Curve.of(partial.waits.get(group, Waits()), self.rules.confidence) for group in groups
        }
        return TimeTo(self, partial, curves)


_REACHED, _ENDED = 1, 2


def _since(started_at: NDArray[np.int64], at: NDArray[np.int64]) -> NDArray[np.int64]:
    """How long after the start; what did not happen as never."""
    return np.where(at == NEVER, NEVER, np.maximum(at - started_at, 0))


@dataclass(frozen=True)
class Tally:
    """Journeys that the question does not fit."""

    truncated: int = 0
    without_start: int = 0
    target_without_start: int = 0
    target_before_start: int = 0
    after_end: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(*(getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__))


@dataclass(frozen=True, eq=False)
class TimeToPartial:
    """The waits of some of the customers, by group.

    Attributes
    ----------
    waits : mapping of Group to Waits
    tally : Tally
    """

    waits: Mapping[Group, Waits] = field(default_factory=dict)
    tally: Tally = field(default_factory=Tally)

    def __add__(self, other: TimeToPartial) -> TimeToPartial:
        waits = dict(self.waits)
        for group, more in other.waits.items():
            waits[group] = waits[group] + more if group in waits else more
        return TimeToPartial(waits, self.tally + other.tally)


@dataclass(frozen=True, eq=False)
class Curve:
    """What is known of one group."""

    table: LifeTable
    incidence: Incidence
    survival: Survival

    @classmethod
    def of(cls, waits: Waits, confidence: float) -> Curve:
        """Estimate the curves of a bag of waits."""
        table = waits.table(2)
        return cls(
            table,
            aalen_johansen(table, confidence=confidence),
            kaplan_meier(table, confidence=confidence),
        )

    @property
    def n(self) -> int:
        """Units that started."""
        return int(self.table.at_risk[0]) if len(self.table.time) else 0

    @property
    def last(self) -> int:
        """The longest that anybody was seen."""
        return int(self.table.time[-1]) if len(self.table.time) else 0

    def frame(self) -> pd.DataFrame:
        """One row per time, from time 0."""
        table, found, left = self.table, self.incidence, self.survival
        frame = pd.DataFrame(
            {
                "time": pd.to_timedelta(table.time, unit="us"),
                "at_risk": table.at_risk,
                "events": table.events[0],
                "censored": table.censored,
                "survival": left.survival,
                "low": left.low,
                "high": left.high,
                "incidence": found.incidence,
                "incidence_low": found.low,
                "incidence_high": found.high,
                "ended": table.events[1],
            }
        )
        if not self.n or table.time[0] > 0:
            share = 1.0 if self.n else math.nan
            before = [pd.Timedelta(0), self.n, 0, 0, share, share, share, 1 - share, 1 - share, 1 - share, 0]
            first = pd.DataFrame([before], columns=_COLUMNS)
            frame = pd.concat([first, frame], ignore_index=True) if self.n else first
        return frame

    def mean(self, horizon: int) -> float:
        """Mean time to the target, counting no more than the horizon; microseconds."""
        reached = self.survival._replace(survival=1 - self.incidence.incidence)
        if self.n and self.survival.survival[-1] <= 0:
            # Nobody is left on the way, so that the curve stays where it is.
            reached = reached._replace(
                time=np.append(reached.time, NEVER),
                survival=np.append(reached.survival, reached.survival[-1]),
            )
        return restricted_mean(reached, horizon)

    def at(self, horizon: int, confidence: float) -> dict[str, int | float]:
        """Counts and shares at one horizon."""
        table = self.table
        until = int(np.searchsorted(table.time, horizon, side="right"))
        following = int(np.searchsorted(table.time, horizon, side="left"))
        at_risk = int(table.at_risk[following]) if following < len(table.time) else 0
        reached, ended = (int(one) for one in table.events[:, :until].sum(axis=1))
        censored = int(table.censored[:following].sum())
        left_over = float(self.survival.survival[until - 1]) if until else 1.0
        counts = {"at_risk": at_risk, "reached": reached, "ended": ended, "censored": censored}
        if not self.n or (left_over > 0 and not at_risk):
            return counts | dict.fromkeys(("incidence", "low", "high", "survival"), math.nan)
        if reached and (ended or left_over > 0):
            found = self.incidence
            share, low, high = (float(one[until - 1]) for one in (found.incidence, found.low, found.high))
        else:
            # Nobody or everybody got there: the curve has no variance, but its share has an interval.
            known, share = self.n - censored, float(bool(reached))
            low, high = (float(one) for one in wilson(share * known, known, confidence))
        return counts | {"incidence": share, "low": low, "high": high, "survival": left_over}


@dataclass(frozen=True, eq=False, repr=False)
class TimeTo(Shown):
    """How long it takes until an event: made by `cjm.time_to`.

    Attributes
    ----------
    n : int
        Journeys that started and are in the curves.
    median : pandas.Timedelta or Series
        When half of them had reached the target; NaT if the curve does not pass one half. With groups, one
        per group.
    p_value : float
        Do the curves of all groups differ? Gray's test where ends compete, else the log-rank test; NaN
        without groups.
    truncated : int
        Journeys left out because they began before the data did.
    without_start : int
        Journeys without a start; `target_without_start` of them have a target.
    target_before_start : int
        Journeys in which a target came before the first start.
    after_end : int
        Journeys left out because they started after the observation end.
    observation_end : pandas.Timestamp
        Until when journeys were followed.
    resolution : pandas.Timedelta
        Times are rounded down to it: a microsecond, unless there are millions.
    """

    _analysis: TimeToAnalysis
    _partial: TimeToPartial
    _curves: Mapping[Group, Curve]

    @property
    def n(self) -> int:
        return sum(waits.n for waits in self._partial.waits.values())

    @property
    def median(self) -> pd.Timedelta | pd.Series[pd.Timedelta]:
        medians = [curve.incidence.median for curve in self._curves.values()]
        if not self._analysis.by:
            return _length(medians[0])
        names = [group[0] if len(group) == 1 else group for group in self._curves]
        return pd.Series(_lengths(medians), index=names, name="median")

    @property
    def p_value(self) -> float:
        return self._test(list(self._curves.values()))[1].p

    @property
    def truncated(self) -> int:
        return self._partial.tally.truncated

    @property
    def without_start(self) -> int:
        return self._partial.tally.without_start

    @property
    def target_without_start(self) -> int:
        return self._partial.tally.target_without_start

    @property
    def target_before_start(self) -> int:
        return self._partial.tally.target_before_start

    @property
    def after_end(self) -> int:
        return self._partial.tally.after_end

    @property
    def observation_end(self) -> pd.Timestamp:
        return pd.Timestamp(self._analysis.observed_until, unit="us", tz="UTC")

    @property
    def resolution(self) -> pd.Timedelta:
        finest = max((waits.resolution for waits in self._partial.waits.values()), default=1)
        return pd.Timedelta(finest, unit="us")

    def to_frame(self) -> pd.DataFrame:
        """The curves: one row per time at which something happened, within each group, from time 0.

        Columns: what `by` names, `time` since the start, `at_risk` (on their way just before), `events`
        (reached the target), `censored` (last seen), `survival` (share for which neither target nor end has
        come), `low`, `high` (of survival), `incidence` (share that has reached the target), `incidence_low`,
        `incidence_high`, `ended` (by an explicit end).
        """
        if not self._analysis.by:
            return self._curves[()].frame()
        frames = [
            self._curves[group].frame().assign(**dict(zip(self._analysis.by, group, strict=True)))
            for group in self._curves
        ]
        frame = pd.concat(frames, ignore_index=True) if frames else _nothing().frame().iloc[:0]
        return frame.reindex(columns=[*self._analysis.by, *_COLUMNS])

    def at(self, *horizons: Duration) -> pd.DataFrame:
        """How many had reached the target by fixed horizons; default 7, 14, 30 and 90 days.

        Columns: what `by` names, `horizon`, `n` (started), `at_risk` (still on their way and seen just before
        the horizon), `reached`, `ended` and `censored` (by, by and before the horizon), `incidence` (share
        that has reached the target: the cure share), `low`, `high`, `survival` (share for which neither
        target nor end has come), `restricted_mean` (mean time to the target, those who take longer or never
        get there counted with the horizon), `reliability` (`hidden` when fewer than the model's `min_n` were
        at risk, `weak` below `weak_n`, else `ok`; where nobody was lost before the horizon, n counts).

        Shares are missing where somebody may still be on the way and nobody was seen for so long. Where
        nobody or everybody got there, the interval is Wilson's, of those whose outcome is known.

        Parameters
        ----------
        *horizons : duration

        Raises
        ------
        InputError
            What is given is no duration.
        """
        lengths = [microseconds(one, name="horizon") for one in horizons or HORIZONS]
        rules, rows = self._analysis.rules, []
        for group in self._curves:
            curve = self._curves[group]
            for length in lengths:
                found = curve.at(length, rules.confidence)
                enough = found["at_risk"] if found["censored"] else curve.n
                row = dict(zip(self._analysis.by, group, strict=True)) | {
                    "horizon": pd.Timedelta(length, unit="us"),
                    "n": curve.n,
                    **found,
                    "restricted_mean": curve.mean(length),
                    "reliability": rules.reliability(enough),
                }
                rows.append(row)
        frame = pd.DataFrame(rows, columns=[*self._analysis.by, *_AT])
        return frame.assign(restricted_mean=_lengths(frame["restricted_mean"]))

    def compare(self, *, at: Duration = "30 days") -> pd.DataFrame:
        """Do groups differ? Every pair of groups.

        Columns: what `by` names and the same as `other_…`, `n`, `other_n`, `median`, `other_median`,
        `incidence` and `other_incidence` (at the horizon `at`), their `difference` (the first minus the
        other), `low`, `high` (from the intervals of both, by the square-and-add rule), `test` (`Gray` where
        ends compete, else `log-rank`; both compare the whole curves), `statistic` (χ² with one degree of
        freedom), `p_value`, `q_value` (adjusted after Benjamini and Hochberg), `tests` (size of the family:
        all rows with a p-value), `verdict` (`sooner`, `later` or `no clear difference`).

        Parameters
        ----------
        at : duration
            The horizon at which shares are compared.

        Raises
        ------
        InputError
            The result has no groups, or one only.
        """
        by, confidence = self._analysis.by, self._analysis.rules.confidence
        if not by:
            raise InputError("There are no groups to compare. Ask with by=, for example by='channel'.")
        horizon = microseconds(at, name="at")
        check_several(self._curves)
        rows: list[tuple[object, ...]] = []
        for one, other in combinations(self._curves, 2):
            pair = [self._curves[one], self._curves[other]]
            shares = [curve.at(horizon, confidence) for curve in pair]
            estimates = [_estimate(share) for share in shares]
            low, high = difference_interval(*estimates)
            name, found = self._test(pair)
            rows.append(
                (
                    *one, *other, pair[0].n, pair[1].n, *(curve.incidence.median for curve in pair),
                    *(share["incidence"] for share in shares),
                    shares[0]["incidence"] - shares[1]["incidence"], float(low), float(high),
                    name, found.statistic, found.p, _sooner(*pair),
                )
            )  # fmt: skip
        frame = pd.DataFrame(rows, columns=[*by, *(f"other_{column}" for column in by), *_COMPARED])
        q_value = benjamini_hochberg(frame["p_value"].to_numpy(dtype=float))
        clear = q_value < 1 - confidence
        direction = np.where(frame.pop("sooner").to_numpy(dtype=bool), "sooner", "later")
        return frame.assign(
            median=_lengths(frame["median"]),
            other_median=_lengths(frame["other_median"]),
            q_value=q_value,
            tests=int(frame["p_value"].notna().sum()),
            verdict=np.where(clear, direction, "no clear difference"),
        )

    def plot(self) -> go.Figure:
        """The share that has reached the target over time, with its interval and the numbers at risk."""
        from cjm_analytics.charts.time_to import time_to_chart

        start = self._analysis.start
        return time_to_chart(
            self.to_frame(),
            by=self._analysis.by,
            target=self._analysis.target.text,
            start=None if start is None else start.text,
            min_n=self._analysis.rules.min_n,
        )

    def _test(self, curves: Sequence[Curve]) -> tuple[str, LogRank]:
        """Gray's test if in any group an end competes, else the log-rank test."""
        tables = [curve.table for curve in curves]
        if any(table.events[1].any() for table in tables):
            return "Gray", gray_test(tables)
        return "log-rank", log_rank(tables)

    def _card(self) -> Card:
        analysis = self._analysis
        facts = {"journeys": f"{self.n:,}"}
        if analysis.by:
            facts["curves differ, p"] = f"{self.p_value:.3g}"
        else:
            median = self._curves[()].incidence.median
            facts["half of them by"] = "not reached" if math.isnan(median) else readable(median)
        facts |= {
            "without a start": f"{self.without_start:,}",
            "target before the start": f"{self.target_before_start:,}",
            "began before the data": f"{self.truncated:,}",
            "observed until": f"{self.observation_end:%Y-%m-%d %H:%M} UTC",
        }
        if self.resolution > pd.Timedelta(1, unit="us"):
            facts["times rounded down to"] = readable(self.resolution.value / 1_000)
        note = (
            "Incidence: the share that has reached the target by the horizon; journeys that have not yet "
            "count as long as they were seen."
        )
        return Card(f"Time to {analysis.target.text}", facts, self.at(), note=note)


_COLUMNS = [
    "time", "at_risk", "events", "censored", "survival", "low", "high", "incidence", "incidence_low",
    "incidence_high", "ended",
]  # fmt: skip
_AT = [
    "horizon", "n", "at_risk", "reached", "ended", "censored", "incidence", "low", "high", "survival",
    "restricted_mean", "reliability",
]  # fmt: skip
_COMPARED = [
    "n", "other_n", "median", "other_median", "incidence", "other_incidence", "difference", "low", "high",
    "test", "statistic", "p_value", "sooner",
]  # fmt: skip


def _nothing() -> Curve:
    return Curve.of(Waits(), 0.95)


def _length(time: float) -> pd.Timedelta:
    return pd.NaT if math.isnan(time) else pd.Timedelta(round(time), unit="us")  # type: ignore[return-value]


def _lengths(times: Iterable[float]) -> pd.TimedeltaIndex:
    return pd.TimedeltaIndex(pd.to_timedelta(np.rint(np.array(list(times), dtype=float)), unit="us"))


def _estimate(share: Mapping[str, float]) -> Estimate:
    unknown = np.array(math.nan)
    value, low, high = (np.array(share[name], dtype=float) for name in ("incidence", "low", "high"))
    return Estimate(value, low, high, unknown, unknown)


def _sooner(one: Curve, other: Curve) -> bool:
    """Whether the first group reaches the target sooner, as far as both were seen."""
    horizon = min(one.last, other.last)
    return one.mean(horizon) < other.mean(horizon)
