"""How long it takes to get through a funnel; those that have not yet count for as long as they were seen."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from cjm_analytics._card import Card, Shown
from cjm_analytics.analysis.time_to import Curve
from cjm_analytics.analysis.waits import Waits
from cjm_analytics.durations import DAY, HOUR, MINUTE, SECOND, readable
from cjm_analytics.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import plotly.graph_objects as go
    from numpy.typing import NDArray

    from cjm_analytics.analysis.funnel import FunnelAnalysis
    from cjm_analytics.analysis.named import Group
    from cjm_analytics.journeys import Partition

__all__ = ["ConversionTimes", "ConversionTimesAnalysis", "ConversionTimesPartial"]

QUANTILES = (0.25, 0.5, 0.75, 0.9)


@dataclass(frozen=True)
class ConversionTimesAnalysis:
    """The funnel whose units are timed; the order of its groups, and the one that gathers all others."""

    funnel: FunnelAnalysis
    order: tuple[Group, ...] = ()
    rest: Group | None = None

    def map(self, partition: Partition) -> ConversionTimesPartial:
        """How long each unit of the partition waited, and whether it got through."""
        counted = self.funnel.count(partition)
        found, end = counted.found, self.funnel.end
        took = partition.event("time")[counted.last] - found.started
        seen = np.maximum(end - found.started, 0)
        through = (found.depth > self.funnel.required[-1]) & (took <= seen)
        duration, kind = np.where(through, took, seen), through.astype(np.int64)
        by_group = np.argsort(counted.group, kind="stable")
        bounds = np.searchsorted(counted.group[by_group], np.arange(len(counted.groups) + 1))
        waits: dict[Group, Waits] = {}
        for group, low, high in zip(counted.groups, bounds[:-1], bounds[1:], strict=True):
            if low == high:
                continue
            name = self.rest if self.rest is not None and group not in self.order else group
            mine = Waits.of(duration[by_group[low:high]], kind[by_group[low:high]])
            waits[name] = waits[name] + mine if name in waits else mine
        return ConversionTimesPartial(waits)

    def finalize(self, partial: ConversionTimesPartial) -> ConversionTimes:
        """The result from the grand total."""
        place = {group: number for number, group in enumerate(self.order)}
        groups: Sequence[Group] = sorted(
            partial.waits, key=lambda group: (place.get(group, len(place)), group)
        )
        if not self.funnel.group_columns:
            groups = [()]
        curves = {
            group: Curve.of(partial.waits.get(group, Waits()), self.funnel.rules.confidence)
            for group in groups
        }
        return ConversionTimes(self.funnel, curves)


@dataclass(frozen=True, eq=False)
class ConversionTimesPartial:
    """The waits of some of the units, by group."""

    waits: Mapping[Group, Waits] = field(default_factory=dict)

    def __add__(self, other: ConversionTimesPartial) -> ConversionTimesPartial:
        waits = dict(self.waits)
        for group, more in other.waits.items():
            waits[group] = waits[group] + more if group in waits else more
        return ConversionTimesPartial(waits)


@dataclass(frozen=True, eq=False, repr=False)
class ConversionTimes(Shown):
    """How long it takes to get through a funnel: made by `Funnel.time_to_convert`.

    A unit's clock starts at its first visit to the first step (an attempt's at its own start), also where a
    later visit led through, and stops when it got through. A unit that has not got through by the observation
    end is censored there: it counts for as long as it was seen. Units that dropped count too, for they are
    among those that started. So `incidence` is Kaplan–Meier's estimate of the share that has got through by
    then, of all that started, with its log–log interval.

    Attributes
    ----------
    median : pandas.Timedelta or Series
        When half of all that started had got through; NaT if that was never seen. With groups, one per group.
    """

    _funnel: FunnelAnalysis
    _curves: Mapping[Group, Curve]

    @property
    def median(self) -> pd.Timedelta | pd.Series[pd.Timedelta]:
        times = pd.to_timedelta([_quantile(curve, 0.5) for curve in self._curves.values()], unit="us")
        if not self._funnel.group_columns:
            return times[0]
        names = [group[0] if len(group) == 1 else group for group in self._curves]
        return pd.Series(times, index=names, name="median")

    def to_frame(self) -> pd.DataFrame:
        """A histogram with round bounds, and what is known by the end of each bar.

        Columns: what `by` names, `longer_than` (exclusive, but for the first) and `up_to` (inclusive),
        `converted` (in the bar), `share` and `cumulative_share` (both of all that converted, in `of`),
        `at_risk` (on their way and seen for longer than `longer_than`; in the first bar all that started),
        `incidence` (share of all that started that has got through by `up_to`, the others counted as long as
        they were seen), `low`, `high`, `started`. Incidence is missing where some may still be on their way
        and nobody was seen for so long.
        """
        longest = max(
            (int(_times(curve)[-1]) for curve in self._curves.values() if _through(curve)), default=0
        )
        width = next((one for one in _WIDTHS if longest <= _BARS * one), _WIDTHS[-1])
        edges = width * np.arange(max(-(-longest // width), 1) + 1)
        return self._together(
            [_histogram(curve, edges, self._funnel.rules.confidence) for curve in self._curves.values()]
        )

    def quantiles(self, *q: float) -> pd.DataFrame:
        """When shares of all that started had got through; default a quarter, half, three quarters, 90 %.

        Columns: what `by` names, `q`, `time` (the first by which the incidence is at least q; NaT where that
        was never seen), `low`, `high` (where the interval of the incidence passes q: NaT, if it does not),
        `converted`, `started`.

        Raises
        ------
        InputError
            `q` does not lie between 0 and 1.
        """
        asked = q or QUANTILES
        for one in asked:
            if not 0 < one <= 1:
                raise InputError(f"q={one} must lie between 0 and 1.")
        tables = []
        for curve in self._curves.values():
            found = curve.incidence
            bounds = {"time": found.incidence, "low": found.high, "high": found.low}
            times = {
                name: pd.to_timedelta([_first(curve, shares, one) for one in asked], unit="us")
                for name, shares in bounds.items()
            }
            tables.append(
                pd.DataFrame({"q": asked, **times, "converted": _through(curve), "started": curve.n})
            )
        return self._together(tables)

    def curve(self) -> pd.DataFrame:
        """The whole curve: one row per time at which a unit got through or was last seen, from time 0.

        Columns: what `by` names, then those of `TimeTo.to_frame`; `ended` is 0: nothing competes.
        """
        return self._together([curve.frame() for curve in self._curves.values()])

    def plot(self) -> go.Figure:
        """The share that has got through over time, with its interval and the numbers at risk."""
        from cjm_analytics.charts.time_to import time_to_chart

        steps = self._funnel.steps
        return time_to_chart(
            self.curve(),
            by=self._funnel.group_columns,
            target=steps[self._funnel.required[-1]].label,
            start=steps[0].label,
            unit_name=self._funnel.unit,
            min_n=self._funnel.rules.min_n,
        )

    def _together(self, tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
        named = list(self._curves)
        if not tables:
            tables, named = [_histogram(Curve.of(Waits(), 0.95), np.arange(2), 0.95).iloc[:0]], [()]
        columns = self._funnel.group_columns
        return pd.concat(
            [
                pd.concat([_repeated(columns, group, len(table)), table], axis=1)
                for group, table in zip(named, tables, strict=True)
            ],
            ignore_index=True,
        )

    def _card(self) -> Card:
        started, through = (
            sum(count(curve) for curve in self._curves.values())
            for count in (lambda curve: curve.n, _through)
        )
        facts = {"started": f"{started:,}", "got through": f"{through:,}"}
        if not self._funnel.group_columns:
            half = _quantile(self._curves[()], 0.5)
            facts["half of them by"] = "not seen" if math.isnan(half) else readable(half)
        note = "Those that have not got through yet count for as long as they were seen."
        return Card("Time to get through the funnel", facts, self.to_frame(), note=note)


def _repeated(columns: Sequence[str], group: Group, n: int) -> pd.DataFrame:
    names = dict(zip(columns, group or ("",) * len(columns), strict=True))
    return pd.DataFrame(
        {name: np.full(n, value, dtype=object) for name, value in names.items()}, index=range(n)
    )


def _through(curve: Curve) -> int:
    return int(curve.table.events[0].sum())


def _times(curve: Curve) -> NDArray[np.int64]:
    """When units got through: the distinct times."""
    times: NDArray[np.int64] = curve.table.time[curve.table.events[0] > 0]
    return times


def _first(curve: Curve, shares: NDArray[np.float64], q: float) -> float:
    """The first time by which a rising share is at least q; one that is q in exact arithmetic counts."""
    passed = np.flatnonzero(shares >= q - _ROUNDING)
    return float(curve.table.time[passed[0]]) if len(passed) else math.nan


def _quantile(curve: Curve, q: float) -> float:
    return _first(curve, curve.incidence.incidence, q)


def _histogram(curve: Curve, edges: NDArray[np.int64], confidence: float) -> pd.DataFrame:
    """Bars between the edges."""
    times, n_bars = _times(curve), len(edges) - 1
    bar = np.clip(np.searchsorted(edges, times) - 1, 0, n_bars - 1)
    counts = curve.table.events[0][curve.table.events[0] > 0]
    converted = np.bincount(bar, weights=counts, minlength=n_bars).astype(np.int64)
    total = int(converted.sum())
    after = np.searchsorted(curve.table.time, edges[:-1], side="right")
    at_risk = np.append(curve.table.at_risk, 0)[after]
    at_risk[0] = curve.n
    known = [curve.at(int(edge), confidence) for edge in edges[1:]]
    share = converted / total if total else np.full(n_bars, np.nan)
    return pd.DataFrame(
        {
            "longer_than": pd.to_timedelta(edges[:-1], unit="us"),
            "up_to": pd.to_timedelta(edges[1:], unit="us"),
            "converted": converted,
            "share": share,
            "cumulative_share": converted.cumsum() / total if total else share,
            "of": total,
            "at_risk": at_risk,
            **{name: [float(one[name]) for one in known] for name in ("incidence", "low", "high")},
            "started": curve.n,
        }
    )


_ROUNDING = 1e-12
_WIDTHS = (
    *(one * SECOND for one in (1, 2, 5, 10, 15, 30)),
    *(one * MINUTE for one in (1, 2, 5, 10, 15, 30)),
    *(one * HOUR for one in (1, 2, 3, 6, 12)),
    *(one * DAY for one in (1, 2, 7, 14, 28, 91, 365)),
)
_BARS = 24
