"""Where active customers come from: new, returning, resurrected; and who went dormant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from cjm_analytics._card import Card, Shown
from cjm_analytics.analysis.named import (
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

if TYPE_CHECKING:
    from collections.abc import Sequence

    import plotly.graph_objects as go

    from cjm_analytics.engine import Engine
    from cjm_analytics.journeys import Codebook, Journeys, Partition

__all__ = ["GroupCounts", "Lifecycle", "LifecycleAnalysis", "lifecycle"]

STATES = ("new", "returning", "resurrected", "dormant")


def lifecycle(
    journeys: Journeys,
    *,
    of: str | Sequence[str] | None = None,
    period: str = "week",
    by: str | Sequence[str] | None = None,
    engine: Engine | None = None,
) -> Lifecycle:
    """Per period, which active customers are new, stayed or came back, and how many went quiet.

    A customer, over all journeys, is active in a period with at least one event of the kind `of`. Active for
    the first time in the log: **new**; active in the period before too: **returning**; active before, but not
    in the period before: **resurrected**. Active in the period before and not in this one: **dormant**, told
    once, in the first quiet period. So active = new + returning + resurrected, and the active of one period
    are the returning and the dormant of the next.

    In the first periods of a log nobody can be resurrected, and whoever was there before looks new. What
    happens after the observation end is not used; a period that the log does not cover as a whole is not
    complete, and its dormant may still come.

    Parameters
    ----------
    journeys : Journeys
    of : str or sequence of str, optional
        Touchpoints, or markers of the model, that count as activity; default: any event.
    period : {"day", "week", "month"}
        In the model's time zone; weeks begin on Monday.
    by : str or sequence of str, optional
        Columns to group by: the value at the customer's first active event.
    engine : Engine, optional
        Where to compute; default: on this machine.

    Returns
    -------
    Lifecycle

    Raises
    ------
    UnknownNameError
        No such touchpoint, marker, column or period.

    Examples
    --------
    >>> import cjm_analytics as cjm
    >>> journeys = cjm.sessionize(cjm.ingest(cjm.loaders.table(
    ...     {"who": ["a", "a", "b", "a"], "what": ["use"] * 4,
    ...      "when": ["2026-01-05", "2026-01-12", "2026-01-12", "2026-01-28"]},
    ...     customer="who", timestamp="when", event="what", tz="UTC")))
    >>> cjm.lifecycle(journeys).to_frame()[["period", "new", "returning", "resurrected", "dormant"]]
          period  new  returning  resurrected  dormant
    0 2026-01-05    1          0            0        0
    1 2026-01-12    1          1            0        0
    2 2026-01-19    0          0            0        2
    3 2026-01-26    0          0            1        0
    """
    return run(LifecycleAnalysis.plan(journeys, of=of, period=period, by=by), journeys, engine)


@dataclass(frozen=True)
class LifecycleAnalysis:
    """What counts as activity, and the periods.

    Attributes
    ----------
    of : Named or None
    calendar : Calendar
    by : tuple of str
    observed_from, observed_until : int
        Microseconds UTC.
    codebook : Codebook
    """

    of: Named | None
    calendar: Calendar
    by: tuple[str, ...]
    observed_from: int
    observed_until: int
    codebook: Codebook

    @classmethod
    def plan(
        cls,
        journeys: Journeys,
        *,
        of: str | Sequence[str] | None = None,
        period: str = "week",
        by: str | Sequence[str] | None = None,
    ) -> LifecycleAnalysis:
        """Check the arguments of `lifecycle`."""
        activity = None if of is None else Named.read(journeys.codebook, of, what="of")
        begin, until = journeys.observation_start, observed_until(journeys, [activity])
        return cls(
            of=activity,
            calendar=Calendar.spanning(period, journeys.timezone, begin, until),
            by=columns(journeys, by),
            observed_from=begin,
            observed_until=until,
            codebook=journeys.codebook,
        )

    def map(self, partition: Partition) -> GroupCounts:
        """Count the partition's customers by period and state."""
        from cjm_analytics.kernels.retention import count_lifecycle

        if not partition.n_events:
            return GroupCounts()
        time = partition.event("time")
        active, group, names = active_events(partition, self.of, self.by, self.observed_until)
        counts = count_lifecycle(
            frozen(partition.units("customer").offsets), frozen(active), self.calendar.numbers(time),
            len(self.calendar), group, max(len(names), 1),
        )  # fmt: skip
        return GroupCounts.of(names, counts)

    def finalize(self, partial: GroupCounts) -> Lifecycle:
        """The table from the grand total."""
        groups = in_group_order(partial.counts, self.by, self.codebook)
        complete = self.calendar.covered(self.observed_from, self.observed_until)
        frames = []
        for group in groups:
            states = dict(zip(STATES, partial.counts[group], strict=True))
            frame = pd.DataFrame({"period": self.calendar.dates(), **states})
            active = frame["new"] + frame["returning"] + frame["resurrected"]
            frames.append(
                frame.assign(
                    active=active, complete=complete, **dict(zip(self.by, group, strict=True))
                )[[*self.by, *_COLUMNS]]
            )  # fmt: skip
        empty = pd.DataFrame(columns=[*self.by, *_COLUMNS])
        return Lifecycle(pd.concat(frames, ignore_index=True) if frames else empty, self)


_COLUMNS = ["period", *STATES, "active", "complete"]


@dataclass(frozen=True, eq=False, repr=False)
class Lifecycle(Shown):
    """Where active customers come from: made by `cjm.lifecycle`.

    Attributes
    ----------
    observation_end : pandas.Timestamp
    """

    _frame: pd.DataFrame
    _analysis: LifecycleAnalysis

    @property
    def observation_end(self) -> pd.Timestamp:
        return pd.Timestamp(self._analysis.observed_until, unit="us", tz="UTC")

    def to_frame(self) -> pd.DataFrame:
        """One row per period, within each group.

        Columns: what `by` names, `period` (the local date with which it begins), `new`, `returning`,
        `resurrected`, `dormant`, `active` (the first three), `complete` (the log covers the whole period).
        """
        return self._frame.copy()

    def plot(self) -> go.Figure:
        """Active customers above the line, by where they come from; those that went quiet below it."""
        from cjm_analytics.charts.retention import lifecycle_chart

        return lifecycle_chart(self._frame, by=self._analysis.by, period=self._analysis.calendar.period)

    def _card(self) -> Card:
        analysis = self._analysis
        facts = {
            "activity": "any event" if analysis.of is None else analysis.of.text,
            "customers": f"{int(self._frame['new'].sum()):,}",
            "observed until": f"{self.observation_end:%Y-%m-%d %H:%M} UTC",
        }
        note = "new: active for the first time in the log; dormant: active in the period before, not in this."
        return Card("Lifecycle", facts, self._frame, note=note)
