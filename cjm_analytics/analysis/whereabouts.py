"""Where the units of a funnel went that stopped short: what they did next, and where they were last seen."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from cjm_analytics.analysis.sequences import END

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from cjm_analytics.analysis.funnel import FunnelAnalysis
    from cjm_analytics.analysis.named import Group
    from cjm_analytics.journeys import Partition

__all__ = ["WhereaboutsAnalysis", "WhereaboutsPartial"]


@dataclass(frozen=True)
class WhereaboutsAnalysis:
    """Which units of a funnel are meant, and which of their events.

    Attributes
    ----------
    funnel : FunnelAnalysis
    steps : tuple of int
        The steps at which the units stopped, from 0.
    going : bool
        The open ones, else those that dropped.
    following : bool
        The event after the one that served the step, else the unit's last.
    touchpoints, order, rest
        Names of touchpoints; the order of the groups, and the one that gathers all others.
    """

    funnel: FunnelAnalysis
    steps: tuple[int, ...]
    going: bool
    following: bool
    touchpoints: tuple[str, ...]
    order: tuple[Group, ...] = ()
    rest: Group | None = None

    def map(self, partition: Partition) -> WhereaboutsPartial:
        """Units of the partition by group, step and touchpoint."""
        counted = self.funnel.count(partition)
        stopped = (counted.found.depth <= self.funnel.required[-1]) & (counted.going == self.going)
        rows = np.flatnonzero(stopped)
        units = partition.units("journey" if self.funnel.unit == "attempt" else self.funnel.unit)
        beyond = units.offsets[1:][counted.owner[rows]]
        order = np.arange(partition.n_events) if units.order is None else units.order
        if self.following:
            position = np.empty(len(order), np.int64)
            position[order] = np.arange(len(order))
            place = position[counted.last[rows]] + 1
        else:
            place = beyond - 1
        n_names = len(self.touchpoints) + 1
        touchpoint = np.append(partition.event("touchpoint")[order], 0).astype(np.int64)
        symbol = np.where(place < beyond, touchpoint[np.minimum(place, len(order))], n_names - 1)
        width = len(self.funnel.steps) * n_names
        cell = (counted.found.depth[rows].astype(np.int64) - 1) * n_names + symbol
        totals: NDArray[np.int64] = np.bincount(
            counted.group[rows] * width + cell, minlength=len(counted.groups) * width
        ).reshape(-1, width)
        found: dict[Group, NDArray[np.int64]] = {}
        for group, total in zip(counted.groups, totals, strict=True):
            if total.any():
                name = self.rest if self.rest is not None and group not in self.order else group
                found[name] = found[name] + total if name in found else total
        return WhereaboutsPartial(found)

    def finalize(self, partial: WhereaboutsPartial) -> pd.DataFrame:
        """One row per group, step and touchpoint."""
        names = [*self.touchpoints, END]
        place = {group: number for number, group in enumerate(self.order)}
        lines: list[tuple[object, ...]] = []
        for group in sorted(partial.units, key=lambda one: (place.get(one, len(place)), one)):
            table = partial.units[group].reshape(len(self.funnel.steps), len(names))
            for step in self.steps:
                total = int(table[step].sum())
                some = np.flatnonzero(table[step]).tolist()
                for symbol in sorted(some, key=lambda one: (-table[step, one], names[one])):
                    n = int(table[step, symbol])
                    lines.append((*group, self.funnel.steps[step].label, names[symbol], n, total, n / total))
        columns = [*self.funnel.group_columns, "step", "touchpoint", "units", "of", "share"]
        types = {"units": np.int64, "of": np.int64, "share": np.float64}
        return pd.DataFrame(lines, columns=columns).astype(types)


@dataclass(frozen=True, eq=False)
class WhereaboutsPartial:
    """Units by group; of each group by step, then touchpoint, the last of which is none."""

    units: Mapping[Group, NDArray[np.int64]] = field(default_factory=dict)

    def __add__(self, other: WhereaboutsPartial) -> WhereaboutsPartial:
        units = dict(self.units)
        for group, more in other.units.items():
            units[group] = units[group] + more if group in units else more
        return WhereaboutsPartial(units)
