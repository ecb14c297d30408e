"""How long units waited, and how each wait ended: what adds up, over partitions, to a life table."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from cjm_analytics.durations import DAY, HOUR, MINUTE, SECOND
from cjm_analytics.quantiles import in_rising_order
from cjm_analytics.statistics import LifeTable, life_table

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["CONTINUED", "KINDS", "Waits", "added", "tallied"]

KINDS = 4
"""A duration and its kind make one number: duration · 4 + kind. Kind 0 is censored."""

CONTINUED = 1
"""The kind of those who went on; behind a duration of 0 this is also its number."""

_RESOLUTIONS = (1, SECOND, MINUTE, HOUR, DAY)
_MOST_TIMES = 2**20


_Tally = tuple["NDArray[np.int64]", "NDArray[np.int64]", int]
"""Distinct numbers duration · 4 + kind, rising; how often each occurs; the resolution of the durations."""


def tallied(times: NDArray[np.int64], least: NDArray[np.int64] | None = None) -> _Tally:
    """Distinct numbers duration · 4 + kind and how often they occur, as fine as the limit allows.

    Durations are whole microseconds; when there are more than 2²⁰ distinct numbers, they are rounded down to
    the first of second, minute, hour and day with which there are fewer. As these are multiples of each
    other, the order in which tallies are added does not matter. The numbers are sorted where they lie, none
    is negative. What was counted before stands in `least`: how often each number from −4 on was there, all
    below the others.
    """
    from cjm_analytics.kernels.tallies import counted

    keys, counts = counted(in_rising_order(times))
    if least is not None:
        there = np.flatnonzero(least)
        keys, counts = np.concatenate([there - KINDS, keys]), np.concatenate([least[there], counts])
    return _limited(keys, counts, 1)


def added(one: _Tally, other: _Tally) -> _Tally:
    """Two tallies as one."""
    from cjm_analytics.kernels.tallies import merged

    step = max(one[2], other[2])
    parts = [part if part[2] == step else (*_rounded(part[0], part[1], step), step) for part in (one, other)]
    return _limited(*merged(parts[0][0], parts[0][1], parts[1][0], parts[1][1]), step)


def _limited(times: NDArray[np.int64], counts: NDArray[np.int64], resolution: int) -> _Tally:
    """A tally at the first resolution, from its own on, that keeps it within the limit."""
    for step in _RESOLUTIONS[_RESOLUTIONS.index(resolution) :]:
        if step != resolution:
            times, counts = _rounded(times, counts, step)
        if len(times) <= _MOST_TIMES:
            break
    return times, counts, step


def _rounded(
    times: NDArray[np.int64], counts: NDArray[np.int64], step: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """A tally with its durations rounded down."""
    rounded = times // (KINDS * step) * (KINDS * step) + times % KINDS
    order = np.argsort(rounded, kind="stable")  # nearly sorted already: one sweep
    ranked = rounded[order]
    if not len(ranked):
        return ranked, counts
    starts = np.flatnonzero(np.concatenate([[True], ranked[1:] != ranked[:-1]]))
    return ranked[starts], np.add.reduceat(counts[order], starts)


@dataclass(frozen=True, eq=False)
class Waits:
    """A bag of durations, each with the kind of its end.

    Attributes
    ----------
    times, counts : int64 arrays
        Distinct numbers duration · 4 + kind, rising, and how many units have each.
    resolution : int
        Microseconds to which durations are rounded down.
    """

    times: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    counts: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    resolution: int = 1

    @classmethod
    def of(cls, duration: NDArray[np.int64], kind: NDArray[np.int64]) -> Waits:
        """One wait per unit.

        Examples
        --------
        >>> waits = Waits.of(np.array([5, 5, 7]), np.array([1, 1, 0]))
        >>> waits += Waits.of(np.array([7]), np.array([0]))
        >>> waits.n, waits.table(1).at_risk.tolist()
        (4, [4, 2])
        """
        return cls(*tallied(duration * KINDS + kind))

    @property
    def n(self) -> int:
        """How many units waited."""
        return int(self.counts.sum())

    def __add__(self, other: Waits) -> Waits:
        mine, others = ((part.times, part.counts, part.resolution) for part in (self, other))
        return Waits(*added(mine, others))

    def table(self, n_causes: int) -> LifeTable:
        """Times in microseconds at which waits ended, by cause, or were last seen."""
        return life_table(self.times // KINDS, self.times % KINDS, self.counts, n_causes=n_causes)
