"""How regular customers are: on how many days of a period they were active."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from cjm_analytics._card import Card, Shown
from cjm_analytics.analysis.named import (
    Group,
    GroupCounts,
    Named,
    active_events,
    columns,
    in_group_order,
    observed_until,
)
from cjm_analytics.analysis.periods import Calendar
from cjm_analytics.analysis.sequences import frozen
from cjm_analytics.engine import run
from cjm_analytics.errors import UnknownNameError
from cjm_analytics.model import ReportRules
from cjm_analytics.statistics import wilson

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import plotly.graph_objects as go
    from numpy.typing import NDArray

    from cjm_analytics.engine import Engine
    from cjm_analytics.journeys import Codebook, Journeys, Partition

__all__ = ["GroupCounts", "Stickiness", "StickinessAnalysis", "stickiness"]

DAYS = {"week": 7, "month": 31}
"""The most days that a period can have."""


def stickiness(
    journeys: Journeys,
    *,
    of: str | Sequence[str] | None = None,
    period: str = "week",
    by: str | Sequence[str] | None = None,
    engine: Engine | None = None,
) -> Stickiness:
    """On how many days of a week or month customers were active.

    A customer, over all journeys, is active on a day with at least one event of the kind `of`. `share` is the
    share of the customers active in the period who were so on exactly that many days, `at_least` on that many
    or more. What happens after the observation end is not used; a period that the log does not cover as a
    whole is not complete: its numbers of days are too low, and `distribution()` leaves it out.

    Parameters
    ----------
    journeys : Journeys
    of : str or sequence of str, optional
        Touchpoints, or markers of the model, that count as activity; default: any event.
    period : {"week", "month"}
        In the model's time zone, as are days; weeks begin on Monday.
    by : str or sequence of str, optional
        Columns to group by: the value at the customer's first active event of the period.
    engine : Engine, optional
        Where to compute; default: on this machine.

    Returns
    -------
    Stickiness

    Raises
    ------
    UnknownNameError
        No such touchpoint, marker, column or period.

    Examples
    --------
    >>> import cjm_analytics as cjm
    >>> journeys = cjm.sessionize(cjm.ingest(cjm.loaders.table(
    ...     {"who": ["a", "a", "b"], "what": ["use"] * 3,
    ...      "when": ["2026-01-05 08:00", "2026-01-07 08:00", "2026-01-08 08:00"]},
    ...     customer="who", timestamp="when", event="what", tz="UTC")))
    >>> found = cjm.stickiness(journeys).to_frame()
    >>> found[["period", "days", "customers", "active", "share", "at_least"]].head(3)
          period  days  customers  active  share  at_least
    0 2026-01-05     1          1       2    0.5       1.0
    1 2026-01-05     2          1       2    0.5       0.5
    2 2026-01-05     3          0       2    0.0       0.0
    """
    return run(StickinessAnalysis.plan(journeys, of=of, period=period, by=by), journeys, engine)


@dataclass(frozen=True)
class StickinessAnalysis:
    """What counts as activity, the periods and their days.

    Attributes
    ----------
    of : Named or None
    calendar, days : Calendar
    by : tuple of str
    observed_from, observed_until : int
        Microseconds UTC.
    codebook : Codebook
    rules : ReportRules
    """

    of: Named | None
    calendar: Calendar
    days: Calendar
    by: tuple[str, ...]
    observed_from: int
    observed_until: int
    codebook: Codebook
    rules: ReportRules

    @classmethod
    def plan(
        cls,
        journeys: Journeys,
        *,
        of: str | Sequence[str] | None = None,
        period: str = "week",
        by: str | Sequence[str] | None = None,
    ) -> StickinessAnalysis:
        """Check the arguments of `stickiness`."""
        if period not in DAYS:
            raise UnknownNameError("period", period, DAYS)
        activity = None if of is None else Named.read(journeys.codebook, of, what="of")
        begin, until = journeys.observation_start, observed_until(journeys, [activity])
        span = (journeys.timezone, begin, until)
        return cls(
            of=activity,
            calendar=Calendar.spanning(period, *span),
            days=Calendar.spanning("day", *span),
            by=columns(journeys, by),
            observed_from=begin,
            observed_until=until,
            codebook=journeys.codebook,
            rules=journeys.model.report if journeys.model else ReportRules(),
        )

    def map(self, partition: Partition) -> GroupCounts:
        """Count the partition's customers by period and active days."""
        from cjm_analytics.kernels.retention import count_active_days

        if not partition.n_events:
            return GroupCounts()
        time = partition.event("time")
        active, group, names = active_events(partition, self.of, self.by, self.observed_until)
        counts = count_active_days(
            frozen(partition.units("customer").offsets), frozen(active), self.days.numbers(time),
            self.calendar.numbers(np.array(self.days.bounds[:-1], np.int64)), len(self.calendar),
            DAYS[self.calendar.period], group, max(len(names), 1),
        )  # fmt: skip
        return GroupCounts.of(names, counts)

    def finalize(self, partial: GroupCounts) -> Stickiness:
        """The result from the grand total."""
        groups = in_group_order(partial.counts, self.by, self.codebook)
        return Stickiness(self, {group: partial.counts[group] for group in groups})

    @property
    def complete(self) -> NDArray[np.bool_]:
        """Which periods the log covers as a whole."""
        return self.calendar.covered(self.observed_from, self.observed_until)


@dataclass(frozen=True, eq=False, repr=False)
class Stickiness(Shown):
    """How regular customers are: made by `cjm.stickiness`.

    Attributes
    ----------
    average_days : float
        Active days per active customer and period, of complete periods; NaN without any.
    observation_end : pandas.Timestamp
    """

    _analysis: StickinessAnalysis
    _counts: Mapping[Group, NDArray[np.int64]]

    @property
    def average_days(self) -> float:
        total = sum((counts[self._analysis.complete].sum(axis=0) for counts in self._counts.values()), 0)
        customers = int(np.sum(total))
        return float((total * np.arange(np.size(total))).sum() / customers) if customers else math.nan

    @property
    def observation_end(self) -> pd.Timestamp:
        return pd.Timestamp(self._analysis.observed_until, unit="us", tz="UTC")

    def to_frame(self) -> pd.DataFrame:
        """One row per period in which anybody was active and number of days, within each group.

        Columns: what `by` names, `period` (the local date with which it begins), `days` (1 to 7, or 31),
        `customers` (active on exactly so many days), `active` (in the period), `share` (customers / active),
        `low`, `high` (Wilson), `at_least` (share active on so many days or more), `complete` (the log covers
        the whole period), `reliability` (`hidden` when fewer than the model's `min_n` were active, `weak`
        below `weak_n`, else `ok`).
        """
        analysis, frames = self._analysis, []
        dates, complete = analysis.calendar.dates(), analysis.complete
        for group, counts in self._counts.items():
            some = np.flatnonzero(counts.sum(axis=1))
            frame = _shares(counts[some], analysis.rules)
            frame.insert(0, "period", np.repeat(dates[some], counts.shape[1] - 1))
            frame["complete"] = np.repeat(complete[some], counts.shape[1] - 1)
            frames.append(frame.assign(**dict(zip(analysis.by, group, strict=True))))
        frame = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()
        return frame.reindex(columns=[*analysis.by, "period", *_SHARES[:-1], "complete", "reliability"])

    def distribution(self) -> pd.DataFrame:
        """All complete periods together; the same columns, `periods` (how many) in place of `period`.

        A customer counts once per period.
        """
        analysis, frames = self._analysis, []
        for group, counts in self._counts.items():
            whole = counts[analysis.complete]
            if whole.sum():
                frame = _shares(whole.sum(axis=0)[None, :], analysis.rules)
                frame.insert(0, "periods", int((whole.sum(axis=1) > 0).sum()))
                frames.append(frame.assign(**dict(zip(analysis.by, group, strict=True))))
        frame = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()
        return frame.reindex(columns=[*analysis.by, "periods", *_SHARES])

    def plot(self) -> go.Figure:
        """The share of each number of active days, all complete periods together."""
        from cjm_analytics.charts.retention import stickiness_chart

        return stickiness_chart(
            self.distribution(), by=self._analysis.by, period=self._analysis.calendar.period
        )

    def _card(self) -> Card:
        analysis = self._analysis
        average = self.average_days
        facts = {
            "activity": "any event" if analysis.of is None else analysis.of.text,
            f"active days per {analysis.calendar.period}": "–" if math.isnan(average) else f"{average:.2f}",
            "observed until": f"{self.observation_end:%Y-%m-%d %H:%M} UTC",
        }
        note = (
            f"All {analysis.calendar.period}s that the log covers as a whole; a customer counts once in each."
        )
        return Card("Stickiness", facts, self.distribution(), note=note)


_SHARES = ["days", "customers", "active", "share", "low", "high", "at_least", "reliability"]


def _shares(counts: NDArray[np.int64], rules: ReportRules) -> pd.DataFrame:
    """One row per row of counts and number of days."""
    counts = counts[:, 1:]
    active = counts.sum(axis=1, keepdims=True)
    more = counts[:, ::-1].cumsum(axis=1)[:, ::-1]
    n = np.broadcast_to(active, counts.shape).ravel()
    low, high = wilson(counts.ravel(), n, rules.confidence)
    return pd.DataFrame(
        {
            "days": np.tile(np.arange(1, counts.shape[1] + 1), len(counts)),
            "customers": counts.ravel(),
            "active": n,
            "share": counts.ravel() / n,
            "low": low,
            "high": high,
            "at_least": more.ravel() / n,
            "reliability": rules.reliabilities(n),
        }
    )
